package auth

import (
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"golang.org/x/sync/singleflight"

	"github.com/packhouse/packhouse/registry"
	"github.com/packhouse/packhouse/storage/meta"
)

// LoginLimits slow down who guesses passwords. Tokens cannot be guessed.
type LoginLimits interface {
	// Login is asked before a password is looked at. It returns
	// TOOMANYREQUESTS.
	Login(address, account string) error
	LoginFailed(address, account string)
	LoginSucceeded(address, account string)
}

// login is what authentication remembers and works with.
type login struct {
	known    *credentials
	flight   singleflight.Group // of checks of the same credential at once
	hashes   *hashPool
	jwt      *jwtSigner
	htpasswd *htpasswd  // nil for none
	ldap     *directory // nil for none
}

func newLogin(ctx context.Context, s *Service) (*login, error) {
	l := &login{known: newCredentials(), hashes: newHashPool()}
	l.jwt = &jwtSigner{
		issuer: s.cfg.Issuer, now: s.now,
		signing: func(ctx context.Context) (string, ed25519.PrivateKey, error) { return s.SigningKey(ctx, jwtPurpose) },
		stored:  func(ctx context.Context) ([]meta.SecretKey, error) { return s.meta.SecretKeys(ctx, jwtPurpose) },
	}
	if l.jwt.issuer == "" {
		l.jwt.issuer = defaultIssuer
	}
	if _, _, err := l.jwt.signing(ctx); err != nil {
		return nil, err
	}
	if err := l.jwt.load(ctx); err != nil {
		return nil, err
	}
	var err error
	if s.cfg.Htpasswd != "" {
		if l.htpasswd, err = newHtpasswd(s.cfg.Htpasswd, s.log); err != nil {
			return nil, err
		}
	}
	if s.cfg.LDAP.URL != "" {
		if l.ldap, err = newDirectory(s.cfg.LDAP); err != nil {
			return nil, err
		}
	}
	return l, nil
}

const authenticateOp = "auth.Authenticate"

// checkWithin bounds one check, whoever waits for it.
const checkWithin = 30 * time.Second

// errRefused is any credential that is not good. What exactly is wrong with
// it is nothing that a stranger should learn.
var errRefused = registry.E(authenticateOp, registry.Unauthorized, nil, "user name or password is wrong, or the token is not valid any more")

// Authenticate finds out whose credential c is. address is the client's. It
// returns UNAUTHORIZED, TOOMANYREQUESTS, UNAVAILABLE, or ctx's error.
//
// What was found good is good for [verifiedFor], for as long as nobody's
// rights changed.
func (s *Service) Authenticate(ctx context.Context, c Credential, address string) (*Identity, error) {
	key, now, generation := s.login.known.key(c), s.now(), s.Policy().Generation()
	v, ok := s.login.known.good.GetIfPresent(key)
	if ok && !now.Before(v.until) {
		v, ok = nil, false
	}
	if ok && v.generation == generation {
		s.note(v, now)
		return v.id, nil
	}
	if s.login.known.isRefused(key, generation, now) {
		return nil, errRefused
	}
	// Clients open many connections at once and show the same on each: one
	// check does for all of them, and outlives whoever began it.
	done := s.login.flight.DoChan(string(key[:]), func() (any, error) {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), checkWithin)
		defer cancel()
		fresh, err := s.check(ctx, c, address, v)
		if err != nil {
			return nil, err
		}
		s.login.known.good.Set(key, fresh)
		return fresh, nil
	})
	select {
	case <-ctx.Done():
		return nil, ctx.Err()
	case r := <-done:
		if r.Err == nil {
			v := r.Val.(*verified)
			s.note(v, now)
			return v.id, nil
		}
		if _, isToken := tokenOf(c); isToken && errors.Is(r.Err, registry.Unauthorized) {
			s.login.known.refuse(key, generation, now)
		}
		return nil, s.unchecked(r.Err)
	}
}

// unchecked turns what is no answer to the client into one.
func (s *Service) unchecked(err error) error {
	if e, ours := errors.AsType[*registry.Error](err); ours && e.Code != registry.Internal {
		return err
	}
	return registry.E(authenticateOp, registry.Unavailable, err, "credentials cannot be checked now: try again in a few seconds")
}

// note notes the use of a credential, for when its token and its owner were
// last used.
func (s *Service) note(v *verified, now time.Time) {
	if v.id.ID == 0 || !v.noteNow(now) {
		return
	}
	owner := v.id.ID
	if v.id.Kind == Workload {
		owner = 0
	}
	s.used(v.id.Token, owner)
}

// form is what a credential is by its looks.
type form uint8

const (
	isPassword form = iota
	isTokenText
	isJWT
)

// tokenOf tells what a credential is, and whether it is a token of either
// form. A password that begins as tokens do is a password, unless its checksum
// is right as well.
func tokenOf(c Credential) (form, bool) {
	switch {
	case len(c.Secret) == tokenLength && strings.HasPrefix(c.Secret, TokenPrefix):
		if _, ok := ParseTokenText(c.Secret); ok || c.Bare {
			return isTokenText, true
		}
	case c.Bare:
		return isJWT, true
	}
	return isPassword, false
}

