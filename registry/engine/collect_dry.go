package engine

import (
	"context"

	"github.com/packhouse/packhouse/storage/meta"
)

// collectDry says what a collection would remove now, and what would follow
// from it: blobs whose lease begins with it, and what the trash gives up later.
// The storage is not asked.
func (e *Engine) collectDry(ctx context.Context, o CollectOptions) (Collected, error) {
	f := forecast{collection: collection{Engine: e, CollectOptions: o, now: e.meta.Now()}}
	for _, step := range []func(context.Context) error{f.uploads, f.trash, f.garbage, f.later, f.blocks} {
		if err := step(ctx); err != nil {
			return f.did, err
		}
	}
	return f.did, ctx.Err()
}

type forecast struct {
	collection
	doomed []int64 // manifests that go now
}

func (f *forecast) uploads(ctx context.Context) error {
	n, bytes, err := f.meta.IdleTotals(ctx, f.now.Add(-f.cfg.UploadTTL))
	f.did.Uploads = n
	f.did.add("uploads", whyIdle, n, bytes)
	return err
}

func (f *forecast) trash(ctx context.Context) (err error) {
	before := f.now.Add(-f.cfg.Trash)
	if f.did.Repositories, err = f.meta.ClosedRepositories(ctx, before); err != nil {
		return err
	}
	f.did.add("repositories", whyTrash, f.did.Repositories, 0)
	if f.did.Periods, err = f.meta.ClosedPeriods(ctx, before); err != nil {
		return err
	}
	f.did.add("periods", whyTrash, f.did.Periods, 0)
	var bytes int64
	err = f.meta.Doomed(ctx, before, func(id, size int64) {
		f.doomed = append(f.doomed, id)
		bytes += size
	})
	f.did.Manifests = int64(len(f.doomed))
	f.did.add("manifests", whyNameless, f.did.Manifests, bytes)
	f.report("manifests", f.did.Manifests)
	return err
}

func (f *forecast) garbage(ctx context.Context) error {
	n, bytes, err := f.meta.GarbageTotals(ctx, f.now.Add(-f.cfg.Lease))
	f.did.Blobs, f.did.Bytes = n, bytes
	f.did.add("blobs", whyUnreferenced, n, bytes)
	return err
}

// later follows the references of what goes now, and of what goes to the trash
// now.
func (f *forecast) later(ctx context.Context) error {
	uses := map[int64]int64{}
	if err := f.meta.Uses(ctx, f.doomed, uses); err != nil {
		return err
	}
	now, bytes, err := f.meta.Released(ctx, uses)
	if err != nil {
		return err
	}
	f.follow("blobs", "only manifests that go now refer to them", "once gc.lease is over", now, bytes)
	var trashed []meta.Shown
	for _, find := range []func(context.Context) ([]meta.Shown, error){f.findUntagged, f.findReferrers} {
		list, err := find(ctx)
		if err != nil {
			return err
		}
		trashed = append(trashed, list...)
	}
	ids, closing := []int64(nil), map[int64]int64{}
	for _, s := range trashed {
		if closing[s.Manifest]++; closing[s.Manifest] == 1 {
			ids = append(ids, s.Manifest)
		}
	}
	open, err := f.meta.OpenPeriods(ctx, ids)
	if err != nil {
		return err
	}
	gone := ids[:0]
	for _, id := range ids {
		if open[id] == closing[id] {
			gone = append(gone, id)
		}
	}
	if err := f.meta.Uses(ctx, gone, uses); err != nil {
		return err
	}
	all, allBytes, err := f.meta.Released(ctx, uses)
	f.follow("blobs", "only manifests that go to the trash now refer to them", "once trash.window and gc.lease are over", all-now, allBytes-bytes)
	return err
}

// follow adds what does not go in this collection.
func (f *forecast) follow(what, why, later string, count, bytes int64) {
	if count > 0 {
		f.did.Reasons = append(f.did.Reasons, Removal{What: what, Why: why, Count: count, Bytes: bytes, Later: later})
	}
}

func (f *forecast) findUntagged(ctx context.Context) (found []meta.Shown, err error) {
	if f.cfg.Collection.Untagged <= 0 {
		return nil, nil
	}
	before := f.now.Add(-f.cfg.Collection.Untagged)
	for after := int64(0); ; {
		list, last, err := f.meta.Untagged(ctx, before, after, untaggedPage)
		if err != nil {
			return nil, err
		}
		found = append(found, list...)
		if after = last; last == 0 {
			f.did.Untagged = int64(len(found))
			f.did.add("untagged manifests", whyUntagged, f.did.Untagged, 0)
			return found, nil
		}
		f.report("untagged manifests", int64(len(found)))
	}
}

func (f *forecast) findReferrers(ctx context.Context) (found []meta.Shown, err error) {
	if f.cfg.Collection.Referrers <= 0 {
		return nil, nil
	}
	before := f.now.Add(-f.cfg.Collection.Referrers)
	for after := (meta.Shown{}); ; {
		list, err := f.meta.OrphanReferrers(ctx, before, after)
		if err != nil {
			return nil, err
		}
		if len(list) == 0 {
			f.did.Referrers = int64(len(found))
			f.did.add("referrers", whyOrphaned, f.did.Referrers, 0)
			return found, nil
		}
		after = list[len(list)-1]
		found = append(found, list...)
	}
}

func (f *forecast) blocks(ctx context.Context) error {
	lost, err := f.meta.LostBlocks(ctx, f.replica, f.now.Add(-f.deadAfter()))
	f.did.Blocks = int64(len(lost))
	f.did.add("storage keys in blocks", whyLost, f.did.Blocks, 0)
	return err
}
