package registrytest

import (
	"maps"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"

	"github.com/packhouse/packhouse/registry"
)

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
