package auth

import (
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/packhouse/packhouse/registry"
)

func glob(tb testing.TB, pattern string) Glob {
	tb.Helper()
	g, err := CompileGlob(pattern)
	if err != nil {
		tb.Fatal(err)
	}
	return g
}

func TestGlobMatch(t *testing.T) {
	t.Parallel()
	tests := []struct {
		pattern  string
		yes, not []string
	}{
		{"acme", []string{"acme"}, []string{"", "acme/a", "acm", "acmee"}},
		{"acme/app", []string{"acme/app"}, []string{"acme", "acme/app/x", "acme/ap", "x/acme/app"}},
		{"acme/**", []string{"acme", "acme/a", "acme/a/b"}, []string{"", "acmes", "acmes/a", "acm"}},
		{"acme/*", []string{"acme/a", "acme/abc"}, []string{"acme", "acme/a/b", "acmea"}},
		{"acme/*/**", []string{"acme/a", "acme/a/b"}, []string{"acme", "acmes/a"}},
		{"acme/**/*", []string{"acme/a", "acme/a/b"}, []string{"acme"}},
		{"**", []string{"", "a", "a/b/c"}, nil},
		{"**/**", []string{"", "a", "a/b/c"}, nil},
		{"*", []string{"a", "abc"}, []string{"", "a/b"}},
		{"*/*", []string{"a/b"}, []string{"", "a", "a/b/c"}},
		{"**/charts", []string{"charts", "a/charts", "a/b/charts"}, []string{"", "a", "charts/a", "mycharts"}},
		{"a/**/z", []string{"a/z", "a/b/z", "a/z/z"}, []string{"a", "z", "a/z/b"}},
		{"app-*", []string{"app-1", "app-1-2"}, []string{"app", "app-1/x", "xapp-1"}},
		{"*-app", []string{"my-app", "a-app-app"}, []string{"app", "my-apps"}},
		{"a*b*c", []string{"abc", "axbxc", "abbcc"}, []string{"ab", "ac", "abcd"}},
		{"a*a", []string{"aa", "aba"}, []string{"a"}}, // no byte is matched twice
		{"*a*b*", []string{"ab", "xaxbx"}, []string{"ba"}},
		{"a.b", []string{"a.b"}, []string{"axb"}},
	}
	for _, test := range tests {
		t.Run(test.pattern, func(t *testing.T) {
			t.Parallel()
			g := glob(t, test.pattern)
			for _, name := range test.yes {
				if !g.Match(name) {
					t.Errorf("does not match %q", name)
				}
			}
			for _, name := range test.not {
				if g.Match(name) {
					t.Errorf("matches %q", name)
				}
			}
			if g.String() != test.pattern {
				t.Errorf("String() = %q", g)
			}
		})
	}
}

func TestGlobRefused(t *testing.T) {
	t.Parallel()
	for _, pattern := range []string{
		"", "/", "a/", "/a", "a//b", "A", "a b", "a?", "[a]", "{a,b}", "a\x00", "ä", "..", "a/../b", "a/.", "-a", "a-", "a..b",
		"***", "a**", "**a", "a/**b/c", `a\*`, "a%2fb", strings.Repeat("a", 257), strings.Repeat("a*", 129),
	} {
		if g, err := CompileGlob(pattern); err == nil || registry.Public(err).Code != registry.ParameterInvalid {
			t.Errorf("CompileGlob(%q): %v, %v", pattern, g, err)
		}
	}
	if _, err := CompileGlob(strings.Repeat("a*", 128)); err != nil {
		t.Errorf("256 bytes: %v", err)
	}
}

