package engine

import (
	"context"
	"errors"

	"github.com/packhouse/packhouse/registry"
	"github.com/packhouse/packhouse/storage/meta"
)

// DeleteTag implements registry.Deleter.
func (e *Engine) DeleteTag(ctx context.Context, name registry.Repo, t registry.Tag, c registry.Condition) error {
	const op = "engine.DeleteTag"
	return e.remove(ctx, op, name, meta.AuditRecord{Action: "tag.delete", Tag: t}, func(ctx context.Context, tx *meta.Tx, r meta.Repository) error {
		current, err := tx.Tagged(ctx, name, t)
		if err != nil && !errors.Is(err, meta.ErrNotFound) {
			return err
		}
		if err := c.Check(op, "tag "+string(t), current.Digest); err != nil {
			return err
		}
		if current.Digest == "" {
			return registry.E(op, registry.ManifestUnknown, nil, "there is no tag %s in %s", t, name)
		}
		// A version's tag is the version.
		switch row, err := tx.Release(ctx, name, t); {
		case err == nil:
			return e.withdraw(ctx, tx, r, row, "")
		case !errors.Is(err, meta.ErrNotFound):
			return err
		}
		if err := tx.Touch(ctx, r); err != nil {
			return err
		}
		return tx.CloseTag(ctx, r, t)
	})
}

// DeleteManifest implements registry.Deleter.
func (e *Engine) DeleteManifest(ctx context.Context, name registry.Repo, d registry.Digest, c registry.Condition) error {
	const op = "engine.DeleteManifest"
	return e.remove(ctx, op, name, meta.AuditRecord{Action: "manifest.delete", Digest: d}, func(ctx context.Context, tx *meta.Tx, r meta.Repository) error {
		var current registry.Digest
		switch _, err := tx.Depth(ctx, r, d); {
		case err == nil:
			current = d
		case !errors.Is(err, meta.ErrNotFound):
			return err
		}
		if err := c.Check(op, "manifest "+d.String(), current); err != nil {
			return err
		}
		if current == "" {
			return registry.E(op, registry.ManifestUnknown, nil, "there is no manifest %s in %s", d, name)
		}
		parent, err := tx.ManifestReferrer(ctx, r, d)
		if err := unreferenced(op, d, parent, err); err != nil {
			return err
		}
		// The latest edition is the version; earlier ones are only forgotten.
		switch row, err := tx.ReleaseOf(ctx, name, d); {
		case err == nil:
			if latest, err := tx.ManifestByID(ctx, row.Manifest); err != nil {
				return err
			} else if latest.Digest == d {
				return e.withdraw(ctx, tx, r, row, "")
			}
		case !errors.Is(err, meta.ErrNotFound):
			return err
		}
		return tx.CloseMembership(ctx, r, d)
	})
}

// DeleteBlob implements registry.Deleter.
func (e *Engine) DeleteBlob(ctx context.Context, name registry.Repo, d registry.Digest) error {
	const op = "engine.DeleteBlob"
	return e.remove(ctx, op, name, meta.AuditRecord{Action: "blob.delete", Digest: d}, func(ctx context.Context, tx *meta.Tx, r meta.Repository) error {
		b, err := tx.Blob(ctx, name, d)
		switch {
		case errors.Is(err, meta.ErrNotFound):
			return registry.E(op, registry.BlobUnknown, nil, "there is no blob %s in %s", d, name)
		case err != nil:
			return err
		}
		parent, err := tx.BlobReferrer(ctx, r, b.ID)
		if err := unreferenced(op, d, parent, err); err != nil {
			return err
		}
		return tx.UnlinkBlob(ctx, r, b.ID)
	})
}

// remove commits a change that takes something out of a repository.
func (e *Engine) remove(ctx context.Context, op string, name registry.Repo, done meta.AuditRecord, f func(context.Context, *meta.Tx, meta.Repository) error) error {
	if err := e.can(ctx, registry.Delete, name); err != nil {
		return err
	}
	return wrap(op, e.change(ctx, name, freeing, func(ctx context.Context, tx *meta.Tx) error {
		r, err := tx.Repository(ctx, name)
		switch {
		case errors.Is(err, meta.ErrNotFound):
			return unknownRepo(op, name)
		case err != nil:
			return err
		}
		if err := f(ctx, tx, r); err != nil {
			return err
		}
		if err := record(ctx, tx, done.Action, r, done); err != nil {
			return err
		}
		return tx.NextGeneration(ctx, r)
	}))
}

// unreferenced reads the answer of a referrer query: finding none is good.
func unreferenced(op string, d, parent registry.Digest, err error) error {
	switch {
	case errors.Is(err, meta.ErrNotFound):
		return nil
	case err != nil:
		return err
	}
	return registry.E(op, registry.Referenced, nil, "%s is still needed by manifest %s: delete that first", d, parent).
		WithDetail(map[string]any{"manifest": parent})
}
