package blob

import (
	"context"
	"errors"
	"fmt"
	"io"
)

// CopyOptions say how a blob is copied.
type CopyOptions struct {
	// Into gets all bytes of the blob in order, unless all was there already and
	// is not to be read again. It may be nil.
	Into io.Writer
	// Again reads what the other store has, and gives that to Into.
	Again bool
	// Moved is called now and then with bytes read since the call before; it may
	// be nil.
	Moved func(bytes int64)
}

// Copied is what a copy did.
type Copied struct {
	Written []Segment // objects that were not there
	Bytes   int64     // of those
	Read    bool      // Into got all bytes
}

// Copy makes to hold the objects segs of s under the same keys; one that is
// there with the right size is left alone, one with another size is an earlier
// copy that broke off and is replaced. It returns what either store returns.
func (s *Store) Copy(ctx context.Context, to *Store, segs []Segment, o CopyOptions) (c Copied, err error) {
	missing := map[string]bool{}
	for _, seg := range segs {
		there, err := to.ready(ctx, seg)
		if err != nil {
			return c, err
		}
		missing[seg.Key] = !there
		if !there {
			c.Written = append(c.Written, seg)
			c.Bytes += seg.Size
		}
	}
	if len(c.Written) == 0 && !o.Again {
		return c, nil
	}
	buf := make([]byte, 256<<10)
	for _, seg := range segs {
		var w *Writer
		switch {
		case missing[seg.Key]:
			if w, err = to.Create(ctx, seg.Key); err != nil {
				return c, err
			}
			err = s.pour(ctx, seg, o, !o.Again, w, buf)
			if err != nil {
				return c, errors.Join(err, w.Abort(ctx))
			}
			if err := w.Commit(ctx); err != nil {
				return c, err
			}
		case !o.Again:
			if err := s.pour(ctx, seg, o, true, nil, buf); err != nil {
				return c, err
			}
		}
		if o.Again {
			if err := to.pour(ctx, seg, o, true, nil, buf); err != nil {
				return c, err
			}
		}
	}
	c.Read = true
	return c, nil
}

// ready tells whether seg is there, and makes way for it if not.
func (s *Store) ready(ctx context.Context, seg Segment) (there bool, err error) {
	size, err := s.Stat(ctx, seg.Key)
	switch {
	case errors.Is(err, ErrNotFound):
		return false, nil
	case err != nil || size == seg.Size:
		return err == nil, err
	}
	return false, s.Delete(ctx, seg.Key)
}

// pour reads an object to its end, into o.Into if the bytes count, and into w
// unless that is nil.
func (s *Store) pour(ctx context.Context, seg Segment, o CopyOptions, count bool, w *Writer, buf []byte) (err error) {
	rc, err := s.Read(ctx, []Segment{seg}, 0, -1)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, rc.Close()) }()
	for left := seg.Size; left > 0; {
		n, err := io.ReadFull(rc, buf[:min(int64(len(buf)), left)])
		if err != nil {
			return fmt.Errorf("copy %s: %w", seg.Key, err)
		}
		left -= int64(n)
		if w != nil {
			if _, err := w.Write(buf[:n]); err != nil {
				return err
			}
		}
		if count && o.Into != nil {
			if _, err := o.Into.Write(buf[:n]); err != nil {
				return err
			}
		}
		if o.Moved != nil && count {
			o.Moved(int64(n))
		}
	}
	return nil
}

// Same tells whether what is written to s is seen in other: whether the two are
// one storage, however they are called. name is Check's.
func (s *Store) Same(ctx context.Context, other *Store, name string) (same bool, err error) {
	key := probe + name
	if err := s.Put(ctx, key, []byte("packhouse was here")); err != nil {
		return false, err
	}
	defer func() { err = errors.Join(err, s.Delete(ctx, key)) }()
	_, err = other.Stat(ctx, key)
	if errors.Is(err, ErrNotFound) {
		return false, nil
	}
	return err == nil, err
}
