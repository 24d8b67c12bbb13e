package clients

import (
	"bytes"
	"os"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
)

func TestRegctl(t *testing.T) {
	t.Parallel()
	regctl, version := goTool(t, "regctl")
	overHTTPAndTLS(t, "regctl", version, func(t *testing.T, r *registry) {
		image, imageDigest := r.layout(t, "image", "amd64")
		multi, multiDigest := r.layout(t, "multi", "amd64", "arm64")
		app := r.Host + "/regctl/app"
		if r.tls() {
			pem, err := os.ReadFile(r.CACert)
			if err != nil {
				t.Fatal(err)
			}
			r.run(t, regctl, "registry", "set", r.Host, "--cacert", string(pem))
		} else {
			r.run(t, regctl, "registry", "set", r.Host, "--tls", "disabled")
		}
		t.Run("image copy in and out", func(t *testing.T) {
			r.run(t, regctl, "image", "copy", "ocidir://"+image+":latest", app+":v1")
			equal(t, "stored", r.whole(t, "regctl/app", "v1").digest, imageDigest)
			r.run(t, regctl, "image", "copy", app+":v1", "ocidir://"+r.home+"/back:latest")
			equal(t, "there and back", strings.TrimSpace(r.run(t, regctl, "image", "digest", "ocidir://"+r.home+"/back:latest")), imageDigest)
		})
		t.Run("multi-platform index with its signatures and referrers", func(t *testing.T) {
			r.run(t, regctl, "image", "copy", "ocidir://"+multi+":latest", app+":multi")
			equal(t, "stored", r.whole(t, "regctl/app", "multi").digest, multiDigest)
			r.run(t, regctl, "artifact", "put", "--artifact-type=application/vnd.acme.sbom", "--subject="+app+":multi", "-f", r.file(t, "sbom", []byte("sbom")))
			r.run(t, regctl, "image", "copy", "--referrers", "--digest-tags", app+":multi", r.Host+"/regctl/copy:multi")
			equal(t, "copied", r.whole(t, "regctl/copy", "multi").digest, multiDigest)
			contains(t, r.run(t, regctl, "artifact", "tree", r.Host+"/regctl/copy:multi"), "application/vnd.acme.sbom")
		})
		t.Run("image mod", func(t *testing.T) {
			r.run(t, regctl, "image", "mod", app+":v1", "--create", app+":v2", "--label=a=b", "--annotation=c=d")
			contains(t, r.run(t, regctl, "image", "config", app+":v2"), `"a": "b"`)
			r.run(t, regctl, "image", "mod", app+":v1", "--create", app+":sha512", "--digest-algo=sha512")
			equal(t, "algorithm", strings.SplitN(r.run(t, regctl, "image", "digest", app+":sha512"), ":", 2)[0], "sha512")
			r.run(t, regctl, "image", "copy", app+":sha512", "ocidir://"+r.home+"/sha512:latest")
		})
		t.Run("artifact put, list and get", func(t *testing.T) {
			r.run(t, regctl, "artifact", "put", "--artifact-type=application/vnd.acme.scan", "--subject="+app+":v1", "-f", r.file(t, "scan", []byte("scan")))
			list := r.run(t, regctl, "artifact", "list", app+":v1", "--format={{json .}}")
			equal(t, "referrers", len(decode[struct{ Descriptors []descriptor }](t, list).Descriptors), 1)
			got := r.run(t, regctl, "artifact", "get", "--subject="+app+":v1", "--filter-artifact-type=application/vnd.acme.scan")
			equal(t, "content", got, "scan")
		})
		t.Run("index create and manifest put, get, delete", func(t *testing.T) {
			r.run(t, regctl, "index", "create", app+":index", "--ref="+app+":v1", "--ref="+app+":v2")
			equal(t, "children", len(r.whole(t, "regctl/app", "index").Manifests), 2)
			raw := r.run(t, regctl, "manifest", "get", app+":v1", "--format=raw-body")
			equal(t, "fetched", digest.FromString(raw).String(), imageDigest)
			top := strings.TrimSpace(r.run(t, regctl, "image", "digest", app+":index"))
			r.run(t, regctl, "manifest", "delete", app+"@"+top)
			r.gone(t, "/v2/regctl/app/manifests/index")
		})
		t.Run("tag ls and tag delete", func(t *testing.T) {
			r.run(t, regctl, "tag", "delete", app+":v2")
			r.gone(t, "/v2/regctl/app/manifests/v2")
			tags := strings.Fields(r.run(t, regctl, "tag", "ls", app))
			equal(t, "tags", strings.Join(tags, " "), "multi sha512 v1")
			equal(t, "repositories", strings.Join(strings.Fields(r.run(t, regctl, "repo", "ls", r.Host)), " "), "regctl/app regctl/copy")
		})
		t.Run("blob put in chunks, get, copy, delete", func(t *testing.T) {
			content := bytes.Repeat([]byte("0123456789abcdef"), 1<<16)
			file, dgst := r.file(t, "blob", content), digest.FromBytes(content).String()
			r.run(t, regctl, "registry", "set", r.Host, "--blob-chunk=300000", "--blob-max=1")
			r.run(t, "/bin/sh", "-c", `exec "$0" "$@" <`+file, regctl, "blob", "put", app)
			equal(t, "stored bytes", len(r.blob(t, "regctl/app", descriptor{Digest: dgst, Size: int64(len(content))})), len(content))
			equal(t, "fetched", digest.FromString(r.run(t, regctl, "blob", "get", app, dgst)).String(), dgst)
			r.run(t, regctl, "blob", "copy", app, r.Host+"/regctl/mounted", dgst)
			r.run(t, regctl, "blob", "delete", app, dgst)
			r.gone(t, "/v2/regctl/app/blobs/"+dgst)
			r.blob(t, "regctl/mounted", descriptor{Digest: dgst, Size: int64(len(content))})
		})
	})
}
