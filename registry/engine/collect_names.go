package engine

import (
	"context"
	"errors"
	"time"

	"github.com/packhouse/packhouse/registry"
	"github.com/packhouse/packhouse/storage/meta"
)

// trash removes what is past the trash window.
func (c *collection) trash(ctx context.Context) error {
	before := c.now.Add(-c.cfg.Trash)
	for {
		var n int64
		err := c.step(ctx, func(ctx context.Context, tx *meta.Tx) (err error) {
			n, err = tx.PurgeDeleted(ctx, before)
			return err
		})
		if err != nil {
			return err
		}
		c.did.Repositories += n
		c.did.add("repositories", whyTrash, n, 0)
		if n < meta.CollectBatch {
			break
		}
	}
	if err := c.purge(ctx, c.step); err != nil {
		return err
	}
	n, err := c.removePeriods(ctx, c.step, 0, before, func(began time.Time, n int64) error {
		c.report("names", c.did.Periods+n)
		return c.rest(ctx, began, n)
	})
	c.did.Periods += n
	c.did.add("periods", whyTrash, n, 0)
	return err
}

// stepper commits one small change.
type stepper func(context.Context, func(context.Context, *meta.Tx) error) error

// clean is the stepper of what no lease is needed for.
func (e *Engine) clean(ctx context.Context, f func(context.Context, *meta.Tx) error) error {
	return e.meta.Update(ctx, cleaning, f)
}

// purge removes the rows of repositories that cannot be restored any more.
func (e *Engine) purge(ctx context.Context, step stepper) error {
	for after := int64(0); ; {
		ids, err := e.meta.PurgedRepositories(ctx, after)
		if err != nil || len(ids) == 0 {
			return err
		}
		for _, id := range ids {
			after = id
			for done := false; !done; {
				err := step(ctx, func(ctx context.Context, tx *meta.Tx) (err error) {
					done, err = tx.PurgeRows(ctx, id)
					return err
				})
				if err != nil {
					return err
				}
			}
		}
	}
}

// removePeriods removes closed periods, of one repository or of all for 0, and
// calls rest after each batch.
func (e *Engine) removePeriods(ctx context.Context, step stepper, repository int64, before time.Time, rest func(began time.Time, n int64) error) (int64, error) {
	var total int64
	for {
		began := time.Now()
		var n int64
		err := step(ctx, func(ctx context.Context, tx *meta.Tx) (err error) {
			n, err = tx.RemovePeriods(ctx, repository, before)
			return err
		})
		if err != nil {
			return total, err
		}
		if total += n; n < meta.CollectBatch {
			return total, ctx.Err()
		}
		if err := rest(began, total); err != nil {
			return total, err
		}
	}
}

// manifests drops those that no period holds any more.
func (c *collection) manifests(ctx context.Context) error {
	return c.removeLoose(ctx, c.step, func(began time.Time, l meta.Loosened) error {
		c.did.Manifests += int64(l.Manifests)
		c.did.add("manifests", whyNameless, int64(l.Manifests), l.Bytes)
		c.report("manifests", c.did.Manifests)
		return c.rest(ctx, began, int64(l.Manifests))
	})
}

// removeLoose looks at all manifests that lost a period. The leases of their
// blobs begin, so what is cached of those blobs must be read again.
func (e *Engine) removeLoose(ctx context.Context, step stepper, after func(began time.Time, l meta.Loosened) error) error {
	for {
		began := time.Now()
		var l meta.Loosened
		err := step(ctx, func(ctx context.Context, tx *meta.Tx) (err error) {
			if l, err = tx.RemoveLoose(ctx); err != nil {
				return err
			}
			return e.touchStripes(ctx, tx, l.Repos...)
		})
		if err != nil {
			return err
		}
		e.cache.changing(l.Repos...)()
		if err := after(began, l); err != nil || l.Looked < meta.CollectBatch {
			return err
		}
	}
}

// untaggedPage is how many memberships one query looks at.
const untaggedPage = 2000

