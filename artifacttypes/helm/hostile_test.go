package helm

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/packhouse/packhouse/registry"
)

const goodChart = "apiVersion: v2\nname: web\nversion: 1.0.0\n"

// hostile are archives that must be refused, with words of the refusal.
func hostile(tb testing.TB) []struct {
	name    string
	content []byte
	want    string
} {
	tb.Helper()
	file := entryOf{name: "web/Chart.yaml", content: goodChart}
	good := pack(tb, file)
	var zipped bytes.Buffer
	z := zip.NewWriter(&zipped)
	if w, err := z.Create("Chart.yaml"); err != nil {
		tb.Fatal(err)
	} else if _, err := io.WriteString(w, "name: other"); err != nil {
		tb.Fatal(err)
	}
	if err := z.Close(); err != nil {
		tb.Fatal(err)
	}
	var padded bytes.Buffer
	g := gzip.NewWriter(&padded)
	if _, err := g.Write([]byte("not a tar archive, though it goes on for longer than one of its blocks" + strings.Repeat(".", 600))); err != nil {
		tb.Fatal(err)
	}
	if err := g.Close(); err != nil {
		tb.Fatal(err)
	}
	many := make([]entryOf, maxEntries+1)
	for i := range many {
		many[i] = entryOf{name: fmt.Sprintf("web/templates/%d", i)}
	}
	link := func(name, target string, kind byte) []byte {
		return pack(tb, file, entryOf{name: name, header: tar.Header{Typeflag: kind, Linkname: target}})
	}
	return []struct {
		name    string
		content []byte
		want    string
	}{
		{"nothing", nil, "not a gzip archive"},
		{"text", []byte("hello"), "not a gzip archive"},
		{"zip", zipped.Bytes(), "not a gzip archive"},
		{"gzip of no tar", padded.Bytes(), "not a tar archive"},
		{"cut off", good[:len(good)-20], "damaged"},
		{"damaged", append(append([]byte{}, good[:len(good)-8]...), make([]byte, 8)...), "end"},
		{"gzip and zip", append(append([]byte{}, good...), zipped.Bytes()...), "something follows"},
		{"two archives", append(append([]byte{}, good...), chartOf(tb, "name: other\nversion: 2.0.0\n")...), "something follows"},
		{"no Chart.yaml", pack(tb, entryOf{name: "web/values.yaml"}), "no Chart.yaml"},
		{"Chart.yaml deeper", pack(tb, entryOf{name: "./web/Chart.yaml", content: goodChart}), "no Chart.yaml"},
		{"Chart.yaml outside", pack(tb, entryOf{name: "Chart.yaml", content: goodChart}), "outside of the chart's folder"},
		{"two Chart.yaml", pack(tb, file, file), "two files Chart.yaml"},
		{"two folders", pack(tb, file, entryOf{name: "other/Chart.yaml", content: goodChart}), "two files Chart.yaml"},
		{"two spellings", pack(tb, file, entryOf{name: "web/./Chart.yaml", content: goodChart}), "two files Chart.yaml"},
		{"another case", pack(tb, file, entryOf{name: "web/chart.YAML", content: "name: other"}), "some systems take for Chart.yaml"},
		{"traversal", pack(tb, file, entryOf{name: "web/../../x"}), "leads out"},
		{"traversal of the folder", pack(tb, file, entryOf{name: "../x"}), "leads out"},
		{"traversal with backslashes", pack(tb, file, entryOf{name: `web\..\..\x`}), "leads out"},
		{"absolute", pack(tb, file, entryOf{name: "/etc/passwd"}), "leads out"},
		{"absolute below the folder", pack(tb, file, entryOf{name: "web//etc/passwd"}), "leads out"},
		{"drive", pack(tb, file, entryOf{name: "web/C:/x"}), "leads out"},
		{"link out", link("web/x", "../../etc/passwd", tar.TypeSymlink), "leads out"},
		{"absolute link", link("web/x", "/etc/passwd", tar.TypeSymlink), "leads out"},
		{"hard link out", link("web/x", "../x", tar.TypeLink), "leads out"},
		{"Chart.yaml is a link", pack(tb, entryOf{name: "web/Chart.yaml", header: tar.Header{Typeflag: tar.TypeSymlink, Linkname: "other"}}), "Chart.yaml is a link"},
		{"device", pack(tb, file, entryOf{name: "web/x", header: tar.Header{Typeflag: tar.TypeChar}}), "neither a file nor a folder"},
		{"many entries", pack(tb, many...), "more than 100000 entries"},
		{"bomb", pack(tb, entryOf{name: "web/x", content: strings.Repeat("\x00", maxUnpacked+1)}, file), "more than 100 MiB unpacked"},
		{"bomb by ratio", pack(tb, entryOf{name: "web/x", content: strings.Repeat("\x00", freeRatio+1<<20)}, file), "more than 100 times its size"},
		{"bomb after the end", append(append([]byte{}, good[:len(good)-8]...), 0), "end"},
		{"large Chart.yaml", pack(tb, entryOf{name: "web/Chart.yaml", content: goodChart + strings.Repeat("# x\n", maxYAML/4)}), "the limit is 262144"},
		{"bomb of aliases", chartOf(tb, goodChart+bomb()), "more than 50000 values"},
		{"deep", chartOf(tb, goodChart+"x: "+strings.Repeat("[", 20_000)), "not valid YAML"},
		{"not UTF-8", chartOf(tb, goodChart+"description: \xff\n"), "not UTF-8"},
		{"huge number", chartOf(tb, "apiVersion: v2\nname: web\nversion: 1"+strings.Repeat("0", 400)+".0.0\n"), "no semantic version"},
		{"requirements that rename", pack(tb, file, entryOf{name: "web/requirements.yaml", content: "name: other\ndependencies: []\n"}), "requirements.yaml says more"},
		{"requirements that are no YAML", pack(tb, file, entryOf{name: "web/requirements.yaml", content: "{"}), "requirements.yaml is not valid YAML"},
	}
}

