package meta

import (
	"context"
	"database/sql"
	"errors"
	"strings"
	"time"

	"github.com/packhouse/packhouse/registry"
)

// Repository is one repository, live or in the trash.
type Repository struct {
	ID         int64
	Name       registry.Repo
	Namespace  string // "" is the root namespace
	Generation int64
	Created    time.Time
	Deleted    time.Time // zero while live
	Feed       int64     // id of its feed, 0 for none
	Package    string    // native name, "" for a repository that is no package
	Visibility string    // public, private; "" for as above it

	NamespaceID, Incarnation int64  // its namespace's
	Creator                  string // the principal that made it
}

// Namespace is one namespace. Name "" is the root.
type Namespace struct {
	ID           int64
	Name         string
	Incarnation  int64  // counts how often the name was used anew
	Visibility   string // public, private; "" for as above it
	FirstPush    string // "" for who may create; admin for administrators alone
	Repositories int    // live ones
	Created      time.Time
	Deleted      time.Time // zero while live
}

const selectRepository = `SELECT r.id, r.name, n.name, r.generation, r.created_at, r.deleted_at, r.feed_id, r.package, r.visibility, n.id, n.incarnation, r.created_by
	FROM repositories r JOIN namespaces n ON n.id = r.namespace_id `

func scanRepository(scan func(...any) error) (Repository, error) {
	var r Repository
	var created int64
	var deleted, feed sql.NullInt64
	var pkg sql.NullString
	if err := scan(&r.ID, &r.Name, &r.Namespace, &r.Generation, &created, &deleted, &feed, &pkg, &r.Visibility, &r.NamespaceID, &r.Incarnation, &r.Creator); err != nil {
		return Repository{}, err
	}
	r.Feed, r.Package = feed.Int64, pkg.String
	r.Created, r.Deleted = time.UnixMilli(created).UTC(), fromMillis(deleted)
	return r, nil
}

// Repository finds a live repository.
func (q queries) Repository(ctx context.Context, name registry.Repo) (Repository, error) {
	return scanRepository(func(dest ...any) error {
		return q.one(ctx, selectRepository+`WHERE r.name = ? AND r.deleted_at IS NULL`, []any{string(name)}, dest...)
	})
}

// Repositories lists up to limit live repositories by name, after the given one.
func (q queries) Repositories(ctx context.Context, after registry.Repo, limit int) ([]Repository, error) {
	return q.repositories(ctx, `WHERE r.name > ? AND r.deleted_at IS NULL ORDER BY r.name LIMIT ?`, string(after), limit)
}

// RepositoriesOf lists the live repositories of a namespace by name.
func (q queries) RepositoriesOf(ctx context.Context, namespace string) ([]Repository, error) {
	return q.repositories(ctx, `WHERE n.name = ? AND r.deleted_at IS NULL ORDER BY r.name`, namespace)
}

// DeletedRepositories lists the repositories in the trash, the latest deleted
// first, but for those whose removal began.
func (q queries) DeletedRepositories(ctx context.Context) ([]Repository, error) {
	return q.repositories(ctx, `WHERE r.deleted_at IS NOT NULL AND r.purged_at IS NULL ORDER BY r.deleted_at DESC, r.id DESC`)
}

func (q queries) repositories(ctx context.Context, where string, args ...any) ([]Repository, error) {
	var list []Repository
	err := q.all(ctx, selectRepository+where, args, func(rows *sql.Rows) error {
		r, err := scanRepository(rows.Scan)
		list = append(list, r)
		return err
	})
	return list, err
}

// RepositoryNames lists up to limit live names after the given one.
func (q queries) RepositoryNames(ctx context.Context, after registry.Repo, limit int) ([]registry.Repo, error) {
	return strs[registry.Repo](q, ctx, `SELECT name FROM repositories WHERE name > ? AND deleted_at IS NULL ORDER BY name LIMIT ?`, string(after), limit)
}

// strs collects a query's one text column.
func strs[S ~string](q queries, ctx context.Context, query string, args ...any) ([]S, error) {
	var list []S
	err := q.all(ctx, query, args, func(rows *sql.Rows) error {
		var s string
		err := rows.Scan(&s)
		list = append(list, S(s))
		return err
	})
	return list, err
}

// ids collects a query's one integer column.
func (q queries) ids(ctx context.Context, query string, args ...any) ([]int64, error) {
	var list []int64
	err := q.all(ctx, query, args, func(rows *sql.Rows) error {
		var id int64
		err := rows.Scan(&id)
		list = append(list, id)
		return err
	})
	return list, err
}

// EnsureRepository finds the live repository name or creates it, in the
// longest namespace that is a prefix of its name. A first push to a name with
// more than one segment makes its first segment a namespace.
func (t *Tx) EnsureRepository(ctx context.Context, name registry.Repo) (Repository, error) {
	r, err := t.Repository(ctx, name)
	if !errors.Is(err, ErrNotFound) {
		return r, err
	}
	namespace, err := t.namespaceFor(ctx, string(name))
	if err != nil {
		return Repository{}, err
	}
	_, err = t.exec(ctx, `INSERT INTO repositories (namespace_id, name, created_by, created_at) VALUES (?, ?, ?, ?)`,
		namespace, string(name), registry.CallerOf(ctx).Principal, millis(t.now))
	if err != nil {
		return Repository{}, err
	}
	return t.Repository(ctx, name)
}

func (t *Tx) namespaceFor(ctx context.Context, repo string) (int64, error) {
	id, err := t.liveNamespace(ctx, repo)
	if err != nil || id != 0 {
		return id, err
	}
	top, _, nested := strings.Cut(repo, "/")
	if !nested {
		top = ""
	}
	return t.ensureNamespace(ctx, top)
}

