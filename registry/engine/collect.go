package engine

import (
	"context"
	"errors"
	"strconv"
	"time"

	"github.com/packhouse/packhouse/registry"
	"github.com/packhouse/packhouse/storage/meta"
)

// CollectOptions say what a collection does.
type CollectOptions struct {
	DryRun bool
	// Progress is called now and then with the blobs looked at; it may be nil.
	Progress func(done int64)
}

// Collected is what a collection removed or, in a dry run, what it would.
type Collected struct {
	Uploads      int64 `json:"uploads"`      // idle sessions
	Repositories int64 `json:"repositories"` // past the trash window
	Periods      int64 `json:"periods"`      // of tags and manifests, past the trash window
	Blobs        int64 `json:"blobs"`
	Bytes        int64 `json:"bytes"` // of those blobs
}

// Collect removes what nothing can need any more: idle upload sessions, what
// is past the trash window, and blobs that have been unreferenced for longer
// than the lease. Pushes and pulls go on meanwhile. A dry run counts only
// blobs that are garbage now, not those that the trash would release.
func (e *Engine) Collect(ctx context.Context, o CollectOptions) (Collected, error) {
	const op = "engine.Collect"
	if err := e.can(ctx, registry.Admin, ""); err != nil {
		return Collected{}, err
	}
	if !e.collecting.TryLock() {
		return Collected{}, busy(op)
	}
	defer e.collecting.Unlock()
	c := collection{Engine: e, CollectOptions: o, now: e.meta.Now()}
	for _, step := range []func(context.Context) error{c.uploads, c.trash, c.garbage} {
		if err := step(ctx); err != nil {
			return c.Collected, wrap(op, err)
		}
	}
	if o.DryRun || c.Collected == (Collected{}) {
		return c.Collected, nil
	}
	return c.Collected, wrap(op, e.note(ctx, "registry.collect", map[string]string{
		"repositories": strconv.FormatInt(c.Collected.Repositories, 10), "periods": strconv.FormatInt(c.Periods, 10), "blobs": strconv.FormatInt(c.Blobs, 10),
	}))
}

type collection struct {
	*Engine
	CollectOptions
	Collected
	now time.Time
}

func (c *collection) uploads(ctx context.Context) error {
	before := c.now.Add(-c.cfg.UploadTTL)
	idle, err := c.meta.IdleUploads(ctx, before, listPage)
	if err != nil {
		return err
	}
	c.Collected.Uploads = int64(len(idle))
	if c.DryRun {
		return nil
	}
	return c.expireIdle(ctx, before)
}

func (c *collection) trash(ctx context.Context) error {
	before := c.now.Add(-c.cfg.Trash)
	deleted, err := c.meta.DeletedRepositories(ctx)
	if err != nil {
		return err
	}
	for _, r := range deleted {
		if r.Deleted.After(before) {
			continue
		}
		c.Collected.Repositories++
		if c.DryRun {
			continue
		}
		if err := c.purge(ctx, r); err != nil {
			return err
		}
	}
	if c.DryRun {
		c.Periods, err = c.meta.ClosedPeriods(ctx, before)
		return err
	}
	if c.Periods, err = c.removePeriods(ctx, 0, before); err != nil {
		return err
	}
	return c.orphans(ctx)
}

// orphans removes manifests that a killed process left without a period, or
// their blobs would be there, and count, for ever.
func (c *collection) orphans(ctx context.Context) error {
	for after := int64(0); ; {
		ids, err := c.meta.OrphanManifests(ctx, after, listPage)
		if err != nil || len(ids) == 0 {
			return err
		}
		after = ids[len(ids)-1]
		if err := c.removeManifests(ctx, ids); err != nil {
			return err
		}
	}
}

func (e *Engine) purge(ctx context.Context, r meta.Repository) error {
	var orphans []int64
	err := e.meta.Update(ctx, cleaning, func(ctx context.Context, tx *meta.Tx) (err error) {
		orphans, err = tx.PurgeRepository(ctx, r)
		return err
	})
	if err != nil {
		return err
	}
	return e.removeManifests(ctx, orphans)
}

// removePeriods removes closed periods, of one repository or of all for 0.
func (e *Engine) removePeriods(ctx context.Context, repository int64, before time.Time) (int64, error) {
	var total int64
	for {
		var orphans []int64
		var removed int64
		err := e.meta.Update(ctx, cleaning, func(ctx context.Context, tx *meta.Tx) (err error) {
			orphans, removed, err = tx.RemovePeriods(ctx, repository, before, listPage)
			return err
		})
		if err != nil {
			return total, err
		}
		total += removed
		if err := e.removeManifests(ctx, orphans); err != nil {
			return total, err
		}
		if removed == 0 {
			return total, ctx.Err()
		}
	}
}

// removeManifests drops those of the manifests that no period holds. Their
// blobs' leases begin, so what is cached of those blobs must be read again.
func (e *Engine) removeManifests(ctx context.Context, ids []int64) error {
	defer e.cache.forget()
	for len(ids) > 0 {
		some := ids[:min(len(ids), listPage/10)]
		ids = ids[len(some):]
		err := e.meta.Update(ctx, cleaning, func(ctx context.Context, tx *meta.Tx) error {
			for _, id := range some {
				if _, err := tx.RemoveManifest(ctx, id); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func (c *collection) garbage(ctx context.Context) error {
	before := c.now.Add(-c.cfg.Lease)
	var done int64
	for after := int64(0); ; {
		page, err := c.meta.Garbage(ctx, before, after, listPage)
		if err != nil {
			return err
		}
		for _, b := range page {
			after = b.ID
			if !c.DryRun {
				switch err := c.removeBlob(ctx, b, before); {
				case errors.Is(err, meta.ErrNotFound):
					continue // referenced or renewed meanwhile
				case err != nil:
					return err
				}
			}
			c.Blobs++
			c.Bytes += b.Size
		}
		done += int64(len(page))
		if c.Progress != nil {
			c.Progress(done)
		}
		if len(page) < listPage {
			return ctx.Err()
		}
	}
}

// removeBlob deletes in two phases: hide the row, delete the objects, delete
// the row. An upload of the same content between them revives the row with
// objects of its own.
func (c *collection) removeBlob(ctx context.Context, b meta.Blob, before time.Time) error {
	var objects []meta.Object
	var shown []registry.Repo
	err := c.meta.Update(ctx, cleaning, func(ctx context.Context, tx *meta.Tx) (err error) {
		objects, shown, err = tx.MarkDeleting(ctx, b.ID, before)
		return err
	})
	for _, r := range shown {
		c.cache.changing(r)()
	}
	if err != nil {
		return err
	}
	for _, o := range objects {
		if meta.IsInline(o.Key) {
			continue
		}
		if err := c.blobs.Delete(ctx, o.Key); err != nil {
			return err
		}
	}
	return c.meta.Update(ctx, cleaning, func(ctx context.Context, tx *meta.Tx) error { return tx.RemoveBlob(ctx, b.ID) })
}
