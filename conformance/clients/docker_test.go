package clients

import (
	"regexp"
	"strings"
	"testing"

	"github.com/packhouse/packhouse/conformance/rig"
)

const dockerfile = `FROM scratch
COPY . /
ENTRYPOINT ["/hello"]
`

var pushedDigest = regexp.MustCompile(`digest: (sha256:[0-9a-f]{64})`)

// TestDocker drives a Docker Engine of its own. Docker trusts every registry on 127.0.0.0/8, so over TLS it encrypts but
// does not ask for the authority; containerd and the others do.
func TestDocker(t *testing.T) {
	t.Parallel()
	docker, version, socket := rig.Docker(t)
	overHTTPAndTLS(t, "Docker Engine", version, func(t *testing.T, r *registry) {
		// The legacy builder needs no image of its own, BuildKit would pull one.
		r.Env = append(r.Env, "DOCKER_HOST="+socket, "DOCKER_BUILDKIT=0")
		r.File(t, "build/Dockerfile", []byte(dockerfile))
		r.File(t, "build/hello", helloBinary(t))
		r.File(t, "build/transport", []byte(r.URL)) // keeps the two transports' layers apart
		r.Run(t, "/bin/chmod", "+x", "build/hello")
		app := r.Host + "/docker/app"
		var pushed string
		t.Run("build, push, pull and run", func(t *testing.T) {
			r.Run(t, docker, "build", "-t", app+":v1", "build")
			pushed = digestOf(t, r.Run(t, docker, "push", app+":v1"))
			m := r.Whole(t, "docker/app", "v1")
			rig.Equal(t, "pushed", m.Digest, pushed)
			rig.Equal(t, "media type", m.MediaType, "application/vnd.docker.distribution.manifest.v2+json")
			r.Run(t, docker, "rmi", app+":v1")
			rig.Contains(t, r.Run(t, docker, "pull", app+":v1"), pushed)
			rig.Equal(t, "output", r.Run(t, docker, "run", "--rm", "--network=none", app+":v1"), greeting+"\n")
		})
		t.Run("push of several tags", func(t *testing.T) {
			for _, tag := range []string{"v2", "v3", "latest"} {
				r.Run(t, docker, "tag", app+":v1", app+":"+tag)
			}
			r.Run(t, docker, "push", "--all-tags", app)
			for _, tag := range []string{"v1", "v2", "v3", "latest"} {
				rig.Equal(t, tag, r.Whole(t, "docker/app", tag).Digest, pushed)
			}
		})
		t.Run("push of the same layers to another repository", func(t *testing.T) {
			r.Run(t, docker, "tag", app+":v1", r.Host+"/docker/mounted:v1")
			rig.Contains(t, r.Run(t, docker, "push", r.Host+"/docker/mounted:v1"), "Mounted from docker/app")
			rig.Equal(t, "mounted", r.Whole(t, "docker/mounted", "v1").Digest, pushed)
		})
		t.Run("pull by digest and of all tags", func(t *testing.T) {
			r.Run(t, docker, "pull", app+"@"+pushed)
			r.Run(t, docker, "pull", "--all-tags", app)
			rig.Contains(t, r.Run(t, docker, "images", "--digests", app), pushed)
		})
		t.Run("pull of an OCI index", func(t *testing.T) {
			crane, _ := rig.Tool(t, "crane")
			layout, _ := r.layout(t, "oci "+r.URL[:5], "amd64")
			r.Run(t, crane, "push", layout, app+":oci")
			r.Run(t, crane, "index", "append", "-m", app+":oci", "-t", app+":index")
			r.Run(t, docker, "pull", app+":index")
			rig.Equal(t, "output", r.Run(t, docker, "run", "--rm", "--network=none", app+":index"), greeting+"\n")
		})
		if r.TLS() {
			return // for a registry on loopback `docker manifest push` insists on plain HTTP
		}
		t.Run("manifest create and push", func(t *testing.T) {
			r.Run(t, docker, "manifest", "create", "--insecure", app+":list", app+"@"+pushed)
			r.Run(t, docker, "manifest", "annotate", app+":list", app+"@"+pushed, "--arch=amd64", "--os=linux")
			r.Run(t, docker, "manifest", "push", "--insecure", app+":list")
			m := r.Whole(t, "docker/app", "list")
			rig.Equal(t, "media type", m.MediaType, "application/vnd.docker.distribution.manifest.list.v2+json")
			rig.Contains(t, r.Run(t, docker, "manifest", "inspect", "--insecure", app+":list"), pushed)
		})
	})
}

func digestOf(t *testing.T, output string) string {
	t.Helper()
	match := pushedDigest.FindStringSubmatch(output)
	if match == nil {
		t.Fatalf("no digest in %s", strings.TrimSpace(output))
	}
	return match[1]
}
