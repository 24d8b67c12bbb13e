package auth

import (
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/packhouse/packhouse/registry"
	"github.com/packhouse/packhouse/storage/meta"
)

// oracle decides by the rules as people read them, slowly, and shares no code
// with the policy: sets of verbs are lists of words, globs are tried in every
// way, and all rows are gone through for each decision.
type oracle struct{ rows meta.AccessRows }

var oracleVerbs = []string{"read", "list", "create", "overwrite", "label", "withdraw", "delete", "admin"}

// role lists a role's verbs; nil for what is no role.
func (oracle) role(text string) []string {
	switch text {
	case "reader":
		return oracleVerbs[:2]
	case "publisher":
		return oracleVerbs[:3]
	case "maintainer":
		return oracleVerbs[:6]
	case "admin":
		return oracleVerbs
	}
	words := strings.Split(text, ",")
	for _, w := range words {
		if !slices.Contains(oracleVerbs, w) {
			return nil
		}
	}
	return words
}

func (oracle) legal(pattern string) bool {
	for s := range strings.SplitSeq(pattern, "/") {
		if s != "**" && (s == "" || strings.Contains(s, "**") || strings.Trim(s, "ab*") != "") {
			return false
		}
	}
	return true
}

// inside tells whether a legal pattern is about a namespace alone.
func (oracle) inside(pattern, namespace string) bool {
	if namespace == "" {
		return pattern != "**" && !strings.Contains(pattern, "/")
	}
	return pattern == namespace || strings.HasPrefix(pattern, namespace+"/")
}

// gives lists what an allow of a row gives for name.
func (o oracle) gives(role, pattern string, namespaceID int64, namespace, name string) []string {
	if !o.legal(pattern) || namespaceID != 0 && !o.inside(pattern, namespace) || !naiveMatch(pattern, name) {
		return nil
	}
	return o.role(role)
}

// takes tells whether a deny of a row denies verb on name.
func (o oracle) takes(g meta.Grant, verb, name string) bool {
	verbs := o.role(g.Role)
	if verbs == nil {
		verbs = oracleVerbs
	}
	if !slices.Contains(verbs, verb) {
		return false
	}
	switch {
	case o.legal(g.Repositories):
		return naiveMatch(g.Repositories, name)
	case g.NamespaceID == 0:
		return true
	case g.Namespace == "":
		return name != "" && !strings.Contains(name, "/")
	}
	return name == g.Namespace || strings.HasPrefix(name, g.Namespace+"/")
}

func (o oracle) public(name string) bool {
	found := func(at string, exact bool) (public, ok bool) {
		public = true
		for _, v := range o.rows.Visible {
			if string(v.Name) == at && v.Exact == exact {
				public, ok = public && v.Public, true
			}
		}
		return public, ok
	}
	if public, ok := found(name, true); ok {
		return public
	}
	segments := strings.Split(name, "/")
	for n := len(segments); n >= 0; n-- {
		if public, ok := found(strings.Join(segments[:n], "/"), false); ok {
			return public
		}
	}
	return false
}

// inGroup tells whether a principal is in a group.
func (o oracle) inGroup(principal, group int64) bool {
	return slices.ContainsFunc(o.rows.Members, func(m meta.Member) bool { return m.Principal == principal && m.Group == group })
}

func (o oracle) may(id *Identity, verb, name string) bool {
	if id == nil || !slices.Contains(oracleVerbs, verb) {
		return false
	}
	var allowed, denied bool
	var principal int64
	reads := verb == "read" || verb == "list"
	switch id.Kind {
	case Operator, Open:
		return true
	case Anonymous:
	case User, ServiceAccount:
		i := slices.IndexFunc(o.rows.Principals, func(p meta.Principal) bool {
			return p.ID == id.ID && p.Name == id.Name && p.Kind == map[Kind]string{User: "user", ServiceAccount: "service"}[id.Kind]
		})
		if i < 0 || !o.rows.Principals[i].Disabled.IsZero() {
			return false
		}
		principal = id.ID
	case Workload:
		i := slices.IndexFunc(o.rows.Trusts, func(t meta.Trust) bool { return t.ID == id.ID && t.Name == id.Name })
		if i < 0 {
			return false
		}
		t := o.rows.Trusts[i]
		allowed = slices.Contains(o.gives(t.Role, t.Repositories, t.NamespaceID, t.Namespace, name), verb)
	default:
		return false
	}
	for _, g := range o.rows.Grants {
		all := g.Principal == 0 && g.Group == 0
		mine := principal != 0 && (g.Principal == principal || g.Group != 0 && o.inGroup(principal, g.Group))
		switch {
		case !all && !mine:
		case g.Deny:
			denied = denied || o.takes(g, verb, name)
		case g.Principal != 0 && g.Group != 0: // to two at once: not understood
		case all && id.Kind == Workload && !reads: // changes what its trust rule says alone
		default:
			allowed = allowed || slices.Contains(o.gives(g.Role, g.Repositories, g.NamespaceID, g.Namespace, name), verb)
		}
	}
	allowed = allowed || reads && o.public(name)
	return allowed && !denied && o.narrowed(id, verb, name)
}

