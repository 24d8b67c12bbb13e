package meta

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"time"
)

// GrantFilter narrows a listing of grants. Fields that are zero do not.
type GrantFilter struct {
	Namespace int64 // row of the namespace that they are bound to; -1: of the whole registry
	Principal int64
	Group     int64
	Everybody bool  // those to everybody alone
	After     int64 // id of the last grant seen
	Limit     int   // 0 for no limit
}

// Registry as GrantFilter.Namespace asks for what is bound to no namespace.
const Registry = -1

// orNone turns a reference of 0 into NULL.
func orNone(id int64) sql.NullInt64 { return sql.NullInt64{Int64: id, Valid: id != 0} }

func (q queries) grants(ctx context.Context, where string, args ...any) ([]Grant, error) {
	var list []Grant
	err := q.all(ctx, `SELECT g.id, g.namespace_id, n.name, g.principal_id, g.group_id, g.deny, g.role, g.repositories, g.created_at
		FROM grants g LEFT JOIN namespaces n ON n.id = g.namespace_id `+where, args, func(rows *sql.Rows) error {
		var g Grant
		var namespace, principal, group sql.NullInt64
		var name sql.NullString
		var created int64
		err := rows.Scan(&g.ID, &namespace, &name, &principal, &group, &g.Deny, &g.Role, &g.Repositories, &created)
		g.NamespaceID, g.Namespace, g.Principal, g.Group = namespace.Int64, name.String, principal.Int64, group.Int64
		g.Created = time.UnixMilli(created).UTC()
		list = append(list, g)
		return err
	})
	return list, err
}

// Grant finds one grant, unless its namespace is deleted.
func (q queries) Grant(ctx context.Context, id int64) (Grant, error) {
	return first(q.grants(ctx, `WHERE g.id = ? AND n.deleted_at IS NULL`, id))
}

func first[T any](list []T, err error) (T, error) {
	var none T
	switch {
	case err != nil:
		return none, err
	case len(list) == 0:
		return none, ErrNotFound
	}
	return list[0], nil
}

// Grants lists grants by id, none of deleted namespaces.
func (q queries) Grants(ctx context.Context, f GrantFilter) ([]Grant, error) {
	return q.grants(ctx, `WHERE n.deleted_at IS NULL AND g.id > ?1 AND (?2 = 0 OR ?2 = coalesce(g.namespace_id, -1))
		AND (?3 = 0 OR ?3 = g.principal_id) AND (?4 = 0 OR ?4 = g.group_id)
		AND (?5 = 0 OR coalesce(g.principal_id, g.group_id) IS NULL) ORDER BY g.id LIMIT ?6`,
		f.After, f.Namespace, f.Principal, f.Group, f.Everybody, limitOrAll(f.Limit))
}

// limitOrAll turns 0 into no limit.
func limitOrAll(limit int) int {
	if limit <= 0 {
		return math.MaxInt
	}
	return limit
}

// AddGrant stores a grant, unless there is one that says the same; it returns
// the row of either, and whether it is new.
func (t *Tx) AddGrant(ctx context.Context, g Grant) (id int64, added bool, err error) {
	err = t.one(ctx, `SELECT id FROM grants WHERE coalesce(namespace_id, 0) = ? AND coalesce(principal_id, 0) = ? AND coalesce(group_id, 0) = ?
		AND deny = ? AND role = ? AND repositories = ?`, []any{g.NamespaceID, g.Principal, g.Group, g.Deny, g.Role, g.Repositories}, &id)
	if !errors.Is(err, ErrNotFound) {
		return id, false, err
	}
	id, err = t.insert(ctx, `INSERT INTO grants (namespace_id, principal_id, group_id, deny, role, repositories, created_at) VALUES (?, ?, ?, ?, ?, ?, ?)`,
		orNone(g.NamespaceID), orNone(g.Principal), orNone(g.Group), g.Deny, g.Role, g.Repositories, millis(t.now))
	return id, err == nil, err
}

// RemoveGrant removes a grant.
func (t *Tx) RemoveGrant(ctx context.Context, id int64) error {
	return t.must(ctx, `DELETE FROM grants WHERE id = ?`, id)
}

func (q queries) trusts(ctx context.Context, where string, args ...any) ([]Trust, error) {
	var list []Trust
	err := q.all(ctx, `SELECT t.id, t.namespace_id, n.name, t.name, t.issuer, t.audience, t.claims, t.role, t.repositories, t.created_at
		FROM trusts t LEFT JOIN namespaces n ON n.id = t.namespace_id `+where, args, func(rows *sql.Rows) error {
		var t Trust
		var namespace sql.NullInt64
		var name sql.NullString
		var claims []byte
		var created int64
		if err := rows.Scan(&t.ID, &namespace, &name, &t.Name, &t.Issuer, &t.Audience, &claims, &t.Role, &t.Repositories, &created); err != nil {
			return err
		}
		if err := json.Unmarshal(claims, &t.Claims); err != nil {
			return fmt.Errorf("claims of trust rule %s: %w", t.Name, err)
		}
		t.NamespaceID, t.Namespace, t.Created = namespace.Int64, name.String, time.UnixMilli(created).UTC()
		list = append(list, t)
		return nil
	})
	return list, err
}

// Trust finds a trust rule by name, one of a deleted namespace, too: until
// that is used again it keeps its name.
func (q queries) Trust(ctx context.Context, name string) (Trust, error) {
	return first(q.trusts(ctx, `WHERE t.name = ?`, name))
}

// TrustByID finds a trust rule by its row, unless its namespace is deleted.
func (q queries) TrustByID(ctx context.Context, id int64) (Trust, error) {
	return first(q.trusts(ctx, `WHERE t.id = ? AND n.deleted_at IS NULL`, id))
}

// Trusts lists up to limit trust rules by name, after the given one: of one
// namespace, of the whole registry ([Registry]), or, for 0, all. It lists none
// of deleted namespaces.
func (q queries) Trusts(ctx context.Context, namespace int64, after string, limit int) ([]Trust, error) {
	return q.trusts(ctx, `WHERE n.deleted_at IS NULL AND t.name > ?1 AND (?2 = 0 OR ?2 = coalesce(t.namespace_id, -1)) ORDER BY t.name LIMIT ?3`,
		after, namespace, limitOrAll(limit))
}

// AddTrust stores a new trust rule and returns its row.
func (t *Tx) AddTrust(ctx context.Context, r Trust) (int64, error) {
	claims, err := json.Marshal(r.Claims)
	if err != nil {
		return 0, err
	}
	return t.insert(ctx, `INSERT INTO trusts (namespace_id, name, issuer, audience, claims, role, repositories, created_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?)`,
		orNone(r.NamespaceID), r.Name, r.Issuer, r.Audience, string(claims), r.Role, r.Repositories, millis(t.now))
}

// RemoveTrust removes a trust rule with the tokens that were had for it.
func (t *Tx) RemoveTrust(ctx context.Context, id int64) error {
	return t.must(ctx, `DELETE FROM trusts WHERE id = ?`, id)
}
