package auth

import (
	"cmp"
	"context"
	"errors"
	"strconv"
	"time"

	"github.com/packhouse/packhouse/registry"
	"github.com/packhouse/packhouse/storage/meta"
)

// Grant gives somebody a role, or denies it, over the names of a pattern.
type Grant struct {
	ID           int64
	Subject      string // user:NAME, service:NAME, group:NAME, or anonymous: everybody
	Deny         bool
	Role         string // a role, or verbs, comma-separated
	Repositories string // glob
	Namespace    string // which it dies with; [Root] for the root, "" for the whole registry
	Created      time.Time
}

// GrantFilter narrows a listing. Its zero value lists all that the caller may
// see.
type GrantFilter struct {
	Namespace string // [Root] for the root
	Subject   string
	After     int64
	Limit     int
}

// AddGrant grants or denies. "" for its repositories is all of its namespace.
// What is granted already is no error and keeps its id. It returns
// PARAMETER_INVALID, NAME_UNKNOWN, CONFLICT if it denies the last
// administrator, and what the gate says: it takes the role admin on all of the
// namespace.
func (s *Service) AddGrant(ctx context.Context, g Grant) (Grant, error) {
	const op = "auth.AddGrant"
	if err := s.administer(ctx, op, g.Namespace); err != nil {
		return Grant{}, err
	}
	kind, name, err := parseSubject(op, g.Subject)
	if err != nil {
		return Grant{}, err
	}
	if kind == Workload.String() {
		return Grant{}, registry.E(op, registry.ParameterInvalid, nil, "%q takes no grants: its trust rule says what it may do", g.Subject)
	}
	if g.Role, g.Repositories, err = bounded(op, g.Role, g.Repositories, g.Namespace); err != nil {
		return Grant{}, err
	}
	var made Grant
	err = s.change(ctx, op, durable, func(ctx context.Context, tx *meta.Tx) error {
		n, err := namespaceOrRoot(ctx, tx, op, g.Namespace)
		if err != nil {
			return err
		}
		row := meta.Grant{NamespaceID: n.ID, Deny: g.Deny, Role: g.Role, Repositories: g.Repositories}
		if row.Principal, row.Group, err = subjectRows(ctx, tx, op, kind, name); err != nil {
			return err
		}
		id, added, err := tx.AddGrant(ctx, row)
		if err != nil {
			return err
		}
		if row, err = tx.Grant(ctx, id); err != nil {
			return err
		}
		if made, err = s.shownGrant(ctx, tx, row); err != nil {
			return err
		}
		if !added {
			return errNothing
		}
		if g.Deny {
			if err := s.keepWayIn(ctx, tx, op); err != nil {
				return err
			}
		}
		return recordGrant(ctx, tx, "grant.add", n.Name, made)
	})
	return made, err
}

func recordGrant(ctx context.Context, tx *meta.Tx, action, namespace string, g Grant) error {
	effect := "allow"
	if g.Deny {
		effect = "deny"
	}
	return record(ctx, tx, action, namespace,
		"grant", strconv.FormatInt(g.ID, 10), "subject", g.Subject, "effect", effect, "role", g.Role, "repositories", g.Repositories)
}

// bounded reads a role and a glob that lies inside a namespace, and writes
// them as they are stored.
func bounded(op, role, glob, namespace string) (string, string, error) {
	verbs, err := ParseRole(role)
	if err != nil {
		return "", "", err
	}
	widest := "**"
	switch namespace {
	case "":
	case Root:
		widest = namespaceGlob("")
	default:
		if _, err := registry.ParseRepo(namespace); err != nil {
			return "", "", err
		}
		widest = namespaceGlob(namespace)
	}
	inner, err := CompileGlob(cmp.Or(glob, widest))
	if err != nil {
		return "", "", err
	}
	outer, err := CompileGlob(widest)
	if err != nil {
		return "", "", err
	}
	if !outer.Includes(inner) {
		return "", "", registry.E(op, registry.ParameterInvalid, nil, "%s reaches out of the namespace %s: what is bound to that lies inside %s", inner, namespace, widest)
	}
	return verbs.String(), inner.String(), nil
}

// subjectRows finds whom a grant is to: both 0 for everybody.
func subjectRows(ctx context.Context, in lookups, op, kind, name string) (principalID, groupID int64, err error) {
	switch kind {
	case meta.KindUser, meta.KindService:
		row, err := principal(ctx, in, op, kind, name)
		return row.ID, 0, err
	case kindGroup:
		row, err := group(ctx, in, op, name)
		return 0, row.ID, err
	case Anonymous.String():
		return 0, 0, nil
	}
	return 0, 0, registry.E(op, registry.ParameterInvalid, nil, "%s:%s takes no grants", kind, name)
}

// naming is what names the rows that grants point to.
type naming interface {
	PrincipalByID(ctx context.Context, id int64) (meta.Principal, error)
	GroupByID(ctx context.Context, id int64) (meta.Group, error)
}

