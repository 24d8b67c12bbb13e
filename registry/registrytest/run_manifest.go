package registrytest

import (
	"bytes"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/packhouse/packhouse/registry"
)

func manifestTests() map[string]func(*testing.T, fixture) {
	return map[string]func(*testing.T, fixture){
		"by digest and by tag": func(_ *testing.T, f fixture) {
			m := f.image("a", "v1", "latest")
			f.wantManifest(m)
			f.wantTag("v1", m)
			f.wantTag("latest", m)
			f.wantNoTag("v2", "V1")
		},
		"exact bytes": func(t *testing.T, f fixture) {
			f.blob(repo, "c")
			m := Image(nil, []byte("c"))
			m.Raw = append(bytes.ReplaceAll(m.Raw, []byte(`,`), []byte(" ,\n\t")), '\n')
			m.Digest, m.Size = digest.FromBytes(m.Raw), int64(len(m.Raw))
			raw := bytes.Clone(m.Raw)
			f.put(m, "v1")
			clear(m.Raw) // the registry must have kept its own
			m.Raw = raw
			f.wantTag("v1", m)
		},
		"push again, then move the tag": func(_ *testing.T, f fixture) {
			a := f.image("a", "latest")
			f.image("a", "latest")
			b := f.image("b", "latest")
			f.wantTag("latest", b)
			f.wantManifest(a)
		},
		"sha512": func(_ *testing.T, f fixture) {
			f.blob(repo, "c")
			m := Image(nil, []byte("c"))
			m.Digest = digest.SHA512.FromBytes(m.Raw)
			f.put(m, "v1")
			f.wantManifest(m)
			f.wantTag("v1", m)
		},
		"media type from the document": func(t *testing.T, f fixture) {
			f.blob(repo, "c")
			m := Image(nil, []byte("c"))
			bare := m
			bare.MediaType = ""
			if _, err := f.PutManifest(t.Context(), repo, bare, registry.PutOptions{}); err != nil {
				t.Fatal(err)
			}
			f.wantManifest(m)
		},
		"unknown": func(t *testing.T, f fixture) {
			absent := digest.FromString("absent")
			for _, step := range []struct {
				code registry.Code
				do   func()
			}{
				{registry.NameUnknown, func() {}},
				{registry.ManifestUnknown, func() { f.blob(repo, "x") }},
			} {
				step.do()
				_, err := f.Manifest(t.Context(), repo, absent)
				f.wantCode(err, step.code)
				_, err = f.Tagged(t.Context(), repo, "v1")
				f.wantCode(err, step.code)
			}
			m := f.image("a", "v1")
			f.blob(other, "x")
			_, err := f.Manifest(t.Context(), other, m.Digest)
			f.wantCode(err, registry.ManifestUnknown)
			_, err = f.Tagged(t.Context(), other, "v1")
			f.wantCode(err, registry.ManifestUnknown)
		},
		"refused, nothing kept": func(t *testing.T, f fixture) {
			f.blob(repo, "c")
			good := Image(nil, []byte("c"))
			wrong := good
			wrong.Digest = digest.FromString("something else")
			wrongLong := good
			wrongLong.Digest = digest.SHA512.FromString("something else")
			broken := registry.Manifest{Raw: []byte("{"), Descriptor: good.Descriptor}
			broken.Digest = digest.FromBytes(broken.Raw)
			disagree := good
			disagree.MediaType = ocispec.MediaTypeImageIndex
			for _, tt := range []struct {
				m    registry.Manifest
				code registry.Code
			}{
				{wrong, registry.DigestInvalid},
				{wrongLong, registry.DigestInvalid},
				{broken, registry.ManifestInvalid},
				{disagree, registry.ManifestInvalid},
			} {
				_, err := f.PutManifest(t.Context(), repo, tt.m, registry.PutOptions{Tags: []registry.Tag{"v1"}})
				f.wantCode(err, tt.code)
				_, err = f.Manifest(t.Context(), repo, tt.m.Digest)
				f.wantCode(err, registry.ManifestUnknown)
				f.wantNoTag("v1")
			}
		},
		"references must be there": func(t *testing.T, f fixture) {
			f.blob(repo, "config")
			f.blob(other, "layer one")
			image := Image(nil, []byte("config"), []byte("layer one"), []byte("layer two"))
			_, err := f.PutManifest(t.Context(), repo, image, registry.PutOptions{Tags: []registry.Tag{"v1"}})
			f.wantCode(err, registry.ManifestBlobUnknown)
			f.wantDetail(err, digest.FromString("layer one"), digest.FromString("layer two"))
			f.wantNoTag("v1")

			_, err = f.PutManifest(t.Context(), repo, Index(nil, image, f.image("a")), registry.PutOptions{})
			f.wantCode(err, registry.ManifestBlobUnknown)
			f.wantDetail(err, image.Digest)
		},
		"one layer twice": func(_ *testing.T, f fixture) {
			f.blob(repo, "c")
			f.blob(repo, "l")
			f.wantManifest(f.put(Image(nil, []byte("c"), []byte("l"), []byte("l"))))
		},
		"index of images and of indexes": func(_ *testing.T, f fixture) {
			inner := f.put(Index(nil, f.image("a"), f.image("b")))
			f.wantTag("v1", f.put(Index(nil, inner, f.image("c")), "v1"))
			f.wantManifest(f.put(Index(nil)))
		},
		"index of layers": func(t *testing.T, f fixture) {
			cache := Index(func(x *ocispec.Index) {
				x.Manifests = []ocispec.Descriptor{{
					MediaType: ocispec.MediaTypeImageLayerGzip, Digest: digest.FromString("cache"), Size: int64(len("cache")),
				}}
			})
			_, err := f.PutManifest(t.Context(), repo, cache, registry.PutOptions{})
			f.wantCode(err, registry.ManifestBlobUnknown)
			f.blob(repo, "cache")
			f.wantManifest(f.put(cache))
		},
		"foreign layers and the subject need not be there": func(t *testing.T, f fixture) {
			f.blob(repo, "c")
			elsewhere := ocispec.Descriptor{Digest: digest.FromString("elsewhere"), Size: 9}
			linked, foreign, docker := elsewhere, elsewhere, elsewhere
			linked.MediaType, linked.URLs = ocispec.MediaTypeImageLayerGzip, []string{"https://example.com/layer"}
			foreign.MediaType = "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip"
			docker.MediaType = "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip"
			m := Image(func(m *ocispec.Manifest) {
				m.Layers = []ocispec.Descriptor{linked, foreign, docker}
				m.Subject = &elsewhere
			}, []byte("c"))
			got, err := f.PutManifest(t.Context(), repo, m, registry.PutOptions{})
			if err != nil || got.Subject != elsewhere.Digest {
				t.Fatalf("PutManifest = %+v, %v, want subject %s", got, err, elsewhere.Digest)
			}
			f.wantManifest(m)
		},
		"conditions on tags": func(t *testing.T, f fixture) {
			a, b := f.image("a", "v1"), f.image("b")
			is := func(m registry.Manifest) []string { return []string{m.Digest.String()} }
			for _, tt := range []struct {
				name  string
				tags  []registry.Tag
				cond  registry.Condition
				holds bool
			}{
				{"new, but is there", []registry.Tag{"v1"}, registry.Condition{NoneMatch: []string{"*"}}, false},
				{"one of two is there", []registry.Tag{"v2", "v1"}, registry.Condition{NoneMatch: []string{"*"}}, false},
				{"other than it is", []registry.Tag{"v1"}, registry.Condition{Match: is(b)}, false},
				{"not what it is", []registry.Tag{"v1"}, registry.Condition{NoneMatch: is(a)}, false},
				{"there, but is new", []registry.Tag{"v2"}, registry.Condition{Match: []string{"*"}}, false},
				{"new", []registry.Tag{"v2"}, registry.Condition{NoneMatch: []string{"*"}}, true},
				{"both there", []registry.Tag{"v1", "v2"}, registry.Condition{Match: []string{a.Digest.String(), b.Digest.String()}}, true},
			} {
				_, err := f.PutManifest(t.Context(), repo, b, registry.PutOptions{Tags: tt.tags, If: tt.cond})
				switch {
				case !tt.holds:
					f.wantCode(err, registry.PreconditionFailed)
					f.wantTag("v1", a)
					f.wantNoTag("v2")
				case err != nil:
					t.Errorf("%s: %v", tt.name, err)
				}
			}
			f.wantTag("v1", b)
			f.wantTag("v2", b)
		},
		"conditions on the digest": func(t *testing.T, f fixture) {
			f.blob(repo, "c")
			m := Image(nil, []byte("c"))
			_, err := f.PutManifest(t.Context(), repo, m, registry.PutOptions{If: registry.Condition{Match: []string{"*"}}})
			f.wantCode(err, registry.PreconditionFailed)
			absent := registry.PutOptions{If: registry.Condition{NoneMatch: []string{"*"}}}
			if _, err = f.PutManifest(t.Context(), repo, m, absent); err != nil {
				t.Fatal(err)
			}
			_, err = f.PutManifest(t.Context(), repo, m, absent)
			f.wantCode(err, registry.PreconditionFailed)
		},
		"one of many creates a tag": func(t *testing.T, f fixture) {
			const clients = 64
			images := make([]registry.Manifest, clients)
			for i := range images {
				images[i] = f.image(fmt.Sprint(i))
			}
			var won atomic.Pointer[registry.Manifest]
			var wins atomic.Int32
			var all sync.WaitGroup
			for i := range images {
				all.Go(func() {
					_, err := f.PutManifest(t.Context(), repo, images[i], registry.PutOptions{
						Tags: []registry.Tag{"v1"}, If: registry.Condition{NoneMatch: []string{"*"}},
					})
					switch {
					case err == nil:
						wins.Add(1)
						won.Store(&images[i])
					case !errors.Is(err, registry.PreconditionFailed):
						t.Errorf("error is %v, want PRECONDITION_FAILED", err)
					}
				})
			}
			all.Wait()
			if wins.Load() != 1 {
				t.Fatalf("%d clients created the tag, want 1", wins.Load())
			}
			f.wantTag("v1", *won.Load())
		},
	}
}