// untagged moves manifests to the trash that no tag, index or release has led
// to for long. It looks at memberships by id, and goes on where the last pass
// ended.
func (c *collection) untagged(ctx context.Context) error {
	if c.cfg.Collection.Untagged <= 0 {
		return nil
	}
	before := c.now.Add(-c.cfg.Collection.Untagged)
	after, err := c.meta.UntaggedAfter(ctx)
	if err != nil {
		return err
	}
	for done := int64(0); ; done += untaggedPage {
		began := time.Now()
		list, last, err := c.meta.Untagged(ctx, before, after, untaggedPage)
		if err != nil {
			return err
		}
		err = c.close(ctx, list, "untagged", func(ctx context.Context, tx *meta.Tx, s meta.Shown) (bool, error) {
			return tx.StillUntagged(ctx, s, before)
		}, func() { c.did.Untagged++; c.did.add("untagged manifests", whyUntagged, 1, 0) })
		if err != nil {
			return err
		}
		after = last
		if err := c.step(ctx, func(ctx context.Context, tx *meta.Tx) error { return tx.SetUntaggedAfter(ctx, last) }); err != nil || last == 0 {
			return err
		}
		c.report("untagged manifests", done)
		if err := c.rest(ctx, began, int64(len(list))); err != nil {
			return err
		}
	}
}

// referrers moves referrers to the trash whose subject has been gone for long.
func (c *collection) referrers(ctx context.Context) error {
	if c.cfg.Collection.Referrers <= 0 {
		return nil
	}
	before := c.now.Add(-c.cfg.Collection.Referrers)
	for after := (meta.Shown{}); ; {
		began := time.Now()
		list, err := c.meta.OrphanReferrers(ctx, before, after)
		if err != nil || len(list) == 0 {
			return err
		}
		after = list[len(list)-1]
		err = c.close(ctx, list, "referrer", func(ctx context.Context, tx *meta.Tx, s meta.Shown) (bool, error) {
			return tx.StillOrphan(ctx, s, before)
		}, func() { c.did.Referrers++; c.did.add("referrers", whyOrphaned, 1, 0) })
		if err != nil {
			return err
		}
		if err := c.rest(ctx, began, int64(len(list))); err != nil {
			return err
		}
	}
}

// close moves manifests to the trash, those of one repository in one change.
// still is asked in the transaction; done is called for each that went.
func (c *collection) close(ctx context.Context, list []meta.Shown, why string, still func(context.Context, *meta.Tx, meta.Shown) (bool, error), done func()) error {
	byRepo := map[int64][]meta.Shown{}
	var order []int64
	for _, s := range list {
		if byRepo[s.Repository] == nil {
			order = append(order, s.Repository)
		}
		byRepo[s.Repository] = append(byRepo[s.Repository], s)
	}
	for _, id := range order {
		r, err := c.meta.RepositoryByID(ctx, id)
		if errors.Is(err, meta.ErrNotFound) {
			continue // deleted meanwhile
		}
		if err != nil {
			return err
		}
		for some := byRepo[id]; len(some) > 0; {
			n := min(len(some), meta.CollectBatch/4)
			closed, err := c.closeSome(ctx, r.Name, id, some[:n], why, still)
			if err != nil {
				return err
			}
			for range closed {
				done()
			}
			some = some[n:]
		}
	}
	return nil
}

func (c *collection) closeSome(ctx context.Context, name registry.Repo, id int64, list []meta.Shown, why string, still func(context.Context, *meta.Tx, meta.Shown) (bool, error)) (int, error) {
	closed := 0
	err := c.change(ctx, name, freeing, func(ctx context.Context, tx *meta.Tx) error {
		closed = 0
		if err := c.lease.held(ctx, tx); err != nil {
			return err
		}
		r, err := tx.Repository(ctx, name)
		if err != nil {
			return err
		}
		if r.ID != id {
			return meta.ErrNotFound // another by the same name
		}
		for _, s := range list {
			if ok, err := still(ctx, tx, s); err != nil || !ok {
				if err != nil {
					return err
				}
				continue
			}
			if err := tx.CloseMembership(ctx, r, s.Digest); err != nil {
				return err
			}
			closed++
			if err := record(ctx, tx, "manifest.collect", r, meta.AuditRecord{Digest: s.Digest, Detail: map[string]string{"why": why}}); err != nil {
				return err
			}
		}
		if closed == 0 {
			return errNoChange
		}
		if err := tx.Touch(ctx, r); err != nil {
			return err
		}
		return tx.NextGeneration(ctx, r)
	})
	if errors.Is(err, errNoChange) || errors.Is(err, meta.ErrNotFound) {
		return 0, nil
	}
	return closed, err
}

// errNoChange rolls back what changes nothing.
var errNoChange = errors.New("nothing is to be changed")
