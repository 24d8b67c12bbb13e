package main

import (
	"context"
	"errors"
	"fmt"
	"hash"
	"io"
	"sync"
	"sync/atomic"

	"github.com/opencontainers/go-digest"
	"golang.org/x/sync/errgroup"

	"github.com/packhouse/packhouse/registry/admin"
	"github.com/packhouse/packhouse/registry/config"
	"github.com/packhouse/packhouse/storage/blob"
)

// copying is one run of storage copy.
type copying struct {
	to             config.Storage
	verify, dryRun bool
	parallel       int
	target         *blob.Store
	source         *blob.Store
	done           atomic.Int64 // bytes
	mu             sync.Mutex   // guards result
	result         copyResult
}

// copyResult is what a copy did.
type copyResult struct {
	DryRun  bool          `json:"dry_run,omitempty"`
	Blobs   int64         `json:"blobs"` // needed
	Bytes   int64         `json:"bytes"`
	Copied  int64         `json:"copied"` // objects that were not there
	Written int64         `json:"written_bytes"`
	Failed  []copyProblem `json:"failed"`
}

// copyProblem is a blob that the copy lacks.
type copyProblem struct {
	Digest digest.Digest `json:"digest,omitempty"`
	Key    string        `json:"key"` // of its first object
	Reason string        `json:"reason"`
}

func (p *copying) run(ctx context.Context, o *operator) error {
	c, err := o.load()
	if err != nil {
		return err
	}
	if p.source, p.target, err = p.open(ctx, c); err != nil {
		return err
	}
	p.result = copyResult{DryRun: p.dryRun, Failed: []copyProblem{}}
	err = o.with(ctx, func(call admin.Caller) error {
		bar := newProgress(o.cmd.ErrOrStderr())
		defer bar.finish()
		total, err := p.count(ctx, call, bar)
		if err != nil {
			return err
		}
		return p.all(ctx, call, bar, total)
	})
	if err != nil {
		return err
	}
	if err := o.print(p.result, p.print); err != nil {
		return err
	}
	if n := len(p.result.Failed); n > 0 {
		return fmt.Errorf("%d blobs were not copied", n)
	}
	return nil
}

// count adds up what there is to look at.
func (p *copying) count(ctx context.Context, call admin.Caller, bar *progress) (total int64, err error) {
	err = p.each(ctx, call, func(c admin.StoredContent) error {
		p.result.Blobs++
		total += sizeOf(c)
		bar.report(admin.Progress{Phase: "count", Done: p.result.Blobs, Unit: "blobs"})
		return nil
	})
	p.result.Bytes = total
	return total, err
}

// each calls do for all that the storage must have.
func (p *copying) each(ctx context.Context, call admin.Caller, do func(admin.StoredContent) error) error {
	params := admin.ContentsParams{}
	for {
		page, err := admin.Call(ctx, call, admin.StorageContents, params, nil)
		if err != nil || len(page) == 0 {
			return err
		}
		for _, c := range page {
			if err := do(c); err != nil {
				return err
			}
		}
		params.After = page[len(page)-1].ID
	}
}

// all copies what there is to copy.
func (p *copying) all(ctx context.Context, call admin.Caller, bar *progress, total int64) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(p.parallel)
	show := func(n int64) {
		bar.report(admin.Progress{Phase: "copy", Done: min(p.done.Add(n), total), Total: total, Unit: "bytes"})
	}
	err := p.each(ctx, call, func(c admin.StoredContent) error {
		if err := ctx.Err(); err != nil {
			return err
		}
		group.Go(func() error { return p.one(ctx, call, c, show) })
		return nil
	})
	if failed := group.Wait(); failed != nil {
		return failed
	}
	return err
}

