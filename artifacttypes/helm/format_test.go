package helm

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/packhouse/packhouse/registry"
)

func TestNames(t *testing.T) {
	t.Parallel()
	for version, want := range map[string]registry.Tag{
		"1.2.3": "1.2.3", "1.2.3+b4": "1.2.3_b4", "v1": "v1", "1.2.3-rc.1+a.b": "1.2.3-rc.1_a.b",
		"": "", "newest": "", "1.2.3_4": "", "1.2.3/4": "",
	} {
		got, err := Format{}.Tag(version)
		if got != want || (err == nil) != (want != "") || err != nil && !errors.Is(err, registry.ManifestInvalid) {
			t.Errorf("Tag(%q) = %q, %v, want %q", version, got, err, want)
		}
	}
	for name, want := range map[string]string{"web": "web", "my-app2": "my-app2", "Azure": "azure--", "a_b": "a_b", "über": "ber--"} {
		if got, err := (Format{}).Repository(name); err != nil || got != want && !(strings.HasSuffix(want, "--") && strings.HasPrefix(got, want)) {
			t.Errorf("Repository(%q) = %q, %v, want %q", name, got, err, want)
		}
	}
	for _, name := range []string{"", "a/b", "..", "."} {
		if _, _, err := (Format{}).Canonical(name, ""); !errors.Is(err, registry.NameInvalid) {
			t.Errorf("Canonical(%q) gives %v, want NAME_INVALID", name, err)
		}
	}
	for _, label := range []string{"latest", "stable", "Edge", "vnext"} {
		if err := (Format{}).Label(label); err != nil {
			t.Errorf("Label(%q): %v", label, err)
		}
	}
	for _, label := range []string{"", "1.2.3", "1.2.3_b4", "v1", "v1.2.3_b4", "1.2.3x", "_a", "v--" + strings.Repeat("0", 40)} {
		if err := (Format{}).Label(label); !errors.Is(err, registry.ManifestInvalid) {
			t.Errorf("Label(%q) gives %v, want MANIFEST_INVALID", label, err)
		}
	}
}

func TestSplits(t *testing.T) {
	t.Parallel()
	tests := []struct {
		file string
		want []place
	}{
		{"web-1.2.3.tgz", []place{{"web", "1.2.3"}}},
		{"my-app-1.2.3-rc-1.tgz", []place{{"my-app", "1.2.3-rc-1"}, {"my-app-1.2.3-rc", "1"}}},
		{"postgres-14-1.0.0+b-2.tgz", []place{{"postgres-14", "1.0.0+b-2"}, {"postgres", "14-1.0.0+b-2"}, {"postgres-14-1.0.0+b", "2"}}},
		{"a-1.0.0-2.0.0.tgz", []place{{"a", "1.0.0-2.0.0"}, {"a-1.0.0", "2.0.0"}}},
		{"web.tgz", nil},
		{"web-.tgz", nil},
		{"-1.2.3.tgz", nil},
		{"web-1.2.3.tgz.prov", nil},
		{"index.yaml", nil},
	}
	for _, tt := range tests {
		got := splits(tt.file)
		if len(got) != len(tt.want) {
			t.Errorf("splits(%q) = %v, want %v", tt.file, got, tt.want)
			continue
		}
		for i := range got {
			if got[i] != tt.want[i] {
				t.Errorf("splits(%q) = %v, want %v", tt.file, got, tt.want)
			}
		}
	}
}

// A file name leads back to the version that it was made of, unless the URL
// says more.
func TestSplitsAreComplete(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		name := rapid.StringMatching(`[a-z]{1,3}(-[a-z0-9.]{1,4}){0,3}`).Draw(t, "name")
		version := rapid.StringMatching(`v?[1-9](\.[0-9]){0,2}(-[a-z0-9]{1,3}(-[1-9])?)?(\+[a-z0-9]{1,3})?`).Draw(t, "version")
		if checkVersion(version) != nil {
			return
		}
		if list := splits(fileName(name, version)); !slices.Contains(list, place{name, version}) {
			t.Errorf("%s %s is not among %v", name, version, list)
		}
	})
}
