package engine

import (
	"context"
	"errors"
	"maps"
	"sync"
	"time"

	"github.com/packhouse/packhouse/registry"
)

// lookEvery is how often a replica looks whether a pass is due at least.
const lookEvery = time.Minute

// collectByItself makes a pass every [Collection.Every]; of several replicas
// the first that finds it due.
func (e *Engine) collectByItself(ctx context.Context) {
	if e.cfg.Collection.Every <= 0 {
		return
	}
	tick := time.NewTicker(min(e.cfg.Collection.Every, lookEvery))
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		c, err := e.collectWhenDue(ctx)
		switch {
		case ctx.Err() != nil, errors.Is(err, errNotDue), errors.Is(err, registry.Unavailable) && !errors.Is(err, error(errLeaseLost)):
		case err != nil:
			e.cfg.Log.WarnContext(ctx, "a collection of garbage ended early, the next one goes on", "err", err)
		case !c.nothing():
			e.cfg.Log.InfoContext(ctx, "garbage was collected", "manifests", c.Manifests, "blobs", c.Blobs, "bytes", c.Bytes, "untagged", c.Untagged, "referrers", c.Referrers)
		}
	}
}

func (e *Engine) collectWhenDue(ctx context.Context) (Collected, error) {
	last, err := e.meta.LastPass(ctx)
	due := e.meta.Now().Add(-e.cfg.Collection.Every)
	switch {
	case err != nil:
		return Collected{}, err
	case last.After(due):
		return Collected{}, errNotDue
	}
	return e.collect(ctx, "engine.Collect", CollectOptions{}, due)
}

// CollectionStats count what this process's collections did since it started.
type CollectionStats struct {
	Passes, Failed, LeaseLost uint64
	Removed                   map[string]uint64 // by kind: uploads, repositories, periods, manifests, blobs, blocks, multiparts
	BytesRemoved              uint64            // of blobs
	Orphans                   uint64            // objects that nothing held
	Untagged, Referrers       uint64            // manifests moved to the trash
	Seconds, LastSeconds      float64           // that passes took, in all and the last
	LastPass                  time.Time         // when it ended
	Holding                   bool              // a pass runs here now
}

// collections are those counts.
type collections struct {
	mu    sync.Mutex
	stats CollectionStats
}

func (c *collections) begin() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.stats.Holding = true
}

func (c *collections) end(did Collected, took time.Duration, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := &c.stats
	s.Holding = false
	s.Passes++
	if err != nil {
		s.Failed++
	}
	if errors.Is(err, error(errLeaseLost)) {
		s.LeaseLost++
	}
	if s.Removed == nil {
		s.Removed = map[string]uint64{}
	}
	for kind, n := range map[string]int64{
		"uploads": did.Uploads, "repositories": did.Repositories, "periods": did.Periods, "manifests": did.Manifests,
		"blobs": did.Blobs, "blocks": did.Blocks, "multiparts": did.Multiparts,
	} {
		s.Removed[kind] += uint64(n)
	}
	s.BytesRemoved += uint64(did.Bytes)
	s.Untagged += uint64(did.Untagged)
	s.Referrers += uint64(did.Referrers)
	s.LastSeconds = took.Seconds()
	s.Seconds += s.LastSeconds
	s.LastPass = time.Now()
}

// found counts objects that nothing held, whoever found them.
func (c *collections) found(orphans int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.stats.Orphans += uint64(orphans)
}

// CollectionStats returns what this process's collections did.
func (e *Engine) CollectionStats() CollectionStats {
	c := &e.collections
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.stats
	s.Removed = maps.Clone(s.Removed)
	return s
}