func TestHostileArchives(t *testing.T) {
	t.Parallel()
	for _, tt := range hostile(t) {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, err := readChart(t.Context(), bytes.NewReader(tt.content), int64(len(tt.content)))
			e, ok := errors.AsType[*registry.Error](err)
			if !ok || e.Code != registry.ManifestInvalid || !strings.Contains(e.Message, tt.want) {
				t.Errorf("got %v, want MANIFEST_INVALID with %q", err, tt.want)
			}
		})
	}
}

// What `helm package` and others make is read, whatever else is in it.
func TestGoodArchives(t *testing.T) {
	t.Parallel()
	file := entryOf{name: "web/Chart.yaml", content: "\ufeff" + goodChart}
	tests := []struct {
		name    string
		entries []entryOf
	}{
		{"least", []entryOf{file}},
		{"folders", []entryOf{{name: "web/", header: tar.Header{Typeflag: tar.TypeDir}}, file}},
		{"Chart.yaml last", []entryOf{{name: "web/values.yaml", content: "a: 1"}, file}},
		{"charts within", []entryOf{file, {name: "web/charts/db/Chart.yaml", content: "name: db\nversion: 2.0.0\n"}, {name: "web/charts/x.tgz", content: "x"}}},
		{"packed on Windows", []entryOf{{name: `web\Chart.yaml`, content: goodChart}, {name: `web\templates\x.yaml`}}},
		{"link within", []entryOf{file, {name: "web/files/x", header: tar.Header{Typeflag: tar.TypeSymlink, Linkname: "../values.yaml"}}}},
		{"another folder's name", []entryOf{{name: "web-1.0.0/Chart.yaml", content: goodChart}}},
		{"global header", []entryOf{{header: tar.Header{Typeflag: tar.TypeXGlobalHeader, PAXRecords: map[string]string{"comment": "x"}}}, file}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			content := pack(t, tt.entries...)
			m, err := readChart(t.Context(), bytes.NewReader(content), int64(len(content)))
			if err != nil || m.Name != "web" || m.Version != "1.0.0" {
				t.Errorf("got %+v, %v", m, err)
			}
		})
	}
}

func TestRequirements(t *testing.T) {
	t.Parallel()
	content := pack(t,
		entryOf{name: "web/requirements.yaml", content: "dependencies:\n- name: db\n  version: 1.x\n  repository: https://example.test\nunknown: x\n"},
		entryOf{name: "web/Chart.yaml", content: "name: web\nversion: 1.0.0\n"})
	m, err := readChart(t.Context(), bytes.NewReader(content), int64(len(content)))
	if err != nil || len(m.Dependencies) != 1 || m.Dependencies[0].Name != "db" || m.Dependencies[0].Version != "1.x" || m.APIVersion != "v1" {
		t.Errorf("got %+v, %v", m, err)
	}
}

// An error of reading is no error of the chart.
func TestUnreadable(t *testing.T) {
	t.Parallel()
	broken := errors.New("the disk is gone")
	good := chartOf(t, goodChart)
	for _, n := range []int{0, 5, len(good) / 2, len(good) - 1} {
		r := io.MultiReader(bytes.NewReader(good[:n]), failing{broken})
		if _, err := readChart(t.Context(), r, int64(len(good))); !errors.Is(err, broken) {
			t.Errorf("after %d bytes: %v, want the error of reading", n, err)
		}
	}
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

// FuzzArchive: nothing makes a reader panic, and what is refused is refused
// with a sentence.
func FuzzArchive(f *testing.F) {
	f.Add(chartOf(f, goodChart))
	f.Add(pack(f, entryOf{name: "web/Chart.yaml", header: tar.Header{Typeflag: tar.TypeLink, Linkname: "x"}}))
	f.Add([]byte{0x1f, 0x8b, 8, 0})
	f.Fuzz(func(t *testing.T, content []byte) {
		for _, plain := range []bool{false, true} {
			if plain { // most of what is fuzzed is no gzip
				var b bytes.Buffer
				z := gzip.NewWriter(&b)
				_, _ = z.Write(content)
				_ = z.Close()
				content = b.Bytes()
			}
			if _, err := readChart(t.Context(), bytes.NewReader(content), int64(len(content))); err != nil && !errors.Is(err, registry.ManifestInvalid) {
				t.Errorf("error %v", err)
			}
		}
	})
}
