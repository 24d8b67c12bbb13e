package admin

import (
	"context"

	"github.com/packhouse/packhouse/registry/engine"
)

// Operations on the registry as a whole.
const (
	GC      Name[GCParams, engine.Collected]      = "gc"
	Fsck    Name[FsckParams, engine.Report]       = "fsck"
	Adopt   Name[AdoptParams, engine.AdoptReport] = "adopt"
	Reindex Name[ReindexParams, engine.Reindexed] = "reindex"
)

// GCParams say how to collect.
type GCParams struct {
	DryRun bool `json:"dry_run,omitempty" doc:"remove nothing, say what would be removed"`
}

// FsckParams say how to check.
type FsckParams struct {
	Repair bool `json:"repair,omitempty" doc:"hide damaged blobs, delete what nothing needs"`
}

// ReindexParams say how to derive again what is known of packages.
type ReindexParams struct {
	Fresh bool `json:"fresh,omitempty" doc:"read every file again"`
}

// AdoptParams say how to take over the registry in the data directory.
type AdoptParams struct {
	DryRun bool `json:"dry_run,omitempty" doc:"adopt nothing, say what would be adopted"`
	Verify bool `json:"verify,omitempty" doc:"hash every blob instead of trusting its size"`
}

func collect(ctx context.Context, env *Env, p GCParams, progress Report) (engine.Collected, error) {
	c, err := env.Engine.Collect(ctx, engine.CollectOptions{DryRun: p.DryRun, Progress: func(phase string, done int64) {
		progress(Progress{Phase: "collect " + phase, Done: done})
	}})
	c.Reasons = orEmpty(c.Reasons)
	return c, err
}

func reindex(ctx context.Context, env *Env, p ReindexParams, progress Report) (engine.Reindexed, error) {
	return env.Engine.Reindex(ctx, engine.ReindexOptions{Fresh: p.Fresh, Progress: func(done, total int64) {
		progress(Progress{Phase: "reindex", Done: done, Total: total, Unit: "releases"})
	}})
}

func check(ctx context.Context, env *Env, p FsckParams, progress Report) (engine.Report, error) {
	r, err := env.Engine.Check(ctx, engine.CheckOptions{Repair: p.Repair, Progress: func(done, total int64) {
		progress(Progress{Phase: "check", Done: done, Total: total, Unit: "bytes"})
	}})
	r.Problems = orEmpty(r.Problems)
	return r, err
}

func adopt(ctx context.Context, env *Env, p AdoptParams, progress Report) (engine.AdoptReport, error) {
	r, err := env.Engine.Adopt(ctx, engine.AdoptOptions{DryRun: p.DryRun, Verify: p.Verify, Progress: func(done, total int64) {
		progress(Progress{Phase: "adopt", Done: done, Total: total, Unit: "links"})
	}})
	r.Skips = orEmpty(r.Skips)
	return r, err
}

// orEmpty makes a list of none: null is no list.
func orEmpty[T any](list []T) []T {
	if list == nil {
		return []T{}
	}
	return list
}
