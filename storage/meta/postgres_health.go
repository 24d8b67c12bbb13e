package meta

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// health is what is known of a PostgreSQL server: whether it answers, and
// which connections are of before it last did not.
type health struct {
	config *pgx.ConnConfig
	epoch  atomic.Int64 // counts lost connections
	seen   atomic.Int64 // when the server last answered, Unix nanoseconds

	mu   sync.Mutex
	away time.Time // since when no connection could be had; zero for not

	probe  sync.Mutex // one at a time
	probed time.Time
	dead   error // what the last probe found

	down    atomic.Pointer[outage] // nil while the server answers
	end     context.CancelFunc
	ended   context.Context //nolint:containedctx // of the prober
	probing sync.WaitGroup
}

// outage is a time in which the server is known to be away.
type outage struct {
	why   error
	since time.Time
	over  chan struct{}
}

func newHealth(config *pgx.ConnConfig) *health {
	h := &health{config: config}
	h.ended, h.end = context.WithCancel(context.Background())
	h.answered()
	return h
}

// close ends the prober.
func (h *health) close() {
	h.end()
	h.probing.Wait()
}

// refuse returns why the server cannot be used now: it is known to be away,
// and is asked again and again until it is back. In the first moments of an
// outage it waits for that: a restart is over soon.
func (h *health) refuse(ctx context.Context) error {
	o := h.down.Load()
	if o == nil {
		return nil
	}
	wait := time.Until(o.since.Add(connectionPatience - retryEvery))
	if wait <= 0 {
		return o.why
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-o.over:
		return nil
	case <-timer.C:
		return o.why
	case <-ctx.Done():
		return o.why
	}
}

// trip begins an outage.
func (h *health) trip(why error, since time.Time) {
	o := &outage{why: why, since: since, over: make(chan struct{})}
	if h.ended.Err() != nil || !h.down.CompareAndSwap(nil, o) {
		return
	}
	h.probing.Go(func() {
		for h.ended.Err() == nil && h.try(h.ended) != nil {
			select {
			case <-h.ended.Done():
			case <-time.After(retryEvery):
			}
		}
		h.mu.Lock()
		h.away = time.Time{}
		h.mu.Unlock()
		h.down.Store(nil)
		close(o.over)
	})
}

// answered notes a sign of life.
func (h *health) answered() { h.seen.Store(time.Now().UnixNano()) }

const epochKey = "packhouse epoch"

// connected is called with each new connection.
func (h *health) connected(_ context.Context, c *pgx.Conn) error {
	c.PgConn().CustomData()[epochKey] = h.epoch.Load()
	h.answered()
	h.mu.Lock()
	h.away = time.Time{}
	h.mu.Unlock()
	return nil
}

// usable tells whether a connection can be taken from the pool: whatever
// ended one has likely ended all that are as old.
func (h *health) usable(_ context.Context, c *pgx.Conn) error {
	if c.PgConn().CustomData()[epochKey] != h.epoch.Load() {
		return driver.ErrBadConn
	}
	return nil
}

// lost notes that a connection broke.
func (h *health) lost() { h.epoch.Add(1) }

// giveUp is when something that has waited for a connection since began is to
// be told that there is none. While the server is known to be away nothing
// waits long anew: only past the failure of what others had begun before.
func (h *health) giveUp(began time.Time) time.Time {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.away.IsZero() {
		h.away = began
	}
	limit := connectionPatience - retryEvery
	return began.Add(max(limit-began.Sub(h.away), limit/4))
}

// Statements may take long, a dead server may not: one that has not answered
// for slowStatement is asked whether it lives.
const (
	slowStatement = 500 * time.Millisecond
	probeTime     = 900 * time.Millisecond
)

// watch returns a context that ends, with ErrUnavailable, when it lives on
// while the server is dead.
func (h *health) watch(ctx context.Context) (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	var timer *time.Timer
	var mu sync.Mutex // of timer and stopped
	stopped := false
	mu.Lock()
	timer = time.AfterFunc(slowStatement, func() {
		if err := h.ask(); err != nil {
			cancel(err)
			return
		}
		mu.Lock()
		defer mu.Unlock()
		if !stopped {
			timer.Reset(slowStatement)
		}
	})
	mu.Unlock()
	return ctx, func() {
		mu.Lock()
		stopped = true
		timer.Stop()
		mu.Unlock()
		cancel(nil)
	}
}

// ask connects anew; whoever asks meanwhile gets the same answer.
func (h *health) ask() error {
	if o := h.down.Load(); o != nil {
		return o.why
	}
	began := time.Now()
	h.probe.Lock()
	defer h.probe.Unlock()
	if h.probed.After(began) {
		return h.dead
	}
	if h.dead = h.try(h.ended); h.dead != nil {
		h.trip(h.dead, began.Add(-slowStatement))
	}
	h.probed = time.Now()
	return h.dead
}

// try connects anew.
func (h *health) try(ctx context.Context) error {
	began := time.Now()
	ctx, cancel := context.WithTimeout(ctx, probeTime)
	defer cancel()
	conn, err := pgx.ConnectConfig(ctx, h.config)
	switch _, said := errors.AsType[*pgconn.PgError](err); {
	case err == nil:
		h.answered()
		_ = conn.Close(ctx)
	case said && !starting(err): // too many connections, for one
		h.answered()
	case ctx.Err() != nil && h.seen.Load() > began.UnixNano(): // it answered others, so it is only busy
	default:
		return fmt.Errorf("%w: it does not answer: %w", ErrUnavailable, err)
	}
	return nil
}

// starting tells whether a server said that it starts or stops.
func starting(err error) bool {
	e, ok := errors.AsType[*pgconn.PgError](err)
	return ok && strings.HasPrefix(e.Code, "57P0")
}

// unavailable tells whether err is of a server or connection that is lost, or
// too busy.
func unavailable(err error) bool {
	if e, ok := errors.AsType[*pgconn.PgError](err); ok {
		switch e.Code {
		case "53200", "53300", "53400", // out of memory, too many connections, a configured limit
			"55P03", "40001", "40P01", // lock timeout, serialization, deadlock
			"25P03", "25P04": // idle in transaction, transaction timeout
			return true
		}
		class := e.Code[:min(2, len(e.Code))]
		// Connection exceptions, operator intervention (a statement's own
		// cancellation is 57014), system errors.
		return class == "08" || class == "57" && e.Code != "57014" || class == "58"
	}
	if _, ok := errors.AsType[*pgconn.ConnectError](err); ok {
		return true
	}
	if _, ok := errors.AsType[net.Error](err); ok { // context.DeadlineExceeded is one
		return true
	}
	for _, lost := range []error{io.EOF, io.ErrUnexpectedEOF, net.ErrClosed, driver.ErrBadConn, sql.ErrConnDone, pgconn.ErrConnClosed, ErrUnavailable} {
		if errors.Is(err, lost) {
			return true
		}
	}
	return pgconn.SafeToRetry(err)
}

func translatePostgres(err error) error {
	if e, ok := errors.AsType[*pgconn.PgError](err); ok {
		if full, ok := quotaError(e.Message); ok && e.Code == "P0001" { // raised
			return full
		}
		switch e.Code {
		case "53100":
			return wrapped(ErrNoSpace, err)
		case "25006": // read-only transaction: a server in recovery
			return wrapped(ErrReadOnly, err)
		}
	}
	switch {
	case errors.Is(err, ErrUncertain), errors.Is(err, context.Canceled):
		return err
	case unavailable(err):
		return wrapped(ErrUnavailable, err)
	}
	return err
}
