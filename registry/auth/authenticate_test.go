package auth

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/packhouse/packhouse/registry"
	"github.com/packhouse/packhouse/storage/meta"
)

func TestAuthenticateToken(t *testing.T) {
	t.Parallel()
	e := newEntrance(t)
	alice := e.user("alice", "secret")
	ci := e.add(meta.Principal{Kind: meta.KindService, Name: "ci", Source: meta.SourceLocal, Exempt: true})
	var trust int64
	e.change(func(ctx context.Context, tx *meta.Tx) (err error) {
		trust, err = tx.AddTrust(ctx, meta.Trust{Name: "release", Issuer: "https://ci.example", Claims: map[string]string{"repository_id": "1"}, Role: "publisher", Repositories: "acme/**"})
		return err
	})
	plain := e.token(meta.Token{ID: "aaaaaaaaaaaa", Principal: alice.ID})
	narrow := e.token(meta.Token{ID: "bbbbbbbbbbbb", Principal: ci.ID, Scope: `[{"repositories":"acme/**","role":"reader"}]`})
	nothing := e.token(meta.Token{ID: "cccccccccccc", Principal: ci.ID, Scope: `null`})
	job := e.token(meta.Token{ID: "dddddddddddd", Trust: trust, Subject: "https://ci.example repo:acme/app"})
	tests := []struct {
		name string
		c    Credential
		want Identity
	}{
		{"bare", Credential{Secret: plain, Bare: true}, Identity{Kind: User, Name: "alice", ID: alice.ID, Token: "aaaaaaaaaaaa"}},
		{"Basic, any user", Credential{User: "__token__", Secret: plain}, Identity{Kind: User, Name: "alice", ID: alice.ID, Token: "aaaaaaaaaaaa"}},
		{"Basic, another's name", Credential{User: "ci", Secret: plain}, Identity{Kind: User, Name: "alice", ID: alice.ID, Token: "aaaaaaaaaaaa"}},
		{"narrow", Credential{Secret: narrow, Bare: true}, Identity{Kind: ServiceAccount, Name: "ci", ID: ci.ID, Token: "bbbbbbbbbbbb", Exempt: true, Scope: []Scope{{"acme/**", "reader"}}}},
		{"scope of nothing", Credential{Secret: nothing, Bare: true}, Identity{Kind: ServiceAccount, Name: "ci", ID: ci.ID, Token: "cccccccccccc", Exempt: true, Scope: []Scope{}}},
		{"workload", Credential{Secret: job, Bare: true}, Identity{Kind: Workload, Name: "release", ID: trust, Token: "dddddddddddd", Subject: "https://ci.example repo:acme/app"}},
	}
	for _, tt := range tests {
		for _, state := range []string{"cold", "warm"} {
			got, err := e.Authenticate(t.Context(), tt.c, "192.0.2.1")
			if err != nil {
				t.Errorf("%s, %s: %v", tt.name, state, err)
				continue
			}
			if diff := cmp.Diff(tt.want, *got); diff != "" {
				t.Errorf("%s, %s (-want +got):\n%s", tt.name, state, diff)
			}
		}
	}
}

