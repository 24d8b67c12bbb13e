package maven

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// The chains are of Maven's specification and its own tests, and were checked
// against Maven 3.9.11.
func TestVersionsAreOrderedAsByMaven(t *testing.T) {
	t.Parallel()
	chains := [][]string{
		{"1-alpha2snapshot", "1-alpha2", "1-alpha-123", "1-beta-2", "1-beta123", "1-m2", "1-m11", "1-rc", "1-cr2", "1-rc123", "1-SNAPSHOT", "1", "1-sp", "1-sp2", "1-sp123", "1-abc", "1-def", "1-pom-1", "1-1-snapshot", "1-1", "1-2", "1-123"},
		{"2.0", "2.0.a", "2-1", "2.0.2", "2.0.123", "2.1.0", "2.1-a", "2.1b", "2.1-c", "2.1-1", "2.1.0.1", "2.2", "2.123", "11.a2", "11.a11", "11.b2", "11.b11", "11.m2", "11.m11", "11", "11.a", "11b", "11c", "11m"},
		{"1.0-alpha-1", "1.0-SNAPSHOT", "1.0", "1.0-20261123.203355-1", "1.0.1"},
		{"31.0-android", "31.0-jre", "31.1-android"},
		{"2.0.0.M1", "2.0.0.M9", "2.0.0.M10", "2.0.0.RC1", "2.0.0.RELEASE", "2.0.1.RELEASE"},
		{"20240101", "99999999999999999999"},
	}
	for _, chain := range chains {
		for i := range chain {
			for j := range chain {
				want := 0
				switch {
				case i < j:
					want = -1
				case i > j:
					want = 1
				}
				if got := parseVersion(chain[i]).compare(parseVersion(chain[j])); got != want {
					t.Errorf("compare(%s, %s) = %d, want %d", chain[i], chain[j], got, want)
				}
			}
		}
	}
}

func TestEqualVersions(t *testing.T) {
	t.Parallel()
	for _, same := range [][]string{
		{"1", "1.0", "1.0.0", "1-0", "1.0-0", "1ga", "1.0.ga", "1-final", "1.0.RELEASE", "01"},
		{"1-a1", "1-alpha-1", "1.0-ALPHA1"},
		{"1-cr1", "1-rc1"},
	} {
		for _, other := range same[1:] {
			if got := parseVersion(same[0]).compare(parseVersion(other)); got != 0 {
				t.Errorf("compare(%s, %s) = %d, want 0", same[0], other, got)
			}
		}
	}
}

func TestSortVersions(t *testing.T) {
	t.Parallel()
	got := []string{"1.10", "1.9", "1.0", "1", "1.9-SNAPSHOT", "1.9-rc1"}
	sortVersions(got)
	if diff := cmp.Diff([]string{"1", "1.0", "1.9-rc1", "1.9-SNAPSHOT", "1.9", "1.10"}, got); diff != "" {
		t.Error(diff)
	}
}

func FuzzParseVersion(f *testing.F) {
	for _, s := range []string{"1", "1.0-alpha-1", "", "..--", "1a1a1", "-1", "9999999999999999999999", "١.٢"} {
		f.Add(s, "1.0")
	}
	f.Fuzz(func(t *testing.T, a, b string) {
		forth, back := compareVersions(a, b), compareVersions(b, a)
		if forth != -back || forth == 0 != (a == b) {
			t.Errorf("compare(%q, %q) = %d, and %d the other way", a, b, forth, back)
		}
		list := []string{a, b, a + ".1"}
		sortVersions(list)
		other := []string{a + ".1", b, a}
		sortVersions(other)
		if !slices.Equal(list, other) {
			t.Errorf("%q and %q: sorted as %q and as %q", a, b, list, other)
		}
	})
}