// one copies one blob. Its error ends the whole copy: what concerns the blob
// alone is a problem of the result.
func (p *copying) one(ctx context.Context, call admin.Caller, c admin.StoredContent, show func(int64)) error {
	segs := make([]blob.Segment, len(c.Objects))
	for i, o := range c.Objects {
		segs[i] = blob.Segment{Key: o.Key, Size: o.Size}
	}
	if p.dryRun {
		return p.look(ctx, segs, show)
	}
	read := int64(0)
	defer func() { show(sizeOf(c) - read) }() // what was there already counts as done
	moved := func(n int64) { read += n; show(n) }
	copied, reason, err := p.copy(ctx, c, segs, moved)
	if reason != "" && p.verify && err == nil {
		copied, reason, err = p.copy(ctx, c, segs, nil) // the bad copy is gone: make another
	}
	switch {
	case err == nil:
	case ctx.Err() != nil, !errors.Is(err, blob.ErrNotFound):
		return err
	case !p.needed(ctx, call, c):
		return nil // collected meanwhile
	default:
		reason = err.Error() + ": run packhouse fsck"
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if reason != "" {
		p.result.Failed = append(p.result.Failed, copyProblem{Digest: c.Digest, Key: segs[0].Key, Reason: reason})
		return nil
	}
	p.result.Copied += int64(len(copied.Written))
	p.result.Written += copied.Bytes
	return nil
}

// copy copies a blob and compares its digest; reason says why it is not there.
func (p *copying) copy(ctx context.Context, c admin.StoredContent, segs []blob.Segment, moved func(int64)) (copied blob.Copied, reason string, err error) {
	o := blob.CopyOptions{Again: p.verify, Moved: moved}
	var h hash.Hash
	if c.Digest != "" {
		h = c.Digest.Algorithm().Hash()
		o.Into = h
	}
	copied, err = p.source.Copy(ctx, p.target, segs, o)
	if err != nil || h == nil || !copied.Read {
		return copied, "", err
	}
	got := digest.NewDigest(c.Digest.Algorithm(), h)
	if got == c.Digest {
		return copied, "", nil
	}
	gone := copied.Written
	if p.verify {
		gone = segs
	}
	for _, seg := range gone {
		err = errors.Join(err, p.target.Delete(ctx, seg.Key))
	}
	return copied, fmt.Sprintf("its bytes have digest %s: run packhouse fsck", got), err
}

// look counts what a copy would write.
func (p *copying) look(ctx context.Context, segs []blob.Segment, show func(int64)) error {
	for _, seg := range segs {
		size, err := p.target.Stat(ctx, seg.Key)
		if err != nil && !errors.Is(err, blob.ErrNotFound) {
			return err
		}
		if err != nil || size != seg.Size {
			p.mu.Lock()
			p.result.Copied++
			p.result.Written += seg.Size
			p.mu.Unlock()
		}
		show(seg.Size)
	}
	return nil
}

// needed tells whether c is still what the storage must have.
func (p *copying) needed(ctx context.Context, call admin.Caller, c admin.StoredContent) bool {
	still := false
	err := p.each(ctx, call, func(other admin.StoredContent) error {
		if other.ID == c.ID {
			still = true
			return io.EOF
		}
		return nil
	})
	return still || err != nil && !errors.Is(err, io.EOF)
}

func sizeOf(c admin.StoredContent) (n int64) {
	for _, o := range c.Objects {
		n += o.Size
	}
	return n
}

func (p *copying) print(w io.Writer) error {
	r := p.result
	for _, f := range r.Failed {
		if _, err := fmt.Fprintf(w, "not copied: %s %s: %s\n", orDash(string(f.Digest)), f.Key, f.Reason); err != nil {
			return err
		}
	}
	verb := "copied"
	if r.DryRun {
		verb = "would copy"
	}
	if _, err := fmt.Fprintf(w, "%s %d objects (%s) of %d blobs (%s) to %s\n", verb, r.Copied, size(r.Written), r.Blobs, size(r.Bytes), describe(p.to, "")); err != nil {
		return err
	}
	if r.DryRun || len(r.Failed) > 0 {
		return nil
	}
	return p.advice(w)
}
