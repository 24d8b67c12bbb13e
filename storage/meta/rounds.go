package meta

import (
	"context"
	"sync"
)

// Rounds runs one query for all who want its answer: at most one is under way,
// and those who come meanwhile share the next. Nobody gets the answer of one
// that began before they came.
type Rounds struct {
	// Query is the question; it must end by itself. Its ctx is nobody's.
	Query func(ctx context.Context) error

	mu            sync.Mutex
	running, next *round
	asking        sync.WaitGroup
}

type round struct {
	done chan struct{}
	err  error
}

// Wait returns the error of a query that began after the call, or ctx's.
func (r *Rounds) Wait(ctx context.Context) error {
	mine := r.join() //nolint:contextcheck // a round is for all who wait for it
	select {
	case <-mine.done:
		return mine.err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Close waits for the query under way. Nobody may ask any more.
func (r *Rounds) Close() { r.asking.Wait() }

func (r *Rounds) join() *round {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.running == nil {
		return r.start()
	}
	if r.next == nil {
		r.next = &round{done: make(chan struct{})}
	}
	return r.next
}

// start begins the first of some rounds; r.mu is held.
func (r *Rounds) start() *round {
	first := &round{done: make(chan struct{})}
	r.running = first
	r.asking.Go(func() { r.run(first) })
	return first
}

func (r *Rounds) run(now *round) {
	for now != nil {
		now.err = r.Query(context.Background())
		close(now.done)
		r.mu.Lock()
		next := r.next
		r.next = nil
		if next != nil && now.err != nil {
			// An answer that failed may be an old one: nobody is better off
			// who waits for the same again.
			next.err = now.err
			close(next.done)
			next = nil
		}
		now, r.running = next, next
		r.mu.Unlock()
	}
}
