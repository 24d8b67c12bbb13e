package cache

import (
	"sync/atomic"
	"time"
)

// State is whether Redis is asked.
type State int32

// The states.
const (
	StateClosed   State = iota // it is asked
	StateOpen                  // it failed some times in a row and is left alone
	StateHalfOpen              // a probe is under way
)

func (s State) String() string {
	return [...]string{"closed", "open", "half-open"}[s]
}

// breaker keeps requests from waiting for a Redis that does not answer. Only
// the store's own probes find out that it does again.
type breaker struct {
	state    atomic.Int32
	failures atomic.Int32 // in a row
	opened   atomic.Uint64
	wake     chan struct{} // of who probes
}

// tripAfter is how many failures in a row open the breaker: one slow answer
// does not, and no more requests than these wait in vain.
const tripAfter = 3

// A probe follows the one before after twice the time, within these bounds.
const (
	probeFirst = 100 * time.Millisecond
	probeLast  = 2 * time.Second
)

func newBreaker() *breaker { return &breaker{wake: make(chan struct{}, 1)} }

func (b *breaker) State() State { return State(b.state.Load()) }

func (b *breaker) closed() bool { return b.State() == StateClosed }

func (b *breaker) succeeded() {
	if b.failures.Load() != 0 {
		b.failures.Store(0)
	}
}

func (b *breaker) failed() {
	if b.failures.Add(1) < tripAfter || !b.state.CompareAndSwap(int32(StateClosed), int32(StateOpen)) {
		return
	}
	b.opened.Add(1)
	select {
	case b.wake <- struct{}{}:
	default:
	}
}

// probed notes how a probe ended.
func (b *breaker) probed(err error) {
	if err != nil {
		b.state.Store(int32(StateOpen))
		return
	}
	b.failures.Store(0)
	b.state.Store(int32(StateClosed))
}
