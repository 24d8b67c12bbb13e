package meta

import (
	"context"
	"database/sql"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/packhouse/packhouse/registry"
)

// CollectBatch is how many rows one transaction of the collector handles at
// most: it must not keep others waiting.
const CollectBatch = 100

// in is a list of CollectBatch placeholders, so that lists of all lengths are
// one prepared statement; idArgs fills it up with an id that no row has.
func in() string { return "(" + strings.Repeat("?, ", CollectBatch-1) + "?)" }

func idArgs(ids []int64) []any {
	args := make([]any, CollectBatch)
	for i := range args {
		args[i] = int64(-1)
		if i < len(ids) {
			args[i] = ids[i]
		}
	}
	return args
}

// inBatches calls f for CollectBatch ids at a time.
func inBatches(ids []int64, f func([]int64) error) error {
	for len(ids) > 0 {
		n := min(len(ids), CollectBatch)
		if err := f(ids[:n]); err != nil {
			return err
		}
		ids = ids[n:]
	}
	return nil
}

// StartPass notes that a pass of the collector begins, unless one began later
// than the given time. It returns ErrNotFound then.
func (t *Tx) StartPass(ctx context.Context, unless time.Time) error {
	return t.must(ctx, `UPDATE collector SET started_at = ? WHERE started_at <= ?`, millis(t.now), millis(unless))
}

// LastPass returns when the last pass of the collector began.
func (q queries) LastPass(ctx context.Context) (time.Time, error) {
	var at int64
	err := q.one(ctx, `SELECT started_at FROM collector WHERE id = 1`, nil, &at)
	return time.UnixMilli(at).UTC(), err
}

// RemovePeriods removes up to CollectBatch tag periods and memberships that
// ended before the given time, in one repository or, for 0, in all, and
// returns how many. What only they held is loose then: see [Tx.RemoveLoose].
func (t *Tx) RemovePeriods(ctx context.Context, repository int64, before time.Time) (int64, error) {
	ended := ` WHERE until_gen IS NOT NULL AND until_at < ? ORDER BY until_at LIMIT ?`
	args := []any{millis(before)}
	if repository != 0 {
		ended = ` WHERE until_gen IS NOT NULL AND until_at < ? AND repository_id = ? LIMIT ?`
		args = append(args, repository)
	}
	var total int64
	for _, table := range []string{"tags", "memberships"} {
		n, err := t.changed(ctx, `DELETE FROM `+table+` WHERE id IN (SELECT id FROM `+table+ended+`)`, append(slices.Clip(args), CollectBatch-total)...)
		if err != nil {
			return 0, err
		}
		if total += n; total == CollectBatch {
			break
		}
	}
	return total, nil
}

// Loosened is what [Tx.RemoveLoose] did.
type Loosened struct {
	Looked    int             // manifests
	Manifests int             // removed of those
	Bytes     int64           // of those
	Repos     []registry.Repo // that show blobs which nothing references from now on
}

// RemoveLoose looks at up to CollectBatch manifests that lost a period, and
// drops those that no other holds. The leases of the blobs that only they
// referenced begin.
func (t *Tx) RemoveLoose(ctx context.Context) (Loosened, error) {
	var l Loosened
	ids, err := t.ids(ctx, `SELECT manifest_id FROM loose_manifests ORDER BY manifest_id LIMIT ?`, CollectBatch)
	if err != nil || len(ids) == 0 {
		return l, err
	}
	l.Looked = len(ids)
	if _, err := t.exec(ctx, `DELETE FROM loose_manifests WHERE manifest_id IN `+in(), idArgs(ids)...); err != nil {
		return l, err
	}
	gone := ids[:0:0]
	err = t.all(ctx, `SELECT m.id, length(m.raw) FROM manifests m WHERE m.id IN `+in()+`
		AND NOT EXISTS (SELECT 1 FROM memberships p WHERE p.manifest_id = m.id) AND NOT EXISTS (SELECT 1 FROM tags t WHERE t.manifest_id = m.id)`,
		idArgs(ids), func(rows *sql.Rows) error {
			var id, size int64
			err := rows.Scan(&id, &size)
			gone = append(gone, id)
			l.Bytes += size
			return err
		})
	if err != nil || len(gone) == 0 {
		return l, err
	}
	l.Manifests = len(gone)
	blobs, err := t.ids(ctx, `SELECT DISTINCT blob_id FROM manifest_blobs WHERE manifest_id IN `+in(), idArgs(gone)...)
	if err != nil {
		return l, err
	}
	for _, statement := range []string{
		`DELETE FROM manifest_blobs WHERE manifest_id IN `,
		`DELETE FROM manifest_children WHERE manifest_id IN `,
		`DELETE FROM editions WHERE manifest_id IN `,
		`UPDATE releases SET manifest_id = NULL WHERE manifest_id IN `,
		`DELETE FROM manifests WHERE id IN `,
	} {
		if _, err := t.exec(ctx, statement+in(), idArgs(gone)...); err != nil {
			return l, err
		}
	}
	l.Repos, err = t.startLeases(ctx, blobs)
	return l, err
}

