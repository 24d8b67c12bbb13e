package registrytest

import (
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/packhouse/packhouse/registry"
)

func deleteTests() map[string]func(*testing.T, fixture) {
	return map[string]func(*testing.T, fixture){
		"tag": func(t *testing.T, f fixture) {
			m := f.image("a", "v1", "v2")
			if err := f.DeleteTag(t.Context(), repo, "v1", registry.Condition{}); err != nil {
				t.Fatal(err)
			}
			f.wantNoTag("v1")
			f.wantTag("v2", m)
			f.wantManifest(m)
			f.wantCode(f.DeleteTag(t.Context(), repo, "v1", registry.Condition{}), registry.ManifestUnknown)
			f.put(m, "v1")
			f.wantTag("v1", m)
		},
		"manifest and its tags": func(t *testing.T, f fixture) {
			m, kept := f.image("a", "v1", "v2"), f.image("b", "v3")
			if err := f.DeleteManifest(t.Context(), repo, m.Digest, registry.Condition{}); err != nil {
				t.Fatal(err)
			}
			_, err := f.Manifest(t.Context(), repo, m.Digest)
			f.wantCode(err, registry.ManifestUnknown)
			f.wantNoTag("v1", "v2")
			f.wantTag("v3", kept)
			f.wantCode(f.DeleteManifest(t.Context(), repo, m.Digest, registry.Condition{}), registry.ManifestUnknown)
			f.put(m)
			f.wantManifest(m)
			f.wantNoTag("v1", "v2")
		},
		"unknown repository": func(t *testing.T, f fixture) {
			d := digest.FromString("absent")
			f.wantCode(f.DeleteTag(t.Context(), repo, "v1", registry.Condition{}), registry.NameUnknown)
			f.wantCode(f.DeleteManifest(t.Context(), repo, d, registry.Condition{}), registry.NameUnknown)
			f.wantCode(f.DeleteBlob(t.Context(), repo, d), registry.NameUnknown)
		},
		"conditions": func(t *testing.T, f fixture) {
			a, b := f.image("a", "v1"), f.image("b")
			is := func(m registry.Manifest) registry.Condition {
				return registry.Condition{Match: []string{m.Digest.String()}}
			}
			f.wantCode(f.DeleteTag(t.Context(), repo, "v1", is(b)), registry.PreconditionFailed)
			f.wantCode(f.DeleteManifest(t.Context(), repo, a.Digest, is(b)), registry.PreconditionFailed)
			f.wantTag("v1", a)
			if err := f.DeleteTag(t.Context(), repo, "v1", is(a)); err != nil {
				t.Error(err)
			}
			if err := f.DeleteManifest(t.Context(), repo, a.Digest, is(a)); err != nil {
				t.Error(err)
			}
		},
		"child of an index": func(t *testing.T, f fixture) {
			child := f.image("a", "v1")
			index := f.put(Index(nil, child))
			err := f.DeleteManifest(t.Context(), repo, child.Digest, registry.Condition{})
			f.wantCode(err, registry.Referenced)
			f.wantDetail(err, index.Digest)
			f.wantTag("v1", child)
			for _, d := range []registry.Digest{index.Digest, child.Digest} {
				if err := f.DeleteManifest(t.Context(), repo, d, registry.Condition{}); err != nil {
					t.Error(err)
				}
			}
		},
		"blob of a manifest": func(t *testing.T, f fixture) {
			config, layer := f.blob(repo, "c"), f.blob(repo, "l")
			m := f.put(Image(nil, []byte("c"), []byte("l")))
			again := f.put(Image(nil, []byte("c"), []byte("l"), []byte("l")))
			for _, by := range []registry.Manifest{m, again} {
				for _, d := range []registry.Digest{config, layer} {
					f.wantCode(f.DeleteBlob(t.Context(), repo, d), registry.Referenced)
				}
				if err := f.DeleteManifest(t.Context(), repo, by.Digest, registry.Condition{}); err != nil {
					t.Fatal(err)
				}
				if by.Digest == m.Digest {
					f.wantDetail(f.DeleteBlob(t.Context(), repo, config), again.Digest)
				}
			}
			for _, d := range []registry.Digest{config, layer} {
				if err := f.DeleteBlob(t.Context(), repo, d); err != nil {
					t.Fatal(err)
				}
				_, err := f.StatBlob(t.Context(), repo, d)
				f.wantCode(err, registry.BlobUnknown)
				f.wantCode(f.DeleteBlob(t.Context(), repo, d), registry.BlobUnknown)
			}
		},
		"blob of one repository": func(t *testing.T, f fixture) {
			d := f.blob(repo, "c")
			f.blob(other, "c")
			f.put(Image(nil, []byte("c")))
			if err := f.DeleteBlob(t.Context(), other, d); err != nil {
				t.Fatal(err)
			}
			_, err := f.StatBlob(t.Context(), other, d)
			f.wantCode(err, registry.BlobUnknown)
			if got := f.content(repo, d, 0, -1); got != "c" {
				t.Errorf("content is %q", got)
			}
			f.blob(other, "c")
			if got := f.content(other, d, 0, -1); got != "c" {
				t.Errorf("content is %q after it was pushed again", got)
			}
		},
	}
}
