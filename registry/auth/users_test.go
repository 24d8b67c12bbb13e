package auth

import (
	"context"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/packhouse/packhouse/registry"
	"github.com/packhouse/packhouse/storage/meta"
)

func TestNames(t *testing.T) {
	t.Parallel()
	for name, legal := range map[string]bool{
		"a": true, "7": true, "alice": true, "alice.b_c@example.com+x-y": true, strings.Repeat("a", 64): true,
		"": false, strings.Repeat("a", 65): false, "Alice": false, ".a": false, "-a": false, "@a": false, "a b": false, "a:b": false, "a/b": false, "ä": false, "a\n": false,
	} {
		if got := LegalName(name); got != legal {
			t.Errorf("%q: %v, want %v", name, got, legal)
		}
	}
	for _, name := range []string{"anonymous", "operator", "server"} {
		if LegalUser(name) {
			t.Errorf("%q is legal", name)
		}
	}
}

func TestCreateUser(t *testing.T) {
	t.Parallel()
	e := newEntrance(t)
	root := e.admin("root")
	for _, c := range []struct {
		name    string
		ctx     func() context.Context
		account Account
		want    registry.Code
	}{
		{"fine", by(root), Account{Name: "alice", FullName: "Alice A.", Email: "a@example.com", Password: "correct horse", Exempt: true}, ""},
		{"again", by(root), Account{Name: "alice"}, registry.Conflict},
		{"name", by(root), Account{Name: "Alice"}, registry.ParameterInvalid},
		{"reserved", by(root), Account{Name: "anonymous"}, registry.ParameterInvalid},
		{"full name", by(root), Account{Name: "bob", FullName: "B\n"}, registry.ParameterInvalid},
		{"e-mail", by(root), Account{Name: "bob", Email: strings.Repeat("e", 201)}, registry.ParameterInvalid},
		{"short password", by(root), Account{Name: "bob", Password: "1234567"}, registry.ParameterInvalid},
		{"eight characters", by(root), Account{Name: "bob8", Password: "äöüäöüäö"}, ""},
		{"long password", by(root), Account{Name: "bob", Password: strings.Repeat("x", maxPassword+1)}, registry.ParameterInvalid},
		{"name as password", by(root), Account{Name: "bobbobbob", Password: "BobBobBob"}, registry.ParameterInvalid},
		{"token as password", by(root), Account{Name: "bob", Password: TokenPrefix + "abcdefgh"}, registry.ParameterInvalid},
		{"by a user", by(e.as(&Identity{Kind: User, Name: "alice", ID: 2})), Account{Name: "bob"}, registry.Denied},
		{"by nobody", by(e.anonymous()), Account{Name: "bob"}, registry.Unauthorized},
		{"without a caller", by(t.Context()), Account{Name: "bob"}, registry.Unauthorized},
	} {
		got, err := e.CreateUser(c.ctx(), c.account)
		wants(t, c.name, err, c.want)
		if got.Password != "" {
			t.Errorf("%s: the hash is shown", c.name)
		}
	}
	got, err := e.User(root, "alice")
	want := meta.Principal{
		ID: got.ID, Kind: meta.KindUser, Name: "alice", FullName: "Alice A.", Email: "a@example.com", Source: meta.SourceLocal,
		Epoch: got.Epoch, Exempt: true, Created: got.Created,
	}
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
	if _, err := e.password("alice", "correct horse"); err != nil {
		t.Errorf("log-in: %v", err)
	}
	if _, err := e.CreateService(root, Account{Name: "ci", Password: "correct horse"}); err == nil {
		t.Error("a service account has a password")
	}
	// A service account may have a user's name.
	e.must(e.CreateService(root, Account{Name: "alice"}))
}

func TestListsAreInPages(t *testing.T) {
	t.Parallel()
	e := newEntrance(t)
	root := e.admin("root")
	for _, name := range []string{"d", "b", "a", "c"} {
		e.must(e.CreateUser(root, Account{Name: name}))
		e.must(e.CreateGroup(root, name, ""))
		e.must(e.CreateService(root, Account{Name: name}))
	}
	list := map[string]func(after string) []string{
		"users": func(after string) (names []string) {
			rows, err := e.Users(root, after, 2)
			e.must(err)
			for _, p := range rows {
				names = append(names, p.Name)
			}
			return names
		},
		"services": func(after string) (names []string) {
			rows, err := e.Services(root, after, 2)
			e.must(err)
			for _, p := range rows {
				names = append(names, p.Name)
			}
			return names
		},
		"groups": func(after string) (names []string) {
			rows, err := e.Groups(root, after, 2)
			e.must(err)
			for _, g := range rows {
				names = append(names, g.Name)
			}
			return names
		},
	}
	for what, f := range list {
		if diff := cmp.Diff([][]string{{"a", "b"}, {"c", "d"}}, [][]string{f(""), f("b")}); diff != "" {
			t.Errorf("%s (-want +got):\n%s", what, diff)
		}
	}
}

