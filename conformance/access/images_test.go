package access

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"testing"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/packhouse/packhouse/conformance/rig"
)

// stdin logs in with the secret on standard input, as all clients of images do.
func stdin(a actor, argv ...string) command {
	return command{argv: append(argv, "--username", a.user, "--password-stdin"), stdin: a.secret}
}

func TestDocker(t *testing.T) {
	docker, version, socket := rig.Docker(t)
	image := func(a actor, namespace, version string) string { return a.Host + "/" + namespace + "/app:" + version }
	tell(t, client{
		name: "Docker Engine", version: version, byToken: true,
		setUp: func(_ *testing.T, a actor) { a.Registry.Env = append(a.Env, "DOCKER_HOST="+socket) },
		logIn: func(_ *testing.T, a actor) command { return stdin(a, docker, "login", a.Host) },
		publish: func(t *testing.T, a actor, namespace, version string) command {
			t.Helper()
			a.File(t, "layer.tar", archive(t, namespace+" "+version))
			a.must(t, command{argv: []string{docker, "import", "layer.tar", image(a, namespace, version)}})
			return command{argv: []string{docker, "push", "--quiet", image(a, namespace, version)}}
		},
		read: func(_ *testing.T, a actor, namespace, version string) command {
			return command{argv: []string{docker, "pull", "--quiet", image(a, namespace, version)}}
		},
	})
}

func TestPodman(t *testing.T) {
	path, version := rig.Debian(t, "podman")
	podman := func(a actor, args ...string) []string {
		return append([]string{
			path, "--root", a.Home + "/root", "--runroot", a.Home + "/run", "--storage-driver=vfs",
			"--cgroup-manager=cgroupfs", "--events-backend=file", "--log-level=error",
		}, args...)
	}
	image := func(a actor, namespace, version string) string { return a.Host + "/" + namespace + "/app:" + version }
	tell(t, client{
		name: "podman", version: version,
		setUp: trustAnyImage,
		logIn: func(_ *testing.T, a actor) command {
			return stdin(a, podman(a, "login", "--tls-verify=false", a.Host)...)
		},
		publish: func(t *testing.T, a actor, namespace, version string) command {
			t.Helper()
			a.File(t, "layer.tar", archive(t, namespace+" "+version))
			a.must(t, command{argv: podman(a, "import", "--quiet", "layer.tar", image(a, namespace, version))})
			return command{argv: podman(a, "push", "--quiet", "--tls-verify=false", image(a, namespace, version))}
		},
		read: func(_ *testing.T, a actor, namespace, version string) command {
			return command{argv: podman(a, "pull", "--quiet", "--tls-verify=false", image(a, namespace, version))}
		},
	})
}

func TestSkopeo(t *testing.T) {
	skopeo, version := rig.Debian(t, "skopeo")
	image := func(a actor, namespace, version string) string {
		return "docker://" + a.Host + "/" + namespace + "/app:" + version
	}
	tell(t, client{
		name: "skopeo", version: version, byToken: true,
		setUp: trustAnyImage,
		logIn: func(_ *testing.T, a actor) command { return stdin(a, skopeo, "login", "--tls-verify=false", a.Host) },
		publish: func(t *testing.T, a actor, namespace, version string) command {
			t.Helper()
			m, blobs := imageOf(t, namespace+" "+version)
			a.File(t, "image/version", []byte("Directory Transport Version: 1.1\n"))
			a.File(t, "image/manifest.json", m)
			for d, content := range blobs {
				a.File(t, "image/"+d.Encoded(), content)
			}
			return command{argv: []string{skopeo, "copy", "--quiet", "--dest-tls-verify=false", "dir:image", image(a, namespace, version)}}
		},
		read: func(_ *testing.T, a actor, namespace, version string) command {
			return command{argv: []string{skopeo, "copy", "--quiet", "--src-tls-verify=false", image(a, namespace, version), "dir:pulled"}}
		},
	})
}

// trustAnyImage writes the policy that the containers tools refuse to work without.
func trustAnyImage(t *testing.T, a actor) {
	t.Helper()
	a.File(t, ".config/containers/policy.json", []byte(`{"default":[{"type":"insecureAcceptAnything"}]}`))
}

// archive is the tar of one file. Equal contents make equal bytes.
func archive(t *testing.T, content string) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	if err := w.WriteHeader(&tar.Header{Name: "content", Mode: 0o644, Size: int64(len(content))}); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write([]byte(content)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// imageOf is an image of one layer that holds content: its manifest and its blobs.
func imageOf(t *testing.T, content string) ([]byte, map[digest.Digest][]byte) {
	t.Helper()
	layer := archive(t, content)
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	if _, err := z.Write(layer); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	blobs := map[digest.Digest][]byte{}
	add := func(mediaType string, content []byte) v1.Descriptor {
		d := v1.Descriptor{MediaType: mediaType, Digest: digest.FromBytes(content), Size: int64(len(content))}
		blobs[d.Digest] = content
		return d
	}
	encode := func(v any) []byte {
		text, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	config := encode(v1.Image{
		Platform: v1.Platform{Architecture: "amd64", OS: "linux"},
		RootFS:   v1.RootFS{Type: "layers", DiffIDs: []digest.Digest{digest.FromBytes(layer)}},
	})
	return encode(v1.Manifest{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: v1.MediaTypeImageManifest,
		Config: add(v1.MediaTypeImageConfig, config),
		Layers: []v1.Descriptor{add(v1.MediaTypeImageLayerGzip, packed.Bytes())},
	}), blobs
}

// pushImage pushes an image by plain requests, for a user with a password.
func pushImage(t *testing.T, a actor, user, repository, tag string, m []byte, blobs map[digest.Digest][]byte) {
	t.Helper()
	send := func(method, path, contentType string, body []byte) {
		t.Helper()
		r, err := http.NewRequestWithContext(t.Context(), method, a.URL, nil)
		if err != nil {
			t.Fatal(err)
		}
		r.SetBasicAuth(user, password)
		r.Header.Set("Content-Type", contentType)
		if res, answer := a.Do(t, method, path, r.Header, body); res.StatusCode != http.StatusCreated {
			t.Fatalf("%s %s: %s %s", method, path, res.Status, answer)
		}
	}
	for d, content := range blobs {
		send(http.MethodPost, "/v2/"+repository+"/blobs/uploads/?digest="+d.String(), "application/octet-stream", content)
	}
	send(http.MethodPut, "/v2/"+repository+"/manifests/"+tag, v1.MediaTypeImageManifest, m)
}

// clear removes what earlier commands left below the home.
func (a actor) clear(t *testing.T, names ...string) {
	t.Helper()
	for _, name := range names {
		if err := os.RemoveAll(filepath.Join(a.Home, name)); err != nil {
			t.Fatal(err)
		}
	}
}
