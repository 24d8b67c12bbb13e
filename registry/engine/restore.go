package engine

import (
	"context"
	"errors"
	"slices"

	"github.com/packhouse/packhouse/registry"
	"github.com/packhouse/packhouse/storage/meta"
)

// The kinds of what can be restored.
const (
	KindRepository = "repository"
	KindVersion    = "version"
	KindTag        = "tag"
	KindManifest   = "manifest"
)

// Undelete says what is to come back: a tag or version, a manifest, or, for
// neither, the repository.
type Undelete struct {
	Repo   registry.Repo
	Tag    registry.Tag
	Digest registry.Digest // with Tag: which of the manifests that it pointed to
	DryRun bool            // only find out whether it can
}

// Undeleted is what came back.
type Undeleted struct {
	Kind    string
	Version string          // native
	Digest  registry.Digest // of what is shown again
	Tags    []registry.Tag  // that lead to it again
}

// Restore brings back what was deleted, until its trash window ends. It returns
// NAME_UNKNOWN, MANIFEST_UNKNOWN, or DENIED while a new repository has the name.
func (e *Engine) Restore(ctx context.Context, u Undelete) (Undeleted, error) {
	const op = "engine.Restore"
	verb, how := registry.Overwrite, e.restoreTag
	switch {
	case u.Tag == "" && u.Digest == "":
		verb, how = registry.Admin, e.restoreRepository
	case u.Tag == "":
		how = e.restoreManifest
	}
	if err := e.can(ctx, verb, u.Repo); err != nil {
		return Undeleted{}, err
	}
	var back Undeleted
	err := e.change(ctx, u.Repo, durable, func(ctx context.Context, tx *meta.Tx) (err error) {
		if back, err = how(ctx, tx, op, u); err == nil && u.DryRun {
			err = errNoChange
		}
		return err
	})
	if errors.Is(err, errNoChange) {
		return back, nil
	}
	return back, wrap(op, err)
}

// RestoreRepository takes the latest deleted repository of that name out of
// the trash. It returns NAME_UNKNOWN, or DENIED while a new one has the name.
func (e *Engine) RestoreRepository(ctx context.Context, name registry.Repo) error {
	_, err := e.Restore(ctx, Undelete{Repo: name})
	return err
}

// RestoreTag points a tag to what it pointed to before: to the manifest d, or,
// for "", to that of its last closed period. Its manifest comes back with it.
// It returns NAME_UNKNOWN, MANIFEST_UNKNOWN.
func (e *Engine) RestoreTag(ctx context.Context, name registry.Repo, t registry.Tag, d registry.Digest) (registry.Digest, error) {
	back, err := e.Restore(ctx, Undelete{Repo: name, Tag: t, Digest: d})
	return back.Digest, err
}

func (e *Engine) restoreRepository(ctx context.Context, tx *meta.Tx, op string, u Undelete) (Undeleted, error) {
	back := Undeleted{Kind: KindRepository}
	switch _, err := tx.Repository(ctx, u.Repo); {
	case err == nil:
		return back, registry.E(op, registry.Denied, nil, "there is a new repository %s: delete it first", u.Repo)
	case !errors.Is(err, meta.ErrNotFound):
		return back, err
	}
	r, err := tx.DeletedRepository(ctx, u.Repo)
	switch {
	case errors.Is(err, meta.ErrNotFound):
		return back, registry.E(op, registry.NameUnknown, nil, "there is no deleted repository %s", u.Repo)
	case err != nil:
		return back, err
	case tx.Now().Sub(r.Deleted) >= e.cfg.Trash:
		return back, registry.E(op, registry.NameUnknown, nil, "repository %s was deleted too long ago to be restored", u.Repo)
	}
	if feed, _, inFeed := e.feedOf(u.Repo); inFeed && r.Package == "" {
		return back, registry.E(op, registry.Denied, nil, "%s is a feed by now, and %s is none of its packages", feed.Name(), u.Repo)
	}
	if err := tx.RestoreRepository(ctx, r); err != nil {
		return back, err
	}
	return back, record(ctx, tx, "repository.restore", r, meta.AuditRecord{})
}

func (e *Engine) restoreTag(ctx context.Context, tx *meta.Tx, op string, u Undelete) (back Undeleted, err error) {
	r, err := e.live(ctx, tx, op, u.Repo)
	if err != nil {
		return back, err
	}
	switch row, err := tx.Release(ctx, u.Repo, u.Tag); {
	case err == nil: // a version has one content: it is there, or comes back
		back, err = e.restoreRelease(ctx, tx, r, row)
		if err != nil {
			return back, err
		}
		return back, e.restored(ctx, tx, r, "tag.restore", u.Tag, back.Digest)
	case !errors.Is(err, meta.ErrNotFound):
		return back, err
	}
	periods, err := tx.TagHistory(ctx, r, u.Tag)
	if err != nil {
		return back, err
	}
	i := slices.IndexFunc(periods, func(p meta.Period) bool {
		return !p.Until.IsZero() && (u.Digest == "" || p.Digest == u.Digest) && tx.Now().Sub(p.Until) < e.cfg.Trash
	})
	if i < 0 {
		return back, registry.E(op, registry.ManifestUnknown, nil, "nothing to restore: tag %s of %s has no such earlier period within the trash window", u.Tag, u.Repo)
	}
	p := periods[i]
	switch row, err := tx.ReleaseOf(ctx, u.Repo, p.Digest); {
	case err == nil && !row.Withdrawn.IsZero():
		return back, registry.E(op, registry.ManifestUnknown, nil, "tag %s pointed to version %s, which was withdrawn: restore that first", u.Tag, row.Version)
	case err != nil && !errors.Is(err, meta.ErrNotFound):
		return back, err
	}
	if err := e.showAgain(ctx, tx, r, p.Manifest, p.Digest); err != nil {
		return back, err
	}
	if err := pointAgain(ctx, tx, r, u.Tag, p.Manifest); err != nil {
		return back, err
	}
	back = Undeleted{Kind: KindTag, Digest: p.Digest, Tags: []registry.Tag{u.Tag}}
	return back, e.restored(ctx, tx, r, "tag.restore", u.Tag, p.Digest)
}

