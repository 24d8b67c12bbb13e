package blob

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	storagedriver "github.com/distribution/distribution/v3/registry/storage/driver"
)

// cleanupTimeout bounds looking for a failed object and its removal, which must
// go on after the request that wrote it was cancelled.
const cleanupTimeout = 10 * time.Second

// Writer writes one object. It is for one goroutine.
type Writer struct {
	store *Store
	key   string
	fw    storagedriver.FileWriter
	size  int64 // counted here: drivers differ in what their Size counts
	err   error // the first failed Write; nothing can follow it
	done  bool
}

var _ io.Writer = (*Writer)(nil)

// Write appends p. After an error the object can only be aborted. It returns
// ErrNoSpace, ErrUnavailable.
func (w *Writer) Write(p []byte) (int, error) {
	if w.done {
		return 0, fmt.Errorf("write %s: %w", w.key, os.ErrClosed)
	}
	if w.err != nil {
		return 0, w.err
	}
	n, err := w.fw.Write(p)
	w.size += int64(n)
	w.err = w.store.fail("write", w.key, err)
	return n, w.err
}

// Size is the number of bytes written so far.
func (w *Writer) Size() int64 { return w.size }

// Commit makes the object durable and readable. After an error the object is
// not there, or is removed as far as possible; it must not be committed again.
// It returns ErrNoSpace, ErrUnavailable: nothing was kept, the client may try
// again.
func (w *Writer) Commit(ctx context.Context) error {
	if w.done {
		return fmt.Errorf("commit %s: %w", w.key, os.ErrClosed)
	}
	w.done = true
	ctx, op := w.store.begin(ctx, "commit")
	err := w.err
	if err == nil {
		err = w.store.fail("commit", w.key, w.finish(ctx))
	}
	if err != nil {
		look, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanupTimeout)
		defer cancel()
		if w.err == nil && w.store.local == nil && w.store.holds(look, w.key, w.size) {
			err = nil
		} else {
			err = errors.Join(err, w.discard(look))
		}
	}
	return op.end(ctx, w.size, err)
}

// finish commits and closes. It stops at the first error: closing an
// uncommitted file would fsync it again.
func (w *Writer) finish(ctx context.Context) error {
	if err := w.fw.Commit(ctx); err != nil {
		return err
	}
	if err := w.fw.Close(); err != nil {
		return err
	}
	if w.store.local == nil {
		return nil
	}
	return w.store.local.settle(w.key)
}

// discard removes what a failed Commit left. Some drivers cannot cancel after
// Commit was called; the object is then deleted by its key.
func (w *Writer) discard(ctx context.Context) error {
	if err := w.fw.Cancel(ctx); err == nil {
		return nil
	}
	return w.store.remove(ctx, w.key)
}

// Abort drops the object, even when ctx is done. After Commit or another
// Abort it does nothing.
func (w *Writer) Abort(ctx context.Context) error {
	if w.done {
		return nil
	}
	w.done = true
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanupTimeout)
	defer cancel()
	return w.store.fail("abort", w.key, w.fw.Cancel(ctx))
}
