package auth

import (
	"cmp"
	"context"
	"errors"

	"github.com/packhouse/packhouse/registry"
	"github.com/packhouse/packhouse/storage/meta"
)

// GroupMember is one membership, by name.
type GroupMember struct {
	Subject string // user:NAME or service:NAME
	Source  string // local; oidc, ldap: set anew at each log-in
}

// CreateGroup makes a group. It returns PARAMETER_INVALID, CONFLICT, and what
// the gate says: groups are for who may administer the whole registry.
func (s *Service) CreateGroup(ctx context.Context, name, description string) (meta.Group, error) {
	const op = "auth.CreateGroup"
	if err := s.gate.Can(ctx, registry.Admin, ""); err != nil {
		return meta.Group{}, err
	}
	if err := cmp.Or(checkName(op, kindGroup, name), checkText(op, "description", description)); err != nil {
		return meta.Group{}, err
	}
	var made meta.Group
	err := s.change(ctx, op, durable, func(ctx context.Context, tx *meta.Tx) error {
		switch _, err := tx.Group(ctx, name); {
		case err == nil:
			return registry.E(op, registry.Conflict, nil, "there is a group %q already", name)
		case !errors.Is(err, meta.ErrNotFound):
			return err
		}
		if _, err := tx.AddGroup(ctx, name, description); err != nil {
			return err
		}
		var err error
		if made, err = tx.Group(ctx, name); err != nil {
			return err
		}
		return record(ctx, tx, "group.create", "", kindGroup, name)
	})
	return made, err
}

// Groups lists up to limit groups by name, after the given one.
func (s *Service) Groups(ctx context.Context, after string, limit int) ([]meta.Group, error) {
	if err := s.gate.Can(ctx, registry.Admin, ""); err != nil {
		return nil, err
	}
	list, err := s.meta.Groups(ctx, after, page(limit))
	return list, wrap("auth.Groups", err)
}

// Group describes one group and all its members, by name. It returns
// NAME_UNKNOWN.
func (s *Service) Group(ctx context.Context, name string) (meta.Group, []GroupMember, error) {
	const op = "auth.Group"
	if err := s.gate.Can(ctx, registry.Admin, ""); err != nil {
		return meta.Group{}, nil, err
	}
	g, err := group(ctx, s.meta, op, name)
	if err != nil {
		return g, nil, wrap(op, err)
	}
	rows, err := s.meta.MembersNamed(ctx, g.ID)
	members := make([]GroupMember, len(rows))
	for i, m := range rows {
		members[i] = GroupMember{Subject: m.Kind + ":" + m.Name, Source: m.Source}
	}
	return g, members, wrap(op, err)
}

// DescribeGroup sets a group's description. It returns NAME_UNKNOWN,
// PARAMETER_INVALID.
func (s *Service) DescribeGroup(ctx context.Context, name, description string) error {
	const op = "auth.DescribeGroup"
	if err := s.gate.Can(ctx, registry.Admin, ""); err != nil {
		return err
	}
	if err := checkText(op, "description", description); err != nil {
		return err
	}
	return s.change(ctx, op, durable, func(ctx context.Context, tx *meta.Tx) error {
		g, err := group(ctx, tx, op, name)
		if err != nil {
			return err
		}
		if g.Description == description {
			return errNothing
		}
		if err := tx.SetGroup(ctx, g.ID, description); err != nil {
			return err
		}
		return record(ctx, tx, "group.change", "", kindGroup, name)
	})
}

// DeleteGroup removes a group with its grants. It returns NAME_UNKNOWN,
// CONFLICT if the last administrator is one by it.
func (s *Service) DeleteGroup(ctx context.Context, name string) error {
	const op = "auth.DeleteGroup"
	if err := s.gate.Can(ctx, registry.Admin, ""); err != nil {
		return err
	}
	return s.change(ctx, op, restricting, func(ctx context.Context, tx *meta.Tx) error {
		g, err := group(ctx, tx, op, name)
		if err != nil {
			return err
		}
		if err := tx.DeleteGroup(ctx, g.ID); err != nil {
			return err
		}
		if err := s.keepWayIn(ctx, tx, op); err != nil {
			return err
		}
		return record(ctx, tx, "group.delete", "", kindGroup, name)
	})
}

const removeMember = "group.remove"

// AddMember puts user:NAME or service:NAME into a group. It returns
// NAME_UNKNOWN, PARAMETER_INVALID, CONFLICT if that denies the last
// administrator what makes it one.
func (s *Service) AddMember(ctx context.Context, name, subject string) error {
	return s.member(ctx, "auth.AddMember", name, subject, durable, "group.add", (*meta.Tx).AddMember)
}

// RemoveMember takes user:NAME or service:NAME out of a group, as far as it
// was put there by hand. It returns NAME_UNKNOWN, PARAMETER_INVALID, CONFLICT
// for the last administrator, and for who is there by another source.
func (s *Service) RemoveMember(ctx context.Context, name, subject string) error {
	return s.member(ctx, "auth.RemoveMember", name, subject, restricting, removeMember, (*meta.Tx).RemoveMember)
}

func (s *Service) member(ctx context.Context, op, name, subject string, o meta.Options, action string,
	do func(*meta.Tx, context.Context, meta.Member) (bool, error),
) error {
	if err := s.gate.Can(ctx, registry.Admin, ""); err != nil {
		return err
	}
	kind, who, err := parseSubject(op, subject)
	if err != nil {
		return err
	}
	if kind != meta.KindUser && kind != meta.KindService {
		return registry.E(op, registry.ParameterInvalid, nil, "%q cannot be in a group: only users and service accounts can", subject)
	}
	return s.change(ctx, op, o, func(ctx context.Context, tx *meta.Tx) error {
		g, err := group(ctx, tx, op, name)
		if err != nil {
			return err
		}
		row, err := principal(ctx, tx, op, kind, who)
		if err != nil {
			return err
		}
		changed, err := do(tx, ctx, meta.Member{Group: g.ID, Principal: row.ID, Source: meta.SourceLocal})
		if err != nil {
			return err
		}
		if !changed {
			return elsewhere(ctx, tx, op, action, g, row)
		}
		if err := s.keepWayIn(ctx, tx, op); err != nil {
			return err
		}
		return record(ctx, tx, action, "", kindGroup, name, "member", kind+":"+who)
	})
}

// elsewhere ends a change of a membership that changed nothing: an error if a
// member was to be removed whom another source put there.
func elsewhere(ctx context.Context, tx *meta.Tx, op, action string, g meta.Group, row meta.Principal) error {
	list, err := tx.Memberships(ctx, row.ID)
	if err != nil || action != removeMember {
		return orNothing(err)
	}
	for _, m := range list {
		if m.Group == g.ID {
			return registry.E(op, registry.Conflict, nil, "%s:%s is in the group %s because %s says so at each log-in: change it there", row.Kind, row.Name, g.Name, m.Source)
		}
	}
	return errNothing
}
