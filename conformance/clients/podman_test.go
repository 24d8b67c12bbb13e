package clients

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/packhouse/packhouse/conformance/rig"
)

func TestPodman(t *testing.T) {
	t.Parallel()
	path, version := rig.Debian(t, "podman")
	overHTTPAndTLS(t, "podman", version, func(t *testing.T, r *registry) {
		r.trustAnyImage(t)
		r.File(t, "build/Dockerfile", []byte(dockerfile))
		r.File(t, "build/hello", helloBinary(t))
		r.Run(t, "/bin/chmod", "+x", "build/hello")
		podman := func(t *testing.T, args ...string) string {
			t.Helper()
			store := []string{path, "--root", r.Home + "/root", "--runroot", r.Home + "/run", "--storage-driver=vfs",
				"--cgroup-manager=cgroupfs", "--events-backend=file", "--log-level=error"}
			return r.Run(t, append(store, args...)...)
		}
		transport, app := r.containersTLS(t, ""), r.Host+"/podman/app"
		for _, format := range []string{"oci", "v2s2"} {
			t.Run("build, push, pull and run, "+format, func(t *testing.T) {
				image := app + ":" + format
				podman(t, "build", "--isolation=chroot", "-t", image, "build")
				podman(t, "push", transport, "--format="+format, "--digestfile="+r.Home+"/digest", image)
				pushed, err := os.ReadFile(filepath.Join(r.Home, "digest"))
				if err != nil {
					t.Fatal(err)
				}
				rig.Equal(t, "stored", r.Whole(t, "podman/app", format).Digest, string(pushed))
				podman(t, "rmi", "--all", "--force")
				podman(t, "pull", transport, image)
				podman(t, "pull", transport, app+"@"+string(pushed))
				// Podman's default limits are above what an unprivileged container host allows.
				out := podman(t, "run", "--rm", "--network=none", "--ulimit=nofile=256:256", "--ulimit=nproc=256:256", image)
				rig.Equal(t, "output", out, greeting+"\n")
			})
		}
		t.Run("manifest list", func(t *testing.T) {
			podman(t, "manifest", "create", app+":multi")
			podman(t, "manifest", "add", transport, app+":multi", "docker://"+app+":oci")
			podman(t, "manifest", "push", transport, "--all", app+":multi", "docker://"+app+":multi")
			rig.Equal(t, "children", len(r.Whole(t, "podman/app", "multi").Manifests), 1)
		})
		t.Run("list of tags", func(t *testing.T) {
			search := []string{"search", "--list-tags", "--format={{.Tag}}", app}
			if !r.TLS() { // there is no --cert-dir here: the authority is found through SSL_CERT_FILE
				search = append(search, transport)
			}
			out := strings.Fields(podman(t, search...))
			rig.Equal(t, "tags", strings.Join(out[2:], " "), app+" multi "+app+" oci "+app+" v2s2")
		})
	})
}

func TestBuildah(t *testing.T) {
	t.Parallel()
	path, version := rig.Debian(t, "buildah")
	overHTTPAndTLS(t, "buildah", version, func(t *testing.T, r *registry) {
		r.trustAnyImage(t)
		hello := r.File(t, "hello", helloBinary(t))
		buildah := func(t *testing.T, args ...string) string {
			t.Helper()
			store := []string{path, "--root", r.Home + "/root", "--runroot", r.Home + "/run", "--storage-driver=vfs"}
			return strings.TrimSpace(r.Run(t, append(store, args...)...))
		}
		transport, app := r.containersTLS(t, ""), r.Host+"/buildah/app"
		t.Run("from scratch, push and pull", func(t *testing.T) {
			container := buildah(t, "from", "scratch")
			buildah(t, "copy", "--chmod=755", container, hello, "/hello")
			buildah(t, "config", "--entrypoint", `["/hello"]`, container)
			buildah(t, "commit", container, app+":v1")
			buildah(t, "push", transport, app+":v1")
			rig.Equal(t, "layers", len(r.Whole(t, "buildah/app", "v1").Layers), 1)
			buildah(t, "rm", container)
			buildah(t, "rmi", "--all", "--force")
			buildah(t, "pull", transport, app+":v1")
			rig.Contains(t, buildah(t, "inspect", "--type=image", app+":v1"), r.Whole(t, "buildah/app", "v1").Digest)
		})
		t.Run("run in a pulled image", func(t *testing.T) {
			container := buildah(t, "from", transport, app+":v1")
			rig.Equal(t, "output", buildah(t, "run", "--isolation=chroot", container, "/hello"), greeting)
			buildah(t, "rm", container)
		})
		t.Run("push as docker schema 2", func(t *testing.T) {
			buildah(t, "push", transport, "--format=v2s2", app+":v1", "docker://"+app+":v2s2")
			rig.Equal(t, "media type", r.Whole(t, "buildah/app", "v2s2").MediaType, "application/vnd.docker.distribution.manifest.v2+json")
		})
		t.Run("manifest list", func(t *testing.T) {
			buildah(t, "manifest", "create", app+":multi")
			buildah(t, "manifest", "add", transport, app+":multi", "docker://"+app+":v1")
			buildah(t, "manifest", "push", transport, "--all", app+":multi", "docker://"+app+":multi")
			rig.Equal(t, "children", len(r.Whole(t, "buildah/app", "multi").Manifests), 1)
		})
	})
}
