package clients

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"testing"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"
)

const greeting = "hello from packhouse"

const program = `package main

import "os"

func main() { os.Stdout.WriteString("` + greeting + `\n") }
`

// hello is a static program that prints the greeting: the one file of the images that are run.
var hello = sync.OnceValues(func() ([]byte, error) {
	dir, err := os.MkdirTemp("", "hello")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	source, binary := filepath.Join(dir, "hello.go"), filepath.Join(dir, "hello")
	if err := os.WriteFile(source, []byte(program), 0o644); err != nil {
		return nil, err
	}
	cmd := exec.Command("go", "build", "-ldflags=-s -w", "-o", binary, source)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=")
	if out, err := cmd.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("%w: %s", err, out)
	}
	return os.ReadFile(binary)
})

func helloBinary(t *testing.T) []byte {
	t.Helper()
	binary, err := hello()
	if err != nil {
		t.Fatal(err)
	}
	return binary
}

// layout writes an OCI image layout whose tag "latest" is an image (one platform) or an index (several), and returns
// its directory and the digest of that manifest. Equal arguments make equal bytes.
func (r *registry) layout(t *testing.T, name string, architectures ...string) (string, string) {
	t.Helper()
	l := ociLayout{t: t, dir: filepath.Join(r.Home, name)}
	var top v1.Descriptor
	images := make([]v1.Descriptor, len(architectures))
	for i, arch := range architectures {
		images[i] = l.image(name, arch)
	}
	if top = images[0]; len(images) > 1 {
		top = l.add(v1.MediaTypeImageIndex, v1.Index{
			Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: v1.MediaTypeImageIndex, Manifests: images,
		})
	}
	dgst := top.Digest.String()
	top.Platform = nil
	top.Annotations = map[string]string{v1.AnnotationRefName: "latest"}
	l.write("oci-layout", []byte(`{"imageLayoutVersion":"1.0.0"}`))
	l.write("index.json", l.json(v1.Index{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: v1.MediaTypeImageIndex, Manifests: []v1.Descriptor{top},
	}))
	return l.dir, dgst
}

type ociLayout struct {
	t   *testing.T
	dir string
}

func (l ociLayout) image(name, arch string) v1.Descriptor {
	l.t.Helper()
	layer, diffID := tarGzip(l.t, map[string][]byte{"hello": helloBinary(l.t), "name": []byte(name + " " + arch)})
	config := v1.Image{
		Platform: v1.Platform{Architecture: arch, OS: "linux"},
		Config:   v1.ImageConfig{Entrypoint: []string{"/hello"}},
		RootFS:   v1.RootFS{Type: "layers", DiffIDs: []digest.Digest{diffID}},
	}
	d := l.add(v1.MediaTypeImageManifest, v1.Manifest{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: v1.MediaTypeImageManifest,
		Config: l.add(v1.MediaTypeImageConfig, config),
		Layers: []v1.Descriptor{l.bytes(v1.MediaTypeImageLayerGzip, layer)},
	})
	d.Platform = &config.Platform
	return d
}

func (l ociLayout) add(mediaType string, v any) v1.Descriptor {
	l.t.Helper()
	return l.bytes(mediaType, l.json(v))
}

func (l ociLayout) bytes(mediaType string, content []byte) v1.Descriptor {
	l.t.Helper()
	d := v1.Descriptor{MediaType: mediaType, Digest: digest.FromBytes(content), Size: int64(len(content))}
	l.write(filepath.Join("blobs", "sha256", d.Digest.Encoded()), content)
	return d
}

func (l ociLayout) json(v any) []byte {
	l.t.Helper()
	content, err := json.Marshal(v)
	if err != nil {
		l.t.Fatal(err)
	}
	return content
}

func (l ociLayout) write(name string, content []byte) {
	l.t.Helper()
	path := filepath.Join(l.dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		l.t.Fatal(err)
	}
	if err := os.WriteFile(path, content, 0o644); err != nil {
		l.t.Fatal(err)
	}
}

// tarGzip packs files of mode 0755, in the order of their names, and returns the layer and the digest of its tar.
func tarGzip(t *testing.T, files map[string][]byte) ([]byte, digest.Digest) {
	t.Helper()
	var plain, packed bytes.Buffer
	tw := tar.NewWriter(&plain)
	for _, name := range slices.Sorted(maps.Keys(files)) {
		if err := tw.WriteHeader(&tar.Header{Name: name, Mode: 0o755, Size: int64(len(files[name]))}); err != nil {
			t.Fatal(err)
		}
		if _, err := tw.Write(files[name]); err != nil {
			t.Fatal(err)
		}
	}
	if err := tw.Close(); err != nil {
		t.Fatal(err)
	}
	gz := gzip.NewWriter(&packed)
	if _, err := gz.Write(plain.Bytes()); err != nil {
		t.Fatal(err)
	}
	if err := gz.Close(); err != nil {
		t.Fatal(err)
	}
	return packed.Bytes(), digest.FromBytes(plain.Bytes())
}
