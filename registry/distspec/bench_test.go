package distspec_test

import (
	"context"
	"fmt"
	"io"
	"iter"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/packhouse/packhouse/registry"
	"github.com/packhouse/packhouse/registry/distspec"
	"github.com/packhouse/packhouse/registry/registrytest"
)

// sink is a response that costs nothing, so that what is measured is ours.
type sink struct{ header http.Header }

func (s *sink) Header() http.Header                   { return s.header }
func (*sink) WriteHeader(int)                         {}
func (*sink) Write(p []byte) (int, error)             { return len(p), nil }
func (*sink) ReadFrom(io.Reader) (n int64, err error) { return 0, nil }

// still answers without looking anything up.
type still struct {
	registry.Registry
	m    registry.Manifest
	tags []registry.Tag
}

func (s *still) Manifest(context.Context, registry.Repo, registry.Digest) (registry.Manifest, error) {
	return s.m, nil
}

func (s *still) Tagged(context.Context, registry.Repo, registry.Tag) (registry.Manifest, error) {
	return s.m, nil
}

func (s *still) StatBlob(_ context.Context, _ registry.Repo, d registry.Digest) (registry.Descriptor, error) {
	return registry.Descriptor{Digest: d}, nil
}

func (s *still) Blob(context.Context, registry.Repo, registry.Digest, int64, int64) (io.ReadCloser, error) {
	return http.NoBody, nil
}

func (s *still) Tags(context.Context, registry.Repo, registry.Tag) iter.Seq2[registry.Tag, error] {
	return func(yield func(registry.Tag, error) bool) {
		for _, t := range s.tags {
			if !yield(t, nil) {
				return
			}
		}
	}
}

// BenchmarkServe is a request without net/http: parsing, handler and headers.
func BenchmarkServe(b *testing.B) {
	reg := &still{Registry: &registrytest.Memory{}, m: registrytest.Image(nil, []byte("config"), []byte("layer"))}
	for i := range 10_000 {
		reg.tags = append(reg.tags, registry.Tag(fmt.Sprintf("v1.0.%05d", i)))
	}
	h := distspec.New(reg, distspec.Options{})
	d := digest.FromString("x").String()
	for name, path := range map[string]string{
		"manifest by tag":    "/v2/acme/app/manifests/latest",
		"manifest by digest": "/v2/acme/app/manifests/" + d,
		"blob":               "/v2/acme/app/blobs/" + d,
		"10000 tags":         "/v2/acme/app/tags/list",
		"page of tags":       "/v2/acme/app/tags/list?n=100",
	} {
		b.Run(name, func(b *testing.B) {
			r := httptest.NewRequestWithContext(b.Context(), get, path, strings.NewReader(""))
			w := &sink{header: http.Header{}}
			b.ReportAllocs()
			for b.Loop() {
				clear(w.header)
				h.ServeHTTP(w, r)
			}
		})
	}
}