// restoreManifest undoes the deletion of a manifest, with the tags that ended
// by it.
func (e *Engine) restoreManifest(ctx context.Context, tx *meta.Tx, op string, u Undelete) (back Undeleted, err error) {
	r, err := e.live(ctx, tx, op, u.Repo)
	if err != nil {
		return back, err
	}
	switch row, err := tx.ReleaseOf(ctx, u.Repo, u.Digest); {
	case err == nil && !row.Withdrawn.IsZero():
		if back, err = e.restoreRelease(ctx, tx, r, row); err != nil {
			return back, err
		}
		return back, e.restored(ctx, tx, r, "manifest.restore", row.Tag, u.Digest)
	case err != nil && !errors.Is(err, meta.ErrNotFound):
		return back, err
	}
	m, err := tx.ClosedManifest(ctx, r, u.Digest, tx.Now().Add(-e.cfg.Trash))
	if errors.Is(err, meta.ErrNotFound) {
		return back, registry.E(op, registry.ManifestUnknown, nil, "nothing to restore: manifest %s of %s was not deleted within the trash window", u.Digest, u.Repo)
	}
	if err != nil {
		return back, err
	}
	back = Undeleted{Kind: KindManifest, Digest: u.Digest}
	if back.Tags, err = tx.TagsClosedWith(ctx, r, m); err != nil {
		return back, err
	}
	if err := e.showAgain(ctx, tx, r, m.Manifest, u.Digest); err != nil {
		return back, err
	}
	for _, t := range back.Tags {
		if err := pointAgain(ctx, tx, r, t, m.Manifest); err != nil {
			return back, err
		}
	}
	return back, e.restored(ctx, tx, r, "manifest.restore", "", u.Digest)
}

// restoreRelease brings a withdrawn version back.
func (e *Engine) restoreRelease(ctx context.Context, tx *meta.Tx, r meta.Repository, row meta.Release) (Undeleted, error) {
	back := Undeleted{Kind: KindVersion, Version: row.Version, Tags: []registry.Tag{row.Tag}}
	if err := e.can(ctx, registry.Withdraw, r.Name); err != nil {
		return back, err
	}
	if err := e.restoreVersion(ctx, tx, r, row.Version); err != nil {
		return back, err
	}
	m, err := tx.ManifestByID(ctx, row.Manifest)
	back.Digest = m.Digest
	return back, err
}

// restored records what came back, and counts the change.
func (e *Engine) restored(ctx context.Context, tx *meta.Tx, r meta.Repository, action string, t registry.Tag, d registry.Digest) error {
	if err := record(ctx, tx, action, r, meta.AuditRecord{Tag: t, Digest: d}); err != nil {
		return err
	}
	return tx.NextGeneration(ctx, r)
}

// showAgain makes r show a manifest that it showed before, whole.
func (e *Engine) showAgain(ctx context.Context, tx *meta.Tx, r meta.Repository, manifest int64, d registry.Digest) error {
	if err := tx.OpenMembership(ctx, r, manifest, d); err != nil {
		return err
	}
	if err := tx.LinkManifestBlobs(ctx, r, manifest); err != nil {
		return err
	}
	if err := e.restoreChildren(ctx, tx, r, manifest); err != nil {
		return err
	}
	if r.Package == "" {
		return nil
	}
	return tx.Touch(ctx, r)
}

// pointAgain points a tag of r that is no version's to a manifest.
func pointAgain(ctx context.Context, tx *meta.Tx, r meta.Repository, t registry.Tag, manifest int64) error {
	if r.Package == "" || registry.IsSignatureTag(t) {
		return tx.SetTag(ctx, r, t, manifest)
	}
	_, err := tx.SetLabel(ctx, r, t, manifest)
	return err
}

// restoreChildren brings back the manifests that an index lists and that were
// deleted after it.
func (e *Engine) restoreChildren(ctx context.Context, tx *meta.Tx, r meta.Repository, index int64) error {
	children, err := tx.ClosedChildren(ctx, r, index)
	if err != nil {
		return err
	}
	for _, c := range children {
		if err := tx.OpenMembership(ctx, r, c.ID, c.Digest); err != nil {
			return err
		}
		if err := tx.LinkManifestBlobs(ctx, r, c.ID); err != nil {
			return err
		}
		if err := e.restoreChildren(ctx, tx, r, c.ID); err != nil { // ends: depth is bounded at push
			return err
		}
	}
	return nil
}

// TagOf reads what stands behind a repository's name: a tag, or a version of a
// package that no tag could be, as its own client writes it.
func (e *Engine) TagOf(r registry.Repo, text string) (registry.Tag, error) {
	t, err := registry.ParseTag(text)
	if err == nil {
		return t, nil
	}
	if f, _, ok := e.feedOf(r); ok {
		return e.VersionTag(f, text)
	}
	return "", err
}
