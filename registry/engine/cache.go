package engine

import (
	"context"
	"fmt"
	"sync/atomic"

	"github.com/maypok86/otter/v2"
	"golang.org/x/sync/singleflight"

	"github.com/packhouse/packhouse/registry"
	"github.com/packhouse/packhouse/storage/meta"
)

// cache keeps what reads of names and content found, keyed by the generation
// of the repository's stripe, so that a change makes all older entries
// unreachable at once. It never decides an answer: the authority does, by
// saying which generation is the present one.
type cache struct {
	authority
	entries *otter.Cache[key, *entry]
	far     *far               // nil for none
	flight  singleflight.Group // of derived entries, which are dear
	fault   *fault

	hits, misses, evicted atomic.Uint64
	capacity              uint64
}

// authority knows how old what was found may be. Repositories share stripes,
// which only costs extra misses.
type authority interface {
	// validate returns once mark knows of every change that somebody may have
	// seen before the call, and looks nothing up if it did so for ctx's request.
	validate(ctx context.Context) error
	// revalidate is validate for who must know of what ctx's request changed.
	revalidate(ctx context.Context) error
	// mark is what entries of r are kept under now. ok is false while they must
	// be neither asked nor made.
	mark(r registry.Repo) (m mark, ok bool)
	// holds tells whether what was found after m was marked may be kept.
	holds(r registry.Repo, m mark) bool
	// changing announces a change of what the names stand for, changingAll of
	// any number of repositories. What they return is called once, when the
	// commit's result is known.
	changing(names ...registry.Repo) (settled func())
	changingAll() (settled func())
	// forget makes every entry unreachable.
	forget()
	validation() ValidationStats
	close()
}

// mark stands for one state of a stripe.
type mark struct {
	origin     uint32 // generations are to be compared with those of the same origin
	generation uint64
	database   string // names the origin to other processes
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
	origin     uint32
	generation uint64
	repo       registry.Repo
	name       string // tag or digest
}

// entry is what one read found; which field is set follows from the key's kind.
type entry struct {
	manifest  registry.Manifest
	blob      meta.Blob
	tags      []registry.Tag
	long      bool // tags are more than are kept
	referrers []registry.Descriptor
	derived   any
	weight    int
}

func newCache(bytes int64, a authority, f *far, faulty *fault) *cache {
	c := &cache{authority: a, far: f, fault: faulty, capacity: uint64(bytes)}
	c.entries = otter.Must(&otter.Options[key, *entry]{
		MaximumWeight: c.capacity,
		OnDeletion: func(d otter.DeletionEvent[key, *entry]) {
			if d.WasEvicted() {
				c.evicted.Add(1)
			}
		},
		Weigher: func(k key, e *entry) uint32 {
			const overhead = 256 // key, entry, node and map slot
			return uint32(overhead + len(k.repo) + len(k.name) + len(e.manifest.Raw) + e.weight)
		},
	})
	return c
}

type finder func(context.Context) (*entry, error)

// load answers from memory, or from what replicas share, or by find.
func (c *cache) load(ctx context.Context, k kind, r registry.Repo, name string, find finder) (*entry, error) {
	return c.loadShared(ctx, k, r, name, codecs[k], find)
}

// loadShared is load for entries that coded, if it is not nil, makes fit for
// other processes. The order matters: find asks the database after mark told
// the generation, so what is kept is never older than what it is kept under.
func (c *cache) loadShared(ctx context.Context, k kind, r registry.Repo, name string, coded *codec, find finder) (*entry, error) {
	if err := c.validate(ctx); err != nil {
		return nil, wrap("engine.validate", err)
	}
	m, ok := c.mark(r)
	if !ok {
		c.misses.Add(1)
		return find(ctx)
	}
	at := key{kind: k, origin: m.origin, generation: m.generation, repo: r, name: name}
	if e, ok := c.entries.GetIfPresent(at); ok {
		c.hits.Add(1)
		return e, nil
	}
	c.misses.Add(1)
	find = c.fault.finder(at, find)
	if coded != nil && c.far != nil {
		find = c.far.finder(m, at, coded, find)
	}
	if k == derived {
		find = c.shared(at, find)
	}
	e, err := find(ctx)
	if err != nil {
		return nil, err
	}
	if c.holds(r, m) {
		c.entries.Set(at, e)
	}
	c.fault.filled(c, r, at, e)
	return e, nil
}

// shared lets those who want the same of the same generation wait for one of
// them: no commit came between, so each may have the answer.
func (c *cache) shared(at key, find finder) finder {
	return func(ctx context.Context) (*entry, error) {
		id := fmt.Sprintf("%d %d %s %s", at.origin, at.generation, at.repo, at.name)
		v, err, _ := c.flight.Do(id, func() (any, error) { return find(context.WithoutCancel(ctx)) })
		if err != nil {
			return nil, err
		}
		return v.(*entry), nil
	}
}

// openCache makes the cache over the authority of the database.
func (e *Engine) openCache(ctx context.Context) error {
	if !e.meta.Shared() {
		e.cache = newCache(e.cfg.CacheBytes, &memory{}, nil, e.fault)
		return e.loadFeeds(ctx, 0)
	}
	var f *far
	if e.cfg.Redis != nil {
		f = &far{e.cfg.Redis}
	}
	a, err := newFollower(ctx, e.meta, e.cfg.StaleReads, e.fault, e.moved)
	if err != nil {
		return err
	}
	e.cache = newCache(e.cfg.CacheBytes, a, f, e.fault)
	return nil
}

// moved reads again what changed beside repositories.
func (e *Engine) moved(ctx context.Context, feeds, access bool, feedsSeq int64) error {
	if access && e.cfg.AccessMoved != nil {
		e.cfg.AccessMoved()
	}
	if !feeds {
		return nil
	}
	return e.loadFeeds(ctx, feedsSeq)
}
