package clients

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/packhouse/packhouse/conformance/rig"
)

type orasList struct {
	Referrers []rig.Descriptor `json:"referrers"`
	Manifests []rig.Descriptor `json:"manifests"`
}

func TestORAS(t *testing.T) {
	t.Parallel()
	path, version := rig.Tool(t, "oras")
	overHTTPAndTLS(t, "oras", version, func(t *testing.T, r *registry) {
		// oras puts its transport flags behind the sub-command; `copy` has a pair of them.
		transport, both := []string{"--plain-http"}, []string{"--from-plain-http", "--to-plain-http"}
		if r.TLS() {
			transport, both = []string{"--ca-file", r.CACert}, []string{"--from-ca-file", r.CACert, "--to-ca-file", r.CACert}
		}
		oras := func(t *testing.T, args ...string) string {
			t.Helper()
			return r.Run(t, append(append([]string{path}, args...), transport...)...)
		}
		app := r.Host + "/oras/app"
		content := bytes.Repeat([]byte("artifact"), 10_000)
		r.File(t, "artifact.txt", content)
		r.File(t, "sbom.json", []byte(`{"bomFormat":"CycloneDX"}`))

		t.Run("push and pull files", func(t *testing.T) {
			oras(t, "push", app+":v1,latest", "--artifact-type=application/vnd.acme.thing.v1", "artifact.txt:text/plain")
			m := r.Whole(t, "oras/app", "v1")
			rig.Equal(t, "artifact type", m.ArtifactType, "application/vnd.acme.thing.v1")
			rig.Equal(t, "second tag", r.Whole(t, "oras/app", "latest").Digest, m.Digest)
			oras(t, "pull", app+":v1", "-o", "pulled")
			got, err := os.ReadFile(filepath.Join(r.Home, "pulled", "artifact.txt"))
			if err != nil || !bytes.Equal(got, content) {
				t.Errorf("pulled %d bytes, want the %d pushed ones (%v)", len(got), len(content), err)
			}
		})
		t.Run("push again is idempotent", func(t *testing.T) {
			created := "--annotation=org.opencontainers.image.created=2026-01-02T03:04:05Z"
			oras(t, "push", app+":same", created, "artifact.txt:text/plain")
			first := r.Whole(t, "oras/app", "same").Digest
			oras(t, "push", app+":same", created, "artifact.txt:text/plain")
			rig.Equal(t, "second push", r.Whole(t, "oras/app", "same").Digest, first)
		})
		t.Run("attach and discover", func(t *testing.T) {
			oras(t, "attach", app+":v1", "--artifact-type=application/vnd.acme.sbom", "sbom.json:application/json")
			oras(t, "attach", app+":v1", "--artifact-type=application/vnd.acme.scan", "sbom.json:application/json")
			for _, api := range []string{"v1.1-referrers-api", "v1.1-referrers-tag"} {
				out := oras(t, "discover", app+":v1", "--format=json", "--distribution-spec="+api)
				got := rig.Decode[orasList](t, out)
				rig.Equal(t, "referrers by "+api, len(got.Referrers)+len(got.Manifests), 2)
			}
			out := oras(t, "discover", app+":v1", "--format=json", "--artifact-type=application/vnd.acme.scan")
			got := rig.Decode[orasList](t, out)
			rig.Equal(t, "filtered", len(got.Referrers)+len(got.Manifests), 1)
		})
		t.Run("attach by the fallback tag", func(t *testing.T) {
			oras(t, "attach", app+":same", "--distribution-spec=v1.1-referrers-tag", "--artifact-type=application/vnd.acme.old", "sbom.json:application/json")
			got := rig.Decode[orasList](t, oras(t, "discover", app+":same", "--format=json", "--distribution-spec=v1.1-referrers-api"))
			rig.Equal(t, "referrers by the API", len(got.Referrers)+len(got.Manifests), 1)
		})
		t.Run("copy -r with referrers", func(t *testing.T) {
			r.Run(t, append([]string{path, "copy", "-r", app + ":v1", r.Host + "/oras/copy:v1"}, both...)...)
			rig.Equal(t, "copied", r.Whole(t, "oras/copy", "v1").Digest, r.Whole(t, "oras/app", "v1").Digest)
			got := rig.Decode[orasList](t, oras(t, "discover", r.Host+"/oras/copy:v1", "--format=json"))
			rig.Equal(t, "referrers", len(got.Referrers)+len(got.Manifests), 2)
		})
		t.Run("OCI layout to registry and back", func(t *testing.T) {
			layout, want := r.layout(t, "multi", "amd64", "arm64")
			r.Run(t, append([]string{path, "copy", "--from-oci-layout", layout + ":latest", app + ":multi"}, both[len(both)/2:]...)...)
			rig.Equal(t, "stored", r.Whole(t, "oras/app", "multi").Digest, want)
			r.Run(t, append([]string{path, "copy", app + ":multi", "--to-oci-layout", r.Home + "/back:latest"}, both[:len(both)/2]...)...)
		})
		t.Run("manifest fetch, push, index and delete", func(t *testing.T) {
			raw := oras(t, "manifest", "fetch", app+":v1")
			rig.Equal(t, "fetched", digest.FromString(raw).String(), r.Whole(t, "oras/app", "v1").Digest)
			r.File(t, "manifest.json", []byte(raw+"\n"))
			oras(t, "manifest", "push", app+":pushed", "manifest.json")
			pushed := r.Whole(t, "oras/app", "pushed")
			oras(t, "manifest", "index", "create", app+":index", "v1", "pushed")
			rig.Equal(t, "children", len(r.Whole(t, "oras/app", "index").Manifests), 2)
			oras(t, "manifest", "delete", "--force", app+":index")
			oras(t, "manifest", "delete", "--force", app+"@"+pushed.Digest)
			r.Gone(t, "/v2/oras/app/manifests/pushed")
		})
		t.Run("blob push, fetch and delete", func(t *testing.T) {
			dgst := digest.FromBytes(content[1:]).String()
			r.File(t, "blob", content[1:])
			oras(t, "blob", "push", app+"@"+dgst, "blob")
			oras(t, "blob", "fetch", app+"@"+dgst, "--output", "fetched")
			got, err := os.ReadFile(filepath.Join(r.Home, "fetched"))
			if err != nil || !bytes.Equal(got, content[1:]) {
				t.Errorf("fetched %d bytes, want the %d pushed ones (%v)", len(got), len(content)-1, err)
			}
			oras(t, "blob", "delete", "--force", app+"@"+dgst)
			r.Gone(t, "/v2/oras/app/blobs/"+dgst)
		})
		t.Run("tag, repo ls, repo tags and resolve", func(t *testing.T) {
			oras(t, "tag", app+":v1", "stable")
			rig.Equal(t, "resolved", strings.TrimSpace(oras(t, "resolve", app+":stable")), r.Whole(t, "oras/app", "v1").Digest)
			rig.Equal(t, "repositories", strings.Join(strings.Fields(oras(t, "repo", "ls", r.Host)), " "), "oras/app oras/copy")
			tags := strings.Fields(oras(t, "repo", "tags", app, "--exclude-digest-tags"))
			rig.Equal(t, "tags", strings.Join(tags, " "), "latest multi same stable v1")
		})
		t.Run("backup and restore of a repository", func(t *testing.T) {
			oras(t, "backup", "--output=backup", "--include-referrers", app+":v1")
			oras(t, "restore", "--input=backup", r.Host+"/oras/restored:v1")
			rig.Equal(t, "restored", r.Whole(t, "oras/restored", "v1").Digest, r.Whole(t, "oras/app", "v1").Digest)
		})
	})
}
