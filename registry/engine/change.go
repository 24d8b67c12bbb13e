package engine

import (
	"context"
	"errors"

	"github.com/packhouse/packhouse/registry"
	"github.com/packhouse/packhouse/storage/meta"
)

// Change applies ops to the package that r is, in one commit. It returns
// NAME_UNKNOWN, MANIFEST_UNKNOWN.
func (e *Engine) Change(ctx context.Context, r registry.Repo, ops ...registry.Op) error {
	const op = "engine.Change"
	for _, o := range ops {
		if err := e.can(ctx, verbOf(o), r); err != nil {
			return err
		}
	}
	if err := e.ensureEmpty(ctx, r); err != nil {
		return err
	}
	return wrap(op, e.change(ctx, r, freeing, func(ctx context.Context, tx *meta.Tx) error {
		repo, err := tx.Repository(ctx, r)
		if errors.Is(err, meta.ErrNotFound) || err == nil && repo.Package == "" {
			return unknownRepo(op, r)
		}
		if err != nil {
			return err
		}
		for _, o := range ops {
			if err := e.apply(ctx, tx, repo, o); err != nil {
				return err
			}
		}
		if err := tx.Touch(ctx, repo); err != nil { // whatever it was
			return err
		}
		return tx.NextGeneration(ctx, repo)
	}))
}

func verbOf(o registry.Op) registry.Verb {
	switch o := o.(type) {
	case registry.WithdrawVersion:
		if o.Retention {
			return registry.Create
		}
		return registry.Withdraw
	case registry.RestoreVersion:
		return registry.Withdraw
	}
	return registry.Label
}

func (e *Engine) apply(ctx context.Context, tx *meta.Tx, r meta.Repository, o registry.Op) error {
	const op = "engine.Change"
	switch o := o.(type) {
	case registry.SetLabel:
		f, err := e.formatOf(r)
		if err != nil {
			return err
		}
		if err := f.Label(o.Label); err != nil {
			return err
		}
		tag, err := registry.ParseTag(o.Label)
		if err != nil {
			return err
		}
		row, err := e.row(ctx, tx, r, o.Version)
		if err != nil {
			return err
		}
		_, err = tx.SetLabel(ctx, r, tag, row.Manifest)
		return err
	case registry.DropLabel:
		f, err := e.formatOf(r)
		if err != nil {
			return err
		}
		if f.Label(o.Label) != nil { // a version's tag is no label
			err = meta.ErrNotFound
		} else {
			err = tx.CloseTag(ctx, r, registry.Tag(o.Label))
		}
		if errors.Is(err, meta.ErrNotFound) {
			return registry.E(op, registry.ManifestUnknown, nil, "%s has no label %s", r.Package, clip(o.Label))
		}
		return err
	case registry.WithdrawVersion:
		row, err := e.row(ctx, tx, r, o.Version)
		if err != nil {
			return err
		}
		return e.withdraw(ctx, tx, r, row, o.Reason)
	case registry.RestoreVersion:
		return e.restoreVersion(ctx, tx, r, o.Version)
	case registry.SetState:
		return e.setState(ctx, tx, r, o)
	}
	return registry.E(op, registry.Unsupported, nil, "operation %T is not known", o)
}

// formatOf finds the format of a package's repository.
func (e *Engine) formatOf(r meta.Repository) (*Format, error) {
	if feed, _, ok := e.feedOf(r.Name); ok && e.formats[feed.Format] != nil {
		return e.formats[feed.Format], nil
	}
	return nil, registry.E("engine.formatOf", registry.NameUnknown, nil, "%s is in no feed of a format that this registry has", r.Name)
}

// row finds a version that is not withdrawn.
func (e *Engine) row(ctx context.Context, tx *meta.Tx, r meta.Repository, version string) (meta.Release, error) {
	f, err := e.formatOf(r)
	if err != nil {
		return meta.Release{}, err
	}
	tag, err := f.Tag(version)
	if err != nil {
		return meta.Release{}, err
	}
	row, err := tx.Release(ctx, r.Name, tag)
	if errors.Is(err, meta.ErrNotFound) || err == nil && !row.Withdrawn.IsZero() {
		return row, unknownVersion(r.Package, version)
	}
	return row, err
}