func TestGlobPrefixes(t *testing.T) {
	t.Parallel()
	tests := []struct {
		pattern, prefix  string
		overlaps, covers bool
	}{
		{"acme/app", "", true, false},
		{"acme/app", "acme", true, false},
		{"acme/app", "acme/app", true, false},
		{"acme/app", "acme/app/x", false, false},
		{"acme/app", "acme/other", false, false},
		{"acme/app", "ac", false, false},
		{"acme/**", "", true, false},
		{"acme/**", "acme", true, true},
		{"acme/**", "acme/npm", true, true},
		{"acme/**", "acmes", false, false},
		{"acme/*", "acme", true, false},
		{"acme/*", "acme/npm", true, false},
		{"acme/*", "acme/npm/x", false, false},
		{"acme/*/**", "acme", true, false},
		{"acme/*/**", "acme/npm", true, true},
		{"acme/**/*", "acme/npm", true, true},
		{"**", "", true, true},
		{"**", "acme", true, true},
		{"*", "", true, false},
		{"*/**", "", true, false}, // not "" itself
		{"*/**", "acme", true, true},
		{"**/charts", "acme", true, false},
		{"**/charts", "acme/charts", true, false},
		{"**/charts/**", "acme/charts", true, true},
		{"**/charts/**", "acme", true, false},
		{"team-*/**", "team-a", true, true},
		{"team-*/**", "steam-a", false, false},
		{"acme/npm-*", "acme/pypi", false, false},
	}
	for _, test := range tests {
		g := glob(t, test.pattern)
		if got := g.Overlaps(test.prefix); got != test.overlaps {
			t.Errorf("%s overlaps %q: %t", g, test.prefix, got)
		}
		if got := g.Covers(test.prefix); got != test.covers {
			t.Errorf("%s covers %q: %t", g, test.prefix, got)
		}
	}
}

func TestGlobIncludes(t *testing.T) {
	t.Parallel()
	tests := []struct {
		outer, inner string
		want         bool
	}{
		{"**", "**", true},
		{"**", "a/*/b-*", true},
		{"acme/**", "acme", true},
		{"acme/**", "acme/**", true},
		{"acme/**", "acme/*/x", true},
		{"acme/**", "**", false},
		{"acme/**", "acme*/x", false},
		{"acme/**", "*", false},
		{"acme/*", "acme/**", false},
		{"acme/*", "acme/x-*", true},
		{"acme/x-*", "acme/*", false},
		{"*", "alpine", true},
		{"*", "a*", true},
		{"*", "**", false},
		{"*", "a/b", false},
		{"a*c", "ab*c", true},
		{"ab*c", "a*c", false},
		{"**/charts", "acme/charts", true},
		{"**/charts", "acme/**/charts", true},
		{"a/**/b/**", "a/x/b/**/c", true},
	}
	for _, test := range tests {
		if got := glob(t, test.outer).Includes(glob(t, test.inner)); got != test.want {
			t.Errorf("%s includes %s: %t", test.outer, test.inner, got)
		}
	}
	if (Glob{}).Includes(glob(t, "a")) || !glob(t, "a").Includes(Glob{}) {
		t.Error("the zero Glob, which matches nothing, includes a or is not included in it")
	}
}

func TestZeroGlob(t *testing.T) {
	t.Parallel()
	var g Glob
	for _, name := range []string{"", "a", "a/b"} {
		if g.Match(name) || g.Overlaps(name) || g.Covers(name) {
			t.Errorf("the zero Glob matches %q", name)
		}
	}
}

// Ways that a matcher which tries them all would take longer than the test may.
func TestGlobHostile(t *testing.T) {
	t.Parallel()
	for pattern, name := range map[string]string{
		strings.Repeat("a*", 127) + "b":         strings.Repeat("a", 255),
		strings.Repeat("**/a/", 50) + "b":       strings.Repeat("a/", 127) + "a",
		strings.Repeat("**/*a*/", 36) + "b":     strings.Repeat("aa/", 84) + "aa",
		strings.Repeat("*/", 100) + "**/*b*/**": strings.Repeat("a/", 127) + "a",
	} {
		g := glob(t, pattern)
		for range 100 {
			if g.Match(name) {
				t.Fatalf("%s matches %s", pattern, name)
			}
		}
		g.Overlaps(name)
		g.Covers(name)
		glob(t, pattern).Includes(g)
	}
}

