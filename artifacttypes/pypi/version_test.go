package pypi

import (
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestCanonicalVersion(t *testing.T) {
	t.Parallel()
	const refused = ""
	tests := map[string]string{
		"1":                             "1",
		"1.0":                           "1.0",
		"1.0.0":                         "1.0.0",
		"01.02":                         "1.2",
		"v1.0":                          "1.0",
		" 1.0\n":                        "1.0",
		"1!2.0":                         "1!2.0",
		"0!2.0":                         "2.0",
		"00!2.0":                        "2.0",
		"1.1RC1":                        "1.1rc1",
		"1.1a":                          "1.1a0",
		"1.1.a1":                        "1.1a1",
		"1.1-a1":                        "1.1a1",
		"1.1_a_1":                       "1.1a1",
		"1.1alpha1":                     "1.1a1",
		"1.1beta2":                      "1.1b2",
		"1.1c3":                         "1.1rc3",
		"1.1pre3":                       "1.1rc3",
		"1.1preview":                    "1.1rc0",
		"1.2.post2":                     "1.2.post2",
		"1.2-post2":                     "1.2.post2",
		"1.2post":                       "1.2.post0",
		"1.0-r4":                        "1.0.post4",
		"1.0rev4":                       "1.0.post4",
		"1.0-1":                         "1.0.post1",
		"1.0a1-1":                       "1.0a1.post1",
		"1.2dev":                        "1.2.dev0",
		"1.2-dev2":                      "1.2.dev2",
		"1.0a1.post2.dev3":              "1.0a1.post2.dev3",
		"1.0+Ubuntu-1":                  "1.0+ubuntu.1",
		"1.0+ubuntu_01":                 "1.0+ubuntu.1",
		"1.0+cu118":                     "1.0+cu118",
		"1.0.dev456+ABC.0001":           "1.0.dev456+abc.1",
		"123456789012345678901234.0":    "123456789012345678901234.0",
		"000000000000000000000000000.0": "0.0",
		"1.0a.":                         "1.0a0",
		"":                              refused,
		"v":                             refused,
		"a":                             refused,
		"1.":                            refused,
		".1":                            refused,
		"1..2":                          refused,
		"1!":                            refused,
		"!1":                            refused,
		"1!1!1":                         refused,
		"1.0-":                          refused,
		"1.0--1":                        refused,
		"1.0+":                          refused,
		"1.0+a..b":                      refused,
		"1.0+.a":                        refused,
		"1.0+a+b":                       refused,
		"1.0 a1":                        refused,
		"1.0.post1.post2":               refused,
		"1.0.dev1a1":                    refused,
		"1.0foo":                        refused,
		"1.*":                           refused,
		"١.٢":                           refused, // digits, but not ASCII
		"1.0po\u017ft1":                 refused, // a letter that folds to an "s"
		strings.Repeat("1", 257):        refused,
		"french toast":                  refused,
	}
	for s, want := range tests {
		got, ok := canonicalVersion(s)
		if got != want || ok != (want != refused) {
			t.Errorf("canonicalVersion(%q) = %q, %v, want %q", s, got, ok, want)
		}
	}
}

// TestVersionOrder compares all pairs of a list in order: PEP 440's own
// examples and what lies between them.
func TestVersionOrder(t *testing.T) {
	t.Parallel()
	ordered := []string{
		"0.9", "1.dev0", "1.0.dev456", "1.0a1", "1.0a2.dev456", "1.0a12.dev456", "1.0a12", "1.0b1.dev456", "1.0b2",
		"1.0b2.post345.dev456", "1.0b2.post345", "1.0rc1.dev456", "1.0rc1", "1.0", "1.0+abc", "1.0+abc.5", "1.0+abc.7", "1.0+5",
		"1.0.post456.dev34", "1.0.post456", "1.0.1", "1.1.dev1", "1.10", "9", "10", "99999999999999999999", "100000000000000000000", "1!0.1",
	}
	for i, a := range ordered {
		for j, b := range ordered {
			va, _ := parseVersion(a)
			vb, _ := parseVersion(b)
			want := min(max(i-j, -1), 1)
			if got := min(max(va.compare(vb), -1), 1); got != want {
				t.Errorf("%s compared with %s is %d, want %d", a, b, got, want)
			}
		}
	}
	for _, pair := range [][2]string{{"1", "1.0.0"}, {"1.0a1", "1.0.0alpha1"}, {"1.0-1", "1.post1"}, {"1.0+a.01", "1+A-1"}} {
		a, _ := parseVersion(pair[0])
		b, _ := parseVersion(pair[1])
		if a.compare(b) != 0 {
			t.Errorf("%s and %s differ", pair[0], pair[1])
		}
	}
}

// TestTags: distinct versions have distinct tags, all legal.
func TestTags(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		draw := func(label string) string {
			return rapid.StringMatching(`([12]!)?[0-9]{1,3}(\.[0-9]){0,2}((a|b|rc)[0-3])?(\.post[0-3])?(\.dev[0-3])?(\+[a-c1-3]{1,2}(\.[a-c1-3])?)?`).Draw(t, label)
		}
		a, _ := canonicalVersion(draw("a"))
		b, _ := canonicalVersion(draw("b"))
		tagA, errA := Format{}.Tag(a)
		tagB, errB := Format{}.Tag(b)
		if errA != nil || errB != nil {
			t.Fatal(errA, errB)
		}
		if (a == b) != (tagA == tagB) {
			t.Fatalf("versions %q and %q have tags %q and %q", a, b, tagA, tagB)
		}
	})
	for version, want := range map[string]string{
		"1!2.0+cu12":                    "1-2.0_cu12",
		"1.0":                           "1.0",
		"1." + strings.Repeat("1", 200): "v--", // and a hash: too long for a tag
	} {
		got, err := Format{}.Tag(version)
		if err != nil || string(got) != want && (want != "v--" || !strings.HasPrefix(string(got), want)) {
			t.Errorf("tag of %q is %q, %v, want %q", version, got, err, want)
		}
	}
	for _, version := range []string{"", "1.0-1", "1.0RC1", "01", "latest"} {
		if got, err := (Format{}).Tag(version); err == nil {
			t.Errorf("tag of %q, which is not canonical, is %q", version, got)
		}
	}
}

// FuzzVersion: a canonical version is its own, equals what it came from, and
// has a tag.
func FuzzVersion(f *testing.F) {
	for _, s := range []string{"1!2.0a1.post2.dev3+l.1", "1.0-1", "v1.0.RC_2", "1.0+A_b-3", "1.0a.", "0"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		v, ok := parseVersion(s)
		if !ok {
			return
		}
		canonical := v.String()
		again, ok := parseVersion(canonical)
		if !ok || again.String() != canonical || again.compare(v) != 0 || !slices.Equal(again.release, v.release) {
			t.Errorf("%q is %q, which is %q", s, canonical, again)
		}
		if _, err := (Format{}).Tag(canonical); err != nil {
			t.Error(err)
		}
	})
}
