package engine

import (
	"context"
	"errors"
	"strconv"
	"time"

	"github.com/packhouse/packhouse/registry"
	"github.com/packhouse/packhouse/storage/meta"
)

// Collection says what the collector takes and how fast.
type Collection struct {
	Every     time.Duration // between passes that begin by themselves, 0 for none
	Untagged  time.Duration // how long a manifest may be without a tag, 0 for ever
	Referrers time.Duration // how long a referrer outlives its subject, 0 for ever
	Rate      int           // most blobs and manifests that go in a second, 0 for any number
}

// CollectOptions say what a collection does.
type CollectOptions struct {
	DryRun bool
	// Progress is called now and then with the phase and with how many rows of
	// it were looked at; it may be nil.
	Progress func(phase string, done int64)
}

// Collected is what a collection removed or, in a dry run, what it would.
type Collected struct {
	Uploads      int64 `json:"uploads"`      // idle sessions
	Repositories int64 `json:"repositories"` // past the trash window
	Periods      int64 `json:"periods"`      // of tags and manifests, past the trash window
	Manifests    int64 `json:"manifests"`    // that no name leads to
	Blobs        int64 `json:"blobs"`
	Bytes        int64 `json:"bytes"`     // of those blobs
	Untagged     int64 `json:"untagged"`  // manifests moved to the trash
	Referrers    int64 `json:"referrers"` // as above, since their subject is gone
	Blocks       int64 `json:"blocks"`    // of storage keys of processes that are gone
	Orphans      int64 `json:"orphans"`   // objects under those keys that nothing needed
	Multiparts   int64 `json:"multiparts"`
	// Reasons say it again by what and why, with bytes, and, in a dry run, what
	// would follow.
	Reasons []Removal `json:"reasons"`
}

// Removal is one reason for which a collection removes something.
type Removal struct {
	What  string `json:"what"` // "blobs"
	Why   string `json:"why"`
	Count int64  `json:"count"`
	Bytes int64  `json:"bytes"`
	Later string `json:"later,omitempty"` // when it would go, if not in this collection
}

// add counts one kind of what went.
func (c *Collected) add(what, why string, count, bytes int64) {
	for i := range c.Reasons {
		if r := &c.Reasons[i]; r.What == what && r.Why == why {
			r.Count += count
			r.Bytes += bytes
			return
		}
	}
	if count > 0 {
		c.Reasons = append(c.Reasons, Removal{What: what, Why: why, Count: count, Bytes: bytes})
	}
}

// nothing tells whether nothing went.
func (c *Collected) nothing() bool { return len(c.Reasons) == 0 }

// The reasons.
const (
	whyIdle         = "idle for longer than uploads.ttl"
	whyTrash        = "deleted longer ago than trash.window"
	whyNameless     = "no name leads to them"
	whyUntagged     = "untagged for longer than gc.untagged"
	whyOrphaned     = "their subject has been gone for longer than gc.referrers"
	whyUnreferenced = "unreferenced for longer than gc.lease"
	whyLost         = "left by processes that are gone"
)

// Collect removes what nothing can need any more: idle upload sessions, what is
// past the trash window, blobs that have been unreferenced for longer than the
// lease, and what processes that are gone left behind; manifests that no tag
// leads to and referrers without a subject go to the trash. Pushes and pulls go
// on meanwhile. A collection that is broken off goes on with the next one.
func (e *Engine) Collect(ctx context.Context, o CollectOptions) (Collected, error) {
	const op = "engine.Collect"
	if err := e.can(ctx, registry.Admin, ""); err != nil {
		return Collected{}, err
	}
	if o.DryRun {
		c, err := e.collectDry(ctx, o)
		return c, wrap(op, err)
	}
	c, err := e.collect(ctx, op, o, e.meta.Now())
	return c, wrap(op, err)
}

// errNotDue says that another replica began a pass.
var errNotDue = errors.New("a collection began meanwhile")

// collect makes one pass, unless one began after the given time.
func (e *Engine) collect(ctx context.Context, op string, o CollectOptions, unless time.Time) (_ Collected, err error) {
	ctx, lease, err := e.upkeep(ctx, op)
	if err != nil {
		return Collected{}, err
	}
	defer lease.release(ctx)
	c := collection{Engine: e, CollectOptions: o, lease: lease, now: e.meta.Now()}
	started := time.Now()
	err = c.step(ctx, func(ctx context.Context, tx *meta.Tx) error { return tx.StartPass(ctx, unless) })
	if errors.Is(err, meta.ErrNotFound) {
		return Collected{}, errNotDue
	}
	e.collections.begin()
	defer func() { e.collections.end(c.did, time.Since(started), err) }()
	if err != nil {
		return Collected{}, err
	}
	for _, step := range []func(context.Context) error{c.uploads, c.untagged, c.referrers, c.trash, c.manifests, c.garbage, c.blocks, c.multiparts} {
		if err := step(ctx); err != nil {
			return c.did, lease.cause(ctx, err)
		}
	}
	if c.did.nothing() {
		return c.did, nil
	}
	return c.did, e.note(ctx, "registry.collect", map[string]string{
		"repositories": strconv.FormatInt(c.did.Repositories, 10), "periods": strconv.FormatInt(c.did.Periods, 10),
		"manifests": strconv.FormatInt(c.did.Manifests, 10), "blobs": strconv.FormatInt(c.did.Blobs, 10), "bytes": strconv.FormatInt(c.did.Bytes, 10),
	})
}

// collection is one pass.
type collection struct {
	*Engine
	CollectOptions
	did   Collected
	lease *lease
	now   time.Time
}

// step commits one small change of the collection, while the lease is ours.
func (c *collection) step(ctx context.Context, f func(context.Context, *meta.Tx) error) error {
	return c.meta.Update(ctx, cleaning, func(ctx context.Context, tx *meta.Tx) error {
		if err := c.lease.held(ctx, tx); err != nil {
			return err
		}
		return f(ctx, tx)
	})
}

// report tells how far a phase has come.
func (c *collection) report(phase string, done int64) {
	if c.Progress != nil {
		c.Progress(phase, done)
	}
}

// rest lets others work: for as long as the last batch of n rows took, or for
// as long as the rate asks.
func (c *collection) rest(ctx context.Context, began time.Time, n int64) error {
	took := time.Since(began)
	pause := min(took, maxRest)
	if rate := c.cfg.Collection.Rate; rate > 0 {
		pause = max(pause, time.Duration(n)*time.Second/time.Duration(rate)-took)
	}
	timer := time.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}

const maxRest = 100 * time.Millisecond

func (c *collection) uploads(ctx context.Context) error {
	n, bytes, err := c.expireIdle(ctx, c.now.Add(-c.cfg.UploadTTL))
	c.did.Uploads += n
	c.did.add("uploads", whyIdle, n, bytes)
	return err
}
