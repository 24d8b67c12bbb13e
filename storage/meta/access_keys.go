package meta

import (
	"context"
	"database/sql"
	"time"
)

// SecretKey is one key pair of the server itself.
type SecretKey struct {
	ID      string
	Purpose string // jwt, checkpoint
	Private []byte // PKCS #8, DER, sealed
	Public  []byte // SPKI, DER
	Created time.Time
}

// SecretKeys lists the keys of a purpose, or, for "", all, the latest first.
func (q queries) SecretKeys(ctx context.Context, purpose string) ([]SecretKey, error) {
	var list []SecretKey
	err := q.all(ctx, `SELECT id, purpose, private, public, created_at FROM secret_keys WHERE ?1 = '' OR purpose = ?1 ORDER BY created_at DESC, id`, []any{purpose}, func(rows *sql.Rows) error {
		var k SecretKey
		var created int64
		err := rows.Scan(&k.ID, &k.Purpose, &k.Private, &k.Public, &created)
		k.Created = time.UnixMilli(created).UTC()
		list = append(list, k)
		return err
	})
	return list, err
}

// AddSecretKey stores a key, or returns false if there is one of its purpose
// that is not among known: somebody else made it meanwhile.
func (t *Tx) AddSecretKey(ctx context.Context, k SecretKey, known int) (bool, error) {
	n, err := t.changed(ctx, `INSERT INTO secret_keys (id, purpose, private, public, created_at)
		SELECT ?1, ?2, ?3, ?4, ?5 WHERE ?6 = (SELECT count(*) FROM secret_keys WHERE purpose = ?2)`,
		k.ID, k.Purpose, k.Private, k.Public, millis(t.now), known)
	return n == 1, err
}

// SetSecretKey replaces a key's sealed form.
func (t *Tx) SetSecretKey(ctx context.Context, id string, private []byte) error {
	return t.must(ctx, `UPDATE secret_keys SET private = ? WHERE id = ?`, private, id)
}
