package auth

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/packhouse/packhouse/registry"
	"github.com/packhouse/packhouse/storage/meta"
)

// watched is a gate that counts what it asks and tells.
type watched struct {
	registry.Gate
	now     Incarnation // what Lookup finds
	failure error
	lookups int
	denied  []string
}

func watch(p *Policy) *watched {
	w := &watched{}
	w.Gate = NewGate(GateConfig{
		Policy: func() *Policy { return p },
		Lookup: func(context.Context, registry.Repo) (Incarnation, error) {
			w.lookups++
			return w.now, w.failure
		},
		Denied: func(_ context.Context, v registry.Verb, r registry.Repo) {
			w.denied = append(w.denied, fmt.Sprintf("%s %s", v, r))
		},
	})
	return w
}

func as(t *testing.T, id *Identity) context.Context {
	t.Helper()
	return registry.WithCaller(t.Context(), &registry.Caller{Principal: id.String(), Identity: id})
}

func gateRows() meta.AccessRows {
	rows := people()
	rows.Grants = []meta.Grant{
		{ID: 1, Principal: 1, Role: "publisher", Repositories: "acme/**"},
		{ID: 2, Principal: 4, Role: "admin", Repositories: "**"},
	}
	rows.Visible = []meta.Visible{{Name: "open", Public: true}}
	return rows
}

func TestGateCan(t *testing.T) {
	t.Parallel()
	p := policy(t, gateRows())
	scoped := *ci
	scoped.Scope = []Scope{{"acme/**", "reader"}}
	claims := *alice
	claims.Claims = &Claims{[]ClaimedAccess{{Repo: "acme/app", Verbs: reading}}}
	guest := *nobody
	guest.Claims = &Claims{[]ClaimedAccess{{Repo: "open/app", Verbs: reading}}}
	tests := []struct {
		name    string
		id      *Identity
		verb    registry.Verb
		repo    registry.Repo
		code    registry.Code // "" allowed
		message string
	}{
		{"allowed", alice, registry.Create, "acme/app", "", ""},
		{"public", nobody, registry.Read, "open/app", "", ""},
		{"enter", nobody, registry.Enter, "", "", ""},
		{"enter, disabled", carol, registry.Enter, "", "", ""},
		{"operator", operator, registry.Admin, "", "", ""},
		{"open", open, registry.Delete, "acme/app", "", ""},
		{"anonymous, private", nobody, registry.Read, "acme/app", registry.Unauthorized, "it takes a log-in to read acme/app: send a user name and password, or a token"},
		{"anonymous, absent", nobody, registry.Read, "acme/gone", registry.Unauthorized, "it takes a log-in to read acme/gone: send a user name and password, or a token"},
		{"anonymous, public", nobody, registry.Create, "open/app", registry.Unauthorized, "it takes a log-in to create in open/app: send a user name and password, or a token"},
		{"anonymous, registry", nobody, registry.Admin, "", registry.Unauthorized, "it takes a log-in to administer the whole registry: send a user name and password, or a token"},
		{"unread", alice, registry.Read, "beta/app", registry.NameUnknown, "there is no repository beta/app"},
		{"unlisted", alice, registry.List, "beta/app", registry.NameUnknown, "there is no repository beta/app"},
		{"unlisted, registry", alice, registry.List, "", registry.NameUnknown, "there is nothing here that user:alice may list"},
		{"unwritten", alice, registry.Create, "beta/app", registry.Denied, "user:alice may not create in beta/app: that takes at least the role publisher there"},
		{"too little", alice, registry.Overwrite, "acme/app", registry.Denied, "user:alice may not overwrite in acme/app: that takes at least the role maintainer there"},
		{"admin", alice, registry.Admin, "", registry.Denied, "user:alice may not administer the whole registry: that takes at least the role admin there"},
		{"disabled", carol, registry.Read, "open/app", registry.NameUnknown, "there is no repository open/app"},
		{"disabled, writes", carol, registry.Create, "open/app", registry.Denied, "user:carol may not create in open/app: that takes at least the role publisher there"},
		{"workload", release, registry.Create, "acme/app", registry.Denied, "workload:release may not create in acme/app: that takes at least the role publisher there"},
		{"scope", &scoped, registry.Create, "acme/app", registry.Denied, "this token may not create in acme/app, though service:ci may: use one whose scope has at least the role publisher there"},
		{"scope, unread", &scoped, registry.Read, "beta/app", registry.NameUnknown, "there is no repository beta/app"},
		{"claims", &claims, registry.Create, "acme/app", registry.Unauthorized, "the token was not made to create in acme/app, though user:alice may: get one with a scope that covers it"},
		{"claims, beside", &claims, registry.Read, "acme/other", registry.Unauthorized, "the token was not made to read acme/other, though user:alice may: get one with a scope that covers it"},
		{"claims, no right", &claims, registry.Read, "beta/app", registry.NameUnknown, "there is no repository beta/app"},
		{"claims, no right to write", &claims, registry.Delete, "acme/app", registry.Denied, "user:alice may not delete from acme/app: that takes at least the role admin there"},
		{"guest's claims", &guest, registry.Read, "open/other", registry.Unauthorized, "it takes a log-in to read open/other: send a user name and password, or a token"},
		{"no verb", operator, 0, "acme/app", registry.Denied, "operator may not do this to acme/app: nobody may"},
		{"no kind", &Identity{}, registry.Read, "open/app", registry.NameUnknown, "there is no repository open/app"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			w := watch(p)
			err := w.Can(as(t, test.id), test.verb, test.repo)
			checkRefusal(t, w, err, test.code, test.message)
		})
	}
}

