package engine

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/opencontainers/go-digest"

	"github.com/packhouse/packhouse/registry"
	"github.com/packhouse/packhouse/storage/meta"
)

// maxDepth bounds how deep indexes nest.
const maxDepth = 8

// Mount implements registry.Writer.
func (e *Engine) Mount(ctx context.Context, from, to registry.Repo, d registry.Digest) (registry.Descriptor, error) {
	const op = "engine.Mount"
	if err := e.can(ctx, registry.Create, to); err != nil {
		return registry.Descriptor{}, err
	}
	unknown := registry.E(op, registry.BlobUnknown, nil, "there is no blob %s to mount", d)
	if from == "" {
		holders, err := e.meta.BlobHolders(ctx, d)
		if err != nil {
			return registry.Descriptor{}, wrap(op, err)
		}
		for _, r := range holders {
			if e.may(ctx, registry.Read, r) {
				from = r
				break
			}
		}
		if from == "" {
			return registry.Descriptor{}, unknown
		}
	} else if e.can(ctx, registry.Read, from) != nil {
		return registry.Descriptor{}, unknown // as if it were not there
	}
	var b meta.Blob
	err := e.meta.Update(ctx, durable, func(ctx context.Context, tx *meta.Tx) (err error) {
		if b, err = tx.Blob(ctx, from, d); err != nil {
			return err
		}
		r, err := e.repository(ctx, tx, to)
		if err != nil {
			return err
		}
		if err := tx.RenewBlob(ctx, b.ID); err != nil {
			return err
		}
		if err := tx.LinkBlob(ctx, r, b.ID); err != nil {
			return err
		}
		return record(ctx, tx, "blob.mount", r, meta.AuditRecord{Digest: d, Detail: map[string]string{"from": string(from)}})
	})
	switch {
	case errors.Is(err, meta.ErrNotFound):
		return registry.Descriptor{}, unknown
	case err != nil:
		return registry.Descriptor{}, wrap(op, err)
	}
	return blobDescriptor(d, b.Size), nil
}

// PutManifest implements registry.Writer.
func (e *Engine) PutManifest(ctx context.Context, r registry.Repo, m registry.Manifest, o registry.PutOptions) (registry.PutResult, error) {
	const op = "engine.PutManifest"
	if err := e.can(ctx, registry.Create, r); err != nil {
		return registry.PutResult{}, err
	}
	if int64(len(m.Raw)) > e.cfg.Limits.Manifest {
		return registry.PutResult{}, registry.E(op, registry.TooLarge, nil, "a manifest may have at most %d bytes here", e.cfg.Limits.Manifest)
	}
	algorithm := digest.Canonical
	if m.Digest != "" {
		algorithm = m.Digest.Algorithm()
	}
	d := algorithm.FromBytes(m.Raw)
	if m.Digest != "" && m.Digest != d {
		return registry.PutResult{}, mismatch(op, d, m.Digest)
	}
	parsed, err := registry.ParseManifest(m.MediaType, m.Raw)
	if err != nil {
		return registry.PutResult{}, err
	}
	m.Digest = d
	if err := e.KnowFeeds(ctx); err != nil {
		return registry.PutResult{}, err
	}
	if o, err = e.fault.before(ctx, e, r, o); err != nil {
		return registry.PutResult{}, err
	}
	for try := 1; ; try++ {
		result, err := e.tryManifest(ctx, e.feeds.Load(), r, m, parsed, o)
		if !errors.Is(err, errFeedsMoved) {
			return result, wrap(op, err)
		}
		if err := e.againKnowing(ctx, try); err != nil {
			return registry.PutResult{}, wrap(op, err)
		}
	}
}

// tryManifest stores m as what known makes of it. It returns errFeedsMoved.
func (e *Engine) tryManifest(ctx context.Context, known *feedList, r registry.Repo, m registry.Manifest, parsed registry.Parsed, o registry.PutOptions) (registry.PutResult, error) {
	t, err := e.classify(ctx, r, m, parsed, o.Tags)
	if err != nil {
		return registry.PutResult{}, err
	}
	if t != nil && t.format.SignedText != nil {
		if err := e.ensureKey(ctx); err != nil {
			return registry.PutResult{}, err
		}
	}
	row := stored(parsed, m.Raw, m.Digest)
	err = e.changeKnowing(ctx, known, r, durable, func(ctx context.Context, tx *meta.Tx) error {
		return e.putManifest(ctx, tx, r, row, parsed, t, o)
	})
	if err != nil {
		return registry.PutResult{}, err
	}
	if t != nil && t.feed.ID == 0 {
		e.reloadFeeds(ctx)
	}
	return registry.PutResult{Descriptor: row.Descriptor, Subject: row.Subject}, nil
}

