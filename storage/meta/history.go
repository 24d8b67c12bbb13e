package meta

import (
	"context"
	"database/sql"
	"time"

	"github.com/packhouse/packhouse/registry"
)

// Period is one stretch of time in which a tag pointed to a manifest.
type Period struct {
	ID       int64
	Tag      registry.Tag
	Digest   registry.Digest
	Manifest int64 // its id
	From     time.Time
	Until    time.Time // zero while open
}

// TagHistory lists a tag's periods in a repository, the latest first.
func (q queries) TagHistory(ctx context.Context, r Repository, tag registry.Tag) ([]Period, error) {
	var list []Period
	err := q.all(ctx, `SELECT t.id, t.name, m.digest, m.id, t.from_at, t.until_at FROM tags t JOIN manifests m ON m.id = t.manifest_id
		WHERE t.repository_id = ? AND t.name = ? ORDER BY t.id DESC`, []any{r.ID, string(tag)}, func(rows *sql.Rows) error {
		var p Period
		var from int64
		var until sql.NullInt64
		if err := rows.Scan(&p.ID, &p.Tag, &p.Digest, &p.Manifest, &from, &until); err != nil {
			return err
		}
		p.From, p.Until = time.UnixMilli(from).UTC(), fromMillis(until)
		list = append(list, p)
		return nil
	})
	return list, err
}

// DeletedTags lists the names in a repository that have a closed period but
// no open one.
func (q queries) DeletedTags(ctx context.Context, r Repository) ([]registry.Tag, error) {
	return strs[registry.Tag](q, ctx, `SELECT DISTINCT name FROM tags t WHERE repository_id = ?1 AND until_gen IS NOT NULL
		AND NOT EXISTS (SELECT 1 FROM tags o WHERE o.repository_id = ?1 AND o.name = t.name AND o.until_gen IS NULL) ORDER BY name`, r.ID)
}

// Child is a manifest that an index lists.
type Child struct {
	ID     int64
	Digest registry.Digest
}

// ClosedChildren lists the manifests that an index lists and that r once
// showed but does not now.
func (q queries) ClosedChildren(ctx context.Context, r Repository, index int64) ([]Child, error) {
	var list []Child
	err := q.all(ctx, `SELECT DISTINCT p.manifest_id, p.digest FROM manifest_children c
		JOIN manifests m ON m.digest = c.digest
		JOIN memberships p ON p.manifest_id = m.id AND p.repository_id = ?1 AND p.until_gen IS NOT NULL
		WHERE c.manifest_id = ?2 AND NOT EXISTS (SELECT 1 FROM memberships o WHERE o.repository_id = ?1 AND o.digest = c.digest AND o.until_gen IS NULL)`,
		[]any{r.ID, index}, func(rows *sql.Rows) error {
			var c Child
			err := rows.Scan(&c.ID, &c.Digest)
			list = append(list, c)
			return err
		})
	return list, err
}
