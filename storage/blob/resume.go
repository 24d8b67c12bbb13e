package blob

import (
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"time"
)

// Reads of a remote storage break off: what is left is asked for again, with
// growing pauses, as long as something comes.
const (
	maxResumes  = 6 // in a row that brought nothing
	firstPause  = 100 * time.Millisecond
	longestRest = 3 * time.Second
)

// resuming reads n bytes of one object over as many connections as it takes.
// An object that ends before is no broken connection: that is an error at once.
type resuming struct {
	ctx    context.Context //nolint:containedctx // of the reader that it is part of; Read is given none
	open   func(ctx context.Context, off, n int64) (io.ReadCloser, error)
	pause  func(ctx context.Context, n int) error
	cur    io.ReadCloser // nil after it broke
	off    int64
	left   int64
	failed int // times in a row without a byte
}

func (r *resuming) Read(p []byte) (int, error) {
	for {
		if r.left == 0 {
			return 0, io.EOF
		}
		n, err := r.once(p)
		r.off += int64(n)
		r.left -= int64(n)
		switch {
		case n > 0:
			r.failed = 0
			if err != nil {
				r.drop()
			}
			return n, nil // an error will be seen again, if it lasts
		case err == nil:
			return 0, nil
		case !passing(err) || r.ctx.Err() != nil || r.failed == maxResumes:
			return 0, err
		}
		r.drop()
		r.failed++
		if err := r.pause(r.ctx, r.failed); err != nil {
			return 0, err
		}
	}
}

// once reads from the connection there is, or from a new one.
func (r *resuming) once(p []byte) (int, error) {
	if r.cur == nil {
		cur, err := r.open(r.ctx, r.off, r.left)
		if err != nil {
			return 0, err
		}
		r.cur = cur
	}
	n, err := r.cur.Read(p[:min(int64(len(p)), r.left)])
	if errors.Is(err, io.EOF) && int64(n) < r.left {
		err = errShort
	}
	return n, err
}

// passing tells whether asking again may help.
func passing(err error) bool {
	return !errors.Is(err, errShort) && !errors.Is(err, ErrNotFound) && !errors.Is(err, context.Canceled)
}

func (r *resuming) drop() {
	if r.cur != nil {
		_ = r.cur.Close() // it is broken
		r.cur = nil
	}
}

// Close ends the reader.
func (r *resuming) Close() error {
	r.left = 0
	if r.cur == nil {
		return nil
	}
	return r.cur.Close()
}

// pause waits before the n-th attempt in a row.
func pause(ctx context.Context, n int) error {
	d := min(firstPause<<(n-1), longestRest)
	t := time.NewTimer(d/2 + rand.N(d/2)) //nolint:gosec // spreads load, hides nothing
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
