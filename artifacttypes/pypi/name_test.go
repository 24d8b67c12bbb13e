package pypi

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestCanonicalName(t *testing.T) {
	t.Parallel()
	for s, want := range map[string]string{
		"requests": "requests", "Friendly-Bard": "friendly-bard", "FRIENDLY.BARD": "friendly-bard", "friendly_-.bard": "friendly-bard",
		"a": "a", "7": "7", "A1": "a1",
		"": "", "-a": "", "a-": "", ".a": "", "a b": "", "ä": "", "a/b": "", "a\x00b": "", "ſ": "", strings.Repeat("a", 201): "",
	} {
		if got, ok := canonicalName(s); got != want || ok != (want != "") {
			t.Errorf("canonicalName(%q) = %q, %v, want %q", s, got, ok, want)
		}
	}
}

func TestKindOf(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]kind{
		"a-1-py3-none-any.whl":               wheelKind,
		"a-1.tar.gz":                         sdistKind,
		"a-1.zip":                            sdistKind,
		"a-1-py3-none-any.whl.metadata":      metadataKind,
		"a-1.tar.gz.asc":                     signatureKind,
		"torch-2.0+cu118-cp310-none-a.whl":   wheelKind,
		"a-1!2-py3-none-any.whl":             wheelKind,
		"":                                   "",
		".whl":                               "",
		"dir/a-1-py3-none-any.whl":           "",
		`dir\a-1-py3-none-any.whl`:           "",
		"a-1-py3-none-any.whl\n":             "",
		"<script>-1-py3-none-any.whl":        "",
		"a-1.tar.gz.metadata":                "",
		"a-1.egg":                            "",
		"a-1.win32.exe":                      "",
		"a-1.tar.bz2":                        "",
		"a-1.tgz":                            "",
		"README.md":                          "",
		strings.Repeat("a", 256) + ".tar.gz": "",
	} {
		got, err := kindOf(name)
		if got != want || (err == nil) != (want != "") {
			t.Errorf("kindOf(%q) = %q, %v, want %q", name, got, err, want)
		}
	}
}

func TestParseWheelName(t *testing.T) {
	t.Parallel()
	for file, want := range map[string]wheelName{
		"My.Pkg-1.0-py3-none-any.whl":                     {name: "my-pkg", version: "1.0", tags: "py3-none-any"},
		"a-1.0RC1-1build-cp39.cp310-abi3-linux_x86.whl":   {name: "a", version: "1.0rc1", build: "1build", tags: "cp39.cp310-abi3-linux_x86"},
		"a_b-1!2.0+cu.1-py2.py3-none-manylinux1_i686.whl": {name: "a-b", version: "1!2.0+cu.1", tags: "py2.py3-none-manylinux1_i686"},
		"a-1.0_1-py3-none-any.whl":                        {name: "a", version: "1.0.post1", tags: "py3-none-any"},
	} {
		got, err := parseWheelName(file)
		if diff := cmp.Diff(want, got, cmp.AllowUnexported(wheelName{})); err != nil || diff != "" {
			t.Errorf("parseWheelName(%q): %v (-want +got):\n%s", file, err, diff)
		}
	}
	for _, file := range []string{
		"a-1-py3-none.whl", "a-1-x-y-py3-none-any.whl", "a-1-x-py3-none-any.whl", "a-1--py3-none-any.whl",
		"a-french-py3-none-any.whl", "_-1-py3-none-any.whl", "a-1-py3--any.whl",
	} {
		if got, err := parseWheelName(file); err == nil {
			t.Errorf("parseWheelName(%q) = %+v", file, got)
		}
	}
}

func TestSdistIs(t *testing.T) {
	t.Parallel()
	tests := []struct {
		file, name, version string
		want                bool
	}{
		{"my_pkg-1.0.tar.gz", "my-pkg", "1.0", true},
		{"My.Pkg-1.0.zip", "my-pkg", "1.0", true},
		{"my-pkg-1.0-1.tar.gz", "my-pkg", "1.0.post1", true},
		{"my-pkg-1.0rc1.tar.gz", "my-pkg", "1.0rc1", true},
		{"a-1.0_cu12.tar.gz", "a", "1.0+cu12", false},
		{"a-1.0.tar.gz", "a", "1.0.0", false},
		{"a-1.0.tar.gz", "b", "1.0", false},
		{"a.tar.gz", "a", "1.0", false},
		{"a-2-1.0.tar.gz", "a", "1.0", false},
		{"a-2-1.0.tar.gz", "a-2", "1.0", true},
	}
	for _, tt := range tests {
		if got := sdistIs(tt.file, tt.name, tt.version); got != tt.want {
			t.Errorf("sdistIs(%q, %q, %q) = %v", tt.file, tt.name, tt.version, got)
		}
	}
}

// FuzzFileName: what is a distribution's name can stand in a URL and in a page
// as it is, and is canonical in its parts.
func FuzzFileName(f *testing.F) {
	for _, name := range []string{"My.Pkg-1.0-1-py3-none-any.whl", "a-1.0.tar.gz", "a-1!2+l.zip", "a.whl.metadata", "a-1.tar.gz.asc", "../a.whl"} {
		f.Add(name)
	}
	f.Fuzz(func(t *testing.T, name string) {
		k, err := kindOf(name)
		if err != nil {
			return
		}
		if strings.ContainsAny(name, "/\\\x00<>\"'& \n") || name[0] == '.' {
			t.Errorf("%q is a %s", name, k)
		}
		w, err := parseWheelName(name)
		if k != wheelKind || err != nil {
			return
		}
		canonical, ok := canonicalName(w.name)
		version, versioned := canonicalVersion(w.version)
		if !ok || !versioned || canonical != w.name || version != w.version {
			t.Errorf("%q is %+v", name, w)
		}
	})
}
