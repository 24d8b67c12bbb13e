package meta

import (
	"context"
	"database/sql"
	"errors"
	"strings"
	"time"

	"github.com/packhouse/packhouse/registry"
)

// BlobState is what a blob row stands for.
type BlobState int

// The states of a blob.
const (
	Live        BlobState = iota
	Deleting              // the collector is removing its objects; a new upload revives it
	Quarantined           // fsck found other bytes; a new upload repairs it
	Absent                // only named by a sparse manifest; an upload fills it
)

// Object is one stored piece of a blob.
type Object struct {
	Key  string
	Size int64
	// Content is all of a small blob that lies in the database: nothing is in
	// the storage under Key then.
	Content []byte
	// Saved says that an upload session holds it until it becomes a blob's.
	Saved bool
}

// Inline is the object of a small blob that is to lie in the database, where
// it costs no write of its own and no fsync but the commit's.
func Inline(d registry.Digest, content []byte) Object {
	return Object{Key: inlinePrefix + d.String(), Size: int64(len(content)), Content: content}
}

const inlinePrefix = "="

// IsInline tells whether nothing is in the storage under key.
func IsInline(key string) bool { return strings.HasPrefix(key, inlinePrefix) }

// Blob is one blob and where its bytes are, in order.
type Blob struct {
	ID           int64
	Digest       registry.Digest
	Size         int64
	Objects      []Object
	Unreferenced time.Time // zero while a manifest references it
}

const selectBlob = `SELECT b.id, b.digest, b.size, b.unreferenced_since, o.key, o.size, o.content FROM blobs b `

// Blob finds a live blob that repository shows.
func (q queries) Blob(ctx context.Context, repository registry.Repo, d registry.Digest) (Blob, error) {
	return q.blob(ctx, selectBlob+`
		JOIN repository_blobs rb ON rb.blob_id = b.id
		JOIN repositories r ON r.id = rb.repository_id
		JOIN objects o ON o.blob_id = b.id
		WHERE r.name = ? AND r.deleted_at IS NULL AND b.digest = ? AND b.state = 0 ORDER BY o.position`, string(repository), d.String())
}

func (q queries) blob(ctx context.Context, query string, args ...any) (Blob, error) {
	var b Blob
	err := q.all(ctx, query, args, func(rows *sql.Rows) error {
		var o Object
		var since sql.NullInt64
		if err := rows.Scan(&b.ID, &b.Digest, &b.Size, &since, &o.Key, &o.Size, &o.Content); err != nil {
			return err
		}
		b.Unreferenced = fromMillis(since)
		b.Objects = append(b.Objects, o)
		return nil
	})
	if err == nil && b.ID == 0 {
		err = ErrNotFound
	}
	return b, err
}

// blobObjects returns where a blob's bytes are, in order.
func (q queries) blobObjects(ctx context.Context, blob int64) ([]Object, error) {
	var list []Object
	err := q.all(ctx, `SELECT key, size, content FROM objects WHERE blob_id = ? ORDER BY position`, []any{blob}, func(rows *sql.Rows) error {
		var o Object
		err := rows.Scan(&o.Key, &o.Size, &o.Content)
		list = append(list, o)
		return err
	})
	return list, err
}

// BlobHolders lists the live repositories that show blob d.
func (q queries) BlobHolders(ctx context.Context, d registry.Digest) ([]registry.Repo, error) {
	return strs[registry.Repo](q, ctx, `SELECT r.name FROM blobs b
		JOIN repository_blobs rb ON rb.blob_id = b.id
		JOIN repositories r ON r.id = rb.repository_id
		WHERE b.digest = ? AND b.state = 0 AND r.deleted_at IS NULL ORDER BY r.name`, d.String())
}