func checkRefusal(t *testing.T, w *watched, err error, code registry.Code, message string) {
	t.Helper()
	if code == "" {
		if err != nil || w.denied != nil {
			t.Fatalf("refused: %v, told of %v", err, w.denied)
		}
		return
	}
	e, ok := errors.AsType[*registry.Error](err)
	if !ok {
		t.Fatalf("got %v, want %s", err, code)
	}
	want := &registry.Error{Code: code, Op: "auth.Gate", Message: message}
	if diff := cmp.Diff(want, e); diff != "" {
		t.Error(diff)
	}
	if w.lookups != 0 || len(w.denied) != 1 {
		t.Errorf("looked up %d times, told of %v", w.lookups, w.denied)
	}
}

func TestGateSomeAndAll(t *testing.T) {
	t.Parallel()
	p := policy(t, gateRows())
	claims := *alice
	claims.Claims = &Claims{[]ClaimedAccess{{Repo: "acme/npm/x", Verbs: reading}}}
	tests := []struct {
		name string
		id   *Identity
		verb registry.Verb
		repo registry.Repo
		code registry.Code
		all  bool
	}{
		{"all", alice, registry.Read, "acme/npm", "", true},
		{"above", alice, registry.Read, "", "", false},
		{"beside", alice, registry.Read, "beta", registry.NameUnknown, false},
		{"writes", alice, registry.Delete, "acme", registry.Denied, false},
		{"anonymous", nobody, registry.Read, "acme", registry.Unauthorized, false},
		{"anonymous, public", nobody, registry.Read, "open", "", true},
		{"claims", &claims, registry.Read, "acme/npm", "", false},
		{"claims, not listed", &claims, registry.Read, "acme/pypi", registry.Unauthorized, false},
		{"operator", operator, registry.Admin, "", "", true},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			w := watch(p)
			err := w.Some(as(t, test.id), test.verb, test.repo)
			if test.code == "" && err != nil || test.code != "" && !errors.Is(err, test.code) {
				t.Errorf("Some: %v, want %q", err, test.code)
			}
			if got := w.All(as(t, test.id), test.verb, test.repo); got != test.all {
				t.Errorf("All: %t", got)
			}
			if w.lookups != 0 || (len(w.denied) == 1) != (test.code != "") {
				t.Errorf("looked up %d times, told of %v", w.lookups, w.denied)
			}
		})
	}
}

