package blob

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
)

// Read opens n bytes of the blob made of segs, from byte off; n < 0 means to
// the end. The reader implements [io.WriterTo], so that io.Copy to a TCP
// connection or an http.ResponseWriter uses sendfile on the filesystem; do not
// wrap it in another reader. ctx governs the reader's life.
//
// The first object is opened here, the others when their turn comes. Read
// returns ErrNotFound for a missing object, io.ErrUnexpectedEOF for one that
// is too short (seen here on the filesystem and S3; elsewhere while reading)
// and ErrUnavailable; the reader returns the same for later segments. A remote
// object whose transfer breaks off is asked for again from there.
func (s *Store) Read(ctx context.Context, segs []Segment, off, n int64) (io.ReadCloser, error) {
	var total int64
	for _, seg := range segs {
		total += seg.Size
	}
	if n < 0 {
		n = total - off
	}
	if off < 0 || n < 0 || off > total-n {
		return nil, fmt.Errorf("read %d bytes from %d: the blob has %d", n, off, total)
	}
	for len(segs) > 0 && off >= segs[0].Size {
		off -= segs[0].Size
		segs = segs[1:]
	}
	r := &reader{segs: segs, left: n, fail: s.fail, observer: s.observer}
	r.open = func(key string, off, n int64) (io.ReadCloser, error) { return s.open(ctx, key, off, n) }
	if n == 0 {
		return r, nil
	}
	if err := r.next(off); err != nil {
		return nil, err
	}
	return r, nil
}

// open opens an object of which n bytes from off will be read.
func (s *Store) open(ctx context.Context, key string, off, n int64) (io.ReadCloser, error) {
	if err := checkKey(key); err != nil {
		return nil, err
	}
	at, op := s.begin(ctx, "read")
	rc, err := s.fetch(at, key, off, n)
	// A truncated file is found before any byte is promised to a client.
	if f, ok := rc.(*os.File); ok && err == nil {
		fi, statErr := f.Stat()
		if statErr == nil && fi.Size() < off+n {
			statErr = io.ErrUnexpectedEOF
		}
		if statErr != nil {
			err = errors.Join(statErr, f.Close())
		}
	}
	if err = op.end(at, 0, s.fail("read", key, err)); err != nil {
		return nil, err
	}
	if s.local != nil {
		return rc, nil
	}
	return &resuming{ctx: ctx, cur: rc, off: off, left: n, pause: s.pause, open: func(ctx context.Context, off, n int64) (io.ReadCloser, error) {
		rc, err := s.fetch(ctx, key, off, n)
		return rc, s.fail("read", key, err)
	}}, nil
}

// fetch asks the driver.
func (s *Store) fetch(ctx context.Context, key string, off, n int64) (io.ReadCloser, error) {
	if d, ok := s.driver.(rangeReader); ok && n > 0 {
		return d.ReadRange(ctx, key, off, n)
	}
	return s.driver.Reader(ctx, key, off)
}

// reader chains the parts of segments that make up a range.
type reader struct {
	open func(key string, off, n int64) (io.ReadCloser, error)
	fail func(op, key string, err error) error

	observer Observer

	segs    []Segment // not yet opened
	left    int64     // bytes still to come, of all segments
	key     string
	cur     io.ReadCloser // nil between segments
	curLeft int64         // bytes still to come from cur
	err     error         // ends the reader
}

var _ io.WriterTo = (*reader)(nil)

// next opens the next segment that has bytes, from off.
func (r *reader) next(off int64) error {
	for r.segs[0].Size == 0 {
		r.segs = r.segs[1:]
	}
	seg := r.segs[0]
	r.segs = r.segs[1:]
	n := min(seg.Size-off, r.left)
	rc, err := r.open(seg.Key, off, n)
	if err != nil {
		return err
	}
	r.key, r.cur, r.curLeft = seg.Key, rc, n
	return nil
}

// took counts n bytes of cur and closes it after its last.
func (r *reader) took(n int64) {
	r.left -= n
	r.curLeft -= n
	if r.observer != nil {
		r.observer.Read(n)
	}
	if r.curLeft == 0 {
		_ = r.cur.Close() // every byte is here: a failed close changes nothing
		r.cur = nil
	}
}

func (r *reader) Read(p []byte) (int, error) {
	switch {
	case r.err != nil:
		return 0, r.err
	case r.left == 0:
		return 0, io.EOF
	case len(p) == 0:
		return 0, nil
	case r.cur == nil:
		if r.err = r.next(0); r.err != nil {
			return 0, r.err
		}
	}
	n, err := r.cur.Read(p[:min(int64(len(p)), r.curLeft)])
	r.took(int64(n))
	if r.cur == nil {
		return n, nil
	}
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	r.err = r.fail("read", r.key, err)
	return n, r.err
}

// WriteTo hands w each segment as an *io.LimitedReader over what the driver
// opened: over an *os.File, that is what the net package turns into sendfile.
func (r *reader) WriteTo(w io.Writer) (int64, error) {
	var sum int64
	for r.err == nil && r.left > 0 {
		if r.cur == nil {
			if r.err = r.next(0); r.err != nil {
				break
			}
		}
		n, err := io.CopyN(w, r.cur, r.curLeft)
		sum += n
		r.took(n)
		switch {
		case r.cur == nil:
		case errors.Is(err, io.EOF):
			r.err = r.fail("read", r.key, io.ErrUnexpectedEOF)
		default:
			r.err = err // of either side, as it is
		}
	}
	return sum, r.err
}

// Close releases the open object, if there is one.
func (r *reader) Close() error {
	if r.err == nil {
		r.err = os.ErrClosed
	}
	if r.cur == nil {
		return nil
	}
	rc := r.cur
	r.cur = nil
	return r.fail("close", r.key, rc.Close())
}
