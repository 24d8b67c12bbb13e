package meta

import (
	"context"
	"database/sql"
	"fmt"
	"time"
)

// AccessGeneration counts the changes that gave a right or took one away.
func (q queries) AccessGeneration(ctx context.Context) (int64, error) {
	var n int64
	err := q.one(ctx, `SELECT generation FROM access`, nil, &n)
	return n, err
}

// TouchAccess counts one such change. Every node then reads the rows anew. It
// is the last statement of a change, since it is the row that writers meet on.
func (t *Tx) TouchAccess(ctx context.Context) error {
	if _, err := t.exec(ctx, `UPDATE access SET generation = generation + 1`); err != nil {
		return err
	}
	return t.TouchStripes(ctx, AccessStripe)
}

// Bootstrap notes that the first administrator was made, once and for all: it
// returns false if that was noted before.
func (t *Tx) Bootstrap(ctx context.Context) (bool, error) {
	n, err := t.changed(ctx, `UPDATE access SET bootstrapped_at = ? WHERE bootstrapped_at IS NULL`, millis(t.now))
	return n == 1, err
}

// Bootstrapped is when the first administrator was made; zero for not yet.
func (q queries) Bootstrapped(ctx context.Context) (time.Time, error) {
	var at sql.NullInt64
	err := q.one(ctx, `SELECT bootstrapped_at FROM access`, nil, &at)
	return fromMillis(at), err
}

// AccessRows reads everything that decides about access as of one moment.
func (s *Store) AccessRows(ctx context.Context) (rows AccessRows, err error) {
	err = s.snapshot(ctx, func(q queries) error {
		rows, err = q.accessRows(ctx)
		return err
	})
	return rows, err
}

// AccessRows reads what decides about access after the changes of t.
func (t *Tx) AccessRows(ctx context.Context) (AccessRows, error) { return t.accessRows(ctx) }

func (q queries) accessRows(ctx context.Context) (AccessRows, error) {
	var r AccessRows
	var err error
	if r.Generation, err = q.AccessGeneration(ctx); err != nil {
		return r, fmt.Errorf("read the access generation: %w", err)
	}
	if r.Principals, err = q.principals(ctx, `ORDER BY id`); err != nil {
		return r, fmt.Errorf("read principals: %w", err)
	}
	for i := range r.Principals {
		r.Principals[i].Password = ""
	}
	if r.Groups, err = q.groups(ctx, `ORDER BY id`); err != nil {
		return r, fmt.Errorf("read groups: %w", err)
	}
	if r.Members, err = q.members(ctx, `ORDER BY group_id, principal_id, source`); err != nil {
		return r, fmt.Errorf("read members of groups: %w", err)
	}
	if r.Grants, err = q.grants(ctx, `WHERE n.deleted_at IS NULL ORDER BY g.id`); err != nil {
		return r, fmt.Errorf("read grants: %w", err)
	}
	if r.Trusts, err = q.trusts(ctx, `WHERE n.deleted_at IS NULL ORDER BY t.id`); err != nil {
		return r, fmt.Errorf("read trust rules: %w", err)
	}
	if r.Visible, err = q.visible(ctx); err != nil {
		return r, fmt.Errorf("read visibility: %w", err)
	}
	if err = q.one(ctx, `SELECT count(*) FROM tokens`, nil, &r.Tokens); err != nil {
		return r, fmt.Errorf("count tokens: %w", err)
	}
	return r, nil
}

// visible lists what says for itself who sees it: live repositories, and live
// namespaces with their feeds.
func (q queries) visible(ctx context.Context) ([]Visible, error) {
	var list []Visible
	err := q.all(ctx, `SELECT name, 0, visibility FROM namespaces WHERE visibility != '' AND deleted_at IS NULL
		UNION ALL SELECT n.name || '/' || f.format, 0, f.visibility
			FROM feeds f JOIN namespaces n ON n.id = f.namespace_id WHERE f.visibility != '' AND n.deleted_at IS NULL
		UNION ALL SELECT name, 1, visibility FROM repositories WHERE visibility != '' AND deleted_at IS NULL
		ORDER BY 1, 2`, nil, func(rows *sql.Rows) error {
		var v Visible
		var visibility string
		err := rows.Scan(&v.Name, &v.Exact, &visibility)
		v.Public = visibility == Public
		list = append(list, v)
		return err
	})
	return list, err
}
