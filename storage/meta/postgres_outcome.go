package meta

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// outcome finds out whether a commit took place whose answer was lost: nil if
// it did, ErrUnavailable if not, ErrUncertain if the server could not be asked
// before the deadline.
//
// The transaction has written its number into this process' row of writers,
// and holds the lock until it is over: whoever has the lock next sees the row
// as it was left. (The status of a transaction id would not do: after a crash
// the server may give the same id again.)
func (s *postgresSession) outcome(ctx context.Context, deadline time.Time, lost error) error {
	if s.db.health.down.Load() != nil { // it will not be back that soon
		deadline = s.began.Add(connectionPatience)
	}
	ctx, cancel := context.WithDeadline(ctx, deadline)
	defer cancel()
	pid := s.raw.PID()
	s.db.health.lost()
	s.disconnect()
	for {
		number, err := s.lastNumber(ctx, pid)
		switch {
		case err == nil && number == s.number:
			return nil
		case err == nil:
			return fmt.Errorf("%w: the connection was lost before the commit: %w", ErrUnavailable, lost)
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%w: its answer was lost: %w, and then %w", ErrUncertain, lost, err)
		case <-time.After(retryEvery):
		}
	}
}

// lastNumber reads this process' row of writers once the transaction of the
// backend pid is over.
func (s *postgresSession) lastNumber(ctx context.Context, pid uint32) (int64, error) {
	conn, err := pgx.ConnectConfig(ctx, s.db.config)
	if err != nil {
		return 0, err
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	ask := func(wait time.Duration) ([]*pgconn.Result, error) {
		return conn.PgConn().Exec(ctx, `BEGIN ISOLATION LEVEL READ COMMITTED READ ONLY; SET LOCAL lock_timeout = `+strconv.FormatInt(wait.Milliseconds(), 10)+
			`; `+lockStatement+`; SELECT number FROM writers WHERE id = '`+s.id+`'; ROLLBACK`).ReadAll()
	}
	results, err := ask(100 * time.Millisecond)
	if e, ok := errors.AsType[*pgconn.PgError](err); ok && e.Code == "55P03" {
		// It may wait for a COMMIT that never comes. If it is at it, it will
		// not be interrupted.
		if _, err := conn.Exec(ctx, `ROLLBACK`); err != nil {
			return 0, err
		}
		if _, err := conn.Exec(ctx, `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid = $1::bigint AND backend_start::text = $2`, int64(pid), s.started); err != nil {
			return 0, err
		}
		results, err = ask(outcomeLimit)
	}
	if err != nil {
		return 0, err
	}
	rows := results[3].Rows
	if len(rows) == 0 {
		return 0, nil
	}
	return strconv.ParseInt(string(rows[0][0]), 10, 64)
}
