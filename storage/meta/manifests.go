package meta

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/packhouse/packhouse/registry"
)

// Manifest is one stored manifest.
type Manifest struct {
	ID      int64
	Subject registry.Digest
	Depth   int
	registry.Manifest
}

const selectManifest = `SELECT m.id, m.digest, m.media_type, m.artifact_type, m.subject, m.depth, m.raw FROM manifests m `

func scanManifest(scan func(...any) error) (Manifest, error) {
	var m Manifest
	var subject sql.NullString
	err := scan(&m.ID, &m.Digest, &m.MediaType, &m.ArtifactType, &subject, &m.Depth, &m.Raw)
	m.Subject, m.Size = registry.Digest(subject.String), int64(len(m.Raw))
	return m, err
}

// Manifest finds a manifest that a live repository shows.
func (q queries) Manifest(ctx context.Context, repository registry.Repo, d registry.Digest) (Manifest, error) {
	return scanManifest(func(dest ...any) error {
		return q.one(ctx, selectManifest+`
			JOIN memberships p ON p.manifest_id = m.id AND p.until_gen IS NULL
			JOIN repositories r ON r.id = p.repository_id
			WHERE r.name = ? AND r.deleted_at IS NULL AND p.digest = ?`, []any{string(repository), d.String()}, dest...)
	})
}

// Tagged finds the manifest that a tag of a live repository points to.
func (q queries) Tagged(ctx context.Context, repository registry.Repo, tag registry.Tag) (Manifest, error) {
	return scanManifest(func(dest ...any) error {
		return q.one(ctx, selectManifest+`
			JOIN tags t ON t.manifest_id = m.id AND t.until_gen IS NULL
			JOIN repositories r ON r.id = t.repository_id
			WHERE r.name = ? AND r.deleted_at IS NULL AND t.name = ?`, []any{string(repository), string(tag)}, dest...)
	})
}

// Tags lists up to limit tags of a live repository, after the given one.
func (q queries) Tags(ctx context.Context, repository registry.Repo, after registry.Tag, limit int) ([]registry.Tag, error) {
	return strs[registry.Tag](q, ctx, `SELECT t.name FROM tags t JOIN repositories r ON r.id = t.repository_id
		WHERE r.name = ? AND r.deleted_at IS NULL AND t.until_gen IS NULL AND t.name > ? ORDER BY t.name LIMIT ?`,
		string(repository), string(after), limit)
}

// Referrers lists up to limit manifests of a live repository whose subject
// begins with the given text, by digest, after the given one. artifactType ""
// means any.
func (q queries) Referrers(ctx context.Context, repository registry.Repo, subjectPrefix, artifactType string, after registry.Digest, limit int) ([]registry.Descriptor, error) {
	return q.descriptors(ctx, ` AND m.subject >= ?2 AND m.subject < ?2 || 'g'
		AND (?3 = '' OR m.artifact_type = ?3) AND m.digest > ?4 ORDER BY m.digest LIMIT ?5`,
		string(repository), subjectPrefix, artifactType, after.String(), limit)
}

// Depth returns how deep manifest d of r nests, or ErrNotFound when r does not
// show it.
func (q queries) Depth(ctx context.Context, r Repository, d registry.Digest) (int, error) {
	var depth int
	err := q.one(ctx, `SELECT m.depth FROM manifests m JOIN memberships p ON p.manifest_id = m.id
		WHERE p.repository_id = ? AND p.digest = ? AND p.until_gen IS NULL`, []any{r.ID, d.String()}, &depth)
	return depth, err
}

// ManifestReferrer returns the digest of an index that repository shows and
// that lists d, or ErrNotFound.
func (q queries) ManifestReferrer(ctx context.Context, r Repository, d registry.Digest) (registry.Digest, error) {
	var parent registry.Digest
	err := q.one(ctx, `SELECT p.digest FROM manifest_children c JOIN memberships p ON p.manifest_id = c.manifest_id
		WHERE c.digest = ? AND +p.repository_id = ? AND p.until_gen IS NULL LIMIT 1`, []any{d.String(), r.ID}, &parent)
	return parent, err
}

