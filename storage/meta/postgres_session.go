package meta

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"
)

// postgresSession is the connection of this process that changes a PostgreSQL
// database. Its transactions are READ COMMITTED and hold one advisory lock, so
// the changes of all processes are in one order, and each statement sees what
// was committed before. See registry/adr/0017.
type postgresSession struct {
	db *postgresDB
	id string // row of writers

	conn    *sql.Conn // nil: none, the next transaction takes one
	raw     *pgconn.PgConn
	started string       // of its backend
	dead    func() error // of the transaction under way: why its context ended
	stop    func()
	number  int64     // of the transaction under way
	began   time.Time // when it did
	alone   bool      // the transaction has one change, without a savepoint
	undone  bool      // and that failed
	refused bool      // no connection could be had
}

const (
	// idleLimit is how long a process that stopped in its transaction holds
	// all others up.
	idleLimit = 5 * time.Second
	// lockLimit is how long a transaction waits for the others': a bit longer.
	lockLimit = 6 * time.Second
	// outcomeLimit is how long a commit whose answer was lost is asked after.
	outcomeLimit = 2 * time.Second
	maxTries     = 3
)

func (s *postgresSession) admits(Options) bool { return true }

// joins is true: the lock may have been long in coming.
func (s *postgresSession) joins() bool { return true }

func (s *postgresSession) patience() time.Duration { return connectionPatience }

func (s *postgresSession) alive() time.Time { return time.Unix(0, s.db.health.seen.Load()) }

func (s *postgresSession) close() error {
	if s.conn == nil {
		return nil
	}
	return s.conn.Close()
}

// forget removes the rows of processes that ended long ago.
func (s *postgresSession) forget(ctx context.Context) error {
	_, err := s.db.exec(ctx, `DELETE FROM writers WHERE at < ?`, []any{time.Now().Add(-24 * time.Hour).UnixMilli()})
	return err
}

// connect takes a connection for this session.
func (s *postgresSession) connect(ctx context.Context) error {
	if err := s.db.health.refuse(ctx); err != nil {
		s.refused = true
		return err
	}
	if s.conn != nil && !s.raw.IsClosed() {
		return nil
	}
	s.disconnect()
	conn, err := s.db.acquire(ctx)
	if err != nil {
		s.refused = true
		return err
	}
	err = conn.Raw(func(c any) error {
		s.raw = c.(*stdlib.Conn).Conn().PgConn()
		return nil
	})
	if err == nil {
		s.conn = conn
		err = conn.QueryRowContext(ctx, `SELECT backend_start::text FROM pg_stat_activity WHERE pid = pg_backend_pid()`).Scan(&s.started)
	}
	if err != nil {
		s.db.health.lost()
		s.disconnect()
	}
	return err
}

// disconnect gives a connection up whose state is not known.
func (s *postgresSession) disconnect() {
	if s.conn != nil {
		_ = s.conn.Raw(func(any) error { return driver.ErrBadConn }) // not back into the pool
		_ = s.conn.Close()
	}
	s.conn, s.raw = nil, nil
}

// begin takes one round trip.
func (s *postgresSession) begin(ctx context.Context, _ bool) (context.Context, queries, error) {
	s.alone, s.undone, s.refused = false, false, false
	s.number++
	s.began = time.Now()
	ctx, s.stop = s.db.health.watch(ctx)
	s.dead = func() error { return context.Cause(ctx) }
	if err := s.connect(ctx); err != nil {
		return ctx, queries{}, err
	}
	err := s.send(ctx, `BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE`,
		`SET LOCAL lock_timeout = `+strconv.FormatInt(lockLimit.Milliseconds(), 10),
		`SET LOCAL idle_in_transaction_session_timeout = `+strconv.FormatInt(idleLimit.Milliseconds(), 10),
		lockStatement)
	return ctx, queries{run: sessionRunner{connRunner{s.conn, &s.db.texts}, ctx}, shared: true}, err
}

const lockStatement = `SELECT pg_advisory_xact_lock(` + writeLock + `)`

// send runs statements in one round trip.
func (s *postgresSession) send(ctx context.Context, statements ...string) error {
	err := s.raw.Exec(ctx, strings.Join(statements, ";")).Close()
	if err == nil {
		s.db.health.answered()
	}
	return err
}

