package artifacttypes_test

import (
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/packhouse/packhouse/artifacttypes"
	"github.com/packhouse/packhouse/registry"
)

func TestEncodePath(t *testing.T) {
	t.Parallel()
	tests := []struct {
		in   []string
		want string // ending in "--": what comes before the hash
	}{
		{[]string{"left-pad"}, "left-pad"},
		{[]string{"acme", "widget"}, "acme/widget"},
		{[]string{"com.acme.tools", "my-lib"}, "com.acme.tools/my-lib"},
		{[]string{"Azure"}, "azure--3140d22d8cb307e2e7ffbae4"},
		{[]string{"a..b"}, "a-b--"},
		{[]string{"---"}, "x--"},
		{[]string{strings.Repeat("a", 101)}, strings.Repeat("a", 64) + "--"},
		{[]string{strings.Repeat("a", 90), strings.Repeat("b", 90)}, "x--"},
	}
	for _, tt := range tests {
		got, err := artifacttypes.EncodePath(tt.in...)
		if err != nil || got != tt.want && !(strings.HasSuffix(tt.want, "--") && strings.HasPrefix(got, tt.want)) {
			t.Errorf("EncodePath(%q) = %q, %v, want %q", tt.in, got, err, tt.want)
		}
	}
	for _, bad := range [][]string{nil, {""}, {"a", ""}, {"."}, {".."}, {"a/b"}, {"a\\b"}, {"a\x00"}} {
		if got, err := artifacttypes.EncodePath(bad...); err == nil {
			t.Errorf("EncodePath(%q) = %q, want an error", bad, got)
		}
	}
}

// TestNamesStayApart: different names and versions have different, legal
// repositories and tags.
func TestNamesStayApart(t *testing.T) {
	t.Parallel()
	component := rapid.StringMatching(`[a-zA-Z0-9._+~!@:-]{1,12}(--[0-9a-f]{24})?`)
	rapid.Check(t, func(t *rapid.T) {
		a := []string{component.Draw(t, "a"), component.Draw(t, "a2")}[:rapid.IntRange(1, 2).Draw(t, "n")]
		b := []string{component.Draw(t, "b"), component.Draw(t, "b2")}[:rapid.IntRange(1, 2).Draw(t, "m")]
		pa, errA := artifacttypes.EncodePath(a...)
		pb, errB := artifacttypes.EncodePath(b...)
		if errA != nil || errB != nil {
			return
		}
		if _, err := registry.ParseRepo("ns/" + pa); err != nil {
			t.Fatalf("%q is no legal name: %v", pa, err)
		}
		if same := strings.Join(a, "/") == strings.Join(b, "/"); (pa == pb) != same {
			t.Fatalf("%q and %q map to %q and %q", a, b, pa, pb)
		}
	})
	version := rapid.StringMatching(`[a-zA-Z0-9._+~!:_-]{1,10}(__[0-9a-f]{2})?[_:]{0,3}`)
	rapid.Check(t, func(t *rapid.T) {
		a, b := version.Draw(t, "a"), version.Draw(t, "b")
		ta, errA := artifacttypes.EscapeTag(a)
		tb, errB := artifacttypes.EscapeTag(b)
		if errA != nil || errB != nil {
			t.Fatalf("%q, %q: %v, %v", a, b, errA, errB)
		}
		if _, err := registry.ParseTag(string(ta)); err != nil {
			t.Fatalf("%q is no legal tag: %v", ta, err)
		}
		if (ta == tb) != (a == b) {
			t.Fatalf("%q and %q have tags %q and %q", a, b, ta, tb)
		}
		if back := unescape(string(ta)); back != a {
			t.Fatalf("%q has tag %q, which reads %q", a, ta, back)
		}
	})
}

// unescape is how anybody reads a version from an escaped tag.
func unescape(tag string) string {
	const digits = "0123456789abcdef"
	var b strings.Builder
	for i := 0; i < len(tag); i++ {
		if i+4 <= len(tag) && tag[i:i+2] == "__" {
			if hi, lo := strings.IndexByte(digits, tag[i+2]), strings.IndexByte(digits, tag[i+3]); hi >= 0 && lo >= 0 {
				b.WriteByte(byte(hi<<4 | lo))
				i += 3
				continue
			}
		}
		b.WriteByte(tag[i])
	}
	return b.String()
}

func TestTags(t *testing.T) {
	t.Parallel()
	tests := []struct {
		version, semver, escaped string
	}{
		{"1.0.0", "1.0.0", "1.0.0"},
		{"1.0.0-rc.1+build.5", "1.0.0-rc.1_build.5", "1.0.0-rc.1__2bbuild.5"},
		{"1:2.0~rc1", "", "1__3a2.0__7erc1"},
		{"a__b", "", "a__5f__5fb"},
		{"-1", "", "__2d1"},
		{"a_b", "", "a_b"},
	}
	for _, tt := range tests {
		if got, err := artifacttypes.SemverTag(tt.version); string(got) != tt.semver || (err == nil) != (tt.semver != "") {
			t.Errorf("SemverTag(%q) = %q, %v, want %q", tt.version, got, err, tt.semver)
		}
		if got, err := artifacttypes.EscapeTag(tt.version); string(got) != tt.escaped || err != nil {
			t.Errorf("EscapeTag(%q) = %q, %v, want %q", tt.version, got, err, tt.escaped)
		}
	}
	long := strings.Repeat("1", 200)
	signature := "sha256-" + strings.Repeat("a", 64) + ".sig"
	for _, version := range []string{long, signature} {
		if got, err := artifacttypes.EscapeTag(version); err != nil || !strings.HasPrefix(string(got), "v--") {
			t.Errorf("EscapeTag(%.20q…) = %q, %v", version, got, err)
		}
	}
}
