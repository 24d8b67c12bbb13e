package meta

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

// sqliteSession is the one connection that changes an SQLite database.
type sqliteSession struct {
	q       queries
	db      *sql.DB
	conn    *sql.Conn
	reserve *reserve
	durable bool  // the connection's present synchronous setting is FULL
	broken  error // set once: no change is taken any more
}

func (s *sqliteSession) admits(o Options) bool { return o.Frees || s.reserve.refill() }

// joins is false: a transaction begins at once, and has its durability then.
func (s *sqliteSession) joins() bool { return false }

func (s *sqliteSession) patience() time.Duration { return 0 }

func (s *sqliteSession) alive() time.Time { return time.Time{} }

func (s *sqliteSession) close() error { return errors.Join(s.conn.Close(), s.db.Close()) }

func (s *sqliteSession) begin(ctx context.Context, durable bool) (context.Context, queries, error) {
	if s.broken != nil {
		return ctx, queries{}, s.broken
	}
	if err := s.setDurable(ctx, durable); err != nil {
		return ctx, queries{}, err
	}
	return ctx, s.q, s.sql(ctx, "BEGIN IMMEDIATE")
}

func (s *sqliteSession) member(ctx context.Context, _ int, change func() error) (result, fatal error) {
	if err := s.sql(ctx, "SAVEPOINT change"); err != nil {
		return nil, err
	}
	result = change()
	if errors.Is(result, ErrNoSpace) || isIOError(result) {
		return nil, result // SQLite may have rolled back everything by itself
	}
	if result != nil {
		if err := s.sql(ctx, "ROLLBACK TO change"); err != nil {
			return nil, err
		}
	}
	return result, s.sql(ctx, "RELEASE change")
}

// commit writes no stripes: there is one process, which knows what it changed.
func (s *sqliteSession) commit(ctx context.Context, _ bool, _ []int) error {
	return s.sql(ctx, "COMMIT")
}

// failed gives the reserve up for what frees space. After an I/O error it
// takes no change any more: a failed fsync is final.
func (s *sqliteSession) failed(ctx context.Context, err error, _ int, frees bool) (func(Options) bool, error) {
	if s.broken != nil {
		return nil, err
	}
	err = errors.Join(err, s.rollback(ctx))
	if errors.Is(err, ErrNoSpace) && frees && s.reserve.release() {
		return func(o Options) bool { return o.Frees }, err
	}
	if isIOError(err) {
		s.broken = fmt.Errorf("%w until packhouse is restarted, since a commit failed: %w", ErrReadOnly, err)
		s.void(ctx)
		err = fmt.Errorf("%w: %w", ErrUncertain, err)
	}
	return nil, err
}

// void overwrites what a failed commit wrote to the log: its frames are
// complete, though perhaps not durable, so the next recovery would take them
// for a commit that nobody was promised. It is best effort.
func (s *sqliteSession) void(ctx context.Context) {
	_, _ = s.conn.ExecContext(ctx, "PRAGMA synchronous=OFF") // a sync would fail again
	if s.sql(ctx, "BEGIN IMMEDIATE") != nil {
		return
	}
	// Any change will do; this one is swept at the next start.
	_, _ = s.conn.ExecContext(ctx, "INSERT OR REPLACE INTO object_blocks (token, reserved_at) VALUES (?, 0)", voidToken)
	_ = s.sql(ctx, "COMMIT")
}

// voidToken is a block of storage keys that nobody writes.
const voidToken = "00000000000000000000000000000000"

// rollback ends a transaction that SQLite has not ended by itself.
func (s *sqliteSession) rollback(ctx context.Context) error {
	err := s.sql(ctx, "ROLLBACK")
	if e, ok := errors.AsType[*sqlite.Error](err); ok && e.Code() == sqlite3.SQLITE_ERROR {
		return nil // "no transaction is active"
	}
	return err
}

// setDurable chooses whether a commit fsyncs the log. With NORMAL it does
// not, and the next FULL commit or checkpoint makes it durable in order.
func (s *sqliteSession) setDurable(ctx context.Context, durable bool) error {
	if durable == s.durable {
		return nil
	}
	pragma := "PRAGMA synchronous=NORMAL"
	if durable {
		pragma = "PRAGMA synchronous=FULL"
	}
	if _, err := s.conn.ExecContext(ctx, pragma); err != nil {
		return translate(err)
	}
	s.durable = durable
	return nil
}

func (s *sqliteSession) sql(ctx context.Context, statement string) error {
	_, err := s.q.exec(ctx, statement)
	return err
}
