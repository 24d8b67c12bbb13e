package auth

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/packhouse/packhouse/registry"
	"github.com/packhouse/packhouse/storage/meta"
)

// Token is one token, without its secret.
type Token struct {
	ID       string // public
	Owner    string // user:NAME, service:NAME, or workload:NAME of a trust rule
	Name     string
	Scope    []Scope // nil for no narrower than its owner
	Subject  string  // of the OIDC token behind it
	Created  time.Time
	Expires  time.Time
	Revoked  time.Time // zero while it works; may lie ahead
	LastUsed time.Time // zero for never
}

// TokenParams ask for a token.
type TokenParams struct {
	Owner string // user:NAME or service:NAME; "" for who asks
	Name  string // what it is for
	TTL   time.Duration
	Scope []Scope // empty for as wide as what it is made with
}

// CreateToken makes a token for who asks, or, for who may administer the
// whole registry, for a service account; its secret is shown this once. It is
// never wider than the token that it is made with. It returns
// PARAMETER_INVALID, NAME_UNKNOWN, DENIED, UNAUTHORIZED.
func (s *Service) CreateToken(ctx context.Context, p TokenParams) (Token, string, error) {
	const op = "auth.CreateToken"
	row, err := s.tokenOwner(ctx, op, p.Owner)
	if err != nil {
		return Token{}, "", err
	}
	if p.Scope, err = narrow(op, identityOf(ctx), p.Scope); err != nil {
		return Token{}, "", err
	}
	m, err := s.Mint(ctx, MintParams{Principal: row.ID, Name: p.Name, TTL: p.TTL, Scope: p.Scope})
	if err != nil {
		return Token{}, "", err
	}
	t, err := s.meta.Token(ctx, m.ID)
	if err != nil {
		return Token{}, "", wrap(op, err)
	}
	shown, err := shownToken(t, row.Kind+":"+row.Name)
	return shown, m.Secret, wrap(op, err)
}

// tokenOwner finds for whom the caller may make a token.
func (s *Service) tokenOwner(ctx context.Context, op, owner string) (meta.Principal, error) {
	id := self(ctx)
	if owner == "" {
		if id == nil {
			return meta.Principal{}, noOwnTokens(ctx, op)
		}
		owner = id.String()
	}
	kind, name, err := parseSubject(op, owner)
	if err != nil {
		return meta.Principal{}, err
	}
	if kind != meta.KindUser && kind != meta.KindService {
		return meta.Principal{}, registry.E(op, registry.ParameterInvalid, nil, "%q has no tokens of its own: only users and service accounts have", owner)
	}
	if id == nil || id.Kind != kindOf(kind) || id.Name != name {
		if err := s.gate.Can(ctx, registry.Admin, ""); err != nil {
			return meta.Principal{}, err
		}
		if kind == meta.KindUser && !operates(ctx) {
			return meta.Principal{}, registry.E(op, registry.Denied, nil, "a user's tokens are made by that user: make a service account, or set the password of %s", name)
		}
	}
	row, err := principal(ctx, s.meta, op, kind, name)
	return row, wrap(op, err)
}

// operates tells whether the caller needs no rights.
func operates(ctx context.Context) bool {
	id := identityOf(ctx)
	return id != nil && (id.Kind == Operator || id.Kind == Open)
}

func noOwnTokens(ctx context.Context, op string) error {
	id := identityOf(ctx)
	switch {
	case id == nil || id.Kind == Anonymous:
		return registry.E(op, registry.Unauthorized, nil, "log in to do this")
	case operates(ctx):
		return registry.E(op, registry.ParameterInvalid, nil, "say whose token it is: user:NAME or service:NAME")
	case id.Claims != nil:
		return registry.E(op, registry.Denied, nil, "a token of Docker's protocol makes no other tokens: use your password or the token you logged in with")
	}
	return registry.E(op, registry.Denied, nil, "%s has no tokens but the one that it was given", id)
}

// maxScope bounds the entries of a token's scope.
const maxScope = 50

