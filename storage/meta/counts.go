package meta

import (
	"context"
	"time"
)

// Counts are what the database holds of things that come and go.
type Counts struct {
	Uploads      int64 // open sessions
	Unreferenced int64 // blobs that no manifest references, at most countLimit
	Replicas     int64 // that have beaten since the given time
	Leases       int64 // that are held
}

// countLimit bounds what one count looks at.
const countLimit = 1_000_000

// Counts counts, by indexes alone.
func (s *Store) Counts(ctx context.Context, since time.Time) (c Counts, err error) {
	for _, q := range []struct {
		query string
		args  []any
		dest  *int64
	}{
		{`SELECT count(*) FROM (SELECT 1 FROM uploads LIMIT ?) AS counted`, []any{countLimit}, &c.Uploads},
		{`SELECT count(*) FROM (SELECT 1 FROM blobs WHERE unreferenced_since IS NOT NULL LIMIT ?) AS counted`, []any{countLimit}, &c.Unreferenced},
		{`SELECT count(*) FROM replicas WHERE seen_at >= ?`, []any{millis(since)}, &c.Replicas},
		{`SELECT count(*) FROM leases WHERE until >= ?`, []any{millis(s.now())}, &c.Leases},
	} {
		if err := s.one(ctx, q.query, q.args, q.dest); err != nil {
			return Counts{}, err
		}
	}
	return c, nil
}
