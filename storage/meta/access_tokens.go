package meta

import (
	"context"
	"database/sql"
	"time"
)

func (q queries) tokens(ctx context.Context, where string, args ...any) ([]Token, error) {
	var list []Token
	err := q.all(ctx, `SELECT id, principal_id, trust_id, hash, name, scope, subject, epoch, created_at, expires_at, revoked_at, last_used_at FROM tokens `+where, args, func(rows *sql.Rows) error {
		var t Token
		var principal, trust, revoked, used sql.NullInt64
		var scope sql.NullString
		var created, expires int64
		err := rows.Scan(&t.ID, &principal, &trust, &t.Hash, &t.Name, &scope, &t.Subject, &t.Epoch, &created, &expires, &revoked, &used)
		t.Principal, t.Trust, t.Scope = principal.Int64, trust.Int64, scope.String
		t.Created, t.Expires = time.UnixMilli(created).UTC(), time.UnixMilli(expires).UTC()
		t.Revoked, t.LastUsed = fromMillis(revoked), fromMillis(used)
		list = append(list, t)
		return err
	})
	return list, err
}

// Token finds a token by its public id.
func (q queries) Token(ctx context.Context, id string) (Token, error) {
	return first(q.tokens(ctx, `WHERE id = ?`, id))
}

// TokenByHash finds a token by the SHA-256 of its secret.
func (q queries) TokenByHash(ctx context.Context, hash []byte) (Token, error) {
	return first(q.tokens(ctx, `WHERE hash = ?`, hash))
}

// Tokens lists up to limit tokens of a principal by id, after the given one.
func (q queries) Tokens(ctx context.Context, principal int64, after string, limit int) ([]Token, error) {
	return q.tokens(ctx, `WHERE principal_id = ? AND id > ? ORDER BY id LIMIT ?`, principal, after, limitOrAll(limit))
}

// TokensOfTrust lists up to limit tokens that were had for a trust rule.
func (q queries) TokensOfTrust(ctx context.Context, trust int64, after string, limit int) ([]Token, error) {
	return q.tokens(ctx, `WHERE trust_id = ? AND id > ? ORDER BY id LIMIT ?`, trust, after, limitOrAll(limit))
}

// AddToken stores a new token.
func (t *Tx) AddToken(ctx context.Context, k Token) error {
	_, err := t.exec(ctx, `INSERT INTO tokens (id, principal_id, trust_id, hash, name, scope, subject, epoch, created_at, expires_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
		k.ID, orNone(k.Principal), orNone(k.Trust), k.Hash, k.Name, null(k.Scope), k.Subject, k.Epoch, millis(t.now), millis(k.Expires))
	return err
}

// RevokeToken ends a token at the given time, or when it ends anyway if that
// is earlier.
func (t *Tx) RevokeToken(ctx context.Context, id string, at time.Time) error {
	return t.must(ctx, `UPDATE tokens SET revoked_at = CASE WHEN revoked_at < ?1 THEN revoked_at ELSE ?1 END WHERE id = ?2`, millis(at), id)
}

// UseTokens notes when tokens were last used.
func (t *Tx) UseTokens(ctx context.Context, at map[string]time.Time) error {
	for id, when := range at {
		if _, err := t.exec(ctx, `UPDATE tokens SET last_used_at = ?1 WHERE id = ?2 AND coalesce(last_used_at, 0) < ?1`, millis(when), id); err != nil {
			return err
		}
	}
	return nil
}

// RemoveExpiredTokens removes up to limit tokens that expired before the given
// time, and returns how many. A revoked one stays until it would have expired.
func (t *Tx) RemoveExpiredTokens(ctx context.Context, before time.Time, limit int) (int64, error) {
	return t.changed(ctx, `DELETE FROM tokens WHERE id IN (SELECT id FROM tokens WHERE expires_at < ? LIMIT ?)`, millis(before), limit)
}
