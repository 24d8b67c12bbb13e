package meta

import (
	"context"
	"crypto/rand"
	"database/sql"
	"encoding/hex"
	"errors"
	"time"

	"go.opentelemetry.io/otel/trace"
)

// Config says where the database is.
type Config struct {
	// Dir is the data directory: without a URL the database is
	// Dir/packhouse.db.
	Dir string
	// URL is a PostgreSQL database, "postgres://…".
	URL string
	// Connections bounds how many are opened to PostgreSQL. Default 16, at
	// least 2.
	Connections int
	// Replica names this process among those that share the database. Default
	// random.
	Replica string
	// Now is the clock of all rows. Default time.Now.
	Now func() time.Time
	// Tracer makes spans; nil for none.
	Tracer trace.Tracer
	// Committed is told of each commit, by how many changes it shared; nil for
	// nobody.
	Committed func(changes int, took time.Duration)
}

// Store is the database. Its read methods run on a pool of connections of
// their own and see what is committed; [Store.Update] changes it.
type Store struct {
	queries
	db      database
	now     func() time.Time
	replica string
	writer  *writer
}

// database is an opened SQLite or PostgreSQL. As a runner it reads.
type database interface {
	runner
	// snapshot runs f over what is committed at one moment.
	snapshot(ctx context.Context, f func(queries) error) error
	// full tells whether only changes that free space are taken now.
	full() bool
	// damage reports what the database finds wrong with its own files.
	damage(ctx context.Context) ([]string, error)
	// stats are those of the connections that read.
	stats() sql.DBStats
	close() error
}

// Open opens or creates the database and brings its schema up to date. A
// schema newer than this binary is refused, unless it says that older binaries
// can use it. It returns ErrUnavailable.
func Open(ctx context.Context, cfg Config) (*Store, error) {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Replica == "" {
		cfg.Replica = randomID()
	}
	s := &Store{now: cfg.Now, replica: cfg.Replica}
	var session session
	if cfg.URL == "" {
		db, own, err := openSQLite(ctx, cfg.Dir)
		if err != nil {
			return nil, err
		}
		s.db, session = db, own
	} else {
		db, own, err := openPostgres(ctx, cfg)
		if err != nil {
			return nil, err
		}
		s.db, session = db, own
	}
	shared := cfg.URL != ""
	w := &watch{spans: newSpans(cfg.Tracer, shared), committed: cfg.Committed}
	s.queries = w.spans.over(queries{run: s.db, shared: shared})
	s.writer = newWriter(session, cfg.Now, w) //nolint:contextcheck // it outlives every caller
	return s, nil
}

// randomID is 16 random bytes in hexadecimal.
func randomID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails, see crypto/rand
	return hex.EncodeToString(b[:])
}

// Shared tells whether other processes may change the database.
func (s *Store) Shared() bool { return s.shared }

// Replica is the name of this process among those that share the database.
func (s *Store) Replica() string { return s.replica }

// Full tells whether only changes that free space are taken now.
func (s *Store) Full() bool { return s.db.full() }

// Damage reports what the database itself finds wrong with its file, at most
// 100 sentences; none for a sound one. PostgreSQL keeps its own.
func (s *Store) Damage(ctx context.Context) ([]string, error) { return s.db.damage(ctx) }

// Close waits for queued changes and closes the database.
func (s *Store) Close() error {
	return errors.Join(s.writer.close(), s.db.close())
}

// Now is the time by the clock of all rows.
func (s *Store) Now() time.Time { return s.now() }

// Stats tells what the store did since it was opened.
func (s *Store) Stats() Stats {
	w, pool := s.writer.watch, s.db.stats()
	return Stats{
		Retried: w.retried.Load(), Unavailable: w.unavailable.Load(), Uncertain: w.uncertain.Load(),
		Open: pool.OpenConnections, InUse: pool.InUse, Waits: pool.WaitCount, Waited: pool.WaitDuration,
	}
}

// snapshot runs f over what is committed now.
func (s *Store) snapshot(ctx context.Context, f func(queries) error) error {
	return s.db.snapshot(ctx, func(q queries) error { return f(s.writer.watch.spans.over(q)) })
}

// Options say how a change is committed.
type Options struct {
	// Durable changes are fsynced before Update returns.
	Durable bool
	// Frees marks a change that lets space be freed (deletes, collection): on
	// a full disk it may use the space held in reserve.
	Frees bool
	// Unaudited marks housekeeping that changes nothing anybody can see:
	// sessions, keys, collection. Every other durable change must call
	// [Tx.Record].
	Unaudited bool
}

// Update runs change in a transaction and returns its error, or that of the
// commit. change runs on the writer's goroutine: it must only call tx, and end
// with the first error of tx. It may run more than once, so it must not
// accumulate state outside what it returns. Beside change's own errors it
// returns ErrNoSpace, ErrReadOnly, ErrUnavailable, ErrUncertain.
func (s *Store) Update(ctx context.Context, o Options, change func(ctx context.Context, tx *Tx) error) error {
	if !o.Frees && s.db.full() {
		return ErrNoSpace
	}
	ctx, span := s.writer.watch.spans.begin(ctx, "update", trace.SpanKindInternal)
	err := s.writer.update(ctx, o, change)
	s.writer.watch.told(err)
	end(span, err)
	return err
}

// Tx is one change under way: it reads its own writes.
type Tx struct {
	queries
	now      time.Time
	recorded bool  // something was written into the audit
	touched  []int // stripes
	before   []int // stripes that changes touched which share the commit
}

// Now is the time of this transaction.
func (t *Tx) Now() time.Time { return t.now }