// putManifest stores m and its names; t is what it is as a package, nil if it
// is none.
func (e *Engine) putManifest(ctx context.Context, tx *meta.Tx, name registry.Repo, m meta.Manifest, p registry.Parsed, t *typed, o registry.PutOptions) error {
	r, err := e.repository(ctx, tx, name)
	if err != nil {
		return err
	}
	if err := e.checkNames(ctx, tx, r, m.Digest, t, o); err != nil {
		return err
	}
	if t != nil {
		err = e.claim(ctx, tx, r, t)
	} else {
		err = e.guardNames(r, o.Tags)
	}
	if err != nil {
		return err
	}
	add := meta.NewManifest{Manifest: m}
	if err := e.references(ctx, tx, r, p, &add); err != nil {
		return err
	}
	id, err := tx.AddManifest(ctx, r, add)
	if err != nil {
		return err
	}
	tags := o.Tags
	if t != nil {
		if err := e.putRelease(ctx, tx, r, id, m.Descriptor, t); err != nil {
			return err
		}
		tags = slices.DeleteFunc(slices.Clone(tags), func(t registry.Tag) bool { return !registry.IsSignatureTag(t) })
	} else if m.ArtifactType == registry.TypeStatus && m.Subject != "" {
		if err := e.putStatus(ctx, tx, r, m); err != nil {
			return err
		}
	}
	for _, t := range tags {
		if err := tx.SetTag(ctx, r, t, id); err != nil {
			return err
		}
	}
	return tx.NextGeneration(ctx, r)
}

// guardNames keeps what is no package from taking the name of one: below a
// feed it gets the tags of signatures alone.
func (e *Engine) guardNames(r meta.Repository, tags []registry.Tag) error {
	if _, _, inFeed := e.feedOf(r.Name); !inFeed && r.Package == "" {
		return nil
	}
	for _, t := range tags {
		if !registry.IsSignatureTag(t) {
			return registry.E("engine.PutManifest", registry.ManifestInvalid, nil, "tag %s of %s can only point to a package: push what is about one by digest", t, r.Name)
		}
	}
	return nil
}

// checkNames holds o.If against what each tag points to, or whether d is there
// when no tag is set, asks for the right to move tags that exist, and records
// what each name pointed to before.
// A version's own tag only grows, which [Engine.putRelease] decides.
func (e *Engine) checkNames(ctx context.Context, tx *meta.Tx, r meta.Repository, d registry.Digest, p *typed, o registry.PutOptions) error {
	const op = "engine.PutManifest"
	for _, t := range o.Tags {
		current, err := tx.Tagged(ctx, r.Name, t)
		if err != nil && !errors.Is(err, meta.ErrNotFound) {
			return err
		}
		seen := current.Digest
		if seen == "" && len(o.If.Match) > 0 {
			if seen, err = e.computedDigest(ctx, r.Name, t); err != nil {
				return err
			}
		}
		if err := o.If.Check(op, "tag "+string(t), seen); err != nil {
			return err
		}
		if err := record(ctx, tx, "manifest.put", r, meta.AuditRecord{Tag: t, Digest: d, Before: current.Digest}); err != nil {
			return err
		}
		if current.Digest != "" && current.Digest != d && (p == nil || p.tag != t) {
			if err := e.can(ctx, registry.Overwrite, r.Name); err != nil {
				return err
			}
		}
	}
	if len(o.Tags) > 0 {
		return nil
	}
	var current registry.Digest
	switch _, err := tx.Depth(ctx, r, d); {
	case err == nil:
		current = d
	case !errors.Is(err, meta.ErrNotFound):
		return err
	}
	if err := o.If.Check(op, "manifest "+d.String(), current); err != nil {
		return err
	}
	return record(ctx, tx, "manifest.put", r, meta.AuditRecord{Digest: d, Before: current})
}

// references resolves what p refers to within r. Unless sparse manifests are
// allowed, all of it must be there.
func (e *Engine) references(ctx context.Context, tx *meta.Tx, r meta.Repository, p registry.Parsed, add *meta.NewManifest) error {
	const op = "engine.PutManifest"
	var missing []registry.Digest
	for _, d := range p.Blobs {
		id, here, err := tx.EnsureBlob(ctx, r, d, e.cfg.Sparse)
		switch {
		case err != nil:
			return err
		case here || e.cfg.Sparse:
			add.Blobs = append(add.Blobs, id)
		default:
			missing = append(missing, d.Digest)
		}
	}
	for _, d := range p.Foreign {
		id, here, err := tx.EnsureBlob(ctx, r, d, false)
		if err != nil {
			return err
		}
		if here {
			add.Blobs = append(add.Blobs, id)
		}
	}
	for _, d := range p.Children {
		depth, err := tx.Depth(ctx, r, d.Digest)
		switch {
		case errors.Is(err, meta.ErrNotFound):
			if !e.cfg.Sparse {
				missing = append(missing, d.Digest)
			}
		case err != nil:
			return err
		}
		add.Depth = max(add.Depth, depth+1)
		add.Children = append(add.Children, d.Digest)
	}
	if len(missing) > 0 {
		return missingContent(op, r.Name, missing)
	}
	if add.Depth > maxDepth {
		return registry.E(op, registry.ManifestInvalid, nil, "indexes nest deeper than %d levels", maxDepth)
	}
	return nil
}

func missingContent(op string, r registry.Repo, missing []registry.Digest) error {
	const named = 5
	names := make([]string, 0, named)
	for _, d := range missing[:min(len(missing), named)] {
		names = append(names, d.String())
	}
	more := ""
	if len(missing) > named {
		more = fmt.Sprintf(" and %d more", len(missing)-named)
	}
	return registry.E(op, registry.ManifestBlobUnknown, nil, "%s does not have %s%s, which the manifest refers to: push them first",
		r, strings.Join(names, ", "), more).WithDetail(map[string]any{"missing": missing})
}
