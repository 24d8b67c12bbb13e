package auth

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/packhouse/packhouse/registry"
	"github.com/packhouse/packhouse/storage/meta"
)

// town is a registry with two namespaces: root administers all, alice acme,
// bob the one name acme, carol nothing.
func town(t *testing.T) *entrance {
	t.Helper()
	e := newEntrance(t)
	root := e.admin("root")
	for _, name := range []string{"alice", "bob", "carol"} {
		e.must(e.CreateUser(root, Account{Name: name}))
	}
	for _, name := range []string{"acme", "other"} {
		e.must(e.CreateNamespace(root, name, "", ""))
	}
	e.must(e.AddGrant(root, Grant{Subject: "alice", Role: "admin", Namespace: "acme"}))
	e.must(e.AddGrant(root, Grant{Subject: "bob", Role: "admin", Repositories: "acme"}))
	return e
}

func (e *entrance) asUser(name string) context.Context { return e.as(e.id(meta.KindUser, name)) }

func TestAddGrant(t *testing.T) {
	t.Parallel()
	e := town(t)
	root, alice, bob, carol := e.asUser("root"), e.asUser("alice"), e.asUser("bob"), e.asUser("carol")
	for _, c := range []struct {
		name string
		ctx  func() context.Context
		g    Grant
		want registry.Code
	}{
		{"registry-wide", by(root), Grant{Subject: "carol", Role: "reader", Repositories: "**"}, ""},
		{"for a namespace's administrator", by(alice), Grant{Subject: "carol", Role: "reader", Namespace: "acme", Repositories: "acme/x/*"}, ""},
		{"all of a namespace", by(alice), Grant{Subject: "anonymous", Role: "reader", Namespace: "acme"}, ""},
		{"the namespace's own name", by(alice), Grant{Subject: "carol", Role: "reader", Namespace: "acme", Repositories: "acme"}, ""},
		{"a deny", by(alice), Grant{Subject: "carol", Role: "delete", Deny: true, Namespace: "acme"}, ""},
		{"root namespace", by(root), Grant{Subject: "carol", Role: "reader", Namespace: Root}, ""},
		{"root namespace, by another", by(alice), Grant{Subject: "carol", Role: "reader", Namespace: Root}, registry.Denied},
		{"out of the root namespace", by(root), Grant{Subject: "carol", Role: "reader", Namespace: Root, Repositories: "acme/*"}, registry.ParameterInvalid},
		{"out of the namespace", by(alice), Grant{Subject: "carol", Role: "reader", Namespace: "acme", Repositories: "**"}, registry.ParameterInvalid},
		{"beside the namespace", by(alice), Grant{Subject: "carol", Role: "reader", Namespace: "acme", Repositories: "acme2/**"}, registry.ParameterInvalid},
		{"another namespace", by(alice), Grant{Subject: "carol", Role: "reader", Namespace: "other"}, registry.Denied},
		{"registry-wide by a namespace's administrator", by(alice), Grant{Subject: "alice", Role: "admin", Repositories: "**"}, registry.Denied},
		{"registry-wide over the namespace", by(alice), Grant{Subject: "alice", Role: "admin", Repositories: "acme/**"}, registry.Denied},
		{"by who administers one name", by(bob), Grant{Subject: "bob", Role: "admin", Namespace: "acme"}, registry.Denied},
		{"by nobody in particular", by(carol), Grant{Subject: "carol", Role: "reader", Namespace: "acme"}, registry.Denied},
		{"anonymous", by(e.anonymous()), Grant{Subject: "carol", Role: "reader", Namespace: "acme"}, registry.Unauthorized},
		{"bad role", by(root), Grant{Subject: "carol", Role: "king", Repositories: "**"}, registry.ParameterInvalid},
		{"bad glob", by(root), Grant{Subject: "carol", Role: "reader", Repositories: "a//b"}, registry.ParameterInvalid},
		{"unknown user", by(root), Grant{Subject: "dave", Role: "reader"}, registry.NameUnknown},
		{"unknown group", by(root), Grant{Subject: "group:dave", Role: "reader"}, registry.NameUnknown},
		{"a job", by(root), Grant{Subject: "workload:release", Role: "reader"}, registry.ParameterInvalid},
		{"nonsense", by(root), Grant{Subject: "role:x", Role: "reader"}, registry.ParameterInvalid},
		{"unknown namespace", by(root), Grant{Subject: "carol", Role: "reader", Namespace: "none"}, registry.NameUnknown},
		{"illegal namespace", by(root), Grant{Subject: "carol", Role: "reader", Namespace: "A"}, registry.NameInvalid},
	} {
		got, err := e.AddGrant(c.ctx(), c.g)
		wants(t, c.name, err, c.want)
		if err == nil && (got.ID == 0 || got.Repositories == "" || got.Namespace != c.g.Namespace) {
			t.Errorf("%s: got %+v", c.name, got)
		}
	}
}

