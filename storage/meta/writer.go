package meta

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// writer changes the database through one connection and commits in groups:
// what queued up while the last commit was fsynced shares the next.
type writer struct {
	session session
	now     func() time.Time
	watch   *watch

	queue   chan *pending
	done    chan struct{}
	closing sync.RWMutex // held for reading while a change is being queued
	closed  bool
}

// session is the connection that changes the database. It is used by one
// goroutine.
type session interface {
	// admits tells whether a change may run now; else it gets ErrNoSpace.
	admits(o Options) bool
	// begin starts a transaction. Its context is that of all that follows.
	begin(ctx context.Context, durable bool) (context.Context, queries, error)
	// joins tells whether changes that came while it began can still join.
	joins() bool
	// member runs one of n changes so that it can be undone alone. fatal means
	// that the transaction is lost.
	member(ctx context.Context, n int, change func() error) (result, fatal error)
	// commit ends the transaction, with a mark in the stripes that were touched.
	commit(ctx context.Context, durable bool, touched []int) error
	// failed ends a transaction that is lost by err. It tells which members may
	// be tried again, nil for none, and what the others are told.
	failed(ctx context.Context, err error, tries int, frees bool) (again func(Options) bool, told error)
	// patience is how long a change waits for a connection that gives no sign
	// of life, 0 for ever; alive is when it last gave one.
	patience() time.Duration
	alive() time.Time
	close() error
}

type pending struct {
	Options
	ctx    context.Context //nolint:containedctx // the caller waits for the answer
	change func(context.Context, *Tx) error
	result chan error
	taken  atomic.Bool // it runs or ran, or its caller gave up before
	runs   bool        // the first of both; of the run goroutine
}

// take claims a queued change for running, once.
func (p *pending) take() bool {
	if !p.runs {
		p.runs = p.taken.CompareAndSwap(false, true)
	}
	return p.runs
}

// maxGroup bounds how many changes one commit waits for.
const maxGroup = 128

func newWriter(s session, now func() time.Time, watch *watch) *writer {
	w := &writer{session: s, now: now, watch: watch, queue: make(chan *pending, maxGroup), done: make(chan struct{})}
	go w.run()
	return w
}

func (w *writer) update(ctx context.Context, o Options, change func(context.Context, *Tx) error) error {
	p := &pending{Options: o, ctx: ctx, change: change, result: make(chan error, 1)}
	var tired <-chan time.Time
	patience := w.session.patience()
	if patience > 0 {
		timer := time.NewTimer(patience)
		defer timer.Stop()
		tired = timer.C
	}
	w.closing.RLock()
	if w.closed {
		w.closing.RUnlock()
		return fmt.Errorf("%w: it is closed", ErrReadOnly)
	}
	select {
	case w.queue <- p: // bounded wait: run drains the queue until close
		w.closing.RUnlock()
	case <-tired:
		w.closing.RUnlock()
		return fmt.Errorf("%w: too many changes wait for it", ErrUnavailable)
	}
	for {
		select {
		case err := <-p.result:
			return err
		case <-tired:
			switch quiet := time.Since(w.session.alive()); {
			case quiet < patience:
				tired = time.After(patience - quiet)
			case p.taken.CompareAndSwap(false, true):
				return fmt.Errorf("%w: it gave no answer for %s", ErrUnavailable, quiet.Round(time.Millisecond))
			default:
				tired = nil // it runs: the session knows its end soon
			}
		}
	}
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
	return w.session.close()
}

func (w *writer) run() {
	defer close(w.done)
	group := make([]*pending, 0, maxGroup)
	for first := range w.queue {
		w.commit(w.fill(append(group[:0], first)))
	}
}

// fill adds what waits now.
func (w *writer) fill(group []*pending) []*pending {
	for len(group) < maxGroup {
		select {
		case p, open := <-w.queue:
			if !open {
				return group
			}
			group = append(group, p)
		default:
			return group
		}
	}
	return group
}

// commit runs group in one transaction and answers each member.
func (w *writer) commit(group []*pending) {
	ctx := context.Background() // a client that leaves must not tear others' commit
	// What queued up before the disk was full must not eat what deletes need.
	group = answer(group, ErrNoSpace, w.session.admits)
	span, began := w.watch.spans.commit(group), time.Now()
	var told error
	for tries := 1; len(group) > 0; tries++ {
		if tries > 1 {
			w.watch.retried.Add(1)
		}
		var results []error
		var err error
		group, results, err = w.try(ctx, group)
		if err == nil {
			end(span, nil)
			w.watch.took(len(group), began)
			for i, p := range group {
				p.result <- results[i]
			}
			return
		}
		frees := slices.ContainsFunc(group, func(p *pending) bool { return p.Frees })
		var again func(Options) bool
		again, told = w.session.failed(ctx, err, tries, frees)
		if again == nil {
			again = func(Options) bool { return false }
		}
		group = answer(group, told, again)
	}
	end(span, told)
}

// answer sends err to the members that are not kept and returns the rest.
func answer(group []*pending, err error, keep func(Options) bool) []*pending {
	return slices.DeleteFunc(group, func(p *pending) bool {
		if keep(p.Options) {
			return false
		}
		p.result <- err
		return true
	})
}

// try returns each member's own result, or the error of the whole transaction.
// The group may have grown.
func (w *writer) try(ctx context.Context, group []*pending) ([]*pending, []error, error) {
	durable := func() bool { return slices.ContainsFunc(group, func(p *pending) bool { return p.Durable }) }
	ctx, q, err := w.session.begin(ctx, durable())
	if err != nil {
		return group, nil, translate(err)
	}
	if w.session.joins() {
		group = w.fill(group)
	}
	q = w.watch.spans.over(q)
	results := make([]error, len(group))
	var touched []int
	for i, p := range group {
		if !p.take() {
			results[i] = ErrUnavailable // its caller was told so
			continue
		}
		if results[i] = p.ctx.Err(); results[i] != nil {
			continue
		}
		tx := &Tx{queries: q, now: w.now(), before: touched}
		var fatal error
		results[i], fatal = w.session.member(ctx, len(group), func() error { //nolint:contextcheck // the change is its caller's
			if err := p.change(context.WithoutCancel(p.ctx), tx); err != nil {
				return err
			}
			return p.audited(tx)
		})
		if fatal != nil {
			return group, nil, fatal
		}
		if results[i] == nil {
			touched = append(touched, tx.touched...)
		}
	}
	slices.Sort(touched)
	if err := w.session.commit(ctx, durable(), slices.Compact(touched)); err != nil {
		return group, nil, translate(err)
	}
	return group, results, nil
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
