package engine

import (
	"context"
	"errors"

	"github.com/opencontainers/go-digest"

	"github.com/packhouse/packhouse/registry"
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
			return nil, nil
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
		body, err := a.read(ctx, []meta.Object{o}, 0, o.Size)
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
	return a.take(ctx, taking{repository: a.source.name, blobs: []*located{l}})
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
		a.skip(Skip{Repository: s.path, Tag: t, Digest: target, Reason: notAdopted})
		return nil
	}
	return a.take(ctx, taking{repository: s.name, tag: t, digest: target})
}

const notAdopted = "the manifest it points to was not adopted"

// taking is one thing to adopt: a manifest with its blobs, a tag on digest, or
// blobs alone.
type taking struct {
	repository registry.Repo
	digest     registry.Digest
	raw        []byte
	parsed     registry.Parsed
	blobs      []*located
	tag        registry.Tag
}

// Many names share a commit, but a push waits for it no longer than this takes.
const (
	batchLength = 200
	batchBytes  = 4 << 20
)

func (a *adoption) take(ctx context.Context, t taking) error {
	a.taken = append(a.taken, t)
	a.takenBytes += len(t.raw)
	if len(a.taken) < a.batch && a.takenBytes < batchBytes {
		return nil
	}
	return a.flush(ctx)
}

// flush commits what was taken.
func (a *adoption) flush(ctx context.Context) error {
	taken := a.taken
	a.taken, a.takenBytes = nil, 0
	if a.DryRun {
		a.count(taken)
		return nil
	}
	clear(a.located)
	if len(taken) == 0 {
		return nil
	}
	var names []registry.Repo
	for i, t := range taken {
		if i == 0 || t.repository != taken[i-1].repository {
			names = append(names, t.repository)
		}
	}
	var c *commit
	err := a.changeNames(ctx, names, passing, func(ctx context.Context, tx *meta.Tx) error {
		c = &commit{engine: a.Engine, tx: tx}
		return c.run(ctx, taken)
	})
	if err != nil {
		return err
	}
	a.discard(ctx, c.spare...)
	a.changed = &c.repository
	a.report.Manifests += c.manifests
	a.report.Tags += c.tags
	a.report.Blobs += c.blobs
	a.report.Bytes += c.bytes
	for _, s := range c.skips {
		a.skip(s)
	}
	return nil
}

// count is a dry run's flush.
func (a *adoption) count(taken []taking) {
	for _, t := range taken {
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
