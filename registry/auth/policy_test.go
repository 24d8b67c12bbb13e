package auth

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/packhouse/packhouse/registry"
	"github.com/packhouse/packhouse/storage/meta"
)

func policy(tb testing.TB, rows meta.AccessRows) *Policy {
	tb.Helper()
	p, err := NewPolicy(rows)
	if err != nil {
		tb.Fatal(err)
	}
	return p
}

// people are the principals of the tables: alice in dev, bob in dev and ops,
// carol, who is disabled, in ops, and the service account ci.
func people() meta.AccessRows {
	return meta.AccessRows{
		Generation: 5,
		Principals: []meta.Principal{
			{ID: 1, Kind: "user", Name: "alice"},
			{ID: 2, Kind: "user", Name: "bob"},
			{ID: 3, Kind: "user", Name: "carol", Disabled: time.UnixMilli(1)},
			{ID: 4, Kind: "service", Name: "ci"},
		},
		Groups: []meta.Group{{ID: 1, Name: "ops"}, {ID: 2, Name: "dev"}},
		Members: []meta.Member{
			{Group: 2, Principal: 1},
			{Group: 1, Principal: 2, Source: "local"},
			{Group: 2, Principal: 2, Source: "local"},
			{Group: 2, Principal: 2, Source: "oidc"},
			{Group: 1, Principal: 3},
		},
		Trusts: []meta.Trust{{ID: 1, NamespaceID: 9, Namespace: "acme", Name: "release", Role: "publisher", Repositories: "acme/npm/**"}},
	}
}

var (
	alice    = &Identity{Kind: User, ID: 1, Name: "alice"}
	bob      = &Identity{Kind: User, ID: 2, Name: "bob"}
	carol    = &Identity{Kind: User, ID: 3, Name: "carol"}
	ci       = &Identity{Kind: ServiceAccount, ID: 4, Name: "ci"}
	release  = &Identity{Kind: Workload, ID: 1, Name: "release"}
	nobody   = &Identity{Kind: Anonymous}
	operator = &Identity{Kind: Operator}
	open     = &Identity{Kind: Open}
)

func TestPolicyLookups(t *testing.T) {
	t.Parallel()
	p := policy(t, people())
	if p.Generation() != 5 || !p.Configured() || p.Problems() != nil {
		t.Errorf("generation %d, configured %t, problems %q", p.Generation(), p.Configured(), p.Problems())
	}
	if got, ok := p.PrincipalNamed("user", "bob"); !ok || got.ID != 2 {
		t.Errorf("bob is %v, %t", got, ok)
	}
	for _, none := range []account{{"service", "bob"}, {"user", ""}, {"", "bob"}, {"user", "ci"}} {
		if got, ok := p.PrincipalNamed(none.kind, none.name); ok {
			t.Errorf("%v is %v", none, got)
		}
	}
	if got, ok := p.Principal(3); !ok || got.Name != "carol" {
		t.Errorf("principal 3 is %v, %t", got, ok)
	}
	if _, ok := p.Principal(0); ok {
		t.Error("there is a principal 0")
	}
	if got, ok := p.GroupNamed("dev"); !ok || got.ID != 2 {
		t.Errorf("dev is %v, %t", got, ok)
	}
	if _, ok := p.GroupNamed("nobody"); ok {
		t.Error("there is a group nobody")
	}
	want := []meta.Group{{ID: 2, Name: "dev"}, {ID: 1, Name: "ops"}}
	if diff := cmp.Diff(want, p.GroupsOf(2)); diff != "" {
		t.Error(diff)
	}
	if got, ok := p.TrustNamed("release"); !ok || got.ID != 1 || len(p.Trusts()) != 1 {
		t.Errorf("release is %v, %t", got, ok)
	}
}

func TestPolicyConfigured(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name string
		rows meta.AccessRows
		want bool
	}{
		{"nothing", meta.AccessRows{}, false},
		{"grants and groups", meta.AccessRows{Groups: people().Groups, Grants: []meta.Grant{{Role: "reader", Repositories: "**"}}}, false},
		{"a token", meta.AccessRows{Tokens: 1}, true},
		{"a service account", meta.AccessRows{Principals: people().Principals[3:]}, true},
		{"a disabled user", meta.AccessRows{Principals: people().Principals[2:3]}, true},
	} {
		if got := policy(t, test.rows).Configured(); got != test.want {
			t.Errorf("%s: %t", test.name, got)
		}
	}
}

