package meta

import (
	"context"
	"database/sql"
	"errors"
	"iter"
	"strings"
	"time"

	"github.com/packhouse/packhouse/registry"
)

// Feeds lists all feeds, those of deleted namespaces, too.
func (q queries) Feeds(ctx context.Context) ([]registry.Feed, error) {
	var list []registry.Feed
	err := q.all(ctx, `SELECT f.id, n.name, f.format FROM feeds f JOIN namespaces n ON n.id = f.namespace_id ORDER BY n.name, f.format`, nil, func(rows *sql.Rows) error {
		var f registry.Feed
		err := rows.Scan(&f.ID, &f.Namespace, &f.Format)
		list = append(list, f)
		return err
	})
	return list, err
}

// Feed finds a feed's id, or returns ErrNotFound.
func (q queries) Feed(ctx context.Context, namespace, format string) (int64, error) {
	var id int64
	err := q.one(ctx, `SELECT f.id FROM feeds f JOIN namespaces n ON n.id = f.namespace_id WHERE n.name = ? AND f.format = ?`, []any{namespace, format}, &id)
	return id, err
}

// EnsureFeed finds or creates a feed, and the namespace it is in.
func (t *Tx) EnsureFeed(ctx context.Context, namespace, format string) (registry.Feed, error) {
	f := registry.Feed{Namespace: namespace, Format: format}
	n, err := t.ensureNamespace(ctx, namespace)
	if err != nil {
		return f, err
	}
	if _, err := t.exec(ctx, `INSERT INTO feeds (namespace_id, format, created_at) VALUES (?, ?, ?) ON CONFLICT DO NOTHING`, n, format, millis(t.now)); err != nil {
		return f, err
	}
	return f, t.one(ctx, `SELECT id FROM feeds WHERE namespace_id = ? AND format = ?`, []any{n, format}, &f.ID)
}

// InTheWay finds a live repository below the name of what is no feed yet that
// shows more than signatures and referrers, or ErrNotFound.
func (q queries) InTheWay(ctx context.Context, feed string) (registry.Repo, error) {
	var r registry.Repo
	err := q.one(ctx, `SELECT r.name FROM repositories r WHERE r.name > ?1 || '/' AND r.name < ?1 || '0' AND r.deleted_at IS NULL
		AND EXISTS (SELECT 1 FROM memberships p JOIN manifests m ON m.id = p.manifest_id
			WHERE p.repository_id = r.id AND p.until_gen IS NULL AND m.subject IS NULL
			AND NOT EXISTS (SELECT 1 FROM tags t WHERE t.repository_id = r.id AND t.manifest_id = m.id AND t.until_gen IS NULL
				AND substr(t.name, 1, 7) IN ('sha256-', 'sha512-'))) LIMIT 1`, []any{feed}, &r)
	return r, err
}

// SetPackage makes a repository one package of a feed.
func (t *Tx) SetPackage(ctx context.Context, r Repository, f registry.Feed, pkg string, bucket int) error {
	_, err := t.exec(ctx, `UPDATE repositories SET feed_id = ?, package = ?, bucket = ?,
		namespace_id = (SELECT namespace_id FROM feeds WHERE id = ?) WHERE id = ?`, f.ID, pkg, bucket, f.ID, r.ID)
	return err
}

// Touch notes that what a package's clients see changed now.
func (t *Tx) Touch(ctx context.Context, r Repository) error {
	_, err := t.exec(ctx, `UPDATE repositories SET changed_at = ? WHERE id = ?`, millis(t.now), r.ID)
	return err
}

// SetTerms stores what a search looks at.
func (t *Tx) SetTerms(ctx context.Context, r Repository, terms string) error {
	_, err := t.exec(ctx, `UPDATE repositories SET terms = ? WHERE id = ?`, terms, r.ID)
	return err
}

// livePackage is the condition of a package that a feed shows: r, with a release.
const livePackage = `r.package IS NOT NULL AND r.deleted_at IS NULL
	AND EXISTS (SELECT 1 FROM releases l WHERE l.repository_id = r.id AND l.withdrawn_at IS NULL)`

