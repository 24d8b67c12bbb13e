package engine

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"time"

	"github.com/packhouse/packhouse/registry"
	"github.com/packhouse/packhouse/storage/meta"
)

// Details is one repository with what it holds.
type Details struct {
	meta.Repository
	meta.Usage
	DeletedTags []registry.Tag // that can be restored
}

// Namespaces lists by name the namespaces in which the caller may list
// something; deleted ones, which administrators see, have Deleted set.
func (e *Engine) Namespaces(ctx context.Context) ([]meta.Namespace, error) {
	if err := e.cfg.Gate.Some(ctx, registry.List, ""); err != nil {
		return nil, err
	}
	list, err := e.meta.Namespaces(ctx)
	ctx = registry.Asking(ctx)
	hidden := func(n meta.Namespace) bool {
		if !n.Deleted.IsZero() {
			return e.can(ctx, registry.Admin, registry.Repo(n.Name)) != nil
		}
		return e.cfg.Gate.Some(ctx, registry.List, registry.Repo(n.Name)) != nil
	}
	return slices.DeleteFunc(list, hidden), wrap("engine.Namespaces", err)
}

// Repositories lists by name up to limit of the repositories that the caller
// may list, after the given one.
func (e *Engine) Repositories(ctx context.Context, after registry.Repo, limit int) ([]meta.Repository, error) {
	if err := e.cfg.Gate.Some(ctx, registry.List, ""); err != nil {
		return nil, err
	}
	ctx = registry.Asking(ctx)
	var list []meta.Repository
	for {
		page, err := e.meta.Repositories(ctx, after, limit)
		if err != nil {
			return nil, wrap("engine.Repositories", err)
		}
		for _, r := range page {
			if after = r.Name; e.can(ctx, registry.List, r.Name) == nil {
				list = append(list, r)
			}
			if len(list) == limit {
				return list, nil
			}
		}
		if len(page) < limit {
			return list, nil
		}
	}
}

// DeletedRepositories lists the trash as far as the caller may restore it, the
// latest deleted first.
func (e *Engine) DeletedRepositories(ctx context.Context) ([]meta.Repository, error) {
	if err := e.cfg.Gate.Some(ctx, registry.Admin, ""); err != nil {
		return nil, err
	}
	list, err := e.meta.DeletedRepositories(ctx)
	ctx = registry.Asking(ctx)
	hidden := func(r meta.Repository) bool { return e.can(ctx, registry.Admin, r.Name) != nil }
	return slices.DeleteFunc(list, hidden), wrap("engine.DeletedRepositories", err)
}

// Repository describes one live repository. It returns NAME_UNKNOWN.
func (e *Engine) Repository(ctx context.Context, name registry.Repo) (Details, error) {
	const op = "engine.Repository"
	if err := e.can(ctx, registry.Read, name); err != nil {
		return Details{}, err
	}
	r, err := e.live(ctx, e.meta, op, name)
	if err != nil {
		return Details{}, err
	}
	d := Details{Repository: r}
	if d.Usage, err = e.meta.Usage(ctx, r.ID); err != nil {
		return Details{}, wrap(op, err)
	}
	d.DeletedTags, err = e.meta.DeletedTags(ctx, r)
	return d, wrap(op, err)
}

// repositories is what both a Store and a Tx can look up.
type repositories interface {
	Repository(ctx context.Context, name registry.Repo) (meta.Repository, error)
}

func (e *Engine) live(ctx context.Context, in repositories, op string, name registry.Repo) (meta.Repository, error) {
	r, err := in.Repository(ctx, name)
	if errors.Is(err, meta.ErrNotFound) {
		return r, unknownRepo(op, name)
	}
	return r, wrap(op, err)
}

// DeleteRepository moves a repository to the trash. It returns NAME_UNKNOWN.
func (e *Engine) DeleteRepository(ctx context.Context, name registry.Repo) error {
	const op = "engine.DeleteRepository"
	if err := e.can(ctx, registry.Admin, name); err != nil {
		return err
	}
	return wrap(op, e.change(ctx, name, freeing, func(ctx context.Context, tx *meta.Tx) error {
		r, err := e.live(ctx, tx, op, name)
		if err != nil {
			return err
		}
		if err := tx.DeleteRepository(ctx, r); err != nil {
			return err
		}
		return record(ctx, tx, "repository.delete", r, meta.AuditRecord{})
	}))
}

