package engine

import (
	"context"
	"sync"
	"time"

	"github.com/packhouse/packhouse/registry"
	"github.com/packhouse/packhouse/storage/meta"
)

// deleters is how many objects are deleted at once.
const deleters = 8

// garbage deletes blobs in two phases: hide the rows, delete the objects,
// delete the rows. An upload of the same content between them revives the row
// with objects of its own, and keys are never used again: whoever goes on here
// after having been stopped deletes nothing that anybody needs.
func (c *collection) garbage(ctx context.Context) error {
	before := c.now.Add(-c.cfg.Lease)
	var failed error
	for after := (meta.Garbage{}); ; {
		began := time.Now()
		var list []meta.Garbage
		var shown []registry.Repo
		err := c.step(ctx, func(ctx context.Context, tx *meta.Tx) (err error) {
			if list, shown, err = tx.MarkGarbage(ctx, before, after); err != nil {
				return err
			}
			return c.touchStripes(ctx, tx, shown...)
		})
		if err != nil || len(list) == 0 {
			return errorsOr(err, failed)
		}
		c.cache.changing(shown...)()
		after = list[len(list)-1]
		gone, err := c.deleteObjects(ctx, list)
		if len(gone) == 0 {
			return err // the storage refuses
		}
		failed = errorsOr(failed, err)
		ids := make([]int64, len(gone))
		var bytes int64
		for i, g := range gone {
			ids[i] = g.ID
			bytes += g.Size
		}
		if err := c.step(ctx, func(ctx context.Context, tx *meta.Tx) error { return tx.RemoveBlobs(ctx, ids) }); err != nil {
			return err
		}
		c.did.Blobs += int64(len(gone))
		c.did.Bytes += bytes
		c.did.add("blobs", whyUnreferenced, int64(len(gone)), bytes)
		c.report("blobs", c.did.Blobs)
		if err := c.rest(ctx, began, int64(len(list))); err != nil {
			return err
		}
	}
}

// errorsOr returns the first error.
func errorsOr(a, b error) error {
	if a != nil {
		return a
	}
	return b
}

// deleteObjects returns the blobs all of whose objects are gone, and the first
// error met with the others: they stay hidden until the next pass.
func (c *collection) deleteObjects(ctx context.Context, list []meta.Garbage) (gone []meta.Garbage, failed error) {
	var mu sync.Mutex
	var wg sync.WaitGroup
	next := make(chan meta.Garbage)
	for range min(deleters, len(list)) {
		wg.Go(func() {
			for g := range next {
				err := c.deleteKeys(ctx, g.Keys)
				mu.Lock()
				if err == nil {
					gone = append(gone, g)
				} else {
					failed = errorsOr(failed, err)
				}
				mu.Unlock()
			}
		})
	}
	for _, g := range list {
		next <- g
	}
	close(next)
	wg.Wait()
	return gone, failed
}

func (e *Engine) deleteKeys(ctx context.Context, keys []string) error {
	for _, key := range keys {
		if err := e.blobs.Delete(ctx, key); err != nil {
			return err
		}
	}
	return ctx.Err()
}

// blocks sweeps what processes that are gone left behind.
func (c *collection) blocks(ctx context.Context) error {
	blocks, orphans, err := c.sweep(ctx, c.step)
	c.did.Blocks, c.did.Orphans = blocks, orphans
	c.did.add("storage keys in blocks", whyLost, blocks, 0)
	c.did.add("objects", whyLost, orphans, 0)
	return err
}

// multiparts ends uploads that the storage still waits for, though whoever
// began them is gone: one may last as long as a session may be idle.
func (c *collection) multiparts(ctx context.Context) error {
	n, err := c.blobs.AbortStale(ctx, c.now.Add(-max(c.cfg.UploadTTL, c.cfg.Lease)))
	c.did.Multiparts = int64(n)
	c.did.add("multipart uploads", whyLost, c.did.Multiparts, 0)
	return err
}