// narrowed tells whether an identity's scope and claims let verb through.
func (o oracle) narrowed(id *Identity, verb, name string) bool {
	in := id.Scope == nil
	for _, s := range id.Scope {
		in = in || slices.Contains(o.gives(s.Role, s.Repositories, 0, "", name), verb)
	}
	claimed := id.Claims == nil
	if id.Claims != nil {
		for _, c := range id.Claims.Access {
			listed := slices.Contains(strings.Split(strings.Replace(c.Verbs.String(), "reader", "read,list", 1), ","), verb)
			claimed = claimed || listed && (string(c.Repo) == name && name != "" || c.Repo == "" && verb == "list")
		}
	}
	return in && claimed
}

func drawRows(t *rapid.T) meta.AccessRows {
	// Those that come first are drawn most often.
	role := rapid.SampledFrom([]string{"admin", "maintainer", "publisher", "reader", "read", "create,delete", "list", "nonsense", ""})
	pattern := rapid.OneOf(rapid.SampledFrom([]string{"**", "a/**", "**/b", "*/**", "*", "a/b", "a", "A", "a//b", "", "a/***"}), rapid.Custom(drawPattern))
	namespaces := rapid.SampledFrom([]string{"", "a", "b", "a/b"})
	id := rapid.Int64Range(0, 3)
	var r meta.AccessRows
	for i := range int64(3) {
		p := meta.Principal{ID: i + 1, Kind: "user", Name: fmt.Sprintf("u%d", i+1)}
		if i == 2 {
			p.Kind = "service"
		}
		if rapid.IntRange(0, 9).Draw(t, "disabled") == 9 {
			p.Disabled = time.UnixMilli(1)
		}
		r.Principals = append(r.Principals, p)
		r.Groups = append(r.Groups, meta.Group{ID: i + 1, Name: fmt.Sprintf("g%d", 3-i)})
	}
	for range rapid.IntRange(3, 8).Draw(t, "members") {
		r.Members = append(r.Members, meta.Member{Group: id.Draw(t, "group"), Principal: id.Draw(t, "principal"), Source: rapid.SampledFrom([]string{"local", "oidc"}).Draw(t, "source")})
	}
	bound := func() (int64, string) {
		if rapid.Bool().Draw(t, "bound") {
			return 7, namespaces.Draw(t, "namespace")
		}
		return 0, ""
	}
	for i := range rapid.IntRange(2, 12).Draw(t, "grants") {
		g := meta.Grant{ID: int64(i + 1), Deny: rapid.IntRange(0, 3).Draw(t, "deny") == 3, Role: role.Draw(t, "role"), Repositories: pattern.Draw(t, "glob")}
		g.NamespaceID, g.Namespace = bound()
		switch rapid.IntRange(0, 9).Draw(t, "to") {
		case 9:
			g.Principal, g.Group = id.Draw(t, "principal"), id.Draw(t, "group")
		case 0:
		case 3, 4, 5:
			g.Group = id.Draw(t, "group")
		default:
			g.Principal = id.Draw(t, "principal")
		}
		r.Grants = append(r.Grants, g)
	}
	for i := range int64(2) {
		w := meta.Trust{ID: i + 1, Name: fmt.Sprintf("w%d", i+1), Role: role.Draw(t, "role"), Repositories: pattern.Draw(t, "glob")}
		w.NamespaceID, w.Namespace = bound()
		r.Trusts = append(r.Trusts, w)
	}
	for range rapid.IntRange(0, 4).Draw(t, "visible") {
		v := meta.Visible{Name: registry.Repo(rapid.SampledFrom(world()[:21]).Draw(t, "name")), Exact: rapid.Bool().Draw(t, "exact"), Public: rapid.IntRange(0, 2).Draw(t, "public") > 0}
		v.Exact = v.Exact && v.Name != ""
		r.Visible = append(r.Visible, v)
	}
	r.Tokens = int64(rapid.IntRange(0, 1).Draw(t, "tokens"))
	return r
}

