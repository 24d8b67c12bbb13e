package oidc

import (
	"context"
	"encoding/json"
	"errors"
	"slices"

	"github.com/packhouse/packhouse/registry"
	"github.com/packhouse/packhouse/registry/auth"
	"github.com/packhouse/packhouse/storage/meta"
)

// sourceOIDC is the source of users and memberships that the provider vouches
// for.
const sourceOIDC = "oidc"

// maxGroups bounds what a token may make: a directory's groups are many.
const maxGroups = 500

// errSame ends a change that would change nothing.
var errSame = errors.New("nothing to change")

// user finds or makes the user that the provider's claims are about, and brings
// name, address and groups up to date. Issuer and subject are who it is; the
// name is what people call it: it follows the claim where it is free, and where
// it is somebody else's the log-in of a new user is refused, never joined.
func (s *Service) user(ctx context.Context, c claims, address string) (meta.Principal, error) {
	const op = "oidc.user"
	p := s.cfg.People
	sub, _ := c.text("sub")
	want := meta.Principal{Kind: meta.KindUser, Source: sourceOIDC, External: external(p.Issuer, sub)}
	want.Name, _ = c.text(p.NameClaim)
	full, _ := c.text("name")
	email, _ := c.text("email")
	want.FullName, want.Email = clip(full, maxName), clip(email, maxName)
	groups, err := s.groups(ctx, op, c)
	if err != nil {
		return meta.Principal{}, err
	}
	var who meta.Principal
	err = s.cfg.Meta.Update(ctx, meta.Options{Durable: true}, func(ctx context.Context, tx *meta.Tx) error {
		if who, err = tx.PrincipalByExternal(ctx, want.External); err == nil {
			err = s.change(as(ctx, userName(who), who.External, address), tx, &who, want, groups)
		} else if errors.Is(err, meta.ErrNotFound) {
			who, err = s.create(as(ctx, userName(want), want.External, address), tx, want, groups)
		}
		return err
	})
	switch {
	case errors.Is(err, errSame):
		return who, nil
	case err != nil:
		return meta.Principal{}, wrap(op, err)
	}
	// The token that follows must find the user in the policy.
	return who, wrap(op, s.cfg.Auth.Refresh(ctx))
}

func userName(p meta.Principal) string { return auth.User.String() + ":" + p.Name }

func (s *Service) create(ctx context.Context, tx *meta.Tx, want meta.Principal, groups []string) (meta.Principal, error) {
	const op = "oidc.user"
	if !auth.LegalUser(want.Name) {
		return want, registry.E(op, registry.Denied, nil,
			"the provider calls you %q in the claim %s, which cannot be a user's name here: have oidc.name_claim name another claim", clip(want.Name, maxName), s.cfg.People.NameClaim)
	}
	switch _, err := tx.Principal(ctx, meta.KindUser, want.Name); {
	case err == nil:
		return want, registry.E(op, registry.Denied, nil,
			"the provider calls you %q, but that is the name of another user here: have the administrator delete that user, or have the provider give you another name", want.Name)
	case !errors.Is(err, meta.ErrNotFound):
		return want, err
	}
	id, err := tx.AddPrincipal(ctx, want)
	if err != nil {
		return want, err
	}
	if _, err := s.join(ctx, tx, id, groups); err != nil {
		return want, err
	}
	if want, err = tx.PrincipalByID(ctx, id); err != nil {
		return want, err
	}
	return want, record(ctx, tx, "user.create", want)
}

func (s *Service) change(ctx context.Context, tx *meta.Tx, have *meta.Principal, want meta.Principal, groups []string) error {
	if !have.Disabled.IsZero() {
		return registry.E("oidc.user", registry.Denied, nil, "user %s is disabled: ask an administrator", have.Name)
	}
	renamed := false
	if want.Name != have.Name && auth.LegalUser(want.Name) {
		switch _, err := tx.Principal(ctx, meta.KindUser, want.Name); {
		case errors.Is(err, meta.ErrNotFound):
			renamed = true
			if err := tx.RenamePrincipal(ctx, have.ID, want.Name); err != nil {
				return err
			}
			have.Name = want.Name
		case err != nil:
			return err
		}
	}
	described := want.FullName != have.FullName || want.Email != have.Email
	if described {
		have.FullName, have.Email = want.FullName, want.Email
		if err := tx.SetPrincipal(ctx, *have); err != nil {
			return err
		}
	}
	joined, err := s.join(ctx, tx, have.ID, groups)
	if err != nil {
		return err
	}
	if !renamed && !described && !joined {
		return errSame
	}
	if !renamed && !joined {
		return recordOnly(ctx, tx, "user.change", *have)
	}
	return record(ctx, tx, "user.change", *have)
}

// join makes the groups that the provider names those that it vouches for, and
// tells whether anything changed. nil groups leave things as they are.
func (s *Service) join(ctx context.Context, tx *meta.Tx, id int64, groups []string) (bool, error) {
	if groups == nil {
		return false, nil
	}
	for _, name := range groups {
		_, err := tx.Group(ctx, name)
		if errors.Is(err, meta.ErrNotFound) {
			if _, err = tx.AddGroup(ctx, name, "named by the provider"); err == nil {
				err = tx.Record(ctx, meta.AuditRecord{Action: "group.create", Detail: map[string]string{"group": name, "source": sourceOIDC}})
			}
		}
		if err != nil {
			return false, err
		}
	}
	return tx.SetMemberships(ctx, id, sourceOIDC, groups)
}

// record writes a change of a user that changes what somebody may.
func record(ctx context.Context, tx *meta.Tx, action string, p meta.Principal) error {
	if err := recordOnly(ctx, tx, action, p); err != nil {
		return err
	}
	return tx.TouchAccess(ctx)
}

func recordOnly(ctx context.Context, tx *meta.Tx, action string, p meta.Principal) error {
	return tx.Record(ctx, meta.AuditRecord{Action: action, Detail: map[string]string{"user": p.Name, "source": sourceOIDC}})
}

// groups reads the groups that the provider names, nil if it does not say. One
// that cannot be a group's name here is left out: nothing was granted to it, and
// nothing denied.
func (s *Service) groups(ctx context.Context, op string, c claims) ([]string, error) {
	claim := s.cfg.People.GroupsClaim
	if claim == "" {
		return nil, nil
	}
	named := []string{} // a claim that is missing is a user in no group
	if text := c[claim]; text != nil && string(text) != "null" {
		if one, ok := c.text(claim); ok {
			named = []string{one}
		} else if err := json.Unmarshal(text, &named); err != nil {
			return nil, registry.E(op, registry.Denied, err, "the provider's claim %s is no list of groups: have oidc.groups_claim name another claim", claim)
		}
	}
	list := []string{}
	for _, name := range named {
		if !auth.LegalName(name) {
			s.log.InfoContext(ctx, "group is left out", "group", clip(name, maxName))
			continue
		}
		list = append(list, name)
	}
	slices.Sort(list)
	if list = slices.Compact(list); len(list) > maxGroups {
		return nil, registry.E(op, registry.Denied, nil, "the provider names %d groups, more than the %d that are kept: have it name fewer to this registry", len(list), maxGroups)
	}
	return list, nil
}