func TestTheSameGrantAgain(t *testing.T) {
	t.Parallel()
	e := town(t)
	root := e.asUser("root")
	first, err := e.AddGrant(root, Grant{Subject: "user:carol", Role: "list,read", Namespace: "acme", Repositories: "acme/**"})
	e.must(err)
	before := e.Policy().Generation()
	second, err := e.AddGrant(root, Grant{Subject: "carol", Role: "reader", Namespace: "acme"})
	if diff := cmp.Diff(first, second); err != nil || diff != "" {
		t.Errorf("%v (-first +second):\n%s", err, diff)
	}
	if e.Policy().Generation() != before {
		t.Error("what is there already counts as a change")
	}
	third, err := e.AddGrant(root, Grant{Subject: "carol", Role: "reader", Namespace: "acme", Deny: true})
	if err != nil || third.ID == first.ID {
		t.Errorf("a deny is not the same as an allow: %+v, %v", third, err)
	}
}

func TestGrants(t *testing.T) {
	t.Parallel()
	e := town(t)
	root := e.asUser("root")
	e.must(e.AddGrant(root, Grant{Subject: "carol", Role: "reader", Namespace: "other"}))
	e.must(e.AddGrant(root, Grant{Subject: "anonymous", Role: "reader", Namespace: "acme"}))
	texts := func(list []Grant) (out []string) {
		for _, g := range list {
			out = append(out, g.Subject+" "+g.Role+" "+g.Repositories)
		}
		return out
	}
	const (
		ofRoot, ofAlice, ofBob, ofCarol, ofAll = "user:root admin **", "user:alice admin acme/**", "user:bob admin acme", "user:carol reader other/**", "anonymous reader acme/**"
	)
	for _, c := range []struct {
		name string
		ctx  func() context.Context
		f    GrantFilter
		want []string
		code registry.Code
	}{
		{"all", by(root), GrantFilter{}, []string{ofRoot, ofAlice, ofBob, ofCarol, ofAll}, ""},
		{"first two", by(root), GrantFilter{Limit: 2}, []string{ofRoot, ofAlice}, ""},
		{"of a namespace", by(root), GrantFilter{Namespace: "acme"}, []string{ofAlice, ofAll}, ""},
		{"of a user", by(root), GrantFilter{Subject: "user:carol"}, []string{ofCarol}, ""},
		{"of everybody", by(root), GrantFilter{Subject: "anonymous"}, []string{ofAll}, ""},
		{"of nobody", by(root), GrantFilter{Subject: "dave"}, nil, registry.NameUnknown},
		{"alice's", by(e.asUser("alice")), GrantFilter{}, []string{ofAlice, ofAll}, ""},
		{"alice's, one by one", by(e.asUser("alice")), GrantFilter{Limit: 1}, []string{ofAlice}, ""},
		{"alice's of another", by(e.asUser("alice")), GrantFilter{Namespace: "other"}, nil, registry.Denied},
		{"bob's", by(e.asUser("bob")), GrantFilter{}, nil, ""}, // one name is not the namespace
		{"carol's", by(e.asUser("carol")), GrantFilter{}, nil, registry.Denied},
		{"nobody's", by(e.anonymous()), GrantFilter{}, nil, registry.Unauthorized},
	} {
		got, err := e.Grants(c.ctx(), c.f)
		wants(t, c.name, err, c.code)
		if diff := cmp.Diff(c.want, texts(got)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.name, diff)
		}
	}
	// Pages add up, whatever is left out between.
	var all []string
	for after := int64(0); ; {
		list, err := e.Grants(e.asUser("alice"), GrantFilter{After: after, Limit: 1})
		e.must(err)
		if len(list) == 0 {
			break
		}
		all, after = append(all, texts(list)...), list[len(list)-1].ID
	}
	if want := []string{ofAlice, ofAll}; !slices.Equal(all, want) {
		t.Errorf("pages: %v, want %v", all, want)
	}
}

