package npm

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func TestNames(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ name, repository string }{
		{"left-pad", "left-pad"},
		{"@acme/widget", "acme/widget"},
		{"@acme/blobs", "acme/blobs"},
		{"a.b_c", "a.b_c"},
		{"lodash.", "lodash--"},
		{"JSONStream", "jsonstream--"},
		{"@types/node", "types/node"},
		{"_private", ""},
		{".hidden", ""},
		{"-dash", ""},
		{"", ""},
		{"@acme", ""},
		{"@acme/", ""},
		{"@/x", ""},
		{"@acme/a/b", ""},
		{"@acme/.x", ""},
		{"@acme/-", ""},
		{"@acme/_x", "acme/"},
		{"a/b", ""},
		{"a b", ""},
		{"a%2fb", ""},
		{"ümlaut", ""},
		{"..", ""},
		{"@../x", ""},
		{"node_modules", ""},
		{"Favicon.ico", ""},
		{strings.Repeat("a", 215), ""},
		{strings.Repeat("a", 214), "aaa--"},
	} {
		got, err := Format{}.Repository(test.name)
		// What is hashed is tested where it is made.
		if want, _, _ := strings.Cut(test.repository, "--"); !strings.HasPrefix(got, want) || (err != nil) != (test.repository == "") {
			t.Errorf("Repository(%q) = %q, %v, want %q", test.name, got, err, test.repository)
		}
	}
}

func TestCanonical(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ version, want string }{
		{"1.2.3", "1.2.3"},
		{" v1.2.3 ", "1.2.3"},
		{"=v1.2.3", "1.2.3"},
		{"1.2.3+build.5", "1.2.3"},
		{"1.0.0-rc.1+build.5", "1.0.0-rc.1"},
		{"1.2.3beta", "1.2.3-beta"},
		{"01.2.03", "1.2.3"},
		{"1.0.0-beta.01", "1.0.0-beta.1"},
		{"1.0.0-00", "1.0.0-0"},
		{"1.0.0-0a", "1.0.0-0a"},
		{"1.0.0--", "1.0.0--"},
		{"9007199254740991.0.0", "9007199254740991.0.0"},
		{"9007199254740992.0.0", ""},
		{"99999999999999999999.0.0", ""},
		{"1.2", ""},
		{"1.2.x", ""},
		{"latest", ""},
		{"", ""},
		{"1.2.3-", "1.2.3--"}, // as node-semver has it
		{"1.0.0-007.x", "1.0.0-7.x"},
		{"1.2.3-a..b", ""},
		{"1.2.3-a_b", ""},
		{"1.2.3/../x", ""},
		{"1.0.0-" + strings.Repeat("a", 300), ""},
	} {
		got, err := canonical(test.version)
		if got != test.want || (err != nil) != (test.want == "") {
			t.Errorf("canonical(%q) = %q, %v, want %q", test.version, got, err, test.want)
		}
	}
}

// TestVersionsAreOneToOne: two canonical versions never share a tag, and the
// canonical form of one is itself.
func TestVersionsAreOneToOne(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		version := rapid.StringMatching(`v?(0|[1-9][0-9]{0,3})\.[0-9]{1,3}\.[0-9]{1,3}(-[0-9a-zA-Z-]{1,8}(\.[0-9a-zA-Z]{1,4})?)?(\+[0-9a-z]{1,5})?`)
		a, b := version.Draw(t, "a"), version.Draw(t, "b")
		x, err := canonical(a)
		if err != nil {
			t.Fatalf("canonical(%q): %v", a, err)
		}
		y, err := canonical(b)
		if err != nil {
			t.Fatalf("canonical(%q): %v", b, err)
		}
		if again, err := canonical(x); err != nil || again != x {
			t.Errorf("canonical(%q) = %q, of which it is %q, %v", a, x, again, err)
		}
		tagX, errX := Format{}.Tag(x)
		tagY, errY := Format{}.Tag(y)
		if errX != nil || errY != nil || (tagX == tagY) != (x == y) {
			t.Errorf("versions %s and %s have tags %s and %s, %v, %v", x, y, tagX, tagY, errX, errY)
		}
		if checkLabel(string(tagX)) == nil {
			t.Errorf("the tag %s of a version can be a dist-tag", tagX)
		}
	})
}

func TestLabels(t *testing.T) {
	t.Parallel()
	for label, want := range map[string]bool{
		"latest": true, "next": true, "beta-2": true, "4x": true, "release-1.x": true, "lts_old": true, "vnext": true,
		"": false, "1": false, "1.2": false, "1.x": false, "x": false, "X": false, "*": false, "~1": false, "v1": false,
		"v12-lts": false, "1.0.0": false, "1.0.0x": false, "1.0.0-beta": false, "a/b": false, "a b": false, "é": false,
		"-x": false, ".x": false, "a~b": false,
		"sha256-" + strings.Repeat("a", 64): false, strings.Repeat("a", 129): false,
	} {
		if err := checkLabel(label); (err == nil) != want {
			t.Errorf("checkLabel(%q) = %v, want accepted: %v", label, err, want)
		}
	}
}

func TestHighest(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		versions []string
		want     string
	}{
		{nil, ""},
		{[]string{"1.0.0", "1.10.0", "1.9.0"}, "1.10.0"},
		{[]string{"1.0.0", "2.0.0-rc.1"}, "1.0.0"},
		{[]string{"2.0.0-rc.2", "2.0.0-rc.10", "2.0.0-rc.1"}, "2.0.0-rc.10"},
	} {
		if diff := cmp.Diff(test.want, highest(test.versions)); diff != "" {
			t.Errorf("highest(%v): %s", test.versions, diff)
		}
	}
}

func TestCanonicalOfFormat(t *testing.T) {
	t.Parallel()
	pkg, version, err := Format{}.Canonical("@acme/widget", "v1.0.0+x")
	if pkg != "@acme/widget" || version != "1.0.0" || err != nil {
		t.Errorf("Canonical = %q, %q, %v", pkg, version, err)
	}
	if _, version, err = (Format{}).Canonical("@acme/widget", ""); version != "" || err != nil {
		t.Errorf("without a version: %q, %v", version, err)
	}
}
