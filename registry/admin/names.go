package admin

import (
	"time"

	"github.com/packhouse/packhouse/registry"
	"github.com/packhouse/packhouse/registry/engine"
)

// The operations, each with what it takes and returns.
const (
	NamespaceList    Name[None, []Namespace]               = "namespace.list"
	NamespaceShow    Name[NamespaceParams, []Repository]   = "namespace.show"
	NamespaceDelete  Name[NamespaceParams, Affected]       = "namespace.delete"
	NamespaceRestore Name[NamespaceParams, Affected]       = "namespace.restore"
	NamespacePurge   Name[NamespaceParams, Affected]       = "namespace.purge"
	RepoList         Name[RepoListParams, []Repository]    = "repo.list"
	RepoShow         Name[RepoParams, Details]             = "repo.show"
	RepoDelete       Name[RepoParams, None]                = "repo.delete"
	RepoRestore      Name[RepoParams, None]                = "repo.restore"
	RepoPurge        Name[RepoParams, None]                = "repo.purge"
	TagHistory       Name[TagParams, []Period]             = "tag.history"
	TagRestore       Name[TagRestoreParams, Restored]      = "tag.restore"
	GC               Name[GCParams, engine.Collected]      = "gc"
	Fsck             Name[FsckParams, engine.Report]       = "fsck"
	Adopt            Name[AdoptParams, engine.AdoptReport] = "adopt"
	Reindex          Name[ReindexParams, engine.Reindexed] = "reindex"
)

// None is no parameters, or no result.
type None struct{}

// NamespaceParams name a namespace; "" is the root namespace.
type NamespaceParams struct {
	Namespace string `json:"namespace"`
}

// RepoListParams select repositories.
type RepoListParams struct {
	Deleted bool   `json:"deleted,omitempty"` // those in the trash instead
	After   string `json:"after,omitempty"`   // live ones only
	Limit   int    `json:"limit,omitempty"`   // live ones only; 0 for a page
}

// RepoParams name a repository.
type RepoParams struct {
	Repo string `json:"repo"`
}

// TagParams name a tag.
type TagParams struct {
	Repo string `json:"repo"`
	Tag  string `json:"tag"`
}

// TagRestoreParams name a tag and what it is to point to again: "" for what it
// pointed to last.
type TagRestoreParams struct {
	Repo   string `json:"repo"`
	Tag    string `json:"tag"`
	Digest string `json:"digest,omitempty"`
}

// GCParams say how to collect.
type GCParams struct {
	DryRun bool `json:"dry_run,omitempty"`
}

// FsckParams say how to check.
type FsckParams struct {
	Repair bool `json:"repair,omitempty"` // hide damaged blobs, delete orphans
}

// ReindexParams say how to derive again what is known of packages.
type ReindexParams struct {
	Fresh bool `json:"fresh,omitempty"` // read every file again
}

// AdoptParams say how to take over the registry in the data directory.
type AdoptParams struct {
	DryRun bool `json:"dry_run,omitempty"`
	Verify bool `json:"verify,omitempty"` // hash every blob
}

// Affected counts repositories.
type Affected struct {
	Repositories int `json:"repositories"`
}

// Namespace is one namespace.
type Namespace struct {
	Name         string    `json:"name"`         // "" is the root
	Repositories int       `json:"repositories"` // live ones
	Created      time.Time `json:"created"`
	Deleted      time.Time `json:"deleted,omitzero"`
}

// Repository is one repository.
type Repository struct {
	Name       registry.Repo `json:"name"`
	Namespace  string        `json:"namespace"`
	Generation int64         `json:"generation"`
	Created    time.Time     `json:"created"`
	Deleted    time.Time     `json:"deleted,omitzero"`
}

// Details is one repository with what it holds.
type Details struct {
	Repository
	Tags        int64          `json:"tags"`
	Manifests   int64          `json:"manifests"`
	Blobs       int64          `json:"blobs"`
	Bytes       int64          `json:"bytes"` // of its blobs, each counted once
	DeletedTags []registry.Tag `json:"deleted_tags,omitempty"`
}

// Period is a time in which a tag pointed to one manifest.
type Period struct {
	Digest registry.Digest `json:"digest"`
	From   time.Time       `json:"from"`
	Until  time.Time       `json:"until,omitzero"` // absent while it lasts
}

// Restored is what a tag points to again.
type Restored struct {
	Digest registry.Digest `json:"digest"`
}
