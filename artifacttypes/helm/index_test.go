package helm

import (
	"bytes"
	"encoding/json"
	"iter"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"

	"github.com/packhouse/packhouse/artifacttypes"
	"github.com/packhouse/packhouse/registry"
)

func released(t *testing.T, text string) *registry.Release {
	t.Helper()
	file := fileWith(t, "", chartType, chartOf(t, text))
	f, err := Format{}.Describe(registry.Artifact{Files: []registry.File{file}})
	if err != nil {
		t.Fatal(err)
	}
	return &registry.Release{Facts: f, Files: []registry.File{file}, Published: time.Date(2026, 1, 2, 3, 4, 5, 6000000, time.UTC)}
}

func fragmentOf(t *testing.T, r *registry.Release) string {
	t.Helper()
	var b bytes.Buffer
	if err := (Format{}).Fragment(entryFragment, r, &b); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestFragment(t *testing.T) {
	t.Parallel()
	r := released(t, "apiVersion: v2\nname: web app\nversion: 1.2.3-rc-1+b4\nappVersion: \"1.10\"\n")
	want := `{"name":"web app","version":"1.2.3-rc-1+b4","apiVersion":"v2","appVersion":"1.10",` +
		`"urls":["charts/web%20app-1.2.3-rc-1+b4.tgz"],"created":"2026-01-02T03:04:05.006Z","digest":"` + r.Files[0].Facts.Sums["sha256"] + `"}`
	if diff := cmp.Diff(want, fragmentOf(t, r)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	// Two charts whose archives are called the same have two URLs.
	for name, want := range map[string]string{
		"name: a\nversion: 1.0.0-2.0.0\n": "charts/a-1.0.0-2.0.0.tgz", "name: a-1.0.0\nversion: 2.0.0\n": "charts/a-1.0.0/a-1.0.0-2.0.0.tgz",
	} {
		if got := fragmentOf(t, released(t, name)); !strings.Contains(got, `"urls":["`+want+`"]`) {
			t.Errorf("%s has no URL %s", got, want)
		}
	}
}

// An index can be read as YAML, too, whatever a chart says.
func TestIndexIsYAML(t *testing.T) {
	t.Parallel()
	r := released(t, "apiVersion: v2\nname: web\nversion: 1.0.0\nannotations:\n  a: \"\\x7f\\x80\\x85\\u2028\\ufeff\\ufffe\\U0001F600\\t<&>\"\n"+
		"  "+strings.Repeat("<", maxKey)+": b\n")
	text := fragmentOf(t, r)
	want := map[string]any{"a": "\x7f\u0080\u0085\u2028\ufeff\ufffe\U0001f600\t<&>", strings.Repeat("<", maxKey): "b"}
	for name, decode := range map[string]func([]byte, any) error{"JSON": json.Unmarshal, "YAML": yaml.Unmarshal} {
		var got map[string]any
		if err := decode([]byte(text), &got); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if diff := cmp.Diff(want, got["annotations"]); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

// held are fragments in the order of publication.
type held []artifacttypes.Fragment

func (h held) All(string) iter.Seq2[artifacttypes.Fragment, error] {
	return func(yield func(artifacttypes.Fragment, error) bool) {
		for _, f := range h {
			if !yield(f, nil) {
				return
			}
		}
	}
}

func (h held) One(string, string) ([]byte, error) { return nil, nil }

func TestCompose(t *testing.T) {
	t.Parallel()
	var list held
	for i, v := range []string{"1.9.0", "1.10.0-rc.1", "1.10.0+a", "0.1", "1.10.0+b", "v2.0.0"} {
		list = append(list, artifacttypes.Fragment{Version: v, Published: time.Unix(int64(i), 0), Body: []byte(`"` + v + `"`)})
	}
	const versions = `["v2.0.0",` + "\n" + `"1.10.0+b",` + "\n" + `"1.10.0+a",` + "\n" + `"1.10.0-rc.1",` + "\n" + `"1.9.0",` + "\n" + `"0.1"]`
	tests := []struct {
		document string
		from     held
		want     string
	}{
		{versionsDocument, list, versions},
		{indexDocument, list, `"we\"b":` + versions},
		{chartsDocument, list, `"we\"b":` + versions},
		{versionsDocument, nil, "[]"},
	}
	for _, tt := range tests {
		var b bytes.Buffer
		if err := (Format{}).Compose(tt.document, &registry.Package{Name: `we"b`}, tt.from, &b); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(tt.want, b.String()); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.document, diff)
		}
	}
}

func BenchmarkCompose(b *testing.B) {
	var list held
	for i := range 20 {
		list = append(list, artifacttypes.Fragment{Version: "1." + string(rune('a'+i)) + ".0", Body: bytes.Repeat([]byte("x"), 500)})
		list[i].Version = "1.0." + strings.Repeat("1", 1+i%9)
	}
	for b.Loop() {
		if err := (Format{}).Compose(indexDocument, &registry.Package{Name: "web"}, list, &bytes.Buffer{}); err != nil {
			b.Fatal(err)
		}
	}
}