// Who is nobody may do nothing, whatever is public.
func TestGateWithoutIdentity(t *testing.T) {
	t.Parallel()
	w := watch(policy(t, gateRows()))
	contexts := map[string]context.Context{
		"no caller":     t.Context(),
		"no identity":   registry.WithCaller(t.Context(), &registry.Caller{Principal: "operator"}),
		"not ours":      registry.WithCaller(t.Context(), &registry.Caller{Identity: "operator"}),
		"a nil pointer": registry.WithCaller(t.Context(), &registry.Caller{Identity: (*Identity)(nil)}),
	}
	for name, ctx := range contexts {
		if err := w.Can(ctx, registry.Read, "open/app"); !errors.Is(err, registry.Unauthorized) {
			t.Errorf("%s: Can says %v", name, err)
		}
		if err := w.Some(ctx, registry.Read, "open"); !errors.Is(err, registry.Unauthorized) {
			t.Errorf("%s: Some says %v", name, err)
		}
		if w.All(ctx, registry.Read, "open") || w.Class(ctx) != "none" {
			t.Errorf("%s: sees all, as class %q", name, w.Class(ctx))
		}
		if err := w.Can(ctx, registry.Enter, ""); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Who only asks is refused, and nobody is told.
func TestGateAsking(t *testing.T) {
	t.Parallel()
	w := watch(policy(t, gateRows()))
	ctx := registry.Asking(as(t, alice))
	if err := w.Can(ctx, registry.Read, "beta/app"); !errors.Is(err, registry.NameUnknown) {
		t.Errorf("Can: %v", err)
	}
	if err := w.Some(ctx, registry.Admin, "acme"); !errors.Is(err, registry.Denied) {
		t.Errorf("Some: %v", err)
	}
	if w.denied != nil {
		t.Errorf("told of %v", w.denied)
	}
}

func TestGateIncarnation(t *testing.T) {
	t.Parallel()
	made := Incarnation{Namespace: "7.1", Repository: 1000, Creator: "user:bob"}
	broken := errors.New("disk on fire")
	claim := func(namespace string, repository int64) []Incarnation {
		return []Incarnation{{Namespace: namespace, Repository: repository}}
	}
	tests := []struct {
		name    string
		claims  []Incarnation
		now     Incarnation
		failure error
		code    registry.Code
	}{
		{"the same", claim("7.1", 1000), made, nil, ""},
		{"namespace made again", claim("7.1", 1000), Incarnation{Namespace: "7.2", Repository: 1000}, nil, registry.Unauthorized},
		{"another namespace", claim("7.1", 1000), Incarnation{Namespace: "71", Repository: 1000}, nil, registry.Unauthorized},
		{"namespace gone", claim("7.1", 1000), Incarnation{}, nil, registry.Unauthorized},
		{"repository made again", claim("7.1", 1000), Incarnation{Namespace: "7.1", Repository: 2000, Creator: "user:bob"}, nil, registry.Unauthorized},
		{"repository made again by its owner", claim("7.1", 1000), Incarnation{Namespace: "7.1", Repository: 2000, Creator: "user:alice"}, nil, registry.Unauthorized},
		{"repository gone", claim("7.1", 1000), Incarnation{Namespace: "7.1"}, nil, registry.Unauthorized},
		{"still none", claim("7.1", 0), Incarnation{Namespace: "7.1"}, nil, ""},
		{"nothing at all still", claim("", 0), Incarnation{}, nil, ""},
		{"made by the owner since", claim("7.1", 0), Incarnation{Namespace: "7.1", Repository: 1000, Creator: "user:alice"}, nil, ""},
		{"made with its namespace by the owner since", claim("", 0), Incarnation{Namespace: "7.1", Repository: 1000, Creator: "user:alice"}, nil, ""},
		{"made by somebody else since", claim("7.1", 0), made, nil, registry.Unauthorized},
		{"made by nobody known since", claim("", 0), Incarnation{Namespace: "7.1", Repository: 1000}, nil, registry.Unauthorized},
		{"made by the owner since, in a new namespace", claim("7.1", 0), Incarnation{Namespace: "7.2", Repository: 1000, Creator: "user:alice"}, nil, registry.Unauthorized},
		{"one claim of two holds", append(claim("7.0", 1000), claim("7.1", 1000)...), made, nil, ""},
		{"parts of two claims", append(claim("7.1", 999), claim("7.2", 1000)...), made, nil, registry.Unauthorized},
		{"lookup fails", claim("7.1", 1000), made, broken, registry.Internal},
		{"lookup is busy", claim("7.1", 1000), made, registry.E("meta", registry.Unavailable, broken, "try again"), registry.Unavailable},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			w := watch(policy(t, gateRows()))
			w.now, w.failure = test.now, test.failure
			id := *alice
			id.Claims = &Claims{[]ClaimedAccess{{Repo: "acme/app", Verbs: deleting, Incarnation: test.now}}} // of another verb
			for _, i := range test.claims {
				id.Claims.Access = append(id.Claims.Access, ClaimedAccess{Repo: "acme/app", Verbs: creating, Incarnation: i})
			}
			err := w.Can(as(t, &id), registry.Create, "acme/app")
			if test.code == "" && err != nil || test.code != "" && !errors.Is(err, test.code) {
				t.Errorf("got %v, want %q", err, test.code)
			}
			if (test.failure != nil) != errors.Is(err, broken) {
				t.Errorf("got %v, caused by %v", err, test.failure)
			}
			if w.lookups != 1 || (len(w.denied) == 1) != (test.code == registry.Unauthorized) {
				t.Errorf("looked up %d times, told of %v", w.lookups, w.denied)
			}
		})
	}
}

