package pypi

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestSpellings(t *testing.T) {
	t.Parallel()
	tests := map[string][]string{
		"1.0":       {"1", "1.0.0", "1.0.0.0"},
		"1.2":       {"1.2.0", "1.2.0.0"},
		"0":         {"0.0", "0.0.0", "0.0.0.0"},
		"1!2.0rc1":  {"1!2rc1", "1!2.0.0rc1", "1!2.0.0.0rc1"},
		"1.2.3.4":   nil,
		"1.2.3.4.0": {"1.2.3.4"},
	}
	for version, want := range tests {
		v, ok := parseVersion(version)
		if diff := cmp.Diff(want, v.spellings()); !ok || diff != "" {
			t.Errorf("%s:\n%s", version, diff)
		}
	}
}