func TestRemoveGrant(t *testing.T) {
	t.Parallel()
	e := town(t)
	root, alice := e.asUser("root"), e.asUser("alice")
	inAcme, err := e.AddGrant(root, Grant{Subject: "carol", Role: "reader", Namespace: "acme"})
	e.must(err)
	inOther, err := e.AddGrant(root, Grant{Subject: "carol", Role: "reader", Namespace: "other"})
	e.must(err)
	carol := e.id(meta.KindUser, "carol")
	wants(t, "by who is granted", e.RemoveGrant(e.as(carol), inAcme.ID), registry.Denied)
	wants(t, "of another namespace", e.RemoveGrant(alice, inOther.ID), registry.NameUnknown)
	wants(t, "none", e.RemoveGrant(alice, 999), registry.NameUnknown)
	wants(t, "none, by nobody in particular", e.RemoveGrant(e.as(carol), 999), registry.Denied)
	wants(t, "of one's namespace", e.RemoveGrant(alice, inAcme.ID), "")
	if e.Policy().May(carol, registry.Read, "acme/app") || !e.Policy().May(carol, registry.Read, "other/app") {
		t.Error("the wrong grant was removed")
	}
	wants(t, "again", e.RemoveGrant(alice, inAcme.ID), registry.NameUnknown)
}

// A token narrower than its owner administers no more than it says.
func TestNarrowTokensAdministerNoMore(t *testing.T) {
	t.Parallel()
	e := town(t)
	narrow := *e.id(meta.KindUser, "root")
	narrow.Scope = []Scope{{Repositories: "acme/**", Role: "admin"}}
	ctx := e.as(&narrow)
	_, err := e.AddGrant(ctx, Grant{Subject: "carol", Role: "reader", Namespace: "acme"})
	wants(t, "inside", err, "")
	_, err = e.AddGrant(ctx, Grant{Subject: "carol", Role: "reader", Namespace: "other"})
	wants(t, "beside", err, registry.Denied)
	_, err = e.AddGrant(ctx, Grant{Subject: "root", Role: "admin"})
	wants(t, "registry-wide", err, registry.Denied)
	_, err = e.CreateUser(ctx, Account{Name: "dave"})
	wants(t, "user", err, registry.Denied)
	_, err = e.CreateNamespace(ctx, "acme/team", "", "")
	wants(t, "namespace inside", err, "")
	_, err = e.CreateNamespace(ctx, "fresh", "", "")
	wants(t, "namespace beside", err, registry.Denied)
}

