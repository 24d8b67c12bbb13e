package engine

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/packhouse/packhouse/registry"
	"github.com/packhouse/packhouse/storage/meta"
)

// follower is the authority of one of several processes over one database: the
// database is, and tells by numbers of stripes what changed. See ADR 0018.
type follower struct {
	meta     numbers
	staleFor time.Duration
	// moved is told of stripes beside those of repositories that got another
	// number, before anybody relies on the round that found it.
	moved func(ctx context.Context, feeds, access bool, feedsSeq int64) error
	fault *fault

	rounds    meta.Rounds
	began     time.Time // of the clock
	validated atomic.Int64
	away      atomic.Bool // the last round failed
	table     atomic.Pointer[table]

	requests, queries, failed, stale atomic.Uint64

	// Of rounds alone, of which one runs at a time:
	last    int64 // highest number that table knows
	settled bool  // moved was told of all that table knows
}

// numbers is what a follower asks; it is a *meta.Store.
type numbers interface {
	ChangedStripes(ctx context.Context, after int64) (origin string, changes []meta.StripeChange, err error)
	Identity(ctx context.Context) (string, error)
}

// table holds the numbers of all stripes, as far as they are known.
type table struct {
	origin   string
	number   uint32
	database string
	seqs     [meta.AllStripe + 1]atomic.Int64
}

const (
	// validFor is how long one validation does for a request: reads of a long
	// one are as of a moment after it began, but not much older than themselves.
	validFor = time.Second
	// askWithin bounds one round. The store itself finds out much earlier when
	// the database does not answer at all.
	askWithin = 5 * time.Second
	// staleAfter is how long a database that was away a moment ago may take to
	// answer before what was validated earlier has to do.
	staleAfter = 200 * time.Millisecond
)

var _ authority = (*follower)(nil)

func newFollower(ctx context.Context, m numbers, staleFor time.Duration, faulty *fault, moved func(ctx context.Context, feeds, access bool, feedsSeq int64) error) (*follower, error) {
	a := &follower{meta: m, staleFor: staleFor, fault: faulty, moved: moved, began: time.Now()}
	a.rounds.Query = a.ask
	a.table.Store(&table{})
	return a, a.revalidate(ctx)
}

func (a *follower) validation() ValidationStats {
	return ValidationStats{Requests: a.requests.Load(), Queries: a.queries.Load(), Failed: a.failed.Load(), Stale: a.stale.Load()}
}

func (a *follower) close() { a.rounds.Close() }

// clock counts from 1.
func (a *follower) clock() int64 { return int64(time.Since(a.began)) + 1 }

func (a *follower) validate(ctx context.Context) error {
	reads := registry.ReadsOf(ctx)
	if reads == nil {
		return a.revalidate(ctx)
	}
	if at := reads.Validated.Load(); at != 0 && a.clock()-at < int64(validFor) || a.fault.skipsValidation() {
		return nil
	}
	if !a.mayBeStale(reads) {
		return a.revalidate(ctx)
	}
	within := ctx
	if a.away.Load() {
		var cancel context.CancelFunc
		within, cancel = context.WithTimeout(ctx, staleAfter)
		defer cancel()
	}
	err := a.revalidate(within)
	if ctx.Err() == nil && (errors.Is(err, meta.ErrUnavailable) || errors.Is(err, context.DeadlineExceeded)) && a.mayBeStale(reads) {
		reads.Stale.Store(true)
		a.stale.Add(1)
		return nil
	}
	return err
}

// mayBeStale tells whether what was last validated is new enough for a request
// that permits that while the database is away.
func (a *follower) mayBeStale(reads *registry.Reads) bool {
	at := a.validated.Load()
	return reads.Lenient && at != 0 && a.clock()-at <= int64(a.staleFor)
}

func (a *follower) revalidate(ctx context.Context) error {
	a.requests.Add(1)
	began := a.clock()
	if err := a.rounds.Wait(ctx); err != nil {
		return err
	}
	if reads := registry.ReadsOf(ctx); reads != nil {
		reads.Validated.Store(began)
	}
	return nil
}

// ask is one round.
func (a *follower) ask(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, askWithin)
	defer cancel()
	began := a.clock()
	a.queries.Add(1)
	err := a.catchUp(ctx)
	if err != nil && ctx.Err() != nil {
		err = fmt.Errorf("%w: %w", meta.ErrUnavailable, err)
	}
	a.away.Store(err != nil)
	if err != nil {
		a.failed.Add(1)
		return err
	}
	a.validated.Store(began)
	return nil
}

func (a *follower) catchUp(ctx context.Context) error {
	t := a.table.Load()
	origin, changes, err := a.meta.ChangedStripes(ctx, a.last)
	if err != nil {
		return err
	}
	if origin != t.origin || t.number == 0 {
		// The numbers are another history's: all that is remembered was.
		if t, changes, err = a.begin(ctx, t.number); err != nil {
			return err
		}
		a.last, a.settled = 0, false
	}
	feeds, access := !a.settled, !a.settled
	for _, c := range changes {
		feeds = feeds || c.Stripe == meta.FeedsStripe
		access = access || c.Stripe == meta.AccessStripe
	}
	if feeds || access {
		a.settled = false // until moved succeeds
	}
	for _, c := range changes {
		if c.Stripe >= 0 && c.Stripe < len(t.seqs) {
			t.seqs[c.Stripe].Store(c.Seq)
		}
		a.last = max(a.last, c.Seq)
	}
	if feeds || access {
		if err := a.moved(ctx, feeds, access, t.seqs[meta.FeedsStripe].Load()); err != nil {
			return err
		}
		a.settled = true
	}
	a.table.Store(t)
	return nil
}

// begin reads all numbers of one origin.
func (a *follower) begin(ctx context.Context, before uint32) (*table, []meta.StripeChange, error) {
	identity, err := a.meta.Identity(ctx)
	if err != nil {
		return nil, nil, err
	}
	origin, changes, err := a.meta.ChangedStripes(ctx, 0)
	if err != nil {
		return nil, nil, err
	}
	return &table{origin: origin, number: before + 1, database: identity + " " + origin}, changes, nil
}

func (a *follower) mark(r registry.Repo) (mark, bool) {
	t := a.table.Load()
	seq := max(t.seqs[stripeOf(r)].Load(), t.seqs[meta.AllStripe].Load())
	return mark{origin: t.number, generation: uint64(seq), database: t.database}, true
}

// holds spares memory what nobody will ask for any more. It would be right to
// keep it: only a request that began before the next change can ask for it.
func (a *follower) holds(r registry.Repo, m mark) bool {
	now, _ := a.mark(r)
	return now == m
}

// What this process changes it learns as all others do.

func (a *follower) changing(...registry.Repo) (settled func()) { return func() {} }
func (a *follower) changingAll() (settled func())              { return func() {} }
func (a *follower) forget()                                    {}
