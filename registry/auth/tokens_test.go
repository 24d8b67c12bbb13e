package auth

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/packhouse/packhouse/registry"
	"github.com/packhouse/packhouse/storage/meta"
)

func TestCreateToken(t *testing.T) {
	t.Parallel()
	e := town(t)
	root, alice := e.asUser("root"), e.asUser("alice")
	e.must(e.CreateService(root, Account{Name: "ci"}))
	claims := *e.id(meta.KindUser, "alice")
	claims.Claims = &Claims{}
	for _, c := range []struct {
		name  string
		ctx   func() context.Context
		p     TokenParams
		owner string
		want  registry.Code
	}{
		{"one's own", by(alice), TokenParams{Name: "laptop"}, "user:alice", ""},
		{"one's own by name", by(alice), TokenParams{Owner: "alice"}, "user:alice", ""},
		{"of a service account, by an administrator", by(root), TokenParams{Owner: "service:ci"}, "service:ci", ""},
		{"of a service account, by another", by(alice), TokenParams{Owner: "service:ci"}, "", registry.Denied},
		{"of another user, by an administrator", by(root), TokenParams{Owner: "alice"}, "", registry.Denied},
		{"of a user, by an operator", by(e.operator()), TokenParams{Owner: "alice"}, "user:alice", ""},
		{"of nobody, by an operator", by(e.operator()), TokenParams{}, "", registry.ParameterInvalid},
		{"of a service account, by itself", by(e.as(e.id(meta.KindService, "ci"))), TokenParams{}, "service:ci", ""},
		{"unknown owner", by(root), TokenParams{Owner: "service:none"}, "", registry.NameUnknown},
		{"owner that has none", by(root), TokenParams{Owner: "group:dev"}, "", registry.ParameterInvalid},
		{"by a token of Docker's protocol", by(e.as(&claims)), TokenParams{}, "", registry.Denied},
		{"anonymous", by(e.anonymous()), TokenParams{}, "", registry.Unauthorized},
		{"longest", by(alice), TokenParams{TTL: 366 * day}, "user:alice", ""},
		{"longer", by(alice), TokenParams{TTL: 366*day + 1}, "", registry.ParameterInvalid},
		{"negative", by(alice), TokenParams{TTL: -time.Hour}, "", registry.ParameterInvalid},
		{"too short", by(alice), TokenParams{TTL: time.Millisecond}, "", registry.ParameterInvalid},
		{"name", by(alice), TokenParams{Name: "a\nb"}, "", registry.ParameterInvalid},
		{"scope's role", by(alice), TokenParams{Scope: []Scope{{"acme/**", "king"}}}, "", registry.ParameterInvalid},
		{"scope's glob", by(alice), TokenParams{Scope: []Scope{{"acme/", "reader"}}}, "", registry.ParameterInvalid},
		{"large scope", by(alice), TokenParams{Scope: make([]Scope, maxScope+1)}, "", registry.ParameterInvalid},
	} {
		got, secret, err := e.CreateToken(c.ctx(), c.p)
		wants(t, c.name, err, c.want)
		if err != nil {
			if secret != "" {
				t.Errorf("%s: a secret was given out", c.name)
			}
			continue
		}
		ttl := c.p.TTL
		if ttl == 0 {
			ttl = 90 * day
		}
		want := Token{ID: got.ID, Owner: c.owner, Name: c.p.Name, Scope: c.p.Scope, Created: e.now(), Expires: e.now().Add(ttl)}
		if diff := cmp.Diff(want, got); diff != "" || len(got.ID) != 12 {
			t.Errorf("%s (-want +got):\n%s", c.name, diff)
		}
		if id := e.by(secret); id.String() != c.owner || id.Token != got.ID {
			t.Errorf("%s: the secret is that of %s", c.name, id)
		}
	}
}

