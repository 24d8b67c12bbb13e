package auth

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"strconv"
	"strings"
	"time"

	"github.com/packhouse/packhouse/registry"
	"github.com/packhouse/packhouse/storage/meta"
)

// MintParams say what token to make.
type MintParams struct {
	Principal int64 // its owner's row, or
	Trust     int64 // that of the trust rule
	Name      string
	TTL       time.Duration // 0 for [Config.TokenTTL]
	Scope     []Scope       // nil for no narrower than its owner
	Subject   string        // of the OIDC token behind it
}

// Minted is a new token. Its secret is stored nowhere.
type Minted struct {
	ID      string // public
	Secret  string
	Expires time.Time
}

// Mint makes a token without asking whether the caller may: for who was just
// authenticated by other means. It returns PARAMETER_INVALID, UNAUTHORIZED for
// an owner who is not there or disabled.
func (s *Service) Mint(ctx context.Context, p MintParams) (Minted, error) {
	const op = "auth.Mint"
	if err := s.checkMint(op, &p); err != nil {
		return Minted{}, err
	}
	scope := ""
	if p.Scope != nil {
		text, err := json.Marshal(p.Scope)
		if err != nil {
			return Minted{}, wrap(op, err)
		}
		scope = string(text)
	}
	secret, hash := newSecret()
	var t meta.Token
	// Not a change of access: its owner's rights were there before.
	err := s.meta.Update(ctx, durable, func(ctx context.Context, tx *meta.Tx) error {
		owner, err := mintable(ctx, tx, op, p)
		if err != nil {
			return err
		}
		t, err = addToken(ctx, tx, meta.Token{
			Principal: p.Principal, Trust: p.Trust, Hash: hash, Name: p.Name, Scope: scope, Subject: p.Subject, Epoch: owner.epoch, Expires: tx.Now().Add(p.TTL),
		})
		if err != nil {
			return err
		}
		return record(ctx, tx, "token.create", owner.namespace, "token", t.ID, "owner", owner.text, "scope", scope, "subject", p.Subject, "expires", t.Expires.Format(time.RFC3339))
	})
	return Minted{ID: t.ID, Secret: secret, Expires: t.Expires}, wrap(op, err)
}

// maxTokenName bounds what a token is for, in bytes; what log-ins put there is
// cut.
const maxTokenName = 100

func (s *Service) checkMint(op string, p *MintParams) error {
	if p.TTL == 0 {
		p.TTL = s.cfg.TokenTTL
	}
	if p.TTL < time.Second || p.TTL > s.cfg.TokenMaxTTL {
		return registry.E(op, registry.ParameterInvalid, nil, "a token lasts from a second to %s, not %s", lifeText(s.cfg.TokenMaxTTL), lifeText(p.TTL))
	}
	p.Name = strings.ToValidUTF8(p.Name, "")
	if len(p.Name) > maxTokenName {
		p.Name = strings.ToValidUTF8(p.Name[:maxTokenName], "")
	}
	if !printable(p.Name) {
		return registry.E(op, registry.ParameterInvalid, nil, "the name of a token has no control characters")
	}
	for _, entry := range p.Scope {
		if _, _, err := bounded(op, entry.Role, entry.Repositories, ""); err != nil {
			return err
		}
	}
	return nil
}

func lifeText(d time.Duration) string {
	if d >= day && d%day == 0 {
		return strconv.FormatInt(int64(d/day), 10) + " days"
	}
	return d.String()
}

// tokenOwnerRow is what a token takes over from its owner.
type tokenOwnerRow struct {
	text, namespace string
	epoch           int64
}

// mintable finds a token's owner, who must be able to use it.
func mintable(ctx context.Context, tx *meta.Tx, op string, p MintParams) (tokenOwnerRow, error) {
	gone := registry.E(op, registry.Unauthorized, nil, "whose token that would be is not there any more, or is disabled")
	if p.Trust != 0 {
		rule, err := tx.TrustByID(ctx, p.Trust)
		if errors.Is(err, meta.ErrNotFound) {
			return tokenOwnerRow{}, gone
		}
		return tokenOwnerRow{text: Workload.String() + ":" + rule.Name, namespace: rule.Namespace}, err
	}
	row, err := tx.PrincipalByID(ctx, p.Principal)
	if errors.Is(err, meta.ErrNotFound) || err == nil && !row.Disabled.IsZero() {
		return tokenOwnerRow{}, gone
	}
	return tokenOwnerRow{text: row.Kind + ":" + row.Name, epoch: row.Epoch}, err
}

// addToken stores a token under a new public id, 12 hexadecimal digits.
func addToken(ctx context.Context, tx *meta.Tx, t meta.Token) (meta.Token, error) {
	for {
		var id [6]byte
		_, _ = rand.Read(id[:]) // never fails
		t.ID = hex.EncodeToString(id[:])
		switch _, err := tx.Token(ctx, t.ID); {
		case errors.Is(err, meta.ErrNotFound):
			if err := tx.AddToken(ctx, t); err != nil {
				return t, err
			}
			return tx.Token(ctx, t.ID)
		case err != nil:
			return t, err
		}
	}
}