// NewManifest is a manifest to store with what it references.
type NewManifest struct {
	Manifest
	Blobs    []int64 // ids of EnsureBlob
	Children []registry.Digest
}

// AddManifest stores m, unless it is stored already, and opens a membership in
// r unless one is open. It returns its id.
func (t *Tx) AddManifest(ctx context.Context, r Repository, m NewManifest) (int64, error) {
	id, err := t.storeManifest(ctx, m)
	if err != nil {
		return 0, err
	}
	return id, t.OpenMembership(ctx, r, id, m.Digest)
}

func (t *Tx) storeManifest(ctx context.Context, m NewManifest) (int64, error) {
	var id int64
	err := t.one(ctx, `SELECT id FROM manifests WHERE digest = ? AND media_type = ?`, []any{m.Digest.String(), m.MediaType}, &id)
	if !errors.Is(err, ErrNotFound) {
		return id, err // same bytes, same type: same references
	}
	subject, annotations := null(m.Subject.String()), sql.NullString{}
	if len(m.Annotations) > 0 {
		b, err := json.Marshal(m.Annotations)
		if err != nil {
			return 0, err
		}
		annotations = null(string(b))
	}
	id, err = t.insert(ctx, `INSERT INTO manifests (digest, media_type, artifact_type, subject, annotations, depth, raw, created_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?)`,
		m.Digest.String(), m.MediaType, m.ArtifactType, subject, annotations, m.Depth, m.Raw, millis(t.now))
	if err != nil {
		return 0, err
	}
	for _, blob := range m.Blobs {
		if _, err := t.exec(ctx, `INSERT INTO manifest_blobs (manifest_id, blob_id) VALUES (?, ?) ON CONFLICT DO NOTHING`, id, blob); err != nil {
			return 0, err
		}
		if _, err := t.exec(ctx, `UPDATE blobs SET unreferenced_since = NULL WHERE id = ? AND unreferenced_since IS NOT NULL`, blob); err != nil {
			return 0, err
		}
	}
	for _, child := range m.Children {
		if _, err := t.exec(ctx, `INSERT INTO manifest_children (manifest_id, digest) VALUES (?, ?) ON CONFLICT DO NOTHING`, id, child.String()); err != nil {
			return 0, err
		}
	}
	return id, nil
}

// OpenMembership makes r show manifest id, if it does not yet.
func (t *Tx) OpenMembership(ctx context.Context, r Repository, id int64, d registry.Digest) error {
	_, err := t.exec(ctx, `INSERT INTO memberships (repository_id, manifest_id, digest, from_gen, from_at) VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING`,
		r.ID, id, d.String(), r.Generation+1, millis(t.now))
	return err
}

// LinkManifestBlobs makes r show every live blob that manifest id references,
// so that a restored manifest is whole again.
func (t *Tx) LinkManifestBlobs(ctx context.Context, r Repository, id int64) error {
	_, err := t.exec(ctx, `INSERT INTO repository_blobs (repository_id, blob_id)
		SELECT ?, mb.blob_id FROM manifest_blobs mb JOIN blobs b ON b.id = mb.blob_id WHERE mb.manifest_id = ? AND b.state = 0 ON CONFLICT DO NOTHING`, r.ID, id)
	return err
}

// CloseMembership makes r show d no longer, and closes every tag on it.
func (t *Tx) CloseMembership(ctx context.Context, r Repository, d registry.Digest) error {
	gen, at := r.Generation+1, millis(t.now)
	_, err := t.exec(ctx, `UPDATE tags SET until_gen = ?, until_at = ? WHERE +repository_id = ? AND until_gen IS NULL
		AND manifest_id IN (SELECT id FROM manifests WHERE digest = ?)`, gen, at, r.ID, d.String())
	if err != nil {
		return err
	}
	n, err := t.changed(ctx, `UPDATE memberships SET until_gen = ?, until_at = ? WHERE repository_id = ? AND digest = ? AND until_gen IS NULL`, gen, at, r.ID, d.String())
	if err == nil && n == 0 {
		return ErrNotFound
	}
	return err
}

