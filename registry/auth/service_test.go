package auth

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/packhouse/packhouse/registry"
	"github.com/packhouse/packhouse/registry/seal"
	"github.com/packhouse/packhouse/storage/meta"
)

// as is a request of somebody.
func (e *entrance) as(id *Identity) context.Context {
	return registry.WithCaller(e.t.Context(), &registry.Caller{Principal: id.String(), Token: id.Token, Address: "192.0.2.1", Identity: id})
}

func (e *entrance) operator() context.Context { return e.as(&Identity{Kind: Operator}) }

func (e *entrance) anonymous() context.Context { return e.as(&Identity{Kind: Anonymous}) }

// id is the identity of user:NAME or service:NAME, by a password.
func (e *entrance) id(kind, name string) *Identity {
	e.t.Helper()
	row, ok := e.Policy().PrincipalNamed(kind, name)
	if !ok {
		e.t.Fatalf("there is no %s %s", kind, name)
	}
	return &Identity{Kind: kindOf(kind), Name: name, ID: row.ID}
}

// by is the identity of a token's text.
func (e *entrance) by(secret string) *Identity {
	e.t.Helper()
	id, err := e.bare(secret)
	if err != nil {
		e.t.Fatal(err)
	}
	return id
}

// admin makes a user who may administer the registry, and returns a request of it.
func (e *entrance) admin(name string) context.Context {
	e.t.Helper()
	e.must(e.CreateUser(e.operator(), Account{Name: name}))
	e.must(e.AddGrant(e.operator(), Grant{Subject: "user:" + name, Role: "admin", Repositories: "**"}))
	return e.as(e.id(meta.KindUser, name))
}

// by is a request in a table.
func by(ctx context.Context) func() context.Context {
	return func() context.Context { return ctx }
}

// must ends the test at an error, which is the last of results.
func (e *entrance) must(results ...any) {
	e.t.Helper()
	if err, _ := results[len(results)-1].(error); err != nil {
		e.t.Fatal(err)
	}
}

// wants compares an error's code; "" is none. A refusal must be one sentence of
// ours.
func wants(t *testing.T, what string, err error, want registry.Code) {
	t.Helper()
	if want == "" {
		if err != nil {
			t.Errorf("%s: got %v, want no error", what, err)
		}
		return
	}
	e, ours := errors.AsType[*registry.Error](err)
	switch {
	case !ours || e.Code != want:
		t.Errorf("%s: got %v, want %s", what, err, want)
	case e.Message == "" || strings.HasSuffix(e.Message, "."):
		t.Errorf("%s: %q is no sentence of ours", what, e.Message)
	}
}

func TestNewRefuses(t *testing.T) {
	t.Parallel()
	e := newEntrance(t)
	good := e.cfg
	for name, change := range map[string]func(*Config){
		"no store":      func(c *Config) { c.Meta = nil },
		"no box":        func(c *Config) { c.Seal = nil },
		"no log":        func(c *Config) { c.Log = nil },
		"long TTL":      func(c *Config) { c.TokenTTL, c.TokenMaxTTL = 2*day, day },
		"negative poll": func(c *Config) { c.Poll = -1 },
		"another key": func(c *Config) {
			box, err := seal.New(seal.GenerateKey())
			if err != nil {
				t.Fatal(err)
			}
			c.Seal = box
		},
	} {
		cfg := good
		change(&cfg)
		if s, err := New(t.Context(), cfg); err == nil {
			t.Errorf("%s: a service was made", name)
			_ = s.Close()
		}
	}
}

// A change by another process is in force within Config.Poll, one by this
// process when it returns.
func TestChangesComeInForce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store, err := meta.Open(t.Context(), meta.Config{Dir: t.TempDir()})
		if err != nil {
			t.Fatal(err)
		}
		box, err := seal.New(seal.GenerateKey())
		if err != nil {
			t.Fatal(err)
		}
		services := make([]*Service, 2)
		for i := range services {
			if services[i], err = New(t.Context(), Config{Meta: store, Seal: box, Log: slog.New(slog.DiscardHandler), Poll: 2 * time.Second}); err != nil {
				t.Fatal(err)
			}
		}
		here, there := services[0], services[1]
		ctx := registry.WithCaller(t.Context(), &registry.Caller{Identity: &Identity{Kind: Operator}})
		row, err := here.CreateUser(ctx, Account{Name: "alice"})
		if err != nil {
			t.Fatal(err)
		}
		alice := &Identity{Kind: User, Name: "alice", ID: row.ID}
		g, err := here.AddGrant(ctx, Grant{Subject: "alice", Role: "reader", Repositories: "acme/**"})
		if err != nil {
			t.Fatal(err)
		}
		may := func(s *Service) bool { return s.Policy().May(alice, registry.Read, "acme/app") }
		if !may(here) || may(there) {
			t.Errorf("granted: here %v, there %v", may(here), may(there))
		}
		<-time.After(2*time.Second + time.Millisecond)
		synctest.Wait()
		if !may(there) {
			t.Error("the grant is not in force elsewhere after Config.Poll")
		}
		if err := here.RemoveGrant(ctx, g.ID); err != nil {
			t.Fatal(err)
		}
		if may(here) {
			t.Error("the grant is in force after it was removed")
		}
		<-time.After(2*time.Second + time.Millisecond)
		synctest.Wait()
		if may(there) {
			t.Error("the grant is in force elsewhere after Config.Poll")
		}
		for _, s := range services {
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		}
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	})
}

