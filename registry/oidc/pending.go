package oidc

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"time"

	"github.com/packhouse/packhouse/registry"
	"github.com/packhouse/packhouse/registry/auth"
	"github.com/packhouse/packhouse/storage/meta"
)

const (
	// pendingTTL is how long a person has to say yes.
	pendingTTL = 10 * time.Minute
	// Anybody may begin a log-in, so what is under way is bounded.
	maxPending        = 1000
	maxPendingAddress = 20
	maxClient         = 100
)

// Pending is a log-in that was begun.
type Pending struct {
	ID      string // in the page's path, /-/login/ID
	Secret  string // what [Service.Done] takes
	Expires time.Time
}

// Begin begins a log-in that a person ends at the page of its ID: client and
// address are what that person reads about who asks. It returns
// TOOMANYREQUESTS.
func (s *Service) Begin(ctx context.Context, client, address string) (Pending, error) {
	const op = "oidc.Begin"
	if client = clip(client, maxClient); client == "" {
		client = "a client"
	}
	p := Pending{ID: random(16), Secret: random(32), Expires: s.now().Add(pendingTTL)}
	row := meta.Login{ID: p.ID, Secret: hash(p.Secret), Client: client, Address: clip(address, maxClient), Expires: p.Expires}
	added := false
	err := s.cfg.Meta.Update(ctx, meta.Options{Unaudited: true}, func(ctx context.Context, tx *meta.Tx) (err error) {
		added, err = tx.AddLogin(ctx, row, maxPending, maxPendingAddress)
		return err
	})
	switch {
	case err != nil:
		return Pending{}, wrap(op, err)
	case !added:
		return Pending{}, registry.E(op, registry.TooManyRequests, nil, "too many log-ins are under way: end one of them, or wait some minutes")
	}
	return p, nil
}

// errOver is every end of a log-in but the good one.
func errOver(op string) error {
	return registry.E(op, registry.Unauthorized, nil, "this log-in is over or was never begun: begin again")
}

// Done returns the token of a log-in once a person said yes, once, or that it
// is still waited for. It returns UNAUTHORIZED for one that is over, has another
// secret, or was never begun.
func (s *Service) Done(ctx context.Context, id, secret string) (m auth.Minted, waiting bool, err error) {
	const op = "oidc.Done"
	l, err := s.cfg.Meta.Login(ctx, id, s.now())
	switch {
	case errors.Is(err, meta.ErrNotFound), err == nil && subtle.ConstantTimeCompare(l.Secret, hash(secret)) == 0:
		return auth.Minted{}, false, errOver(op)
	case err != nil:
		return auth.Minted{}, false, wrap(op, err)
	case l.Principal == 0:
		return auth.Minted{}, true, nil
	}
	var who meta.Principal
	err = s.cfg.Meta.Update(ctx, meta.Options{Unaudited: true}, func(ctx context.Context, tx *meta.Tx) (err error) {
		// Who removes the row has the token; a token that is lost after that
		// takes another log-in.
		if err = tx.RemoveLogin(ctx, id); err != nil {
			return err
		}
		who, err = tx.PrincipalByID(ctx, l.Principal)
		return err
	})
	switch {
	case errors.Is(err, meta.ErrNotFound), err == nil && (!who.Disabled.IsZero() || who.Epoch != l.Epoch):
		return auth.Minted{}, false, errOver(op)
	case err != nil:
		return auth.Minted{}, false, wrap(op, err)
	}
	ctx = as(ctx, who.Kind+":"+who.Name, who.External, "")
	m, err = s.cfg.Auth.Mint(ctx, auth.MintParams{Principal: who.ID, Name: clip("log-in of "+l.Client+" from "+l.Address, maxName)})
	return m, false, wrap(op, err)
}

// pending finds a log-in that still waits for an answer.
func (s *Service) pending(ctx context.Context, op, id string) (meta.Login, error) {
	l, err := s.cfg.Meta.Login(ctx, id, s.now())
	if errors.Is(err, meta.ErrNotFound) || err == nil && l.Principal != 0 {
		return meta.Login{}, errOver(op)
	}
	return l, wrap(op, err)
}

// approve says yes for a principal.
func (s *Service) approve(ctx context.Context, op string, l meta.Login, principal int64) error {
	err := s.cfg.Meta.Update(ctx, meta.Options{Unaudited: true}, func(ctx context.Context, tx *meta.Tx) error {
		return tx.ApproveLogin(ctx, l.ID, principal)
	})
	if errors.Is(err, meta.ErrNotFound) {
		return errOver(op)
	}
	return wrap(op, err)
}

// byPassword says yes for who shows a user's password. A token is not enough:
// one that may little would become one that may all its owner may.
func (s *Service) byPassword(ctx context.Context, l meta.Login, user, password, address string) (*auth.Identity, error) {
	const op = "oidc.byPassword"
	id, err := s.cfg.Auth.Authenticate(ctx, auth.Credential{User: user, Secret: password}, address)
	if err != nil {
		return nil, err
	}
	if id.Kind != auth.User || id.Token != "" || id.Scope != nil || id.Claims != nil {
		return nil, registry.E(op, registry.Denied, nil, "type the password of a user: a token is not taken here, and needs no log-in")
	}
	return id, s.approve(ctx, op, l, id.ID)
}

// random returns n random bytes as text.
func random(n int) string {
	b := make([]byte, n)
	_, _ = rand.Read(b) // never fails
	return base64.RawURLEncoding.EncodeToString(b)
}

// hash is what is kept of a secret that is random itself.
func hash(secret string) []byte {
	sum := sha256.Sum256([]byte(secret))
	return sum[:]
}