// Segments and names of a world so small that all its names can be asked about.
var worldSegments = []string{"a", "b", "ab", "ba"}

func world() []string {
	names := []string{""}
	level := []string{""}
	for range 3 {
		var next []string
		for _, above := range level {
			for _, s := range worldSegments {
				next = append(next, strings.TrimPrefix(above+"/"+s, "/"))
			}
		}
		names, level = append(names, next...), next
	}
	return names
}

func drawPattern(t *rapid.T) string {
	segments := rapid.SliceOfN(rapid.SampledFrom([]string{"a", "b", "ab", "a*", "*b", "a*b", "*", "**"}), 1, 4).Draw(t, "pattern")
	return strings.Join(segments, "/")
}

// naiveMatch is the definition: each `*` and `**` tried in every way.
func naiveMatch(pattern, name string) bool {
	var segments []string
	if name != "" {
		segments = strings.Split(name, "/")
	}
	return naiveSegments(strings.Split(pattern, "/"), segments)
}

func naiveSegments(pattern, name []string) bool {
	switch {
	case len(pattern) == 0:
		return len(name) == 0
	case pattern[0] == "**":
		for i := range len(name) + 1 {
			if naiveSegments(pattern[1:], name[i:]) {
				return true
			}
		}
		return false
	}
	return len(name) > 0 && naiveText(pattern[0], name[0]) && naiveSegments(pattern[1:], name[1:])
}

func naiveText(pattern, text string) bool {
	switch {
	case pattern == "":
		return text == ""
	case pattern[0] == '*':
		return naiveText(pattern[1:], text) || text != "" && naiveText(pattern, text[1:])
	}
	return text != "" && text[0] == pattern[0] && naiveText(pattern[1:], text[1:])
}

func below2(name, prefix string) bool {
	return name == prefix || prefix == "" || strings.HasPrefix(name, prefix+"/")
}

func TestGlobAgainstDefinition(t *testing.T) {
	t.Parallel()
	names := world()
	rapid.Check(t, func(rt *rapid.T) {
		pattern, other := drawPattern(rt), drawPattern(rt)
		g, inner := glob(t, pattern), glob(t, other)
		matched := map[string]bool{}
		included := true
		for _, name := range names {
			matched[name] = naiveMatch(pattern, name)
			if got := g.Match(name); got != matched[name] {
				rt.Fatalf("%s matches %q: %t", pattern, name, got)
			}
			included = included && (matched[name] || !naiveMatch(other, name))
		}
		if g.Includes(inner) && !included {
			rt.Fatalf("%s does not include %s", pattern, other)
		}
		for _, prefix := range names {
			any, every := false, true
			for _, name := range names {
				if below2(name, prefix) {
					any, every = any || matched[name], every && matched[name]
				}
			}
			if any && !g.Overlaps(prefix) {
				rt.Fatalf("%s overlaps %q", pattern, prefix)
			}
			if !every && g.Covers(prefix) {
				rt.Fatalf("%s does not cover %q", pattern, prefix)
			}
		}
	})
}

func FuzzGlob(f *testing.F) {
	for _, pattern := range []string{"acme/**", "**/a*b/**", "a", "*", "A", "a//b", "***"} {
		f.Add(pattern, "acme/ab")
	}
	f.Fuzz(func(t *testing.T, pattern, name string) {
		g, err := CompileGlob(pattern)
		if err != nil {
			if g.form != 0 {
				t.Fatal("refused and compiled")
			}
			return
		}
		again, err := CompileGlob(g.String())
		if err != nil || !again.Includes(g) && strings.Count(pattern, "**") == 0 {
			t.Fatalf("%q does not include itself: %v", pattern, err)
		}
		if g.Covers(name) && !g.Match(name) || g.Match(name) && !g.Overlaps(name) {
			t.Fatalf("%q about %q: covers %t, matches %t, overlaps %t", pattern, name, g.Covers(name), g.Match(name), g.Overlaps(name))
		}
	})
}
