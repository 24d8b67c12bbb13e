package limit

import (
	"hash/maphash"
	"net/netip"
	"sync"
	"time"
)

// table holds a state for each of many keys, in shards that are locked apart.
type table[S any] struct {
	idle   func(S, time.Time) bool // a state that is as good as none
	heir   func(S, time.Time) S    // the first state of a key that shared the given one until now
	shards [shards]shard[S]
}

const shards = 64

// shard is a map with the order of its use: newest.next was used last.
type shard[S any] struct {
	mu       sync.Mutex
	byKey    map[uint64]*entry[S]
	newest   entry[S] // between the newest and the oldest
	overflow S        // of all keys that have no entry
	most     int
}

type entry[S any] struct {
	key        uint64
	prev, next *entry[S]
	state      S
}

func newTable[S any](entries int, idle func(S, time.Time) bool, heir func(S, time.Time) S) *table[S] {
	t := &table[S]{idle: idle, heir: heir}
	for i := range t.shards {
		s := &t.shards[i]
		s.byKey = map[uint64]*entry[S]{}
		s.most = max(1, entries/shards)
		s.newest.prev, s.newest.next = &s.newest, &s.newest
	}
	return t
}

// look returns key's state as it is, with its shard locked.
func (t *table[S]) look(key uint64) (*shard[S], *S) {
	s := &t.shards[key%shards]
	s.mu.Lock()
	if e := s.byKey[key]; e != nil {
		return s, &e.state
	}
	return s, &s.overflow
}

// hold is look for who changes the state: key gets one of its own if there is
// room.
func (t *table[S]) hold(key uint64, now time.Time) (*shard[S], *S) {
	s := &t.shards[key%shards]
	s.mu.Lock()
	e := s.byKey[key]
	switch {
	case e != nil:
		s.unlink(e)
	case len(s.byKey) < s.most || t.forget(s, now):
		e = &entry[S]{key: key, state: t.heir(s.overflow, now)}
		s.byKey[key] = e
	default:
		if t.idle(s.overflow, now) {
			s.overflow = t.heir(s.overflow, now)
		}
		return s, &s.overflow
	}
	e.prev, e.next = &s.newest, s.newest.next
	e.prev.next, e.next.prev = e, e
	return s, &e.state
}

// drop forgets key's own state, which is to be idle from now on.
func (t *table[S]) drop(key uint64) {
	s := &t.shards[key%shards]
	s.mu.Lock()
	defer s.mu.Unlock()
	if e := s.byKey[key]; e != nil {
		s.remove(e)
	}
}

// tries bounds how many of the oldest entries are looked at for an idle one.
const tries = 8

func (t *table[S]) forget(s *shard[S], now time.Time) bool {
	e := s.newest.prev
	for i := 0; i < tries && e != &s.newest; i++ {
		if t.idle(e.state, now) {
			s.remove(e)
			return true
		}
		e = e.prev
	}
	return false
}

func (s *shard[S]) remove(e *entry[S]) {
	s.unlink(e)
	delete(s.byKey, e.key)
}

func (s *shard[S]) unlink(e *entry[S]) {
	e.prev.next, e.next.prev = e.next, e.prev
}

// keys turns names into keys that nobody outside can aim at: two share one by
// chance alone, once in 2⁶⁴.
type keys struct{ seed maphash.Seed }

func (k keys) name(name string) uint64 { return maphash.String(k.seed, name) }

func (k keys) address(address string) uint64 {
	n := network(address)
	return maphash.Bytes(k.seed, n[:])
}

func (k keys) pair(address, account string) uint64 {
	return maphash.Comparable(k.seed, [2]uint64{k.address(address), k.name(account)})
}

// network is what of an address counts as one caller: all of IPv4's, the first
// 64 bits of IPv6's, of which every household has as many as it likes. What is
// no address is the zero network.
func network(address string) [16]byte {
	a, err := netip.ParseAddr(address)
	if err != nil {
		return [16]byte{}
	}
	if a = a.Unmap(); a.Is4() {
		return a.As16()
	}
	b := a.As16()
	clear(b[8:])
	return b
}