// RestoreRepository takes the latest deleted repository of that name out of
// the trash. It returns NAME_UNKNOWN, or DENIED while a new one has the name.
func (e *Engine) RestoreRepository(ctx context.Context, name registry.Repo) error {
	const op = "engine.RestoreRepository"
	if err := e.can(ctx, registry.Admin, name); err != nil {
		return err
	}
	return wrap(op, e.change(ctx, name, durable, func(ctx context.Context, tx *meta.Tx) error {
		switch _, err := tx.Repository(ctx, name); {
		case err == nil:
			return registry.E(op, registry.Denied, nil, "there is a new repository %s: delete it first", name)
		case !errors.Is(err, meta.ErrNotFound):
			return err
		}
		trash, err := tx.DeletedRepositories(ctx)
		if err != nil {
			return err
		}
		i := slices.IndexFunc(trash, func(r meta.Repository) bool { return r.Name == name })
		if i < 0 {
			return registry.E(op, registry.NameUnknown, nil, "there is no deleted repository %s", name)
		}
		if feed, _, inFeed := e.feedOf(name); inFeed && trash[i].Package == "" {
			return registry.E(op, registry.Denied, nil, "%s is a feed by now, and %s is none of its packages", feed.Name(), name)
		}
		if err := tx.RestoreRepository(ctx, trash[i]); err != nil {
			return err
		}
		return record(ctx, tx, "repository.restore", trash[i], meta.AuditRecord{})
	}))
}

// PurgeRepository removes for good what the trash holds under that name:
// deleted repositories, and the closed periods of a live one. Disk space comes
// back with the next collection. It returns NAME_UNKNOWN.
func (e *Engine) PurgeRepository(ctx context.Context, name registry.Repo) error {
	const op = "engine.PurgeRepository"
	if err := e.can(ctx, registry.Admin, name); err != nil {
		return err
	}
	found := false
	var orphans []int64
	err := e.change(ctx, name, freeing, func(ctx context.Context, tx *meta.Tx) error {
		found, orphans = false, nil
		trash, err := tx.DeletedRepositories(ctx)
		if err != nil {
			return err
		}
		for _, r := range trash {
			if r.Name != name {
				continue
			}
			found = true
			gone, err := tx.PurgeRepository(ctx, r)
			if err != nil {
				return err
			}
			orphans = append(orphans, gone...)
		}
		return record(ctx, tx, "repository.purge", meta.Repository{Name: name}, meta.AuditRecord{})
	})
	if err != nil {
		return wrap(op, err)
	}
	if err := e.removeManifests(ctx, orphans); err != nil {
		return wrap(op, err)
	}
	switch r, err := e.meta.Repository(ctx, name); {
	case err == nil:
		_, err := e.removePeriods(ctx, r.ID, e.meta.Now().Add(time.Millisecond))
		return wrap(op, err)
	case !errors.Is(err, meta.ErrNotFound):
		return wrap(op, err)
	case !found:
		return unknownRepo(op, name)
	}
	return nil
}

// DeleteNamespace moves a namespace and all its repositories to the trash.
// It returns how many repositories, or NAME_UNKNOWN.
func (e *Engine) DeleteNamespace(ctx context.Context, name string) (int, error) {
	const op = "engine.DeleteNamespace"
	if err := e.administers(ctx, op, name); err != nil {
		return 0, err
	}
	members := 0
	settled := e.cache.changingAll()
	defer settled()
	err := e.meta.Update(ctx, freeing, func(ctx context.Context, tx *meta.Tx) error {
		list, err := tx.RepositoriesOf(ctx, name)
		if err != nil {
			return err
		}
		members = len(list)
		for _, r := range list {
			if err := tx.DeleteRepository(ctx, r); err != nil {
				return err
			}
		}
		if err := tx.DeleteNamespace(ctx, name); err != nil {
			return err
		}
		return tx.Record(ctx, meta.AuditRecord{Action: "namespace.delete", Namespace: name, Detail: map[string]string{"repositories": strconv.Itoa(members)}})
	})
	if errors.Is(err, meta.ErrNotFound) {
		return 0, registry.E(op, registry.NameUnknown, nil, "there is no namespace %q", name)
	}
	if err == nil {
		e.reloadFeeds(ctx)
	}
	return members, wrap(op, err)
}

// RestoreNamespace restores a deleted namespace and the repositories that were
// deleted with it. It returns how many repositories, or NAME_UNKNOWN.
func (e *Engine) RestoreNamespace(ctx context.Context, name string) (int, error) {
	n, err := e.inTrash(ctx, "engine.RestoreNamespace", name, func(r meta.Repository, n meta.Namespace) (bool, error) {
		if !r.Deleted.Equal(n.Deleted) {
			return false, nil
		}
		return true, e.RestoreRepository(ctx, r.Name)
	})
	if err == nil && n == 0 { // a repository brings its namespace back with it
		err = e.restoreEmpty(ctx, name)
	}
	return n, err
}

// PurgeNamespace purges every repository of a deleted namespace. It returns
// how many, or NAME_UNKNOWN.
func (e *Engine) PurgeNamespace(ctx context.Context, name string) (int, error) {
	return e.inTrash(ctx, "engine.PurgeNamespace", name, func(r meta.Repository, _ meta.Namespace) (bool, error) {
		err := e.PurgeRepository(ctx, r.Name)
		if errors.Is(err, registry.NameUnknown) {
			err = nil // one name was deleted twice
		}
		return true, err
	})
}

