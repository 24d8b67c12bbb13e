package meta

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/packhouse/packhouse/registry"
)

// ErrQuota means that a namespace may not hold what a change would have added;
// the error is a [*QuotaError].
var ErrQuota = errors.New("quota is used up")

// QuotaError is an ErrQuota with its numbers.
type QuotaError struct {
	Namespace string // "" is the root namespace
	What      string // "bytes" or "manifests"
	Used      int64  // before the statement that was refused
	Wanted    int64  // what it would have added; 0 when nothing was tried yet
	Limit     int64
}

func (e *QuotaError) Error() string {
	return fmt.Sprintf("%v: namespace %q holds %d of %d %s, %d more are wanted", ErrQuota, e.Namespace, e.Used, e.Limit, e.What, e.Wanted)
}

// Is matches ErrQuota.
func (e *QuotaError) Is(target error) bool { return target == ErrQuota }

// quotaMark stands before the JSON of a QuotaError in what the triggers of
// migration 5 raise.
const quotaMark = "packhouse quota "

// quotaError reads what such a trigger raised; ok is false for another message.
func quotaError(message string) (e *QuotaError, ok bool) {
	_, text, found := strings.Cut(message, quotaMark)
	e = &QuotaError{}
	return e, found && json.NewDecoder(strings.NewReader(text)).Decode(e) == nil
}

// Quota is how much a namespace may hold; nil for no limit. One below what is
// there lets nothing grow until enough was deleted.
type Quota struct {
	Bytes, Manifests *int64
}

// SetQuota limits a live namespace. It returns ErrNotFound.
func (t *Tx) SetQuota(ctx context.Context, namespace string, q Quota) error {
	return t.must(ctx, `UPDATE namespaces SET quota_bytes = ?, quota_manifests = ? WHERE name = ? AND deleted_at IS NULL`, q.Bytes, q.Manifests, namespace)
}

// NamespaceUsage is what a namespace holds: what its repositories show and what
// can be restored to them, each blob and manifest once.
type NamespaceUsage struct {
	Namespace string
	Deleted   time.Time // zero while live; what is in the trash still counts
	Bytes     int64     // of blobs and manifests
	Manifests int64
	Quota     Quota
}

const selectUsage = `SELECT n.name, n.deleted_at, u.bytes, u.manifests, n.quota_bytes, n.quota_manifests
	FROM namespaces n JOIN namespace_usage u ON u.namespace_id = n.id `

func scanUsage(scan func(...any) error) (NamespaceUsage, error) {
	var u NamespaceUsage
	var deleted sql.NullInt64
	err := scan(&u.Namespace, &deleted, &u.Bytes, &u.Manifests, &u.Quota.Bytes, &u.Quota.Manifests)
	u.Deleted = fromMillis(deleted)
	return u, err
}

// NamespaceUsage finds a namespace, live or deleted. It returns ErrNotFound.
func (q queries) NamespaceUsage(ctx context.Context, namespace string) (NamespaceUsage, error) {
	return scanUsage(func(dest ...any) error {
		return q.one(ctx, selectUsage+`WHERE n.name = ?`, []any{namespace}, dest...)
	})
}

// NamespaceUsages lists all namespaces by name, deleted ones included.
func (q queries) NamespaceUsages(ctx context.Context) ([]NamespaceUsage, error) {
	var list []NamespaceUsage
	err := q.all(ctx, selectUsage+`ORDER BY n.name`, nil, func(rows *sql.Rows) error {
		u, err := scanUsage(rows.Scan)
		list = append(list, u)
		return err
	})
	return list, err
}

// QuotaReached returns a QuotaError when the namespace that repository r is in,
// or would be made in, cannot take one byte more: what is asked before a body
// is stored.
func (q queries) QuotaReached(ctx context.Context, r registry.Repo) error {
	var id int64
	err := q.one(ctx, `SELECT namespace_id FROM repositories WHERE name = ? AND deleted_at IS NULL`, []any{string(r)}, &id)
	if errors.Is(err, ErrNotFound) {
		id, err = q.liveNamespace(ctx, string(r))
	}
	if err != nil || id == 0 {
		return err
	}
	e := QuotaError{What: "bytes"}
	err = q.one(ctx, `SELECT n.name, u.bytes, n.quota_bytes FROM namespaces n JOIN namespace_usage u ON u.namespace_id = n.id
		WHERE n.id = ? AND u.bytes >= n.quota_bytes`, []any{id}, &e.Namespace, &e.Used, &e.Limit)
	switch {
	case errors.Is(err, ErrNotFound):
		return nil
	case err != nil:
		return err
	}
	return &e
}

// Shares tell what a namespace's usage is made of.
type Shares struct {
	// Live is what its repositories show.
	Live Share
	// Trash is what deleted and moved names alone still hold.
	Trash Share
	// Unreferenced are bytes of blobs that no manifest in it refers to: those
	// that wait for their manifest, or for the collector.
	Unreferenced int64
}

// Share is one part.
type Share struct{ Bytes, Manifests int64 }

