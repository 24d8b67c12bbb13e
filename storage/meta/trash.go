package meta

import (
	"context"
	"database/sql"
	"time"

	"github.com/packhouse/packhouse/registry"
)

// Trashed is one name in the trash.
type Trashed struct {
	ID       int64 // of the period, or the repository
	Repo     registry.Repo
	Tag      registry.Tag
	Version  string // native; of a tag that is a withdrawn version's
	Digest   registry.Digest
	Manifest int64 // its id
	Gen      int64 // of the repository, when the period ended
	Deleted  time.Time
}

// Trash pages are in this order: the latest deleted first. The zero Trashed is
// before all.
func (a Trashed) bound() (ms, id int64) {
	if a.ID == 0 {
		return 1 << 62, 0
	}
	return millis(a.Deleted), a.ID
}

// TrashedRepositories lists up to limit repositories that were deleted since
// the given time and not purged, those after the given one; of one name, or of
// all for "".
func (q queries) TrashedRepositories(ctx context.Context, name registry.Repo, since time.Time, after Trashed, limit int) ([]Trashed, error) {
	where, args := ofRepo(name)
	ms, id := after.bound()
	return q.trashed(ctx, `SELECT r.id, r.name, '', '', '', 0, 0, r.deleted_at FROM repositories r
		WHERE r.deleted_at IS NOT NULL AND r.deleted_at >= ? AND r.purged_at IS NULL AND (r.deleted_at, r.id) < (?, ?)`+where+`
		ORDER BY r.deleted_at DESC, r.id DESC LIMIT ?`, append([]any{millis(since), ms, id}, append(args, limit)...)...)
}

// TrashedTags lists up to limit tags of live repositories that were deleted
// since the given time, each with what it pointed to last.
func (q queries) TrashedTags(ctx context.Context, name registry.Repo, since time.Time, after Trashed, limit int) ([]Trashed, error) {
	where, args := ofRepo(name)
	ms, id := after.bound()
	return q.trashed(ctx, `SELECT t.id, r.name, t.name, coalesce(l.version, ''), m.digest, m.id, t.until_gen, t.until_at
		FROM tags t JOIN repositories r ON r.id = t.repository_id AND r.deleted_at IS NULL JOIN manifests m ON m.id = t.manifest_id
		LEFT JOIN releases l ON l.repository_id = t.repository_id AND l.tag = t.name
		WHERE t.until_gen IS NOT NULL AND t.until_at >= ? AND (t.until_at, t.id) < (?, ?)`+where+`
		AND NOT EXISTS (SELECT 1 FROM tags o WHERE o.repository_id = t.repository_id AND o.name = t.name AND (o.until_gen IS NULL OR o.id > t.id))
		ORDER BY t.until_at DESC, t.id DESC LIMIT ?`, append([]any{millis(since), ms, id}, append(args, limit)...)...)
}

// TrashedManifests lists up to limit manifests of live repositories that were
// deleted since the given time, but for those that come back with a tag and
// those that the registry makes itself.
func (q queries) TrashedManifests(ctx context.Context, name registry.Repo, since time.Time, after Trashed, limit int) ([]Trashed, error) {
	where, args := ofRepo(name)
	ms, id := after.bound()
	return q.trashed(ctx, `SELECT p.id, r.name, '', '', p.digest, p.manifest_id, p.until_gen, p.until_at
		FROM memberships p JOIN repositories r ON r.id = p.repository_id AND r.deleted_at IS NULL
		JOIN manifests m ON m.id = p.manifest_id AND m.artifact_type <> '`+registry.TypeStatus+`'
		WHERE p.until_gen IS NOT NULL AND p.until_at >= ? AND (p.until_at, p.id) < (?, ?)`+where+`
		AND NOT EXISTS (SELECT 1 FROM memberships o WHERE o.repository_id = p.repository_id AND o.manifest_id = p.manifest_id AND (o.until_gen IS NULL OR o.id > p.id))
		AND NOT EXISTS (SELECT 1 FROM tags t WHERE t.manifest_id = p.manifest_id AND t.repository_id = p.repository_id AND t.until_gen = p.until_gen
			AND NOT EXISTS (SELECT 1 FROM tags o WHERE o.repository_id = t.repository_id AND o.name = t.name AND o.until_gen IS NULL))
		ORDER BY p.until_at DESC, p.id DESC LIMIT ?`, append([]any{millis(since), ms, id}, append(args, limit)...)...)
}

func ofRepo(name registry.Repo) (where string, args []any) {
	if name == "" {
		return "", nil
	}
	return ` AND r.name = ?`, []any{string(name)}
}

func (q queries) trashed(ctx context.Context, query string, args ...any) ([]Trashed, error) {
	var list []Trashed
	err := q.all(ctx, query, args, func(rows *sql.Rows) error {
		var t Trashed
		var deleted int64
		err := rows.Scan(&t.ID, &t.Repo, &t.Tag, &t.Version, &t.Digest, &t.Manifest, &t.Gen, &deleted)
		t.Deleted = time.UnixMilli(deleted).UTC()
		list = append(list, t)
		return err
	})
	return list, err
}

// DeletedRepository finds the latest deleted repository of a name that was not
// purged. It returns ErrNotFound.
func (q queries) DeletedRepository(ctx context.Context, name registry.Repo) (Repository, error) {
	return first(q.repositories(ctx, `WHERE r.name = ? AND r.deleted_at IS NOT NULL AND r.purged_at IS NULL ORDER BY r.deleted_at DESC, r.id DESC LIMIT 1`, string(name)))
}

// ClosedManifest finds the latest period of manifest d in r, if it ended since
// the given time and d is not shown now. It returns ErrNotFound.
func (q queries) ClosedManifest(ctx context.Context, r Repository, d registry.Digest, since time.Time) (Trashed, error) {
	list, err := q.trashed(ctx, `SELECT p.id, r.name, '', '', p.digest, p.manifest_id, p.until_gen, p.until_at
		FROM manifests m JOIN memberships p ON p.manifest_id = m.id JOIN repositories r ON r.id = p.repository_id
		WHERE m.digest = ? AND r.id = ? AND p.until_gen IS NOT NULL AND p.until_at >= ?
		AND NOT EXISTS (SELECT 1 FROM memberships o WHERE o.repository_id = p.repository_id AND o.digest = p.digest AND o.until_gen IS NULL)
		ORDER BY p.id DESC LIMIT 1`, d.String(), r.ID, millis(since))
	if err == nil && len(list) == 0 {
		err = ErrNotFound
	}
	if err != nil {
		return Trashed{}, err
	}
	return list[0], nil
}

// TagsClosedWith lists the tags that ended together with a manifest's period
// and do not point to anything now.
func (q queries) TagsClosedWith(ctx context.Context, r Repository, m Trashed) ([]registry.Tag, error) {
	return strs[registry.Tag](q, ctx, `SELECT t.name FROM tags t WHERE t.manifest_id = ? AND t.repository_id = ? AND t.until_gen = ?
		AND NOT EXISTS (SELECT 1 FROM tags o WHERE o.repository_id = t.repository_id AND o.name = t.name AND o.until_gen IS NULL) ORDER BY t.name`,
		m.Manifest, r.ID, m.Gen)
}
