package meta

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

// writer owns the one connection that changes the database and commits in
// groups: what queued up while the last commit was fsynced shares the next.
type writer struct {
	db      *sql.DB
	conn    *sql.Conn
	reserve *reserve
	now     func() time.Time
	tx      queries
	durable bool // the connection's present synchronous setting is FULL

	queue   chan *pending
	done    chan struct{}
	closing sync.RWMutex // held for reading while a change is being queued
	closed  bool
	failed  error // set once by the run goroutine: no change is taken any more
}

type pending struct {
	Options
	ctx    context.Context //nolint:containedctx // the caller waits for the answer
	change func(context.Context, *Tx) error
	result chan error
}

// maxGroup bounds how many changes one commit waits for.
const maxGroup = 128

func newWriter(ctx context.Context, db *sql.DB, r *reserve, now func() time.Time) (*writer, error) {
	conn, err := db.Conn(ctx)
	if err != nil {
		return nil, err
	}
	w := &writer{
		db: db, conn: conn, reserve: r, now: now, durable: true,
		tx:    queries{prepare: preparer(conn.PrepareContext)},
		queue: make(chan *pending, maxGroup),
		done:  make(chan struct{}),
	}
	go w.run() //nolint:contextcheck // it outlives every caller
	return w, nil
}

func (w *writer) update(ctx context.Context, o Options, change func(context.Context, *Tx) error) error {
	p := &pending{Options: o, ctx: ctx, change: change, result: make(chan error, 1)}
	w.closing.RLock()
	if w.closed {
		w.closing.RUnlock()
		return fmt.Errorf("%w: it is closed", ErrReadOnly)
	}
	w.queue <- p // bounded wait: run drains the queue until close
	w.closing.RUnlock()
	return <-p.result
}

func (w *writer) close() error {
	w.closing.Lock()
	already := w.closed
	w.closed = true
	if !already {
		close(w.queue)
	}
	w.closing.Unlock()
	<-w.done
	if already {
		return nil
	}
	return errors.Join(w.conn.Close(), w.db.Close())
}

func (w *writer) run() {
	defer close(w.done)
	group := make([]*pending, 0, maxGroup)
	for first := range w.queue {
		group = append(group[:0], first)
	fill:
		for len(group) < maxGroup {
			select {
			case p, open := <-w.queue:
				if !open {
					break fill
				}
				group = append(group, p)
			default:
				break fill
			}
		}
		w.commit(group)
	}
}

// commit runs group in one transaction and answers each member.
func (w *writer) commit(group []*pending) {
	if !w.reserve.refill() { // what queued up before must not eat what deletes need
		group = answer(group, func(p *pending) (error, bool) { return ErrNoSpace, !p.Frees })
	}
	results, err := w.try(group)
	frees := slices.ContainsFunc(group, func(p *pending) bool { return p.Frees })
	if errors.Is(err, ErrNoSpace) && frees && w.reserve.release() {
		group = answer(group, func(p *pending) (error, bool) { return err, !p.Frees })
		results, err = w.try(group)
	}
	if err != nil {
		if isIOError(err) {
			w.failed = fmt.Errorf("%w until packhouse is restarted, since a commit failed: %w", ErrReadOnly, err)
			w.void()
			err = fmt.Errorf("%w: %w", ErrUncertain, err)
		}
		answer(group, func(*pending) (error, bool) { return err, true })
		return
	}
	for i, p := range group {
		p.result <- results[i]
	}
}

// void overwrites what a failed commit wrote to the log: its frames are
// complete, though perhaps not durable, so the next recovery would take them
// for a commit that nobody was promised. It is best effort.
func (w *writer) void() {
	ctx := context.Background()
	_, _ = w.conn.ExecContext(ctx, "PRAGMA synchronous=OFF") // a sync would fail again
	if w.sql(ctx, "BEGIN IMMEDIATE") != nil {
		return
	}
	// Any change will do; this one is swept at the next start.
	_, _ = w.conn.ExecContext(ctx, "INSERT OR REPLACE INTO object_blocks (token, reserved_at) VALUES (?, 0)", voidToken)
	_ = w.sql(ctx, "COMMIT")
}

// voidToken is a block of storage keys that nobody writes.
const voidToken = "00000000000000000000000000000000"

// answer sends a result to the members that have one and returns the rest.
func answer(group []*pending, result func(*pending) (error, bool)) []*pending {
	rest := group[:0:0]
	for _, p := range group {
		if err, done := result(p); done {
			p.result <- err
		} else {
			rest = append(rest, p)
		}
	}
	return rest
}