// TestAuthenticateEnds: each way in which a credential ends is felt at the
// next request, though the credential was good a moment ago and is remembered.
func TestAuthenticateEnds(t *testing.T) {
	t.Parallel()
	row := func(e *entrance, p meta.Principal, f func(context.Context, *meta.Tx, int64) error) {
		e.change(func(ctx context.Context, tx *meta.Tx) error { return f(ctx, tx, p.ID) })
	}
	ends := []struct {
		name               string
		end                func(e *entrance, p meta.Principal)
		token, jwt, secret bool // still good after it
	}{
		{"nothing", func(*entrance, meta.Principal) {}, true, true, true},
		{"somebody else's rights", func(e *entrance, _ meta.Principal) { e.user("bob", "x") }, true, true, true},
		{"disabled", func(e *entrance, p meta.Principal) {
			row(e, p, func(ctx context.Context, tx *meta.Tx, id int64) error { return tx.SetDisabled(ctx, id, true) })
		}, false, false, false},
		{"deleted", func(e *entrance, p meta.Principal) {
			row(e, p, func(ctx context.Context, tx *meta.Tx, id int64) error { return tx.DeletePrincipal(ctx, id) })
		}, false, false, false},
		{"deleted and made anew", func(e *entrance, p meta.Principal) {
			row(e, p, func(ctx context.Context, tx *meta.Tx, id int64) error { return tx.DeletePrincipal(ctx, id) })
			if again := e.user("alice", "other"); again.ID != p.ID {
				e.t.Fatalf("row %d, want %d again", again.ID, p.ID)
			}
		}, false, false, false},
		{"new password", func(e *entrance, p meta.Principal) {
			row(e, p, func(ctx context.Context, tx *meta.Tx, id int64) error {
				return tx.SetPassword(ctx, id, cheap("other"), false)
			})
		}, false, false, false},
		{"new password, tokens kept", func(e *entrance, p meta.Principal) {
			row(e, p, func(ctx context.Context, tx *meta.Tx, id int64) error {
				return tx.SetPassword(ctx, id, cheap("other"), true)
			})
		}, true, true, false},
		{"same password, hashed anew", func(e *entrance, p meta.Principal) {
			row(e, p, func(ctx context.Context, tx *meta.Tx, id int64) error {
				return tx.SetPassword(ctx, id, newPHC("secret").String(), true)
			})
		}, true, true, true},
		{"token revoked", func(e *entrance, _ meta.Principal) {
			e.change(func(ctx context.Context, tx *meta.Tx) error { return tx.RevokeToken(ctx, "aaaaaaaaaaaa", tx.Now()) })
		}, false, false, true},
		{"token rotated, in its grace", func(e *entrance, _ meta.Principal) {
			e.change(func(ctx context.Context, tx *meta.Tx) error {
				return tx.RevokeToken(ctx, "aaaaaaaaaaaa", tx.Now().Add(time.Minute))
			})
		}, true, true, true},
		{"token rotated, after its grace", func(e *entrance, _ meta.Principal) {
			e.change(func(ctx context.Context, tx *meta.Tx) error {
				return tx.RevokeToken(ctx, "aaaaaaaaaaaa", tx.Now().Add(time.Minute))
			})
			e.pass(time.Minute)
		}, false, false, true},
		{"token expired", func(e *entrance, _ meta.Principal) { e.pass(2 * time.Minute) }, false, false, true},
	}
	for _, tt := range ends {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			e := newEntrance(t)
			alice := e.user("alice", "secret")
			token := e.token(meta.Token{ID: "aaaaaaaaaaaa", Principal: alice.ID, Expires: e.now().Add(2 * time.Minute)})
			claims := claimsOf(alice)
			claims.Token = "aaaaaaaaaaaa"
			jwt := e.jwt(claims)
			ways := []struct {
				name string
				show func() (*Identity, error)
				good bool
			}{
				{"token", func() (*Identity, error) { return e.bare(token) }, tt.token},
				{"jwt", func() (*Identity, error) { return e.bare(jwt) }, tt.jwt},
				{"password", func() (*Identity, error) { return e.password("alice", "secret") }, tt.secret},
			}
			for _, w := range ways {
				if _, err := w.show(); err != nil {
					t.Fatalf("%s before: %v", w.name, err)
				}
			}
			tt.end(e, alice)
			for _, w := range ways {
				_, err := w.show()
				if (err == nil) != w.good || err != nil && !errors.Is(err, registry.Unauthorized) {
					t.Errorf("%s after: %v, want good %t", w.name, err, w.good)
				}
			}
		})
	}
}

// TestAuthenticateSaysOne: whatever is wrong, the sentence is the same.
func TestAuthenticateSaysOne(t *testing.T) {
	t.Parallel()
	e := newEntrance(t)
	e.user("alice", "secret")
	off := e.user("off", "secret")
	e.change(func(ctx context.Context, tx *meta.Tx) error { return tx.SetDisabled(ctx, off.ID, true) })
	e.add(meta.Principal{Kind: meta.KindUser, Name: "sso", Source: "oidc", External: "https://issuer sub"})
	e.add(meta.Principal{Kind: meta.KindService, Name: "ci", Source: meta.SourceLocal})
	e.add(meta.Principal{Kind: meta.KindUser, Name: "broken", Source: meta.SourceLocal, Password: "$argon2id$v=19$m=9999999,t=1,p=1$YWFhYWFhYWE$YWFhYWFhYWE"})
	const want = "user name or password is wrong, or the token is not valid any more"
	for _, c := range []Credential{
		{User: "alice", Secret: "wrong"},
		{User: "alice", Secret: ""},
		{User: "Alice", Secret: "secret"},
		{User: "nobody", Secret: "secret"},
		{User: "", Secret: "secret"},
		{User: "off", Secret: "secret"},
		{User: "sso", Secret: "secret"},
		{User: "sso", Secret: ""},
		{User: "ci", Secret: ""},
		{User: "broken", Secret: "secret"},
		{User: "x", Secret: aToken},
		{Secret: aToken, Bare: true},
		{Secret: aToken[:52] + "x", Bare: true},
		{Secret: "hello", Bare: true},
		{},
	} {
		_, err := e.Authenticate(t.Context(), c, "192.0.2.1")
		if !errors.Is(err, registry.Unauthorized) || registry.Public(err).Message != want {
			t.Errorf("%q, %q: %v", c.User, c.Secret, err)
		}
	}
}

