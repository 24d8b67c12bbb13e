package meta

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"
)

// ErrUnreadable means that a row of the audit has values of other types than
// ours: somebody edited it.
var ErrUnreadable = errors.New("row cannot be read")

// unreadable marks what is an error of neither the database nor the caller.
func unreadable(ctx context.Context, err error) error {
	if err == nil || ofDatabase(err) || ctx.Err() != nil || errors.Is(err, ErrNotFound) {
		return err
	}
	return fmt.Errorf("%w: %w", ErrUnreadable, err)
}

// AuditHead is how far one chain of the audit goes.
type AuditHead struct {
	Chain       string
	Seq         int64
	Hash        []byte
	TrimmedSeq  int64 // of the latest row that retention removed, 0 for none
	TrimmedHash []byte
	ID          int64 // of its latest row; only from [Store.AuditHeadsSince]
}

// NextAuditChain is the next chain by name that has rows or a head; "" after
// the last.
func (q queries) NextAuditChain(ctx context.Context, after string) (string, error) {
	var chain sql.NullString
	err := q.one(ctx, `SELECT min(chain) FROM (SELECT min(chain) AS chain FROM audit WHERE chain > ?1
		UNION ALL SELECT min(chain) FROM audit_heads WHERE chain > ?1) c`, []any{after}, &chain)
	return chain.String, err
}

// AuditHead finds a chain's head; ErrNotFound, ErrUnreadable.
func (q queries) AuditHead(ctx context.Context, chain string) (AuditHead, error) {
	h := AuditHead{Chain: chain}
	err := q.one(ctx, `SELECT seq, hash, trimmed_seq, trimmed_hash FROM audit_heads WHERE chain = ?`, []any{chain}, &h.Seq, &h.Hash, &h.TrimmedSeq, &h.TrimmedHash)
	return h, unreadable(ctx, err)
}

// AuditHash is the stored hash of one row; ErrNotFound.
func (q queries) AuditHash(ctx context.Context, chain string, seq int64) ([]byte, error) {
	var hash []byte
	err := q.one(ctx, `SELECT hash FROM audit WHERE chain = ? AND seq = ?`, []any{chain, seq}, &hash)
	return hash, err
}

// AuditAfter counts the records after an id.
func (q queries) AuditAfter(ctx context.Context, id int64) (int64, error) {
	var n int64
	err := q.one(ctx, `SELECT count(*) FROM audit WHERE id > ?`, []any{id}, &n)
	return n, err
}

// AuditHeadsSince lists up to limit heads that moved after record id was
// written, in the order of their latest rows.
func (q queries) AuditHeadsSince(ctx context.Context, id int64, limit int) ([]AuditHead, error) {
	var list []AuditHead
	err := q.all(ctx, `SELECT h.chain, h.seq, h.hash, a.id FROM audit a JOIN audit_heads h ON h.chain = a.chain AND h.seq = a.seq
		WHERE a.id > ? ORDER BY a.id LIMIT ?`, []any{id, limit}, func(rows *sql.Rows) error {
		var h AuditHead
		err := rows.Scan(&h.Chain, &h.Seq, &h.Hash, &h.ID)
		list = append(list, h)
		return err
	})
	return list, err
}

// LastAudit is the highest id of a record, 0 for none.
func (q queries) LastAudit(ctx context.Context) (int64, error) {
	var id int64
	err := q.one(ctx, `SELECT coalesce(max(id), 0) FROM audit`, nil, &id)
	return id, err
}

// AuditChain reads one chain as it is at one moment: its head, of which all is
// zero if there is none, and each row in order. It stops at the first error,
// which may be ErrUnreadable.
func (s *Store) AuditChain(ctx context.Context, chain string, head func(AuditHead) error, row func(*AuditRow) error) error {
	return s.snapshot(ctx, func(q queries) error {
		h, err := q.AuditHead(ctx, chain)
		if err != nil && !errors.Is(err, ErrNotFound) {
			return err
		}
		if err := head(h); err != nil {
			return err
		}
		return q.all(ctx, selectAudit+`WHERE chain = ? ORDER BY seq`, []any{chain}, func(rows *sql.Rows) error {
			r, err := scanAudit(rows.Scan)
			if err != nil {
				return unreadable(ctx, err)
			}
			return row(&r)
		})
	})
}

// OldestAudit is the time of the record with the least id; ErrNotFound.
func (q queries) OldestAudit(ctx context.Context) (time.Time, error) {
	var at sql.NullInt64
	err := q.one(ctx, `SELECT at FROM audit ORDER BY id LIMIT 1`, nil, &at)
	return fromMillis(at), err
}

// TrimAudit removes up to limit records, the first committed first, as long as
// they are older than before; the latest record stays. The heads keep where
// what is left begins, so it can still be verified.
func (t *Tx) TrimAudit(ctx context.Context, before time.Time, limit int) (int64, error) {
	var through, removed int64
	ends, kept := map[string]AuditHead{}, false
	err := t.all(ctx, `SELECT id, at, chain, seq, hash FROM audit WHERE id < (SELECT max(id) FROM audit) ORDER BY id LIMIT ?`, []any{limit}, func(rows *sql.Rows) error {
		var h AuditHead
		var at int64
		if err := rows.Scan(&h.ID, &at, &h.Chain, &h.Seq, &h.Hash); err != nil {
			return err
		}
		if kept = kept || at >= millis(before); !kept {
			ends[h.Chain], through = h, h.ID
			removed++
		}
		return nil
	})
	if err != nil || removed == 0 {
		return 0, err
	}
	for _, h := range ends {
		if _, err := t.exec(ctx, `UPDATE audit_heads SET trimmed_seq = ?, trimmed_hash = ? WHERE chain = ?`, h.Seq, h.Hash, h.Chain); err != nil {
			return 0, err
		}
	}
	_, err = t.exec(ctx, `DELETE FROM audit WHERE id <= ?`, through)
	return removed, err
}
