package meta

import (
	"context"
	"database/sql"

	"github.com/packhouse/packhouse/registry"
)

// Dangling is a reference of a manifest that a live repository shows to
// something that is not there for it.
type Dangling struct {
	Holder
	Missing registry.Digest
}

// MissingBlobs lists up to limit references to blobs that are not there for
// the repository that shows the manifest. With sparse, content that never came
// is none of them.
func (q queries) MissingBlobs(ctx context.Context, sparse bool, limit int) ([]Dangling, error) {
	return q.dangling(ctx, `SELECT r.name, p.digest, b.digest FROM memberships p
		JOIN repositories r ON r.id = p.repository_id AND r.deleted_at IS NULL
		JOIN manifest_blobs mb ON mb.manifest_id = p.manifest_id
		JOIN blobs b ON b.id = mb.blob_id
		LEFT JOIN repository_blobs rb ON rb.blob_id = mb.blob_id AND rb.repository_id = p.repository_id
		WHERE p.until_gen IS NULL AND (b.state IN (1, 2) OR ?1 = 0 AND (b.state = 3 OR rb.blob_id IS NULL))
		ORDER BY 1, 2, 3 LIMIT ?2`, sparse, limit)
}

// MissingChildren lists up to limit references of indexes to manifests that
// are not in the same repository.
func (q queries) MissingChildren(ctx context.Context, limit int) ([]Dangling, error) {
	return q.dangling(ctx, `SELECT r.name, p.digest, c.digest FROM memberships p
		JOIN repositories r ON r.id = p.repository_id AND r.deleted_at IS NULL
		JOIN manifest_children c ON c.manifest_id = p.manifest_id
		LEFT JOIN memberships o ON o.repository_id = p.repository_id AND o.digest = c.digest AND o.until_gen IS NULL
		WHERE p.until_gen IS NULL AND o.id IS NULL ORDER BY 1, 2, 3 LIMIT ?`, limit)
}

func (q queries) dangling(ctx context.Context, query string, args ...any) ([]Dangling, error) {
	var list []Dangling
	err := q.all(ctx, query, args, func(rows *sql.Rows) error {
		var d Dangling
		err := rows.Scan(&d.Repository, &d.Manifest, &d.Missing)
		list = append(list, d)
		return err
	})
	return list, err
}

// References lists the digests that the rows of manifest id refer to, blobs
// and children, in no order.
func (q queries) References(ctx context.Context, id int64) ([]registry.Digest, error) {
	return strs[registry.Digest](q, ctx, `SELECT b.digest FROM manifest_blobs mb JOIN blobs b ON b.id = mb.blob_id WHERE mb.manifest_id = ?1
		UNION SELECT digest FROM manifest_children WHERE manifest_id = ?1`, id)
}

// ManifestHolders lists the live repositories that show manifest id.
func (q queries) ManifestHolders(ctx context.Context, id int64) ([]Holder, error) {
	return q.holders(ctx, `SELECT r.name, p.digest FROM memberships p
		JOIN repositories r ON r.id = p.repository_id AND r.deleted_at IS NULL
		WHERE p.manifest_id = ? AND p.until_gen IS NULL ORDER BY r.name`, id)
}

// Vindicate shows a quarantined blob again: its bytes were found right.
func (t *Tx) Vindicate(ctx context.Context, blob int64) error {
	_, err := t.exec(ctx, `UPDATE blobs SET state = 0 WHERE id = ? AND state = 2`, blob)
	return err
}
