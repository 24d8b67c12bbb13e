package auth

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/packhouse/packhouse/registry"
	"github.com/packhouse/packhouse/storage/meta"
)

// rights says what id may do to r: the verbs that May, MaySome and MayAll let
// through.
func rights(p *Policy, id *Identity, r registry.Repo) [3]string {
	var sets [3]Verbs
	for _, v := range registry.Grantable() {
		for i, may := range []bool{p.May(id, v, r), p.MaySome(id, v, r), p.MayAll(id, v, r)} {
			if may {
				sets[i] = sets[i].With(v)
			}
		}
	}
	return [3]string{sets[0].String(), sets[1].String(), sets[2].String()}
}

func TestMay(t *testing.T) {
	t.Parallel()
	rows := people()
	rows.Grants = []meta.Grant{
		{ID: 1, Group: 2, Role: "publisher", Repositories: "acme/**", NamespaceID: 9, Namespace: "acme"},
		{ID: 2, Principal: 1, Role: "maintainer", Repositories: "acme/npm/**"},
		{ID: 3, Group: 1, Role: "delete", Repositories: "acme/**"},
		{ID: 4, Group: 1, Deny: true, Role: "create,overwrite", Repositories: "acme/npm/left-pad"},
		{ID: 5, Role: "reader", Repositories: "shared/**"},
		{ID: 6, Role: "create", Repositories: "sandbox/*"},
		{ID: 7, Deny: true, Role: "reader", Repositories: "open/secret"},
		{ID: 8, Principal: 4, Role: "admin", Repositories: "**"},
		{ID: 9, Principal: 4, Deny: true, Role: "delete", Repositories: "vault/**"},
		{ID: 10, Principal: 3, Role: "admin", Repositories: "**"},
		{ID: 11, Role: "reader", Repositories: "alpine", NamespaceID: 8, Namespace: ""},
	}
	rows.Visible = []meta.Visible{
		{Name: "open", Public: true},
		{Name: "open/closed"},
		{Name: "open/attic", Exact: true}, // what is below it is open
		{Name: "open/closed/window", Exact: true, Public: true},
		{Name: "acme", Exact: true, Public: true}, // the repository, not the namespace
	}
	p := policy(t, rows)
	tests := []struct {
		id              *Identity
		repo            registry.Repo
		may, some, each string
	}{
		{alice, "acme/app", "publisher", "publisher", "publisher"},
		{alice, "acme", "publisher", "maintainer", "publisher"},
		{alice, "acme/npm", "maintainer", "maintainer", "maintainer"},
		{alice, "acme/npm/left-pad", "maintainer", "maintainer", "maintainer"},
		{alice, "acmes", "none", "none", "none"},
		{alice, "", "none", "maintainer", "none"},
		{bob, "acme/app", "read,list,create,delete", "read,list,create,delete", "read,list,create,delete"},
		{bob, "acme/npm", "read,list,create,delete", "read,list,create,delete", "read,list,delete"},
		{bob, "acme/npm/left-pad", "read,list,delete", "read,list,create,delete", "read,list,delete"}, // names below it are not denied
		{carol, "acme/app", "none", "none", "none"},
		{carol, "open/app", "none", "none", "none"},
		{carol, "shared/x", "none", "none", "none"},
		{nobody, "acme", "reader", "reader", "none"}, // public, alone
		{nobody, "acme/app", "none", "none", "none"},
		{nobody, "open", "reader", "reader", "none"}, // closed and secret are below it
		{nobody, "open/app", "reader", "reader", "reader"},
		{nobody, "open/attic", "none", "reader", "none"},
		{nobody, "open/attic/x", "reader", "reader", "reader"},
		{nobody, "open/closed", "none", "reader", "none"},
		{nobody, "open/closed/door", "none", "none", "none"},
		{nobody, "open/closed/window", "reader", "reader", "none"}, // what is below it is closed
		{nobody, "open/secret", "none", "reader", "none"},
		{nobody, "shared", "reader", "reader", "reader"},
		{nobody, "sandbox", "none", "create", "none"},
		{nobody, "sandbox/x", "create", "create", "none"},
		{nobody, "alpine", "reader", "reader", "none"},
		{nobody, "", "none", "publisher", "none"},
		{alice, "open/secret", "none", "reader", "none"}, // denies win over public
		{ci, "open/secret", "create,overwrite,label,withdraw,delete,admin", "admin", "create,overwrite,label,withdraw,delete,admin"},
		{ci, "vault/x", "read,list,create,overwrite,label,withdraw,admin", "read,list,create,overwrite,label,withdraw,admin", "read,list,create,overwrite,label,withdraw,admin"},
		{ci, "", "admin", "admin", "create,overwrite,label,withdraw,admin"},
		{release, "acme/npm/x", "publisher", "publisher", "publisher"},
		{release, "acme/npm", "publisher", "publisher", "publisher"},
		{release, "acme/app", "none", "none", "none"},
		{release, "shared/x", "reader", "reader", "reader"},
		{release, "sandbox/x", "none", "none", "none"}, // changes what its trust rule says
		{release, "open/app", "reader", "reader", "reader"},
		{release, "open/secret", "none", "reader", "none"},
		{operator, "open/secret", "admin", "admin", "admin"},
		{open, "", "admin", "admin", "admin"},
		{&Identity{}, "open/app", "none", "none", "none"},
		{nil, "open/app", "none", "none", "none"},
		{&Identity{Kind: User, ID: 1, Name: "bob"}, "open/app", "none", "none", "none"},           // another row's name
		{&Identity{Kind: ServiceAccount, ID: 1, Name: "alice"}, "acme", "none", "none", "none"},   // another kind
		{&Identity{Kind: User, ID: 77, Name: "zoe"}, "open/app", "none", "none", "none"},          // no more there
		{&Identity{Kind: Workload, ID: 1, Name: "nightly"}, "acme/npm/x", "none", "none", "none"}, // another rule
		{&Identity{Kind: Workload, ID: 2}, "open/app", "none", "none", "none"},
		{&Identity{Kind: User, ID: 4, Name: "ci"}, "acme/npm/x", "none", "none", "none"},
	}
	for _, test := range tests {
		for _, how := range []string{"cold", "warm"} {
			want := [3]string{test.may, test.some, test.each}
			if diff := cmp.Diff(want, rights(p, test.id, test.repo)); diff != "" {
				t.Errorf("%s on %q, %s (may, some, all):\n%s", test.id, test.repo, how, diff)
			}
		}
	}
}