// narrow checks the scope that the caller asks for: none of it may reach out
// of the caller's own, which is what it is if nothing is asked for.
func narrow(op string, by *Identity, scope []Scope) ([]Scope, error) {
	if len(scope) > maxScope {
		return nil, registry.E(op, registry.ParameterInvalid, nil, "the scope has %d entries, the limit is %d", len(scope), maxScope)
	}
	clean := make([]Scope, 0, len(scope))
	for _, entry := range scope {
		role, glob, err := bounded(op, entry.Role, entry.Repositories, "")
		if err != nil {
			return nil, err
		}
		clean = append(clean, Scope{Repositories: glob, Role: role})
	}
	switch {
	case by == nil || by.Scope == nil:
		if len(clean) == 0 {
			return nil, nil
		}
		return clean, nil
	case len(clean) == 0:
		return by.Scope, nil
	}
	for _, entry := range clean {
		if !covers(by.Scope, entry) {
			return nil, registry.E(op, registry.Denied, nil,
				"the token in use does not cover %s on %s itself, so it cannot make one that does: use your password or a wider token", entry.Role, entry.Repositories)
		}
	}
	return clean, nil
}

// covers tells whether each verb of an entry is in one entry of scope that
// reaches as far.
func covers(scope []Scope, entry Scope) bool {
	verbs, err := ParseRole(entry.Role)
	if err != nil {
		return false
	}
	inner, err := CompileGlob(entry.Repositories)
	if err != nil {
		return false
	}
	var within Verbs
	for _, wide := range scope {
		have, err := ParseRole(wide.Role)
		if err != nil {
			continue
		}
		if outer, err := CompileGlob(wide.Repositories); err == nil && outer.Includes(inner) {
			within |= have
		}
	}
	return verbs&^within == 0
}

// asWide tells whether who holds a token of scope by could have made one of
// the scope of another.
func asWide(by, other []Scope) bool {
	if by == nil {
		return true
	}
	if other == nil {
		return false
	}
	for _, entry := range other {
		if !covers(by, entry) {
			return false
		}
	}
	return true
}

// scopeOf reads a token's scope. What cannot be read is a scope that holds
// nothing.
func scopeOf(t meta.Token) ([]Scope, error) {
	if t.Scope == "" {
		return nil, nil
	}
	scope := []Scope{}
	if err := json.Unmarshal([]byte(t.Scope), &scope); err != nil {
		return []Scope{}, fmt.Errorf("read the scope of token %s: %w", t.ID, err)
	}
	if scope == nil {
		scope = []Scope{}
	}
	return scope, nil
}

func shownToken(t meta.Token, owner string) (Token, error) {
	scope, err := scopeOf(t)
	return Token{
		ID: t.ID, Owner: owner, Name: t.Name, Scope: scope, Subject: t.Subject,
		Created: t.Created, Expires: t.Expires, Revoked: t.Revoked, LastUsed: t.LastUsed,
	}, err
}

// Tokens lists up to limit tokens of user:NAME, service:NAME or workload:NAME,
// or, for "", of who asks, by id, after the given one. Others' are for who may
// administer the whole registry; a trust rule's, for who may administer its
// namespace. It returns PARAMETER_INVALID, NAME_UNKNOWN, DENIED, UNAUTHORIZED.
func (s *Service) Tokens(ctx context.Context, owner, after string, limit int) ([]Token, error) {
	const op = "auth.Tokens"
	id := self(ctx)
	if owner == "" {
		if id == nil {
			return nil, noOwnTokens(ctx, op)
		}
		owner = id.String()
	}
	kind, name, err := parseSubject(op, owner)
	if err != nil {
		return nil, err
	}
	var rows []meta.Token
	switch {
	case kind == Workload.String():
		rule, err := s.trust(ctx, op, name)
		if err != nil {
			return nil, err
		}
		rows, err = s.meta.TokensOfTrust(ctx, rule.ID, after, page(limit))
		if err != nil {
			return nil, wrap(op, err)
		}
	case kind == meta.KindUser, kind == meta.KindService:
		if id == nil || id.Kind != kindOf(kind) || id.Name != name {
			if err := s.gate.Can(ctx, registry.Admin, ""); err != nil {
				return nil, err
			}
		}
		row, err := principal(ctx, s.meta, op, kind, name)
		if err == nil {
			rows, err = s.meta.Tokens(ctx, row.ID, after, page(limit))
		}
		if err != nil {
			return nil, wrap(op, err)
		}
	default:
		return nil, registry.E(op, registry.ParameterInvalid, nil, "%q has no tokens", owner)
	}
	list := make([]Token, 0, len(rows))
	for _, t := range rows {
		shown, err := shownToken(t, kind+":"+name)
		if err != nil {
			return nil, wrap(op, err)
		}
		list = append(list, shown)
	}
	return list, nil
}

