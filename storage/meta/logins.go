package meta

import (
	"context"
	"database/sql"
	"time"
)

// Login is a log-in that began at a client and goes on in a browser.
type Login struct {
	ID        string
	Secret    []byte // SHA-256 of what the client has the token for
	Client    string
	Address   string
	Principal int64 // who said yes; 0 while nobody did
	Epoch     int64 // the principal's then
	Created   time.Time
	Expires   time.Time
}

const selectLogin = `SELECT id, secret, client, address, principal_id, epoch, created_at, expires_at FROM logins `

func (q queries) login(ctx context.Context, where string, args ...any) (Login, error) {
	var l Login
	var principal, epoch sql.NullInt64
	var created, expires int64
	err := q.one(ctx, selectLogin+where, args, &l.ID, &l.Secret, &l.Client, &l.Address, &principal, &epoch, &created, &expires)
	if err != nil {
		return Login{}, err
	}
	l.Principal, l.Epoch = principal.Int64, epoch.Int64
	l.Created, l.Expires = time.UnixMilli(created).UTC(), time.UnixMilli(expires).UTC()
	return l, nil
}

// Login finds a log-in that has not expired at the given time.
func (q queries) Login(ctx context.Context, id string, now time.Time) (Login, error) {
	return q.login(ctx, `WHERE id = ? AND expires_at > ?`, id, millis(now))
}

// AddLogin stores a new log-in in place of expired ones, unless there are
// total of them already, or perAddress from its address: then it returns false.
func (t *Tx) AddLogin(ctx context.Context, l Login, total, perAddress int) (bool, error) {
	if _, err := t.exec(ctx, `DELETE FROM logins WHERE expires_at <= ?`, millis(t.now)); err != nil {
		return false, err
	}
	n, err := t.changed(ctx, `INSERT INTO logins (id, secret, client, address, created_at, expires_at)
		SELECT ?1, ?2, ?3, ?4, ?5, ?6 WHERE (SELECT count(*) FROM logins) < ?7 AND (SELECT count(*) FROM logins WHERE address = ?4) < ?8`,
		l.ID, l.Secret, l.Client, l.Address, millis(t.now), millis(l.Expires), total, perAddress)
	return n == 1, err
}

// SendLogin notes that a log-in is at the OpenID Connect provider: the hash of
// the state that will come back, and, sealed, what the answer must fit. It
// replaces what was out before. It returns ErrNotFound for one that expired or
// was answered.
func (t *Tx) SendLogin(ctx context.Context, id string, state, provider []byte) error {
	return t.must(ctx, `UPDATE logins SET state = ?, provider = ? WHERE id = ? AND expires_at > ? AND principal_id IS NULL`,
		state, provider, id, millis(t.now))
}

// TakeState finds the log-in that a state was sent for, with what the answer
// must fit, and forgets both: a state is good for one answer.
func (t *Tx) TakeState(ctx context.Context, state []byte) (Login, []byte, error) {
	l, err := t.login(ctx, `WHERE state = ? AND expires_at > ? AND principal_id IS NULL`, state, millis(t.now))
	if err != nil {
		return Login{}, nil, err
	}
	var provider []byte
	if err := t.one(ctx, `SELECT provider FROM logins WHERE id = ?`, []any{l.ID}, &provider); err != nil {
		return Login{}, nil, err
	}
	return l, provider, t.must(ctx, `UPDATE logins SET state = NULL, provider = NULL WHERE id = ?`, l.ID)
}

// ApproveLogin notes who said yes. It returns ErrNotFound for a log-in that
// expired or was answered.
func (t *Tx) ApproveLogin(ctx context.Context, id string, principal int64) error {
	return t.must(ctx, `UPDATE logins SET principal_id = ?1, epoch = (SELECT epoch FROM principals WHERE id = ?1), state = NULL, provider = NULL
		WHERE id = ?2 AND expires_at > ?3 AND principal_id IS NULL`, principal, id, millis(t.now))
}

// RemoveLogin ends a log-in.
func (t *Tx) RemoveLogin(ctx context.Context, id string) error {
	return t.must(ctx, `DELETE FROM logins WHERE id = ?`, id)
}

// RenamePrincipal gives a principal another name, which must be free.
func (t *Tx) RenamePrincipal(ctx context.Context, id int64, name string) error {
	return t.must(ctx, `UPDATE principals SET name = ? WHERE id = ?`, name, id)
}
