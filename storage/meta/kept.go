package meta

import (
	"context"
	"database/sql"
	"time"
)

// KeptBlobs lists, by id after the given one, up to limit live blobs that no
// collection may take yet: not those unreferenced since before the given time.
func (q queries) KeptBlobs(ctx context.Context, before time.Time, after int64, limit int) ([]Blob, error) {
	var list []Blob
	err := q.all(ctx, `SELECT id, digest, size, unreferenced_since FROM blobs
		WHERE id > ? AND state = 0 AND (unreferenced_since IS NULL OR unreferenced_since >= ?) ORDER BY id LIMIT ?`,
		[]any{after, millis(before), limit}, func(rows *sql.Rows) error {
			var b Blob
			var since sql.NullInt64
			err := rows.Scan(&b.ID, &b.Digest, &b.Size, &since)
			b.Unreferenced = fromMillis(since)
			list = append(list, b)
			return err
		})
	if err != nil {
		return nil, err
	}
	for i := range list {
		if list[i].Objects, err = q.blobObjects(ctx, list[i].ID); err != nil {
			return nil, err
		}
	}
	return list, nil
}

// OpenSegments lists, by key after the given one, up to limit objects that open
// upload sessions hold.
func (q queries) OpenSegments(ctx context.Context, after string, limit int) ([]Object, error) {
	return q.objects(ctx, `SELECT key, size FROM upload_segments WHERE key > ? ORDER BY key LIMIT ?`, after, limit)
}