func TestChangeUser(t *testing.T) {
	t.Parallel()
	e := newEntrance(t)
	root := e.admin("root")
	e.must(e.CreateUser(root, Account{Name: "alice", FullName: "A", Email: "a@example.com"}))
	e.must(e.ChangeUser(root, "alice", AccountChange{FullName: new("Alice"), Exempt: new(true)}))
	got, err := e.User(root, "alice")
	if err != nil || got.FullName != "Alice" || got.Email != "a@example.com" || !got.Exempt {
		t.Errorf("got %+v, %v", got, err)
	}
	before := e.Policy().Generation()
	e.must(e.ChangeUser(root, "alice", AccountChange{FullName: new("Alice"), Exempt: new(true)}))
	if e.Policy().Generation() != before {
		t.Error("what changes nothing counts as a change")
	}
	wants(t, "text", e.ChangeUser(root, "alice", AccountChange{FullName: new("\x00")}), registry.ParameterInvalid)
	wants(t, "nobody", e.ChangeUser(root, "bob", AccountChange{}), registry.NameUnknown)
	wants(t, "self", e.ChangeUser(e.as(e.id(meta.KindUser, "alice")), "alice", AccountChange{Exempt: new(false)}), registry.Denied)
}

func TestUsersSeeThemselvesAlone(t *testing.T) {
	t.Parallel()
	e := newEntrance(t)
	e.admin("root")
	e.must(e.CreateUser(e.operator(), Account{Name: "alice"}))
	e.must(e.CreateService(e.operator(), Account{Name: "alice"}))
	alice := e.as(e.id(meta.KindUser, "alice"))
	_, err := e.User(alice, "alice")
	wants(t, "self", err, "")
	_, err = e.User(alice, "root")
	wants(t, "another", err, registry.Denied)
	_, err = e.User(alice, "nobody")
	wants(t, "nobody", err, registry.Denied)
	_, err = e.ServiceAccount(alice, "alice")
	wants(t, "service of that name", err, registry.Denied)
	claims := *e.id(meta.KindUser, "alice")
	claims.Claims = &Claims{}
	_, err = e.User(e.as(&claims), "alice")
	wants(t, "token of Docker's protocol", err, registry.Denied)
}

func TestSetPassword(t *testing.T) {
	t.Parallel()
	e := newEntrance(t)
	root := e.admin("root")
	e.must(e.CreateUser(root, Account{Name: "alice", Password: "correct horse"}))
	e.must(e.CreateUser(root, Account{Name: "bob", Password: "correct horse"}))
	e.add(meta.Principal{Kind: meta.KindUser, Name: "carol", Source: "oidc", External: "iss sub"})
	alice := e.as(e.id(meta.KindUser, "alice"))
	bobs := *e.id(meta.KindUser, "alice")
	bobs.Claims = &Claims{}
	for _, c := range []struct {
		name                   string
		ctx                    func() context.Context
		user, present, to, now string // now: what logs in then
		want                   registry.Code
	}{
		{"wrong present", by(alice), "alice", "wrong horse", "battery staple", "correct horse", registry.Unauthorized},
		{"no present", by(alice), "alice", "", "battery staple", "correct horse", registry.Unauthorized},
		{"short", by(alice), "alice", "correct horse", "short", "correct horse", registry.ParameterInvalid},
		{"none for oneself", by(alice), "alice", "correct horse", "", "correct horse", registry.ParameterInvalid},
		{"another's", by(alice), "bob", "correct horse", "battery staple", "", registry.Denied},
		{"nobody's", by(alice), "dave", "correct horse", "battery staple", "", registry.Denied},
		{"token of Docker's protocol", by(e.as(&bobs)), "alice", "correct horse", "battery staple", "correct horse", registry.Denied},
		{"one's own", by(alice), "alice", "correct horse", "battery staple", "battery staple", ""},
		{"by an administrator", by(root), "alice", "", "correct horse", "correct horse", ""},
		{"none", by(root), "alice", "", "", "", ""},
		{"kept elsewhere", by(root), "carol", "", "battery staple", "", registry.Conflict},
		{"unknown", by(root), "dave", "", "battery staple", "", registry.NameUnknown},
	} {
		wants(t, c.name, e.SetPassword(c.ctx(), c.user, c.present, c.to, false), c.want)
		if c.user != "alice" {
			continue
		}
		for _, p := range []string{"correct horse", "battery staple"} {
			if _, err := e.password("alice", p); (err == nil) != (p == c.now) {
				t.Errorf("%s: log-in with %q: %v", c.name, p, err)
			}
		}
	}
}