func TestRootVisibility(t *testing.T) {
	t.Parallel()
	p := policy(t, meta.AccessRows{Visible: []meta.Visible{{Name: "", Public: true}, {Name: "acme"}}})
	for repo, want := range map[registry.Repo][3]string{
		"":         {"reader", "reader", "none"},
		"alpine":   {"reader", "reader", "reader"},
		"beta/app": {"reader", "reader", "reader"},
		"acme":     {"none", "none", "none"},
		"acme/app": {"none", "none", "none"},
	} {
		if diff := cmp.Diff(want, rights(p, nobody, repo)); diff != "" {
			t.Errorf("%q:\n%s", repo, diff)
		}
	}
	// Two settings of one name: private wins.
	for _, order := range [][]bool{{true, false}, {false, true}} {
		p := policy(t, meta.AccessRows{Visible: []meta.Visible{{Name: "a/npm", Public: order[0]}, {Name: "a/npm", Public: order[1]}}})
		if p.May(nobody, registry.Read, "a/npm/x") {
			t.Errorf("public %v: public", order)
		}
	}
}

func TestVerbsThatNobodyHas(t *testing.T) {
	t.Parallel()
	p := policy(t, people())
	for _, id := range []*Identity{nil, {}, nobody, alice, carol, operator, open} {
		for _, ask := range []func(*Identity, registry.Verb, registry.Repo) bool{p.May, p.MaySome, p.MayAll} {
			if !ask(id, registry.Enter, "x") {
				t.Errorf("%s may not enter", id)
			}
			for _, v := range []registry.Verb{0, registry.Enter + 1, 16, 200, 255} {
				if ask(id, v, "x") {
					t.Errorf("%s may %d", id, v)
				}
			}
		}
	}
}

