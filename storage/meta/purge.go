package meta

import (
	"context"
	"time"

	"github.com/packhouse/packhouse/registry"
)

// PurgeDeleted ends the trash of up to CollectBatch repositories that were
// deleted before the given time: they cannot be restored from then on, and
// [Tx.PurgeRows] removes them. It returns how many.
func (t *Tx) PurgeDeleted(ctx context.Context, before time.Time) (int64, error) {
	return t.changed(ctx, `UPDATE repositories SET purged_at = ? WHERE id IN (SELECT id FROM repositories
		WHERE deleted_at IS NOT NULL AND deleted_at < ? AND purged_at IS NULL ORDER BY deleted_at LIMIT ?)`, millis(t.now), millis(before), CollectBatch)
}

// PurgeNamed is PurgeDeleted for all deleted repositories of one name.
func (t *Tx) PurgeNamed(ctx context.Context, name registry.Repo) (int64, error) {
	return t.changed(ctx, `UPDATE repositories SET purged_at = ? WHERE name = ? AND deleted_at IS NOT NULL AND purged_at IS NULL`, millis(t.now), string(name))
}

// PurgedRepositories lists up to CollectBatch repositories whose rows are being
// removed, after the given one.
func (q queries) PurgedRepositories(ctx context.Context, after int64) ([]int64, error) {
	return q.ids(ctx, `SELECT id FROM repositories WHERE purged_at IS NOT NULL AND id > ? ORDER BY id LIMIT ?`, after, CollectBatch)
}

// PurgeRows removes up to CollectBatch rows of a purged repository, at last
// the repository, and tells whether nothing is left.
func (t *Tx) PurgeRows(ctx context.Context, repository int64) (done bool, err error) {
	var total int64
	for _, statement := range []string{
		`DELETE FROM fragments WHERE id IN (SELECT id FROM fragments WHERE repository_id = ? LIMIT ?)`,
		`DELETE FROM states WHERE (repository_id, tag, key) IN (SELECT repository_id, tag, key FROM states WHERE repository_id = ? LIMIT ?)`,
		`DELETE FROM release_files WHERE (release_id, name) IN (SELECT f.release_id, f.name FROM releases l JOIN release_files f ON f.release_id = l.id WHERE l.repository_id = ? LIMIT ?)`,
		`DELETE FROM editions WHERE (release_id, manifest_id) IN (SELECT e.release_id, e.manifest_id FROM releases l JOIN editions e ON e.release_id = l.id WHERE l.repository_id = ? LIMIT ?)`,
		`DELETE FROM releases WHERE id IN (SELECT id FROM releases WHERE repository_id = ? LIMIT ?)`,
		`DELETE FROM tags WHERE id IN (SELECT id FROM tags WHERE repository_id = ? LIMIT ?)`,
		`DELETE FROM memberships WHERE id IN (SELECT id FROM memberships WHERE repository_id = ? LIMIT ?)`,
		`DELETE FROM repository_blobs WHERE (repository_id, blob_id) IN (SELECT repository_id, blob_id FROM repository_blobs WHERE repository_id = ? LIMIT ?)`,
	} {
		n, err := t.changed(ctx, statement, repository, CollectBatch-total)
		if err != nil {
			return false, err
		}
		if total += n; total == CollectBatch {
			return false, nil
		}
	}
	_, err = t.exec(ctx, `DELETE FROM repositories WHERE id = ? AND purged_at IS NOT NULL`, repository)
	return err == nil, err
}
