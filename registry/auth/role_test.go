package auth

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/packhouse/packhouse/registry"
)

func set(verbs ...registry.Verb) Verbs {
	var s Verbs
	for _, v := range verbs {
		s = s.With(v)
	}
	return s
}

func TestParseRole(t *testing.T) {
	t.Parallel()
	reader := []registry.Verb{registry.Read, registry.List}
	maintainer := append(reader[:2:2], registry.Create, registry.Overwrite, registry.Label, registry.Withdraw)
	tests := []struct {
		text string
		want Verbs // 0: refused
	}{
		{"reader", set(reader...)},
		{"publisher", set(registry.Read, registry.List, registry.Create)},
		{"maintainer", set(maintainer...)},
		{"admin", set(append(maintainer[:6:6], registry.Delete, registry.Admin)...)},
		{"read", set(registry.Read)},
		{"read,delete", set(registry.Read, registry.Delete)},
		{"label, withdraw", set(registry.Label, registry.Withdraw)},
		{"read,admin", set(registry.Read, registry.Admin)}, // the verb
		{"", 0},
		{"Reader", 0},
		{"reader,create", 0}, // a role is no verb
		{"read,", 0},
		{"read,read", 0},
		{"admin,admin", 0},
		{"enter", 0},
		{"none", 0},
		{"owner", 0},
		{"*", 0},
	}
	for _, test := range tests {
		t.Run(test.text, func(t *testing.T) {
			t.Parallel()
			got, err := ParseRole(test.text)
			if got != test.want || (err == nil) != (test.want != 0) {
				t.Fatalf("ParseRole(%q) = %s, %v; want %s", test.text, got, err, test.want)
			}
			if err != nil && registry.Public(err).Code != registry.ParameterInvalid {
				t.Errorf("code %s, want %s", registry.Public(err).Code, registry.ParameterInvalid)
			}
		})
	}
}

// Every set is read back from its text, but for the one that has none.
func TestVerbsText(t *testing.T) {
	t.Parallel()
	for s := Verbs(2); s <= allVerbs; s += 2 {
		got, err := ParseRole(s.String())
		if s == governing {
			if err == nil {
				t.Errorf("%q was read as %s", s.String(), got)
			}
			continue
		}
		if err != nil || got != s {
			t.Errorf("ParseRole(%q) = %s, %v", s.String(), got, err)
		}
	}
	if got := Verbs(0).String(); got != "none" {
		t.Errorf("no verbs are %q", got)
	}
}

func TestVerbsHoldNoOthers(t *testing.T) {
	t.Parallel()
	for v := range registry.Verb(255) {
		granted := v >= registry.Read && v <= registry.Admin
		if got := allVerbs.Has(v); got != granted {
			t.Errorf("all verbs have %d: %t", v, got)
		}
		if got := Verbs(0).With(v).Has(v); got != granted {
			t.Errorf("with %d, a set has it: %t", v, got)
		}
	}
}

func TestLeastRole(t *testing.T) {
	t.Parallel()
	want := map[registry.Verb]string{
		0: "", registry.Enter: "",
		registry.Read: "reader", registry.List: "reader", registry.Create: "publisher",
		registry.Overwrite: "maintainer", registry.Label: "maintainer", registry.Withdraw: "maintainer",
		registry.Delete: "admin", registry.Admin: "admin",
	}
	for v, role := range want {
		if got := LeastRole(v); got != role {
			t.Errorf("LeastRole(%s) = %q, want %q", v, got, role)
		}
	}
}

func TestScopeActions(t *testing.T) {
	t.Parallel()
	tests := []struct {
		role string
		want []string
	}{
		{"reader", []string{"pull"}},
		{"read", []string{"pull"}},
		{"publisher", []string{"pull", "push"}},
		{"label", []string{"push"}},
		{"maintainer", []string{"pull", "push"}},
		{"read,delete", []string{"pull", "delete"}},
		{"admin", []string{"pull", "push", "delete", "*"}},
	}
	for _, test := range tests {
		t.Run(test.role, func(t *testing.T) {
			t.Parallel()
			s, err := ParseRole(test.role)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, ScopeActions(s)); diff != "" {
				t.Error(diff)
			}
		})
	}
	for s := Verbs(0); s <= allVerbs; s += 2 {
		back := VerbsOfActions(ScopeActions(s))
		if lost := s &^ back &^ governing; lost != 0 || s == allVerbs && back != allVerbs {
			t.Errorf("a token of %v lacks %s of %s", ScopeActions(s), lost, s)
		}
		if s&governing == 0 && back&governing != 0 {
			t.Errorf("a token of %v has admin, %s has not", ScopeActions(s), s)
		}
	}
}

func TestVerbsOfActions(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		actions []string
		want    Verbs
	}{
		{nil, 0},
		{[]string{"pull"}, set(registry.Read, registry.List)},
		{[]string{"push"}, set(registry.Create, registry.Overwrite, registry.Label, registry.Withdraw)},
		{[]string{"delete"}, set(registry.Delete)},
		{[]string{"*"}, set(registry.Grantable()...)},
		{[]string{"pull", "Push", "", "admin"}, set(registry.Read, registry.List)},
	} {
		if got := VerbsOfActions(test.actions); got != test.want {
			t.Errorf("VerbsOfActions(%q) = %s, want %s", test.actions, got, test.want)
		}
	}
}

func TestParseVerb(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]registry.Verb{
		"read": registry.Read, "admin": registry.Admin, "pull": registry.Read, "push": registry.Create, "delete": registry.Delete,
		"*": 0, "": 0, "enter": 0, "none": 0, "reader": 0,
	} {
		if got, err := ParseVerb(text); got != want || (err == nil) != (want != 0) {
			t.Errorf("ParseVerb(%q) = %s, %v; want %s", text, got, err, want)
		}
	}
}