// inTrash calls f for each deleted repository of a deleted namespace.
func (e *Engine) inTrash(ctx context.Context, op, name string, f func(meta.Repository, meta.Namespace) (bool, error)) (int, error) {
	if err := e.administers(ctx, op, name); err != nil {
		return 0, err
	}
	namespaces, err := e.Namespaces(ctx)
	if err != nil {
		return 0, err
	}
	i := slices.IndexFunc(namespaces, func(n meta.Namespace) bool { return n.Name == name && !n.Deleted.IsZero() })
	if i < 0 {
		return 0, registry.E(op, registry.NameUnknown, nil, "there is no deleted namespace %q", name)
	}
	trash, err := e.DeletedRepositories(ctx)
	if err != nil {
		return 0, err
	}
	done := 0
	for _, r := range trash {
		if r.Namespace != name {
			continue
		}
		did, err := f(r, namespaces[i])
		if err != nil {
			return done, err
		}
		if did {
			done++
		}
	}
	return done, nil
}

// TagHistory lists what a tag has pointed to, the latest first. It returns
// NAME_UNKNOWN, MANIFEST_UNKNOWN.
func (e *Engine) TagHistory(ctx context.Context, name registry.Repo, t registry.Tag) ([]meta.Period, error) {
	const op = "engine.TagHistory"
	if err := e.can(ctx, registry.Read, name); err != nil {
		return nil, err
	}
	r, err := e.live(ctx, e.meta, op, name)
	if err != nil {
		return nil, err
	}
	list, err := e.meta.TagHistory(ctx, r, t)
	if err == nil && len(list) == 0 {
		return nil, registry.E(op, registry.ManifestUnknown, nil, "there never was a tag %s in %s, or its history is past the trash window", t, name)
	}
	return list, wrap(op, err)
}

// RestoreTag points a tag to what it pointed to before: to the manifest d, or,
// for "", to that of its last closed period. Its manifest comes back with it.
// It returns NAME_UNKNOWN, MANIFEST_UNKNOWN.
func (e *Engine) RestoreTag(ctx context.Context, name registry.Repo, t registry.Tag, d registry.Digest) (registry.Digest, error) {
	const op = "engine.RestoreTag"
	if err := e.can(ctx, registry.Overwrite, name); err != nil {
		return "", err
	}
	var restored registry.Digest
	err := e.change(ctx, name, durable, func(ctx context.Context, tx *meta.Tx) error {
		r, err := e.live(ctx, tx, op, name)
		if err != nil {
			return err
		}
		switch row, err := tx.Release(ctx, name, t); {
		case err == nil: // a version has one content: it is there, or comes back
			if err := e.can(ctx, registry.Withdraw, name); err != nil {
				return err
			}
			if err := e.restoreVersion(ctx, tx, r, row.Version); err != nil {
				return err
			}
			m, err := tx.ManifestByID(ctx, row.Manifest)
			if err != nil {
				return err
			}
			restored = m.Digest
			if err := record(ctx, tx, "tag.restore", r, meta.AuditRecord{Tag: t, Digest: restored}); err != nil {
				return err
			}
			return tx.NextGeneration(ctx, r)
		case !errors.Is(err, meta.ErrNotFound):
			return err
		}
		periods, err := tx.TagHistory(ctx, r, t)
		if err != nil {
			return err
		}
		i := slices.IndexFunc(periods, func(p meta.Period) bool {
			return !p.Until.IsZero() && (d == "" || p.Digest == d) && tx.Now().Sub(p.Until) < e.cfg.Trash
		})
		if i < 0 {
			return registry.E(op, registry.ManifestUnknown, nil, "nothing to restore: tag %s of %s has no such earlier period within the trash window", t, name)
		}
		p := periods[i]
		restored = p.Digest
		switch row, err := tx.ReleaseOf(ctx, name, p.Digest); {
		case err == nil && !row.Withdrawn.IsZero():
			return registry.E(op, registry.ManifestUnknown, nil, "tag %s pointed to version %s, which was withdrawn: restore that first", t, row.Version)
		case err != nil && !errors.Is(err, meta.ErrNotFound):
			return err
		}
		if err := tx.OpenMembership(ctx, r, p.Manifest, p.Digest); err != nil {
			return err
		}
		if err := tx.LinkManifestBlobs(ctx, r, p.Manifest); err != nil {
			return err
		}
		if err := e.restoreChildren(ctx, tx, r, p.Manifest); err != nil {
			return err
		}
		if r.Package != "" && !registry.IsSignatureTag(t) {
			if err := tx.Touch(ctx, r); err != nil {
				return err
			}
			_, err = tx.SetLabel(ctx, r, t, p.Manifest)
		} else {
			err = tx.SetTag(ctx, r, t, p.Manifest)
		}
		if err != nil {
			return err
		}
		if err := record(ctx, tx, "tag.restore", r, meta.AuditRecord{Tag: t, Digest: restored}); err != nil {
			return err
		}
		return tx.NextGeneration(ctx, r)
	})
	return restored, wrap(op, err)
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
