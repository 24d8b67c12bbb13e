package engine

import (
	"context"
	"time"

	"github.com/packhouse/packhouse/registry"
	"github.com/packhouse/packhouse/storage/meta"
)

// Restorable is one name in the trash.
type Restorable struct {
	Kind string
	meta.Trashed
	Until time.Time // when its window ends
}

// Verb is what takes it out of the trash.
func (r Restorable) verb() registry.Verb {
	switch r.Kind {
	case KindRepository:
		return registry.Admin
	case KindVersion:
		return registry.Withdraw
	}
	return registry.Overwrite
}

// Restorables lists up to limit names that the caller may restore, after the
// given one: repositories, then tags and versions, then manifests that no tag
// brings back; of each the latest deleted first. They are those of one
// repository, or of all for "".
func (e *Engine) Restorables(ctx context.Context, name registry.Repo, after Restorable, limit int) ([]Restorable, error) {
	const op = "engine.Restorables"
	if err := e.cfg.Gate.Some(ctx, registry.Overwrite, name); err != nil {
		return nil, err
	}
	ctx = registry.Asking(ctx)
	since := e.meta.Now().Add(-e.cfg.Trash)
	var found []Restorable
	for _, in := range []struct {
		kind string
		list func(context.Context, registry.Repo, time.Time, meta.Trashed, int) ([]meta.Trashed, error)
	}{
		{KindRepository, e.meta.TrashedRepositories},
		{KindTag, e.meta.TrashedTags},
		{KindManifest, e.meta.TrashedManifests},
	} {
		from := meta.Trashed{}
		if after.Kind != "" {
			if after.Kind != in.kind && (in.kind != KindTag || after.Kind != KindVersion) {
				continue // of an earlier kind
			}
			from, after = after.Trashed, Restorable{}
		}
		for len(found) < limit {
			page, err := in.list(ctx, name, since, from, limit)
			if err != nil {
				return nil, wrap(op, err)
			}
			for _, t := range page {
				from = t
				r := Restorable{Kind: in.kind, Trashed: t, Until: t.Deleted.Add(e.cfg.Trash)}
				if t.Version != "" {
					r.Kind = KindVersion
				}
				if len(found) < limit && e.can(ctx, r.verb(), t.Repo) == nil {
					found = append(found, r)
				}
			}
			if len(page) < limit {
				break
			}
		}
	}
	return found, nil
}
