package auth

import (
	"cmp"
	"context"
	"errors"
	"strings"
	"unicode/utf8"

	"github.com/packhouse/packhouse/registry"
	"github.com/packhouse/packhouse/storage/meta"
)

// Account describes a new user or service account.
type Account struct {
	Name     string
	FullName string // of a service account: what it is for
	Email    string
	Password string // of a user; "" for one who logs in by tokens alone
	Exempt   bool   // rate limits do not apply
}

// AccountChange is what of an account is to become another; nil for as it is.
type AccountChange struct {
	FullName *string
	Email    *string
	Exempt   *bool
}

// CreateUser makes a user. It returns PARAMETER_INVALID, CONFLICT, and what
// the gate says: users are for who may administer the whole registry.
func (s *Service) CreateUser(ctx context.Context, a Account) (meta.Principal, error) {
	return s.create(ctx, "auth.CreateUser", meta.KindUser, a)
}

// Users lists up to limit users by name, after the given one.
func (s *Service) Users(ctx context.Context, after string, limit int) ([]meta.Principal, error) {
	return s.accounts(ctx, "auth.Users", meta.KindUser, after, limit)
}

// User describes one user, to administrators and to itself. It returns
// NAME_UNKNOWN.
func (s *Service) User(ctx context.Context, name string) (meta.Principal, error) {
	return s.account(ctx, "auth.User", meta.KindUser, name)
}

// ChangeUser changes what describes a user. It returns NAME_UNKNOWN,
// PARAMETER_INVALID.
func (s *Service) ChangeUser(ctx context.Context, name string, c AccountChange) error {
	return s.describe(ctx, "auth.ChangeUser", meta.KindUser, name, c)
}

// DisableUser takes all rights from a user until [Service.EnableUser] gives
// them back. It returns NAME_UNKNOWN, CONFLICT for the last administrator.
func (s *Service) DisableUser(ctx context.Context, name string) error {
	return s.disable(ctx, "auth.DisableUser", meta.KindUser, name, true)
}

// EnableUser gives a user back the rights and tokens of before. It returns
// NAME_UNKNOWN.
func (s *Service) EnableUser(ctx context.Context, name string) error {
	return s.disable(ctx, "auth.EnableUser", meta.KindUser, name, false)
}

// DeleteUser removes a user with its tokens, grants and memberships. It
// returns NAME_UNKNOWN, CONFLICT for the last administrator.
func (s *Service) DeleteUser(ctx context.Context, name string) error {
	return s.remove(ctx, "auth.DeleteUser", meta.KindUser, name)
}

// SetPassword sets a user's password, "" for none. Users set their own and
// show the present one; administrators set anybody's. All of the user's tokens
// end, unless they are kept. It returns NAME_UNKNOWN, PARAMETER_INVALID,
// CONFLICT for a user whom another source vouches for, UNAUTHORIZED for a
// wrong present password, TOOMANYREQUESTS.
func (s *Service) SetPassword(ctx context.Context, name, present, password string, keepTokens bool) error {
	const op = "auth.SetPassword"
	own := false
	if !s.administers(ctx) {
		id := self(ctx)
		if own = id != nil && id.Kind == User && id.Name == name; !own {
			return s.gate.Can(ctx, registry.Admin, "")
		}
	}
	if err := checkPasswordText(op, name, password, own); err != nil {
		return err
	}
	row, err := principal(ctx, s.meta, op, meta.KindUser, name)
	if err != nil {
		return wrap(op, err)
	}
	if row.Source != meta.SourceLocal {
		return registry.E(op, registry.Conflict, nil, "the password of %s is not kept here: %s vouches for this user", name, row.Source)
	}
	if own {
		if err := s.present(ctx, op, row, present); err != nil {
			return err
		}
	}
	hash := ""
	if password != "" {
		if hash, err = s.hashPassword(ctx, password); err != nil {
			return wrap(op, err)
		}
	}
	kept := ""
	if keepTokens {
		kept = "kept"
	}
	return s.change(ctx, op, restricting, func(ctx context.Context, tx *meta.Tx) error {
		now, err := principal(ctx, tx, op, meta.KindUser, name)
		if err != nil {
			return err
		}
		if now.ID != row.ID || now.Password != row.Password || now.Source != row.Source {
			return registry.E(op, registry.Conflict, nil, "the password of %s was changed by somebody else meanwhile: try again", name)
		}
		if err := tx.SetPassword(ctx, row.ID, hash, keepTokens); err != nil {
			return err
		}
		return record(ctx, tx, "user.password", "", "user", name, "tokens", kept)
	})
}

// present checks a password that is to be replaced, as slowly as a log-in.
func (s *Service) present(ctx context.Context, op string, row meta.Principal, password string) error {
	address := registry.CallerOf(ctx).Address
	if l := s.cfg.Limits; l != nil {
		if err := l.Login(address, row.Name); err != nil {
			return err
		}
	}
	ok, err := s.checkPassword(ctx, row.Password, password)
	if err != nil {
		return wrap(op, err)
	}
	if l := s.cfg.Limits; l != nil && ok {
		l.LoginSucceeded(address, row.Name)
	} else if l != nil {
		l.LoginFailed(address, row.Name)
	}
	if !ok {
		return registry.E(op, registry.Unauthorized, nil, "the present password is wrong")
	}
	return nil
}

// leastPassword is NIST SP 800-63B's least length, in characters.
const leastPassword = 8