// Packages lists up to limit packages of a feed by name, after the given one.
func (q queries) Packages(ctx context.Context, feed int64, after string, limit int) ([]string, error) {
	return strs[string](q, ctx, `SELECT r.package FROM repositories r WHERE r.feed_id = ? AND r.package > ? AND `+livePackage+` ORDER BY r.package LIMIT ?`, feed, after, limit)
}

// Search lists up to limit packages of a feed whose terms contain each word,
// from offset by name, and how many there are.
func (q queries) Search(ctx context.Context, feed int64, words []string, offset, limit int) (names []string, total int, err error) {
	where := ` FROM repositories r WHERE r.feed_id = ? AND ` + livePackage + strings.Repeat(` AND replace(r.terms, ?, '') <> r.terms`, len(words))
	args := []any{feed}
	for _, w := range words {
		args = append(args, w)
	}
	if err := q.one(ctx, `SELECT count(*)`+where, args, &total); err != nil {
		return nil, 0, err
	}
	names, err = strs[string](q, ctx, `SELECT r.package`+where+` ORDER BY r.package LIMIT ? OFFSET ?`, append(args, limit, offset)...)
	return names, total, err
}

// Package describes the package that a live repository is. It returns
// ErrNotFound when it is none, or has no release.
func (q queries) Package(ctx context.Context, name registry.Repo) (registry.Package, error) {
	p := registry.Package{Repo: name, Labels: map[string]string{}}
	var id, created int64
	var changed sql.NullInt64
	err := q.one(ctx, `SELECT r.id, r.package, r.generation, (SELECT f.published_at FROM releases f WHERE f.repository_id = r.id ORDER BY f.id LIMIT 1), r.changed_at FROM repositories r WHERE r.name = ? AND `+livePackage,
		[]any{string(name)}, &id, &p.Name, &p.Generation, &created, &changed)
	if err != nil {
		return p, err
	}
	p.Created, p.Updated = time.UnixMilli(created).UTC(), fromMillis(changed)
	err = q.all(ctx, `SELECT DISTINCT t.name, l.version FROM tags t JOIN editions e ON e.manifest_id = t.manifest_id
		JOIN releases l ON l.id = e.release_id AND l.repository_id = t.repository_id
		WHERE t.repository_id = ? AND t.label = 1 AND t.until_gen IS NULL AND l.withdrawn_at IS NULL ORDER BY t.name`, []any{id}, func(rows *sql.Rows) error {
		var label, version string
		err := rows.Scan(&label, &version)
		p.Labels[label] = version
		return err
	})
	if err != nil {
		return p, err
	}
	p.State, err = q.State(ctx, id, "")
	return p, err
}

// State returns the state of a release, or of the package for tag "".
func (q queries) State(ctx context.Context, repository int64, tag registry.Tag) (map[string]string, error) {
	state := map[string]string{}
	err := q.all(ctx, `SELECT key, value FROM states WHERE repository_id = ? AND tag = ?`, []any{repository, string(tag)}, func(rows *sql.Rows) error {
		var k, v string
		err := rows.Scan(&k, &v)
		state[k] = v
		return err
	})
	return state, err
}

// SetState sets one key, or removes it for "".
func (t *Tx) SetState(ctx context.Context, repository int64, tag registry.Tag, key, value string) error {
	if value == "" {
		_, err := t.exec(ctx, `DELETE FROM states WHERE repository_id = ? AND tag = ? AND key = ?`, repository, string(tag), key)
		return err
	}
	_, err := t.exec(ctx, `INSERT INTO states (repository_id, tag, key, value) VALUES (?, ?, ?, ?) ON CONFLICT (repository_id, tag, key) DO UPDATE SET value = excluded.value`,
		repository, string(tag), key, value)
	return err
}

// ClearState removes all of a release's state.
func (t *Tx) ClearState(ctx context.Context, repository int64, tag registry.Tag) error {
	_, err := t.exec(ctx, `DELETE FROM states WHERE repository_id = ? AND tag = ?`, repository, string(tag))
	return err
}

// Fragment is one stored part of a document.
type Fragment struct {
	Repository registry.Repo
	Package    string
	Kind       string
	Version    string
	Published  time.Time
	Body       []byte
}

