package meta

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"time"
)

// ErrSwept means that a commit named storage keys which were given up: whoever
// reserved them had not been heard of for long, and what nobody named is
// deleted. The content must be stored again under other keys.
var ErrSwept = errors.New("storage keys were given up")

// Block is 256 storage keys that one process reserved before it used any.
type Block struct {
	Token string
	Owner string // the replica
}

// BlockSize is how many keys are in a block.
const BlockSize = 256

// ObjectKey is key n of a block: /objects/<first two of token>/<token>-<00…ff>.
func ObjectKey(token string, n int) string {
	return fmt.Sprintf("%s%02x", keyPrefix(token), n)
}

func keyPrefix(token string) string { return "/objects/" + token[:2] + "/" + token + "-" }

// tokenOf undoes ObjectKey; ok is false for keys that were never reserved:
// those of inline content and of what was adopted.
func tokenOf(key string) (token string, ok bool) {
	rest, own := strings.CutPrefix(key, "/objects/")
	if !own || len(rest) < len("xx/-nn") {
		return "", false
	}
	token = rest[len("xx/") : len(rest)-len("-nn")]
	return token, token != "" && key[:len(key)-2] == keyPrefix(token)
}

// ReserveBlock makes a token's keys owner's before any of them is written.
func (t *Tx) ReserveBlock(ctx context.Context, token, owner string) error {
	_, err := t.exec(ctx, `INSERT INTO object_blocks (token, reserved_at, owner) VALUES (?, ?, ?)`, token, millis(t.now), owner)
	return err
}

// Blocks lists all blocks that are not forgotten yet.
func (q queries) Blocks(ctx context.Context) ([]Block, error) {
	return q.blocks(ctx, `SELECT token, owner FROM object_blocks ORDER BY reserved_at, token`)
}

// lostBlock is the condition of a block that nobody uses: its owner is not
// this replica, and has not beaten since a time, or it was given up before.
const lostBlock = `(swept_at IS NOT NULL OR owner <> ? AND NOT EXISTS (SELECT 1 FROM replicas r WHERE r.id = object_blocks.owner AND r.seen_at >= ?))`

// LostBlocks lists the blocks to sweep: those of replicas other than self that
// have not beaten since the given time, and those that were given up before.
func (q queries) LostBlocks(ctx context.Context, self string, since time.Time) ([]Block, error) {
	return q.blocks(ctx, `SELECT token, owner FROM object_blocks WHERE `+lostBlock+` ORDER BY reserved_at, token`, self, millis(since))
}

func (q queries) blocks(ctx context.Context, query string, args ...any) ([]Block, error) {
	var list []Block
	err := q.all(ctx, query, args, func(rows *sql.Rows) error {
		var b Block
		err := rows.Scan(&b.Token, &b.Owner)
		list = append(list, b)
		return err
	})
	return list, err
}

// GiveUpBlock ends the use of a lost block: from then on no commit can name
// its keys. It returns ErrNotFound for one whose owner was heard of again.
func (t *Tx) GiveUpBlock(ctx context.Context, token, self string, since time.Time) error {
	return t.must(ctx, `UPDATE object_blocks SET swept_at = coalesce(swept_at, ?) WHERE token = ? AND `+lostBlock, millis(t.now), token, self, millis(since))
}

// GiveUpOwnBlock is GiveUpBlock for one of self's own, all of whose keys were
// taken long ago.
func (t *Tx) GiveUpOwnBlock(ctx context.Context, token, self string) error {
	return t.must(ctx, `UPDATE object_blocks SET swept_at = coalesce(swept_at, ?) WHERE token = ? AND owner = ?`, millis(t.now), token, self)
}

// UsedKeys returns those of a block's keys that a blob or an open session holds.
func (q queries) UsedKeys(ctx context.Context, token string) (map[string]bool, error) {
	used := map[string]bool{}
	first, last := ObjectKey(token, 0), ObjectKey(token, BlockSize-1)
	// One statement: a key that goes from a session to a blob is seen in one.
	err := q.all(ctx, `SELECT key FROM objects WHERE key >= ? AND key <= ? UNION ALL SELECT key FROM upload_segments WHERE key >= ? AND key <= ?`,
		[]any{first, last, first, last}, func(rows *sql.Rows) error {
			var key string
			err := rows.Scan(&key)
			used[key] = true
			return err
		})
	return used, err
}

// RemoveBlock forgets a token: every one of its keys is known to be used or absent.
func (t *Tx) RemoveBlock(ctx context.Context, token string) error {
	_, err := t.exec(ctx, `DELETE FROM object_blocks WHERE token = ?`, token)
	return err
}

// BlockReserved tells whether a token's keys may be in flight.
func (q queries) BlockReserved(ctx context.Context, token string) (bool, error) {
	var reserved bool
	err := q.one(ctx, `SELECT EXISTS (SELECT 1 FROM object_blocks WHERE token = ?)`, []any{token}, &reserved)
	return reserved, err
}

// KeyUsed tells whether a blob or an open session holds the key.
func (q queries) KeyUsed(ctx context.Context, key string) (bool, error) {
	var n int
	err := q.one(ctx, `SELECT (SELECT count(*) FROM objects WHERE key = ?1) + (SELECT count(*) FROM upload_segments WHERE key = ?1)`, []any{key}, &n)
	return n > 0, err
}

// ours finds that the keys of objects may be named: each is held by a session
// that this transaction ends, or lies in a block that was not given up. It
// returns ErrSwept.
func (t *Tx) ours(ctx context.Context, objects ...Object) error {
	asked := ""
	for _, o := range objects {
		token, reserved := tokenOf(o.Key)
		if !reserved || o.Saved || token == asked {
			continue
		}
		var one int
		switch err := t.one(ctx, `SELECT 1 FROM object_blocks WHERE token = ? AND swept_at IS NULL`, []any{token}, &one); {
		case errors.Is(err, ErrNotFound):
			return fmt.Errorf("%s: %w", o.Key, ErrSwept)
		case err != nil:
			return err
		}
		asked = token
	}
	return nil
}
