package engine

import (
	"context"
	"errors"
	"slices"
	"strconv"

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

// DeleteNamespace moves a namespace and all its repositories to the trash.
// It returns how many repositories, or NAME_UNKNOWN.
func (e *Engine) DeleteNamespace(ctx context.Context, name string) (int, error) {
	const op = "engine.DeleteNamespace"
	if err := e.administers(ctx, op, name); err != nil {
		return 0, err
	}
	members := 0
	err := e.changeAll(ctx, freeing, func(ctx context.Context, tx *meta.Tx) error {
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
