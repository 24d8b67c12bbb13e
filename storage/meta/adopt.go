package meta

import (
	"context"
	"errors"

	"github.com/packhouse/packhouse/registry"
)

// BlobRow finds a blob in whatever state, whoever shows it.
func (q queries) BlobRow(ctx context.Context, d registry.Digest) (StoredBlob, error) {
	var b StoredBlob
	if err := q.one(ctx, `SELECT id, digest, size, state FROM blobs WHERE digest = ?`, []any{d.String()}, &b.ID, &b.Digest, &b.Size, &b.State); err != nil {
		return StoredBlob{}, err
	}
	var err error
	b.Objects, err = q.blobObjects(ctx, b.ID)
	return b, err
}

// ManifestKnown tells whether the live repository name shows d now, and
// whether it ever did within the trash window.
func (q queries) ManifestKnown(ctx context.Context, name registry.Repo, d registry.Digest) (now, ever bool, err error) {
	// By the manifest: memberships are indexed by digest only while they are open.
	err = q.one(ctx, `SELECT count(*) > count(p.until_gen), count(*) > 0 FROM manifests m
		JOIN memberships p ON p.manifest_id = m.id JOIN repositories r ON r.id = p.repository_id
		WHERE r.name = ? AND r.deleted_at IS NULL AND m.digest = ?`, []any{string(name), d.String()}, &now, &ever)
	return now, ever, err
}

// TagKnown tells whether the live repository name has or had the tag.
func (q queries) TagKnown(ctx context.Context, name registry.Repo, tag registry.Tag) (bool, error) {
	var known bool
	err := q.one(ctx, `SELECT EXISTS (SELECT 1 FROM tags t JOIN repositories r ON r.id = t.repository_id
		WHERE r.name = ? AND r.deleted_at IS NULL AND t.name = ?)`, []any{string(name), string(tag)}, &known)
	return known, err
}

// AdoptTag points a tag that has no period yet to manifest d of r; done tells
// whether it did. It returns ErrNotFound when r does not show d.
func (t *Tx) AdoptTag(ctx context.Context, r Repository, tag registry.Tag, d registry.Digest) (done bool, err error) {
	switch known, err := t.TagKnown(ctx, r.Name, tag); {
	case err != nil:
		return false, err
	case known:
		return false, nil
	}
	var id int64
	if err := t.one(ctx, `SELECT manifest_id FROM memberships WHERE repository_id = ? AND digest = ? AND until_gen IS NULL`, []any{r.ID, d.String()}, &id); err != nil {
		return false, err
	}
	return true, t.SetTag(ctx, r, tag, id)
}

// AdoptBlob records that one object, which was here before, holds blob d, and
// that r shows it. fresh is false when other objects, or the same one, held it
// already. spare are the keys that nothing needs now; the object is never one.
func (t *Tx) AdoptBlob(ctx context.Context, r Repository, d registry.Digest, o Object) (fresh bool, spare []string, err error) {
	row, err := t.BlobRow(ctx, d)
	if err != nil && !errors.Is(err, ErrNotFound) {
		return false, nil, err
	}
	if err == nil && row.State == Live {
		return false, nil, t.LinkBlob(ctx, r, row.ID)
	}
	if _, err = t.AddBlob(ctx, r, d, o.Size, []Object{o}); err != nil {
		return false, nil, err
	}
	for _, old := range row.Objects {
		if old.Key != o.Key {
			spare = append(spare, old.Key)
		}
	}
	return true, spare, nil
}