// try returns each member's own result, or the error of the whole transaction.
func (w *writer) try(group []*pending) ([]error, error) {
	if w.failed != nil {
		return nil, w.failed
	}
	ctx := context.Background() // a client that leaves must not tear others' commit
	durable := false
	for _, p := range group {
		durable = durable || p.Durable
	}
	if err := w.setDurable(ctx, durable); err != nil {
		return nil, translate(err)
	}
	if err := w.sql(ctx, "BEGIN IMMEDIATE"); err != nil {
		return nil, translate(err)
	}
	results := make([]error, len(group))
	for i, p := range group {
		if results[i] = p.ctx.Err(); results[i] != nil {
			continue
		}
		var fatal error
		if results[i], fatal = w.savepoint(ctx, p); fatal != nil {
			return nil, errors.Join(fatal, w.rollback(ctx))
		}
	}
	if err := w.sql(ctx, "COMMIT"); err != nil {
		return nil, errors.Join(translate(err), w.rollback(ctx))
	}
	return results, nil
}

// savepoint runs one change. fatal means that the transaction is lost.
func (w *writer) savepoint(ctx context.Context, p *pending) (result, fatal error) {
	if err := w.sql(ctx, "SAVEPOINT change"); err != nil {
		return nil, translate(err)
	}
	tx := &Tx{queries: w.tx, now: w.now()}
	if result = p.change(context.WithoutCancel(p.ctx), tx); result == nil { //nolint:contextcheck // the change is its caller's
		result = p.audited(tx)
	}
	if errors.Is(result, ErrNoSpace) || isIOError(result) {
		return nil, result // SQLite may have rolled back everything by itself
	}
	if result != nil {
		if err := w.sql(ctx, "ROLLBACK TO change"); err != nil {
			return nil, translate(err)
		}
	}
	return result, translate(w.sql(ctx, "RELEASE change"))
}

// audited finds programmers' errors: each change says what it did, and what
// was said must not vanish in a power cut, or the audit would look tampered
// with.
func (p *pending) audited(tx *Tx) error {
	switch {
	case tx.recorded && !p.Durable:
		return errors.New("audit: a change that is recorded must be Durable")
	case !tx.recorded && p.Durable && !p.Unaudited:
		return errors.New("audit: a durable change recorded nothing: call Tx.Record in it, or mark it Unaudited if nobody can see what it changes")
	}
	return nil
}

// rollback ends a transaction that SQLite has not ended by itself.
func (w *writer) rollback(ctx context.Context) error {
	err := w.sql(ctx, "ROLLBACK")
	var e *sqlite.Error
	if errors.As(err, &e) && e.Code() == sqlite3.SQLITE_ERROR {
		return nil // "no transaction is active"
	}
	return err
}

// setDurable chooses whether a commit fsyncs the log. With NORMAL it does
// not, and the next FULL commit or checkpoint makes it durable in order.
func (w *writer) setDurable(ctx context.Context, durable bool) error {
	if durable == w.durable {
		return nil
	}
	pragma := "PRAGMA synchronous=NORMAL"
	if durable {
		pragma = "PRAGMA synchronous=FULL"
	}
	if _, err := w.conn.ExecContext(ctx, pragma); err != nil {
		return err
	}
	w.durable = durable
	return nil
}

func (w *writer) sql(ctx context.Context, statement string) error {
	_, err := w.tx.exec(ctx, statement)
	return err
}

// translate turns driver errors into this package's.
func translate(err error) error {
	if err == nil {
		return nil
	}
	if errors.Is(err, sql.ErrNoRows) {
		return ErrNotFound
	}
	if e, ok := errors.AsType[*sqlite.Error](err); ok {
		if e.Code() == sqlite3.SQLITE_CONSTRAINT_TRIGGER {
			if full, ok := quotaError(e.Error()); ok {
				return full
			}
		}
		switch e.Code() & 0xff { // the primary result code
		case sqlite3.SQLITE_FULL:
			return fmt.Errorf("%w: %w", ErrNoSpace, err)
		case sqlite3.SQLITE_READONLY:
			return fmt.Errorf("%w: %w", ErrReadOnly, err)
		}
	}
	return err
}

func isIOError(err error) bool {
	e, ok := errors.AsType[*sqlite.Error](err)
	return ok && e.Code()&0xff == sqlite3.SQLITE_IOERR
}