// startLeases begins the leases of those of the blobs that nothing references
// now, and returns who shows them.
func (t *Tx) startLeases(ctx context.Context, blobs []int64) (repos []registry.Repo, err error) {
	seen := map[registry.Repo]bool{}
	err = inBatches(blobs, func(ids []int64) error {
		free, err := t.ids(ctx, `SELECT id FROM blobs b WHERE id IN `+in()+` AND NOT EXISTS (SELECT 1 FROM manifest_blobs mb WHERE mb.blob_id = b.id)`, idArgs(ids)...)
		if err != nil || len(free) == 0 {
			return err
		}
		if _, err := t.exec(ctx, `UPDATE blobs SET unreferenced_since = ? WHERE id IN `+in(), append([]any{millis(t.now)}, idArgs(free)...)...); err != nil {
			return err
		}
		shown, err := t.showing(ctx, free)
		for _, r := range shown {
			if !seen[r] {
				seen[r] = true
				repos = append(repos, r)
			}
		}
		return err
	})
	return repos, err
}

// showing lists the live repositories that show any of the blobs.
func (q queries) showing(ctx context.Context, blobs []int64) ([]registry.Repo, error) {
	return strs[registry.Repo](q, ctx, `SELECT DISTINCT r.name FROM repository_blobs rb JOIN repositories r ON r.id = rb.repository_id
		WHERE r.deleted_at IS NULL AND rb.blob_id IN `+in(), idArgs(blobs)...)
}

// Garbage is a blob that the collector may take.
type Garbage struct {
	ID           int64
	Digest       registry.Digest
	Size         int64 // 0 of what never came
	Unreferenced time.Time
	Keys         []string // of objects in the storage
}

// maxLinks bounds how many rows that say who shows a blob go in one
// transaction, unless one blob alone has more.
const maxLinks = 1000

// MarkGarbage hides up to CollectBatch of the blobs that have been unreferenced
// since before the given time, those after the given one first, and returns
// them and who showed them. From then on only an upload of the same content
// revives them, with objects of its own.
func (t *Tx) MarkGarbage(ctx context.Context, before time.Time, after Garbage) (list []Garbage, shown []registry.Repo, err error) {
	if list, err = t.garbage(ctx, before, after, CollectBatch); err != nil || len(list) == 0 {
		return nil, nil, err
	}
	if list, err = t.fewLinks(ctx, list); err != nil {
		return nil, nil, err
	}
	ids := make([]int64, len(list))
	at := map[int64]*Garbage{}
	for i := range list {
		ids[i] = list[i].ID
		at[list[i].ID] = &list[i]
	}
	if shown, err = t.showing(ctx, ids); err != nil {
		return nil, nil, err
	}
	for _, statement := range []string{`UPDATE blobs SET state = 1 WHERE id IN `, `DELETE FROM repository_blobs WHERE blob_id IN `} {
		if _, err := t.exec(ctx, statement+in(), idArgs(ids)...); err != nil {
			return nil, nil, err
		}
	}
	err = t.all(ctx, `SELECT blob_id, key FROM objects WHERE blob_id IN `+in()+` ORDER BY blob_id, position`, idArgs(ids), func(rows *sql.Rows) error {
		var id int64
		var key string
		if err := rows.Scan(&id, &key); err != nil {
			return err
		}
		if !IsInline(key) {
			at[id].Keys = append(at[id].Keys, key)
		}
		return nil
	})
	return list, shown, err
}