// sessionRunner runs statements in the transaction under way, under the
// context that watches the server.
type sessionRunner struct {
	on  connRunner
	ctx context.Context //nolint:containedctx // a change's own has no end
}

func (r sessionRunner) exec(_ context.Context, query string, args []any) (sql.Result, error) {
	return r.on.exec(r.ctx, query, args) //nolint:contextcheck // see there
}

func (r sessionRunner) rows(_ context.Context, query string, args []any, f func(*sql.Rows) error) error {
	return r.on.rows(r.ctx, query, args, f) //nolint:contextcheck // see there
}

func (s *postgresSession) member(ctx context.Context, n int, change func() error) (result, fatal error) {
	s.alone = n == 1
	if !s.alone {
		if err := s.send(ctx, `SAVEPOINT change`); err != nil {
			return nil, err
		}
	}
	result = change()
	switch {
	case s.raw.IsClosed():
		return nil, errors.Join(ErrUnavailable, result)
	case unavailable(result):
		return nil, result
	case result == nil && s.raw.TxStatus() == 'E':
		result = errors.New("a change went on after one of its statements had failed")
	}
	switch {
	case s.alone:
		s.undone = result != nil
		return result, nil
	case result != nil:
		return result, s.send(ctx, `ROLLBACK TO change`, `RELEASE change`)
	}
	return nil, s.send(ctx, `RELEASE change`)
}

// commit takes one round trip: it notes the stripes that were touched, and the
// transaction's number, by which its outcome can be found.
func (s *postgresSession) commit(ctx context.Context, durable bool, touched []int) error {
	if s.undone {
		err := s.send(ctx, `ROLLBACK`)
		s.stop()
		if err != nil {
			s.disconnect()
		}
		return nil // its caller gets the change's own error
	}
	var last []string
	if len(touched) > 0 {
		last = append(last, touchStatement(touched))
	} else if !durable {
		last = append(last, `SET LOCAL synchronous_commit = off`)
	}
	last = append(last, fmt.Sprintf(`INSERT INTO writers (id, number, at) VALUES ('%s', %d, %d)
		ON CONFLICT (id) DO UPDATE SET number = excluded.number, at = excluded.at`, s.id, s.number, time.Now().UnixMilli()), `COMMIT`)
	began := time.Now()
	err := s.send(ctx, last...)
	s.stop()
	if err == nil {
		return nil
	}
	if !s.raw.IsClosed() && s.raw.TxStatus() != 'T' { // the server said no
		return err
	}
	return s.outcome(context.WithoutCancel(ctx), began.Add(outcomeLimit), err)
}

// touchStatement gives stripes the next number. The advisory lock makes it the
// order of commits.
func touchStatement(stripes []int) string {
	var list strings.Builder
	for i, n := range stripes {
		if i > 0 {
			list.WriteByte(',')
		}
		list.WriteString(strconv.Itoa(n))
	}
	return `WITH next AS (UPDATE clock SET seq = seq + 1 RETURNING seq)
		INSERT INTO stripes (stripe, seq) SELECT touched, next.seq FROM next, unnest('{` + list.String() + `}'::bigint[]) AS touched
		ON CONFLICT (stripe) DO UPDATE SET seq = excluded.seq`
}

// failed gives the connection up if it is lost. What was not committed for
// such a reason may run again.
func (s *postgresSession) failed(ctx context.Context, err error, tries int, _ bool) (func(Options) bool, error) {
	s.stop()
	if cause := s.dead(); errors.Is(cause, ErrUnavailable) {
		err = cause
	}
	err = translate(err)
	switch {
	case s.conn == nil:
	case s.raw.IsClosed() || errors.Is(err, ErrUncertain):
		s.db.health.lost()
		s.disconnect()
	case s.send(ctx, `ROLLBACK`) != nil:
		s.disconnect()
	}
	if tries < maxTries && s.again(err) {
		return func(Options) bool { return true }, err
	}
	return nil, err
}

// again tells whether a transaction may end otherwise at once: it lost its
// connection, or to another one. Where no connection could be had, or no lock,
// it has waited already.
func (s *postgresSession) again(err error) bool {
	if e, ok := errors.AsType[*pgconn.PgError](err); ok && (e.Code == "40001" || e.Code == "40P01") {
		return true
	}
	return s.conn == nil && !s.refused && errors.Is(err, ErrUnavailable)
}
