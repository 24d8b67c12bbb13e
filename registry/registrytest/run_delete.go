package registrytest

import (
	"maps"
	"testing"

	"github.com/google/go-cmp/cmp"
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

func listTests() map[string]func(*testing.T, fixture) {
	return map[string]func(*testing.T, fixture){
		"tags": func(t *testing.T, f fixture) {
			f.wantCode(onlyError(t, f.Tags(t.Context(), repo, "")), registry.NameUnknown)
			f.blob(repo, "x")
			if got := collect(t, f.Tags(t.Context(), repo, "")); len(got) > 0 {
				t.Errorf("tags are %v, want none", got)
			}
			f.image("a", "v2", "v10", "V1", "_", "v1", "0")
			f.image("b", "v1.1", "v1")
			wantList(t, []registry.Tag{"0", "V1", "_", "v1", "v1.1", "v10", "v2"}, func(after registry.Tag) []registry.Tag {
				return collect(t, f.Tags(t.Context(), repo, after))
			}, map[registry.Tag]int{"1": 1, "v0": 3, "v1.0": 4, "w": 7})
			for got, err := range f.Tags(t.Context(), repo, "") {
				if got != "0" || err != nil {
					t.Errorf("first tag is %q, %v", got, err)
				}
				break // a reader may stop
			}
		},
		"repositories": func(t *testing.T, f fixture) {
			if got := collect(t, f.Repos(t.Context(), "")); len(got) > 0 {
				t.Errorf("repositories are %v, want none", got)
			}
			for _, r := range []registry.Repo{"b", "a/b", "a-b", "a", "a/c"} {
				f.blob(r, "x")
			}
			if _, err := f.Mount(t.Context(), "b", "c", digest.FromString("x")); err != nil {
				t.Fatal(err)
			}
			wantList(t, []registry.Repo{"a", "a-b", "a/b", "a/c", "b", "c"}, func(after registry.Repo) []registry.Repo {
				return collect(t, f.Repos(t.Context(), after))
			}, map[registry.Repo]int{"0": 0, "a/": 2, "a/b/c": 3, "z": 6})
		},
	}
}

// wantList checks a list as a whole, after each of its elements, and after
// names that are not in it, which give the index that comes next.
func wantList[T ~string](t *testing.T, want []T, list func(after T) []T, between map[T]int) {
	t.Helper()
	starts := map[T]int{"": 0}
	for i, name := range want {
		starts[name] = i + 1
	}
	maps.Copy(starts, between)
	for after, i := range starts {
		if diff := cmp.Diff(want[i:], list(after)); diff != "" {
			t.Errorf("after %q (-want +got):\n%s", after, diff)
		}
	}
}