// garbage lists blobs in the order in which their leases began.
func (q queries) garbage(ctx context.Context, before time.Time, after Garbage, limit int) ([]Garbage, error) {
	var list []Garbage
	err := q.all(ctx, `SELECT id, digest, CASE state WHEN 3 THEN 0 ELSE size END, unreferenced_since FROM blobs
		WHERE unreferenced_since < ? AND (unreferenced_since, id) > (?, ?) ORDER BY unreferenced_since, id LIMIT ?`,
		[]any{millis(before), after.since(), after.ID, limit}, func(rows *sql.Rows) error {
			var g Garbage
			var since int64
			err := rows.Scan(&g.ID, &g.Digest, &g.Size, &since)
			g.Unreferenced = time.UnixMilli(since).UTC()
			list = append(list, g)
			return err
		})
	return list, err
}

// since is where the order begins for the zero Garbage.
func (g Garbage) since() int64 {
	if g.ID == 0 {
		return -1
	}
	return millis(g.Unreferenced)
}

// fewLinks cuts a list where it gets to maxLinks.
func (t *Tx) fewLinks(ctx context.Context, list []Garbage) ([]Garbage, error) {
	ids := make([]int64, len(list))
	for i, g := range list {
		ids[i] = g.ID
	}
	links := map[int64]int64{}
	err := t.all(ctx, `SELECT blob_id, count(*) FROM repository_blobs WHERE blob_id IN `+in()+` GROUP BY blob_id`, idArgs(ids), func(rows *sql.Rows) error {
		var id, n int64
		err := rows.Scan(&id, &n)
		links[id] = n
		return err
	})
	total := int64(0)
	for i, g := range list {
		if total += links[g.ID]; total > maxLinks && i > 0 {
			return list[:i], err
		}
	}
	return list, err
}

// RemoveBlobs drops blobs whose objects are gone, but for those that an upload
// revived. One that a sparse manifest came to name meanwhile is absent.
func (t *Tx) RemoveBlobs(ctx context.Context, ids []int64) error {
	return inBatches(ids, func(ids []int64) error {
		for _, statement := range []string{
			`DELETE FROM objects WHERE blob_id IN (SELECT id FROM blobs WHERE state = 1 AND id IN ` + in() + `)`,
			`DELETE FROM file_facts WHERE digest IN (SELECT digest FROM blobs WHERE state = 1 AND id IN ` + in() + `)`,
			`UPDATE blobs SET state = 3 WHERE state = 1 AND id IN ` + in() + ` AND EXISTS (SELECT 1 FROM manifest_blobs mb WHERE mb.blob_id = blobs.id)`,
			`DELETE FROM blobs WHERE state = 1 AND id IN ` + in(),
		} {
			if _, err := t.exec(ctx, statement, idArgs(ids)...); err != nil {
				return err
			}
		}
		return nil
	})
}

// Shown is a manifest that a repository shows.
type Shown struct {
	ID         int64 // of the membership
	Repository int64
	Digest     registry.Digest
	Manifest   int64     // its id
	Since      time.Time // of [queries.OrphanReferrers]: since when its subject is gone
}

// held is the condition of a membership p that something needs apart from tags: an
// index that lists it, open or not older than a time in the trash, or a release.
const held = `(EXISTS (SELECT 1 FROM manifest_children c JOIN memberships o ON o.manifest_id = c.manifest_id
		WHERE c.digest = p.digest AND o.repository_id = p.repository_id AND (o.until_gen IS NULL OR o.until_at >= ?))
	OR EXISTS (SELECT 1 FROM editions e JOIN releases l ON l.id = e.release_id
		WHERE e.manifest_id = p.manifest_id AND l.repository_id = p.repository_id AND l.withdrawn_at IS NULL))`

// untagged is the condition of a membership p that nothing has led to since
// before a time: no tag, and what held asks.
const untagged = ` AND p.until_gen IS NULL AND p.from_at < ? AND coalesce(p.untagged_at, 0) < ?
	AND EXISTS (SELECT 1 FROM manifests m WHERE m.id = p.manifest_id AND m.subject IS NULL)
	AND NOT EXISTS (SELECT 1 FROM tags t WHERE t.manifest_id = p.manifest_id AND t.repository_id = p.repository_id AND (t.until_gen IS NULL OR t.until_at >= ?))
	AND NOT ` + held

