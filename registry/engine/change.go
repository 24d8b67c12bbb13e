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
	for _, o := range ops {
		if err := e.can(ctx, verbOf(o), r); err != nil {
			return err
		}
	}
	return e.changePackage(ctx, r, ops)
}

// changePackage is Change for who may.
func (e *Engine) changePackage(ctx context.Context, r registry.Repo, ops []registry.Op) error {
	const op = "engine.Change"
	how := freeing
	for _, o := range ops {
		if _, frees := o.(registry.WithdrawVersion); !frees {
			how = durable
		}
		if err := e.readAhead(ctx, r, o); err != nil {
			return err
		}
	}
	return wrap(op, e.change(ctx, r, how, func(ctx context.Context, tx *meta.Tx) error {
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
			if err := recordOp(ctx, tx, repo, o); err != nil {
				return err
			}
		}
		if err := tx.Touch(ctx, repo); err != nil {
			return err
		}
		return tx.NextGeneration(ctx, repo)
	}))
}

// readAhead makes sure that the facts of the release which o renders again are
// stored: a file cannot be read within a transaction.
func (e *Engine) readAhead(ctx context.Context, r registry.Repo, o registry.Op) error {
	var version string
	switch o := o.(type) {
	case registry.SetState:
		version = o.Version
	case registry.RestoreVersion:
		version = o.Version
	}
	if version == "" {
		return nil
	}
	feed, _, _ := e.feedOf(r)
	tag, err := e.VersionTag(feed, version)
	if err != nil {
		return nil //nolint:nilerr // apply says that there is no such version
	}
	row, err := e.meta.Release(ctx, r, tag)
	if err != nil || row.Manifest == 0 {
		return nil //nolint:nilerr // as above
	}
	return e.storeFacts(ctx, r, row.Manifest)
}

// storeFacts reads the files of an edition that the present parser has not
// read, and stores what it found.
func (e *Engine) storeFacts(ctx context.Context, r registry.Repo, manifest int64) error {
	f := e.formats[formatName(e, r)]
	if f == nil {
		return nil
	}
	_, _, fresh, err := e.filesOf(ctx, r, f, manifest)
	if err != nil || len(fresh) == 0 {
		return err
	}
	return wrap("engine.storeFacts", e.meta.Update(ctx, keeping, func(ctx context.Context, tx *meta.Tx) error {
		return addFacts(ctx, tx, f, fresh)
	}))
}

func addFacts(ctx context.Context, tx *meta.Tx, f *Format, fresh []registry.File) error {
	for _, file := range fresh {
		if err := tx.AddFileFacts(ctx, f.Name, f.Parser, file); err != nil {
			return err
		}
	}
	return nil
}

// checkLabel refuses a label that is, or could be taken for, something else's
// tag.
func (e *Engine) checkLabel(ctx context.Context, tx *meta.Tx, r meta.Repository, f *Format, label registry.Tag) error {
	if err := f.Label(string(label)); err != nil {
		return err
	}
	_, err := tx.Release(ctx, r.Name, label)
	if errors.Is(err, meta.ErrNotFound) && !registry.IsSignatureTag(label) {
		return nil
	}
	if err == nil || errors.Is(err, meta.ErrNotFound) {
		return registry.E("engine.checkLabel", registry.ManifestInvalid, nil, "%s cannot be a label: it is the tag of a version or a signature", label)
	}
	return err
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
		tag, err := registry.ParseTag(o.Label)
		if err != nil {
			return err
		}
		if err := e.checkLabel(ctx, tx, r, f, tag); err != nil {
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
		if err = e.checkLabel(ctx, tx, r, f, registry.Tag(o.Label)); err == nil {
			err = tx.CloseTag(ctx, r, registry.Tag(o.Label))
		} else if errors.Is(err, registry.ManifestInvalid) {
			err = meta.ErrNotFound
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
