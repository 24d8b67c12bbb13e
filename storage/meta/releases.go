package meta

import (
	"context"
	"database/sql"
	"encoding/json"
	"strings"
	"time"

	"github.com/packhouse/packhouse/registry"
)

// Release is one row of a version.
type Release struct {
	ID          int64
	Repository  int64
	Version     string
	Tag         registry.Tag
	Manifest    int64 // id of the latest edition, 0 once that is collected
	Published   time.Time
	Updated     time.Time
	Withdrawn   time.Time // zero while it is there
	Reason      string
	StatusCount int64
	Signature   *registry.Signature
	Facts       registry.Facts
}

const selectRelease = `SELECT l.id, l.repository_id, l.version, l.tag, l.manifest_id, l.published_at, l.updated_at, l.withdrawn_at, l.reason,
	l.status_count, l.signature, l.facts FROM releases l `

func scanRelease(scan func(...any) error) (Release, error) {
	var l Release
	var published, updated int64
	var manifest, withdrawn sql.NullInt64
	var reason, signature, facts sql.NullString
	if err := scan(&l.ID, &l.Repository, &l.Version, &l.Tag, &manifest, &published, &updated, &withdrawn, &reason, &l.StatusCount, &signature, &facts); err != nil {
		return l, err
	}
	l.Manifest, l.Reason = manifest.Int64, reason.String
	l.Published, l.Updated, l.Withdrawn = time.UnixMilli(published).UTC(), time.UnixMilli(updated).UTC(), fromMillis(withdrawn)
	if signature.Valid {
		if err := json.Unmarshal([]byte(signature.String), &l.Signature); err != nil {
			return l, err
		}
	}
	if facts.Valid {
		return l, json.Unmarshal([]byte(facts.String), &l.Facts)
	}
	return l, nil
}

// Release finds a release of a live repository by its tag, withdrawn or not.
func (q queries) Release(ctx context.Context, name registry.Repo, tag registry.Tag) (Release, error) {
	return scanRelease(func(dest ...any) error {
		return q.one(ctx, selectRelease+`JOIN repositories r ON r.id = l.repository_id
			WHERE r.name = ? AND r.deleted_at IS NULL AND l.tag = ?`, []any{string(name), string(tag)}, dest...)
	})
}

// ReleaseOf finds the release of a live repository that manifest d is an
// edition of.
func (q queries) ReleaseOf(ctx context.Context, name registry.Repo, d registry.Digest) (Release, error) {
	return scanRelease(func(dest ...any) error {
		return q.one(ctx, selectRelease+`JOIN repositories r ON r.id = l.repository_id
			WHERE r.name = ? AND r.deleted_at IS NULL AND l.id IN (SELECT e.release_id FROM manifests m JOIN editions e ON e.manifest_id = m.id WHERE m.digest = ?)`, []any{string(name), d.String()}, dest...)
	})
}

// NewestRelease finds the release of a live repository that was published
// last and is not withdrawn.
func (q queries) NewestRelease(ctx context.Context, name registry.Repo) (Release, error) {
	return scanRelease(func(dest ...any) error {
		return q.one(ctx, selectRelease+`JOIN repositories r ON r.id = l.repository_id
			WHERE r.name = ? AND r.deleted_at IS NULL AND l.withdrawn_at IS NULL ORDER BY l.id DESC LIMIT 1`, []any{string(name)}, dest...)
	})
}

// Releases lists up to limit releases of all live repositories by id, after
// the given one.
func (q queries) Releases(ctx context.Context, after int64, limit int) ([]Release, error) {
	var list []Release
	err := q.all(ctx, selectRelease+`JOIN repositories r ON r.id = l.repository_id AND r.deleted_at IS NULL WHERE l.id > ? ORDER BY l.id LIMIT ?`, []any{after, limit}, func(rows *sql.Rows) error {
		l, err := scanRelease(rows.Scan)
		list = append(list, l)
		return err
	})
	return list, err
}

// ReleaseTotal counts all releases of live repositories.
func (q queries) ReleaseTotal(ctx context.Context) (int64, error) {
	var n int64
	err := q.one(ctx, `SELECT count(*) FROM releases l JOIN repositories r ON r.id = l.repository_id AND r.deleted_at IS NULL`, nil, &n)
	return n, err
}

