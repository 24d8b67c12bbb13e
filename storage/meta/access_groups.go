package meta

import (
	"context"
	"database/sql"
	"slices"
	"time"
)

func (q queries) groups(ctx context.Context, where string, args ...any) ([]Group, error) {
	var list []Group
	err := q.all(ctx, `SELECT id, name, description, created_at FROM groups `+where, args, func(rows *sql.Rows) error {
		var g Group
		var created int64
		err := rows.Scan(&g.ID, &g.Name, &g.Description, &created)
		g.Created = time.UnixMilli(created).UTC()
		list = append(list, g)
		return err
	})
	return list, err
}

// Group finds a group by name.
func (q queries) Group(ctx context.Context, name string) (Group, error) {
	return first(q.groups(ctx, `WHERE name = ?`, name))
}

// GroupByID finds a group by its row.
func (q queries) GroupByID(ctx context.Context, id int64) (Group, error) {
	return first(q.groups(ctx, `WHERE id = ?`, id))
}

// Groups lists up to limit groups by name, after the given one.
func (q queries) Groups(ctx context.Context, after string, limit int) ([]Group, error) {
	return q.groups(ctx, `WHERE name > ? ORDER BY name LIMIT ?`, after, limit)
}

// AddGroup stores a new group and returns its row.
func (t *Tx) AddGroup(ctx context.Context, name, description string) (int64, error) {
	return t.insert(ctx, `INSERT INTO groups (name, description, created_at) VALUES (?, ?, ?)`, name, description, millis(t.now))
}

// SetGroup stores a group's description.
func (t *Tx) SetGroup(ctx context.Context, id int64, description string) error {
	return t.must(ctx, `UPDATE groups SET description = ? WHERE id = ?`, description, id)
}

// DeleteGroup removes a group with its grants.
func (t *Tx) DeleteGroup(ctx context.Context, id int64) error {
	return t.must(ctx, `DELETE FROM groups WHERE id = ?`, id)
}

func (q queries) members(ctx context.Context, where string, args ...any) ([]Member, error) {
	var list []Member
	err := q.all(ctx, `SELECT group_id, principal_id, source FROM group_members `+where, args, func(rows *sql.Rows) error {
		var m Member
		err := rows.Scan(&m.Group, &m.Principal, &m.Source)
		list = append(list, m)
		return err
	})
	return list, err
}

// NamedMember is a membership with the member's name.
type NamedMember struct {
	Kind, Name, Source string
}

// MembersNamed lists who is in a group by kind and name.
func (q queries) MembersNamed(ctx context.Context, group int64) ([]NamedMember, error) {
	var list []NamedMember
	err := q.all(ctx, `SELECT p.kind, p.name, m.source FROM group_members m JOIN principals p ON p.id = m.principal_id
		WHERE m.group_id = ? ORDER BY p.kind, p.name, m.source`, []any{group}, func(rows *sql.Rows) error {
		var m NamedMember
		err := rows.Scan(&m.Kind, &m.Name, &m.Source)
		list = append(list, m)
		return err
	})
	return list, err
}

// Memberships lists the groups that a principal is in.
func (q queries) Memberships(ctx context.Context, principal int64) ([]Member, error) {
	return q.members(ctx, `WHERE principal_id = ? ORDER BY group_id, source`, principal)
}

// AddMember puts a principal into a group; false if it was there already.
func (t *Tx) AddMember(ctx context.Context, m Member) (bool, error) {
	n, err := t.changed(ctx, `INSERT INTO group_members (group_id, principal_id, source) VALUES (?, ?, ?) ON CONFLICT DO NOTHING`, m.Group, m.Principal, m.Source)
	return n > 0, err
}

// RemoveMember takes a principal out of a group, for one source; false if it
// was not there.
func (t *Tx) RemoveMember(ctx context.Context, m Member) (bool, error) {
	n, err := t.changed(ctx, `DELETE FROM group_members WHERE group_id = ? AND principal_id = ? AND source = ?`, m.Group, m.Principal, m.Source)
	return n > 0, err
}

// SetMemberships makes the groups of a principal that a source vouches for
// exactly those named that exist here; false if that changed nothing.
func (t *Tx) SetMemberships(ctx context.Context, principal int64, source string, names []string) (bool, error) {
	have, err := t.Memberships(ctx, principal)
	if err != nil {
		return false, err
	}
	var want []int64
	for _, name := range names {
		id, err := t.ids(ctx, `SELECT id FROM groups WHERE name = ?`, name)
		if err != nil {
			return false, err
		}
		want = append(want, id...)
	}
	changed := false
	for _, m := range have {
		if m.Source == source && !slices.Contains(want, m.Group) {
			if _, err := t.RemoveMember(ctx, m); err != nil {
				return false, err
			}
			changed = true
		}
	}
	for _, id := range want {
		added, err := t.AddMember(ctx, Member{Group: id, Principal: principal, Source: source})
		if err != nil {
			return false, err
		}
		changed = changed || added
	}
	return changed, nil
}