// AddBlob records that objects hold blob d and that repository shows it. Where
// the blob was there already, spare are the keys that nothing needs now: the
// new ones, or the old ones of a blob that was being deleted or quarantined. It
// returns ErrSwept.
func (t *Tx) AddBlob(ctx context.Context, r Repository, d registry.Digest, size int64, objects []Object) (spare []string, err error) {
	var id int64
	var state BlobState
	switch err := t.one(ctx, `SELECT id, state FROM blobs WHERE digest = ?`, []any{d.String()}, &id, &state); {
	case errors.Is(err, ErrNotFound):
		id, err = t.insert(ctx, `INSERT INTO blobs (digest, size, state, unreferenced_since, created_at) VALUES (?, ?, 0, ?, ?)`,
			d.String(), size, millis(t.now), millis(t.now))
		if err != nil {
			return nil, err
		}
	case err != nil:
		return nil, err
	case state == Live:
		for _, o := range objects {
			spare = append(spare, o.Key)
		}
		if err := t.RenewBlob(ctx, id); err != nil {
			return nil, err
		}
		return spare, t.LinkBlob(ctx, r, id)
	default:
		spare, err = strs[string](t.queries, ctx, `SELECT key FROM objects WHERE blob_id = ?`, id)
		if err != nil {
			return nil, err
		}
		if _, err := t.exec(ctx, `DELETE FROM objects WHERE blob_id = ?`, id); err != nil {
			return nil, err
		}
		if _, err := t.exec(ctx, `UPDATE blobs SET state = 0, size = ? WHERE id = ?`, size, id); err != nil {
			return nil, err
		}
		if err := t.RenewBlob(ctx, id); err != nil {
			return nil, err
		}
	}
	if err := t.ours(ctx, objects...); err != nil {
		return nil, err
	}
	for i, o := range objects {
		if _, err := t.exec(ctx, `INSERT INTO objects (blob_id, position, key, size, content) VALUES (?, ?, ?, ?, ?)`, id, i, o.Key, o.Size, o.Content); err != nil {
			return nil, err
		}
	}
	return spare, t.LinkBlob(ctx, r, id)
}

// LinkBlob makes r show a blob.
func (t *Tx) LinkBlob(ctx context.Context, r Repository, blob int64) error {
	_, err := t.exec(ctx, `INSERT INTO repository_blobs (repository_id, blob_id) VALUES (?, ?) ON CONFLICT DO NOTHING`, r.ID, blob)
	return err
}

// UnlinkBlob makes r show a blob no longer. It returns ErrNotFound.
func (t *Tx) UnlinkBlob(ctx context.Context, r Repository, blob int64) error {
	n, err := t.changed(ctx, `DELETE FROM repository_blobs WHERE repository_id = ? AND blob_id = ?`, r.ID, blob)
	if err == nil && n == 0 {
		return ErrNotFound
	}
	return err
}

// RenewBlob starts the lease of an unreferenced blob again.
func (t *Tx) RenewBlob(ctx context.Context, blob int64) error {
	_, err := t.exec(ctx, `UPDATE blobs SET unreferenced_since = ? WHERE id = ? AND unreferenced_since IS NOT NULL`, millis(t.now), blob)
	return err
}

// EnsureBlob returns the id of blob d if repository shows it; otherwise, and
// only with sparse, a row for one that may come later. ok tells which.
func (t *Tx) EnsureBlob(ctx context.Context, r Repository, d registry.Descriptor, sparse bool) (id int64, ok bool, err error) {
	err = t.one(ctx, `SELECT b.id FROM blobs b JOIN repository_blobs rb ON rb.blob_id = b.id AND rb.repository_id = ?
		WHERE b.digest = ? AND b.state = 0`, []any{r.ID, d.Digest.String()}, &id)
	if !errors.Is(err, ErrNotFound) {
		return id, err == nil, err
	}
	if !sparse {
		return 0, false, nil
	}
	if _, err = t.exec(ctx, `INSERT INTO blobs (digest, size, state, unreferenced_since, created_at) VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING`,
		d.Digest.String(), d.Size, Absent, millis(t.now), millis(t.now)); err != nil {
		return 0, false, err
	}
	err = t.one(ctx, `SELECT id FROM blobs WHERE digest = ?`, []any{d.Digest.String()}, &id)
	return id, false, err
}

// BlobReferrer returns the digest of a manifest that repository shows and
// that references the blob, or ErrNotFound.
func (q queries) BlobReferrer(ctx context.Context, r Repository, blob int64) (registry.Digest, error) {
	var d registry.Digest
	err := q.one(ctx, `SELECT p.digest FROM manifest_blobs mb JOIN memberships p ON p.manifest_id = mb.manifest_id
		WHERE mb.blob_id = ? AND p.repository_id = ? AND p.until_gen IS NULL LIMIT 1`, []any{blob, r.ID}, &d)
	return d, err
}
