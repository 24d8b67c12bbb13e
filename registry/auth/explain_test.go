package auth

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/packhouse/packhouse/registry"
	"github.com/packhouse/packhouse/storage/meta"
)

func TestExplain(t *testing.T) {
	t.Parallel()
	rows := people()
	rows.Grants = []meta.Grant{
		{ID: 7, Group: 1, Role: "boss", Repositories: "**"},
		{ID: 6, Role: "reader", Repositories: "**", Deny: true, NamespaceID: 1, Namespace: "acme"}, // reaches out
		{ID: 5, Role: "admin", Repositories: "sandbox/*"},
		{ID: 4, Group: 2, Role: "reader", Repositories: "acme/**", NamespaceID: 1, Namespace: "acme"},
		{ID: 3, Group: 1, Role: "create,label", Repositories: "acme/npm/**", Deny: true},
		{ID: 2, Principal: 1, Role: "reader", Repositories: "beta/app"},
		{ID: 1, Principal: 1, Role: "publisher", Repositories: "acme/**", NamespaceID: 1, Namespace: "acme"},
		{ID: 8, Principal: 2, Role: "maintainer", Repositories: "acme/**"},
		{ID: 9, Principal: 4, Role: "read", Repositories: "alpine", NamespaceID: 2},
	}
	rows.Visible = []meta.Visible{{Name: "sandbox", Public: true}, {Name: "sandbox/x", Exact: true}, {Name: "", Public: false}}
	p := policy(t, rows)
	scoped := *alice
	scoped.Scope = []Scope{{"beta/**", "admin"}, {"acme/npm/**", "reader"}}
	scoped.Claims = &Claims{}
	tests := []struct {
		id   *Identity
		verb registry.Verb
		repo registry.Repo
		want string
	}{
		{alice, registry.Create, "acme/npm/widget", `yes: user:alice, create on acme/npm/widget
  allow  grant 1: allow publisher on acme/** to user:alice, in the namespace acme (publisher holds create)
  none   grant 2: allow reader on beta/app to user:alice (beta/app does not match acme/npm/widget)
  none   grant 4: allow reader on acme/** to group:dev, in the namespace acme (reader is not about create)
  none   grant 5: allow admin on sandbox/* to everybody (sandbox/* does not match acme/npm/widget)
  none   grant 6: deny reader on ** to everybody, in the namespace acme (reader is not about create)
  none   visibility: the root namespace is private (private gives nothing by itself)
Allowed: grant 1: allow publisher on acme/** to user:alice, in the namespace acme.
`},
		{bob, registry.Create, "acme/npm/widget", `no: user:bob, create on acme/npm/widget
  allow  grant 8: allow maintainer on acme/** to user:bob (maintainer holds create)
  none   grant 4: allow reader on acme/** to group:dev, in the namespace acme (reader is not about create)
  deny   grant 3: deny create,label on acme/npm/** to group:ops (a deny wins over every grant of create)
  none   grant 7: allow boss on ** to group:ops (it is not understood and gives nothing)
  none   grant 5: allow admin on sandbox/* to everybody (sandbox/* does not match acme/npm/widget)
  none   grant 6: deny reader on ** to everybody, in the namespace acme (reader is not about create)
  none   visibility: the root namespace is private (private gives nothing by itself)
Refused: grant 3: deny create,label on acme/npm/** to group:ops.
`},
		{&scoped, registry.Create, "acme/npm/widget", `no: user:alice, create on acme/npm/widget
  allow  grant 1: allow publisher on acme/** to user:alice, in the namespace acme (publisher holds create)
  none   grant 2: allow reader on beta/app to user:alice (beta/app does not match acme/npm/widget)
  none   grant 4: allow reader on acme/** to group:dev, in the namespace acme (reader is not about create)
  none   grant 5: allow admin on sandbox/* to everybody (sandbox/* does not match acme/npm/widget)
  none   grant 6: deny reader on ** to everybody, in the namespace acme (reader is not about create)
  none   visibility: the root namespace is private (private gives nothing by itself)
  deny   the token's scope: admin on beta/**; reader on acme/npm/** (it does not cover create there)
  deny   the token's claims (they do not list create there)
Refused: the token's scope: admin on beta/**; reader on acme/npm/**.
`},
		{release, registry.Create, "sandbox/x", `no: workload:release, create on sandbox/x
  none   grant 5: allow admin on sandbox/* to everybody (what a workload may change is said by its trust rule alone)
  none   grant 6: deny reader on ** to everybody, in the namespace acme (reader is not about create)
  none   trust rule release: allow publisher on acme/npm/**, in the namespace acme (acme/npm/** does not match sandbox/x)
  none   visibility: sandbox/x is private (private gives nothing by itself)
Refused: nothing allows it; it takes at least the role publisher.
`},
		{ci, registry.Admin, "", `no: service:ci, admin on the whole registry
  none   grant 9: allow read on alpine to service:ci, in the root namespace (alpine does not match the whole registry)
  none   grant 5: allow admin on sandbox/* to everybody (sandbox/* does not match the whole registry)
  none   grant 6: deny reader on ** to everybody, in the namespace acme (reader is not about admin)
  none   visibility: the root namespace is private (private gives nothing by itself)
Refused: nothing allows it; it takes at least the role admin.
`},
		{nobody, registry.List, "sandbox/y", `no: anonymous, list on sandbox/y
  allow  grant 5: allow admin on sandbox/* to everybody (admin holds list)
  deny   grant 6: deny reader on ** to everybody, in the namespace acme (a deny wins over every grant of list)
  allow  visibility: everything below sandbox is public (everybody may read and list what is public)
Refused: grant 6: deny reader on ** to everybody, in the namespace acme.
`},
		{carol, registry.Read, "sandbox/y", `no: user:carol, read on sandbox/y
  deny   user:carol is disabled or is no more (so it may do nothing, not even what everybody may)
Refused: user:carol is disabled or is no more.
`},
		{operator, registry.Admin, "", `yes: operator, admin on the whole registry
  allow  operators may do everything (they have the data directory)
Allowed: operators may do everything.
`},
	}
	for _, test := range tests {
		got := p.Explain(test.id, test.verb, test.repo)
		if diff := cmp.Diff(test.want, got.String()); diff != "" {
			t.Errorf("%s %s %q:\n%s", test.id, test.verb, test.repo, diff)
		}
		if got.Allowed != p.May(test.id, test.verb, test.repo) {
			t.Errorf("%s %s %q: explained as %t", test.id, test.verb, test.repo, got.Allowed)
		}
	}
}

func TestExplainOddities(t *testing.T) {
	t.Parallel()
	p := policy(t, people())
	for _, id := range []*Identity{nil, {}, nobody, alice, carol, operator, open} {
		for _, v := range []registry.Verb{0, registry.Read, registry.Enter, 99} {
			if got, want := p.Explain(id, v, "x").Allowed, p.May(id, v, "x"); got != want {
				t.Errorf("%s %d: explained as %t, decided %t", id, v, got, want)
			}
		}
	}
}

func TestExplanationJSON(t *testing.T) {
	t.Parallel()
	got, err := json.Marshal(policy(t, people()).Explain(operator, registry.Read, "x"))
	if err != nil {
		t.Fatal(err)
	}
	want := `{"principal":"operator","verb":"read","repository":"x","allowed":true,` +
		`"rules":[{"text":"operators may do everything","effect":"allow","matched":true,"why":"they have the data directory"}],` +
		`"verdict":"Allowed: operators may do everything."}`
	if diff := cmp.Diff(want, string(got)); diff != "" {
		t.Error(diff)
	}
}
