package engine

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/packhouse/packhouse/registry"
	"github.com/packhouse/packhouse/storage/meta"
)

// SetQuota limits what a live namespace may hold. Quotas are for who may
// administer the whole registry, whose disk it is. It returns NAME_UNKNOWN.
func (e *Engine) SetQuota(ctx context.Context, namespace string, q meta.Quota) error {
	const op = "engine.SetQuota"
	if err := e.can(ctx, registry.Admin, ""); err != nil {
		return err
	}
	for _, limit := range []*int64{q.Bytes, q.Manifests} {
		if limit != nil && *limit < 0 {
			return registry.E(op, registry.ParameterInvalid, nil, "a quota of %d is less than 0", *limit)
		}
	}
	err := e.meta.Update(ctx, durable, func(ctx context.Context, tx *meta.Tx) error {
		if err := tx.SetQuota(ctx, namespace, q); err != nil {
			return err
		}
		return tx.Record(ctx, meta.AuditRecord{Action: "namespace.quota", Namespace: namespace, Detail: map[string]string{
			"bytes": limitText(q.Bytes), "manifests": limitText(q.Manifests),
		}})
	})
	if errors.Is(err, meta.ErrNotFound) {
		return unknownNamespace(op, namespace)
	}
	return wrap(op, err)
}

func limitText(limit *int64) string {
	if limit == nil {
		return "unlimited"
	}
	return fmt.Sprint(*limit)
}

func unknownNamespace(op, name string) error {
	return registry.E(op, registry.NameUnknown, nil, "there is no namespace %q", name)
}

// Quota is what a namespace may hold. It returns NAME_UNKNOWN.
func (e *Engine) Quota(ctx context.Context, namespace string) (meta.Quota, error) {
	const op = "engine.Quota"
	if err := e.can(ctx, registry.List, registry.Repo(namespace)); err != nil {
		return meta.Quota{}, err
	}
	u, err := e.meta.NamespaceUsage(ctx, namespace)
	if errors.Is(err, meta.ErrNotFound) {
		return meta.Quota{}, unknownNamespace(op, namespace)
	}
	return u.Quota, wrap(op, err)
}

// restoreEmpty takes a namespace out of the trash that has no repositories to
// restore with it, but grants and settings.
func (e *Engine) restoreEmpty(ctx context.Context, name string) error {
	const op = "engine.RestoreNamespace"
	err := e.meta.Update(ctx, durable, func(ctx context.Context, tx *meta.Tx) error {
		if err := tx.RestoreNamespace(ctx, name); err != nil {
			return err
		}
		return tx.Record(ctx, meta.AuditRecord{Action: "namespace.restore", Namespace: name})
	})
	if errors.Is(err, meta.ErrNotFound) {
		return registry.E(op, registry.NameUnknown, nil, "there is no deleted namespace %q", name)
	}
	if err == nil {
		e.reloadFeeds(ctx)
	}
	return wrap(op, err)
}

// NamespaceUsage is what a namespace holds and may hold.
type NamespaceUsage struct {
	meta.NamespaceUsage
	Shares meta.Shares
}

// Usage tells what a namespace holds and may hold, which takes time by how much
// that is. It returns NAME_UNKNOWN.
func (e *Engine) Usage(ctx context.Context, namespace string) (NamespaceUsage, error) {
	const op = "engine.Usage"
	if err := e.can(ctx, registry.List, registry.Repo(namespace)); err != nil {
		return NamespaceUsage{}, err
	}
	var u NamespaceUsage
	var err error
	if u.NamespaceUsage, err = e.meta.NamespaceUsage(ctx, namespace); err == nil {
		u.Shares, err = e.meta.NamespaceShares(ctx, namespace)
	}
	if errors.Is(err, meta.ErrNotFound) {
		return u, unknownNamespace(op, namespace)
	}
	return u, wrap(op, err)
}

// FeedList lists by name the feeds in which the caller may list something.
func (e *Engine) FeedList(ctx context.Context) ([]meta.FeedRow, error) {
	if err := e.cfg.Gate.Some(ctx, registry.List, ""); err != nil {
		return nil, err
	}
	list, err := e.meta.FeedRows(ctx)
	ctx = registry.Asking(ctx)
	hidden := func(f meta.FeedRow) bool {
		return e.cfg.Gate.Some(ctx, registry.List, registry.Repo(f.Name())) != nil
	}
	return slices.DeleteFunc(list, hidden), wrap("engine.FeedList", err)
}

// FeedDetails describes one feed. It returns NAME_UNKNOWN.
func (e *Engine) FeedDetails(ctx context.Context, name registry.Repo) (meta.FeedRow, error) {
	const op = "engine.FeedDetails"
	if err := e.can(ctx, registry.List, name); err != nil {
		return meta.FeedRow{}, err
	}
	f, err := e.feedRow(ctx, e.meta, op, name)
	return f, wrap(op, err)
}

// feedRows is what both a Store and a Tx can look up.
type feedRows interface {
	FeedRow(ctx context.Context, namespace, format string) (meta.FeedRow, error)
}

