package meta

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
)

// Stripes are what processes that share a database tell each other: which part
// of the names something changed in. Repositories hash to the first of them.
const (
	Stripes      = 4096            // 0 … 4095 are of repositories
	FeedsStripe  = Stripes         // of the list of feeds
	AccessStripe = FeedsStripe + 1 // of what decides about access
	AllStripe    = FeedsStripe + 2 // of everything of every repository
)

// TouchStripes notes that t changes something in stripes. Its commit gives
// them the next sequence number, and is durable: whoever saw a number must not
// see it again after a crash, for something else.
func (t *Tx) TouchStripes(_ context.Context, stripes ...int) error {
	for _, n := range stripes {
		if n < 0 || n > AllStripe {
			return fmt.Errorf("there is no stripe %d", n)
		}
	}
	if t.shared {
		t.touched = append(t.touched, stripes...)
	}
	return nil
}

// StripeSeq is the sequence number of the last commit before that touched a
// stripe, 0 for none.
func (q queries) StripeSeq(ctx context.Context, stripe int) (int64, error) {
	var seq int64
	err := q.one(ctx, `SELECT coalesce((SELECT seq FROM stripes WHERE stripe = ?), 0)`, []any{stripe}, &seq)
	return seq, err
}

// StripeSeq is the sequence number that a stripe has for t: what t touched, or
// what shares its commit, has the number that the commit will get.
func (t *Tx) StripeSeq(ctx context.Context, stripe int) (int64, error) {
	if !slices.Contains(t.touched, stripe) && !slices.Contains(t.before, stripe) {
		return t.queries.StripeSeq(ctx, stripe)
	}
	var seq int64
	err := t.one(ctx, `SELECT seq + 1 FROM clock`, nil, &seq)
	return seq, err
}

// StripeChange says which commit touched a stripe last.
type StripeChange struct {
	Stripe int
	Seq    int64
}

// ChangedStripes lists the stripes that were touched by commits after a
// sequence number. Numbers are only comparable under the same origin, which
// changes when the server was restarted, or the database restored from a
// backup. On SQLite nobody else changes anything, and there are none.
func (s *Store) ChangedStripes(ctx context.Context, after int64) (origin string, changes []StripeChange, err error) {
	if !s.shared {
		return "", nil, nil
	}
	err = s.all(ctx, `SELECT o.origin, s.stripe, s.seq FROM (
			SELECT extract(epoch FROM pg_postmaster_start_time())::text || '.' || (SELECT oid FROM pg_database WHERE datname = current_database())::text
				|| '.' || 'stripes'::regclass::oid::text AS origin) o
		LEFT JOIN stripes s ON s.seq > ?`, []any{after}, func(rows *sql.Rows) error {
		var stripe, seq sql.NullInt64
		err := rows.Scan(&origin, &stripe, &seq)
		if stripe.Valid {
			changes = append(changes, StripeChange{int(stripe.Int64), seq.Int64})
		}
		return err
	})
	return origin, changes, err
}

// Identity is a random id that the database got when it was made.
func (q queries) Identity(ctx context.Context) (string, error) {
	var id string
	err := q.one(ctx, `SELECT database FROM identity`, nil, &id)
	return id, err
}
