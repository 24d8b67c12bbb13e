package admin

import (
	"context"
	"slices"

	"github.com/packhouse/packhouse/registry"
	"github.com/packhouse/packhouse/registry/engine"
	"github.com/packhouse/packhouse/storage/meta"
)

// pageSize is how many repositories a listing returns at once.
const pageSize = 1000

// Operations is the table.
func Operations() []Operation {
	return []Operation{
		operation(NamespaceList, namespaceList),
		operation(NamespaceShow, namespaceShow),
		operation(NamespaceDelete, onNamespace((*engine.Engine).DeleteNamespace)),
		operation(NamespaceRestore, onNamespace((*engine.Engine).RestoreNamespace)),
		operation(NamespacePurge, onNamespace((*engine.Engine).PurgeNamespace)),
		operation(RepoList, repoList),
		operation(RepoShow, repoShow),
		operation(RepoDelete, onRepo((*engine.Engine).DeleteRepository)),
		operation(RepoRestore, onRepo((*engine.Engine).RestoreRepository)),
		operation(RepoPurge, onRepo((*engine.Engine).PurgeRepository)),
		operation(TagHistory, tagHistory),
		operation(TagRestore, tagRestore),
		operation(GC, collect),
		operation(Fsck, check),
		operation(Adopt, adopt),
		operation(Reindex, reindex),
	}
}

func namespaceList(ctx context.Context, env *Env, _ None, _ Report) ([]Namespace, error) {
	list, err := env.Engine.Namespaces(ctx)
	return convert(list, func(n meta.Namespace) Namespace {
		return Namespace{Name: n.Name, Repositories: n.Repositories, Created: n.Created, Deleted: n.Deleted}
	}), err
}

// namespaceShow lists a live namespace's repositories.
func namespaceShow(ctx context.Context, env *Env, p NamespaceParams, _ Report) ([]Repository, error) {
	namespaces, err := env.Engine.Namespaces(ctx)
	if err != nil {
		return nil, err
	}
	if !slices.ContainsFunc(namespaces, func(n meta.Namespace) bool { return n.Name == p.Namespace && n.Deleted.IsZero() }) {
		return nil, registry.E("admin.namespaceShow", registry.NameUnknown, nil, "there is no namespace %q", p.Namespace)
	}
	list := []Repository{}
	for after := registry.Repo(""); ; {
		page, err := env.Engine.Repositories(ctx, after, pageSize)
		if err != nil || len(page) == 0 {
			return list, err
		}
		for _, r := range page {
			if r.Namespace == p.Namespace {
				list = append(list, repository(r))
			}
			after = r.Name
		}
	}
}

func onNamespace(do func(*engine.Engine, context.Context, string) (int, error)) func(context.Context, *Env, NamespaceParams, Report) (Affected, error) {
	return func(ctx context.Context, env *Env, p NamespaceParams, _ Report) (Affected, error) {
		n, err := do(env.Engine, ctx, p.Namespace)
		return Affected{Repositories: n}, err
	}
}

func repoList(ctx context.Context, env *Env, p RepoListParams, _ Report) (_ []Repository, err error) {
	var list []meta.Repository
	if p.Deleted {
		list, err = env.Engine.DeletedRepositories(ctx)
	} else {
		limit := p.Limit
		if limit <= 0 || limit > pageSize {
			limit = pageSize
		}
		list, err = env.Engine.Repositories(ctx, registry.Repo(p.After), limit)
	}
	return convert(list, repository), err
}

func repository(r meta.Repository) Repository {
	return Repository{Name: r.Name, Namespace: r.Namespace, Generation: r.Generation, Created: r.Created, Deleted: r.Deleted}
}

func repoShow(ctx context.Context, env *Env, p RepoParams, _ Report) (Details, error) {
	name, err := registry.ParseRepo(p.Repo)
	if err != nil {
		return Details{}, err
	}
	d, err := env.Engine.Repository(ctx, name)
	return Details{
		Repository: repository(d.Repository),
		Tags:       d.Tags, Manifests: d.Manifests, Blobs: d.Blobs, Bytes: d.Bytes, DeletedTags: d.DeletedTags,
	}, err
}

func onRepo(do func(*engine.Engine, context.Context, registry.Repo) error) func(context.Context, *Env, RepoParams, Report) (None, error) {
	return func(ctx context.Context, env *Env, p RepoParams, _ Report) (None, error) {
		name, err := registry.ParseRepo(p.Repo)
		if err != nil {
			return None{}, err
		}
		return None{}, do(env.Engine, ctx, name)
	}
}

func tagHistory(ctx context.Context, env *Env, p TagParams, _ Report) ([]Period, error) {
	name, tag, err := parseTag(p.Repo, p.Tag)
	if err != nil {
		return nil, err
	}
	list, err := env.Engine.TagHistory(ctx, name, tag)
	return convert(list, func(p meta.Period) Period {
		return Period{Digest: p.Digest, From: p.From, Until: p.Until}
	}), err
}

func tagRestore(ctx context.Context, env *Env, p TagRestoreParams, _ Report) (Restored, error) {
	name, tag, err := parseTag(p.Repo, p.Tag)
	if err != nil {
		return Restored{}, err
	}
	var d registry.Digest
	if p.Digest != "" {
		if d, err = registry.ParseDigest(p.Digest); err != nil {
			return Restored{}, err
		}
	}
	d, err = env.Engine.RestoreTag(ctx, name, tag, d)
	return Restored{Digest: d}, err
}

func parseTag(repo, tag string) (registry.Repo, registry.Tag, error) {
	r, err := registry.ParseRepo(repo)
	if err != nil {
		return "", "", err
	}
	t, err := registry.ParseTag(tag)
	return r, t, err
}

func collect(ctx context.Context, env *Env, p GCParams, progress Report) (engine.Collected, error) {
	return env.Engine.Collect(ctx, engine.CollectOptions{DryRun: p.DryRun, Progress: func(done int64) {
		progress(Progress{Phase: "collect", Done: done, Unit: "blobs"})
	}})
}

func reindex(ctx context.Context, env *Env, p ReindexParams, progress Report) (engine.Reindexed, error) {
	return env.Engine.Reindex(ctx, engine.ReindexOptions{Fresh: p.Fresh, Progress: func(done, total int64) {
		progress(Progress{Phase: "reindex", Done: done, Total: total, Unit: "releases"})
	}})
}

func check(ctx context.Context, env *Env, p FsckParams, progress Report) (engine.Report, error) {
	return env.Engine.Check(ctx, engine.CheckOptions{Repair: p.Repair, Progress: func(done, total int64) {
		progress(Progress{Phase: "check", Done: done, Total: total, Unit: "bytes"})
	}})
}

func adopt(ctx context.Context, env *Env, p AdoptParams, progress Report) (engine.AdoptReport, error) {
	return env.Engine.Adopt(ctx, engine.AdoptOptions{DryRun: p.DryRun, Verify: p.Verify, Progress: func(done, total int64) {
		progress(Progress{Phase: "adopt", Done: done, Total: total, Unit: "links"})
	}})
}

func convert[A, B any](list []A, f func(A) B) []B {
	out := make([]B, 0, len(list))
	for _, a := range list {
		out = append(out, f(a))
	}
	return out
}