// RepositoryByID finds a live repository.
func (q queries) RepositoryByID(ctx context.Context, id int64) (Repository, error) {
	return scanRepository(func(dest ...any) error {
		return q.one(ctx, selectRepository+`WHERE r.id = ? AND r.deleted_at IS NULL`, []any{id}, dest...)
	})
}

// Versions lists a live repository's releases in the order of first
// publication.
func (q queries) Versions(ctx context.Context, name registry.Repo) ([]registry.Version, error) {
	var list []registry.Version
	err := q.all(ctx, `SELECT l.version, l.tag, l.published_at, l.withdrawn_at, l.incomplete FROM releases l
		JOIN repositories r ON r.id = l.repository_id WHERE r.name = ? AND r.deleted_at IS NULL ORDER BY l.id`, []any{string(name)}, func(rows *sql.Rows) error {
		var v registry.Version
		var published int64
		var withdrawn sql.NullInt64
		err := rows.Scan(&v.Version, &v.Tag, &published, &withdrawn, &v.Incomplete)
		v.Published, v.Withdrawn = time.UnixMilli(published).UTC(), fromMillis(withdrawn)
		list = append(list, v)
		return err
	})
	return list, err
}

// ManifestByID finds a stored manifest.
func (q queries) ManifestByID(ctx context.Context, id int64) (Manifest, error) {
	return scanManifest(func(dest ...any) error { return q.one(ctx, selectManifest+`WHERE m.id = ?`, []any{id}, dest...) })
}

// Editions lists the manifests of a release by id.
func (q queries) Editions(ctx context.Context, release int64) ([]Child, error) {
	var list []Child
	err := q.all(ctx, `SELECT m.id, m.digest FROM editions e JOIN manifests m ON m.id = e.manifest_id WHERE e.release_id = ? ORDER BY m.id`, []any{release}, func(rows *sql.Rows) error {
		var c Child
		err := rows.Scan(&c.ID, &c.Digest)
		list = append(list, c)
		return err
	})
	return list, err
}

// FilesAdded returns when a release first had each of its files.
func (q queries) FilesAdded(ctx context.Context, release int64) (map[string]time.Time, error) {
	added := map[string]time.Time{}
	err := q.all(ctx, `SELECT name, added_at FROM release_files WHERE release_id = ?`, []any{release}, func(rows *sql.Rows) error {
		var name string
		var at int64
		err := rows.Scan(&name, &at)
		added[name] = time.UnixMilli(at).UTC()
		return err
	})
	return added, err
}

// AddRelease creates a release and returns its id.
func (t *Tx) AddRelease(ctx context.Context, r Repository, version string, tag registry.Tag, published time.Time) (int64, error) {
	return t.insert(ctx, `INSERT INTO releases (repository_id, version, tag, published_at, updated_at) VALUES (?, ?, ?, ?, ?)`,
		r.ID, version, string(tag), millis(published), millis(published))
}

// AddEdition makes a manifest one of a release's.
func (t *Tx) AddEdition(ctx context.Context, release, manifest int64) error {
	_, err := t.exec(ctx, `INSERT INTO editions (release_id, manifest_id) VALUES (?, ?) ON CONFLICT DO NOTHING`, release, manifest)
	return err
}

// SetRelease makes manifest the latest edition, and adds the names of files
// that are new in it.
func (t *Tx) SetRelease(ctx context.Context, release, manifest int64, files []string, at time.Time) error {
	if _, err := t.exec(ctx, `UPDATE releases SET manifest_id = ?, updated_at = ? WHERE id = ?`, manifest, millis(at), release); err != nil {
		return err
	}
	for _, name := range files {
		if _, err := t.exec(ctx, `INSERT INTO release_files (release_id, name, added_at) VALUES (?, ?, ?) ON CONFLICT DO NOTHING`, release, name, millis(at)); err != nil {
			return err
		}
	}
	return t.AddEdition(ctx, release, manifest)
}

// SetFacts stores what was derived of a release.
func (t *Tx) SetFacts(ctx context.Context, release int64, f registry.Facts) error {
	text, err := encode(f)
	if err != nil {
		return err
	}
	_, err = t.exec(ctx, `UPDATE releases SET facts = ?, incomplete = ? WHERE id = ?`, text, f.Incomplete, release)
	return err
}

// SetSignature stores the registry's signature of a release.
func (t *Tx) SetSignature(ctx context.Context, release int64, s registry.Signature) error {
	b, err := json.Marshal(s)
	if err != nil {
		return err
	}
	_, err = t.exec(ctx, `UPDATE releases SET signature = ? WHERE id = ?`, string(b), release)
	return err
}