func TestNarrowed(t *testing.T) {
	t.Parallel()
	rows := people()
	rows.Grants = []meta.Grant{
		{ID: 1, Principal: 1, Role: "maintainer", Repositories: "acme/**"},
		{ID: 2, Principal: 1, Deny: true, Role: "overwrite", Repositories: "acme/prod"},
	}
	rows.Visible = []meta.Visible{{Name: "open", Public: true}}
	p := policy(t, rows)
	scope := func(entries ...string) *Identity {
		id := *alice
		id.Scope = []Scope{}
		for _, e := range entries {
			role, repos, _ := strings.Cut(e, " ")
			id.Scope = append(id.Scope, Scope{Repositories: repos, Role: role})
		}
		return &id
	}
	claims := func(id *Identity, list ...ClaimedAccess) *Identity {
		with := *id
		with.Claims = &Claims{list}
		return &with
	}
	push := claims(alice, ClaimedAccess{Repo: "acme/app", Verbs: VerbsOfActions([]string{"pull", "push"})}, ClaimedAccess{Repo: "beta/app", Verbs: allVerbs})
	catalog := claims(alice, ClaimedAccess{Verbs: allVerbs})
	tests := []struct {
		name            string
		id              *Identity
		repo            registry.Repo
		may, some, each string
	}{
		{"scope of nothing", scope(), "acme/app", "none", "none", "none"},
		{"scope of nothing, public", scope(), "open/app", "none", "none", "none"},
		{"no wider than its owner", scope("admin **"), "acme/app", "maintainer", "maintainer", "maintainer"},
		{"no wider than its owner, public", scope("admin **"), "open/app", "reader", "reader", "reader"},
		{"no wider than a deny", scope("admin **"), "acme/prod", "read,list,create,label,withdraw", "maintainer", "read,list,create,label,withdraw"},
		{"narrower", scope("publisher acme/npm/**"), "acme/npm/x", "publisher", "publisher", "publisher"},
		{"narrower, above", scope("publisher acme/npm/**"), "acme", "none", "publisher", "none"},
		{"narrower, beside", scope("publisher acme/npm/**"), "acme/app", "none", "none", "none"},
		{"narrower, public", scope("publisher acme/npm/**"), "open/app", "none", "none", "none"},
		{"two entries", scope("reader acme/**", "create acme/app"), "acme/app", "publisher", "publisher", "reader"},
		{"an entry that does not parse", scope("admin acme/**x", "boss acme/**", "reader acme/app"), "acme/app", "reader", "reader", "none"},
		{"claims", push, "acme/app", "maintainer", "maintainer", "none"},
		{"claims, above", push, "acme", "none", "maintainer", "none"},
		{"claims, whole registry", push, "", "none", "maintainer", "none"},
		{"claims, below", push, "acme/app/x", "none", "none", "none"},
		{"claims, beside", push, "acme/npm/x", "none", "none", "none"},
		{"claims, no right", push, "beta/app", "none", "none", "none"},
		{"claims, no right, above", claims(alice, ClaimedAccess{Repo: "beta/app", Verbs: allVerbs}), "", "none", "none", "none"},
		{"claims and scope", claims(scope("reader acme/**"), push.Claims.Access...), "acme/app", "reader", "reader", "none"},
		{"claims and scope, above", claims(scope("reader acme/**"), push.Claims.Access...), "acme", "none", "reader", "none"},
		{"no claims", claims(alice), "acme/app", "none", "none", "none"},
		{"catalog", catalog, "acme/app", "list", "list", "list"},
		{"catalog, no right", catalog, "beta/app", "none", "none", "none"},
		{"catalog, whole registry", catalog, "", "none", "list", "none"},
		{"catalog, not to list", claims(alice, ClaimedAccess{Verbs: set(registry.Read)}), "acme/app", "none", "none", "none"},
		{"anonymous claims", claims(nobody, ClaimedAccess{Repo: "open/app", Verbs: reading}), "open/app", "reader", "reader", "none"},
		{"anonymous claims, beside", claims(nobody, ClaimedAccess{Repo: "open/app", Verbs: reading}), "open/x", "none", "none", "none"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			want := [3]string{test.may, test.some, test.each}
			if diff := cmp.Diff(want, rights(p, test.id, test.repo)); diff != "" {
				t.Errorf("%q (may, some, all):\n%s", test.repo, diff)
			}
		})
	}
}