// Whatever a token makes is no wider than it is itself.
func TestNoTokenMakesAWiderOne(t *testing.T) {
	t.Parallel()
	e := town(t)
	alice := e.asUser("alice")
	reader := []Scope{{"acme/**", "reader"}}
	both := []Scope{{"acme/x/**", "reader"}, {"acme/x/**", "create"}, {"other/*", "admin"}}
	for _, c := range []struct {
		name     string
		by, asks []Scope
		want     []Scope // nil for refused
	}{
		{"as wide", reader, reader, reader},
		{"nothing asked for", reader, nil, reader},
		{"an empty scope asked for", reader, []Scope{}, reader},
		{"fewer names", reader, []Scope{{"acme/x/*", "reader"}}, []Scope{{"acme/x/*", "reader"}}},
		{"fewer verbs", reader, []Scope{{"acme/**", "read"}}, []Scope{{"acme/**", "read"}}},
		{"verbs of two entries", both, []Scope{{"acme/x/app", "publisher"}}, []Scope{{"acme/x/app", "publisher"}}},
		{"two of three entries", both, []Scope{{"other/a", "reader"}, {"acme/x/**", "create"}}, []Scope{{"other/a", "reader"}, {"acme/x/**", "create"}}},
		{"more names", reader, []Scope{{"**", "reader"}}, nil},
		{"names beside", reader, []Scope{{"acme2/**", "reader"}}, nil},
		{"a name above", []Scope{{"acme/x/**", "reader"}}, []Scope{{"acme/*", "reader"}}, nil},
		{"more verbs", reader, []Scope{{"acme/**", "publisher"}}, nil},
		{"one good, one not", reader, []Scope{{"acme/x", "reader"}, {"other/x", "reader"}}, nil},
		{"names of two entries together", both, []Scope{{"*/*", "reader"}}, nil},
		{"of nothing", []Scope{}, []Scope{{"acme/x", "read"}}, nil},
		{"nothing of nothing", []Scope{}, nil, []Scope{}},
	} {
		var id *Identity
		if len(c.by) == 0 {
			narrowest := *e.id(meta.KindUser, "alice")
			narrowest.Scope = []Scope{}
			id = &narrowest
		} else {
			_, secret, err := e.CreateToken(alice, TokenParams{Scope: c.by})
			e.must(err)
			id = e.by(secret)
		}
		got, secret, err := e.CreateToken(e.as(id), TokenParams{Scope: c.asks})
		if c.want == nil {
			wants(t, c.name, err, registry.Denied)
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		if diff := cmp.Diff(c.want, got.Scope); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.name, diff)
		}
		if diff := cmp.Diff(c.want, e.by(secret).Scope); diff != "" {
			t.Errorf("%s, its identity (-want +got):\n%s", c.name, diff)
		}
	}

	// Nor by way of another token.
	wide, _, err := e.CreateToken(alice, TokenParams{Name: "wide"})
	e.must(err)
	_, secret, err := e.CreateToken(alice, TokenParams{Name: "narrow", Scope: reader})
	e.must(err)
	narrow := e.as(e.by(secret))
	_, _, err = e.RotateToken(narrow, wide.ID, 0)
	wants(t, "rotate a wider one", err, registry.Denied)
	wants(t, "revoke a wider one", e.RevokeToken(narrow, wide.ID), registry.Denied)
	_, _, err = e.RotateToken(narrow, e.by(secret).Token, 0)
	wants(t, "rotate itself", err, "")
}

func TestRotateToken(t *testing.T) {
	t.Parallel()
	const grace = 2 * time.Minute // shorter than what was verified is remembered
	e := newEntrance(t, func(c *Config) { c.RotateGrace = grace })
	root := e.admin("root")
	e.must(e.CreateUser(root, Account{Name: "alice"}))
	e.must(e.CreateService(root, Account{Name: "ci"}))
	alice := e.asUser("alice")
	scope := []Scope{{"acme/**", "reader"}}
	old, oldSecret, err := e.CreateToken(alice, TokenParams{Name: "laptop", TTL: 10 * day, Scope: scope})
	e.must(err)
	e.by(oldSecret)
	e.pass(time.Hour)
	fresh, secret, err := e.RotateToken(alice, old.ID, 0)
	e.must(err)
	want := Token{ID: fresh.ID, Owner: "user:alice", Name: "laptop", Scope: scope, Created: e.now(), Expires: e.now().Add(10 * day)}
	if diff := cmp.Diff(want, fresh); diff != "" || fresh.ID == old.ID {
		t.Errorf("rotated (-want +got):\n%s", diff)
	}
	_, _, err = e.RotateToken(alice, old.ID, 0)
	wants(t, "rotate again", err, registry.Conflict)
	e.pass(grace - time.Millisecond)
	for _, s := range []string{oldSecret, secret} {
		if _, err := e.bare(s); err != nil {
			t.Errorf("before the grace ends: %v", err)
		}
	}
	e.pass(time.Millisecond)
	if _, err := e.bare(oldSecret); err == nil {
		t.Error("the old token works after the grace")
	}
	if _, err := e.bare(secret); err != nil {
		t.Errorf("the new token: %v", err)
	}
	_, _, err = e.RotateToken(alice, old.ID, 0)
	wants(t, "rotate what is over", err, registry.Conflict)

	service, _, err := e.CreateToken(root, TokenParams{Owner: "service:ci"})
	e.must(err)
	_, _, err = e.RotateToken(alice, service.ID, 0)
	wants(t, "another's", err, registry.NameUnknown)
	_, _, err = e.RotateToken(root, fresh.ID, 0)
	wants(t, "a user's by an administrator", err, registry.Denied)
	_, _, err = e.RotateToken(root, service.ID, 400*day)
	wants(t, "too long", err, registry.ParameterInvalid)
	_, _, err = e.RotateToken(root, service.ID, day)
	wants(t, "a service account's by an administrator", err, "")
	_, _, err = e.RotateToken(alice, "none", 0)
	wants(t, "none", err, registry.NameUnknown)
	_, _, err = e.RotateToken(e.asUser("root"), secret, 0)
	wants(t, "by its secret, but not its owner", err, registry.Denied)
	e.must(e.SetPassword(root, "alice", "", "battery staple", false))
	_, _, err = e.RotateToken(alice, fresh.ID, 0)
	wants(t, "of before the password", err, registry.Conflict)
}

