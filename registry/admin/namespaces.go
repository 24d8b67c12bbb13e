package admin

import (
	"context"
	"slices"
	"time"

	"github.com/packhouse/packhouse/registry"
	"github.com/packhouse/packhouse/registry/engine"
	"github.com/packhouse/packhouse/storage/meta"
)

// Operations on namespaces.
const (
	NamespaceList    Name[Page, []Namespace]          = "namespace.list"
	NamespaceShow    Name[NamespaceParams, Namespace] = "namespace.show"
	NamespaceDelete  Name[NamespaceParams, Affected]  = "namespace.delete"
	NamespaceRestore Name[NamespaceParams, Affected]  = "namespace.restore"
	NamespacePurge   Name[NamespaceParams, Affected]  = "namespace.purge"

	NamespaceCreate     Name[NamespaceCreateParams, Namespace] = "namespace.create"
	NamespaceVisibility Name[NamespaceVisibilityParams, None]  = "namespace.visibility"
	NamespaceFirstPush  Name[NamespaceFirstPushParams, None]   = "namespace.first-push"
	NamespaceQuota      Name[NamespaceQuotaParams, None]       = "namespace.quota"
)

// Root is how the namespace without a name is written.
const Root = "/"

// NamespaceParams name a namespace.
type NamespaceParams struct {
	Namespace string `json:"namespace" doc:"its name; / is the root namespace"`
}

// NamespaceCreateParams say what the new namespace is.
type NamespaceCreateParams struct {
	NamespaceParams
	Visibility string `json:"visibility,omitempty" enum:",public,private" doc:"who sees what is in it; empty for as the namespace above, which is private unless something else is set"`
	FirstPush  string `json:"first_push,omitempty" enum:",admin" doc:"who makes repositories in it by pushing: empty for who may create, admin for administrators alone"`
}

// NamespaceVisibilityParams set who sees a namespace.
type NamespaceVisibilityParams struct {
	NamespaceParams
	Visibility string `json:"visibility" enum:",public,private" doc:"empty for as the namespace above, which is private unless something else is set"`
}

// NamespaceFirstPushParams set who makes repositories by pushing.
type NamespaceFirstPushParams struct {
	NamespaceParams
	FirstPush string `json:"first_push" enum:",admin" doc:"empty for who may create, admin for administrators alone"`
}

// NamespaceQuotaParams limit a namespace.
type NamespaceQuotaParams struct {
	NamespaceParams
	Quota
}

// Quota is how much a namespace may hold.
type Quota struct {
	Bytes     *int64 `json:"bytes,omitempty" yaml:"bytes,omitempty" doc:"of blobs and manifests, each counted once; absent for no limit"`
	Manifests *int64 `json:"manifests,omitempty" yaml:"manifests,omitempty" doc:"absent for no limit"`
}

// Usage is what a namespace holds, the trash included.
type Usage struct {
	Bytes        int64 `json:"bytes" doc:"of blobs and manifests, each counted once"`
	Manifests    int64 `json:"manifests"`
	Live         Share `json:"live" doc:"what its repositories show"`
	Trash        Share `json:"trash" doc:"what can be restored to them and nothing else needs"`
	Unreferenced int64 `json:"unreferenced" doc:"bytes that no manifest needs: of pushes under way, or given up"`
}

// Share is a part of what a namespace holds.
type Share struct {
	Bytes     int64 `json:"bytes"`
	Manifests int64 `json:"manifests"`
}

// Namespace is one namespace.
type Namespace struct {
	Name         string    `json:"name" doc:"/ is the root namespace"`
	Repositories int       `json:"repositories" doc:"how many it has, deleted ones not counted"`
	Visibility   string    `json:"visibility,omitempty" enum:"public,private" doc:"absent where nothing is set"`
	FirstPush    string    `json:"first_push,omitempty" enum:"admin" doc:"who makes repositories by pushing; absent for who may create"`
	Quota        *Quota    `json:"quota,omitempty" doc:"namespace.show tells it"`
	Usage        *Usage    `json:"usage,omitempty" doc:"namespace.show tells it"`
	Created      time.Time `json:"created"`
	Deleted      time.Time `json:"deleted,omitzero" doc:"when it went to the trash"`
}