// liveNamespace finds the longest live namespace that is above a repository's
// name, or, for one segment, the root; 0 for none.
func (q queries) liveNamespace(ctx context.Context, repo string) (int64, error) {
	for i := strings.LastIndexByte(repo, '/'); ; {
		var id int64
		err := q.one(ctx, `SELECT id FROM namespaces WHERE name = ? AND deleted_at IS NULL`, []any{repo[:max(i, 0)]}, &id)
		if !errors.Is(err, ErrNotFound) {
			return id, err
		}
		if i >= 0 {
			i = strings.LastIndexByte(repo[:i], '/')
		}
		if i < 0 {
			return 0, nil
		}
	}
}

// ensureNamespace finds a live namespace or makes it. A name that is used
// again after its deletion is another namespace: see [Tx.reincarnate].
func (t *Tx) ensureNamespace(ctx context.Context, name string) (int64, error) {
	if _, err := t.exec(ctx, `INSERT INTO namespaces (name, created_at) VALUES (?, ?) ON CONFLICT (name) DO NOTHING`, name, millis(t.now)); err != nil {
		return 0, err
	}
	var id int64
	var deleted bool
	if err := t.one(ctx, `SELECT id, deleted_at IS NOT NULL FROM namespaces WHERE name = ?`, []any{name}, &id, &deleted); err != nil {
		return 0, err
	}
	if deleted {
		return id, t.reincarnate(ctx, id)
	}
	return id, nil
}

// NextGeneration counts one change of a repository. It is the last statement
// of a change, since it is the row that writers meet on.
func (t *Tx) NextGeneration(ctx context.Context, r Repository) error {
	_, err := t.exec(ctx, `UPDATE repositories SET generation = generation + 1 WHERE id = ?`, r.ID)
	return err
}

// DeleteRepository moves a live repository to the trash.
func (t *Tx) DeleteRepository(ctx context.Context, r Repository) error {
	_, err := t.exec(ctx, `UPDATE repositories SET deleted_at = ?, generation = generation + 1 WHERE id = ?`, millis(t.now), r.ID)
	if err != nil || r.Visibility == "" {
		return err
	}
	return t.TouchAccess(ctx)
}

// RestoreRepository takes a repository out of the trash, and its namespace as
// it was, with what was granted in it. The caller has made sure that its name
// is free.
func (t *Tx) RestoreRepository(ctx context.Context, r Repository) error {
	back, err := t.changed(ctx, `UPDATE namespaces SET deleted_at = NULL WHERE id = ? AND deleted_at IS NOT NULL`, r.NamespaceID)
	if err != nil {
		return err
	}
	_, err = t.exec(ctx, `UPDATE repositories SET deleted_at = NULL, generation = generation + 1 WHERE id = ?`, r.ID)
	if err != nil || back == 0 && r.Visibility == "" {
		return err
	}
	return t.TouchAccess(ctx)
}

const selectNamespace = `SELECT n.id, n.name, n.incarnation, n.visibility, n.first_push, n.created_at, n.deleted_at,
	(SELECT count(*) FROM repositories r WHERE r.namespace_id = n.id AND r.deleted_at IS NULL) FROM namespaces n `

func (q queries) namespaces(ctx context.Context, where string, args ...any) ([]Namespace, error) {
	var list []Namespace
	err := q.all(ctx, selectNamespace+where, args, func(rows *sql.Rows) error {
		var n Namespace
		var created int64
		var deleted sql.NullInt64
		if err := rows.Scan(&n.ID, &n.Name, &n.Incarnation, &n.Visibility, &n.FirstPush, &created, &deleted, &n.Repositories); err != nil {
			return err
		}
		n.Created, n.Deleted = time.UnixMilli(created).UTC(), fromMillis(deleted)
		list = append(list, n)
		return nil
	})
	return list, err
}

// Namespaces lists all namespaces by name, deleted ones included.
func (q queries) Namespaces(ctx context.Context) ([]Namespace, error) {
	return q.namespaces(ctx, `ORDER BY n.name`)
}

// Namespace finds a live namespace.
func (q queries) Namespace(ctx context.Context, name string) (Namespace, error) {
	return first(q.namespaces(ctx, `WHERE n.name = ? AND n.deleted_at IS NULL`, name))
}

// DeleteNamespace marks a namespace deleted, which makes what was granted in
// it void; its repositories are the caller's affair.
func (t *Tx) DeleteNamespace(ctx context.Context, name string) error {
	err := t.must(ctx, `UPDATE namespaces SET deleted_at = ? WHERE name = ? AND deleted_at IS NULL`, millis(t.now), name)
	if err != nil {
		return err
	}
	return t.TouchAccess(ctx)
}

// Usage is what a repository holds.
type Usage struct {
	Tags, Manifests, Blobs int64
	Bytes                  int64 // of its blobs, each counted once
}

// Usage counts what a repository shows now.
func (q queries) Usage(ctx context.Context, repository int64) (Usage, error) {
	var u Usage
	err := q.one(ctx, `SELECT
		(SELECT count(*) FROM tags WHERE repository_id = ?1 AND until_gen IS NULL),
		(SELECT count(*) FROM memberships WHERE repository_id = ?1 AND until_gen IS NULL),
		(SELECT count(*) FROM repository_blobs WHERE repository_id = ?1),
		(SELECT coalesce(sum(b.size), 0) FROM repository_blobs rb JOIN blobs b ON b.id = rb.blob_id WHERE rb.repository_id = ?1)`,
		[]any{repository}, &u.Tags, &u.Manifests, &u.Blobs, &u.Bytes)
	return u, err
}
