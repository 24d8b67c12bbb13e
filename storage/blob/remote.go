package blob

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	storagedriver "github.com/distribution/distribution/v3/registry/storage/driver"
	storagemiddleware "github.com/distribution/distribution/v3/registry/storage/driver/middleware"
)

// rangeReader is a driver that reads a part of an object by one request for
// that part; others are asked for all from an offset on, and left in the middle.
type rangeReader interface {
	// ReadRange opens n bytes from off. It returns io.ErrUnexpectedEOF for an
	// object that has fewer.
	ReadRange(ctx context.Context, path string, off, n int64) (io.ReadCloser, error)
}

// staleAborter is a driver that knows of uploads that nobody ended.
type staleAborter interface {
	// AbortStale drops the uploads to keys below path, a directory, that got
	// nothing since before, and returns how many those were.
	AbortStale(ctx context.Context, path string, before time.Time) (n int, err error)
}

// AbortStale drops what processes that died had sent of objects below /objects
// that they never committed, where it got nothing since before, and returns how
// many such uploads there were. Only S3 keeps any: elsewhere there is nothing
// to do. It returns ErrUnavailable.
func (s *Store) AbortStale(ctx context.Context, before time.Time) (n int, err error) {
	d, ok := s.driver.(staleAborter)
	if !ok {
		return 0, nil
	}
	n, err = d.AbortStale(ctx, "/objects", before)
	return n, s.fail("abort uploads below", "/objects", err)
}

// Through sends the URLs that the store signs through one of distribution's
// storage middlewares, which the program must link in: cloudfront, redirect or
// rewrite.
func (s *Store) Through(ctx context.Context, middleware string, params map[string]any) error {
	urls, err := storagemiddleware.Get(ctx, middleware, params, s.driver)
	if err != nil {
		return fmt.Errorf("storage middleware %s: %w", middleware, err)
	}
	s.urls = urls
	return nil
}

// RedirectURL returns a URL by which the client of r, a GET, can read the blob
// made of segs from the storage itself for some minutes, or "": a blob of
// several objects has none, and not every driver signs URLs.
func (s *Store) RedirectURL(r *http.Request, segs []Segment) (string, error) {
	if len(segs) != 1 || r.Method != http.MethodGet {
		return "", nil
	}
	key := segs[0].Key
	if err := checkKey(key); err != nil {
		return "", err
	}
	ctx, op := s.begin(r.Context(), "sign")
	to, err := s.urls.RedirectURL(r, key)
	if _, ok := errors.AsType[storagedriver.ErrUnsupportedMethod](err); ok {
		err = nil
	}
	return to, op.end(ctx, 0, s.fail("sign a URL of", key, err))
}

// probe is the reserved name of what Check writes.
const probe = "/packhouse/check/"

// Check writes, reads and deletes one small object, which tells whether
// address, bucket and rights are right; name is its last part, one of its own
// for each process. What it returns says what to look at.
func (s *Store) Check(ctx context.Context, name string) error {
	key := probe + name
	content := []byte("packhouse was here\n")
	if err := s.driver.PutContent(ctx, key, content); err != nil {
		return s.explain("write", key, err)
	}
	rc, err := s.open(ctx, key, 0, int64(len(content)))
	if err == nil {
		var got []byte
		got, err = io.ReadAll(rc)
		if err = errors.Join(err, rc.Close()); err == nil && string(got) != string(content) {
			err = errors.New("other bytes came back than were written")
		}
	}
	if err != nil {
		return s.explain("read", key, err)
	}
	if err := s.driver.Delete(ctx, key); err != nil {
		return s.explain("delete", key, err)
	}
	return nil
}

// explainer is a driver that can tell which of its parameters is wrong.
type explainer interface {
	// Explain says of an error what to do about it, or "".
	Explain(err error) string
}

func (s *Store) explain(op, key string, err error) error {
	advice := "check the driver's parameters and what their credentials may do"
	if d, ok := s.driver.(explainer); ok {
		if a := d.Explain(unwrap(err)); a != "" {
			advice = a
		}
	}
	return fmt.Errorf("the storage cannot be used: %s (%w)", advice, s.fail(op, key, err))
}