func drawIdentity(t *rapid.T) *Identity {
	n := rapid.Int64Range(1, 4).Draw(t, "id")
	i := &Identity{ID: n}
	switch i.Kind = rapid.SampledFrom([]Kind{
		User, User, User, User, User, User, User, User, ServiceAccount, ServiceAccount, ServiceAccount, Anonymous, Anonymous,
		Workload, Workload, Workload, Operator, Open, 0, 77,
	}).Draw(t, "kind"); i.Kind {
	case User:
		i.Name = fmt.Sprintf("u%d", n)
	case ServiceAccount:
		i.ID, i.Name = 3, "u3"
	case Workload:
		i.Name = fmt.Sprintf("w%d", n)
	case Anonymous, Operator, Open:
		i.ID = rapid.Int64Range(0, 3).Draw(t, "stray id")
	}
	if rapid.IntRange(0, 9).Draw(t, "renamed") == 9 {
		i.Name = "u1"
	}
	switch rapid.IntRange(0, 4).Draw(t, "scope") {
	case 4:
		i.Scope = []Scope{}
	case 2, 3:
		i.Scope = rapid.SliceOfN(rapid.Custom(func(t *rapid.T) Scope {
			return Scope{
				Repositories: rapid.OneOf(rapid.SampledFrom([]string{"**", "a/**", "A"}), rapid.Custom(drawPattern)).Draw(t, "scope glob"),
				Role:         rapid.SampledFrom([]string{"admin", "publisher", "reader", "read,delete", "nonsense"}).Draw(t, "scope role"),
			}
		}), 1, 3).Draw(t, "scopes")
	}
	if rapid.IntRange(0, 3).Draw(t, "claimed") == 3 {
		i.Claims = &Claims{Access: rapid.SliceOfN(rapid.Custom(func(t *rapid.T) ClaimedAccess {
			return ClaimedAccess{
				Repo:  registry.Repo(rapid.SampledFrom(world()[:21]).Draw(t, "claim")),
				Verbs: rapid.SampledFrom([]Verbs{set(registry.Read), set(registry.Read, registry.List), set(registry.Create, registry.Label), set(registry.List), 0}).Draw(t, "claim verbs"),
			}
		}), 0, 3).Draw(t, "claims")}
	}
	return i
}

func TestPolicyAgainstOracle(t *testing.T) {
	t.Parallel()
	names := world()
	var ruled tally // by rules, not by being an operator
	rapid.Check(t, func(rt *rapid.T) {
		rows := drawRows(rt)
		p, err := NewPolicy(rows)
		if err != nil {
			rt.Fatal(err)
		}
		o := oracle{rows}
		for range 2 {
			id := drawIdentity(rt)
			by := &tally{}
			if id.Kind != Operator && id.Kind != Open {
				by = &ruled
			}
			for _, v := range registry.Grantable() {
				want := make(map[string]bool, len(names))
				for _, name := range names {
					want[name] = o.may(id, v.String(), name)
					count(&by.decisions, true)
					count(&by.allowed, want[name])
					if got := p.May(id, v, registry.Repo(name)); got != want[name] {
						rt.Fatalf("%s %s %q: %t, want %t\n%s", id, v, name, got, want[name], p.Explain(id, v, registry.Repo(name)))
					}
					if e := p.Explain(id, v, registry.Repo(name)); e.Allowed != want[name] {
						rt.Fatalf("%s %s %q: decided %t, explained\n%s", id, v, name, want[name], e)
					}
				}
				for _, prefix := range names {
					any, every := false, true
					for _, name := range names {
						if below2(name, prefix) {
							any, every = any || want[name], every && want[name]
						}
					}
					some, all := p.MaySome(id, v, registry.Repo(prefix)), p.MayAll(id, v, registry.Repo(prefix))
					count(&by.some, some)
					count(&by.someVain, some && !any)
					count(&by.all, all)
					count(&by.allMissed, !all && every)
					if any && !some {
						rt.Fatalf("%s may %s something below %q, MaySome says no", id, v, prefix)
					}
					if all && !every {
						rt.Fatalf("%s may not %s everything below %q, MayAll says so", id, v, prefix)
					}
				}
			}
		}
	})
	t.Logf("%d decisions, %d allowed; MaySome %d, %d in vain; MayAll %d, %d missed",
		ruled.decisions.Load(), ruled.allowed.Load(), ruled.some.Load(), ruled.someVain.Load(), ruled.all.Load(), ruled.allMissed.Load())
	if got := ruled.decisions.Load(); got < 100_000 {
		t.Errorf("%d decisions were compared, want 100,000", got)
	}
	if ruled.allowed.Load() == 0 || ruled.all.Load() == 0 {
		t.Error("nothing was allowed: the test is about nothing")
	}
}

type tally struct {
	decisions, allowed, some, someVain, all, allMissed atomic.Int64
}

func count(n *atomic.Int64, yes bool) {
	if yes {
		n.Add(1)
	}
}
