package maven

import (
	"bytes"
	"encoding/json"
	"fmt"
	"iter"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/packhouse/packhouse/artifacttypes"
	"github.com/packhouse/packhouse/registry"
)

// fragments are those of releases, rendered as the core does.
type fragments map[string][]artifacttypes.Fragment

func (f fragments) All(kind string) iter.Seq2[artifacttypes.Fragment, error] {
	return func(yield func(artifacttypes.Fragment, error) bool) {
		for _, one := range f[kind] {
			if !yield(one, nil) {
				return
			}
		}
	}
}

func (f fragments) One(kind, version string) ([]byte, error) {
	for _, one := range f[kind] {
		if one.Version == version {
			return one.Body, nil
		}
	}
	return nil, nil
}

// add renders versions of g:a, each with the given files.
func (f fragments) add(tb testing.TB, native string, files []string, versions ...string) fragments {
	tb.Helper()
	for i, version := range versions {
		r := &registry.Release{Facts: registry.Facts{Package: "g:a", Version: version, Native: json.RawMessage(native)}}
		for _, suffix := range files {
			r.Files = append(r.Files, registry.File{Name: "a-" + version + suffix})
		}
		for _, kind := range (Format{}).Info().Fragments {
			var b bytes.Buffer
			if err := (Format{}).Fragment(kind, r, &b); err != nil {
				tb.Fatal(err)
			}
			if b.Len() > 0 {
				published := time.Date(2026, 11, 24, 12, 0, i, 0, time.FixedZone("", 3600))
				f[kind] = append(f[kind], artifacttypes.Fragment{Version: version, Published: published, Body: b.Bytes()})
			}
		}
	}
	return f
}

func compose(tb testing.TB, document string, f fragments) string {
	tb.Helper()
	var b bytes.Buffer
	if err := (Format{}).Compose(document, &registry.Package{Name: "g:a"}, f, &b); err != nil {
		tb.Fatal(err)
	}
	return b.String()
}

func TestArtifactMetadata(t *testing.T) {
	t.Parallel()
	got := compose(t, documentMetadata, fragments{}.add(t, "{}", []string{".pom"}, "1.10", "1.9", "2.0-20261123.203355-1", "2.0-20261124.203355-2", "1.9-rc1"))
	want := `<?xml version="1.0" encoding="UTF-8"?>
<metadata>
  <groupId>g</groupId>
  <artifactId>a</artifactId>
  <versioning>
    <latest>2.0-SNAPSHOT</latest>
    <release>1.10</release>
    <versions>
      <version>1.9-rc1</version>
      <version>1.9</version>
      <version>1.10</version>
      <version>2.0-SNAPSHOT</version>
    </versions>
    <lastUpdated>20261124110004</lastUpdated>
  </versioning>
</metadata>
`
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if got := compose(t, documentMetadata, nil); got != "" {
		t.Errorf("of no release: %s", got)
	}
}

func TestSnapshotMetadata(t *testing.T) {
	t.Parallel()
	f := fragments{}.add(t, "{}", []string{".pom", "-sources.jar"}, "2.0-20261123.203355-1").
		add(t, "{}", []string{".pom"}, "2.0-20261124.203355-2", "3.0-20261124.203355-1", "1.0")
	var all snapshots
	if err := json.Unmarshal([]byte(compose(t, documentSnapshots, f)), &all); err != nil {
		t.Fatal(err)
	}
	if len(all) != 2 {
		t.Errorf("snapshots %v", all)
	}
	got, err := all["2.0-SNAPSHOT"].metadata("g", "a", "2.0-SNAPSHOT")
	if err != nil {
		t.Fatal(err)
	}
	want := `<?xml version="1.0" encoding="UTF-8"?>
<metadata modelVersion="1.1.0">
  <groupId>g</groupId>
  <artifactId>a</artifactId>
  <version>2.0-SNAPSHOT</version>
  <versioning>
    <snapshot>
      <timestamp>20261124.203355</timestamp>
      <buildNumber>2</buildNumber>
    </snapshot>
    <lastUpdated>20261124203355</lastUpdated>
    <snapshotVersions>
      <snapshotVersion>
        <classifier>sources</classifier>
        <extension>jar</extension>
        <value>2.0-20261123.203355-1</value>
        <updated>20261123203355</updated>
      </snapshotVersion>
      <snapshotVersion>
        <extension>pom</extension>
        <value>2.0-20261124.203355-2</value>
        <updated>20261124203355</updated>
      </snapshotVersion>
    </snapshotVersions>
  </versioning>
</metadata>
`
	if diff := cmp.Diff(want, string(got)); diff != "" {
		t.Error(diff)
	}
}

func TestPluginDocument(t *testing.T) {
	t.Parallel()
	f := fragments{}.add(t, `{"plugin":{"prefix":"new","name":"N & M"}}`, nil, "1.10").add(t, `{"plugin":{"prefix":"old"}}`, nil, "1.9")
	got := compose(t, documentPlugins, f)
	if want := `{"group":"g","artifact":"a","prefix":"new","name":"N \u0026 M"}` + "\n"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	if got := compose(t, documentPlugins, fragments{}.add(t, "{}", nil, "1")); got != "" {
		t.Errorf("of no plug-in: %s", got)
	}
}

func TestGroupMetadata(t *testing.T) {
	t.Parallel()
	plugins := []pluginEntry{{"g", "a-maven-plugin", plugin{"a", "A & B"}}, {"g", "b", plugin{"b", ""}}}
	const list = `  <plugins>
    <plugin>
      <name>A &amp; B</name>
      <prefix>a</prefix>
      <artifactId>a-maven-plugin</artifactId>
    </plugin>
    <plugin>
      <name>b</name>
      <prefix>b</prefix>
      <artifactId>b</artifactId>
    </plugin>
  </plugins>
</metadata>
`
	const header = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<metadata>\n"
	got, err := groupMetadata(plugins, nil)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(header+list, string(got)); diff != "" {
		t.Error(diff)
	}
	// One path is a group's and an artifact's.
	artifact := compose(t, documentMetadata, fragments{}.add(t, "{}", nil, "1"))
	got, err = groupMetadata(plugins, []byte(artifact))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(artifact[:len(artifact)-len("</metadata>\n")]+list, string(got)); diff != "" {
		t.Error(diff)
	}
}

func BenchmarkComposeMetadata(b *testing.B) {
	var versions []string
	for i := range 5000 {
		versions = append(versions, fmt.Sprintf("%d.%d.%d", i/500, i/10%50, i%10))
	}
	f := fragments{}.add(b, "{}", []string{".pom"}, versions...)
	for b.Loop() {
		compose(b, documentMetadata, f)
	}
}
