package meta

import (
	"context"
	"time"

	"github.com/packhouse/packhouse/registry"
)

// emptyTrash removes all that was deleted before a time, and the deleted
// repositories of some names.
func emptyTrash(ctx context.Context, tx *Tx, before time.Time, names ...registry.Repo) error {
	for _, name := range names {
		if _, err := tx.PurgeNamed(ctx, name); err != nil {
			return err
		}
	}
	for {
		n, err := tx.PurgeDeleted(ctx, before)
		if err != nil {
			return err
		}
		if n < CollectBatch {
			break
		}
	}
	purged, err := tx.PurgedRepositories(ctx, 0)
	if err != nil {
		return err
	}
	for _, id := range purged {
		for done := false; !done; {
			if done, err = tx.PurgeRows(ctx, id); err != nil {
				return err
			}
		}
	}
	for {
		n, err := tx.RemovePeriods(ctx, 0, before)
		if err != nil {
			return err
		}
		if n < CollectBatch {
			break
		}
	}
	for {
		l, err := tx.RemoveLoose(ctx)
		if err != nil || l.Looked < CollectBatch {
			return err
		}
	}
}

// takeGarbage removes all blobs unreferenced since before a time.
func takeGarbage(ctx context.Context, tx *Tx, before time.Time) error {
	for after := (Garbage{}); ; {
		list, _, err := tx.MarkGarbage(ctx, before, after)
		if err != nil || len(list) == 0 {
			return err
		}
		after = list[len(list)-1]
		ids := make([]int64, len(list))
		for i, g := range list {
			ids[i] = g.ID
		}
		if err := tx.RemoveBlobs(ctx, ids); err != nil {
			return err
		}
	}
}