// NamespaceShares computes a namespace's shares, which takes time by what it
// holds. It returns ErrNotFound.
func (q queries) NamespaceShares(ctx context.Context, namespace string) (Shares, error) {
	var s Shares
	var used int64
	err := q.one(ctx, `WITH held AS MATERIALIZED (
			SELECT h.manifest_id AS id, CASE WHEN EXISTS (SELECT 1 FROM memberships p JOIN repositories r ON r.id = p.repository_id
				WHERE p.manifest_id = h.manifest_id AND p.until_gen IS NULL AND r.deleted_at IS NULL AND r.namespace_id = h.namespace_id) THEN 1 ELSE 0 END AS live
			FROM namespace_manifests h WHERE h.namespace_id = (SELECT id FROM namespaces WHERE name = ?1)),
		referenced AS MATERIALIZED (
			SELECT mb.blob_id AS id, max(held.live) AS live FROM held JOIN manifest_blobs mb ON mb.manifest_id = held.id GROUP BY mb.blob_id),
		parts AS (
			SELECT held.live, length(m.raw) AS bytes, 1 AS manifests FROM held JOIN manifests m ON m.id = held.id
			UNION ALL
			SELECT referenced.live, b.size, 0 FROM referenced JOIN blobs b ON b.id = referenced.id
			JOIN namespace_blobs h ON h.blob_id = b.id AND h.namespace_id = (SELECT id FROM namespaces WHERE name = ?1))
		SELECT u.bytes,
			(SELECT coalesce(sum(bytes), 0) FROM parts WHERE live = 1), (SELECT coalesce(sum(manifests), 0) FROM parts WHERE live = 1),
			(SELECT coalesce(sum(bytes), 0) FROM parts WHERE live = 0), (SELECT coalesce(sum(manifests), 0) FROM parts WHERE live = 0)
		FROM namespaces n JOIN namespace_usage u ON u.namespace_id = n.id WHERE n.name = ?1`, []any{namespace},
		&used, &s.Live.Bytes, &s.Live.Manifests, &s.Trash.Bytes, &s.Trash.Manifests)
	s.Unreferenced = used - s.Live.Bytes - s.Trash.Bytes
	return s, err
}

// Drift is a count that is not what a recount finds.
type Drift struct {
	Namespace string
	What      string // "bytes", "manifests", "references of blob 7", "references of manifest 7"
	Counted   int64
	Found     int64
}

// RecountUsage counts everything again and returns where that differs from the
// counts that are kept. There is nothing, or there is a bug.
func (q queries) RecountUsage(ctx context.Context) ([]Drift, error) {
	var list []Drift
	// One statement, so that all of it is of one moment. The sums are of the
	// rows that were compared before them.
	err := q.all(ctx, `SELECT n.name, what, counted, found FROM (
			SELECT namespace_id AS ns, 'references of blob ' || blob_id AS what, refs AS counted, (
				SELECT count(*) FROM repository_blobs rb JOIN repositories r ON r.id = rb.repository_id
				WHERE rb.blob_id = h.blob_id AND r.namespace_id = h.namespace_id) AS found FROM namespace_blobs h
			UNION ALL
			SELECT r.namespace_id, 'references of blob ' || rb.blob_id, 0, 1 FROM repository_blobs rb
			JOIN repositories r ON r.id = rb.repository_id
			LEFT JOIN namespace_blobs h ON h.namespace_id = r.namespace_id AND h.blob_id = rb.blob_id WHERE h.refs IS NULL
			UNION ALL
			SELECT namespace_id, 'references of manifest ' || manifest_id, refs, (
				SELECT count(*) FROM memberships p JOIN repositories r ON r.id = p.repository_id
				WHERE p.manifest_id = h.manifest_id AND r.namespace_id = h.namespace_id) FROM namespace_manifests h
			UNION ALL
			SELECT r.namespace_id, 'references of manifest ' || p.manifest_id, 0, 1 FROM memberships p
			JOIN repositories r ON r.id = p.repository_id
			LEFT JOIN namespace_manifests h ON h.namespace_id = r.namespace_id AND h.manifest_id = p.manifest_id WHERE h.refs IS NULL
			UNION ALL
			SELECT namespace_id, 'bytes', bytes, (
				SELECT coalesce(sum(b.size), 0) FROM namespace_blobs h JOIN blobs b ON b.id = h.blob_id WHERE h.namespace_id = u.namespace_id) + (
				SELECT coalesce(sum(length(m.raw)), 0) FROM namespace_manifests h JOIN manifests m ON m.id = h.manifest_id WHERE h.namespace_id = u.namespace_id)
			FROM namespace_usage u
			UNION ALL
			SELECT namespace_id, 'manifests', manifests, (SELECT count(*) FROM namespace_manifests h WHERE h.namespace_id = u.namespace_id)
			FROM namespace_usage u) c
		JOIN namespaces n ON n.id = ns WHERE counted <> found ORDER BY n.name, what`, nil, func(rows *sql.Rows) error {
		var d Drift
		err := rows.Scan(&d.Namespace, &d.What, &d.Counted, &d.Found)
		list = append(list, d)
		return err
	})
	return list, err
}

// OpenUploads counts the upload sessions that principal began and those of
// repository r, neither further than most.
func (q queries) OpenUploads(ctx context.Context, principal string, r registry.Repo, most int) (ofPrincipal, ofRepository int, err error) {
	err = q.one(ctx, `SELECT (SELECT count(*) FROM (SELECT 1 FROM uploads WHERE principal = ?1 LIMIT ?3) p),
		(SELECT count(*) FROM (SELECT 1 FROM uploads WHERE repository = ?2 LIMIT ?3) r)`, []any{principal, string(r), most}, &ofPrincipal, &ofRepository)
	return ofPrincipal, ofRepository, err
}
