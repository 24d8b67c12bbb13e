package admin

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/packhouse/packhouse/registry"
	"github.com/packhouse/packhouse/registry/engine"
	"github.com/packhouse/packhouse/storage/meta"
)

// Operations on repositories and tags.
const (
	RepoList       Name[RepoListParams, []Repository] = "repo.list"
	RepoShow       Name[RepoParams, Details]          = "repo.show"
	RepoDelete     Name[RepoParams, None]             = "repo.delete"
	RepoRestore    Name[RepoParams, None]             = "repo.restore"
	RepoPurge      Name[RepoParams, None]             = "repo.purge"
	RepoCreate     Name[RepoCreateParams, Repository] = "repo.create"
	RepoVisibility Name[RepoVisibilityParams, None]   = "repo.visibility"
	TagHistory     Name[TagHistoryParams, []Period]   = "tag.history"
	TagRestore     Name[TagRestoreParams, Restored]   = "tag.restore"
)

// RepoListParams select repositories.
type RepoListParams struct {
	Page
	Namespace string `json:"namespace,omitempty" doc:"only those of this namespace; / is the root namespace"`
	Deleted   bool   `json:"deleted,omitempty" doc:"those in the trash instead, the latest deleted first"`
}

// RepoParams name a repository.
type RepoParams struct {
	Repo string `json:"repo" doc:"its name"`
}

// RepoCreateParams say what the new repository is.
type RepoCreateParams struct {
	RepoParams
	Visibility string `json:"visibility,omitempty" enum:",public,private" doc:"who sees it; empty for as what is above it"`
}

// RepoVisibilityParams set who sees a repository.
type RepoVisibilityParams struct {
	RepoParams
	Visibility string `json:"visibility" enum:",public,private" doc:"empty for as what is above it"`
}

// TagParams name a tag.
type TagParams struct {
	Repo string `json:"repo" doc:"the repository's name"`
	Tag  string `json:"tag"`
}

// TagHistoryParams select what a tag pointed to.
type TagHistoryParams struct {
	Page
	TagParams
}

// TagRestoreParams name a tag and what it is to point to again.
type TagRestoreParams struct {
	TagParams
	Digest string `json:"digest,omitempty" doc:"a digest that the tag had; empty for what it pointed to last"`
}

// Repository is one repository.
type Repository struct {
	Name       registry.Repo `json:"name"`
	Namespace  string        `json:"namespace" doc:"/ is the root namespace"`
	Generation int64         `json:"generation" doc:"counts its changes"`
	Visibility string        `json:"visibility,omitempty" enum:"public,private" doc:"absent where nothing is set"`
	Created    time.Time     `json:"created"`
	Deleted    time.Time     `json:"deleted,omitzero" doc:"when it went to the trash"`
}

// key is the name of a live one. The trash is ordered by time.
func (r Repository) key() string {
	if r.Deleted.IsZero() {
		return string(r.Name)
	}
	return fmt.Sprintf("%d:%s", r.Deleted.UnixMilli(), r.Name)
}

// Details is one repository with what it holds.
type Details struct {
	Repository
	Tags        int64          `json:"tags"`
	Manifests   int64          `json:"manifests"`
	Blobs       int64          `json:"blobs"`
	Bytes       int64          `json:"bytes" doc:"of its blobs, each counted once"`
	DeletedTags []registry.Tag `json:"deleted_tags,omitempty" doc:"those that can be restored"`
}

// Period is a time in which a tag pointed to one manifest.
type Period struct {
	Number int             `json:"number" doc:"1 is the latest"`
	Digest registry.Digest `json:"digest"`
	From   time.Time       `json:"from"`
	Until  time.Time       `json:"until,omitzero" doc:"absent while it lasts"`
}

func (p Period) key() string { return strconv.Itoa(p.Number) }

// Restored is what a tag points to again.
type Restored struct {
	Digest registry.Digest `json:"digest"`
}

func (p RepoParams) target() (registry.Repo, error) { return registry.ParseRepo(p.Repo) }

func (p TagParams) target() (registry.Repo, error) { return registry.ParseRepo(p.Repo) }

func (p TagParams) parse() (registry.Repo, registry.Tag, error) {
	r, err := p.target()
	if err != nil {
		return "", "", err
	}
	t, err := registry.ParseTag(p.Tag)
	return r, t, err
}

func repoList(ctx context.Context, env *Env, p RepoListParams) ([]Repository, error) {
	in := func(meta.Repository) bool { return true }
	if p.Namespace != "" {
		name, err := parseNamespace(p.Namespace)
		if err != nil {
			return nil, err
		}
		in = func(r meta.Repository) bool { return r.Namespace == name }
	}
	if p.Deleted {
		return deletedRepos(ctx, env, p.Page, in)
	}
	var list []Repository
	for after := registry.Repo(p.After); len(list) < p.size(); {
		page, err := seen(env.Engine.Repositories(ctx, after, pageSize))
		if err != nil || len(page) == 0 {
			return list, err
		}
		for _, r := range page {
			if after = r.Name; in(r) && len(list) < p.size() {
				list = append(list, repository(r))
			}
		}
	}
	return list, nil
}