func unknownVersion(pkg, version string) error {
	return registry.E("engine.Release", registry.ManifestUnknown, nil, "there is no version %s of %s", clip(version), pkg)
}

// withdraw closes all names of a release and leaves a tombstone. Its editions
// can be restored until the trash window ends.
func (e *Engine) withdraw(ctx context.Context, tx *meta.Tx, r meta.Repository, row meta.Release, reason string) error {
	editions, err := tx.Editions(ctx, row.ID)
	if err != nil {
		return err
	}
	for _, m := range editions {
		if err := tx.CloseMembership(ctx, r, m.Digest); err != nil && !errors.Is(err, meta.ErrNotFound) {
			return err
		}
	}
	if err := tx.Touch(ctx, r); err != nil {
		return err
	}
	return tx.WithdrawRelease(ctx, row.ID, reason)
}

// restoreVersion undoes withdraw.
func (e *Engine) restoreVersion(ctx context.Context, tx *meta.Tx, r meta.Repository, version string) error {
	const op = "engine.RestoreVersion"
	f, err := e.formatOf(r)
	if err != nil {
		return err
	}
	tag, err := f.Tag(version)
	if err != nil {
		return err
	}
	row, err := tx.Release(ctx, r.Name, tag)
	switch {
	case errors.Is(err, meta.ErrNotFound):
		return unknownVersion(r.Package, version)
	case err != nil:
		return err
	case row.Withdrawn.IsZero():
		return nil
	case row.Manifest == 0 || tx.Now().Sub(row.Withdrawn) >= e.cfg.Trash:
		return registry.E(op, registry.ManifestUnknown, nil, "version %s of %s was withdrawn too long ago to be restored", version, r.Package)
	}
	editions, err := tx.Editions(ctx, row.ID)
	if err != nil {
		return err
	}
	for _, m := range editions {
		if err := tx.OpenMembership(ctx, r, m.ID, m.Digest); err != nil {
			return err
		}
		if err := tx.LinkManifestBlobs(ctx, r, m.ID); err != nil {
			return err
		}
	}
	if err := tx.ReviveRelease(ctx, row.ID); err != nil {
		return err
	}
	if err := tx.Touch(ctx, r); err != nil {
		return err
	}
	if err := tx.SetTag(ctx, r, tag, row.Manifest); err != nil {
		return err
	}
	return e.rerender(ctx, tx, r, row)
}

// setState sets one key of a release's state, or of the package's.
func (e *Engine) setState(ctx context.Context, tx *meta.Tx, r meta.Repository, o registry.SetState) error {
	if o.Version == "" {
		return tx.SetState(ctx, r.ID, "", o.Key, o.Value)
	}
	row, err := e.row(ctx, tx, r, o.Version)
	if err != nil {
		return err
	}
	if err := tx.SetState(ctx, r.ID, row.Tag, o.Key, o.Value); err != nil {
		return err
	}
	row.StatusCount++
	if err := tx.SetStatusCount(ctx, row.ID, row.StatusCount); err != nil {
		return err
	}
	m, err := tx.ManifestByID(ctx, row.Manifest)
	if err != nil {
		return err
	}
	if err := e.mirrorStatus(ctx, tx, r, row, m.Descriptor); err != nil {
		return err
	}
	return e.rerender(ctx, tx, r, row)
}

// rerender renders a release again from what is stored about its files.
func (e *Engine) rerender(ctx context.Context, tx *meta.Tx, r meta.Repository, row meta.Release) error {
	f, err := e.formatOf(r)
	if err != nil {
		return err
	}
	m, err := tx.ManifestByID(ctx, row.Manifest)
	if err != nil {
		return err
	}
	a, err := artifact(m.Raw, "", "")
	if err != nil {
		return err
	}
	for i, file := range a.Files {
		if a.Files[i].Facts, err = tx.FileFacts(ctx, f.Name, f.Parser, file); err != nil {
			return err
		}
	}
	_, err = e.render(ctx, tx, r, row, m.Digest, f, a.Files)
	return err
}