// Untagged lists the manifests of live repositories that are no referrers and
// that no tag, index or release has led to since before the given time, among
// the next page of memberships after the given one. last is where the page
// ends, 0 for the end of all.
func (q queries) Untagged(ctx context.Context, before time.Time, after int64, page int) (list []Shown, last int64, err error) {
	err = q.one(ctx, `SELECT coalesce(max(id), 0) FROM (SELECT id FROM memberships WHERE id > ? ORDER BY id LIMIT ?) AS page`, []any{after, page}, &last)
	if err != nil || last == 0 {
		return nil, last, err
	}
	ms := millis(before)
	list, err = q.shown(ctx, `SELECT p.id, p.repository_id, p.digest, p.manifest_id, 0 FROM memberships p JOIN repositories r ON r.id = p.repository_id
		WHERE p.id > ? AND p.id <= ? AND r.deleted_at IS NULL`+untagged+` ORDER BY p.id`, after, last, ms, ms, ms, ms)
	return list, last, err
}

// StillUntagged tells whether a membership is one that [queries.Untagged] lists.
func (t *Tx) StillUntagged(ctx context.Context, s Shown, before time.Time) (bool, error) {
	ms := millis(before)
	return t.exists(ctx, `SELECT 1 FROM memberships p WHERE p.id = ?`+untagged, s.ID, ms, ms, ms, ms)
}

// orphaned is the condition of a referrer p whose subject has been gone since
// before a time, and that nothing else needs. A tag by which clients find
// signatures does not count.
const orphaned = ` AND p.until_gen IS NULL AND p.orphaned_at < ?
	AND NOT EXISTS (SELECT 1 FROM tags t WHERE t.manifest_id = p.manifest_id AND t.repository_id = p.repository_id AND t.until_gen IS NULL
		AND t.name NOT LIKE 'sha256-%' AND t.name NOT LIKE 'sha512-%')
	AND NOT ` + held

// OrphanReferrers lists up to CollectBatch referrers of live repositories whose
// subject has been gone since before the given time, those after the given one.
func (q queries) OrphanReferrers(ctx context.Context, before time.Time, after Shown) ([]Shown, error) {
	since := int64(-1)
	if after.ID != 0 {
		since = millis(after.Since)
	}
	ms := millis(before)
	return q.shown(ctx, `SELECT p.id, p.repository_id, p.digest, p.manifest_id, p.orphaned_at FROM memberships p JOIN repositories r ON r.id = p.repository_id
		WHERE (p.orphaned_at, p.id) > (?, ?) AND r.deleted_at IS NULL`+orphaned+` ORDER BY p.orphaned_at, p.id LIMIT ?`, since, after.ID, ms, ms, CollectBatch)
}

// StillOrphan tells whether a membership is one that [queries.OrphanReferrers]
// lists.
func (t *Tx) StillOrphan(ctx context.Context, s Shown, before time.Time) (bool, error) {
	ms := millis(before)
	return t.exists(ctx, `SELECT 1 FROM memberships p WHERE p.id = ?`+orphaned, s.ID, ms, ms)
}

func (q queries) exists(ctx context.Context, query string, args ...any) (bool, error) {
	var one int
	err := q.one(ctx, query, args, &one)
	if errors.Is(err, ErrNotFound) {
		return false, nil
	}
	return err == nil, err
}

func (q queries) shown(ctx context.Context, query string, args ...any) ([]Shown, error) {
	var list []Shown
	err := q.all(ctx, query, args, func(rows *sql.Rows) error {
		var s Shown
		var since int64
		err := rows.Scan(&s.ID, &s.Repository, &s.Digest, &s.Manifest, &since)
		s.Since = time.UnixMilli(since).UTC()
		list = append(list, s)
		return err
	})
	return list, err
}

// UntaggedAfter returns how far the last passes looked for untagged manifests.
func (q queries) UntaggedAfter(ctx context.Context) (id int64, err error) {
	err = q.one(ctx, `SELECT untagged_after FROM collector WHERE id = 1`, nil, &id)
	return id, err
}

// SetUntaggedAfter notes how far memberships were looked at.
func (t *Tx) SetUntaggedAfter(ctx context.Context, id int64) error {
	_, err := t.exec(ctx, `UPDATE collector SET untagged_after = ? WHERE id = 1`, id)
	return err
}
