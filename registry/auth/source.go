package auth

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/packhouse/packhouse/registry"
	"github.com/packhouse/packhouse/storage/meta"
)

// The sources of users whose passwords are kept elsewhere.
const (
	sourceHtpasswd = "htpasswd"
	sourceLDAP     = "ldap"
)

// proven is a password that was right.
type proven struct {
	proof  string   // what it was compared with
	groups []string // that the source says the user is in; nil if it does not say
}

// checkUser checks a user's password where that user is kept. A name that is
// here is asked nowhere else; one that is not is asked in the htpasswd file,
// else in the directory. Whatever is wrong costs the same, but for the time
// that a directory takes.
func (s *Service) checkUser(ctx context.Context, c Credential, address string, prior *verified) (*verified, error) {
	limits, account := s.cfg.Limits, c.User
	if limits == nil {
		return s.verifyUser(ctx, c, prior)
	}
	if !LegalUser(account) {
		account = "" // nobody's: the address alone counts
	}
	if prior == nil {
		if err := limits.Login(address, account); err != nil {
			return nil, err
		}
	}
	v, err := s.verifyUser(ctx, c, prior)
	switch {
	case err == nil && prior == nil:
		limits.LoginSucceeded(address, account)
	case errors.Is(err, registry.Unauthorized):
		limits.LoginFailed(address, account)
	}
	return v, err
}

func (s *Service) verifyUser(ctx context.Context, c Credential, prior *verified) (*verified, error) {
	// There can be no such user. Names are in lower case also because
	// directories compare them without regard to case, width and spaces: who
	// is denied something would log in as another.
	if !LegalUser(c.User) || c.Secret == "" || len(c.Secret) > maxPassword {
		return nil, errRefused
	}
	now, generation := s.now(), s.Policy().Generation()
	row, err := s.meta.Principal(ctx, meta.KindUser, c.User)
	absent := errors.Is(err, meta.ErrNotFound)
	if err != nil && !absent {
		return nil, fmt.Errorf("find user: %w", err)
	}
	source := row.Source
	if absent {
		source = s.sourceOf(ctx, c.User)
	}
	until := now.Add(verifiedFor)
	p := proven{}
	if prior != nil && s.stillProven(ctx, source, row, c.User, prior.proof) {
		p.proof, until = prior.proof, prior.until
	} else if p, err = s.prove(ctx, source, row, c); err != nil {
		return nil, err
	}
	if absent || p.groups != nil {
		if row, err = s.enrol(ctx, source, row, c.User, p.groups); err != nil {
			return nil, err
		}
	}
	id, err := s.owner(ctx, row.ID, 0, row.Epoch)
	if err != nil {
		return nil, err
	}
	return &verified{id: id, generation: generation, until: until, proof: p.proof}, nil
}

// sourceOf names where a user who is not here is looked for.
func (s *Service) sourceOf(ctx context.Context, user string) string {
	switch {
	case s.login.htpasswd != nil && s.login.htpasswd.hash(ctx, user) != "":
		return sourceHtpasswd
	case s.login.ldap != nil:
		return sourceLDAP
	}
	return ""
}

// stillProven tells whether what a password was compared with before is what
// it would be compared with now. A directory keeps that for itself.
func (s *Service) stillProven(ctx context.Context, source string, row meta.Principal, user, proof string) bool {
	switch source {
	case meta.SourceLocal:
		return proof != "" && proof == row.Password
	case sourceHtpasswd:
		return proof != "" && s.login.htpasswd != nil && proof == s.login.htpasswd.hash(ctx, user)
	case sourceLDAP:
		return proof == sourceLDAP && s.login.ldap != nil
	}
	return false
}

// prove checks a password at its source. It returns errRefused,
// TOOMANYREQUESTS, or why the source cannot be asked.
func (s *Service) prove(ctx context.Context, source string, row meta.Principal, c Credential) (proven, error) {
	local, file := "", ""
	switch {
	case source == meta.SourceLocal:
		local = row.Password
	case source == sourceHtpasswd && s.login.htpasswd != nil:
		file = s.login.htpasswd.hash(ctx, c.User)
	case source == sourceLDAP && s.login.ldap != nil:
		groups, err := s.login.ldap.bind(ctx, c.User, c.Secret)
		if err == nil {
			return proven{proof: sourceLDAP, groups: groups}, nil
		}
		if !errors.Is(err, errRefused) {
			return proven{}, err
		}
	}
	if file != "" {
		ok, err := s.checkBcrypt(ctx, file, c.Secret)
		if err != nil || ok {
			return proven{proof: file}, err
		}
	}
	ok, err := s.checkPassword(ctx, local, c.Secret)
	if err != nil || ok {
		return proven{proof: local}, err
	}
	if file == "" && s.login.htpasswd != nil {
		if _, err := s.checkBcrypt(ctx, "", c.Secret); err != nil {
			return proven{}, err
		}
	}
	return proven{}, errRefused
}

// enrol keeps a user whom a source vouches for, and the groups that it says
// the user is in. absent ones are made.
func (s *Service) enrol(ctx context.Context, source string, row meta.Principal, user string, groups []string) (meta.Principal, error) {
	if row.ID != 0 {
		same, err := s.sameGroups(ctx, row.ID, source, groups)
		if err != nil || same {
			return row, err
		}
	}
	err := s.change(ctx, authenticateOp, durable, func(ctx context.Context, tx *meta.Tx) error {
		now, err := tx.Principal(ctx, meta.KindUser, user)
		made := errors.Is(err, meta.ErrNotFound)
		switch {
		case made:
			now = meta.Principal{Kind: meta.KindUser, Name: user, Source: source}
			if now.ID, err = tx.AddPrincipal(ctx, now); err != nil {
				return err
			}
			if err := record(ctx, tx, "user.create", "", "user", user, "source", source); err != nil {
				return err
			}
		case err != nil:
			return err
		case now.Source != source: // somebody made one of that name meanwhile
			return errRefused
		}
		moved := false
		if groups != nil {
			if moved, err = tx.SetMemberships(ctx, now.ID, source, groups); err != nil {
				return err
			}
		}
		if moved {
			return record(ctx, tx, "user.groups", "", "user", user, "source", source, "groups", strings.Join(groups, ", "))
		}
		if !made {
			return errNothing
		}
		return nil
	})
	if err != nil {
		return row, err
	}
	if row, err = s.meta.Principal(ctx, meta.KindUser, user); err != nil {
		return row, fmt.Errorf("find user: %w", err)
	}
	return row, nil
}

// sameGroups tells whether a user is in the groups of these names, for this
// source, and in no other.
func (s *Service) sameGroups(ctx context.Context, id int64, source string, groups []string) (bool, error) {
	members, err := s.meta.Memberships(ctx, id)
	if err != nil {
		return false, fmt.Errorf("read groups: %w", err)
	}
	p, want, have := s.Policy(), map[int64]bool{}, 0
	for _, name := range groups {
		if g, ok := p.GroupNamed(name); ok {
			want[g.ID] = true
		}
	}
	for _, m := range members {
		if m.Source != source {
			continue
		}
		if !want[m.Group] {
			return false, nil
		}
		have++
	}
	return have == len(want), nil
}
