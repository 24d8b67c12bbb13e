package auth

import (
	"hash/maphash"
	"sync/atomic"
)

// cache remembers what is costly to compute. Each key has two places, side by
// side, and displaces what was in them, so its size is bounded and reading
// takes no lock.
type cache[K comparable, V any] struct {
	seed  maphash.Seed
	slots []atomic.Pointer[remembered[K, V]]
}

type remembered[K comparable, V any] struct {
	key   K
	value V
}

// newCache makes a cache of a size that is a power of two, 2 or more.
func newCache[K comparable, V any](size int) *cache[K, V] {
	return &cache[K, V]{seed: maphash.MakeSeed(), slots: make([]atomic.Pointer[remembered[K, V]], size)}
}

func (c *cache[K, V]) place(key K) uint64 {
	return maphash.Comparable(c.seed, key) & uint64(len(c.slots)-1)
}

func (c *cache[K, V]) get(key K) (value V, ok bool) {
	place := c.place(key)
	if r := c.slots[place].Load(); r != nil && r.key == key {
		return r.value, true
	}
	if r := c.slots[place^1].Load(); r != nil && r.key == key {
		return r.value, true
	}
	return value, false
}

func (c *cache[K, V]) put(key K, value V) {
	place := c.place(key)
	if c.slots[place].Load() != nil && c.slots[place^1].Load() == nil {
		place ^= 1
	}
	c.slots[place].Store(&remembered[K, V]{key, value})
}
