package pypi

import (
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
)

const head = "Metadata-Version: 2.4\nName: My.Pkg\nVersion: 1.0\n"

func TestParseMetadata(t *testing.T) {
	t.Parallel()
	base := func(change func(*metadata)) metadata {
		m := metadata{MetadataVersion: "2.4", Name: "My.Pkg", Version: "1.0"}
		change(&m)
		return m
	}
	tests := []struct {
		name, text string
		want       metadata
	}{
		{"least", head, base(func(*metadata) {})},
		{"no newline at the end", strings.TrimSpace(head), base(func(*metadata) {})},
		{"carriage returns", strings.ReplaceAll(head, "\n", "\r\n"), base(func(*metadata) {})},
		{"lone carriage returns", strings.ReplaceAll(head, "\n", "\r"), base(func(*metadata) {})},
		{"letters of fields", strings.ToUpper(head[:17]) + head[17:], base(func(*metadata) {})},
		{"repeated fields", head + "Requires-Dist: a>=1\nRequires-Dist: b\nClassifier: X\n", base(func(m *metadata) {
			m.RequiresDist, m.Classifiers = []string{"a>=1", "b"}, []string{"X"}
		})},
		{"the first of two counts", head + "Summary: one\nSummary: two\n", base(func(m *metadata) { m.Summary = "one" })},
		{"continued", head + "Requires-Dist: a;\n    extra == \"x\"\n", base(func(m *metadata) { m.RequiresDist = []string{`a; extra == "x"`} })},
		{"license text", head + "License: MIT\n        \n        Permission\x0c\n", base(func(m *metadata) { m.License = "MIT\n\nPermission" })},
		{"fields behind the body are text", head + "\nRequires-Dist: evil\n", base(func(*metadata) {})},
		{"fields behind a line that is none", head + "what is this\nRequires-Dist: evil\n", base(func(*metadata) {})},
		{"values with colons", head + "Project-URL: Home, https://a.test:1/\n", base(func(m *metadata) { m.ProjectURLs = []string{"Home, https://a.test:1/"} })},
		{"unknown fields", head + "X-Thing: y\nImport-Name: z\n", base(func(*metadata) {})},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, err := parseMetadata("METADATA", []byte(tt.text))
			if diff := cmp.Diff(tt.want, got); err != nil || diff != "" {
				t.Errorf("parseMetadata: %v (-want +got):\n%s", err, diff)
			}
		})
	}
}

func TestParseMetadataRefuses(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct{ text, want string }{
		"nothing":              {"", "Metadata-Version"},
		"not UTF-8":            {head + "Author: \xff\n", "not UTF-8"},
		"UTF-16":               {"\xff\xfeN\x00a\x00", "not UTF-8"},
		"a NUL":                {head + "Author: \x00\n", "NUL"},
		"two names":            {head + "Name: other\n", "field name twice"},
		"two versions":         {head + "version: 2\n", "field version twice"},
		"an empty second":      {"Metadata-Version: 2.1\nName:\nName: a\nVersion: 1\n", "field name twice"},
		"a version by a CR":    {head + "Summary: x\rVersion: 2\n", "field version twice"},
		"a later format":       {strings.Replace(head, "2.4", "3.0", 1), "1.x and 2.x"},
		"no name":              {strings.Replace(head, "Name", "Nome", 1), "Name"},
		"a name that is none":  {strings.Replace(head, "My.Pkg", "../x", 1), "Name"},
		"a version not of 440": {strings.Replace(head, "1.0", "latest", 1), "PEP 440"},
		"too many fields":      {head + strings.Repeat("Classifier: "+strings.Repeat("x", 1000)+"\n", 1100), "1024 KiB"},
		"one long field":       {head + "Summary: " + strings.Repeat("x", 2<<20) + "\n", "1024 KiB"},
		"one long folded":      {head + "Summary: x\n" + strings.Repeat(" "+strings.Repeat("y", 1<<10)+"\n", 2<<10), "1024 KiB"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m, err := parseMetadata("METADATA", []byte(tt.text))
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("parseMetadata = %+v, %v, want an error with %q", m, err, tt.want)
			}
		})
	}
}

func TestReadme(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		head + "\n# Title\n\ntext\n":              "# Title\n\ntext\n",
		head + "Description: a\n        b\n":      "a\nb",
		head + "Description: field\n\nthe body\n": "field",
		head:            "",
		"# no fields\n": "# no fields\n",
		strings.ReplaceAll(head, "\n", "\r\n") + "\r\nx": "x",
	} {
		if got := readme([]byte(text)); got != want {
			t.Errorf("readme(%q) = %q, want %q", text, got, want)
		}
	}
}

func TestSPDX(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		m    metadata
		want string
	}{
		{metadata{Expression: "MIT OR Apache-2.0", License: "see file"}, "MIT OR Apache-2.0"},
		{metadata{License: "BSD"}, "BSD"},
		{metadata{License: "line\nline"}, ""},
		{metadata{License: strings.Repeat("x", 101)}, ""},
	} {
		if got := tt.m.spdx(); got != tt.want {
			t.Errorf("spdx of %+v = %q, want %q", tt.m, got, tt.want)
		}
	}
}

func TestWords(t *testing.T) {
	t.Parallel()
	for keywords, want := range map[string][]string{"": nil, "a b": {"a", "b"}, "a b, c ,": {"a b", "c"}} {
		if got := (&metadata{Keywords: keywords}).words(); !cmp.Equal(got, want) {
			t.Errorf("words of %q = %q, want %q", keywords, got, want)
		}
	}
}

// FuzzMetadata: what is accepted is a name and a version, survives JSON, and
// contains nothing that would stand for the feed's URL in a document.
func FuzzMetadata(f *testing.F) {
	for _, text := range []string{head, head + "License: a\n  b\n\nbody", head + "Description: x\n\ty\r\rz", "Name\n:", "a:b\r\n\r\n"} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		_ = readme(text)
		m, err := parseMetadata("METADATA", text)
		if err != nil {
			return
		}
		if _, ok := canonicalName(m.Name); !ok {
			t.Errorf("name %q", m.Name)
		}
		if _, ok := canonicalVersion(m.Version); !ok {
			t.Errorf("version %q", m.Version)
		}
		body, err := json.Marshal(m)
		if err != nil || !utf8.Valid(body) || strings.Contains(string(body), `\u0000`) {
			t.Errorf("%q, %v", body, err)
		}
		var again metadata
		if err := json.Unmarshal(body, &again); err != nil || !cmp.Equal(m, again) {
			t.Errorf("%+v is %+v after JSON, %v", m, again, err)
		}
	})
}
