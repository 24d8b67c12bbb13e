package engine

import (
	"context"
	"errors"

	"github.com/packhouse/packhouse/registry"
	"github.com/packhouse/packhouse/storage/meta"
)

// repository finds the live repository name or makes it, if the caller may
// make one there by pushing.
func (e *Engine) repository(ctx context.Context, tx *meta.Tx, name registry.Repo) (meta.Repository, error) {
	r, err := tx.Repository(ctx, name)
	if !errors.Is(err, meta.ErrNotFound) {
		return r, err
	}
	who, err := tx.FirstPush(ctx, name)
	if err != nil {
		return meta.Repository{}, err
	}
	if who == meta.FirstPushAdmin && !e.may(ctx, registry.Admin, name) {
		return meta.Repository{}, registry.E("engine.repository", registry.Denied, nil,
			"there is no repository %s, and in its namespace only administrators make new ones: ask one for `packhouse repo create %s`", name, name)
	}
	return tx.EnsureRepository(ctx, name)
}

// Incarnation tells apart what bears the name r at different times, by the
// Namespace, its Incarnation, and Created and Creator of the repository, which
// are zero if there is none. An answer comes from memory while the repository
// is known there.
func (e *Engine) Incarnation(ctx context.Context, r registry.Repo) (meta.Repository, error) {
	const op = "engine.Incarnation"
	ent, err := e.cache.load(ctx, derived, r, "incarnation", func(ctx context.Context) (*entry, error) {
		repo, err := e.meta.Repository(ctx, r)
		return &entry{derived: repo, weight: 300}, err
	})
	if errors.Is(err, meta.ErrNotFound) {
		n, err := e.meta.NamespaceOf(ctx, r)
		if errors.Is(err, meta.ErrNotFound) {
			err = nil
		}
		return meta.Repository{NamespaceID: n.ID, Incarnation: n.Incarnation}, wrap(op, err)
	}
	if err != nil {
		return meta.Repository{}, wrap(op, err)
	}
	return ent.derived.(meta.Repository), nil
}
