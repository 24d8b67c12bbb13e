package clients

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
)

type orasList struct {
	Referrers []descriptor `json:"referrers"`
	Manifests []descriptor `json:"manifests"`
}

func TestORAS(t *testing.T) {
	t.Parallel()
	path, version := goTool(t, "oras")
	overHTTPAndTLS(t, "oras", version, func(t *testing.T, r *registry) {
		// oras puts its transport flags behind the sub-command; `copy` has a pair of them.
		transport, both := []string{"--plain-http"}, []string{"--from-plain-http", "--to-plain-http"}
		if r.tls() {
			transport, both = []string{"--ca-file", r.CACert}, []string{"--from-ca-file", r.CACert, "--to-ca-file", r.CACert}
		}
		oras := func(t *testing.T, args ...string) string {
			t.Helper()
			return r.run(t, append(append([]string{path}, args...), transport...)...)
		}
		app := r.Host + "/oras/app"
		content := bytes.Repeat([]byte("artifact"), 10_000)
		r.file(t, "artifact.txt", content)
		r.file(t, "sbom.json", []byte(`{"bomFormat":"CycloneDX"}`))

		t.Run("push and pull files", func(t *testing.T) {
			oras(t, "push", app+":v1,latest", "--artifact-type=application/vnd.acme.thing.v1", "artifact.txt:text/plain")
			m := r.whole(t, "oras/app", "v1")
			equal(t, "artifact type", m.ArtifactType, "application/vnd.acme.thing.v1")
			equal(t, "second tag", r.whole(t, "oras/app", "latest").digest, m.digest)
			oras(t, "pull", app+":v1", "-o", "pulled")
			got, err := os.ReadFile(filepath.Join(r.home, "pulled", "artifact.txt"))
			if err != nil || !bytes.Equal(got, content) {
				t.Errorf("pulled %d bytes, want the %d pushed ones (%v)", len(got), len(content), err)
			}
		})
		t.Run("push again is idempotent", func(t *testing.T) {
			created := "--annotation=org.opencontainers.image.created=2026-01-02T03:04:05Z"
			oras(t, "push", app+":same", created, "artifact.txt:text/plain")
			first := r.whole(t, "oras/app", "same").digest
			oras(t, "push", app+":same", created, "artifact.txt:text/plain")
			equal(t, "second push", r.whole(t, "oras/app", "same").digest, first)
		})
		t.Run("attach and discover", func(t *testing.T) {
			oras(t, "attach", app+":v1", "--artifact-type=application/vnd.acme.sbom", "sbom.json:application/json")
			oras(t, "attach", app+":v1", "--artifact-type=application/vnd.acme.scan", "sbom.json:application/json")
			for _, api := range []string{"v1.1-referrers-api", "v1.1-referrers-tag"} {
				out := oras(t, "discover", app+":v1", "--format=json", "--distribution-spec="+api)
				got := decode[orasList](t, out)
				equal(t, "referrers by "+api, len(got.Referrers)+len(got.Manifests), 2)
			}
			out := oras(t, "discover", app+":v1", "--format=json", "--artifact-type=application/vnd.acme.scan")
			got := decode[orasList](t, out)
			equal(t, "filtered", len(got.Referrers)+len(got.Manifests), 1)
		})
		t.Run("attach by the fallback tag", func(t *testing.T) {
			oras(t, "attach", app+":same", "--distribution-spec=v1.1-referrers-tag", "--artifact-type=application/vnd.acme.old", "sbom.json:application/json")
			got := decode[orasList](t, oras(t, "discover", app+":same", "--format=json", "--distribution-spec=v1.1-referrers-api"))
			equal(t, "referrers by the API", len(got.Referrers)+len(got.Manifests), 1)
		})
		t.Run("copy -r with referrers", func(t *testing.T) {
			r.run(t, append([]string{path, "copy", "-r", app + ":v1", r.Host + "/oras/copy:v1"}, both...)...)
			equal(t, "copied", r.whole(t, "oras/copy", "v1").digest, r.whole(t, "oras/app", "v1").digest)
			got := decode[orasList](t, oras(t, "discover", r.Host+"/oras/copy:v1", "--format=json"))
			equal(t, "referrers", len(got.Referrers)+len(got.Manifests), 2)
		})
		t.Run("OCI layout to registry and back", func(t *testing.T) {
			layout, want := r.layout(t, "multi", "amd64", "arm64")
			r.run(t, append([]string{path, "copy", "--from-oci-layout", layout + ":latest", app + ":multi"}, both[len(both)/2:]...)...)
			equal(t, "stored", r.whole(t, "oras/app", "multi").digest, want)
			r.run(t, append([]string{path, "copy", app + ":multi", "--to-oci-layout", r.home + "/back:latest"}, both[:len(both)/2]...)...)
		})
		t.Run("manifest fetch, push, index and delete", func(t *testing.T) {
			raw := oras(t, "manifest", "fetch", app+":v1")
			equal(t, "fetched", digest.FromString(raw).String(), r.whole(t, "oras/app", "v1").digest)
			r.file(t, "manifest.json", []byte(raw+"\n"))
			oras(t, "manifest", "push", app+":pushed", "manifest.json")
			pushed := r.whole(t, "oras/app", "pushed")
			oras(t, "manifest", "index", "create", app+":index", "v1", "pushed")
			equal(t, "children", len(r.whole(t, "oras/app", "index").Manifests), 2)
			oras(t, "manifest", "delete", "--force", app+":index")
			oras(t, "manifest", "delete", "--force", app+"@"+pushed.digest)
			r.gone(t, "/v2/oras/app/manifests/pushed")
		})
		t.Run("blob push, fetch and delete", func(t *testing.T) {
			dgst := digest.FromBytes(content[1:]).String()
			r.file(t, "blob", content[1:])
			oras(t, "blob", "push", app+"@"+dgst, "blob")
			oras(t, "blob", "fetch", app+"@"+dgst, "--output", "fetched")
			got, err := os.ReadFile(filepath.Join(r.home, "fetched"))
			if err != nil || !bytes.Equal(got, content[1:]) {
				t.Errorf("fetched %d bytes, want the %d pushed ones (%v)", len(got), len(content)-1, err)
			}
			oras(t, "blob", "delete", "--force", app+"@"+dgst)
			r.gone(t, "/v2/oras/app/blobs/"+dgst)
		})
		t.Run("tag, repo ls, repo tags and resolve", func(t *testing.T) {
			oras(t, "tag", app+":v1", "stable")
			equal(t, "resolved", strings.TrimSpace(oras(t, "resolve", app+":stable")), r.whole(t, "oras/app", "v1").digest)
			equal(t, "repositories", strings.Join(strings.Fields(oras(t, "repo", "ls", r.Host)), " "), "oras/app oras/copy")
			tags := strings.Fields(oras(t, "repo", "tags", app, "--exclude-digest-tags"))
			equal(t, "tags", strings.Join(tags, " "), "latest multi same stable v1")
		})
		t.Run("backup and restore of a repository", func(t *testing.T) {
			oras(t, "backup", "--output=backup", "--include-referrers", app+":v1")
			oras(t, "restore", "--input=backup", r.Host+"/oras/restored:v1")
			equal(t, "restored", r.whole(t, "oras/restored", "v1").digest, r.whole(t, "oras/app", "v1").digest)
		})
	})
}