// Fragments yields the fragments of one kind of a repository in the order of
// first publication.
func (q queries) Fragments(ctx context.Context, name registry.Repo, kind string) iter.Seq2[Fragment, error] {
	return q.fragments(ctx, `SELECT r.name, r.package, f.kind, l.version, l.published_at, f.body FROM repositories r
		JOIN fragments f ON f.repository_id = r.id JOIN releases l ON l.id = f.release_id
		WHERE r.name = ? AND r.deleted_at IS NULL AND f.kind = ? ORDER BY f.release_id`, string(name), kind)
}

// FragmentOf returns one release's fragment, or ErrNotFound.
func (q queries) FragmentOf(ctx context.Context, name registry.Repo, kind string, tag registry.Tag) ([]byte, error) {
	var body []byte
	err := q.one(ctx, `SELECT f.body FROM repositories r
		JOIN fragments f ON f.repository_id = r.id AND f.kind = ?
			AND f.release_id = (SELECT l.id FROM releases l WHERE l.repository_id = r.id AND l.tag = ?)
		WHERE r.name = ? AND r.deleted_at IS NULL`, []any{kind, string(tag), string(name)}, &body)
	return body, err
}

// BucketFragments yields the fragments of some kinds of all packages in one
// bucket of a feed, by package, kind and publication.
func (q queries) BucketFragments(ctx context.Context, feed int64, bucket int, kinds []string) iter.Seq2[Fragment, error] {
	args := []any{feed, bucket}
	for _, k := range kinds {
		args = append(args, k)
	}
	in := strings.TrimSuffix(strings.Repeat("?, ", len(kinds)), ", ")
	return q.fragments(ctx, `SELECT r.name, r.package, f.kind, l.version, l.published_at, f.body FROM repositories r
		JOIN fragments f ON f.repository_id = r.id JOIN releases l ON l.id = f.release_id
		WHERE r.feed_id = ? AND r.bucket = ? AND r.package IS NOT NULL AND r.deleted_at IS NULL AND f.kind IN (`+in+`)
		ORDER BY r.package, r.id, f.kind, f.release_id`, args...)
}

// BucketStates returns the packages' own state of one bucket of a feed.
func (q queries) BucketStates(ctx context.Context, feed int64, bucket int) (map[registry.Repo]map[string]string, error) {
	states := map[registry.Repo]map[string]string{}
	err := q.all(ctx, `SELECT r.name, s.key, s.value FROM repositories r JOIN states s ON s.repository_id = r.id AND s.tag = ''
		WHERE r.feed_id = ? AND r.bucket = ? AND r.package IS NOT NULL AND r.deleted_at IS NULL`,
		[]any{feed, bucket}, func(rows *sql.Rows) error {
			var r registry.Repo
			var k, v string
			err := rows.Scan(&r, &k, &v)
			if states[r] == nil {
				states[r] = map[string]string{}
			}
			states[r][k] = v
			return err
		})
	return states, err
}

var errStopped = errors.New("stopped")

func (q queries) fragments(ctx context.Context, query string, args ...any) iter.Seq2[Fragment, error] {
	return func(yield func(Fragment, error) bool) {
		err := q.all(ctx, query, args, func(rows *sql.Rows) error {
			var f Fragment
			var published int64
			if err := rows.Scan(&f.Repository, &f.Package, &f.Kind, &f.Version, &published, &f.Body); err != nil {
				return err
			}
			f.Published = time.UnixMilli(published).UTC()
			if !yield(f, nil) {
				return errStopped
			}
			return nil
		})
		if err != nil && !errors.Is(err, errStopped) {
			yield(Fragment{}, err)
		}
	}
}

// SetFragment stores one fragment of a release; a nil body removes it.
func (t *Tx) SetFragment(ctx context.Context, repository, release int64, kind string, body []byte) error {
	if body == nil {
		_, err := t.exec(ctx, `DELETE FROM fragments WHERE repository_id = ? AND kind = ? AND release_id = ?`, repository, kind, release)
		return err
	}
	_, err := t.exec(ctx, `INSERT INTO fragments (repository_id, kind, release_id, body) VALUES (?, ?, ?, ?)
		ON CONFLICT (repository_id, kind, release_id) DO UPDATE SET body = excluded.body`, repository, kind, release, body)
	return err
}
