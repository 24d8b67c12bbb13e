package audit

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/packhouse/packhouse/storage/meta"
)

// actionTrim says that records older than its detail "before" were removed.
const actionTrim = "audit.trim"

const trimBatch = 500

// retain is the loop that removes what is older than it must be kept.
func (t *Trail) retain(ctx context.Context) {
	next := time.NewTimer(trimAfter)
	defer next.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-next.C:
		}
		if _, err := t.Trim(ctx, t.meta.Now().Add(-t.cfg.Retention), trimBatch); err != nil && ctx.Err() == nil {
			t.log.WarnContext(ctx, "old audit records not removed", "error", err)
		}
		next.Reset(trimEvery)
	}
}

// Trim removes the records from before the given time, limit in a transaction,
// and records that. It returns how many. It is for the server itself: it asks
// no gate.
func (t *Trail) Trim(ctx context.Context, before time.Time, limit int) (total int64, err error) {
	const op = "audit.Trim"
	oldest, err := t.meta.OldestAudit(ctx)
	if errors.Is(err, meta.ErrNotFound) || err == nil && !oldest.Before(before) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("%s: %w", op, err)
	}
	for ctx.Err() == nil {
		var removed int64
		first := total == 0
		err := t.meta.Update(ctx, meta.Options{Durable: true, Frees: true, Unaudited: !first}, func(ctx context.Context, tx *meta.Tx) (err error) {
			if first { // said before it is done, so nothing is ever removed in silence
				if err := tx.Record(ctx, meta.AuditRecord{Action: actionTrim, Detail: map[string]string{"before": before.UTC().Format(time.RFC3339)}}); err != nil {
					return err
				}
			}
			removed, err = tx.TrimAudit(ctx, before, limit)
			return err
		})
		total += removed
		if err != nil {
			return total, fmt.Errorf("%s: %w", op, err)
		}
		if removed < int64(limit) {
			return total, nil
		}
	}
	return total, ctx.Err()
}