// limits counts what it is told.
type limits struct {
	full                 atomic.Bool
	asked, failed, right atomic.Int64
	account              atomic.Value
}

func (l *limits) Login(_, account string) error {
	l.asked.Add(1)
	l.account.Store(account)
	if l.full.Load() {
		return registry.E("test", registry.TooManyRequests, nil, "later")
	}
	return nil
}
func (l *limits) LoginFailed(string, string)    { l.failed.Add(1) }
func (l *limits) LoginSucceeded(string, string) { l.right.Add(1) }

func TestAuthenticateLimits(t *testing.T) {
	t.Parallel()
	l := &limits{}
	e := newEntrance(t, func(c *Config) { c.Limits = l })
	alice := e.user("alice", "secret")
	token := e.token(meta.Token{Principal: alice.ID})
	count := func(want string) {
		t.Helper()
		if got := fmt.Sprint(l.asked.Load(), l.failed.Load(), l.right.Load()); got != want {
			t.Errorf("asked, failed, right: %s, want %s", got, want)
		}
	}
	_, _ = e.bare(token)
	_, _ = e.bare(aToken)
	count("0 0 0") // tokens cannot be guessed
	_, _ = e.password("alice", "wrong")
	count("1 1 0")
	_, _ = e.password("alice", "secret")
	count("2 1 1")
	l.full.Store(true)
	if _, err := e.password("alice", "secret"); err != nil {
		t.Errorf("who is logged in is locked out by who guesses: %v", err)
	}
	count("2 1 1")
	if _, err := e.password("alice", "wrong"); !errors.Is(err, registry.TooManyRequests) {
		t.Errorf("error is %v, want TOOMANYREQUESTS", err)
	}
	_, _ = e.password("no such: user", "x")
	if got := l.account.Load(); got != "no such: user" && got != "" {
		t.Errorf("account is %q", got)
	}
}

// TestAuthenticateStorm: many wrong passwords at once neither hash at once nor
// wait without end, and the same one many times is hashed once.
func TestAuthenticateStorm(t *testing.T) {
	t.Parallel()
	e := newEntrance(t)
	e.add(meta.Principal{Kind: meta.KindUser, Name: "alice", Source: meta.SourceLocal, Password: newPHC("secret").String()})
	var most atomic.Int64
	watch, watched := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(watched)
		for {
			select {
			case <-watch:
				return
			default:
				if n := int64(len(e.login.hashes.running)); n > most.Load() {
					most.Store(n)
				}
				runtime.Gosched()
			}
		}
	}()
	var wg sync.WaitGroup
	var wrong, away atomic.Int64
	start := make(chan struct{})
	for i := range 200 {
		wg.Go(func() {
			<-start
			user := "alice"
			if i%2 == 0 {
				user = fmt.Sprintf("nobody%d", i)
			}
			_, err := e.password(user, fmt.Sprintf("guess %d", i))
			switch {
			case errors.Is(err, registry.Unauthorized):
				wrong.Add(1)
			case errors.Is(err, registry.TooManyRequests):
				away.Add(1)
			default:
				t.Errorf("error is %v", err)
			}
		})
	}
	close(start)
	wg.Wait()
	close(watch)
	<-watched
	cores := int64(runtime.GOMAXPROCS(0))
	run := max(1, cores/2)
	if most.Load() > run || wrong.Load() < run+2*cores || away.Load() == 0 || wrong.Load()+away.Load() != 200 {
		t.Errorf("%d at once, %d refused, %d sent away", most.Load(), wrong.Load(), away.Load())
	}
	var good atomic.Int64
	for range 100 {
		wg.Go(func() {
			if _, err := e.password("alice", "secret"); err == nil {
				good.Add(1)
			}
		})
	}
	wg.Wait()
	if good.Load() != 100 {
		t.Errorf("%d of 100 requests with one right password were let in", good.Load())
	}
}

