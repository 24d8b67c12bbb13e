package engine

import (
	"context"
	"fmt"
	"hash/maphash"
	"sync/atomic"

	"github.com/maypok86/otter/v2"
	"golang.org/x/sync/singleflight"

	"github.com/packhouse/packhouse/registry"
	"github.com/packhouse/packhouse/storage/meta"
)

// cache keeps what reads of names and content found, keyed by the generation
// of the repository's stripe, so that a change makes all older entries
// unreachable at once. It never decides an answer: while a change is being
// committed, reads of its stripe go to the database.
type cache struct {
	entries *otter.Cache[key, *entry]
	seed    maphash.Seed
	stripes [stripes]stripe
	flight  singleflight.Group // of derived entries, which are dear

	hits, misses atomic.Uint64
}

const stripes = 4096

// stripe stands for all repositories whose names hash to it. Sharing one only
// costs extra misses.
type stripe struct {
	changing   atomic.Int64 // commits whose result is not known yet
	generation atomic.Uint64
}

type kind uint8

const (
	byTag kind = iota
	byDigest
	blobByDigest
	tagList
	referrerList
	derived
)

type key struct {
	kind       kind
	generation uint64
	repo       registry.Repo
	name       string // tag or digest
}

// entry is what one read found; which field is set follows from the key's kind.
type entry struct {
	manifest  registry.Manifest
	blob      meta.Blob
	tags      []registry.Tag
	referrers []registry.Descriptor
	derived   any
	weight    int
}

func newCache(bytes int64) *cache {
	return &cache{
		seed: maphash.MakeSeed(),
		entries: otter.Must(&otter.Options[key, *entry]{
			MaximumWeight: uint64(bytes),
			Weigher: func(k key, e *entry) uint32 {
				const overhead = 256 // key, entry, node and map slot
				return uint32(overhead + len(k.repo) + len(k.name) + len(e.manifest.Raw) + e.weight)
			},
		}),
	}
}

func (c *cache) stripe(r registry.Repo) *stripe {
	return &c.stripes[maphash.String(c.seed, string(r))%stripes]
}

// changing announces a change of what the names stand for. The function it
// returns is called once, when the commit's result is known.
func (c *cache) changing(names ...registry.Repo) (settled func()) {
	touched := make([]*stripe, len(names))
	for i, r := range names {
		touched[i] = c.stripe(r)
		touched[i].changing.Add(1)
	}
	return func() {
		for _, s := range touched {
			s.generation.Add(1)
			s.changing.Add(-1)
		}
	}
}

// changingAll announces a change of any number of repositories.
func (c *cache) changingAll() (settled func()) {
	for i := range c.stripes {
		c.stripes[i].changing.Add(1)
	}
	return func() {
		c.forget()
		for i := range c.stripes {
			c.stripes[i].changing.Add(-1)
		}
	}
}

// forget makes every entry unreachable.
func (c *cache) forget() {
	for i := range c.stripes {
		c.stripes[i].generation.Add(1)
	}
}

// load answers from the cache or by find. The order of the loads matters: with
// no commit under way when changing is read, the generation read after it is
// at least that of the last commit anybody could have seen.
func (c *cache) load(ctx context.Context, k kind, r registry.Repo, name string, find func(context.Context) (*entry, error)) (*entry, error) {
	s := c.stripe(r)
	if s.changing.Load() != 0 {
		c.misses.Add(1)
		return find(ctx)
	}
	at := key{kind: k, generation: s.generation.Load(), repo: r, name: name}
	if e, ok := c.entries.GetIfPresent(at); ok {
		c.hits.Add(1)
		return e, nil
	}
	c.misses.Add(1)
	if k == derived {
		find = c.shared(at, find)
	}
	e, err := find(ctx)
	if err != nil {
		return nil, err
	}
	if s.changing.Load() == 0 && s.generation.Load() == at.generation {
		c.entries.Set(at, e)
	}
	return e, nil
}

// shared lets those who want the same of the same generation wait for one of
// them: no commit came between, so each may have the answer.
func (c *cache) shared(at key, find func(context.Context) (*entry, error)) func(context.Context) (*entry, error) {
	return func(ctx context.Context) (*entry, error) {
		id := fmt.Sprintf("%d %s %s", at.generation, at.repo, at.name)
		v, err, _ := c.flight.Do(id, func() (any, error) { return find(context.WithoutCancel(ctx)) })
		if err != nil {
			return nil, err
		}
		return v.(*entry), nil
	}
}

// CacheStats returns how many reads the cache answered and how many it did not.
func (e *Engine) CacheStats() (hits, misses uint64) {
	return e.cache.hits.Load(), e.cache.misses.Load()
}
