package cache

import "sync/atomic"

// Stats count since the start.
type Stats struct {
	Hits, Misses uint64
	Refused      uint64 // values that were not what their key says
	Errors       uint64 // requests that Redis did not answer in time, or not well
	Skipped      uint64 // requests that the open breaker kept back
	Written      uint64
	Dropped      uint64 // writes that found the queue full, or Redis away
	Opened       uint64 // times that the breaker opened
	State        State
}

type counters struct {
	hits, misses, refused, errors, skipped, written, dropped atomic.Uint64
}

// Stats returns what happened so far.
func (s *Store) Stats() Stats {
	c := &s.count
	return Stats{
		Hits: c.hits.Load(), Misses: c.misses.Load(), Refused: c.refused.Load(), Errors: c.errors.Load(), Skipped: c.skipped.Load(),
		Written: c.written.Load(), Dropped: c.dropped.Load(), Opened: s.breaker.opened.Load(), State: s.breaker.State(),
	}
}
