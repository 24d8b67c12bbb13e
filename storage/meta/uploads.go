package meta

import (
	"context"
	"database/sql"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/packhouse/packhouse/registry"
)

// UploadSession is one open upload.
type UploadSession struct {
	ID         string
	Repository registry.Repo
	Principal  string // who began it
	Algorithm  digest.Algorithm
	HashState  []byte // nil before the first segment
	Segments   []Object
}

// Size is how many bytes are saved.
func (u UploadSession) Size() int64 {
	var n int64
	for _, s := range u.Segments {
		n += s.Size
	}
	return n
}

// Upload finds a session of a repository.
func (q queries) Upload(ctx context.Context, repository registry.Repo, id string) (UploadSession, error) {
	u := UploadSession{ID: id, Repository: repository}
	err := q.one(ctx, `SELECT algorithm, hash_state, principal FROM uploads WHERE id = ? AND repository = ?`, []any{id, string(repository)}, &u.Algorithm, &u.HashState, &u.Principal)
	if err != nil {
		return UploadSession{}, err
	}
	u.Segments, err = q.objects(ctx, `SELECT key, size FROM upload_segments WHERE upload_id = ? ORDER BY position`, id)
	return u, err
}

func (q queries) objects(ctx context.Context, query string, args ...any) ([]Object, error) {
	var list []Object
	err := q.all(ctx, query, args, func(rows *sql.Rows) error {
		var o Object
		err := rows.Scan(&o.Key, &o.Size)
		o.Saved = true
		list = append(list, o)
		return err
	})
	return list, err
}

// AddUpload opens a session.
func (t *Tx) AddUpload(ctx context.Context, u UploadSession) error {
	_, err := t.exec(ctx, `INSERT INTO uploads (id, repository, principal, algorithm, updated_at) VALUES (?, ?, ?, ?, ?)`,
		u.ID, string(u.Repository), u.Principal, u.Algorithm.String(), millis(t.now))
	return err
}

// AddSegment appends a stored object at position, if the session still has
// exactly that many. It returns ErrNotFound when it has not, or is gone:
// another request was faster; and ErrSwept.
func (t *Tx) AddSegment(ctx context.Context, id string, position int, o Object, hashState []byte) error {
	n, err := t.changed(ctx, `UPDATE uploads SET hash_state = ?, updated_at = ? WHERE id = ?
		AND ? = (SELECT count(*) FROM upload_segments WHERE upload_id = ?)`, hashState, millis(t.now), id, position, id)
	if err != nil {
		return err
	}
	if n == 0 {
		return ErrNotFound
	}
	if err := t.ours(ctx, o); err != nil {
		return err
	}
	_, err = t.exec(ctx, `INSERT INTO upload_segments (upload_id, position, key, size) VALUES (?, ?, ?, ?)`, id, position, o.Key, o.Size)
	return err
}

// RemoveUpload drops a session's rows, if it still has exactly that many
// segments (any number for -1). It returns ErrNotFound.
func (t *Tx) RemoveUpload(ctx context.Context, id string, segments int) error {
	var have int
	if err := t.one(ctx, `SELECT (SELECT count(*) FROM upload_segments WHERE upload_id = u.id) FROM uploads u WHERE u.id = ?`, []any{id}, &have); err != nil {
		return err
	}
	if segments >= 0 && have != segments {
		return ErrNotFound
	}
	if have > 0 {
		if _, err := t.exec(ctx, `DELETE FROM upload_segments WHERE upload_id = ?`, id); err != nil {
			return err
		}
	}
	_, err := t.exec(ctx, `DELETE FROM uploads WHERE id = ?`, id)
	return err
}

// IdleUploads lists up to limit sessions untouched since before the given time.
func (q queries) IdleUploads(ctx context.Context, before time.Time, limit int) ([]UploadSession, error) {
	var list []UploadSession
	err := q.all(ctx, `SELECT id, repository FROM uploads WHERE updated_at < ? ORDER BY updated_at LIMIT ?`, []any{millis(before), limit}, func(rows *sql.Rows) error {
		var u UploadSession
		err := rows.Scan(&u.ID, &u.Repository)
		list = append(list, u)
		return err
	})
	if err != nil {
		return nil, err
	}
	for i := range list {
		if list[i].Segments, err = q.objects(ctx, `SELECT key, size FROM upload_segments WHERE upload_id = ?`, list[i].ID); err != nil {
			return nil, err
		}
	}
	return list, nil
}