func TestTrusts(t *testing.T) {
	t.Parallel()
	e := town(t)
	root, alice := e.asUser("root"), e.asUser("alice")
	good := Trust{Name: "release", Namespace: "acme", Issuer: "https://token.actions.example.com", Claims: map[string]string{"repository_id": "7", "ref": "refs/tags/*"}}
	with := func(f func(*Trust)) Trust {
		c := good
		f(&c)
		return c
	}
	first, err := e.AddTrust(alice, good)
	e.must(err)
	want := good
	want.ID, want.Role, want.Repositories, want.Created = first.ID, "publisher", "acme/**", first.Created
	if diff := cmp.Diff(want, first); diff != "" {
		t.Errorf("added (-want +got):\n%s", diff)
	}
	for _, c := range []struct {
		name string
		ctx  func() context.Context
		t    Trust
		want registry.Code
	}{
		{"the same again", by(alice), with(func(t *Trust) { t.Role = "publisher" }), ""},
		{"another of that name", by(alice), with(func(t *Trust) { t.Audience = "x" }), registry.Conflict},
		{"that name elsewhere", by(root), with(func(t *Trust) { t.Namespace = "other" }), registry.Conflict},
		{"another namespace", by(alice), with(func(t *Trust) { t.Namespace, t.Name = "other", "two" }), registry.Denied},
		{"registry-wide", by(alice), with(func(t *Trust) { t.Namespace, t.Name = "", "two" }), registry.Denied},
		{"out of the namespace", by(alice), with(func(t *Trust) { t.Repositories, t.Name = "**", "two" }), registry.ParameterInvalid},
		{"role admin", by(alice), with(func(t *Trust) { t.Role, t.Name = "admin", "two" }), registry.ParameterInvalid},
		{"verbs with admin", by(alice), with(func(t *Trust) { t.Role, t.Name = "read,admin", "two" }), registry.ParameterInvalid},
		{"verbs", by(alice), with(func(t *Trust) { t.Role, t.Name = "read,create,delete", "verbs" }), ""},
		{"name", by(alice), with(func(t *Trust) { t.Name = "Two" }), registry.ParameterInvalid},
		{"no claims", by(alice), with(func(t *Trust) { t.Claims, t.Name = nil, "two" }), registry.ParameterInvalid},
		{"claims that say nothing", by(alice), with(func(t *Trust) { t.Claims, t.Name = map[string]string{"sub": "**:*/**"}, "two" }), registry.ParameterInvalid},
		{"empty claim", by(alice), with(func(t *Trust) { t.Claims, t.Name = map[string]string{"sub": "x", "ref": ""}, "two" }), registry.ParameterInvalid},
		{"http", by(alice), with(func(t *Trust) { t.Issuer, t.Name = "http://ci.example.com", "two" }), registry.ParameterInvalid},
		{"http on this machine", by(alice), with(func(t *Trust) { t.Issuer, t.Name = "http://127.0.0.1:8080", "local" }), ""},
		{"userinfo", by(alice), with(func(t *Trust) { t.Issuer, t.Name = "https://a@ci.example.com", "two" }), registry.ParameterInvalid},
		{"query", by(alice), with(func(t *Trust) { t.Issuer, t.Name = "https://ci.example.com?", "two" }), registry.ParameterInvalid},
		{"fragment", by(alice), with(func(t *Trust) { t.Issuer, t.Name = "https://ci.example.com#", "two" }), registry.ParameterInvalid},
		{"no URL", by(alice), with(func(t *Trust) { t.Issuer, t.Name = "ci.example.com", "two" }), registry.ParameterInvalid},
	} {
		_, err := e.AddTrust(c.ctx(), c.t)
		wants(t, c.name, err, c.want)
	}
	names := func(ctx context.Context, ns, after string, limit int) (out []string) {
		list, err := e.Trusts(ctx, ns, after, limit)
		e.must(err)
		for _, r := range list {
			out = append(out, r.Name)
		}
		return out
	}
	e.must(e.AddTrust(root, with(func(t *Trust) { t.Namespace, t.Name = "", "all" })))
	if diff := cmp.Diff([]string{"all", "local", "release", "verbs"}, names(root, "", "", 0)); diff != "" {
		t.Errorf("root's (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"release"}, names(alice, "", "local", 1)); diff != "" {
		t.Errorf("alice's (-want +got):\n%s", diff)
	}
	_, err = e.Trusts(e.asUser("carol"), "", "", 0)
	wants(t, "carol's", err, registry.Denied)
	wants(t, "remove another's", e.RemoveTrust(alice, "all"), registry.NameUnknown)
	wants(t, "remove none", e.RemoveTrust(alice, "none"), registry.NameUnknown)

	// The rule's tokens die with it.
	m, err := e.Mint(root, MintParams{Trust: first.ID, Name: "job", TTL: 15 * time.Minute, Scope: []Scope{{"acme/app", "publisher"}}, Subject: "iss sub"})
	e.must(err)
	id := e.by(m.Secret)
	if id.String() != "workload:release" || !e.Policy().May(id, registry.Create, "acme/app") || e.Policy().May(id, registry.Create, "acme/other") {
		t.Errorf("got %+v", id)
	}
	_, _, err = e.CreateToken(e.as(id), TokenParams{})
	wants(t, "a job makes a token", err, registry.Denied)
	_, err = e.Tokens(e.as(id), "", "", 0)
	wants(t, "a job lists tokens", err, registry.Denied)
	list, err := e.Tokens(alice, "workload:release", "", 0)
	if err != nil || len(list) != 1 || list[0].Owner != "workload:release" || list[0].Subject != "iss sub" {
		t.Errorf("listed %+v, %v", list, err)
	}
	_, _, err = e.RotateToken(root, m.ID, 0)
	wants(t, "rotate a job's", err, registry.Denied)
	e.must(e.RemoveTrust(alice, "release"))
	if _, err := e.bare(m.Secret); err == nil {
		t.Error("the token outlives its rule")
	}
}
