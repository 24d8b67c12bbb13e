package meta

import (
	"context"
	"database/sql"
	"time"

	"github.com/packhouse/packhouse/registry"
)

// PurgeRepository removes a deleted repository with all its periods. It
// returns the manifests that nothing may hold any more.
func (t *Tx) PurgeRepository(ctx context.Context, r Repository) (orphans []int64, err error) {
	orphans, err = t.ids(ctx, `SELECT DISTINCT manifest_id FROM memberships WHERE repository_id = ?`, r.ID)
	if err != nil {
		return nil, err
	}
	for _, statement := range []string{
		`DELETE FROM fragments WHERE repository_id = ?`,
		`DELETE FROM states WHERE repository_id = ?`,
		`DELETE FROM release_files WHERE release_id IN (SELECT id FROM releases WHERE repository_id = ?)`,
		`DELETE FROM editions WHERE release_id IN (SELECT id FROM releases WHERE repository_id = ?)`,
		`DELETE FROM releases WHERE repository_id = ?`,
		`DELETE FROM tags WHERE repository_id = ?`,
		`DELETE FROM memberships WHERE repository_id = ?`,
		`DELETE FROM repository_blobs WHERE repository_id = ?`,
		`DELETE FROM repositories WHERE id = ?`,
	} {
		if _, err := t.exec(ctx, statement, r.ID); err != nil {
			return nil, err
		}
	}
	return orphans, nil
}

// RemovePeriods removes up to limit tag periods and memberships that ended
// before the given time, in one repository or, for 0, in all. It returns the
// manifests that nothing may hold any more, and how many rows went.
func (t *Tx) RemovePeriods(ctx context.Context, repository int64, before time.Time, limit int) (orphans []int64, removed int64, err error) {
	const closed = ` WHERE until_gen IS NOT NULL AND until_at < ?1 AND (?2 = 0 OR repository_id = ?2) LIMIT ?3`
	removed, err = t.changed(ctx, `DELETE FROM tags WHERE id IN (SELECT id FROM tags`+closed+`)`, millis(before), repository, limit)
	if err != nil || removed == int64(limit) {
		return nil, removed, err // tags first: a period in the trash keeps its manifest
	}
	gone, err := t.pairs(ctx, `SELECT id, manifest_id FROM memberships`+closed, millis(before), repository, limit)
	if err != nil {
		return nil, 0, err
	}
	for _, m := range gone {
		if _, err := t.exec(ctx, `DELETE FROM memberships WHERE id = ?`, m[0]); err != nil {
			return nil, 0, err
		}
		orphans = append(orphans, m[1])
	}
	return orphans, removed + int64(len(gone)), nil
}

func (q queries) pairs(ctx context.Context, query string, args ...any) ([][2]int64, error) {
	var list [][2]int64
	err := q.all(ctx, query, args, func(rows *sql.Rows) error {
		var p [2]int64
		err := rows.Scan(&p[0], &p[1])
		list = append(list, p)
		return err
	})
	return list, err
}

// OrphanManifests lists up to limit manifests that no period holds, with an id
// above after: a process that was killed between [Tx.RemovePeriods] or
// [Tx.PurgeRepository] and [Tx.RemoveManifest] left them.
func (q queries) OrphanManifests(ctx context.Context, after int64, limit int) ([]int64, error) {
	return q.ids(ctx, `SELECT id FROM manifests m WHERE id > ?
		AND NOT EXISTS (SELECT 1 FROM memberships WHERE manifest_id = m.id) AND NOT EXISTS (SELECT 1 FROM tags WHERE manifest_id = m.id)
		ORDER BY id LIMIT ?`, after, limit)
}

// RemoveManifest drops a manifest that no period holds, and starts the lease
// of the blobs that only it referenced. It reports whether it did.
func (t *Tx) RemoveManifest(ctx context.Context, id int64) (bool, error) {
	var held int
	err := t.one(ctx, `SELECT EXISTS (SELECT 1 FROM memberships WHERE manifest_id = ?1) + EXISTS (SELECT 1 FROM tags WHERE manifest_id = ?1)`, []any{id}, &held)
	if err != nil || held > 0 {
		return false, err
	}
	blobs, err := t.ids(ctx, `SELECT blob_id FROM manifest_blobs WHERE manifest_id = ?`, id)
	if err != nil {
		return false, err
	}
	for _, statement := range []string{
		`DELETE FROM manifest_blobs WHERE manifest_id = ?`,
		`DELETE FROM manifest_children WHERE manifest_id = ?`,
		`DELETE FROM editions WHERE manifest_id = ?`,
		`UPDATE releases SET manifest_id = NULL WHERE manifest_id = ?`,
		`DELETE FROM manifests WHERE id = ?`,
	} {
		if _, err := t.exec(ctx, statement, id); err != nil {
			return false, err
		}
	}
	for _, blob := range blobs {
		if _, err := t.exec(ctx, `UPDATE blobs SET unreferenced_since = ?1 WHERE id = ?2
			AND NOT EXISTS (SELECT 1 FROM manifest_blobs WHERE blob_id = ?2)`, millis(t.now), blob); err != nil {
			return false, err
		}
	}
	return true, nil
}

