package engine

import (
	"context"
	"errors"

	"github.com/packhouse/packhouse/registry"
	"github.com/packhouse/packhouse/storage/meta"
)

// ReindexOptions say what a reindex does.
type ReindexOptions struct {
	// Fresh reads every file again. Else what the present parsers read is kept.
	Fresh bool
	// Progress is called now and then with the releases done; it may be nil.
	Progress func(done, total int64)
}

// Reindexed is what a reindex did.
type Reindexed struct {
	Releases int64            `json:"releases"` // derived again
	Failed   []ReindexFailure `json:"failed,omitempty"`
}

// ReindexFailure is a release that the present parsers refuse. What was
// derived of it before stays.
type ReindexFailure struct {
	Repository registry.Repo `json:"repository"`
	Tag        registry.Tag  `json:"tag"`
	Message    string        `json:"message"`
}

// Reindex derives facts and fragments of all releases again from their
// manifests. Pushes and pulls go on meanwhile.
func (e *Engine) Reindex(ctx context.Context, o ReindexOptions) (Reindexed, error) {
	const op = "engine.Reindex"
	if err := e.can(ctx, registry.Admin, ""); err != nil {
		return Reindexed{}, err
	}
	if !e.collecting.TryLock() {
		return Reindexed{}, busy(op)
	}
	defer e.collecting.Unlock()
	if err := e.ensureKey(ctx); err != nil {
		return Reindexed{}, err
	}
	total, err := e.meta.ReleaseTotal(ctx)
	if err != nil {
		return Reindexed{}, wrap(op, err)
	}
	var done Reindexed
	for after := int64(0); ; {
		page, err := e.meta.Releases(ctx, after, listPage)
		if err != nil {
			return done, wrap(op, err)
		}
		for _, row := range page {
			after = row.ID
			if err := e.reindexRelease(ctx, row, o.Fresh, &done); err != nil {
				return done, wrap(op, err)
			}
			if o.Progress != nil {
				o.Progress(done.Releases+int64(len(done.Failed)), total)
			}
		}
		if len(page) < listPage {
			return done, ctx.Err()
		}
	}
}

func (e *Engine) reindexRelease(ctx context.Context, row meta.Release, again bool, done *Reindexed) error {
	r, err := e.meta.RepositoryByID(ctx, row.Repository)
	if errors.Is(err, meta.ErrNotFound) || !row.Withdrawn.IsZero() {
		return nil // a tombstone, or deleted meanwhile
	}
	if err != nil {
		return err
	}
	facts, files, fresh, err := e.derive(ctx, r, row, again)
	if e, ok := errors.AsType[*registry.Error](err); ok && e.Code == registry.ManifestInvalid {
		done.Failed = append(done.Failed, ReindexFailure{r.Name, row.Tag, e.Message})
		return nil
	}
	if err != nil {
		return err
	}
	f, err := e.formatOf(r)
	if err != nil {
		return err
	}
	err = e.change(ctx, r.Name, keeping, func(ctx context.Context, tx *meta.Tx) error {
		now, err := tx.Release(ctx, r.Name, row.Tag)
		if errors.Is(err, meta.ErrNotFound) || err == nil && (now.Manifest != row.Manifest || !now.Withdrawn.IsZero()) {
			return nil // it changed meanwhile, and was derived with that
		}
		if err != nil {
			return err
		}
		if err := addFacts(ctx, tx, f, fresh); err != nil {
			return err
		}
		m, err := tx.ManifestByID(ctx, now.Manifest)
		if err != nil {
			return err
		}
		now.Facts = facts
		_, err = e.render(ctx, tx, r, now, m.Digest, f, files)
		return err
	})
	if err == nil {
		done.Releases++
	}
	return err
}

// derive describes a release again, reading its files again if asked to.
func (e *Engine) derive(ctx context.Context, r meta.Repository, row meta.Release, again bool) (facts registry.Facts, files, fresh []registry.File, err error) {
	f, err := e.formatOf(r)
	if err != nil {
		return facts, nil, nil, err
	}
	_, below, _ := e.feedOf(r.Name)
	m, err := e.meta.ManifestByID(ctx, row.Manifest)
	if err != nil {
		return facts, nil, nil, err
	}
	a, err := artifact(m.Raw, below, string(row.Tag))
	if err != nil {
		return facts, nil, nil, err
	}
	for i, file := range a.Files {
		read := e.fileFacts
		if again {
			read = e.readFile
		}
		if a.Files[i].Facts, err = read(ctx, r.Name, f, file, &fresh); err != nil {
			return facts, nil, nil, err
		}
	}
	facts, err = f.Describe(a)
	return facts, a.Files, fresh, err
}