func (n Namespace) key() string { return n.Name }

// Affected counts repositories.
type Affected struct {
	Repositories int `json:"repositories" doc:"how many were changed with it"`
}

// parseNamespace returns the name that the rest of the registry knows: "" for
// the root. It returns NAME_INVALID.
func parseNamespace(s string) (string, error) {
	if s == Root {
		return "", nil
	}
	if _, err := registry.ParseRepo(s); err != nil {
		return "", registry.E("admin", registry.NameInvalid, err,
			"%q is not a namespace: each segment is lower-case letters and digits, joined by one '.', one or two '_', or any number of '-'", s)
	}
	return s, nil
}

func shownNamespace(name string) string {
	if name == "" {
		return Root
	}
	return name
}

func (p NamespaceParams) target() (registry.Repo, error) {
	name, err := parseNamespace(p.Namespace)
	return registry.Repo(name), err
}

func namespaceOf(n meta.Namespace) Namespace {
	return Namespace{
		Name: shownNamespace(n.Name), Repositories: n.Repositories, Visibility: n.Visibility, FirstPush: n.FirstPush, Created: n.Created, Deleted: n.Deleted,
	}
}

func namespaceList(ctx context.Context, env *Env, p Page) ([]Namespace, error) {
	list, err := seen(env.Engine.Namespaces(ctx))
	return pageOf(convert(list, namespaceOf), p), err
}

func namespaceShow(ctx context.Context, env *Env, p NamespaceParams, _ Report) (Namespace, error) {
	list, err := env.Engine.Namespaces(ctx)
	if err != nil {
		return Namespace{}, err
	}
	i := slices.IndexFunc(list, func(n meta.Namespace) bool { return shownNamespace(n.Name) == p.Namespace && n.Deleted.IsZero() })
	if i < 0 {
		return Namespace{}, noNamespace(p.Namespace)
	}
	n := namespaceOf(list[i])
	u, err := env.Engine.Usage(ctx, list[i].Name)
	n.Quota = &Quota{Bytes: u.Quota.Bytes, Manifests: u.Quota.Manifests}
	n.Usage = &Usage{
		Bytes: u.Bytes, Manifests: u.Manifests, Live: Share(u.Shares.Live), Trash: Share(u.Shares.Trash), Unreferenced: u.Shares.Unreferenced,
	}
	return n, err
}

func namespaceCreate(ctx context.Context, env *Env, p NamespaceCreateParams, _ Report) (Namespace, error) {
	n, err := env.Auth.CreateNamespace(ctx, p.Namespace, p.Visibility, p.FirstPush)
	return namespaceOf(n), err
}

func namespaceVisibility(ctx context.Context, env *Env, p NamespaceVisibilityParams, _ Report) (None, error) {
	name, err := p.NamespaceParams.target()
	if err == nil {
		_, err = env.Auth.SetVisibility(ctx, meta.OfNamespace, name, p.Visibility)
	}
	return None{}, err
}

func namespaceFirstPush(ctx context.Context, env *Env, p NamespaceFirstPushParams, _ Report) (None, error) {
	return None{}, env.Auth.SetFirstPush(ctx, p.Namespace, p.FirstPush)
}

func namespaceQuota(ctx context.Context, env *Env, p NamespaceQuotaParams, _ Report) (None, error) {
	name, err := parseNamespace(p.Namespace)
	if err != nil {
		return None{}, err
	}
	return None{}, env.Engine.SetQuota(ctx, name, meta.Quota{Bytes: p.Bytes, Manifests: p.Manifests})
}

func noNamespace(name string) error {
	return registry.E("admin", registry.NameUnknown, nil, "there is no namespace %q", name)
}

func onNamespace(do func(*engine.Engine, context.Context, string) (int, error)) func(context.Context, *Env, NamespaceParams, Report) (Affected, error) {
	return func(ctx context.Context, env *Env, p NamespaceParams, _ Report) (Affected, error) {
		name, err := parseNamespace(p.Namespace)
		if err != nil {
			return Affected{}, err
		}
		n, err := do(env.Engine, ctx, name)
		return Affected{Repositories: n}, err
	}
}