// deletedRepos lists the trash, the latest deleted first and, of those that
// were deleted together, by name.
func deletedRepos(ctx context.Context, env *Env, p Page, in func(meta.Repository) bool) ([]Repository, error) {
	trash, err := seen(env.Engine.DeletedRepositories(ctx))
	if err != nil {
		return nil, err
	}
	order := func(a, b Repository) int {
		return cmp.Or(cmp.Compare(b.Deleted.UnixMilli(), a.Deleted.UnixMilli()), cmp.Compare(a.Name, b.Name))
	}
	list := convert(slices.DeleteFunc(trash, func(r meta.Repository) bool { return !in(r) }), repository)
	slices.SortFunc(list, order)
	if p.After != "" {
		ms, name, _ := strings.Cut(p.After, ":")
		deleted, err := strconv.ParseInt(ms, 10, 64)
		if err != nil {
			return nil, badParameter(err, "after: %q is not where a page of deleted repositories ended", p.After)
		}
		last := Repository{Name: registry.Repo(name), Deleted: time.UnixMilli(deleted)}
		list = slices.DeleteFunc(list, func(r Repository) bool { return order(r, last) <= 0 })
	}
	return list[:min(p.size(), len(list))], nil
}

func repository(r meta.Repository) Repository {
	return Repository{Name: r.Name, Namespace: shownNamespace(r.Namespace), Generation: r.Generation, Visibility: r.Visibility, Created: r.Created, Deleted: r.Deleted}
}

func repoShow(ctx context.Context, env *Env, p RepoParams, _ Report) (Details, error) {
	name, err := p.target()
	if err != nil {
		return Details{}, err
	}
	d, err := env.Engine.Repository(ctx, name)
	return Details{
		Repository: repository(d.Repository),
		Tags:       d.Tags, Manifests: d.Manifests, Blobs: d.Blobs, Bytes: d.Bytes, DeletedTags: d.DeletedTags,
	}, err
}

func repoCreate(ctx context.Context, env *Env, p RepoCreateParams, _ Report) (Repository, error) {
	name, err := p.RepoParams.target()
	if err != nil {
		return Repository{}, err
	}
	if err := maySet(ctx, env, name, p.Visibility); err != nil {
		return Repository{}, err
	}
	r, err := env.Engine.CreateRepository(ctx, name)
	if err == nil && p.Visibility != "" {
		r.Visibility = p.Visibility
		_, err = env.Auth.SetVisibility(ctx, meta.OfRepository, name, p.Visibility)
	}
	return repository(r), err
}

// maySet refuses a visibility before that is made which is to have it.
func maySet(ctx context.Context, env *Env, name registry.Repo, visibility string) error {
	if visibility == "" {
		return nil
	}
	if err := env.Gate.Can(ctx, registry.Admin, name); err != nil {
		return err
	}
	if visibility != meta.Public && visibility != meta.Private {
		return badParameter(nil, "the visibility is %.40q: use public, private, or nothing for that of what is above it", visibility)
	}
	return nil
}

func repoVisibility(ctx context.Context, env *Env, p RepoVisibilityParams, _ Report) (None, error) {
	name, err := p.RepoParams.target()
	if err == nil {
		_, err = env.Auth.SetVisibility(ctx, meta.OfRepository, name, p.Visibility)
	}
	return None{}, err
}

func onRepo(do func(*engine.Engine, context.Context, registry.Repo) error) func(context.Context, *Env, RepoParams, Report) (None, error) {
	return func(ctx context.Context, env *Env, p RepoParams, _ Report) (None, error) {
		name, err := p.target()
		if err != nil {
			return None{}, err
		}
		return None{}, do(env.Engine, ctx, name)
	}
}

func tagHistory(ctx context.Context, env *Env, p TagHistoryParams) ([]Period, error) {
	name, tag, err := p.parse()
	if err != nil {
		return nil, err
	}
	from := 0
	if p.After != "" {
		if from, err = strconv.Atoi(p.After); err != nil || from < 0 {
			return nil, badParameter(err, "after: %q is not where a page of a history ended", p.After)
		}
	}
	list, err := env.Engine.TagHistory(ctx, name, tag)
	if err != nil {
		return nil, err
	}
	from = min(from, len(list))
	number := from
	return convert(list[from:min(from+p.size(), len(list))], func(p meta.Period) Period {
		number++
		return Period{Number: number, Digest: p.Digest, From: p.From, Until: p.Until}
	}), nil
}

func tagRestore(ctx context.Context, env *Env, p TagRestoreParams, _ Report) (Restored, error) {
	name, tag, err := p.parse()
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

func convert[A, B any](list []A, f func(A) B) []B {
	out := make([]B, 0, len(list))
	for _, a := range list {
		out = append(out, f(a))
	}
	return out
}