func TestGateClaimsWithoutLookup(t *testing.T) {
	t.Parallel()
	p := policy(t, gateRows())
	id := *alice
	id.Claims = &Claims{[]ClaimedAccess{{Repo: "acme/app", Verbs: reading}, {Verbs: set(registry.List)}}}
	w := watch(p)
	if err := w.Can(as(t, &id), registry.List, "acme/other"); err != nil || w.lookups != 0 {
		t.Errorf("catalog: %v after %d lookups", err, w.lookups)
	}
	blind := NewGate(GateConfig{Policy: func() *Policy { return p }})
	if err := blind.Can(as(t, &id), registry.Read, "acme/app"); !errors.Is(err, registry.Unauthorized) {
		t.Errorf("without a Lookup: %v", err)
	}
	if err := blind.Can(as(t, alice), registry.Read, "acme/app"); err != nil {
		t.Errorf("without a Lookup and claims: %v", err)
	}
}

// No refusal is preceded by a lookup, and each is told of.
func TestGateRefusesBeforeLookup(t *testing.T) {
	t.Parallel()
	names := world()[:21]
	rapid.Check(t, func(rt *rapid.T) {
		p, err := NewPolicy(drawRows(rt))
		if err != nil {
			rt.Fatal(err)
		}
		id := drawIdentity(rt)
		ctx := registry.WithCaller(context.Background(), &registry.Caller{Identity: id})
		for _, name := range names {
			for _, v := range registry.Grantable() {
				w := watch(p)
				err := w.Can(ctx, v, registry.Repo(name))
				if may := p.May(id, v, registry.Repo(name)); may != (err == nil) {
					rt.Fatalf("%s %s %q: %t by the policy, by the gate %v", id, v, name, may, err)
				}
				if err != nil && (w.lookups != 0 || len(w.denied) != 1) {
					rt.Fatalf("%s %s %q: refused after %d lookups, told of %v", id, v, name, w.lookups, w.denied)
				}
				if err == nil && w.denied != nil {
					rt.Fatalf("%s %s %q: allowed, told of %v", id, v, name, w.denied)
				}
			}
		}
	})
}

func TestGateClass(t *testing.T) {
	t.Parallel()
	rows := gateRows()
	now := watch(policy(t, rows))
	rows.Generation++
	later := watch(policy(t, rows))
	scoped := func(entries ...Scope) *Identity {
		id := *alice
		id.Scope = entries
		return &id
	}
	claimed := *alice
	claimed.Claims = &Claims{[]ClaimedAccess{{Repo: "acme/app", Verbs: reading}}}
	token := *alice
	token.Token = "0123456789ab"
	if got := now.Class(as(t, operator)) + now.Class(as(t, open)); got != "" {
		t.Errorf("who sees all is of class %q", got)
	}
	if now.Class(as(t, &token)) != now.Class(as(t, alice)) {
		t.Error("a token that is not narrowed sees other things than its owner")
	}
	seen := map[string]string{"": "operator"}
	for name, id := range map[string]*Identity{
		"alice": alice, "bob": bob, "ci": ci, "release": release, "nobody": nobody, "carol": carol, "claimed": &claimed,
		"scope of nothing": scoped([]Scope{}...), "scope": scoped(Scope{"acme/**", "reader"}), "wider": scoped(Scope{"acme/**", "admin"}),
		"two": scoped(Scope{"acme/**", "reader"}, Scope{"beta/**", "reader"}),
	} {
		class := now.Class(as(t, id))
		if other, twice := seen[class]; twice {
			t.Errorf("%s and %s are of class %q", name, other, class)
		}
		seen[class] = name
		if name != "carol" && later.Class(as(t, id)) == class {
			t.Errorf("%s is of class %q for ever", name, class)
		}
	}
}