// Token describes the token of a public id, or of a secret, to its owner and
// to administrators. It returns NAME_UNKNOWN, UNAUTHORIZED.
func (s *Service) Token(ctx context.Context, which string) (Token, error) {
	const op = "auth.Token"
	t, owner, err := s.findToken(ctx, op, which)
	if err != nil {
		return Token{}, err
	}
	shown, err := shownToken(t, owner)
	return shown, wrap(op, err)
}

// findToken finds a token that the caller may know of: it is one's own, or one
// may administer the whole registry or the trust rule's namespace, or one has
// its secret.
func (s *Service) findToken(ctx context.Context, op, which string) (t meta.Token, owner string, err error) {
	id := identityOf(ctx)
	if id == nil || id.Kind == Anonymous || id.Claims != nil {
		return t, "", noOwnTokens(ctx, op)
	}
	hash, isSecret := ParseTokenText(which)
	if isSecret {
		t, err = s.meta.TokenByHash(ctx, hash[:])
	} else {
		t, err = s.meta.Token(ctx, which)
	}
	unknown := registry.E(op, registry.NameUnknown, nil, "there is no such token")
	if errors.Is(err, meta.ErrNotFound) {
		return t, "", unknown
	}
	if err != nil {
		return t, "", wrap(op, err)
	}
	knows := isSecret || id.Token == t.ID
	if t.Trust != 0 {
		rule, err := s.meta.TrustByID(ctx, t.Trust)
		switch {
		case errors.Is(err, meta.ErrNotFound):
			return t, "", unknown
		case err != nil:
			return t, "", wrap(op, err)
		case !knows && s.administer(asking(ctx), op, namespaceText(rule.NamespaceID, rule.Namespace)) != nil:
			return t, "", unknown
		}
		return t, Workload.String() + ":" + rule.Name, nil
	}
	row, err := s.meta.PrincipalByID(ctx, t.Principal)
	switch own := self(ctx); {
	case errors.Is(err, meta.ErrNotFound):
		return t, "", unknown
	case err != nil:
		return t, "", wrap(op, err)
	case !knows && (own == nil || own.ID != t.Principal) && !s.administers(ctx):
		return t, "", unknown
	}
	return t, row.Kind + ":" + row.Name, nil
}

// wideEnough refuses to touch a token with a narrower one.
func wideEnough(ctx context.Context, op, which string, t meta.Token) error {
	id := identityOf(ctx)
	if id.Token == t.ID || strings.HasPrefix(which, TokenPrefix) {
		return nil
	}
	if scope, err := scopeOf(t); err == nil && asWide(id.Scope, scope) {
		return nil
	}
	return registry.E(op, registry.Denied, nil, "the token in use is narrower than that one: use your password or a wider token")
}

