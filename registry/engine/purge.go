package engine

import (
	"context"
	"errors"
	"time"

	"github.com/packhouse/packhouse/registry"
	"github.com/packhouse/packhouse/storage/meta"
)

// PurgeRepository removes for good what the trash holds under that name:
// deleted repositories, and the closed periods of a live one. Disk space comes
// back with the next collection. It returns NAME_UNKNOWN.
func (e *Engine) PurgeRepository(ctx context.Context, name registry.Repo) error {
	const op = "engine.PurgeRepository"
	if err := e.can(ctx, registry.Admin, name); err != nil {
		return err
	}
	var live meta.Repository
	err := e.change(ctx, name, freeing, func(ctx context.Context, tx *meta.Tx) error {
		n, err := tx.PurgeNamed(ctx, name)
		if err != nil {
			return err
		}
		live, err = tx.Repository(ctx, name)
		switch {
		case errors.Is(err, meta.ErrNotFound) && n == 0:
			return unknownRepo(op, name)
		case err != nil && !errors.Is(err, meta.ErrNotFound):
			return err
		}
		return record(ctx, tx, "repository.purge", meta.Repository{Name: name}, meta.AuditRecord{})
	})
	if err != nil {
		return wrap(op, err)
	}
	// What is broken off here goes on with the next collection, but for the
	// closed periods of a live one: those are kept then.
	if err := e.purge(ctx, e.clean); err != nil {
		return wrap(op, err)
	}
	if live.ID != 0 {
		before := e.meta.Now().Add(time.Millisecond)
		if _, err := e.removePeriods(ctx, e.clean, live.ID, before, func(time.Time, int64) error { return nil }); err != nil {
			return wrap(op, err)
		}
	}
	return wrap(op, e.removeLoose(ctx, e.clean, func(time.Time, meta.Loosened) error { return nil }))
}
