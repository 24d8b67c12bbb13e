package engine

import (
	"context"
	"slices"
	"strconv"

	"github.com/packhouse/packhouse/registry"
	"github.com/packhouse/packhouse/storage/meta"
)

// AdoptOptions say how a distribution registry's tree is taken over.
type AdoptOptions struct {
	DryRun bool // change nothing, report what would be done
	Verify bool // hash every blob
	// Progress is called for every link looked at; it may be nil.
	Progress func(done, total int64)

	batch int // names in one commit at most, 0 for the default
}

// AdoptReport is what an adoption took or, in a dry run, what it would.
type AdoptReport struct {
	Repositories int64 `json:"repositories"` // legal names in the old registry
	Manifests    int64 `json:"manifests"`    // taken now, as are the rest
	Tags         int64 `json:"tags"`
	Blobs        int64 `json:"blobs"`
	Bytes        int64 `json:"bytes"`  // of those blobs
	Copied       int64 `json:"copied"` // of those blobs; see [Engine.Adopt]
	Known        int64 `json:"known"`  // manifests and tags that were known here already

	Uploads     int64  `json:"uploads"` // unfinished ones, left where they are
	UploadBytes int64  `json:"upload_bytes"`
	Skipped     int64  `json:"skipped"`
	Skips       []Skip `json:"skips"` // the first of them
}

// Skip is something that was not adopted.
type Skip struct {
	Repository string          `json:"repository"`
	Tag        registry.Tag    `json:"tag,omitempty"`
	Digest     registry.Digest `json:"digest,omitempty"`
	Reason     string          `json:"reason"`
}

// Adopt takes over the tree of a registry of the distribution project (v2 or
// v3) that lies in the data directory, and which must not run any more. No
// blob is copied: its file becomes its object. The one exception is a blob
// that the old registry shows by two digests, since an object has one owner.
//
// It can be stopped at any time and run again, which takes what is not taken
// yet; what was pushed, moved or deleted here since stays as it is. Pushes and
// pulls go on meanwhile; a collection does not.
//
// Manifests are committed together with the blobs they refer to, and blobs
// that none refers to only after the last manifest. So a collection after a
// run that was killed finds nothing to delete that a later run needs, and
// never deletes the blobs of a manifest that was skipped.
func (e *Engine) Adopt(ctx context.Context, o AdoptOptions) (AdoptReport, error) {
	const op = "engine.Adopt"
	if err := e.can(ctx, registry.Admin, ""); err != nil {
		return AdoptReport{}, err
	}
	ctx, lease, err := e.upkeep(ctx, op)
	if err != nil {
		return AdoptReport{}, err
	}
	defer lease.release(ctx)
	a := adoption{
		Engine: e, AdoptOptions: o,
		trash: map[registry.Repo]bool{}, kept: map[registry.Digest]bool{}, located: map[registry.Digest]*located{},
	}
	if o.batch == 0 {
		a.batch = batchLength
	}
	for _, step := range []func(context.Context) error{a.survey, a.names, a.flush, a.leftovers, a.flush, a.settle} {
		if err := step(ctx); err != nil {
			return a.report, wrap(op, err)
		}
	}
	return a.report, nil
}

type adoption struct {
	*Engine
	AdoptOptions
	report AdoptReport

	done, total int64
	trash       map[registry.Repo]bool       // names of deleted repositories
	kept        map[registry.Digest]bool     // blobs that stay unknown: a skipped manifest may need them
	located     map[registry.Digest]*located // since the last flush; in a dry run, ever
	source      *source                      // the repository being read
	taken       []taking                     // to be committed
	takenBytes  int                          // of manifests among them
	changed     *meta.Repository             // the last one that was
}

func (a *adoption) step() {
	a.done++
	if a.Progress != nil {
		a.Progress(a.done, a.total)
	}
}

func (a *adoption) skip(s Skip) {
	a.report.Skipped++
	if len(a.report.Skips) < maxListed {
		a.report.Skips = append(a.report.Skips, s)
	}
}

// walk calls visit for every file of the old registry that matters, except
// those in the named folders. All files of one repository come together:
// layers, manifests, tags, uploads.
func (a *adoption) walk(ctx context.Context, visit func(oldFile) error, except ...string) error {
	except = append(except, "index") // what a tag pointed to earlier
	skip := func(dir string) bool { return slices.Contains(except, oldFolder(dir)) }
	return a.blobs.WalkExcept(ctx, oldRepositories, skip, func(key string, size int64) error {
		if f, ok := parseOldFile(key, size); ok {
			return visit(f)
		}
		return nil
	})
}

// survey counts what there is, for the progress.
func (a *adoption) survey(ctx context.Context) error {
	deleted, err := a.meta.DeletedRepositories(ctx)
	if err != nil {
		return err
	}
	for _, r := range deleted {
		a.trash[r.Name] = true
	}
	last := ""
	return a.walk(ctx, func(f oldFile) error {
		if f.kind != oldUpload {
			a.total++
			return nil
		}
		a.report.UploadBytes += f.size
		if f.name != last {
			a.report.Uploads++
		}
		last = f.name
		return nil
	})
}

// names takes every repository's manifests, with the blobs they refer to, and
// its tags.
func (a *adoption) names(ctx context.Context) error {
	err := a.walk(ctx, func(f oldFile) error {
		if a.source == nil || f.repository != a.source.path {
			if err := a.finish(ctx); err != nil {
				return err
			}
			if err := a.begin(ctx, f.repository); err != nil {
				return err
			}
			if a.source.refusal == "" {
				a.report.Repositories++
			} else {
				a.skip(Skip{Repository: f.repository, Reason: a.source.refusal})
			}
		}
		a.note(f)
		return nil
	}, "_uploads")
	if err != nil {
		return err
	}
	return a.finish(ctx)
}

// leftovers takes the blobs that repositories show without a manifest that
// refers to them, so that the collector can delete what nobody wants.
func (a *adoption) leftovers(ctx context.Context) error {
	a.source = nil
	return a.walk(ctx, func(f oldFile) error {
		defer a.step()
		if a.source == nil || f.repository != a.source.path {
			if err := a.begin(ctx, f.repository); err != nil {
				return err
			}
		}
		d, err := registry.ParseDigest(f.name)
		if err != nil || a.source.refusal != "" || a.kept[d] {
			return nil // reported before
		}
		return a.leftover(ctx, d)
	}, "_manifests", "_uploads")
}

// settle makes all of it durable: the batches' own commits are not, since a
// second run would repeat what a power cut took.
func (a *adoption) settle(ctx context.Context) error {
	if a.changed == nil {
		return nil
	}
	return a.change(ctx, a.changed.Name, durable, func(ctx context.Context, tx *meta.Tx) error {
		done := map[string]string{"manifests": strconv.FormatInt(a.report.Manifests, 10), "blobs": strconv.FormatInt(a.report.Blobs, 10)}
		if err := tx.Record(ctx, meta.AuditRecord{Action: "registry.adopt", Detail: done}); err != nil {
			return err
		}
		return tx.NextGeneration(ctx, *a.changed)
	})
}
