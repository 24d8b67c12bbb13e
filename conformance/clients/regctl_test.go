package clients

import (
	"bytes"
	"os"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/packhouse/packhouse/conformance/rig"
)

func TestRegctl(t *testing.T) {
	t.Parallel()
	regctl, version := rig.Tool(t, "regctl")
	overHTTPAndTLS(t, "regctl", version, func(t *testing.T, r *registry) {
		image, imageDigest := r.layout(t, "image", "amd64")
		multi, multiDigest := r.layout(t, "multi", "amd64", "arm64")
		app := r.Host + "/regctl/app"
		if r.TLS() {
			pem, err := os.ReadFile(r.CACert)
			if err != nil {
				t.Fatal(err)
			}
			r.Run(t, regctl, "registry", "set", r.Host, "--cacert", string(pem))
		} else {
			r.Run(t, regctl, "registry", "set", r.Host, "--tls", "disabled")
		}
		t.Run("image copy in and out", func(t *testing.T) {
			r.Run(t, regctl, "image", "copy", "ocidir://"+image+":latest", app+":v1")
			rig.Equal(t, "stored", r.Whole(t, "regctl/app", "v1").Digest, imageDigest)
			r.Run(t, regctl, "image", "copy", app+":v1", "ocidir://"+r.Home+"/back:latest")
			rig.Equal(t, "there and back", strings.TrimSpace(r.Run(t, regctl, "image", "digest", "ocidir://"+r.Home+"/back:latest")), imageDigest)
		})
		t.Run("multi-platform index with its signatures and referrers", func(t *testing.T) {
			r.Run(t, regctl, "image", "copy", "ocidir://"+multi+":latest", app+":multi")
			rig.Equal(t, "stored", r.Whole(t, "regctl/app", "multi").Digest, multiDigest)
			r.Run(t, regctl, "artifact", "put", "--artifact-type=application/vnd.acme.sbom", "--subject="+app+":multi", "-f", r.File(t, "sbom", []byte("sbom")))
			r.Run(t, regctl, "image", "copy", "--referrers", "--digest-tags", app+":multi", r.Host+"/regctl/copy:multi")
			rig.Equal(t, "copied", r.Whole(t, "regctl/copy", "multi").Digest, multiDigest)
			rig.Contains(t, r.Run(t, regctl, "artifact", "tree", r.Host+"/regctl/copy:multi"), "application/vnd.acme.sbom")
		})
		t.Run("image mod", func(t *testing.T) {
			r.Run(t, regctl, "image", "mod", app+":v1", "--create", app+":v2", "--label=a=b", "--annotation=c=d")
			rig.Contains(t, r.Run(t, regctl, "image", "config", app+":v2"), `"a": "b"`)
			r.Run(t, regctl, "image", "mod", app+":v1", "--create", app+":sha512", "--digest-algo=sha512")
			rig.Equal(t, "algorithm", strings.SplitN(r.Run(t, regctl, "image", "digest", app+":sha512"), ":", 2)[0], "sha512")
			r.Run(t, regctl, "image", "copy", app+":sha512", "ocidir://"+r.Home+"/sha512:latest")
		})
		t.Run("artifact put, list and get", func(t *testing.T) {
			r.Run(t, regctl, "artifact", "put", "--artifact-type=application/vnd.acme.scan", "--subject="+app+":v1", "-f", r.File(t, "scan", []byte("scan")))
			list := r.Run(t, regctl, "artifact", "list", app+":v1", "--format={{json .}}")
			rig.Equal(t, "referrers", len(rig.Decode[struct{ Descriptors []rig.Descriptor }](t, list).Descriptors), 1)
			got := r.Run(t, regctl, "artifact", "get", "--subject="+app+":v1", "--filter-artifact-type=application/vnd.acme.scan")
			rig.Equal(t, "content", got, "scan")
		})
		t.Run("index create and manifest put, get, delete", func(t *testing.T) {
			r.Run(t, regctl, "index", "create", app+":index", "--ref="+app+":v1", "--ref="+app+":v2")
			rig.Equal(t, "children", len(r.Whole(t, "regctl/app", "index").Manifests), 2)
			raw := r.Run(t, regctl, "manifest", "get", app+":v1", "--format=raw-body")
			rig.Equal(t, "fetched", digest.FromString(raw).String(), imageDigest)
			top := strings.TrimSpace(r.Run(t, regctl, "image", "digest", app+":index"))
			r.Run(t, regctl, "manifest", "delete", app+"@"+top)
			r.Gone(t, "/v2/regctl/app/manifests/index")
		})
		t.Run("tag ls and tag delete", func(t *testing.T) {
			r.Run(t, regctl, "tag", "delete", app+":v2")
			r.Gone(t, "/v2/regctl/app/manifests/v2")
			tags := strings.Fields(r.Run(t, regctl, "tag", "ls", app))
			rig.Equal(t, "tags", strings.Join(tags, " "), "multi sha512 v1")
			rig.Equal(t, "repositories", strings.Join(strings.Fields(r.Run(t, regctl, "repo", "ls", r.Host)), " "), "regctl/app regctl/copy")
		})
		t.Run("blob put in chunks, get, copy, delete", func(t *testing.T) {
			content := bytes.Repeat([]byte("0123456789abcdef"), 1<<16)
			file, dgst := r.File(t, "blob", content), digest.FromBytes(content).String()
			r.Run(t, regctl, "registry", "set", r.Host, "--blob-chunk=300000", "--blob-max=1")
			r.Run(t, "/bin/sh", "-c", `exec "$0" "$@" <`+file, regctl, "blob", "put", app)
			rig.Equal(t, "stored bytes", len(r.Blob(t, "regctl/app", rig.Descriptor{Digest: dgst, Size: int64(len(content))})), len(content))
			rig.Equal(t, "fetched", digest.FromString(r.Run(t, regctl, "blob", "get", app, dgst)).String(), dgst)
			r.Run(t, regctl, "blob", "copy", app, r.Host+"/regctl/mounted", dgst)
			r.Run(t, regctl, "blob", "delete", app, dgst)
			r.Gone(t, "/v2/regctl/app/blobs/"+dgst)
			r.Blob(t, "regctl/mounted", rig.Descriptor{Digest: dgst, Size: int64(len(content))})
		})
	})
}
