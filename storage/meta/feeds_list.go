package meta

import (
	"context"
	"database/sql"
	"time"

	"github.com/packhouse/packhouse/registry"
)

// FeedRow is one feed with what administrators see of it.
type FeedRow struct {
	registry.Feed
	Visibility string // public, private; "" for as its namespace
	Packages   int    // live ones that have a release
	Created    time.Time
}

const selectFeed = `SELECT f.id, n.name, f.format, f.visibility, f.created_at, (
		SELECT count(*) FROM repositories r WHERE r.feed_id = f.id AND ` + livePackage + `)
	FROM feeds f JOIN namespaces n ON n.id = f.namespace_id WHERE n.deleted_at IS NULL `

func (q queries) feedRows(ctx context.Context, where string, args ...any) ([]FeedRow, error) {
	var list []FeedRow
	err := q.all(ctx, selectFeed+where, args, func(rows *sql.Rows) error {
		var f FeedRow
		var created int64
		err := rows.Scan(&f.ID, &f.Namespace, &f.Format, &f.Visibility, &created, &f.Packages)
		f.Created = time.UnixMilli(created).UTC()
		list = append(list, f)
		return err
	})
	return list, err
}

// FeedRows lists the feeds of live namespaces by name.
func (q queries) FeedRows(ctx context.Context) ([]FeedRow, error) {
	return q.feedRows(ctx, `ORDER BY n.name || '/' || f.format`)
}

// FeedRow finds one feed of a live namespace. It returns ErrNotFound.
func (q queries) FeedRow(ctx context.Context, namespace, format string) (FeedRow, error) {
	return first(q.feedRows(ctx, `AND n.name = ? AND f.format = ?`, namespace, format))
}

// InFeed finds a repository of a feed, one in the trash, too. It returns
// ErrNotFound.
func (q queries) InFeed(ctx context.Context, feed int64) (Repository, error) {
	return scanRepository(func(dest ...any) error {
		return q.one(ctx, selectRepository+`WHERE r.feed_id = ? ORDER BY r.deleted_at IS NOT NULL LIMIT 1`, []any{feed}, dest...)
	})
}

// RestoreNamespace takes a namespace out of the trash, with what was granted in
// it. It returns ErrNotFound.
func (t *Tx) RestoreNamespace(ctx context.Context, name string) error {
	if err := t.must(ctx, `UPDATE namespaces SET deleted_at = NULL WHERE name = ? AND deleted_at IS NOT NULL`, name); err != nil {
		return err
	}
	return t.TouchAccess(ctx)
}

// DeleteFeed removes a feed that no repository is in.
func (t *Tx) DeleteFeed(ctx context.Context, feed int64) error {
	return t.must(ctx, `DELETE FROM feeds WHERE id = ?`, feed)
}