// SetTag closes the tag's open period and opens one on manifest id. Setting a
// tag to what it points to changes nothing.
func (t *Tx) SetTag(ctx context.Context, r Repository, tag registry.Tag, id int64) error {
	_, err := t.setTag(ctx, r, tag, id, sql.NullInt64{})
	return err
}

// SetLabel is SetTag for a package's tag that is no version's, and tells
// whether it moved.
func (t *Tx) SetLabel(ctx context.Context, r Repository, tag registry.Tag, id int64) (moved bool, err error) {
	return t.setTag(ctx, r, tag, id, sql.NullInt64{Int64: 1, Valid: true})
}

func (t *Tx) setTag(ctx context.Context, r Repository, tag registry.Tag, id int64, label sql.NullInt64) (moved bool, err error) {
	var current int64
	switch err := t.one(ctx, `SELECT manifest_id FROM tags WHERE repository_id = ? AND name = ? AND until_gen IS NULL`, []any{r.ID, string(tag)}, &current); {
	case errors.Is(err, ErrNotFound):
	case err != nil:
		return false, err
	case current == id:
		return false, nil
	default:
		if err := t.CloseTag(ctx, r, tag); err != nil {
			return false, err
		}
	}
	_, err = t.exec(ctx, `INSERT INTO tags (repository_id, name, manifest_id, from_gen, from_at, label) VALUES (?, ?, ?, ?, ?, ?)`,
		r.ID, string(tag), id, r.Generation+1, millis(t.now), label)
	return err == nil, err
}

// CloseTag ends the tag's open period. It returns ErrNotFound.
func (t *Tx) CloseTag(ctx context.Context, r Repository, tag registry.Tag) error {
	n, err := t.changed(ctx, `UPDATE tags SET until_gen = ?, until_at = ? WHERE repository_id = ? AND name = ? AND until_gen IS NULL`,
		r.Generation+1, millis(t.now), r.ID, string(tag))
	if err == nil && n == 0 {
		return ErrNotFound
	}
	return err
}

// Descriptor describes manifest d of a live repository as a referrers list
// shows it.
func (q queries) Descriptor(ctx context.Context, repository registry.Repo, d registry.Digest) (registry.Descriptor, error) {
	list, err := q.descriptors(ctx, ` AND m.digest = ?2`, string(repository), d.String())
	if err == nil && len(list) == 0 {
		err = ErrNotFound
	}
	if err != nil {
		return registry.Descriptor{}, err
	}
	return list[0], nil
}

// descriptors takes the repository's name as parameter 1. The manifest comes
// first: a repository may show many, of which few are asked for.
func (q queries) descriptors(ctx context.Context, where string, args ...any) ([]registry.Descriptor, error) {
	var list []registry.Descriptor
	err := q.all(ctx, `SELECT m.digest, m.media_type, m.artifact_type, m.annotations, length(m.raw) FROM manifests m
		WHERE EXISTS (SELECT 1 FROM memberships p JOIN repositories r ON r.id = p.repository_id
			WHERE p.manifest_id = m.id AND p.until_gen IS NULL AND r.name = ?1 AND r.deleted_at IS NULL)`+where, args, func(rows *sql.Rows) error {
		var d registry.Descriptor
		var annotations sql.NullString
		if err := rows.Scan(&d.Digest, &d.MediaType, &d.ArtifactType, &annotations, &d.Size); err != nil {
			return err
		}
		if annotations.Valid {
			if err := json.Unmarshal([]byte(annotations.String), &d.Annotations); err != nil {
				return fmt.Errorf("annotations of %s: %w", d.Digest, err)
			}
		}
		list = append(list, d)
		return nil
	})
	return list, err
}
