package meta

import (
	"context"
	"database/sql"

	"github.com/packhouse/packhouse/registry"
)

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
