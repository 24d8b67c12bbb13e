package meta

import (
	"context"
	"database/sql"
	"strings"
	"time"

	"github.com/packhouse/packhouse/registry"
)

// AuditOrder is how records are listed.
type AuditOrder int

// The orders. A clock that was set back makes the first differ from the last.
const (
	AuditOldest    AuditOrder = iota // by time
	AuditNewest                      // by time, backwards
	AuditCommitted                   // by id: what is committed later comes later
)

// AuditFilter selects records. Zero fields select nothing in particular.
type AuditFilter struct {
	Principal string
	Repo      registry.Repo
	Below     registry.Repo // this name and all below it
	Namespace string
	Action    string    // "manifest.put", or "manifest" for every verb of it
	Since     time.Time // inclusive
	Until     time.Time // exclusive
	After     int64     // id of the record that the page before ended with
	Limit     int       // required
	Order     AuditOrder
}

const selectAudit = `SELECT id, chain, seq, at, action, principal, token, subject, address, client, route, request_id,
	repository_id, repository, namespace, tag, digest, digest_before, detail, hash FROM audit `

func scanAudit(scan func(...any) error) (AuditRow, error) {
	var r AuditRow
	var at int64
	err := scan(&r.ID, &r.Chain, &r.Seq, &at, &r.Action, &r.Principal, &r.Token, &r.Subject, &r.Address, &r.Client, &r.Route, &r.RequestID,
		&r.RepoID, &r.Repo, &r.Namespace, &r.Tag, &r.Digest, &r.Before, &r.Detail, &r.Hash)
	r.At = time.UnixMilli(at).UTC()
	return r, err
}

// Audit lists records. It returns ErrNotFound when f.After is a record that is
// not there (any more) and the order is by time; ErrUnreadable.
func (q queries) Audit(ctx context.Context, f AuditFilter) ([]AuditRow, error) {
	query, args, err := q.auditQuery(ctx, f)
	if err != nil {
		return nil, err
	}
	var list []AuditRow
	err = q.all(ctx, query, args, func(rows *sql.Rows) error {
		r, err := scanAudit(rows.Scan)
		list = append(list, r)
		return unreadable(ctx, err)
	})
	return list, err
}

func (q queries) auditQuery(ctx context.Context, f AuditFilter) (string, []any, error) {
	where, args := []string{"1 = 1"}, []any{}
	add := func(condition string, values ...any) {
		where, args = append(where, condition), append(args, values...)
	}
	if f.Principal != "" {
		add(`principal = ?`, f.Principal)
	}
	// Naming the index's own condition lets it be used.
	if f.Repo != "" {
		add(`repository <> '' AND repository = ?`, string(f.Repo))
	}
	if f.Below != "" {
		add(`repository <> '' AND (repository = ? OR repository > ? AND repository < ?)`, string(f.Below), string(f.Below)+"/", string(f.Below)+"0") // '0' follows '/'
	}
	if f.Namespace != "" {
		add(`namespace = ?`, f.Namespace)
	}
	switch {
	case f.Action == "":
	case strings.Contains(f.Action, "."):
		add(`action = ?`, f.Action)
	default:
		add(`action > ? AND action < ?`, f.Action+".", f.Action+"/") // '/' follows '.'
	}
	if !f.Since.IsZero() {
		add(`at >= ?`, millis(f.Since))
	}
	if !f.Until.IsZero() {
		add(`at < ?`, millis(f.Until))
	}
	order := map[AuditOrder]string{AuditOldest: "at, id", AuditNewest: "at DESC, id DESC", AuditCommitted: "id"}[f.Order]
	switch {
	case f.Order == AuditCommitted:
		add(`id > ?`, f.After)
	case f.After != 0:
		var at int64
		if err := q.one(ctx, `SELECT at FROM audit WHERE id = ?`, []any{f.After}, &at); err != nil {
			return "", nil, err
		}
		add(`(at, id) `+map[bool]string{false: ">", true: "<"}[f.Order == AuditNewest]+` (?, ?)`, at, f.After)
	}
	return selectAudit + `WHERE ` + strings.Join(where, " AND ") + ` ORDER BY ` + order + ` LIMIT ?`, append(args, f.Limit), nil
}

// FirstAudit is the least id of a record since the given time, ErrNotFound if
// there is none.
func (q queries) FirstAudit(ctx context.Context, since time.Time) (int64, error) {
	var id sql.NullInt64
	err := q.one(ctx, `SELECT min(id) FROM audit WHERE at >= ?`, []any{millis(since)}, &id)
	if err == nil && !id.Valid {
		err = ErrNotFound
	}
	return id.Int64, err
}
