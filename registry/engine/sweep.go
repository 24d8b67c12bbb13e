package engine

import (
	"context"
	"errors"
	"time"

	"github.com/packhouse/packhouse/storage/blob"
	"github.com/packhouse/packhouse/storage/meta"
)

// A replica that shares its database says every beatEvery that it runs. One
// that has not been heard of for deadAfter, or for the lease if that is longer,
// is gone: what it reserved and did not use is deleted.
const (
	beatEvery = 15 * time.Second
	deadAfter = 10 * time.Minute
	// settledAfter is how long after its last key was taken a block of this
	// process is looked through for what failed commits left.
	settledAfter = 7 * 24 * time.Hour
)

func (e *Engine) deadAfter() time.Duration { return max(e.cfg.Lease, deadAfter) }

// beat notes that this replica runs. One that was silent for so long that
// others may have taken it for dead begins a new block of keys.
func (e *Engine) beat(ctx context.Context) error {
	now := e.meta.Now()
	if last := e.beaten.Swap(now.UnixMilli()); last != 0 && now.Sub(time.UnixMilli(last)) > e.deadAfter()/2 {
		e.keys.renew()
	}
	return e.meta.Update(ctx, meta.Options{Frees: true}, func(ctx context.Context, tx *meta.Tx) error { return tx.Beat(ctx, e.replica) })
}

func (e *Engine) keepBeating(ctx context.Context) {
	tick := time.NewTicker(beatEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if err := e.beat(ctx); err != nil && ctx.Err() == nil {
			e.cfg.Log.WarnContext(ctx, "the database did not take this replica's sign of life", "err", err)
		}
	}
}

// farewell says that this replica ends: what it reserved is free. If it cannot
// be said, others notice later.
func (e *Engine) farewell() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	_ = e.meta.Update(ctx, meta.Options{Frees: true}, func(ctx context.Context, tx *meta.Tx) error { return tx.RemoveReplica(ctx, e.replica) })
}

// sweepAtStart deletes what killed processes left behind: objects under the
// keys that they had reserved which neither a blob nor an upload session holds.
func (e *Engine) sweepAtStart(ctx context.Context) {
	if _, _, err := e.sweep(ctx, e.clean); err != nil && ctx.Err() == nil {
		e.cfg.Log.WarnContext(ctx, "orphaned objects were not removed, the next start or collection tries again", "err", err)
	}
}

// sweep looks through the blocks of replicas that are gone, and through old
// ones of this one. Several replicas may do it at once.
func (e *Engine) sweep(ctx context.Context, step stepper) (blocks, orphans int64, err error) {
	defer func() { e.collections.found(orphans) }()
	since := e.meta.Now().Add(-e.deadAfter())
	lost, err := e.meta.LostBlocks(ctx, e.replica, since)
	if err != nil {
		return 0, 0, err
	}
	one := func(token string, giveUp func(context.Context, *meta.Tx) error) error {
		switch n, err := e.sweepBlock(ctx, step, token, giveUp); {
		case errors.Is(err, meta.ErrNotFound):
			return nil // its owner was heard of again, or another replica was faster
		case err != nil:
			return err
		default:
			blocks++
			orphans += n
			return nil
		}
	}
	for _, b := range lost {
		err := one(b.Token, func(ctx context.Context, tx *meta.Tx) error { return tx.GiveUpBlock(ctx, b.Token, e.replica, since) })
		if err != nil {
			return blocks, orphans, err
		}
	}
	for _, token := range e.keys.settled(e.meta.Now().Add(-settledAfter)) {
		err := one(token, func(ctx context.Context, tx *meta.Tx) error { return tx.GiveUpOwnBlock(ctx, token, e.replica) })
		if err != nil {
			return blocks, orphans, err
		}
	}
	if !e.meta.Shared() {
		return blocks, orphans, nil
	}
	return blocks, orphans, step(ctx, func(ctx context.Context, tx *meta.Tx) error {
		_, err := tx.RemoveReplicas(ctx, since)
		return err
	})
}

// sweepBlock gives a block up in the database first: then no commit can name
// its keys any more, and what nothing names is deleted. It returns how many
// objects that were.
func (e *Engine) sweepBlock(ctx context.Context, step stepper, token string, giveUp func(context.Context, *meta.Tx) error) (orphans int64, err error) {
	if err := step(ctx, giveUp); err != nil {
		return 0, err
	}
	used, err := e.meta.UsedKeys(ctx, token)
	if err != nil {
		return 0, err
	}
	for n := range meta.BlockSize {
		key := meta.ObjectKey(token, n)
		if used[key] {
			continue
		}
		switch _, err := e.blobs.Stat(ctx, key); {
		case err == nil:
			orphans++
		case errors.Is(err, blob.ErrNotFound):
			continue
		}
		if err := e.blobs.Delete(ctx, key); err != nil {
			return orphans, err
		}
	}
	return orphans, step(ctx, func(ctx context.Context, tx *meta.Tx) error { return tx.RemoveBlock(ctx, token) })
}
