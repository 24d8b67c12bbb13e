package clients

import (
	"slices"
	"testing"

	"github.com/packhouse/packhouse/conformance/rig"
)

func TestSkopeo(t *testing.T) {
	t.Parallel()
	skopeo, version := rig.Debian(t, "skopeo")
	overHTTPAndTLS(t, "skopeo", version, func(t *testing.T, r *registry) {
		image, imageDigest := r.layout(t, "image", "amd64")
		multi, multiDigest := r.layout(t, "multi", "amd64", "arm64")
		app := "docker://" + r.Host + "/skopeo/app"
		src, dst, one := r.containersTLS(t, "src-"), r.containersTLS(t, "dest-"), r.containersTLS(t, "")
		r.trustAnyImage(t)
		t.Run("copy in and out as OCI", func(t *testing.T) {
			r.Run(t, skopeo, "copy", dst, "oci:"+image+":latest", app+":v1")
			rig.Equal(t, "stored", r.Whole(t, "skopeo/app", "v1").Digest, imageDigest)
			r.Run(t, skopeo, "copy", src, app+"@"+imageDigest, "oci:"+r.Home+"/back:latest")
			r.Run(t, skopeo, "copy", dst, "oci:"+r.Home+"/back:latest", app+":back")
			rig.Equal(t, "there and back", r.Whole(t, "skopeo/app", "back").Digest, imageDigest)
		})
		t.Run("copy as docker schema 2", func(t *testing.T) {
			r.Run(t, skopeo, "copy", "--format=v2s2", dst, "oci:"+image+":latest", app+":v2s2")
			rig.Equal(t, "media type", r.Whole(t, "skopeo/app", "v2s2").MediaType, "application/vnd.docker.distribution.manifest.v2+json")
			r.Run(t, skopeo, "copy", src, app+":v2s2", "dir:"+r.Home+"/dir")
			r.Run(t, skopeo, "copy", dst, "dir:"+r.Home+"/dir", app+":dir")
			rig.Equal(t, "through dir:", r.Whole(t, "skopeo/app", "dir").Digest, r.Whole(t, "skopeo/app", "v2s2").Digest)
		})
		t.Run("copy --all of a multi-platform index", func(t *testing.T) {
			r.Run(t, skopeo, "copy", "--all", dst, "oci:"+multi+":latest", app+":multi")
			rig.Equal(t, "stored", r.Whole(t, "skopeo/app", "multi").Digest, multiDigest)
			r.Run(t, skopeo, "copy", "--all", src, dst, app+":multi", "docker://"+r.Host+"/skopeo/copy:multi")
			rig.Equal(t, "copied", r.Whole(t, "skopeo/copy", "multi").Digest, multiDigest)
			r.Run(t, skopeo, "copy", "--all", "--format=v2s2", src, dst, app+":multi", app+":list")
			rig.Equal(t, "media type", r.Whole(t, "skopeo/app", "list").MediaType, "application/vnd.docker.distribution.manifest.list.v2+json")
		})
		t.Run("inspect and list-tags", func(t *testing.T) {
			got := rig.Decode[struct{ Digest, Architecture string }](t, r.Run(t, skopeo, "inspect", one, "--override-arch=arm64", app+":multi"))
			rig.Equal(t, "inspected", got.Digest, multiDigest)
			rig.Equal(t, "architecture", got.Architecture, "arm64")
			tags := rig.Decode[struct{ Tags []string }](t, r.Run(t, skopeo, "list-tags", one, app)).Tags
			if want := []string{"back", "dir", "list", "multi", "v1", "v2s2"}; !slices.Equal(tags, want) {
				t.Errorf("tags = %q, want %q", tags, want)
			}
		})
		t.Run("sync a repository", func(t *testing.T) {
			r.Run(t, skopeo, "sync", "--all", src, "--src=docker", "--dest=dir", r.Host+"/skopeo/copy", r.Home+"/mirror")
			r.Run(t, skopeo, "sync", "--all", dst, "--src=dir", "--dest=docker", r.Home+"/mirror", r.Host+"/skopeo/mirror")
			rig.Equal(t, "synced", r.Whole(t, "skopeo/mirror/copy", "multi").Digest, multiDigest)
		})
		t.Run("delete", func(t *testing.T) {
			r.Run(t, skopeo, "delete", one, app+":back")
			r.Gone(t, "/v2/skopeo/app/manifests/back")
			r.Gone(t, "/v2/skopeo/app/manifests/"+imageDigest)
		})
	})
}

// containersTLS returns the flag that makes skopeo, podman and buildah speak this registry's transport.
func (r *registry) containersTLS(t *testing.T, side string) string {
	t.Helper()
	if !r.TLS() {
		return "--" + side + "tls-verify=false"
	}
	return "--" + side + "cert-dir=" + r.certDir(t)
}

// trustAnyImage writes the policy that the containers tools refuse to work without.
func (r *registry) trustAnyImage(t *testing.T) {
	t.Helper()
	r.File(t, ".config/containers/policy.json", []byte(`{"default":[{"type":"insecureAcceptAnything"}]}`))
}
