package blob

import (
	"errors"
	"fmt"
	"io"
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
)

// fail gives err, which an operation on key met, its place and its sentinel.
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

// unwrap takes err out of the drivers' envelopes, which have no Unwrap and so
// hide an errno or a cancelled context from errors.Is.
func unwrap(err error) error {
	switch e := err.(type) { //nolint:errorlint // the envelope itself is wanted, not what it may hold
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
		return errors.Join(err, unwrap(e.Detail))
	}
	return err
}

// sentinel names the condition behind err, or is nil.
func sentinel(err error) error {
	if _, ok := errors.AsType[storagedriver.PathNotFoundError](err); ok {
		return ErrNotFound
	}
	if _, ok := errors.AsType[storagedriver.InvalidOffsetError](err); ok {
		return io.ErrUnexpectedEOF // the object is shorter than the offset
	}
	switch {
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return ErrNoSpace
	case errors.Is(err, syscall.EROFS):
		return ErrReadOnly
	}
	return nil
}