func TestPolicyRowsAreNoSnapshot(t *testing.T) {
	t.Parallel()
	for name, rows := range map[string]meta.AccessRows{
		"principal 0":     {Principals: []meta.Principal{{Kind: "user", Name: "root"}}},
		"principal twice": {Principals: []meta.Principal{{ID: 1, Name: "a"}, {ID: 1, Name: "b"}}},
		"group -1":        {Groups: []meta.Group{{ID: -1}}},
		"group twice":     {Groups: []meta.Group{{ID: 1}, {ID: 1}}},
		"trust twice":     {Trusts: []meta.Trust{{ID: 1}, {ID: 1}}},
	} {
		if _, err := NewPolicy(rows); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

// A row that does not parse gives nothing and denies all that it could mean.
func TestPolicyFailsClosed(t *testing.T) {
	t.Parallel()
	const all = "may read, create and delete acme/app, read beta/app" // before the row
	tests := []struct {
		name    string
		grant   meta.Grant
		allowed string // what alice may still do
	}{
		{"deny of an unknown role", meta.Grant{Deny: true, Role: "auditor", Repositories: "acme/**"}, "read beta/app"},
		{"deny with no pattern", meta.Grant{Deny: true, Role: "reader", Repositories: "Acme/**"}, "create acme/app, delete acme/app"},
		{"deny of neither", meta.Grant{Deny: true, Role: "?", Repositories: "?"}, ""},
		{"deny with no pattern in a namespace", meta.Grant{Deny: true, Role: "admin", Repositories: "acme/[x]", NamespaceID: 1, Namespace: "acme"}, "read beta/app"},
		{"deny that reaches out of its namespace", meta.Grant{Deny: true, Role: "create", Repositories: "**", NamespaceID: 1, Namespace: "beta"}, "read acme/app, delete acme/app, read beta/app"},
		{"deny to two", meta.Grant{Deny: true, Role: "delete", Repositories: "**", Principal: 2, Group: 2}, "read acme/app, create acme/app, read beta/app"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			rows := people()
			test.grant.ID = 3
			rows.Grants = []meta.Grant{
				{ID: 1, Principal: 1, Role: "admin", Repositories: "acme/**"},
				{ID: 2, Principal: 1, Role: "reader", Repositories: "**"},
				test.grant,
			}
			p := policy(t, rows)
			var got []string
			for _, ask := range []struct {
				v registry.Verb
				r registry.Repo
			}{{registry.Read, "acme/app"}, {registry.Create, "acme/app"}, {registry.Delete, "acme/app"}, {registry.Read, "beta/app"}} {
				if p.May(alice, ask.v, ask.r) {
					got = append(got, ask.v.String()+" "+string(ask.r))
				}
			}
			if diff := cmp.Diff(test.allowed, strings.Join(got, ", ")); diff != "" {
				t.Errorf("%s; with the row:\n%s", all, diff)
			}
			if len(p.Problems()) != 1 || !strings.Contains(p.Problems()[0], "grant 3 is not understood, so it denies") {
				t.Errorf("problems: %q", p.Problems())
			}
		})
	}
}

func TestPolicyGivesNothing(t *testing.T) {
	t.Parallel()
	for name, grant := range map[string]meta.Grant{
		"unknown role":             {Principal: 1, Role: "auditor", Repositories: "**"},
		"no role":                  {Principal: 1, Repositories: "**"},
		"no pattern":               {Principal: 1, Role: "admin"},
		"illegal pattern":          {Principal: 1, Role: "admin", Repositories: "a**"},
		"out of its namespace":     {Principal: 1, Role: "admin", Repositories: "**", NamespaceID: 1, Namespace: "acme"},
		"beside its namespace":     {Principal: 1, Role: "admin", Repositories: "acme*", NamespaceID: 1, Namespace: "acme"},
		"out of the root":          {Principal: 1, Role: "admin", Repositories: "**", NamespaceID: 1},
		"to two":                   {Principal: 1, Group: 2, Role: "admin", Repositories: "**"},
		"to a principal below any": {Principal: -1, Role: "admin", Repositories: "**"},
	} {
		rows := people()
		grant.ID = 3
		rows.Grants = []meta.Grant{grant}
		p := policy(t, rows)
		for _, r := range []registry.Repo{"", "acme", "acme/app", "acme2"} {
			for _, id := range []*Identity{alice, bob, nobody} {
				if p.May(id, registry.Read, r) {
					t.Errorf("%s: %s may read %q", name, id, r)
				}
			}
		}
		if len(p.Problems()) != 1 || !strings.HasPrefix(p.Problems()[0], "grant 3 is not understood, so it gives nothing: ") {
			t.Errorf("%s: problems %q", name, p.Problems())
		}
	}
	rows := people()
	rows.Trusts[0].Repositories = "**"
	if p := policy(t, rows); p.May(release, registry.Create, "acme/npm/x") || len(p.Problems()) != 1 {
		t.Errorf("a trust rule that reaches out of its namespace gives something; problems: %q", p.Problems())
	}
}