func checkPasswordText(op, name, password string, must bool) error {
	switch {
	case password == "" && !must:
		return nil
	case utf8.RuneCountInString(password) < leastPassword, len(password) > maxPassword:
		return registry.E(op, registry.ParameterInvalid, nil, "a password has at least %d characters and at most %d bytes", leastPassword, maxPassword)
	case !printable(password):
		return registry.E(op, registry.ParameterInvalid, nil, "a password has no control characters")
	case strings.EqualFold(password, name):
		return registry.E(op, registry.ParameterInvalid, nil, "a password is not the user's name")
	case strings.HasPrefix(password, TokenPrefix):
		return registry.E(op, registry.ParameterInvalid, nil, "a password does not begin with %s, as tokens do", TokenPrefix)
	}
	return nil
}

func (s *Service) create(ctx context.Context, op, kind string, a Account) (meta.Principal, error) {
	if err := s.gate.Can(ctx, registry.Admin, ""); err != nil {
		return meta.Principal{}, err
	}
	if err := cmp.Or(checkName(op, kindText(kind), a.Name), checkText(op, "full name", a.FullName),
		checkText(op, "e-mail address", a.Email), checkPasswordText(op, a.Name, a.Password, false)); err != nil {
		return meta.Principal{}, err
	}
	row := meta.Principal{Kind: kind, Name: a.Name, FullName: a.FullName, Email: a.Email, Source: meta.SourceLocal, Exempt: a.Exempt}
	if a.Password != "" {
		var err error
		if row.Password, err = s.hashPassword(ctx, a.Password); err != nil {
			return meta.Principal{}, wrap(op, err)
		}
	}
	err := s.change(ctx, op, durable, func(ctx context.Context, tx *meta.Tx) error {
		switch _, err := tx.Principal(ctx, kind, a.Name); {
		case err == nil:
			return registry.E(op, registry.Conflict, nil, "there is a %s %q already", kindText(kind), a.Name)
		case !errors.Is(err, meta.ErrNotFound):
			return err
		}
		id, err := tx.AddPrincipal(ctx, row)
		if err != nil {
			return err
		}
		if row, err = tx.PrincipalByID(ctx, id); err != nil {
			return err
		}
		return record(ctx, tx, kind+".create", "", kind, a.Name, "source", row.Source)
	})
	row.Password = ""
	return row, err
}

func (s *Service) accounts(ctx context.Context, op, kind, after string, limit int) ([]meta.Principal, error) {
	if err := s.gate.Can(ctx, registry.Admin, ""); err != nil {
		return nil, err
	}
	list, err := s.meta.Principals(ctx, kind, after, page(limit))
	for i := range list {
		list[i].Password = ""
	}
	return list, wrap(op, err)
}

func (s *Service) account(ctx context.Context, op, kind, name string) (meta.Principal, error) {
	id := self(ctx)
	if own := id != nil && id.Kind == kindOf(kind) && id.Name == name; !own {
		if err := s.gate.Can(ctx, registry.Admin, ""); err != nil {
			return meta.Principal{}, err
		}
	}
	row, err := principal(ctx, s.meta, op, kind, name)
	row.Password = ""
	return row, wrap(op, err)
}

func (s *Service) describe(ctx context.Context, op, kind, name string, c AccountChange) error {
	if err := s.gate.Can(ctx, registry.Admin, ""); err != nil {
		return err
	}
	return s.change(ctx, op, durable, func(ctx context.Context, tx *meta.Tx) error {
		row, err := principal(ctx, tx, op, kind, name)
		if err != nil {
			return err
		}
		now := row
		detail := []string{kind, name}
		for _, field := range []struct {
			what string
			to   *string
			at   *string
		}{{"full name", c.FullName, &now.FullName}, {"e-mail address", c.Email, &now.Email}} {
			if field.to == nil {
				continue
			}
			if err := checkText(op, field.what, *field.to); err != nil {
				return err
			}
			*field.at = *field.to
		}
		if c.Exempt != nil {
			now.Exempt = *c.Exempt
			detail = append(detail, "exempt", boolText(now.Exempt))
		}
		if now == row {
			return errNothing
		}
		if err := tx.SetPrincipal(ctx, now); err != nil {
			return err
		}
		return record(ctx, tx, kind+".change", "", detail...)
	})
}

func boolText(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}

func (s *Service) disable(ctx context.Context, op, kind, name string, disabled bool) error {
	if err := s.gate.Can(ctx, registry.Admin, ""); err != nil {
		return err
	}
	options, action := durable, kind+".enable"
	if disabled {
		options, action = restricting, kind+".disable"
	}
	return s.change(ctx, op, options, func(ctx context.Context, tx *meta.Tx) error {
		row, err := principal(ctx, tx, op, kind, name)
		if err != nil {
			return err
		}
		if disabled == !row.Disabled.IsZero() {
			return errNothing
		}
		if err := tx.SetDisabled(ctx, row.ID, disabled); err != nil {
			return err
		}
		if disabled {
			if err := s.keepWayIn(ctx, tx, op); err != nil {
				return err
			}
		}
		return record(ctx, tx, action, "", kind, name)
	})
}

func (s *Service) remove(ctx context.Context, op, kind, name string) error {
	if err := s.gate.Can(ctx, registry.Admin, ""); err != nil {
		return err
	}
	return s.change(ctx, op, restricting, func(ctx context.Context, tx *meta.Tx) error {
		row, err := principal(ctx, tx, op, kind, name)
		if err != nil {
			return err
		}
		if err := tx.DeletePrincipal(ctx, row.ID); err != nil {
			return err
		}
		if err := s.keepWayIn(ctx, tx, op); err != nil {
			return err
		}
		return record(ctx, tx, kind+".delete", "", kind, name)
	})
}
