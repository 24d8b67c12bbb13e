package blob

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"syscall"

	storagedriver "github.com/distribution/distribution/v3/registry/storage/driver"
)

// What an operation can meet besides its own result; test with errors.Is.
var (
	// ErrNotFound means that no object has this key.
	ErrNotFound = errors.New("object not found")
	// ErrExists means that the key was used before.
	ErrExists = errors.New("object exists already")
	// ErrNoSpace means that the disk or the quota is full (ENOSPC, EDQUOT).
	ErrNoSpace = errors.New("no space left for objects")
	// ErrReadOnly means that the filesystem is mounted read-only (EROFS).
	ErrReadOnly = errors.New("object storage is read-only")
	// errShort is an io.ErrUnexpectedEOF: the storage has the whole object and it
	// is shorter than it was written.
	errShort = fmt.Errorf("the object is shorter than it was: %w", io.ErrUnexpectedEOF)
	// ErrUnavailable means that storage on another machine was not reached, asked
	// to be left alone or refused, as long as it was asked again.
	ErrUnavailable = errors.New("object storage is not available")
)

// fail gives err, which an operation on key met, its place and its sentinel. A
// remote storage that fails in no way of its own is not available: what to do
// about it is not the client's to know.
func (s *Store) fail(op, key string, err error) error {
	if err = fail(op, key, err); err == nil || s.local != nil {
		return err
	}
	for _, known := range []error{ErrNotFound, ErrExists, ErrNoSpace, ErrReadOnly, ErrUnavailable, errShort, os.ErrClosed, context.Canceled} {
		if errors.Is(err, known) {
			return err
		}
	}
	if errors.Is(err, io.ErrUnexpectedEOF) {
		err = errors.New(err.Error()) // a broken connection's, which must not look like a short object's
	}
	return fmt.Errorf("%w: %w", ErrUnavailable, err)
}

// fail is without what only a store knows.
func fail(op, key string, err error) error {
	if err == nil {
		return nil
	}
	err = unwrap(err)
	if s := sentinel(err); s != nil && !errors.Is(err, s) {
		err = fmt.Errorf("%w: %w", s, err)
	}
	return fmt.Errorf("%s %s: %w", op, key, err)
}

// unwrap takes err out of the envelopes of the drivers and of the AWS SDK,
// which have no Unwrap and so hide an errno or a cancelled context from
// errors.Is.
func unwrap(err error) error {
	switch e := err.(type) { //nolint:errorlint // the envelope itself is wanted, not what it may hold
	case nil:
		return nil
	case storagedriver.Error:
		return unwrap(e.Detail)
	case storagedriver.Errors:
		all := make([]error, len(e.Errs))
		for i, one := range e.Errs {
			all[i] = unwrap(one)
		}
		return errors.Join(all...)
	}
	if e, ok := errors.AsType[storagedriver.Error](err); ok {
		return opened{err, unwrap(e.Detail)}
	}
	if e, ok := errors.AsType[origin](err); ok {
		return opened{err, unwrap(e.OrigErr())}
	}
	return err
}

// origin is an error of the AWS SDK.
type origin interface {
	error
	OrigErr() error
}

// opened is an error that shows what only its message told, on one line.
type opened struct {
	error
	inner error // nil for nothing
}

func (e opened) Error() string { return strings.Join(strings.Fields(e.error.Error()), " ") }

func (e opened) Unwrap() []error {
	if e.inner == nil {
		return []error{e.error}
	}
	return []error{e.error, e.inner}
}

// status is an error that an HTTP server answered.
type status interface {
	error
	StatusCode() int
}

// sentinel names the condition behind err, or is nil.
func sentinel(err error) error {
	if _, ok := errors.AsType[storagedriver.PathNotFoundError](err); ok {
		return ErrNotFound
	}
	if _, ok := errors.AsType[storagedriver.InvalidOffsetError](err); ok {
		return errShort
	}
	if e, ok := errors.AsType[status](err); ok && e.StatusCode() == http.StatusInsufficientStorage {
		return ErrNoSpace
	}
	switch {
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return ErrNoSpace
	case errors.Is(err, syscall.EROFS):
		return ErrReadOnly
	}
	return nil
}
