package engine

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/packhouse/packhouse/registry"
	"github.com/packhouse/packhouse/storage/blob"
	"github.com/packhouse/packhouse/storage/meta"
)

// Manifest implements registry.Reader.
func (e *Engine) Manifest(ctx context.Context, r registry.Repo, d registry.Digest) (registry.Manifest, error) {
	const op = "engine.Manifest"
	if err := e.can(ctx, registry.Read, r); err != nil {
		return registry.Manifest{}, err
	}
	ent, err := e.cache.load(ctx, byDigest, r, d.String(), func(ctx context.Context) (*entry, error) {
		m, err := e.meta.Manifest(ctx, r, d)
		return &entry{manifest: m.Manifest}, err
	})
	switch {
	case errors.Is(err, meta.ErrNotFound):
		return registry.Manifest{}, e.absent(ctx, op, r, registry.ManifestUnknown, "there is no manifest %s in %s", d, r)
	case err != nil:
		return registry.Manifest{}, wrap(op, err)
	}
	return ent.manifest, nil
}

// Tagged implements registry.Reader.
func (e *Engine) Tagged(ctx context.Context, r registry.Repo, t registry.Tag) (registry.Manifest, error) {
	const op = "engine.Tagged"
	if err := e.can(ctx, registry.Read, r); err != nil {
		return registry.Manifest{}, err
	}
	ent, err := e.cache.load(ctx, byTag, r, string(t), func(ctx context.Context) (*entry, error) {
		m, err := e.meta.Tagged(ctx, r, t)
		if errors.Is(err, meta.ErrNotFound) {
			return e.computedReferrers(ctx, r, t)
		}
		return &entry{manifest: m.Manifest}, err
	})
	switch {
	case errors.Is(err, meta.ErrNotFound):
		return registry.Manifest{}, e.absent(ctx, op, r, registry.ManifestUnknown, "there is no tag %s in %s", t, r)
	case err != nil:
		return registry.Manifest{}, wrap(op, err)
	}
	return ent.manifest, nil
}

// StatBlob implements registry.Reader. For a caller who may push it also
// renews the lease of an unreferenced blob: clients skip an upload on its
// strength.
func (e *Engine) StatBlob(ctx context.Context, r registry.Repo, d registry.Digest) (registry.Descriptor, error) {
	const op = "engine.StatBlob"
	if err := e.can(ctx, registry.Read, r); err != nil {
		return registry.Descriptor{}, err
	}
	b, err := e.blob(ctx, op, r, d)
	if err != nil {
		return registry.Descriptor{}, err
	}
	if !b.Unreferenced.IsZero() && e.meta.Now().Sub(b.Unreferenced) > e.cfg.Lease/4 && e.may(ctx, registry.Create, r) {
		if b, err = e.renew(ctx, op, r, d); err != nil {
			return registry.Descriptor{}, err
		}
	}
	return blobDescriptor(d, b.Size), nil
}

// renew starts the lease of blob d again, or finds that it is gone.
func (e *Engine) renew(ctx context.Context, op string, r registry.Repo, d registry.Digest) (meta.Blob, error) {
	var b meta.Blob
	err := e.change(ctx, r, passing, func(ctx context.Context, tx *meta.Tx) (err error) {
		if b, err = tx.Blob(ctx, r, d); err != nil {
			return err
		}
		return tx.RenewBlob(ctx, b.ID)
	})
	switch {
	case errors.Is(err, meta.ErrNotFound):
		return b, e.unknownBlob(ctx, op, r, d)
	case errors.Is(err, meta.ErrNoSpace), errors.Is(err, meta.ErrReadOnly):
		return b, nil // a read must not fail because the disk is full: it is still there
	}
	return b, wrap(op, err)
}

// Blob implements registry.Reader.
func (e *Engine) Blob(ctx context.Context, r registry.Repo, d registry.Digest, off, n int64) (io.ReadCloser, error) {
	const op = "engine.Blob"
	if err := e.can(ctx, registry.Read, r); err != nil {
		return nil, err
	}
	b, err := e.blob(ctx, op, r, d)
	if err != nil {
		return nil, err
	}
	if n < 0 {
		n = b.Size - off
	}
	if off < 0 || n < 0 || off > b.Size || n > b.Size-off {
		return nil, registry.E(op, registry.RangeInvalid, nil, "bytes %d to %d are not within the blob's %d", off, off+n, b.Size)
	}
	body, err := e.read(ctx, b.Objects, off, n)
	if errors.Is(err, blob.ErrNotFound) {
		// The collector may have been faster than this reader.
		if _, again := e.meta.Blob(ctx, r, d); errors.Is(again, meta.ErrNotFound) {
			return nil, e.unknownBlob(ctx, op, r, d)
		}
		err = fmt.Errorf("an object of blob %s is missing: %w", d, err)
	}
	return body, wrap(op, err)
}

func (e *Engine) blob(ctx context.Context, op string, r registry.Repo, d registry.Digest) (meta.Blob, error) {
	ent, err := e.cache.load(ctx, blobByDigest, r, d.String(), func(ctx context.Context) (*entry, error) {
		b, err := e.meta.Blob(ctx, r, d)
		return &entry{blob: b, weight: blobWeight(b)}, err
	})
	switch {
	case errors.Is(err, meta.ErrNotFound):
		return meta.Blob{}, e.unknownBlob(ctx, op, r, d)
	case err != nil:
		return meta.Blob{}, wrap(op, err)
	}
	return ent.blob, nil
}

func blobWeight(b meta.Blob) (weight int) {
	for _, o := range b.Objects {
		weight += len(o.Key) + len(o.Content) + 48
	}
	return weight
}

func (e *Engine) unknownBlob(ctx context.Context, op string, r registry.Repo, d registry.Digest) error {
	return e.absent(ctx, op, r, registry.BlobUnknown, "there is no blob %s in %s", d, r)
}

func blobDescriptor(d registry.Digest, size int64) registry.Descriptor {
	return registry.Descriptor{MediaType: "application/octet-stream", Digest: d, Size: size}
}

// read opens n bytes from off of what objects hold.
func (e *Engine) read(ctx context.Context, objects []meta.Object, off, n int64) (io.ReadCloser, error) {
	if len(objects) == 1 && meta.IsInline(objects[0].Key) {
		content := objects[0].Content
		if off+n > int64(len(content)) {
			return nil, fmt.Errorf("a blob of the database has %d bytes of %d: %w", len(content), objects[0].Size, io.ErrUnexpectedEOF)
		}
		return inline{bytes.NewReader(content[off : off+n])}, nil
	}
	segs := make([]blob.Segment, len(objects))
	for i, o := range objects {
		segs[i] = blob.Segment{Key: o.Key, Size: o.Size}
	}
	return e.blobs.Read(ctx, segs, off, n)
}

// inline is content that was read with its row.
type inline struct{ *bytes.Reader }

func (inline) Close() error { return nil }