func (e *Engine) feedRow(ctx context.Context, in feedRows, op string, name registry.Repo) (meta.FeedRow, error) {
	namespace, format := cutFeed(name)
	f, err := in.FeedRow(ctx, namespace, format)
	if errors.Is(err, meta.ErrNotFound) {
		return f, registry.E(op, registry.NameUnknown, nil, "there is no feed %s", name)
	}
	return f, err
}

func cutFeed(name registry.Repo) (namespace, format string) {
	i := strings.LastIndexByte(string(name), '/')
	if i < 0 {
		return "", string(name)
	}
	return string(name[:i]), string(name[i+1:])
}

// CreateFeed makes a feed, NAMESPACE/FORMAT, and its namespace, as a first
// publish does. It returns NAME_INVALID, CONFLICT.
func (e *Engine) CreateFeed(ctx context.Context, name registry.Repo) (meta.FeedRow, error) {
	const op = "engine.CreateFeed"
	if err := e.can(ctx, registry.Admin, name); err != nil {
		return meta.FeedRow{}, err
	}
	if f, ok := e.feedName(string(name)); !ok {
		return meta.FeedRow{}, registry.E(op, registry.NameInvalid, nil,
			"%s is not the name of a feed: that is NAMESPACE/FORMAT, and %q is no format; see `packhouse format list`", name, f.Format)
	}
	var made meta.FeedRow
	err := e.changeAll(ctx, durable, func(ctx context.Context, tx *meta.Tx) error {
		switch _, err := e.feedRow(ctx, tx, op, name); {
		case err == nil:
			return registry.E(op, registry.Conflict, nil, "there is a feed %s already", name)
		case !errors.Is(err, registry.NameUnknown):
			return err
		}
		f, _ := e.feedName(string(name))
		if _, err := e.ensureFeed(ctx, tx, f); err != nil {
			return err
		}
		var err error
		if made, err = e.feedRow(ctx, tx, op, name); err != nil {
			return err
		}
		return tx.Record(ctx, meta.AuditRecord{Action: "feed.create", Namespace: f.Namespace, Detail: map[string]string{"feed": string(name)}})
	})
	if err != nil {
		return meta.FeedRow{}, wrap(op, err)
	}
	e.reloadFeeds(ctx)
	return made, nil
}

// DeleteFeed removes a feed that has no packages, not even in the trash. It
// returns NAME_UNKNOWN, CONFLICT.
func (e *Engine) DeleteFeed(ctx context.Context, name registry.Repo) error {
	const op = "engine.DeleteFeed"
	if err := e.can(ctx, registry.Admin, name); err != nil {
		return err
	}
	err := e.changeAll(ctx, freeing, func(ctx context.Context, tx *meta.Tx) error {
		f, err := e.feedRow(ctx, tx, op, name)
		if err != nil {
			return err
		}
		switch r, err := tx.InFeed(ctx, f.ID); {
		case err == nil && r.Deleted.IsZero():
			return registry.E(op, registry.Conflict, nil, "the feed %s has packages, such as %s: delete them first", name, r.Name)
		case err == nil:
			return registry.E(op, registry.Conflict, nil, "the trash holds packages of the feed %s, such as %s: `packhouse repo purge` removes them for good", name, r.Name)
		case !errors.Is(err, meta.ErrNotFound):
			return err
		}
		if err := tx.DeleteFeed(ctx, f.ID); err != nil {
			return err
		}
		if err := tx.TouchStripes(ctx, meta.FeedsStripe); err != nil {
			return err
		}
		return tx.Record(ctx, meta.AuditRecord{Action: "feed.delete", Namespace: f.Namespace, Detail: map[string]string{"feed": string(name)}})
	})
	if err != nil {
		return wrap(op, err)
	}
	e.reloadFeeds(ctx)
	return nil
}

// CreateRepository makes an empty repository, if the caller may make one there
// by pushing. It returns CONFLICT.
func (e *Engine) CreateRepository(ctx context.Context, name registry.Repo) (meta.Repository, error) {
	const op = "engine.CreateRepository"
	if err := e.can(ctx, registry.Create, name); err != nil {
		return meta.Repository{}, err
	}
	var made meta.Repository
	err := e.change(ctx, name, durable, func(ctx context.Context, tx *meta.Tx) error {
		if feed, _, inFeed := e.feedOf(name); inFeed {
			return registry.E(op, registry.Conflict, nil, "%s is in the feed %s, where publishing a package makes its repository", name, feed.Name())
		}
		switch _, err := tx.Repository(ctx, name); {
		case err == nil:
			return registry.E(op, registry.Conflict, nil, "there is a repository %s already", name)
		case !errors.Is(err, meta.ErrNotFound):
			return err
		}
		var err error
		if made, err = e.repository(ctx, tx, name); err != nil {
			return err
		}
		return record(ctx, tx, "repository.create", made, meta.AuditRecord{})
	})
	return made, wrap(op, err)
}
