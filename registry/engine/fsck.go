package engine

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"syscall"

	"github.com/opencontainers/go-digest"

	"github.com/packhouse/packhouse/registry"
	"github.com/packhouse/packhouse/storage/blob"
	"github.com/packhouse/packhouse/storage/meta"
)

// CheckOptions say what a check does.
type CheckOptions struct {
	// Repair hides blobs whose bytes are wrong, so that a push of the same
	// content replaces them, shows those that are right again, and deletes
	// orphans.
	Repair bool
	// Progress is called now and then with the bytes hashed; it may be nil.
	Progress func(done, total int64)
}

// Report is what a check found.
type Report struct {
	Blobs       int64     `json:"blobs"` // looked at
	Bytes       int64     `json:"bytes"` // of those
	Manifests   int64     `json:"manifests"`
	Objects     int64     `json:"objects"`
	Orphans     int64     `json:"orphans"` // objects that nothing needs: wasted space, not damage
	OrphanBytes int64     `json:"orphan_bytes"`
	Found       int64     `json:"found"`    // problems
	Problems    []Problem `json:"problems"` // the first of them
}

// maxListed bounds the findings that a report spells out; the rest is counted.
const maxListed = 10_000

// ProblemKind says what is wrong.
type ProblemKind string

// The kinds of problems.
const (
	ProblemMissing     ProblemKind = "missing"     // a stored object is not there
	ProblemSize        ProblemKind = "size"        // a stored object is shorter or longer than it was
	ProblemDamaged     ProblemKind = "damaged"     // a blob's bytes have another digest
	ProblemUnreadable  ProblemKind = "unreadable"  // the storage gave an error
	ProblemQuarantined ProblemKind = "quarantined" // hidden by an earlier check and not pushed since
	ProblemManifest    ProblemKind = "manifest"    // a manifest's bytes or reference rows are wrong
	ProblemReference   ProblemKind = "reference"   // a manifest refers to what is not in its repository
	ProblemForeign     ProblemKind = "foreign"     // a file under objects that packhouse did not write
	ProblemDatabase    ProblemKind = "database"    // SQLite's own check failed
	ProblemUsage       ProblemKind = "usage"       // what a namespace is said to hold is not what it holds
)

// Problem is one finding.
type Problem struct {
	Kind     ProblemKind     `json:"kind"`
	Digest   registry.Digest `json:"digest,omitempty"`    // what is wrong or missing
	NeededBy []Needer        `json:"needed_by,omitempty"` // the first few manifests that show it
	Message  string          `json:"message"`             // what is wrong and what to do
	Repaired bool            `json:"repaired"`            // nothing is left to do
}

// Needer is a manifest of a live repository.
type Needer struct {
	Repository registry.Repo   `json:"repository"`
	Manifest   registry.Digest `json:"manifest"`
}

// maxNeeders bounds the manifests that one problem names.
const maxNeeders = 5

// Check hashes every stored blob and manifest, follows every reference of
// what live repositories show, and looks for objects that nothing needs.
// Pushes and pulls go on meanwhile; a collection does not. It returns what it
// found so far with any error.
func (e *Engine) Check(ctx context.Context, o CheckOptions) (Report, error) {
	const op = "engine.Check"
	if err := e.can(ctx, registry.Admin, ""); err != nil {
		return Report{}, err
	}
	ctx, lease, err := e.upkeep(ctx, op)
	if err != nil {
		return Report{}, err
	}
	defer lease.release(ctx)
	c := check{Engine: e, CheckOptions: o, named: map[registry.Digest]bool{}}
	for _, step := range []func(context.Context) error{c.database, c.usage, c.everyBlob, c.everyManifest, c.references, c.orphans} {
		if err := step(ctx); err != nil {
			return c.Report, wrap(op, err)
		}
	}
	if o.Repair && c.Found > 0 {
		if err := e.note(ctx, "registry.repair", map[string]string{"problems": strconv.FormatInt(c.Found, 10)}); err != nil {
			return c.Report, wrap(op, err)
		}
	}
	return c.Report, ctx.Err()
}

func busy(op string) error {
	return registry.E(op, registry.Unavailable, nil, "a collection, check or adoption is already running: wait for its end")
}

type check struct {
	*Engine
	CheckOptions
	Report
	named       map[registry.Digest]bool // blobs that a problem is about
	done, total int64                    // bytes
}

func (c *check) found(p Problem) {
	c.Found++
	if len(c.Problems) < maxListed {
		c.Problems = append(c.Problems, p)
	}
}

func (c *check) database(ctx context.Context) error {
	damage, err := c.meta.Damage(ctx)
	for _, sentence := range damage {
		c.found(Problem{Kind: ProblemDatabase, Message: sentence + ": stop packhouse and restore packhouse.db from a backup"})
	}
	return err
}

// usage counts again what quotas are checked against.
func (c *check) usage(ctx context.Context) error {
	drift, err := c.meta.RecountUsage(ctx)
	for _, d := range drift {
		c.found(Problem{Kind: ProblemUsage, Message: fmt.Sprintf(
			"namespace %q is counted with %d %s and has %d: its quota is off by that; please report it", d.Namespace, d.Counted, d.What, d.Found)})
	}
	return err
}

