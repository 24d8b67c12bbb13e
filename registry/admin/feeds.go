package admin

import (
	"context"
	"slices"
	"time"

	"github.com/packhouse/packhouse/registry"
	"github.com/packhouse/packhouse/storage/meta"
)

// Operations on feeds.
const (
	FeedList       Name[FeedListParams, []Feed]     = "feed.list"
	FeedShow       Name[FeedParams, Feed]           = "feed.show"
	FeedCreate     Name[FeedCreateParams, Feed]     = "feed.create"
	FeedVisibility Name[FeedVisibilityParams, None] = "feed.visibility"
	FeedDelete     Name[FeedParams, None]           = "feed.delete"
)

// FeedListParams select feeds.
type FeedListParams struct {
	Page
	Namespace string `json:"namespace,omitempty" doc:"those of this namespace; empty for all"`
}

// FeedParams name a feed.
type FeedParams struct {
	Feed string `json:"feed" doc:"its name: NAMESPACE/FORMAT"`
}

// FeedCreateParams say what the new feed is.
type FeedCreateParams struct {
	FeedParams
	Visibility string `json:"visibility,omitempty" enum:",public,private" doc:"empty for as the namespace"`
}

// FeedVisibilityParams set who sees a feed.
type FeedVisibilityParams struct {
	FeedParams
	Visibility string `json:"visibility" enum:",public,private" doc:"empty for as the namespace"`
}

// Feed is one format's packages of a namespace.
type Feed struct {
	Name       string    `json:"name" doc:"NAMESPACE/FORMAT"`
	Namespace  string    `json:"namespace"`
	Format     string    `json:"format"`
	Packages   int       `json:"packages" doc:"how many it has"`
	Visibility string    `json:"visibility,omitempty" enum:"public,private" doc:"absent for as the namespace"`
	Created    time.Time `json:"created"`
}

func (f Feed) key() string { return f.Name }

func (p FeedParams) target() (registry.Repo, error) { return registry.ParseRepo(p.Feed) }

func feedOf(f meta.FeedRow) Feed {
	return Feed{
		Name: f.Name(), Namespace: f.Namespace, Format: f.Format, Packages: f.Packages, Visibility: f.Visibility, Created: f.Created,
	}
}

func feedList(ctx context.Context, env *Env, p FeedListParams) ([]Feed, error) {
	if p.Namespace != "" {
		if _, err := parseNamespace(p.Namespace); err != nil {
			return nil, err
		}
	}
	list, err := seen(env.Engine.FeedList(ctx))
	list = slices.DeleteFunc(list, func(f meta.FeedRow) bool { return p.Namespace != "" && f.Namespace != p.Namespace })
	return pageOf(convert(list, feedOf), p.Page), err
}

func feedShow(ctx context.Context, env *Env, p FeedParams, _ Report) (Feed, error) {
	name, err := p.target()
	if err != nil {
		return Feed{}, err
	}
	f, err := env.Engine.FeedDetails(ctx, name)
	return feedOf(f), err
}

func feedCreate(ctx context.Context, env *Env, p FeedCreateParams, _ Report) (Feed, error) {
	name, err := p.FeedParams.target()
	if err != nil {
		return Feed{}, err
	}
	if err := maySet(ctx, env, name, p.Visibility); err != nil {
		return Feed{}, err
	}
	f, err := env.Engine.CreateFeed(ctx, name)
	if err == nil && p.Visibility != "" {
		f.Visibility = p.Visibility
		_, err = env.Auth.SetVisibility(ctx, meta.OfFeed, name, p.Visibility)
	}
	return feedOf(f), err
}

func feedVisibility(ctx context.Context, env *Env, p FeedVisibilityParams, _ Report) (None, error) {
	name, err := p.FeedParams.target()
	if err == nil {
		_, err = env.Auth.SetVisibility(ctx, meta.OfFeed, name, p.Visibility)
	}
	return None{}, err
}

func feedDelete(ctx context.Context, env *Env, p FeedParams, _ Report) (None, error) {
	name, err := p.target()
	if err != nil {
		return None{}, err
	}
	return None{}, env.Engine.DeleteFeed(ctx, name)
}
