package auth

import (
	"context"
	"errors"
	"strconv"
	"time"

	"github.com/packhouse/packhouse/storage/meta"
)

// The first administrator.
const (
	bootstrapUser  = "admin"
	bootstrapToken = "bootstrap"
)

// Bootstrap makes the first administrator, once in the life of a database: the
// user admin, without a password, and a token to log in with. Whoever comes
// second, in this process or another, gets made false. A registry that has an
// administrator already needs none.
func (s *Service) Bootstrap(ctx context.Context) (secret string, made bool, err error) {
	const op = "auth.Bootstrap"
	done, err := s.meta.Bootstrapped(ctx)
	if err != nil || !done.IsZero() {
		return "", false, wrap(op, err)
	}
	text, hash := newSecret()
	err = s.change(ctx, op, durable, func(ctx context.Context, tx *meta.Tx) error {
		made = false
		if first, err := tx.Bootstrap(ctx); err != nil || !first {
			return orNothing(err)
		}
		rows, err := tx.AccessRows(ctx)
		if err != nil {
			return err
		}
		p, err := NewPolicy(rows)
		if err != nil {
			return err
		}
		if p.administered() { // made by an operator before
			return record(ctx, tx, "registry.bootstrap", "", "administered", "yes")
		}
		user, err := firstUser(ctx, tx)
		if err != nil {
			return err
		}
		if _, _, err := tx.AddGrant(ctx, meta.Grant{Principal: user.ID, Role: allVerbs.String(), Repositories: "**"}); err != nil {
			return err
		}
		t, err := addToken(ctx, tx, meta.Token{Principal: user.ID, Hash: hash, Name: bootstrapToken, Epoch: user.Epoch, Expires: tx.Now().Add(s.cfg.TokenTTL)})
		if err != nil {
			return err
		}
		made = true
		return record(ctx, tx, "registry.bootstrap", "", "user", user.Name, "token", t.ID, "expires", t.Expires.Format(time.RFC3339))
	})
	if err != nil || !made {
		return "", false, err
	}
	return text, true, nil
}

func orNothing(err error) error {
	if err == nil {
		return errNothing
	}
	return err
}

// firstUser makes the user admin, or admin-2 and so on: one that is there must
// not get rights by the way.
func firstUser(ctx context.Context, tx *meta.Tx) (meta.Principal, error) {
	name := bootstrapUser
	for n := 2; ; n++ {
		_, err := tx.Principal(ctx, meta.KindUser, name)
		if errors.Is(err, meta.ErrNotFound) {
			break
		}
		if err != nil {
			return meta.Principal{}, err
		}
		name = bootstrapUser + "-" + strconv.Itoa(n)
	}
	id, err := tx.AddPrincipal(ctx, meta.Principal{Kind: meta.KindUser, Name: name, FullName: "First administrator", Source: meta.SourceLocal})
	if err != nil {
		return meta.Principal{}, err
	}
	return tx.PrincipalByID(ctx, id)
}
