package engine

import (
	"context"
	"errors"
	"hash"
	"io"
	"slices"
	"sync"

	"github.com/opencontainers/go-digest"

	"github.com/packhouse/packhouse/registry"
	"github.com/packhouse/packhouse/storage/meta"
)

// smallBody is the size up to which a body is stored by one Put; larger ones
// stream through a buffer of this size.
const smallBody = 256 << 10

var buffers = sync.Pool{New: func() any { return new([smallBody]byte) }}

// errTooLarge comes from bodies that pass a limit.
var errTooLarge = errors.New("body is larger than the limit")

// store streams body into a new object and through h. On a failing body it
// keeps what arrived before, and returns both the object and the error. An
// empty body makes no object (Size 0).
func (e *Engine) store(ctx context.Context, body io.Reader, h hash.Hash, limit int64) (o meta.Object, bodyErr, err error) {
	if e.meta.Full() {
		return o, nil, meta.ErrNoSpace // before the body takes what deletes will need
	}
	buf := buffers.Get().(*[smallBody]byte)
	defer buffers.Put(buf)
	n, bodyErr := io.ReadFull(body, buf[:])
	if int64(n) > limit {
		return o, nil, errTooLarge
	}
	if n == 0 {
		return o, ended(bodyErr), nil
	}
	key, err := e.keys.take(ctx)
	if err != nil {
		return o, nil, err
	}
	o.Key = key
	h.Write(buf[:n])
	if bodyErr != nil {
		o.Size = int64(n)
		return o, ended(bodyErr), e.blobs.Put(ctx, key, buf[:n])
	}
	w, err := e.blobs.Create(ctx, key)
	if err != nil {
		return o, nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, w.Abort(context.WithoutCancel(ctx)))
		}
	}()
	for {
		if e.meta.Full() {
			return o, nil, meta.ErrNoSpace
		}
		if _, err := w.Write(buf[:n]); err != nil {
			return o, nil, err
		}
		o.Size += int64(n)
		if bodyErr != nil {
			break
		}
		n, bodyErr = io.ReadFull(body, buf[:])
		h.Write(buf[:n])
		if o.Size+int64(n) > limit {
			return o, nil, errTooLarge
		}
	}
	return o, ended(bodyErr), w.Commit(context.WithoutCancel(ctx))
}

// ended is the error of a body that did not end as it should; io.ReadFull
// reports a proper end in two ways.
func ended(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return nil
	}
	return err
}

// errCut marks a body that broke off.
var errCut = errors.New("body broke off")

// cut renames a body's own unexpected end, which [ended] could not tell from
// io.ReadFull's.
type cut struct{ io.Reader }

func (c cut) Read(p []byte) (int, error) {
	n, err := c.Reader.Read(p)
	if errors.Is(err, io.ErrUnexpectedEOF) {
		err = errCut
	}
	return n, err
}

// PutBlob implements registry.Writer.
func (e *Engine) PutBlob(ctx context.Context, r registry.Repo, body io.Reader, want registry.Digest) (registry.Descriptor, error) {
	const op = "engine.PutBlob"
	if err := e.can(ctx, registry.Create, r); err != nil {
		return registry.Descriptor{}, err
	}
	if err := e.room(ctx, op, r); err != nil {
		return registry.Descriptor{}, err
	}
	algorithm := digest.Canonical
	if want != "" {
		algorithm = want.Algorithm()
	}
	h := algorithm.Hash()
	o, bodyErr, err := e.store(ctx, cut{body}, h, e.cfg.Limits.Blob)
	if err != nil {
		return registry.Descriptor{}, e.storeError(op, err)
	}
	got := digest.NewDigest(algorithm, h)
	switch {
	case bodyErr != nil:
		e.discardObjects(ctx, o)
		return registry.Descriptor{}, brokenBody(op, bodyErr)
	case want != "" && got != want:
		e.discardObjects(ctx, o)
		return registry.Descriptor{}, mismatch(op, got, want)
	}
	return e.addBlob(ctx, op, r, got, nil, o, nil)
}