// check looks at a credential that is not known to be good now. prior is what
// was found at another generation, nil for nothing.
func (s *Service) check(ctx context.Context, c Credential, address string, prior *verified) (*verified, error) {
	switch form, _ := tokenOf(c); form {
	case isTokenText:
		hash, ok := ParseTokenText(c.Secret)
		if !ok {
			return nil, errRefused
		}
		return s.checkToken(ctx, hash)
	case isJWT:
		return s.checkJWT(ctx, c.Secret)
	case isPassword:
	}
	return s.checkUser(ctx, c, address, prior)
}

func (s *Service) checkToken(ctx context.Context, hash [sha256.Size]byte) (*verified, error) {
	now, generation := s.now(), s.Policy().Generation()
	t, err := s.meta.TokenByHash(ctx, hash[:])
	switch {
	case errors.Is(err, meta.ErrNotFound):
		return nil, errRefused
	case err != nil:
		return nil, fmt.Errorf("find token: %w", err)
	}
	until, ok := tokenEnds(t, now)
	if !ok {
		return nil, errRefused
	}
	id, err := s.owner(ctx, t.Principal, t.Trust, t.Epoch)
	if err != nil {
		return nil, err
	}
	id.Token, id.Subject = t.ID, t.Subject
	if t.Scope != "" {
		// null, or a list without an entry, is a scope that holds nothing.
		id.Scope = []Scope{}
		if err := json.Unmarshal([]byte(t.Scope), &id.Scope); err != nil {
			return nil, fmt.Errorf("read the scope of token %s: %w", t.ID, err)
		}
		if id.Scope == nil {
			id.Scope = []Scope{}
		}
	}
	return &verified{id: id, generation: generation, until: earliest(now.Add(verifiedFor), until)}, nil
}

// tokenEnds returns when a token ends, and whether it is in force now.
func tokenEnds(t meta.Token, now time.Time) (time.Time, bool) {
	until := earliest(t.Expires, t.Revoked)
	return until, now.Before(until)
}

// earliest returns the earlier of two times; zero is never.
func earliest(a, b time.Time) time.Time {
	if b.IsZero() || !a.IsZero() && a.Before(b) {
		return a
	}
	return b
}

// checkJWT checks a token of Docker's protocol: its signature, its owner and
// the token that it was had for, if any.
func (s *Service) checkJWT(ctx context.Context, text string) (*verified, error) {
	now, generation := s.now(), s.Policy().Generation()
	c, err := s.login.jwt.verify(ctx, text)
	if errors.Is(err, errJWT) {
		return nil, errRefused
	}
	if err != nil {
		return nil, err
	}
	until := time.Unix(c.Expires+jwtSkew, 0)
	id, err := s.jwtOwner(ctx, c, &until)
	if err != nil {
		return nil, err
	}
	id.Claims = c.access()
	return &verified{id: id, generation: generation, until: earliest(now.Add(verifiedFor), until)}, nil
}

// jwtOwner finds whose token it is. It moves until back to when the token
// behind it ends.
func (s *Service) jwtOwner(ctx context.Context, c jwtClaims, until *time.Time) (*Identity, error) {
	if c.Subject == Anonymous.String() {
		if c.Principal != 0 || c.Epoch != 0 || c.Token != "" || c.Scope != nil {
			return nil, errRefused
		}
		return &Identity{Kind: Anonymous}, nil
	}
	workload := strings.HasPrefix(c.Subject, Workload.String()+":")
	var principal, trust int64
	if workload {
		trust = c.Principal
	} else {
		principal = c.Principal
	}
	subject := ""
	if c.Token != "" || workload {
		t, err := s.meta.Token(ctx, c.Token)
		switch {
		case errors.Is(err, meta.ErrNotFound):
			return nil, errRefused
		case err != nil:
			return nil, fmt.Errorf("find token: %w", err)
		}
		end, ok := tokenEnds(t, s.now())
		if !ok || t.Principal != principal || t.Trust != trust {
			return nil, errRefused
		}
		*until, subject = earliest(*until, end), t.Subject
	}
	id, err := s.owner(ctx, principal, trust, c.Epoch)
	if err != nil {
		return nil, err
	}
	if id.String() != c.Subject {
		return nil, errRefused
	}
	id.Token, id.Subject, id.Scope = c.Token, subject, c.Scope
	return id, nil
}

// owner returns the identity of a principal or a trust rule, if it is enabled
// and its epoch is that of what was shown.
func (s *Service) owner(ctx context.Context, principal, trust, epoch int64) (*Identity, error) {
	if id, ok := ownerIn(s.Policy(), principal, trust, epoch); ok {
		return id, nil
	}
	// Another replica may have made it since the policy was read.
	if err := s.Refresh(ctx); err != nil {
		return nil, err
	}
	if id, ok := ownerIn(s.Policy(), principal, trust, epoch); ok {
		return id, nil
	}
	return nil, errRefused
}

func ownerIn(p *Policy, principal, trust, epoch int64) (*Identity, bool) {
	if principal == 0 {
		t, ok := p.Trust(trust)
		return &Identity{Kind: Workload, Name: t.Name, ID: t.ID}, ok
	}
	row, ok := p.Principal(principal)
	if !ok || !row.Disabled.IsZero() || row.Epoch != epoch {
		return nil, false
	}
	return &Identity{Kind: kindOf(row.Kind), Name: row.Name, ID: row.ID, Exempt: row.Exempt}, true
}

func kindOf(kind string) Kind {
	if kind == meta.KindService {
		return ServiceAccount
	}
	return User
}
