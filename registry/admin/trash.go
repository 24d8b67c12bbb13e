package admin

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/packhouse/packhouse/registry"
	"github.com/packhouse/packhouse/registry/engine"
	"github.com/packhouse/packhouse/storage/meta"
)

// Operations on what was deleted.
const (
	TrashList Name[TrashListParams, []Trashed] = "trash.list"
	Restore   Name[RestoreParams, Undeleted]   = "restore"
)

// TrashListParams select what can be restored.
type TrashListParams struct {
	Page
	Repo string `json:"repo,omitempty" doc:"only of this repository"`
}

// RestoreParams name what is to come back.
type RestoreParams struct {
	Reference string `json:"reference" doc:"acme/app:1.0 for a tag or version, acme/app@sha256:… for a manifest, acme/app:1.0@sha256:… for what a tag pointed to earlier, acme/app for a repository"`
	DryRun    bool   `json:"dry_run,omitempty" doc:"restore nothing, find out whether it can be"`
}

// Trashed is one name that can be restored.
type Trashed struct {
	Reference string          `json:"reference" doc:"what restore takes"`
	Kind      string          `json:"kind" enum:"repository,version,tag,manifest"`
	Digest    registry.Digest `json:"digest,omitempty" doc:"of what comes back; absent for a repository"`
	Deleted   time.Time       `json:"deleted"`
	Until     time.Time       `json:"until" doc:"when it cannot be restored any more"`
	Position  string          `json:"position" doc:"where a page ends with it"`
}

func (t Trashed) key() string { return t.Position }

// Undeleted is what came back.
type Undeleted struct {
	Reference string          `json:"reference"`
	Kind      string          `json:"kind" enum:"repository,version,tag,manifest"`
	Version   string          `json:"version,omitempty" doc:"as its own client writes it"`
	Digest    registry.Digest `json:"digest,omitempty"`
	Tags      []registry.Tag  `json:"tags,omitempty" doc:"that point to it again"`
}

// parse cuts a reference into its parts; rest is what stands after the colon.
func (p RestoreParams) parse() (u engine.Undelete, rest string, err error) {
	text, digest, _ := strings.Cut(p.Reference, "@")
	if digest != "" {
		if u.Digest, err = registry.ParseDigest(digest); err != nil {
			return u, "", err
		}
	}
	if slash, colon := strings.LastIndexByte(text, '/'), strings.LastIndexByte(text, ':'); colon > slash {
		text, rest = text[:colon], text[colon+1:]
		if rest == "" {
			return u, "", badParameter(nil, "reference %.100q ends with a colon: write the tag after it, or leave it out", p.Reference)
		}
	}
	u.Repo, err = registry.ParseRepo(text)
	u.DryRun = p.DryRun
	return u, rest, err
}

func (p RestoreParams) target() (registry.Repo, error) {
	u, _, err := p.parse()
	return u.Repo, err
}

func restore(ctx context.Context, env *Env, p RestoreParams, _ Report) (Undeleted, error) {
	u, text, err := p.parse()
	if err != nil {
		return Undeleted{}, err
	}
	if text != "" {
		if u.Tag, err = env.Engine.TagOf(u.Repo, text); err != nil {
			return Undeleted{}, err
		}
	}
	back, err := env.Engine.Restore(ctx, u)
	return Undeleted{Reference: p.Reference, Kind: back.Kind, Version: back.Version, Digest: back.Digest, Tags: back.Tags}, err
}

func trashList(ctx context.Context, env *Env, p TrashListParams) ([]Trashed, error) {
	var name registry.Repo
	var err error
	if p.Repo != "" {
		if name, err = registry.ParseRepo(p.Repo); err != nil {
			return nil, err
		}
	}
	after, err := parsePosition(p.After)
	if err != nil {
		return nil, err
	}
	list, err := seen(env.Engine.Restorables(ctx, name, after, p.size()))
	return convert(list, trashed), err
}

func trashed(r engine.Restorable) Trashed {
	t := Trashed{Reference: string(r.Repo), Kind: r.Kind, Digest: r.Digest, Deleted: r.Deleted, Until: r.Until}
	switch {
	case r.Tag != "":
		t.Reference += ":" + string(r.Tag)
	case r.Digest != "":
		t.Reference += "@" + r.Digest.String()
	}
	t.Position = fmt.Sprintf("%s:%d:%d", r.Kind, r.Deleted.UnixMilli(), r.ID)
	return t
}

// parsePosition undoes what trashed wrote.
func parsePosition(text string) (r engine.Restorable, err error) {
	if text == "" {
		return r, nil
	}
	parts := strings.Split(text, ":")
	if len(parts) != 3 {
		return r, badParameter(nil, "after: %.100q is not where a page of the trash ended", text)
	}
	ms, err := strconv.ParseInt(parts[1], 10, 64)
	if err == nil {
		r.ID, err = strconv.ParseInt(parts[2], 10, 64)
	}
	if err != nil {
		return r, badParameter(err, "after: %.100q is not where a page of the trash ended", text)
	}
	r.Kind, r.Trashed = parts[0], meta.Trashed{ID: r.ID, Deleted: time.UnixMilli(ms).UTC()}
	return r, nil
}
