package auth

import (
	"slices"
	"strings"

	"github.com/packhouse/packhouse/registry"
)

// Verbs is a set of verbs. Enter and the zero Verb are never in one.
type Verbs uint16

const (
	reading   = Verbs(1<<registry.Read | 1<<registry.List)
	creating  = Verbs(1 << registry.Create)
	changing  = Verbs(1<<registry.Overwrite | 1<<registry.Label | 1<<registry.Withdraw)
	deleting  = Verbs(1 << registry.Delete)
	governing = Verbs(1 << registry.Admin)
	allVerbs  = reading | creating | changing | deleting | governing
)

// roles are the named sets of verbs, from the least; each holds the one before.
var roles = [...]struct {
	name  string
	verbs Verbs
}{
	{"reader", reading},
	{"publisher", reading | creating},
	{"maintainer", reading | creating | changing},
	{"admin", allVerbs},
}

// actions are those of Docker's token scopes ("repository:NAME:pull,push",
// distribution "Token Scope Documentation") and what they come to here.
var actions = [...]struct {
	name  string
	verbs Verbs // none in two but the last
	least registry.Verb
}{
	{"pull", reading, registry.Read},
	{"push", creating | changing, registry.Create},
	{"delete", deleting, registry.Delete},
	{"*", allVerbs, registry.Admin},
}

// Has tells whether v is in the set.
func (s Verbs) Has(v registry.Verb) bool { return s&bit(v) != 0 }

// With returns the set and v.
func (s Verbs) With(v registry.Verb) Verbs { return s | bit(v) }

func bit(v registry.Verb) Verbs { return 1 << v & allVerbs }

// String is a role's name or the verbs, comma-separated: what [ParseRole]
// reads as the same set.
func (s Verbs) String() string {
	for _, role := range roles {
		if role.verbs == s {
			return role.name
		}
	}
	var names []string
	for _, v := range registry.Grantable() {
		if s.Has(v) {
			names = append(names, v.String())
		}
	}
	switch {
	case names == nil:
		return "none"
	case s == governing:
		return "admin alone" // no text is read as this: "admin" is the role
	}
	return strings.Join(names, ",")
}

// ParseRole reads the name of a role, or verbs separated by commas. A lone
// "admin" is the role. It returns PARAMETER_INVALID.
func ParseRole(text string) (Verbs, error) {
	for _, role := range roles {
		if role.name == text {
			return role.verbs, nil
		}
	}
	var set Verbs
	for name := range strings.SplitSeq(text, ",") {
		v := verbNamed(strings.TrimSpace(name))
		if bit(v) == 0 {
			return 0, registry.E("auth.ParseRole", registry.ParameterInvalid, nil,
				"%q is not a role: use %s, or some of %s, separated by commas",
				clip(text), strings.Join(RoleNames(), ", "), verbNames())
		}
		if set.Has(v) {
			return 0, registry.E("auth.ParseRole", registry.ParameterInvalid, nil, "the role %q names %s twice", clip(text), v)
		}
		set = set.With(v)
	}
	return set, nil
}

// ParseVerb reads one verb, or an action of Docker's scopes as the least that
// it takes: pull is read, push is create. It returns PARAMETER_INVALID.
func ParseVerb(text string) (registry.Verb, error) {
	if v := verbNamed(text); bit(v) != 0 {
		return v, nil
	}
	for _, a := range actions {
		if a.name == text && a.verbs != allVerbs {
			return a.least, nil
		}
	}
	return 0, registry.E("auth.ParseVerb", registry.ParameterInvalid, nil,
		"%q is nothing that can be done to a repository: use pull, push or one of %s", clip(text), verbNames())
}

// RoleNames lists the roles, from the least.
func RoleNames() []string {
	names := make([]string, 0, len(roles))
	for _, role := range roles {
		names = append(names, role.name)
	}
	return names
}

// LeastRole names the least role that holds v, "" if none does.
func LeastRole(v registry.Verb) string {
	for _, role := range roles {
		if role.verbs.Has(v) {
			return role.name
		}
	}
	return ""
}

// ScopeActions lists the actions of Docker's scopes that s has a part of, so
// that a token of these actions is no narrower than s; "*" only if s is all.
func ScopeActions(s Verbs) []string {
	var names []string
	for _, a := range actions {
		if a.verbs == allVerbs && s != allVerbs {
			continue
		}
		if s&a.verbs != 0 {
			names = append(names, a.name)
		}
	}
	return names
}

// VerbsOfActions is what actions of Docker's scopes come to. Unknown ones come
// to nothing.
func VerbsOfActions(names []string) Verbs {
	var set Verbs
	for _, a := range actions {
		if slices.Contains(names, a.name) {
			set |= a.verbs
		}
	}
	return set
}

func verbNamed(name string) registry.Verb {
	for _, v := range registry.Grantable() {
		if v.String() == name {
			return v
		}
	}
	return 0
}

func verbNames() string {
	var names []string
	for _, v := range registry.Grantable() {
		names = append(names, v.String())
	}
	return strings.Join(names, ", ")
}

// clip keeps a client's own words short in the sentence sent back.
func clip(s string) string {
	const most = 80
	if len(s) > most {
		return s[:most] + "…"
	}
	return s
}