func TestUsesAreWrittenDown(t *testing.T) {
	t.Parallel()
	e := newEntrance(t)
	e.admin("root")
	e.must(e.CreateService(e.operator(), Account{Name: "ci"}))
	m, _, err := e.CreateToken(e.operator(), TokenParams{Owner: "service:ci", TTL: time.Hour})
	e.must(err)
	e.pass(time.Minute)
	at := e.now()
	e.used(m.ID, e.id(meta.KindService, "ci").ID)
	e.must(e.flushUses(t.Context()))
	k, err := e.Token(e.operator(), m.ID)
	if err != nil || !k.LastUsed.Equal(at) {
		t.Errorf("token: %s, %v, want %s", k.LastUsed, err, at)
	}
	p, err := e.ServiceAccount(e.operator(), "ci")
	if err != nil || !p.LastUsed.Equal(at) {
		t.Errorf("service account: %s, %v, want %s", p.LastUsed, err, at)
	}
	e.pass(keepExpired + time.Hour - time.Minute - time.Millisecond)
	e.must(e.removeExpired(t.Context()))
	if _, err := e.Token(e.operator(), m.ID); err != nil {
		t.Errorf("30 days after it expired: %v", err)
	}
	e.pass(2 * time.Millisecond)
	e.must(e.removeExpired(t.Context()))
	_, err = e.Token(e.operator(), m.ID)
	wants(t, "later", err, registry.NameUnknown)
}

// Whatever changes access is recorded, and tells who did it.
func TestChangesAreRecorded(t *testing.T) {
	t.Parallel()
	e := newEntrance(t)
	root := e.admin("root")
	changes := []struct {
		action string
		do     func() error
	}{
		{"user.create", func() error {
			_, err := e.CreateUser(root, Account{Name: "alice", Password: "correct horse"})
			return err
		}},
		{"user.change", func() error { return e.ChangeUser(root, "alice", AccountChange{Exempt: new(true)}) }},
		{"user.password", func() error { return e.SetPassword(root, "alice", "", "battery staple", false) }},
		{"user.disable", func() error { return e.DisableUser(root, "alice") }},
		{"user.enable", func() error { return e.EnableUser(root, "alice") }},
		{"service.create", func() error {
			_, err := e.CreateService(root, Account{Name: "ci"})
			return err
		}},
		{"token.create", func() error {
			_, _, err := e.CreateToken(root, TokenParams{Owner: "service:ci"})
			return err
		}},
		{"group.create", func() error {
			_, err := e.CreateGroup(root, "dev", "")
			return err
		}},
		{"group.change", func() error { return e.DescribeGroup(root, "dev", "who writes") }},
		{"group.add", func() error { return e.AddMember(root, "dev", "alice") }},
		{"group.remove", func() error { return e.RemoveMember(root, "dev", "alice") }},
		{"group.delete", func() error { return e.DeleteGroup(root, "dev") }},
		{"namespace.create", func() error {
			_, err := e.CreateNamespace(root, "acme", "", "")
			return err
		}},
		{"namespace.visibility", func() error {
			_, err := e.SetVisibility(root, "namespace", "acme", "public")
			return err
		}},
		{"namespace.first-push", func() error { return e.SetFirstPush(root, "acme", "admin") }},
		{"grant.add", func() error {
			_, err := e.AddGrant(root, Grant{Subject: "alice", Role: "reader", Namespace: "acme"})
			return err
		}},
		{"grant.remove", func() error {
			list, err := e.Grants(root, GrantFilter{Namespace: "acme"})
			if err != nil || len(list) != 1 {
				return errors.Join(err, errors.New("no grant"))
			}
			return e.RemoveGrant(root, list[0].ID)
		}},
		{"trust.add", func() error {
			_, err := e.AddTrust(root, Trust{Name: "release", Namespace: "acme", Issuer: "https://ci.example.com", Claims: map[string]string{"repository_id": "7"}})
			return err
		}},
		{"trust.remove", func() error { return e.RemoveTrust(root, "release") }},
		{"token.rotate", func() error {
			list, err := e.Tokens(root, "service:ci", "", 0)
			if err == nil {
				_, _, err = e.RotateToken(root, list[0].ID, 0)
			}
			return err
		}},
		{"token.revoke", func() error {
			list, err := e.Tokens(root, "service:ci", "", 0)
			if err == nil {
				err = e.RevokeToken(root, list[0].ID)
			}
			return err
		}},
		{"user.delete", func() error { return e.DeleteUser(root, "alice") }},
		{"service.delete", func() error { return e.DeleteService(root, "ci") }},
	}
	e.must(e.audited()) // what came before
	for _, c := range changes {
		before := e.Policy().Generation()
		if err := c.do(); err != nil {
			t.Fatalf("%s: %v", c.action, err)
		}
		list, err := e.audited()
		e.must(err)
		got := list[len(list)-1]
		if got.Action != c.action || got.Principal != "user:root" {
			t.Errorf("%s: recorded %s by %s", c.action, got.Action, got.Principal)
		}
		if c.action != "token.create" && e.Policy().Generation() == before {
			t.Errorf("%s: the generation stays", c.action)
		}
		for _, secret := range []string{"correct horse", "battery staple", "argon2id", TokenPrefix} {
			if strings.Contains(got.Detail, secret) {
				t.Errorf("%s: the record shows a secret: %s", c.action, got.Detail)
			}
		}
	}
}

// audited lists all records.
func (e *entrance) audited() ([]meta.AuditRow, error) {
	list, err := e.store.Audit(e.t.Context(), meta.AuditFilter{Limit: 1000})
	slices.SortFunc(list, func(a, b meta.AuditRow) int { return int(a.ID - b.ID) })
	return list, err
}