// RotateToken makes a token like that of an id: same owner, name and scope,
// and, for 0, as long a life. The old one goes on for [Config.RotateGrace], so
// that both work while the new one is handed round. It returns NAME_UNKNOWN,
// PARAMETER_INVALID, CONFLICT for one that is over or was rotated already,
// DENIED, UNAUTHORIZED.
func (s *Service) RotateToken(ctx context.Context, which string, ttl time.Duration) (Token, string, error) {
	const op = "auth.RotateToken"
	t, owner, err := s.findToken(ctx, op, which)
	if err != nil {
		return Token{}, "", err
	}
	id := identityOf(ctx)
	switch own := self(ctx); {
	case t.Principal == 0:
		return Token{}, "", registry.E(op, registry.Denied, nil, "a job's token is not renewed: the job gets another by its ID token")
	case (own == nil || own.ID != t.Principal) && !operates(ctx):
		// Whoever has it rotated gets its secret, and with it its owner's rights.
		if err := s.gate.Can(ctx, registry.Admin, ""); err != nil {
			return Token{}, "", err
		}
		if strings.HasPrefix(owner, meta.KindUser+":") {
			return Token{}, "", registry.E(op, registry.Denied, nil, "a user's tokens are rotated by that user: revoke it instead")
		}
	}
	if scope, err := scopeOf(t); err != nil || !asWide(id.Scope, scope) {
		return Token{}, "", registry.E(op, registry.Denied, err, "the token in use is narrower than that one: use your password or a wider token")
	}
	if ttl == 0 {
		ttl = min(t.Expires.Sub(t.Created), s.cfg.TokenMaxTTL)
	}
	p := MintParams{Principal: t.Principal, Name: t.Name, TTL: ttl, Subject: t.Subject}
	if err := s.checkMint(op, &p); err != nil {
		return Token{}, "", err
	}
	secret, hash := newSecret()
	var made meta.Token
	err = s.change(ctx, op, durable, func(ctx context.Context, tx *meta.Tx) error {
		now, err := tx.Token(ctx, t.ID)
		if err != nil {
			return err
		}
		switch ends, ok := tokenEnds(now, tx.Now()); {
		case !ok:
			return registry.E(op, registry.Conflict, nil, "token %s is over since %s: make a new one", t.ID, ends.Format(time.RFC3339))
		case !now.Revoked.IsZero():
			return registry.E(op, registry.Conflict, nil, "token %s was rotated already and ends at %s", t.ID, ends.Format(time.RFC3339))
		}
		row, err := mintable(ctx, tx, op, p)
		if err != nil {
			return err
		}
		if row.epoch != now.Epoch {
			return registry.E(op, registry.Conflict, nil, "token %s is over since the password of %s was set: make a new one", t.ID, owner)
		}
		made = meta.Token{Principal: t.Principal, Hash: hash, Name: t.Name, Scope: t.Scope, Subject: t.Subject, Epoch: row.epoch, Expires: tx.Now().Add(p.TTL)}
		if made, err = addToken(ctx, tx, made); err != nil {
			return err
		}
		if err := tx.RevokeToken(ctx, t.ID, tx.Now().Add(s.cfg.RotateGrace)); err != nil {
			return err
		}
		return record(ctx, tx, "token.rotate", "", "token", made.ID, "of", t.ID, "owner", owner, "expires", made.Expires.Format(time.RFC3339))
	})
	if err != nil {
		return Token{}, "", err
	}
	shown, err := shownToken(made, owner)
	return shown, secret, wrap(op, err)
}

// RevokeToken ends the token of a public id or of a secret at once; one that
// is over is no error. It is for its owner, for administrators, and for
// whoever shows its secret. It returns NAME_UNKNOWN, DENIED, UNAUTHORIZED.
func (s *Service) RevokeToken(ctx context.Context, which string) error {
	const op = "auth.RevokeToken"
	t, owner, err := s.findToken(ctx, op, which)
	if err != nil {
		return err
	}
	if err := wideEnough(ctx, op, which, t); err != nil {
		return err
	}
	return s.change(ctx, op, restricting, func(ctx context.Context, tx *meta.Tx) error {
		now, err := tx.Token(ctx, t.ID)
		if errors.Is(err, meta.ErrNotFound) {
			return errNothing
		}
		if err != nil {
			return err
		}
		if _, ok := tokenEnds(now, tx.Now()); !ok {
			return errNothing
		}
		if err := tx.RevokeToken(ctx, t.ID, tx.Now()); err != nil {
			return err
		}
		return record(ctx, tx, "token.revoke", "", "token", t.ID, "owner", owner)
	})
}
