package clients

import (
	"slices"
	"testing"
)

func TestSkopeo(t *testing.T) {
	t.Parallel()
	skopeo, version := debianTool(t, "skopeo")
	overHTTPAndTLS(t, "skopeo", version, func(t *testing.T, r *registry) {
		image, imageDigest := r.layout(t, "image", "amd64")
		multi, multiDigest := r.layout(t, "multi", "amd64", "arm64")
		app := "docker://" + r.Host + "/skopeo/app"
		src, dst, one := r.containersTLS(t, "src-"), r.containersTLS(t, "dest-"), r.containersTLS(t, "")
		r.trustAnyImage(t)
		t.Run("copy in and out as OCI", func(t *testing.T) {
			r.run(t, skopeo, "copy", dst, "oci:"+image+":latest", app+":v1")
			equal(t, "stored", r.whole(t, "skopeo/app", "v1").digest, imageDigest)
			r.run(t, skopeo, "copy", src, app+"@"+imageDigest, "oci:"+r.home+"/back:latest")
			r.run(t, skopeo, "copy", dst, "oci:"+r.home+"/back:latest", app+":back")
			equal(t, "there and back", r.whole(t, "skopeo/app", "back").digest, imageDigest)
		})
		t.Run("copy as docker schema 2", func(t *testing.T) {
			r.run(t, skopeo, "copy", "--format=v2s2", dst, "oci:"+image+":latest", app+":v2s2")
			equal(t, "media type", r.whole(t, "skopeo/app", "v2s2").MediaType, "application/vnd.docker.distribution.manifest.v2+json")
			r.run(t, skopeo, "copy", src, app+":v2s2", "dir:"+r.home+"/dir")
			r.run(t, skopeo, "copy", dst, "dir:"+r.home+"/dir", app+":dir")
			equal(t, "through dir:", r.whole(t, "skopeo/app", "dir").digest, r.whole(t, "skopeo/app", "v2s2").digest)
		})
		t.Run("copy --all of a multi-platform index", func(t *testing.T) {
			r.run(t, skopeo, "copy", "--all", dst, "oci:"+multi+":latest", app+":multi")
			equal(t, "stored", r.whole(t, "skopeo/app", "multi").digest, multiDigest)
			r.run(t, skopeo, "copy", "--all", src, dst, app+":multi", "docker://"+r.Host+"/skopeo/copy:multi")
			equal(t, "copied", r.whole(t, "skopeo/copy", "multi").digest, multiDigest)
			r.run(t, skopeo, "copy", "--all", "--format=v2s2", src, dst, app+":multi", app+":list")
			equal(t, "media type", r.whole(t, "skopeo/app", "list").MediaType, "application/vnd.docker.distribution.manifest.list.v2+json")
		})
		t.Run("inspect and list-tags", func(t *testing.T) {
			got := decode[struct{ Digest, Architecture string }](t, r.run(t, skopeo, "inspect", one, "--override-arch=arm64", app+":multi"))
			equal(t, "inspected", got.Digest, multiDigest)
			equal(t, "architecture", got.Architecture, "arm64")
			tags := decode[struct{ Tags []string }](t, r.run(t, skopeo, "list-tags", one, app)).Tags
			if want := []string{"back", "dir", "list", "multi", "v1", "v2s2"}; !slices.Equal(tags, want) {
				t.Errorf("tags = %q, want %q", tags, want)
			}
		})
		t.Run("sync a repository", func(t *testing.T) {
			r.run(t, skopeo, "sync", "--all", src, "--src=docker", "--dest=dir", r.Host+"/skopeo/copy", r.home+"/mirror")
			r.run(t, skopeo, "sync", "--all", dst, "--src=dir", "--dest=docker", r.home+"/mirror", r.Host+"/skopeo/mirror")
			equal(t, "synced", r.whole(t, "skopeo/mirror/copy", "multi").digest, multiDigest)
		})
		t.Run("delete", func(t *testing.T) {
			r.run(t, skopeo, "delete", one, app+":back")
			r.gone(t, "/v2/skopeo/app/manifests/back")
			r.gone(t, "/v2/skopeo/app/manifests/"+imageDigest)
		})
	})
}

// containersTLS returns the flag that makes skopeo, podman and buildah speak this registry's transport.
func (r *registry) containersTLS(t *testing.T, side string) string {
	t.Helper()
	if !r.tls() {
		return "--" + side + "tls-verify=false"
	}
	return "--" + side + "cert-dir=" + r.certDir(t)
}

// trustAnyImage writes the policy that the containers tools refuse to work without.
func (r *registry) trustAnyImage(t *testing.T) {
	t.Helper()
	r.file(t, ".config/containers/policy.json", []byte(`{"default":[{"type":"insecureAcceptAnything"}]}`))
}
