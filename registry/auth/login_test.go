package auth

import (
	"context"
	"log/slog"
	"sync/atomic"
	"testing"
	"time"

	"github.com/packhouse/packhouse/registry"
	"github.com/packhouse/packhouse/registry/seal"
	"github.com/packhouse/packhouse/storage/meta"
)

// entrance is a service over a database of its own, with a clock.
type entrance struct {
	*Service
	t     testing.TB
	store *meta.Store
	time  atomic.Int64 // Unix nanoseconds
}

func newEntrance(tb testing.TB, change ...func(*Config)) *entrance {
	tb.Helper()
	e := &entrance{t: tb}
	e.time.Store(time.Date(2031, 5, 1, 12, 0, 0, 0, time.UTC).UnixNano())
	now := func() time.Time { return time.Unix(0, e.time.Load()).UTC() }
	var err error
	if e.store, err = meta.Open(tb.Context(), meta.Config{Dir: tb.TempDir(), Now: now}); err != nil {
		tb.Fatal(err)
	}
	box, err := seal.New(seal.GenerateKey())
	if err != nil {
		tb.Fatal(err)
	}
	cfg := Config{Meta: e.store, Seal: box, Log: slog.New(slog.DiscardHandler), Now: now, Poll: time.Hour, TokenTTL: 90 * 24 * time.Hour, TokenMaxTTL: 366 * 24 * time.Hour}
	for _, f := range change {
		f(&cfg)
	}
	if e.Service, err = New(tb.Context(), cfg); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := e.Close(); err != nil {
			tb.Error(err)
		}
		if err := e.store.Close(); err != nil {
			tb.Error(err)
		}
	})
	return e
}

// pass lets time pass.
func (e *entrance) pass(d time.Duration) { e.time.Add(int64(d)) }

// change changes rows of access and has the service read them.
func (e *entrance) change(f func(context.Context, *meta.Tx) error) {
	e.t.Helper()
	err := e.store.Update(e.t.Context(), meta.Options{Durable: true, Unaudited: true}, func(ctx context.Context, tx *meta.Tx) error {
		if err := f(ctx, tx); err != nil {
			return err
		}
		return tx.TouchAccess(ctx)
	})
	if err == nil {
		err = e.Refresh(e.t.Context())
	}
	if err != nil {
		e.t.Fatal(err)
	}
}

func (e *entrance) add(p meta.Principal) meta.Principal {
	e.t.Helper()
	var id int64
	e.change(func(ctx context.Context, tx *meta.Tx) (err error) {
		id, err = tx.AddPrincipal(ctx, p)
		return err
	})
	p, err := e.store.PrincipalByID(e.t.Context(), id)
	if err != nil {
		e.t.Fatal(err)
	}
	return p
}

// user adds a local user with a hash that costs next to nothing.
func (e *entrance) user(name, password string) meta.Principal {
	e.t.Helper()
	return e.add(meta.Principal{Kind: meta.KindUser, Name: name, Source: meta.SourceLocal, Password: cheap(password)})
}

// token adds a token and returns its text. What k leaves out is as usual.
func (e *entrance) token(k meta.Token) string {
	e.t.Helper()
	text, hash := newSecret()
	k.Hash = hash
	if k.ID == "" {
		k.ID = newJWTID()[:12]
	}
	if k.Name == "" {
		k.Name = "test"
	}
	if k.Expires.IsZero() {
		k.Expires = e.now().Add(24 * time.Hour)
	}
	if p, ok := e.Policy().Principal(k.Principal); ok && k.Epoch == 0 {
		k.Epoch = p.Epoch
	}
	e.change(func(ctx context.Context, tx *meta.Tx) error { return tx.AddToken(ctx, k) })
	return text
}

func (e *entrance) grant(g meta.Grant) {
	e.t.Helper()
	e.change(func(ctx context.Context, tx *meta.Tx) error {
		_, _, err := tx.AddGrant(ctx, g)
		return err
	})
}

// bare shows a token alone.
func (e *entrance) bare(text string) (*Identity, error) {
	return e.Authenticate(e.t.Context(), Credential{Secret: text, Bare: true}, "192.0.2.1")
}

func (e *entrance) password(user, password string) (*Identity, error) {
	return e.Authenticate(e.t.Context(), Credential{User: user, Secret: password}, "192.0.2.1")
}

// jwt signs claims as the service does, with what change made of them.
func (e *entrance) jwt(c jwtClaims) string {
	e.t.Helper()
	text, _, _, err := e.login.jwt.sign(e.t.Context(), c, time.Time{})
	if err != nil {
		e.t.Fatal(err)
	}
	return text
}

// claimsOf are those of a token for a user's password.
func claimsOf(p meta.Principal) jwtClaims {
	return jwtClaims{
		Subject: kindOf(p.Kind).String() + ":" + p.Name, Principal: p.ID, Epoch: p.Epoch,
		Access: []jwtAccess{{Type: repositoryType, Name: "acme/app", Actions: []string{"pull"}, Namespace: "1.1"}},
	}
}

// callerContext carries a caller as the server makes it.
func callerContext(ctx context.Context) context.Context {
	return registry.WithCaller(ctx, &registry.Caller{Principal: "anonymous", Address: "192.0.2.1", Identity: &Identity{Kind: Anonymous}})
}