// Garbage lists up to limit blobs that have been unreferenced since before the
// given time, with an id above after.
func (q queries) Garbage(ctx context.Context, before time.Time, after int64, limit int) ([]Blob, error) {
	var list []Blob
	err := q.all(ctx, `SELECT id, digest, size, unreferenced_since FROM blobs WHERE unreferenced_since < ? AND id > ? ORDER BY id LIMIT ?`,
		[]any{millis(before), after, limit}, func(rows *sql.Rows) error {
			var b Blob
			var since sql.NullInt64
			if err := rows.Scan(&b.ID, &b.Digest, &b.Size, &since); err != nil {
				return err
			}
			b.Unreferenced = fromMillis(since)
			list = append(list, b)
			return nil
		})
	return list, err
}

// MarkDeleting hides a blob that is still unreferenced since before the given
// time, and returns its objects and the repositories that showed it. It
// returns ErrNotFound when the blob was referenced or renewed meanwhile.
func (t *Tx) MarkDeleting(ctx context.Context, blob int64, before time.Time) (objects []Object, shown []registry.Repo, err error) {
	n, err := t.changed(ctx, `UPDATE blobs SET state = 1 WHERE id = ? AND unreferenced_since < ?`, blob, millis(before))
	if err != nil {
		return nil, nil, err
	}
	if n == 0 {
		return nil, nil, ErrNotFound
	}
	if shown, err = strs[registry.Repo](t.queries, ctx, `SELECT r.name FROM repository_blobs rb JOIN repositories r ON r.id = rb.repository_id WHERE rb.blob_id = ?`, blob); err != nil {
		return nil, nil, err
	}
	if _, err := t.exec(ctx, `DELETE FROM repository_blobs WHERE blob_id = ?`, blob); err != nil {
		return nil, nil, err
	}
	objects, err = t.blobObjects(ctx, blob)
	return objects, shown, err
}

// RemoveBlob drops a blob whose objects are gone, unless an upload revived it.
func (t *Tx) RemoveBlob(ctx context.Context, blob int64) error {
	const still = ` AND EXISTS (SELECT 1 FROM blobs WHERE id = ?1 AND state = 1)`
	if _, err := t.exec(ctx, `DELETE FROM objects WHERE blob_id = ?1`+still, blob); err != nil {
		return err
	}
	if _, err := t.exec(ctx, `DELETE FROM file_facts WHERE digest IN (SELECT digest FROM blobs WHERE id = ?1 AND state = 1)`, blob); err != nil {
		return err
	}
	_, err := t.exec(ctx, `DELETE FROM blobs WHERE id = ? AND state = 1`, blob)
	return err
}

// StoredBlob is a blob row as fsck sees it.
type StoredBlob struct {
	Blob
	State BlobState
}

// StoredBlobs lists up to limit blobs of any state by id, after the given one.
func (q queries) StoredBlobs(ctx context.Context, after int64, limit int) ([]StoredBlob, error) {
	var list []StoredBlob
	err := q.all(ctx, `SELECT id, digest, size, state FROM blobs WHERE id > ? ORDER BY id LIMIT ?`, []any{after, limit}, func(rows *sql.Rows) error {
		var b StoredBlob
		err := rows.Scan(&b.ID, &b.Digest, &b.Size, &b.State)
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

// BlobTotals counts the blobs and their bytes.
func (q queries) BlobTotals(ctx context.Context) (count, bytes int64, err error) {
	err = q.one(ctx, `SELECT count(*), coalesce(sum(size), 0) FROM blobs`, nil, &count, &bytes)
	return count, bytes, err
}

// Quarantine hides a blob whose bytes are wrong; its rows and objects stay for
// inspection until a new upload replaces them.
func (t *Tx) Quarantine(ctx context.Context, blob int64) error {
	_, err := t.exec(ctx, `UPDATE blobs SET state = 2 WHERE id = ? AND state = 0`, blob)
	return err
}

// Holder is a manifest that a live repository shows.
type Holder struct {
	Repository registry.Repo
	Manifest   registry.Digest
}

// Holders lists where a blob is referenced from.
func (q queries) Holders(ctx context.Context, blob int64) ([]Holder, error) {
	return q.holders(ctx, `SELECT r.name, p.digest FROM manifest_blobs mb
		JOIN memberships p ON p.manifest_id = mb.manifest_id AND p.until_gen IS NULL
		JOIN repositories r ON r.id = p.repository_id AND r.deleted_at IS NULL
		WHERE mb.blob_id = ? ORDER BY r.name, p.digest`, blob)
}

func (q queries) holders(ctx context.Context, query string, args ...any) ([]Holder, error) {
	var list []Holder
	err := q.all(ctx, query, args, func(rows *sql.Rows) error {
		var h Holder
		err := rows.Scan(&h.Repository, &h.Manifest)
		list = append(list, h)
		return err
	})
	return list, err
}

// StoredManifests lists up to limit manifests by id, after the given one.
func (q queries) StoredManifests(ctx context.Context, after int64, limit int) ([]Manifest, error) {
	var list []Manifest
	err := q.all(ctx, selectManifest+`WHERE m.id > ? ORDER BY m.id LIMIT ?`, []any{after, limit}, func(rows *sql.Rows) error {
		m, err := scanManifest(rows.Scan)
		list = append(list, m)
		return err
	})
	return list, err
}

// ClosedPeriods counts the periods that ended before the given time.
func (q queries) ClosedPeriods(ctx context.Context, before time.Time) (int64, error) {
	var n int64
	err := q.one(ctx, `SELECT (SELECT count(*) FROM tags WHERE until_gen IS NOT NULL AND until_at < ?1)
		+ (SELECT count(*) FROM memberships WHERE until_gen IS NOT NULL AND until_at < ?1)`, []any{millis(before)}, &n)
	return n, err
}