func TestRevokeToken(t *testing.T) {
	t.Parallel()
	e := town(t)
	root, alice, bob := e.asUser("root"), e.asUser("alice"), e.asUser("bob")
	fresh := func() (Token, string) {
		k, secret, err := e.CreateToken(alice, TokenParams{})
		e.must(err)
		return k, secret
	}
	for _, c := range []struct {
		name     string
		ctx      func() context.Context
		bySecret bool
		want     registry.Code
	}{
		{"its owner", by(alice), false, ""},
		{"an administrator", by(root), false, ""},
		{"an operator", by(e.operator()), false, ""},
		{"somebody else", by(bob), false, registry.NameUnknown},
		{"whoever has its secret", by(bob), true, ""},
		{"nobody who has its secret", by(e.anonymous()), true, registry.Unauthorized},
	} {
		k, secret := fresh()
		e.by(secret) // remembered as verified
		which := k.ID
		if c.bySecret {
			which = secret
		}
		wants(t, c.name, e.RevokeToken(c.ctx(), which), c.want)
		if _, err := e.bare(secret); (err != nil) != (c.want == "") {
			t.Errorf("%s: then it gives %v", c.name, err)
		}
		if c.want == "" {
			wants(t, c.name+" again", e.RevokeToken(c.ctx(), which), "")
		}
	}
	wants(t, "none", e.RevokeToken(alice, "000000000000"), registry.NameUnknown)
	wants(t, "no such secret", e.RevokeToken(alice, NewTokenText()), registry.NameUnknown)

	// A rotated token ends at once if it is revoked.
	k, secret := fresh()
	e.by(secret)
	_, _, err := e.RotateToken(alice, k.ID, 0)
	e.must(err)
	e.must(e.RevokeToken(alice, k.ID))
	if _, err := e.bare(secret); err == nil {
		t.Error("a rotated token outlives that it is revoked")
	}
}

func TestTokensAreListed(t *testing.T) {
	t.Parallel()
	e := town(t)
	root, alice, bob := e.asUser("root"), e.asUser("alice"), e.asUser("bob")
	var want []string
	for range 3 {
		k, _, err := e.CreateToken(alice, TokenParams{})
		e.must(err)
		want = append(want, k.ID)
	}
	for _, c := range []struct {
		name  string
		ctx   func() context.Context
		owner string
		want  registry.Code
	}{
		{"one's own", by(alice), "", ""},
		{"by an administrator", by(root), "user:alice", ""},
		{"another's", by(bob), "user:alice", registry.Denied},
		{"unknown", by(root), "user:none", registry.NameUnknown},
		{"everybody's", by(root), "anonymous", registry.ParameterInvalid},
		{"operator's own", by(e.operator()), "", registry.ParameterInvalid},
		{"anonymous", by(e.anonymous()), "", registry.Unauthorized},
		{"anonymous, another's", by(e.anonymous()), "alice", registry.Unauthorized},
	} {
		seen := map[string]bool{}
		after := ""
		for {
			list, err := e.Tokens(c.ctx(), c.owner, after, 2)
			wants(t, c.name, err, c.want)
			if len(list) == 0 {
				break
			}
			for _, k := range list {
				seen[k.ID], after = true, k.ID
			}
		}
		if c.want != "" {
			continue
		}
		for _, id := range want {
			if !seen[id] {
				t.Errorf("%s: %s is not listed", c.name, id)
			}
		}
		if len(seen) != len(want) {
			t.Errorf("%s: listed %v", c.name, seen)
		}
	}
	_, err := e.Token(bob, want[0])
	wants(t, "show another's", err, registry.NameUnknown)
	k, err := e.Token(root, want[0])
	if err != nil || k.Owner != "user:alice" {
		t.Errorf("show: %+v, %v", k, err)
	}
}

func TestMintChecks(t *testing.T) {
	t.Parallel()
	e := town(t)
	alice := e.id(meta.KindUser, "alice")
	_, err := e.Mint(t.Context(), MintParams{Principal: 999})
	wants(t, "nobody", err, registry.Unauthorized)
	_, err = e.Mint(t.Context(), MintParams{Trust: 999})
	wants(t, "no rule", err, registry.Unauthorized)
	m, err := e.Mint(t.Context(), MintParams{Principal: alice.ID, Name: strings.Repeat("ä", 80)})
	e.must(err)
	k, err := e.Token(e.asUser("alice"), m.ID)
	if err != nil || k.Name != strings.Repeat("ä", 50) {
		t.Errorf("name %q, %v", k.Name, err)
	}
	// An empty scope is not the same as none.
	m, err = e.Mint(t.Context(), MintParams{Principal: alice.ID, Scope: []Scope{}})
	e.must(err)
	if id := e.by(m.Secret); id.Scope == nil || e.Policy().May(id, registry.Read, "acme/app") {
		t.Errorf("an empty scope became %v", id.Scope)
	}
}