// SetStatusCount stores how often a release's state was changed.
func (t *Tx) SetStatusCount(ctx context.Context, release, count int64) error {
	_, err := t.exec(ctx, `UPDATE releases SET status_count = ? WHERE id = ?`, count, release)
	return err
}

// WithdrawRelease turns a release into a tombstone. Names and memberships are
// the caller's to close.
func (t *Tx) WithdrawRelease(ctx context.Context, release int64, reason string) error {
	if _, err := t.exec(ctx, `DELETE FROM fragments WHERE release_id = ?1 AND repository_id = (SELECT repository_id FROM releases WHERE id = ?1)`, release); err != nil {
		return err
	}
	_, err := t.exec(ctx, `UPDATE releases SET withdrawn_at = ?, reason = ? WHERE id = ?`, millis(t.now), reason, release)
	return err
}

// ReviveRelease undoes WithdrawRelease.
func (t *Tx) ReviveRelease(ctx context.Context, release int64) error {
	_, err := t.exec(ctx, `UPDATE releases SET withdrawn_at = NULL, reason = NULL WHERE id = ?`, release)
	return err
}

// encode writes JSON without the escapes that only HTML needs: clients get
// parts of it as they are.
func encode(v any) (string, error) {
	var b strings.Builder
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	err := enc.Encode(v)
	return strings.TrimSuffix(b.String(), "\n"), err
}

// FileFacts returns what was found out about one file by one version of a
// format's parser, or ErrNotFound.
func (q queries) FileFacts(ctx context.Context, format string, parser int, f registry.File) (facts registry.FileFacts, err error) {
	var text string
	if err = q.one(ctx, `SELECT facts FROM file_facts WHERE digest = ? AND format = ? AND parser = ? AND name = ? AND media_type = ?`,
		[]any{f.Digest.String(), format, parser, f.Name, f.MediaType}, &text); err != nil {
		return facts, err
	}
	return facts, json.Unmarshal([]byte(text), &facts)
}

// AddFileFacts stores f.Facts.
func (t *Tx) AddFileFacts(ctx context.Context, format string, parser int, f registry.File) error {
	text, err := encode(f.Facts)
	if err != nil {
		return err
	}
	_, err = t.exec(ctx, `INSERT INTO file_facts (digest, format, parser, name, media_type, facts) VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (digest, format, parser, name, media_type) DO UPDATE SET facts = excluded.facts`,
		f.Digest.String(), format, parser, f.Name, f.MediaType, text)
	return err
}

// SigningKey is one of the registry's own keys.
type SigningKey struct {
	ID              string
	Private, Public []byte // PKCS #8 and SPKI, DER
}

// SigningKeys lists the registry's keys, the newest first.
func (q queries) SigningKeys(ctx context.Context) ([]SigningKey, error) {
	var list []SigningKey
	err := q.all(ctx, `SELECT id, private, public FROM signing_keys ORDER BY created_at DESC, id`, nil, func(rows *sql.Rows) error {
		var k SigningKey
		err := rows.Scan(&k.ID, &k.Private, &k.Public)
		list = append(list, k)
		return err
	})
	return list, err
}

// SetSigningKey stores a key's private part anew.
func (t *Tx) SetSigningKey(ctx context.Context, k SigningKey) error {
	_, err := t.exec(ctx, `UPDATE signing_keys SET private = ? WHERE id = ?`, k.Private, k.ID)
	return err
}

// AddSigningKey stores a key.
func (t *Tx) AddSigningKey(ctx context.Context, k SigningKey) error {
	_, err := t.exec(ctx, `INSERT INTO signing_keys (id, private, public, created_at) VALUES (?, ?, ?, ?)`, k.ID, k.Private, k.Public, millis(t.now))
	return err
}

// LabelsOf lists the labels that point to a release's editions.
func (q queries) LabelsOf(ctx context.Context, r Repository, release int64) ([]registry.Tag, error) {
	return strs[registry.Tag](q, ctx, `SELECT t.name FROM tags t WHERE t.repository_id = ? AND t.label = 1 AND t.until_gen IS NULL
		AND EXISTS (SELECT 1 FROM editions e WHERE e.manifest_id = t.manifest_id AND e.release_id = ?) ORDER BY t.name`, r.ID, release)
}
