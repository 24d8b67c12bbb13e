package pypi

import (
	"bytes"
	"flag"
	"iter"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/packhouse/packhouse/artifacttypes"
	"github.com/packhouse/packhouse/registry"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// fragments are those of a package's releases.
type fragments struct {
	t        *testing.T
	releases []*registry.Release
}

func (f fragments) render(kind string, r *registry.Release) artifacttypes.Fragment {
	f.t.Helper()
	var b bytes.Buffer
	if err := (Format{}).Fragment(kind, r, &b); err != nil {
		f.t.Fatal(err)
	}
	return artifacttypes.Fragment{Version: r.Version, Published: r.Published, Body: b.Bytes()}
}

func (f fragments) All(kind string) iter.Seq2[artifacttypes.Fragment, error] {
	return func(yield func(artifacttypes.Fragment, error) bool) {
		for _, r := range f.releases {
			if !yield(f.render(kind, r), nil) {
				return
			}
		}
	}
}

func (f fragments) One(kind, version string) ([]byte, error) {
	for _, r := range f.releases {
		if r.Version == version {
			return f.render(kind, r).Body, nil
		}
	}
	return nil, nil
}

// released is a release of a wheel and a source distribution.
func released(t *testing.T, version, more string, state map[string]string) *registry.Release {
	t.Helper()
	added := time.Date(2026, 1, 2, 3, 4, 5, 678_000, time.FixedZone("", 3600))
	r := &registry.Release{State: state, Published: added}
	built := wheelParts("my-pkg", version, more)
	for i := range built {
		built[i].stored = true // a compressor's bytes are not for ever
	}
	source := part{name: "my_pkg/PKG-INFO", content: metadataText("my-pkg", version, more), stored: true}
	for name, content := range map[string][]byte{
		"my_pkg-" + version + "-py3-none-any.whl": zipped(t, built...),
		"my_pkg-" + version + ".zip":              zipped(t, source),
	} {
		f := described(t, name, content)
		f.Added = added
		if r.Files = append(r.Files, f); len(r.Files) == 2 && r.Files[0].Name > r.Files[1].Name {
			r.Files[0], r.Files[1] = r.Files[1], r.Files[0]
		}
	}
	facts, err := Format{}.Describe(registry.Artifact{Files: r.Files})
	if err != nil {
		t.Fatal(err)
	}
	r.Facts = facts
	return r
}

// TestDocuments compares each document of a project with testdata.
func TestDocuments(t *testing.T) {
	t.Parallel()
	const more = "Summary: A <test>\nRequires-Python: >=3.8\nRequires-Dist: dep>=1; extra == \"x\"\nProvides-Extra: x\n" +
		"Project-URL: Source, https://a.test/src\nClassifier: Topic :: Test\nLicense-Expression: MIT\n\n# Long\n"
	releases := []*registry.Release{
		released(t, "1!1.0+l.1", more, map[string]string{"yanked": "true", "yanked-reason": `"quoted" & <marked>`}),
		released(t, "0.9", more, map[string]string{"provenance:my_pkg-0.9.zip": "true"}),
		released(t, "1.0rc1", "", map[string]string{"yanked": "true"}),
	}
	p := &registry.Package{Name: "my-pkg", State: map[string]string{"status": "deprecated", "status-reason": "use <other>"}}
	for _, d := range (Format{}).Info().Documents {
		t.Run(d.Name, func(t *testing.T) {
			t.Parallel()
			var got bytes.Buffer
			got.WriteString(d.Head)
			if err := (Format{}).Compose(d.Name, p, fragments{t, releases}, &got); err != nil {
				t.Fatal(err)
			}
			got.WriteString(d.Tail)
			golden(t, d.Name, strings.ReplaceAll(got.String(), artifacttypes.Base, "BASE"))
		})
	}
	if err := (Format{}).Compose("nothing", p, fragments{t, nil}, &bytes.Buffer{}); err == nil {
		t.Error("a document that there is not was composed")
	}
	if err := (Format{}).Fragment("nothing", releases[0], &bytes.Buffer{}); err == nil {
		t.Error("a fragment that there is not was rendered")
	}
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	file := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", name, diff)
	}
}
