package engine

import (
	"context"
	"errors"

	"github.com/opencontainers/go-digest"

	"github.com/packhouse/packhouse/registry"
	"github.com/packhouse/packhouse/storage/blob"
	"github.com/packhouse/packhouse/storage/meta"
)

// located is a blob of the old registry that the source may show.
type located struct {
	digest registry.Digest
	object meta.Object
	live   bool // it has its row already
}

// locate finds blob d for the source and makes sure of its size, want unless
// that is negative. It returns nil when the source does not show it, and a
// refusal when its content is not d's.
func (a *adoption) locate(ctx context.Context, d registry.Digest, want int64) (*located, error) {
	if !a.source.links[d] {
		b, err := a.meta.Blob(ctx, a.source.name, d) // pushed here since
		switch {
		case errors.Is(err, meta.ErrNotFound):
			return nil, nil //nolint:nilnil // documented
		case err != nil:
			return nil, err
		}
		return &located{digest: d, object: meta.Object{Size: b.Size}, live: true}, nil
	}
	l := a.located[d]
	if l == nil {
		var err error
		if l, err = a.examine(ctx, d, want); err != nil || l == nil {
			return nil, err
		}
		a.located[d] = l
	}
	if want >= 0 && l.object.Size != want {
		return nil, refuse("it says that blob %s has %d bytes, which has %d", d, want, l.object.Size)
	}
	return l, nil
}

// examine looks blob d up in the database, then in the old registry's store.
func (a *adoption) examine(ctx context.Context, d registry.Digest, want int64) (*located, error) {
	row, err := a.meta.BlobRow(ctx, d)
	switch {
	case err == nil && row.State == meta.Live:
		return &located{digest: d, object: meta.Object{Size: row.Size}, live: true}, nil
	case err != nil && !errors.Is(err, meta.ErrNotFound):
		return nil, err
	}
	size, key, err := a.find(ctx, oldLayer, d)
	if err != nil || key == "" {
		return nil, err
	}
	o := meta.Object{Key: key, Size: size}
	if key != oldBlobKey(d) {
		return a.copyOf(ctx, d, o)
	}
	suspect := size == 0 || want >= 0 && size != want || row.State == meta.Quarantined
	if suspect || a.Verify {
		h := d.Algorithm().Hash()
		if err := a.rehash(ctx, []meta.Object{o}, h); err != nil {
			return nil, unreadable(err)
		}
		if got := digest.NewDigest(d.Algorithm(), h); got != d {
			return nil, refuse("blob %s is damaged: %d bytes with digest %s: push it again", d, size, got)
		}
	}
	return &located{digest: d, object: o}, nil
}

// copyOf stores the content of o once more as blob d: the object is that of
// another blob.
func (a *adoption) copyOf(ctx context.Context, d registry.Digest, o meta.Object) (*located, error) {
	if !a.DryRun {
		body, err := a.blobs.Read(ctx, []blob.Segment{blob.Segment(o)}, 0, o.Size)
		if err != nil {
			return nil, unreadable(err)
		}
		_, err = a.PutBlob(ctx, a.source.name, body, d)
		if err := errors.Join(err, body.Close()); err != nil {
			if errors.Is(err, registry.DigestInvalid) || errors.Is(err, registry.TooLarge) {
				return nil, refuse("blob %s: %s", d, registry.Public(err).Message)
			}
			return nil, err
		}
	}
	a.report.Copied++
	a.report.Blobs++
	a.report.Bytes += o.Size
	return &located{digest: d, object: o, live: true}, nil
}

// leftover takes a blob that the source shows and that no manifest needs.
func (a *adoption) leftover(ctx context.Context, d registry.Digest) error {
	a.source.links[d] = true
	switch _, err := a.meta.Blob(ctx, a.source.name, d); {
	case err == nil:
		return nil
	case !errors.Is(err, meta.ErrNotFound):
		return err
	}
	l, err := a.locate(ctx, d, -1)
	if r, ok := errors.AsType[refusal](err); ok {
		a.skip(Skip{Repository: a.source.path, Digest: d, Reason: string(r)})
		return nil
	}
	switch {
	case err != nil:
		return err
	case l == nil:
		a.skip(Skip{Repository: a.source.path, Digest: d, Reason: "its content is not in the old registry's store, and no manifest here needs it"})
		return nil
	}
	return a.take(ctx, taking{blobs: []*located{l}})
}

func (a *adoption) tag(ctx context.Context, t registry.Tag) error {
	defer a.step()
	s := a.source
	known, err := a.meta.TagKnown(ctx, s.name, t)
	if err != nil {
		return err
	}
	if known {
		a.report.Known++
		return nil
	}
	target, err := a.target(ctx, oldRepositories+"/"+s.path+"/_manifests/tags/"+string(t)+"/current/link")
	if r, ok := errors.AsType[refusal](err); ok {
		a.skip(Skip{Repository: s.path, Tag: t, Reason: string(r)})
		return nil
	}
	switch {
	case err != nil:
		return err
	case target == "":
		a.skip(Skip{Repository: s.path, Tag: t, Reason: "its link is broken: it names no digest"})
		return nil
	case s.fates[target] != shown:
		a.skip(Skip{Repository: s.path, Tag: t, Digest: target, Reason: "the manifest it points to was not adopted"})
		return nil
	}
	return a.take(ctx, taking{tag: t, digest: target})
}