func TestANewPasswordEndsTokens(t *testing.T) {
	t.Parallel()
	for _, keep := range []bool{false, true} {
		e := newEntrance(t)
		root := e.admin("root")
		e.must(e.CreateUser(root, Account{Name: "alice", Password: "correct horse"}))
		_, secret, err := e.CreateToken(e.as(e.id(meta.KindUser, "alice")), TokenParams{})
		e.must(err)
		e.must(e.bare(secret))
		e.must(e.SetPassword(root, "alice", "", "battery staple", keep))
		if _, err := e.bare(secret); (err == nil) != keep {
			t.Errorf("kept %v: the token gives %v", keep, err)
		}
	}
}

// A wrong present password counts as a failed log-in.
func TestPresentPasswordIsLimited(t *testing.T) {
	t.Parallel()
	l := &countingLimits{}
	e := newEntrance(t, func(c *Config) { c.Limits = l })
	e.must(e.CreateUser(e.operator(), Account{Name: "alice", Password: "correct horse"}))
	alice := e.as(e.id(meta.KindUser, "alice"))
	wants(t, "wrong", e.SetPassword(alice, "alice", "wrong horse", "battery staple", false), registry.Unauthorized)
	if l.failed != 1 {
		t.Errorf("%d failures were counted", l.failed)
	}
	l.refuse = true
	wants(t, "limited", e.SetPassword(alice, "alice", "correct horse", "battery staple", false), registry.TooManyRequests)
	l.refuse = false
	wants(t, "right", e.SetPassword(alice, "alice", "correct horse", "battery staple", false), "")
}

// countingLimits is for one goroutine.
type countingLimits struct {
	refuse bool
	failed int
}

func (l *countingLimits) Login(string, string) error {
	if l.refuse {
		return registry.E("limit", registry.TooManyRequests, nil, "too many failed log-ins: wait")
	}
	return nil
}
func (l *countingLimits) LoginFailed(string, string)  { l.failed++ }
func (*countingLimits) LoginSucceeded(string, string) {}

func TestDisabledAndDeletedMayNothing(t *testing.T) {
	t.Parallel()
	e := newEntrance(t)
	root := e.admin("root")
	e.must(e.CreateUser(root, Account{Name: "alice", Password: "correct horse"}))
	e.must(e.AddGrant(root, Grant{Subject: "alice", Role: "reader", Repositories: "acme/**"}))
	id := e.id(meta.KindUser, "alice")
	_, secret, err := e.CreateToken(e.as(id), TokenParams{})
	e.must(err)
	check := func(what string, want bool) {
		t.Helper()
		_, byPassword := e.password("alice", "correct horse")
		_, byToken := e.bare(secret)
		got := [3]bool{byPassword == nil, byToken == nil, e.Policy().May(id, registry.Read, "acme/app")}
		if want := [3]bool{want, want, want}; got != want {
			t.Errorf("%s: password, token, policy: %v, want %v", what, got, want)
		}
	}
	check("before", true)
	e.must(e.DisableUser(root, "alice"))
	check("disabled", false)
	_, _, err = e.CreateToken(e.operator(), TokenParams{Owner: "user:alice"})
	wants(t, "token for a disabled user", err, registry.Unauthorized)
	e.must(e.DisableUser(root, "alice")) // no error
	e.must(e.EnableUser(root, "alice"))
	check("enabled", true)
	e.must(e.DeleteUser(root, "alice"))
	check("deleted", false)
	wants(t, "deleted again", e.DeleteUser(root, "alice"), registry.NameUnknown)
	// Another of that name, and as SQLite has it of that row.
	e.must(e.CreateUser(root, Account{Name: "alice", Password: "battery staple"}))
	if now := e.id(meta.KindUser, "alice"); now.ID != id.ID {
		t.Logf("row %d, before %d", now.ID, id.ID)
	}
	check("another of that name", false)
}