func (s *Service) shownGrant(ctx context.Context, in naming, row meta.Grant) (Grant, error) {
	g := Grant{
		ID: row.ID, Subject: Anonymous.String(), Deny: row.Deny, Role: row.Role, Repositories: row.Repositories,
		Namespace: namespaceText(row.NamespaceID, row.Namespace), Created: row.Created,
	}
	switch {
	case row.Principal != 0:
		p, err := in.PrincipalByID(ctx, row.Principal)
		g.Subject = p.Kind + ":" + p.Name
		return g, err
	case row.Group != 0:
		p, err := in.GroupByID(ctx, row.Group)
		g.Subject = kindGroup + ":" + p.Name
		return g, err
	}
	return g, nil
}

// Grants lists up to filter.Limit grants by id, of the namespaces that the
// caller may administer. It returns PARAMETER_INVALID, NAME_UNKNOWN, and what
// the gate says of the namespace that the filter names.
func (s *Service) Grants(ctx context.Context, filter GrantFilter) ([]Grant, error) {
	const op = "auth.Grants"
	f, err := s.grantFilter(ctx, op, filter)
	if err != nil {
		return nil, wrap(op, err)
	}
	sees, err := s.seesNamespaces(ctx, op, filter.Namespace)
	if err != nil {
		return nil, err
	}
	var list []Grant
	for most := page(filter.Limit); len(list) < most; {
		rows, err := s.meta.Grants(ctx, f)
		if err != nil {
			return nil, wrap(op, err)
		}
		for _, row := range rows {
			f.After = row.ID
			if len(list) == most || !sees(namespaceText(row.NamespaceID, row.Namespace)) {
				continue
			}
			g, err := s.shownGrant(ctx, s.meta, row)
			switch {
			case errors.Is(err, meta.ErrNotFound): // removed meanwhile, and its grants with it
			case err != nil:
				return nil, wrap(op, err)
			default:
				list = append(list, g)
			}
		}
		if len(rows) < f.Limit {
			break
		}
	}
	return list, nil
}

func (s *Service) grantFilter(ctx context.Context, op string, filter GrantFilter) (meta.GrantFilter, error) {
	f := meta.GrantFilter{After: filter.After, Limit: page(filter.Limit)}
	if filter.Namespace != "" {
		if err := s.administer(ctx, op, filter.Namespace); err != nil {
			return f, err
		}
		n, err := namespace(ctx, s.meta, op, filter.Namespace)
		if err != nil {
			return f, err
		}
		f.Namespace = n.ID
	}
	if filter.Subject == "" {
		return f, nil
	}
	kind, name, err := parseSubject(op, filter.Subject)
	if err != nil {
		return f, err
	}
	f.Everybody = kind == Anonymous.String()
	f.Principal, f.Group, err = subjectRows(ctx, s.meta, op, kind, name)
	return f, err
}

// seesNamespaces tells which namespaces' grants and trust rules the caller may
// see. Who may administer none is refused.
func (s *Service) seesNamespaces(ctx context.Context, op, named string) (func(text string) bool, error) {
	if named != "" || s.administers(ctx) {
		return func(string) bool { return true }, nil
	}
	if err := s.gate.Some(ctx, registry.Admin, ""); err != nil {
		return nil, err
	}
	known := map[string]bool{}
	return func(text string) bool {
		sees, ok := known[text]
		if !ok {
			sees = text != "" && text != Root && s.administer(asking(ctx), op, text) == nil
			known[text] = sees
		}
		return sees
	}, nil
}

// RemoveGrant removes a grant. It returns NAME_UNKNOWN, CONFLICT for the last
// administrator's, and what the gate says of its namespace.
func (s *Service) RemoveGrant(ctx context.Context, id int64) error {
	const op = "auth.RemoveGrant"
	row, err := s.meta.Grant(ctx, id)
	if errors.Is(err, meta.ErrNotFound) {
		return s.unknown(ctx, op, "grant %d", id)
	}
	if err != nil {
		return wrap(op, err)
	}
	if err := s.administerRow(ctx, op, namespaceText(row.NamespaceID, row.Namespace), "grant %d", id); err != nil {
		return err
	}
	return s.change(ctx, op, restricting, func(ctx context.Context, tx *meta.Tx) error {
		now, err := tx.Grant(ctx, id)
		if errors.Is(err, meta.ErrNotFound) || err == nil && now != row { // ids are used again
			return registry.E(op, registry.NameUnknown, nil, "there is no grant %d", id)
		}
		if err != nil {
			return err
		}
		shown, err := s.shownGrant(ctx, tx, row)
		if err != nil {
			return err
		}
		if err := tx.RemoveGrant(ctx, id); err != nil {
			return err
		}
		if !row.Deny {
			if err := s.keepWayIn(ctx, tx, op); err != nil {
				return err
			}
		}
		return recordGrant(ctx, tx, "grant.remove", row.Namespace, shown)
	})
}

// administerRow asks as administer does about what is bound to a namespace.
// Whoever may not is told the same as if it were not there.
func (s *Service) administerRow(ctx context.Context, op, text, format string, a ...any) error {
	if s.administer(asking(ctx), op, text) == nil {
		return nil
	}
	return s.unknown(ctx, op, format, a...)
}

// unknown is what is said of a row that is not there, or not for the caller:
// that it is not there to who may administer something, else what the gate
// says.
func (s *Service) unknown(ctx context.Context, op, format string, a ...any) error {
	if err := s.gate.Some(ctx, registry.Admin, ""); err != nil {
		return err
	}
	return registry.E(op, registry.NameUnknown, nil, "there is no "+format, a...)
}