func (c *check) everyBlob(ctx context.Context) error {
	var err error
	if _, c.total, err = c.meta.BlobTotals(ctx); err != nil {
		return err
	}
	const page = 100
	for after := int64(0); ; {
		blobs, err := c.meta.StoredBlobs(ctx, after, page)
		if err != nil {
			return err
		}
		for _, b := range blobs {
			after = b.ID
			if err := c.oneBlob(ctx, b); err != nil {
				return err
			}
			c.done += b.Size
			if c.Progress != nil {
				c.Progress(min(c.done, c.total), c.total)
			}
		}
		if len(blobs) < page {
			return nil
		}
	}
}

func (c *check) oneBlob(ctx context.Context, b meta.StoredBlob) error {
	if b.State != meta.Live && b.State != meta.Quarantined {
		return nil
	}
	c.Blobs++
	c.Bytes += b.Size
	f, err := c.inspect(ctx, b)
	if err != nil || f.kind == "" && b.State == meta.Live {
		return err
	}
	holders, err := c.meta.Holders(ctx, b.ID)
	if err != nil {
		return err
	}
	const again = "push the same content again"
	var change func(context.Context, *meta.Tx) error
	switch {
	case f.kind == "":
		f = finding{kind: ProblemQuarantined, what: "it is hidden but its bytes are right again", advice: "run fsck --repair to show it"}
		if c.Repair {
			f.advice = "it is shown again"
			change = func(ctx context.Context, tx *meta.Tx) error { return tx.Vindicate(ctx, b.ID) }
		}
	case b.State == meta.Quarantined:
		f.kind, f.what, f.advice = ProblemQuarantined, "it is hidden since an earlier check, "+f.what, again
	case f.hide && c.Repair:
		f.what, f.advice = f.what+" and it is hidden now", again
		change = func(ctx context.Context, tx *meta.Tx) error { return tx.Quarantine(ctx, b.ID) }
	case f.hide:
		f.advice = "run fsck --repair, then " + again
	}
	if change != nil {
		if err := c.changeAll(ctx, cleaning, change); err != nil {
			return err
		}
	}
	if len(holders) == 0 && f.hide {
		f.advice += ", if anybody needs it: no manifest does"
	}
	c.named[b.Digest] = true
	c.found(Problem{
		Kind: f.kind, Digest: b.Digest, NeededBy: needers(holders),
		Message:  fmt.Sprintf("blob %s: %s: %s", b.Digest, f.what, f.advice),
		Repaired: f.kind == ProblemQuarantined && change != nil,
	})
	return nil
}

func needers(holders []meta.Holder) []Needer {
	var list []Needer
	for _, h := range holders[:min(len(holders), maxNeeders)] {
		list = append(list, Needer(h))
	}
	return list
}

// finding is what is wrong with a blob's objects.
type finding struct {
	kind         ProblemKind // "" for nothing
	what, advice string
	hide         bool // readers do not get the right bytes
}

// inspect compares a blob's objects with its rows. The error is one that ends
// the check.
func (c *check) inspect(ctx context.Context, b meta.StoredBlob) (finding, error) {
	longer := ""
	for _, o := range b.Objects {
		if meta.IsInline(o.Key) {
			continue
		}
		size, err := c.blobs.Stat(ctx, o.Key)
		switch {
		case err != nil:
			return c.unreadable(ctx, err)
		case size < o.Size:
			return finding{kind: ProblemSize, hide: true, what: fmt.Sprintf("object %s has %d bytes of %d", o.Key, size, o.Size)}, nil
		case size > o.Size:
			longer = fmt.Sprintf("object %s has %d bytes although only %d were written", o.Key, size, o.Size)
		}
	}
	h := b.Digest.Algorithm().Hash()
	if err := c.rehash(ctx, b.Objects, h); err != nil {
		return c.unreadable(ctx, err)
	}
	got := digest.NewDigest(b.Digest.Algorithm(), h)
	switch {
	case got != b.Digest:
		return finding{kind: ProblemDamaged, hide: true, what: "its bytes have digest " + got.String()}, nil
	case longer != "":
		return finding{kind: ProblemSize, what: longer, advice: "readers are served right, but find out what wrote there"}, nil
	}
	return finding{}, nil
}

// unreadable sorts an error of the storage: what is gone or on a bad sector is
// the blob's own problem, anything else may pass.
func (c *check) unreadable(ctx context.Context, err error) (finding, error) {
	switch {
	case ctx.Err() != nil:
		return finding{}, ctx.Err()
	case errors.Is(err, blob.ErrNotFound):
		return finding{kind: ProblemMissing, hide: true, what: "its bytes are gone (" + err.Error() + ")"}, nil
	case errors.Is(err, syscall.EIO), errors.Is(err, io.ErrUnexpectedEOF):
		return finding{kind: ProblemUnreadable, hide: true, what: "its bytes cannot be read (" + err.Error() + ")"}, nil
	}
	return finding{kind: ProblemUnreadable, what: "its bytes cannot be read (" + err.Error() + ")", advice: "see to the storage and check again"}, nil
}