func TestTheLastWayInStaysOpen(t *testing.T) {
	t.Parallel()
	setups := map[string]struct {
		make func(e *entrance)
		// remove takes the administrator's rights away in several ways.
		remove map[string]func(e *entrance, ctx context.Context) error
	}{
		"by a grant": {
			make: func(e *entrance) { e.admin("root") },
			remove: map[string]func(*entrance, context.Context) error{
				"disable": func(e *entrance, ctx context.Context) error { return e.DisableUser(ctx, "root") },
				"delete":  func(e *entrance, ctx context.Context) error { return e.DeleteUser(ctx, "root") },
				"grant": func(e *entrance, ctx context.Context) error {
					list, err := e.Grants(ctx, GrantFilter{Subject: "root"})
					e.must(err)
					return e.RemoveGrant(ctx, list[0].ID)
				},
				"deny": func(e *entrance, ctx context.Context) error {
					_, err := e.AddGrant(ctx, Grant{Subject: "anonymous", Deny: true, Role: "admin", Repositories: "**"})
					return err
				},
			},
		},
		"by a group": {
			make: func(e *entrance) {
				op := e.operator()
				e.must(e.CreateGroup(op, "admins", ""))
				e.must(e.CreateGroup(op, "others", ""))
				e.must(e.CreateService(op, Account{Name: "root"}))
				e.must(e.AddMember(op, "admins", "service:root"))
				e.must(e.AddGrant(op, Grant{Subject: "group:admins", Role: "admin"}))
				e.must(e.AddGrant(op, Grant{Subject: "group:others", Role: "admin", Deny: true}))
			},
			remove: map[string]func(*entrance, context.Context) error{
				"member":  func(e *entrance, ctx context.Context) error { return e.RemoveMember(ctx, "admins", "service:root") },
				"group":   func(e *entrance, ctx context.Context) error { return e.DeleteGroup(ctx, "admins") },
				"denied":  func(e *entrance, ctx context.Context) error { return e.AddMember(ctx, "others", "service:root") },
				"disable": func(e *entrance, ctx context.Context) error { return e.DisableService(ctx, "root") },
				"delete":  func(e *entrance, ctx context.Context) error { return e.DeleteService(ctx, "root") },
			},
		},
	}
	for name, setup := range setups {
		for how, remove := range setup.remove {
			t.Run(name+"/"+how, func(t *testing.T) {
				t.Parallel()
				e := newEntrance(t)
				setup.make(e)
				before := e.Policy().Generation()
				wants(t, "the last", remove(e, e.operator()), registry.Conflict)
				if e.Policy().Generation() != before || !e.Policy().administered() {
					t.Error("a refused change changed something")
				}
				if how == "deny" {
					return // it is for everybody
				}
				e.admin("second")
				wants(t, "one of two", remove(e, e.operator()), "")
			})
		}
	}
}

func TestGroups(t *testing.T) {
	t.Parallel()
	e := newEntrance(t)
	root := e.admin("root")
	e.must(e.CreateUser(root, Account{Name: "alice"}))
	e.must(e.CreateService(root, Account{Name: "ci"}))
	_, err := e.CreateGroup(root, "dev", "who writes")
	wants(t, "create", err, "")
	_, err = e.CreateGroup(root, "dev", "")
	wants(t, "create again", err, registry.Conflict)
	_, err = e.CreateGroup(root, "De v", "")
	wants(t, "name", err, registry.ParameterInvalid)
	for _, c := range []struct {
		group, subject string
		want           registry.Code
	}{
		{"dev", "alice", ""},
		{"dev", "user:alice", ""}, // again
		{"dev", "service:ci", ""},
		{"dev", "service:alice", registry.NameUnknown},
		{"ops", "alice", registry.NameUnknown},
		{"dev", "group:dev", registry.ParameterInvalid},
		{"dev", "anonymous", registry.ParameterInvalid},
		{"dev", "user:", registry.ParameterInvalid},
	} {
		wants(t, c.group+" "+c.subject, e.AddMember(root, c.group, c.subject), c.want)
	}
	e.must(e.AddGrant(root, Grant{Subject: "group:dev", Role: "publisher", Repositories: "acme/**"}))
	alice := e.id(meta.KindUser, "alice")
	if !e.Policy().May(alice, registry.Create, "acme/app") {
		t.Error("a member has not what the group was granted")
	}
	g, members, err := e.Group(root, "dev")
	want := []GroupMember{{"service:ci", "local"}, {"user:alice", "local"}}
	if diff := cmp.Diff(want, members); err != nil || g.Description != "who writes" || diff != "" {
		t.Errorf("%+v, %v (-want +got):\n%s", g, err, diff)
	}
	e.must(e.RemoveMember(root, "dev", "alice"))
	if e.Policy().May(alice, registry.Create, "acme/app") {
		t.Error("who is not in the group has what it was granted")
	}
	e.change(func(ctx context.Context, tx *meta.Tx) error {
		_, err := tx.SetMemberships(ctx, alice.ID, "oidc", []string{"dev"})
		return err
	})
	wants(t, "by another source", e.RemoveMember(root, "dev", "alice"), registry.Conflict)
	_, _, err = e.Group(e.as(alice), "dev")
	wants(t, "seen by a user", err, registry.Denied)
	wants(t, "changed by a user", e.AddMember(e.as(alice), "dev", "alice"), registry.Denied)
	e.must(e.DeleteGroup(root, "dev"))
	_, _, err = e.Group(root, "dev")
	wants(t, "deleted", err, registry.NameUnknown)
}
