package meta

import (
	"context"
	"database/sql"
	"time"
)

// The kinds of principal.
const (
	KindUser    = "user"
	KindService = "service"
)

// SourceLocal is the source of what was made here; others vouch for the rest.
const SourceLocal = "local"

const selectPrincipal = `SELECT id, kind, name, full_name, email, source, external_id, password, epoch, exempt, created_at, disabled_at, last_used_at FROM principals `

func scanPrincipal(scan func(...any) error) (Principal, error) {
	var p Principal
	var external, password sql.NullString
	var created int64
	var disabled, used sql.NullInt64
	err := scan(&p.ID, &p.Kind, &p.Name, &p.FullName, &p.Email, &p.Source, &external, &password, &p.Epoch, &p.Exempt, &created, &disabled, &used)
	if err != nil {
		return Principal{}, err
	}
	p.External, p.Password = external.String, password.String
	p.Created, p.Disabled, p.LastUsed = time.UnixMilli(created).UTC(), fromMillis(disabled), fromMillis(used)
	return p, nil
}

func (q queries) principal(ctx context.Context, where string, args ...any) (Principal, error) {
	return scanPrincipal(func(dest ...any) error { return q.one(ctx, selectPrincipal+where, args, dest...) })
}

func (q queries) principals(ctx context.Context, where string, args ...any) ([]Principal, error) {
	var list []Principal
	err := q.all(ctx, selectPrincipal+where, args, func(rows *sql.Rows) error {
		p, err := scanPrincipal(rows.Scan)
		list = append(list, p)
		return err
	})
	return list, err
}

// Principal finds a user or service account, with its password's hash.
func (q queries) Principal(ctx context.Context, kind, name string) (Principal, error) {
	return q.principal(ctx, `WHERE kind = ? AND name = ?`, kind, name)
}

// PrincipalByID finds a principal by its row, with its password's hash.
func (q queries) PrincipalByID(ctx context.Context, id int64) (Principal, error) {
	return q.principal(ctx, `WHERE id = ?`, id)
}

// PrincipalByExternal finds the user that an OIDC issuer vouches for.
func (q queries) PrincipalByExternal(ctx context.Context, external string) (Principal, error) {
	return q.principal(ctx, `WHERE external_id = ?`, external)
}

// Principals lists up to limit principals of a kind by name, after the given one.
func (q queries) Principals(ctx context.Context, kind, after string, limit int) ([]Principal, error) {
	return q.principals(ctx, `WHERE kind = ? AND name > ? ORDER BY name LIMIT ?`, kind, after, limit)
}

// nextEpoch is an epoch that no principal had before, not even one that was
// deleted and whose row number came back: each use of it goes with a
// [Tx.TouchAccess].
const nextEpoch = `(SELECT generation + 1 FROM access)`

// AddPrincipal stores a new principal and returns its row.
func (t *Tx) AddPrincipal(ctx context.Context, p Principal) (int64, error) {
	return t.insert(ctx, `INSERT INTO principals (kind, name, full_name, email, source, external_id, password, epoch, exempt, created_at)
		VALUES (?, ?, ?, ?, ?, ?, ?, `+nextEpoch+`, ?, ?)`,
		p.Kind, p.Name, p.FullName, p.Email, p.Source, null(p.External), null(p.Password), p.Exempt, millis(t.now))
}

// null turns "" into NULL.
func null(s string) sql.NullString { return sql.NullString{String: s, Valid: s != ""} }

// SetPrincipal stores what describes a principal: full name, e-mail, source,
// external id, and whether rate limits apply.
func (t *Tx) SetPrincipal(ctx context.Context, p Principal) error {
	return t.must(ctx, `UPDATE principals SET full_name = ?, email = ?, source = ?, external_id = ?, exempt = ? WHERE id = ?`,
		p.FullName, p.Email, p.Source, null(p.External), p.Exempt, p.ID)
}

// SetPassword stores a password's hash, "" for none. Unless tokens are kept, a
// new epoch ends all that were made before.
func (t *Tx) SetPassword(ctx context.Context, id int64, hash string, keepTokens bool) error {
	return t.must(ctx, `UPDATE principals SET password = ?, epoch = CASE WHEN ? = 1 THEN epoch ELSE `+nextEpoch+` END WHERE id = ?`,
		null(hash), keepTokens, id)
}

// SetDisabled takes all rights from a principal, or gives them back, and its
// tokens with them.
func (t *Tx) SetDisabled(ctx context.Context, id int64, disabled bool) error {
	if !disabled {
		return t.must(ctx, `UPDATE principals SET disabled_at = NULL WHERE id = ?`, id)
	}
	return t.must(ctx, `UPDATE principals SET disabled_at = coalesce(disabled_at, ?) WHERE id = ?`, millis(t.now), id)
}

// DeletePrincipal removes a principal with its tokens, grants and memberships.
func (t *Tx) DeletePrincipal(ctx context.Context, id int64) error {
	return t.must(ctx, `DELETE FROM principals WHERE id = ?`, id)
}

// UsePrincipals notes when principals were last seen.
func (t *Tx) UsePrincipals(ctx context.Context, at map[int64]time.Time) error {
	for id, when := range at {
		if _, err := t.exec(ctx, `UPDATE principals SET last_used_at = ?1 WHERE id = ?2 AND coalesce(last_used_at, 0) < ?1`, millis(when), id); err != nil {
			return err
		}
	}
	return nil
}

// must runs a statement that changes one row, or returns ErrNotFound.
func (t *Tx) must(ctx context.Context, query string, args ...any) error {
	n, err := t.changed(ctx, query, args...)
	if err == nil && n == 0 {
		return ErrNotFound
	}
	return err
}