// TestAuthenticateUnavailable: a database that does not answer is no wrong
// password.
func TestAuthenticateUnavailable(t *testing.T) {
	t.Parallel()
	e := newEntrance(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := e.Authenticate(ctx, Credential{User: "alice", Secret: "x"}, ""); !errors.Is(err, context.Canceled) && !errors.Is(err, registry.Unauthorized) {
		t.Errorf("client gone: %v", err)
	}
	err := e.unchecked(errors.New("disk on fire"))
	if !errors.Is(err, registry.Unavailable) || registry.Public(err).Message != "credentials cannot be checked now: try again in a few seconds" {
		t.Errorf("error is %v", err)
	}
}

// TestAuthenticateForgets: what is remembered is remembered for so long and no
// longer, even if nobody says that anything changed.
func TestAuthenticateForgets(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		e := newEntrance(t, func(c *Config) { c.Now = time.Now })
		alice := e.user("alice", "secret")
		quietly := func(f func(context.Context, *meta.Tx) error) {
			t.Helper()
			if err := e.store.Update(t.Context(), meta.Options{Durable: true, Unaudited: true}, f); err != nil {
				t.Fatal(err)
			}
		}
		text, hash := newSecret()
		if _, err := e.bare(text); !errors.Is(err, registry.Unauthorized) {
			t.Fatalf("unknown token: %v", err)
		}
		quietly(func(ctx context.Context, tx *meta.Tx) error {
			return tx.AddToken(ctx, meta.Token{ID: "aaaaaaaaaaaa", Principal: alice.ID, Hash: hash, Name: "x", Epoch: alice.Epoch, Expires: time.Now().Add(time.Hour)})
		})
		<-time.After(refusedFor - time.Millisecond)
		if _, err := e.bare(text); !errors.Is(err, registry.Unauthorized) {
			t.Errorf("refused a moment ago: %v", err)
		}
		<-time.After(time.Millisecond)
		if _, err := e.bare(text); err != nil {
			t.Errorf("refused long ago: %v", err)
		}
		if _, err := e.password("alice", "secret"); err != nil {
			t.Fatal(err)
		}
		quietly(func(ctx context.Context, tx *meta.Tx) error {
			if err := tx.RevokeToken(ctx, "aaaaaaaaaaaa", time.Now()); err != nil {
				return err
			}
			return tx.SetPassword(ctx, alice.ID, cheap("other"), true)
		})
		ways := map[string]func() (*Identity, error){
			"token":    func() (*Identity, error) { return e.bare(text) },
			"password": func() (*Identity, error) { return e.password("alice", "secret") },
		}
		<-time.After(verifiedFor - time.Millisecond)
		for name, show := range ways {
			if _, err := show(); err != nil {
				t.Errorf("%s, remembered: %v", name, err)
			}
		}
		<-time.After(time.Millisecond)
		for name, show := range ways {
			if _, err := show(); !errors.Is(err, registry.Unauthorized) {
				t.Errorf("%s, forgotten: %v", name, err)
			}
		}
	})
}

// TestAuthenticateNotesUse: when a token and its owner were last used is
// known, though most requests ask the database nothing.
func TestAuthenticateNotesUse(t *testing.T) {
	t.Parallel()
	e := newEntrance(t)
	alice := e.user("alice", "secret")
	token := e.token(meta.Token{ID: "aaaaaaaaaaaa", Principal: alice.ID})
	for _, after := range []time.Duration{0, time.Second, notedEvery} {
		e.pass(after)
		if _, err := e.bare(token); err != nil {
			t.Fatal(err)
		}
	}
	if err := e.flushUses(t.Context()); err != nil {
		t.Fatal(err)
	}
	row, err := e.store.Token(t.Context(), "aaaaaaaaaaaa")
	owner, ownerErr := e.store.PrincipalByID(t.Context(), alice.ID)
	if err = errors.Join(err, ownerErr); err != nil {
		t.Fatal(err)
	}
	if want := e.now(); !row.LastUsed.Equal(want) || !owner.LastUsed.Equal(want) {
		t.Errorf("token used at %s, owner at %s, want %s", row.LastUsed, owner.LastUsed, want)
	}
	_, _ = e.bare(token)
	if err := e.flushUses(t.Context()); err != nil {
		t.Fatal(err)
	}
}