// taking is one thing to adopt: a manifest with its blobs, a tag on digest, or
// blobs alone.
type taking struct {
	digest registry.Digest
	raw    []byte
	parsed registry.Parsed
	blobs  []*located
	tag    registry.Tag
}

// A batch is one commit, so pushes wait for it no longer than this takes.
const (
	batchLength = 500
	batchBytes  = 4 << 20
)

func (a *adoption) take(ctx context.Context, t taking) error {
	a.batch = append(a.batch, t)
	a.batchBytes += len(t.raw)
	if len(a.batch) < batchLength && a.batchBytes < batchBytes {
		return nil
	}
	return a.flush(ctx)
}

// flush commits the batch to the source's repository.
func (a *adoption) flush(ctx context.Context) error {
	if !a.DryRun {
		clear(a.located)
	}
	if len(a.batch) == 0 {
		return nil
	}
	batch := a.batch
	a.batch, a.batchBytes = nil, 0
	if a.DryRun {
		a.count(batch)
		return nil
	}
	var b *batchResult
	err := a.change(ctx, a.source.name, passing, func(ctx context.Context, tx *meta.Tx) error {
		b = &batchResult{}
		return a.commit(ctx, tx, batch, b)
	})
	if err != nil {
		return err
	}
	a.discard(ctx, b.spare...)
	a.changed = &b.repository
	a.report.Manifests += b.Manifests
	a.report.Tags += b.Tags
	a.report.Blobs += b.Blobs
	a.report.Bytes += b.Bytes
	a.source.skipped = a.source.skipped || len(b.skips) > 0
	for _, s := range b.skips {
		a.skip(s)
	}
	return nil
}

// batchResult is what the commit of a batch did.
type batchResult struct {
	AdoptReport
	repository meta.Repository
	skips      []Skip
	spare      []string
}

func (a *adoption) commit(ctx context.Context, tx *meta.Tx, batch []taking, b *batchResult) (err error) {
	if b.repository, err = tx.EnsureRepository(ctx, a.source.name); err != nil {
		return err
	}
	for _, t := range batch {
		for _, l := range t.blobs {
			fresh, spare, err := tx.AdoptBlob(ctx, b.repository, l.digest, l.object)
			if err != nil {
				return err
			}
			b.spare = append(b.spare, spare...)
			if fresh {
				b.Blobs++
				b.Bytes += l.object.Size
			}
		}
		err := a.commitName(ctx, tx, t, b)
		if e, ok := errors.AsType[*registry.Error](err); ok {
			b.skips = append(b.skips, Skip{Repository: a.source.path, Tag: t.tag, Digest: t.digest, Reason: e.Message})
			continue
		}
		if err != nil {
			return err
		}
	}
	return tx.NextGeneration(ctx, b.repository)
}

func (a *adoption) commitName(ctx context.Context, tx *meta.Tx, t taking, b *batchResult) error {
	switch {
	case t.tag != "":
		done, err := tx.AdoptTag(ctx, b.repository, t.tag, t.digest)
		if errors.Is(err, meta.ErrNotFound) {
			return registry.E("engine.Adopt", registry.ManifestUnknown, nil, "the manifest it points to was not adopted")
		}
		if done {
			b.Tags++
		}
		return err
	case t.raw == nil:
		return nil
	}
	m := meta.NewManifest{Manifest: meta.Manifest{Manifest: registry.Manifest{Raw: t.raw, Descriptor: registry.Descriptor{
		MediaType: t.parsed.MediaType, ArtifactType: t.parsed.ArtifactType, Annotations: t.parsed.Annotations,
		Digest: t.digest, Size: int64(len(t.raw)),
	}}}}
	if t.parsed.Subject != nil {
		m.Subject = t.parsed.Subject.Digest
	}
	if err := a.references(ctx, tx, b.repository, t.parsed, &m); err != nil {
		return err
	}
	if _, err := tx.AddManifest(ctx, b.repository, m); err != nil {
		return err
	}
	b.Manifests++
	return nil
}

// count is a dry run's flush.
func (a *adoption) count(batch []taking) {
	for _, t := range batch {
		switch {
		case t.tag != "":
			a.report.Tags++
		case t.raw != nil:
			a.report.Manifests++
		}
		for _, l := range t.blobs {
			if !l.live {
				l.live = true
				a.report.Blobs++
				a.report.Bytes += l.object.Size
			}
		}
	}
}