// addBlob commits the objects saved and last as blob d of r, after before has
// run in the same transaction, and discards what turns out not to be needed. If
// it fails, saved stay as they were: a session, or the blob that another request
// made of it, still has them.
func (e *Engine) addBlob(ctx context.Context, op string, r registry.Repo, d registry.Digest, saved []meta.Object, last meta.Object, before func(context.Context, *meta.Tx) error) (registry.Descriptor, error) {
	objects, err := e.nonEmpty(ctx, append(slices.Clip(saved), last))
	if err != nil {
		return registry.Descriptor{}, wrap(op, err)
	}
	var size int64
	for _, o := range objects {
		size += o.Size
	}
	var spare []string
	err = e.meta.Update(ctx, durable, func(ctx context.Context, tx *meta.Tx) error {
		if before != nil {
			if err := before(ctx, tx); err != nil {
				return err
			}
		}
		if err := e.can(ctx, registry.Create, r); err != nil {
			return err // the right was taken away while the body came
		}
		repo, err := e.repository(ctx, tx, r)
		if err != nil {
			return err
		}
		if spare, err = tx.AddBlob(ctx, repo, d, size, objects); err != nil {
			return err
		}
		return record(ctx, tx, "blob.put", repo, meta.AuditRecord{Digest: d})
	})
	if err != nil {
		if !errors.Is(err, meta.ErrUncertain) { // else the next start's sweep knows
			e.discardObjects(ctx, objects[len(saved):]...) // a saved one is never empty
		}
		e.keys.lost(err, objects...)
		return registry.Descriptor{}, wrap(op, err)
	}
	e.discard(ctx, spare...)
	return blobDescriptor(d, size), nil
}

// nonEmpty drops empty objects, but a blob of no bytes still has one: a
// missing object must never look like an empty blob.
func (e *Engine) nonEmpty(ctx context.Context, objects []meta.Object) ([]meta.Object, error) {
	kept := objects[:0:0]
	for _, o := range objects {
		if o.Size > 0 {
			kept = append(kept, o)
		}
	}
	if len(kept) > 0 {
		return kept, nil
	}
	key, err := e.keys.take(ctx)
	if err != nil {
		return nil, err
	}
	return []meta.Object{{Key: key}}, e.blobs.Put(ctx, key, nil)
}

func (e *Engine) discardObjects(ctx context.Context, objects ...meta.Object) {
	for _, o := range objects {
		if o.Key != "" {
			e.discard(ctx, o.Key)
		}
	}
}

func (e *Engine) storeError(op string, err error) error {
	return storeError(op, "a blob", e.cfg.Limits.Blob, err)
}

func storeError(op, what string, limit int64, err error) error {
	if errors.Is(err, errTooLarge) {
		return registry.E(op, registry.TooLarge, nil, "%s may have at most %d bytes here", what, limit)
	}
	return wrap(op, err)
}

// brokenBody is a body that the client did not finish. A limit or deadline set
// by the server keeps its own error.
func brokenBody(op string, err error) error {
	if errors.Is(err, errCut) {
		return registry.E(op, registry.SizeInvalid, err, "the body ended before its Content-Length: send it again")
	}
	return err
}

func mismatch(op string, got, want registry.Digest) error {
	return registry.E(op, registry.DigestInvalid, nil, "the content's digest is %s, not %s", got, want)
}

// rehash hashes stored objects, for a digest of another algorithm than
// the session was begun with.
func (e *Engine) rehash(ctx context.Context, objects []meta.Object, h hash.Hash) (err error) {
	var size int64
	for _, o := range objects {
		size += o.Size
	}
	if size == 0 {
		return nil
	}
	body, err := e.read(ctx, objects, 0, size)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, body.Close()) }()
	_, err = io.Copy(h, body)
	return err
}