// A decision that was remembered is that of its own name, principal and extent
// when many displace each other.
func TestRememberedDecisions(t *testing.T) {
	t.Parallel()
	rows := people()
	for i, role := range []string{"reader", "create", "delete", "label"} {
		rows.Grants = append(rows.Grants, meta.Grant{ID: int64(i + 1), Principal: []int64{1, 2, 4, 1}[i], Role: role, Repositories: []string{"a/**", "a/*", "*/b", "b"}[i]})
	}
	crowded, roomy := policy(t, rows), policy(t, rows)
	crowded.decided = newCache[question, Verbs](2)
	for range 3 {
		for _, id := range []*Identity{alice, bob, ci, nobody, release} {
			for _, name := range world() {
				if diff := cmp.Diff(rights(roomy, id, registry.Repo(name)), rights(crowded, id, registry.Repo(name))); diff != "" {
					t.Fatalf("%s on %q:\n%s", id, name, diff)
				}
			}
		}
	}
}

func TestMayWithoutMemory(t *testing.T) {
	rows := people()
	rows.Grants = []meta.Grant{{ID: 1, Principal: 1, Role: "admin", Repositories: "acme/*/x-*"}}
	p := policy(t, rows)
	scoped := *alice
	scoped.Scope = []Scope{{"acme/**", "reader"}}
	for _, id := range []*Identity{alice, &scoped, nobody} {
		want := !slices.Contains([]*Identity{nobody}, id)
		if n := testing.AllocsPerRun(100, func() {
			if p.May(id, registry.Read, "acme/npm/x-1") != want {
				t.Fatal("decided otherwise")
			}
		}); n != 0 {
			t.Errorf("a warm decision about %s allocates %v times", id, n)
		}
	}
}

func TestConcurrentDecisions(t *testing.T) {
	t.Parallel()
	rows := people()
	rows.Grants = []meta.Grant{
		{ID: 1, Group: 2, Role: "publisher", Repositories: "a/**"},
		{ID: 2, Principal: 2, Deny: true, Role: "create", Repositories: "**/b"},
		{ID: 3, Role: "reader", Repositories: "*/ab"},
	}
	scoped := *bob
	scoped.Scope = []Scope{{"a/**", "publisher"}}
	ids := []*Identity{alice, bob, &scoped, ci, nobody, release}
	type key struct {
		id   *Identity
		name string
	}
	want := map[key][3]string{}
	for _, id := range ids {
		for _, name := range world() {
			want[key{id, name}] = rights(policy(t, rows), id, registry.Repo(name))
		}
	}
	shared := policy(t, rows)
	shared.decided = newCache[question, Verbs](64) // they displace each other
	for range 4 {
		t.Run("caller", func(t *testing.T) {
			t.Parallel()
			for range 20 {
				for k, want := range want {
					if got := rights(shared, k.id, registry.Repo(k.name)); got != want {
						t.Fatalf("%s on %q: %v, want %v", k.id, k.name, got, want)
					}
				}
			}
		})
	}
}

func TestBelow(t *testing.T) {
	t.Parallel()
	sorted := []string{"", "a", "a-b", "a.b", "a/-", "a/0", "a/b", "a/zz", "a/zz/z", "a0", "aa", "b"}
	for name, want := range map[string][]string{
		"":     sorted[1:],
		"a":    {"a/-", "a/0", "a/b", "a/zz", "a/zz/z"},
		"a/zz": {"a/zz/z"},
		"a/z":  {},
		"b":    {},
		"c":    {},
	} {
		if diff := cmp.Diff(want, below(sorted, name)); diff != "" {
			t.Errorf("below %q:\n%s", name, diff)
		}
	}
}
