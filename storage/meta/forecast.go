package meta

import (
	"context"
	"database/sql"
	"time"
)

// IdleTotals counts the sessions untouched since before the given time, and
// what they hold.
func (q queries) IdleTotals(ctx context.Context, before time.Time) (n, bytes int64, err error) {
	err = q.one(ctx, `SELECT count(DISTINCT u.id), coalesce(sum(s.size), 0) FROM uploads u LEFT JOIN upload_segments s ON s.upload_id = u.id
		WHERE u.updated_at < ?`, []any{millis(before)}, &n, &bytes)
	return n, bytes, err
}

// ClosedRepositories counts the repositories that were deleted before the
// given time.
func (q queries) ClosedRepositories(ctx context.Context, before time.Time) (n int64, err error) {
	err = q.one(ctx, `SELECT count(*) FROM repositories WHERE deleted_at IS NOT NULL AND deleted_at < ? AND purged_at IS NULL`, []any{millis(before)}, &n)
	return n, err
}

// ClosedPeriods counts the periods that ended before the given time.
func (q queries) ClosedPeriods(ctx context.Context, before time.Time) (n int64, err error) {
	ms := millis(before)
	err = q.one(ctx, `SELECT (SELECT count(*) FROM tags WHERE until_gen IS NOT NULL AND until_at < ?)
		+ (SELECT count(*) FROM memberships WHERE until_gen IS NOT NULL AND until_at < ?)`, []any{ms, ms}, &n)
	return n, err
}

// GarbageTotals counts the blobs that have been unreferenced since before the
// given time.
func (q queries) GarbageTotals(ctx context.Context, before time.Time) (n, bytes int64, err error) {
	err = q.one(ctx, `SELECT count(*), coalesce(sum(CASE state WHEN 3 THEN 0 ELSE size END), 0) FROM blobs WHERE unreferenced_since < ?`, []any{millis(before)}, &n, &bytes)
	return n, bytes, err
}

// Doomed calls visit for each manifest that no period would hold without those
// that ended before the given time and those of repositories deleted before it.
func (q queries) Doomed(ctx context.Context, before time.Time, visit func(id, bytes int64)) error {
	const alive = ` AND r.purged_at IS NULL AND (r.deleted_at IS NULL OR r.deleted_at >= ?) AND (x.until_at IS NULL OR x.until_at >= ?))`
	ms := millis(before)
	return q.all(ctx, `SELECT m.id, length(m.raw) FROM manifests m WHERE m.id IN (
			SELECT manifest_id FROM loose_manifests
			UNION SELECT manifest_id FROM memberships WHERE until_gen IS NOT NULL AND until_at < ?
			UNION SELECT manifest_id FROM tags WHERE until_gen IS NOT NULL AND until_at < ?
			UNION SELECT p.manifest_id FROM repositories r JOIN memberships p ON p.repository_id = r.id WHERE r.deleted_at IS NOT NULL AND r.deleted_at < ?)
		AND NOT EXISTS (SELECT 1 FROM memberships x JOIN repositories r ON r.id = x.repository_id WHERE x.manifest_id = m.id`+alive+`
		AND NOT EXISTS (SELECT 1 FROM tags x JOIN repositories r ON r.id = x.repository_id WHERE x.manifest_id = m.id`+alive,
		[]any{ms, ms, ms, ms, ms, ms, ms}, func(rows *sql.Rows) error {
			var id, bytes int64
			err := rows.Scan(&id, &bytes)
			visit(id, bytes)
			return err
		})
}

// Uses adds to uses how often each blob is referenced by one of the manifests.
func (q queries) Uses(ctx context.Context, manifests []int64, uses map[int64]int64) error {
	return inBatches(manifests, func(ids []int64) error {
		return q.counts(ctx, `SELECT blob_id, count(*) FROM manifest_blobs WHERE manifest_id IN `+in()+` GROUP BY blob_id`, ids, func(id, n int64) { uses[id] += n })
	})
}

// Released counts those of the blobs that no other manifests reference than
// those that uses counted.
func (q queries) Released(ctx context.Context, uses map[int64]int64) (n, bytes int64, err error) {
	ids := make([]int64, 0, len(uses))
	for id := range uses {
		ids = append(ids, id)
	}
	err = inBatches(ids, func(ids []int64) error {
		var free []int64
		err := q.counts(ctx, `SELECT blob_id, count(*) FROM manifest_blobs WHERE blob_id IN `+in()+` GROUP BY blob_id`, ids, func(id, all int64) {
			if uses[id] == all {
				free = append(free, id)
			}
		})
		if err != nil || len(free) == 0 {
			return err
		}
		return q.all(ctx, `SELECT count(*), coalesce(sum(size), 0) FROM blobs WHERE state <> 3 AND id IN `+in(), idArgs(free), func(rows *sql.Rows) error {
			var some, size int64
			err := rows.Scan(&some, &size)
			n += some
			bytes += size
			return err
		})
	})
	return n, bytes, err
}

// OpenPeriods counts in how many live repositories each manifest is shown.
func (q queries) OpenPeriods(ctx context.Context, manifests []int64) (map[int64]int64, error) {
	open := map[int64]int64{}
	err := inBatches(manifests, func(ids []int64) error {
		return q.counts(ctx, `SELECT manifest_id, count(*) FROM memberships WHERE until_gen IS NULL AND manifest_id IN `+in()+` GROUP BY manifest_id`, ids, func(id, n int64) { open[id] = n })
	})
	return open, err
}

func (q queries) counts(ctx context.Context, query string, ids []int64, visit func(id, n int64)) error {
	return q.all(ctx, query, idArgs(ids), func(rows *sql.Rows) error {
		var id, n int64
		err := rows.Scan(&id, &n)
		visit(id, n)
		return err
	})
}
