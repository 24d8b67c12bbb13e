package blob

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	storagedriver "github.com/distribution/distribution/v3/registry/storage/driver"
	"github.com/distribution/distribution/v3/registry/storage/driver/factory"
	"github.com/google/go-cmp/cmp"
)

// faulty is a driver whose answers a test decides; nil lets the call through.
type faulty struct {
	storagedriver.StorageDriver
	events *[]string // what happened to files and directories, in order

	create error
	write  error
	put    func(inner func() error) error
	commit func(inner storagedriver.FileWriter) error
}

func (d *faulty) PutContent(ctx context.Context, path string, content []byte) error {
	inner := func() error { return d.StorageDriver.PutContent(ctx, path, content) }
	if d.put != nil {
		return d.put(inner)
	}
	return inner()
}

func (d *faulty) Writer(ctx context.Context, path string, appending bool) (storagedriver.FileWriter, error) {
	if d.create != nil {
		return nil, d.create
	}
	fw, err := d.StorageDriver.Writer(ctx, path, appending)
	return &faultyWriter{FileWriter: fw, driver: d}, err
}

type faultyWriter struct {
	storagedriver.FileWriter
	driver *faulty
}

func (w *faultyWriter) event(what string) { *w.driver.events = append(*w.driver.events, what) }

func (w *faultyWriter) Write(p []byte) (int, error) {
	if w.driver.write != nil {
		return 0, w.driver.write
	}
	return w.FileWriter.Write(p)
}

func (w *faultyWriter) Commit(ctx context.Context) error {
	w.event("commit")
	if w.driver.commit != nil {
		return w.driver.commit(w.FileWriter)
	}
	return w.FileWriter.Commit(ctx)
}

func (w *faultyWriter) Close() error {
	w.event("close")
	return w.FileWriter.Close()
}

func (w *faultyWriter) Cancel(ctx context.Context) error {
	w.event("cancel")
	if err := ctx.Err(); err != nil {
		return err // as a driver over a network does
	}
	return w.FileWriter.Cancel(ctx)
}

// newFaulty opens a store over a faulty driver and forgets what Open did.
func newFaulty(t *testing.T, name string) (*Store, *faulty) {
	t.Helper()
	params, root := map[string]any{}, ""
	if name == "filesystem" {
		root = t.TempDir()
		params["rootdirectory"] = root
	}
	inner, err := factory.Create(t.Context(), name, params)
	if err != nil {
		t.Fatal(err)
	}
	d := &faulty{StorageDriver: inner, events: new([]string)}
	s, err := newStore(d, root)
	if err != nil {
		t.Fatal(err)
	}
	if s.local != nil {
		s.local.syncs.fsync = func(dir string) error {
			*d.events = append(*d.events, "fsync "+strings.TrimPrefix(dir, root))
			return syncDir(dir)
		}
	}
	return s, d
}

const faultKey = "/objects/ab/x"

// TestRemoteCommitError: an error may hide a success, and then only.
func TestRemoteCommitError(t *testing.T) {
	t.Parallel()
	lost := errors.New("connection reset")
	tests := []struct {
		name   string
		commit func(fw storagedriver.FileWriter) error
		ok     bool
	}{
		{"reply lost", func(fw storagedriver.FileWriter) error {
			return errors.Join(fw.Commit(t.Context()), lost)
		}, true},
		{"nothing done", func(storagedriver.FileWriter) error { return lost }, false},
		{"more than was written", func(fw storagedriver.FileWriter) error {
			_, err := fw.Write([]byte("!"))
			return errors.Join(err, fw.Commit(t.Context()), lost)
		}, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s, d := newFaulty(t, "inmemory")
			d.commit = tt.commit
			w, err := s.Create(t.Context(), faultKey)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := w.Write([]byte("hello")); err != nil {
				t.Fatal(err)
			}
			err = w.Commit(t.Context())
			if tt.ok {
				if err != nil {
					t.Errorf("commit: %v", err)
				}
				if got := read(t, s, 0, -1, Segment{faultKey, 5}); got != "hello" {
					t.Errorf("got %q", got)
				}
				return
			}
			wantError(t, "commit", err, lost)
			_, err = s.Stat(t.Context(), faultKey)
			wantError(t, "stat", err, ErrNotFound)
		})
	}
}

func TestRemotePutError(t *testing.T) {
	t.Parallel()
	lost := errors.New("connection reset")
	s, d := newFaulty(t, "inmemory")
	d.put = func(inner func() error) error { return errors.Join(inner(), lost) }
	if err := s.Put(t.Context(), faultKey, []byte("hello")); err != nil {
		t.Errorf("reply lost: %v", err)
	}
	d.put = func(func() error) error { return lost }
	wantError(t, "nothing done", s.Put(t.Context(), "/objects/ab/y", []byte("hello")), lost)
}

// TestCleanupOutlivesRequest: what a client broke off is removed although the
// request's context is done.
func TestCleanupOutlivesRequest(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(ctx context.Context, w *Writer) error{
		"abort":  func(ctx context.Context, w *Writer) error { return w.Abort(ctx) },
		"commit": func(ctx context.Context, w *Writer) error { return w.Commit(ctx) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, d := newFaulty(t, "filesystem")
			d.commit = func(storagedriver.FileWriter) error { return context.Canceled }
			ctx, cancel := context.WithCancel(t.Context())
			w, err := s.Create(ctx, faultKey)
			if err != nil {
				t.Fatal(err)
			}
			cancel()
			if err := end(ctx, w); err != nil && name == "abort" {
				t.Error(err)
			}
			_, err = s.Stat(t.Context(), faultKey)
			wantError(t, "stat", err, ErrNotFound)
		})
	}
}

// TestFilesystemOrder is the durability of the filesystem: the file first,
// then its directory, each once.
//
// Red when: settle is not called, or before the file's Commit.
func TestFilesystemOrder(t *testing.T) {
	t.Parallel()
	s, d := newFaulty(t, "filesystem")
	put(t, s, faultKey, "hello")
	if diff := cmp.Diff([]string{"commit", "close", "fsync /objects/ab"}, *d.events); diff != "" {
		t.Error(diff)
	}
	*d.events = nil
	put(t, s, "/lost/found/x/y", "hello")
	want := []string{"fsync ", "fsync /lost", "fsync /lost/found", "commit", "close", "fsync /lost/found/x"}
	if diff := cmp.Diff(want, *d.events); diff != "" {
		t.Error(diff)
	}
}

// TestOpenMakesDirectoriesDurable: whoever has a new entry is fsynced, also
// the second time, in case the first was killed in between.
func TestOpenMakesDirectoriesDurable(t *testing.T) {
	t.Parallel()
	base := t.TempDir()
	for _, want := range [][]string{
		{"/a/b", "/a", "", "/a/b/data", "/a/b/data/objects"},
		{"/a/b", "/a/b/data", "/a/b/data/objects"},
	} {
		l := newLocal(filepath.Join(base, "a/b/data"))
		var got []string
		l.syncs.fsync = func(dir string) error {
			got = append(got, strings.TrimPrefix(dir, base))
			return syncDir(dir)
		}
		if err := l.prepare(); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
	}
}

// TestFilesystemSyncError: a failed fsync is reported and not repeated, not
// even by a Close, and the object is gone.
func TestFilesystemSyncError(t *testing.T) {
	t.Parallel()
	t.Run("of the file", func(t *testing.T) {
		t.Parallel()
		s, d := newFaulty(t, "filesystem")
		d.commit = func(storagedriver.FileWriter) error {
			return &fs.PathError{Op: "sync", Path: faultKey, Err: syscall.EIO}
		}
		wantError(t, "put", s.Put(t.Context(), faultKey, []byte("hello")), syscall.EIO)
		if diff := cmp.Diff([]string{"commit", "cancel"}, *d.events); diff != "" {
			t.Error(diff)
		}
		_, err := s.Stat(t.Context(), faultKey)
		wantError(t, "stat", err, ErrNotFound)
		d.commit = nil
		put(t, s, "/objects/ab/y", "hello")
	})
	t.Run("of the directory", func(t *testing.T) {
		t.Parallel()
		s, _ := newFaulty(t, "filesystem")
		s.local.syncs.fsync = func(string) error { return syscall.EIO }
		wantError(t, "put", s.Put(t.Context(), faultKey, []byte("hello")), syscall.EIO)
		s.local.syncs.fsync = syncDir
		wantError(t, "put beside it", s.Put(t.Context(), "/objects/ab/y", []byte("hello")), syscall.EIO)
		for _, key := range []string{faultKey, "/objects/ab/y"} {
			_, err := s.Stat(t.Context(), key)
			wantError(t, "stat "+key, err, ErrNotFound)
		}
		put(t, s, "/objects/cd/z", "hello")
	})
}

// TestErrno: conditions of the disk are seen through every envelope.
func TestErrno(t *testing.T) {
	t.Parallel()
	envelopes := map[string]func(error) error{
		"bare":   func(err error) error { return err },
		"driver": func(err error) error { return storagedriver.Error{DriverName: "x", Detail: err} },
		"nested": func(err error) error {
			return storagedriver.Error{Detail: storagedriver.Errors{Errs: []error{os.ErrInvalid, storagedriver.Error{Detail: err}}}}
		},
		"joined": func(err error) error { return errors.Join(os.ErrInvalid, storagedriver.Error{Detail: err}) },
	}
	for errno, want := range map[error]error{
		syscall.ENOSPC:   ErrNoSpace,
		syscall.EDQUOT:   ErrNoSpace,
		syscall.EROFS:    ErrReadOnly,
		syscall.EIO:      syscall.EIO,
		context.Canceled: context.Canceled,
		storagedriver.PathNotFoundError{Path: faultKey}: ErrNotFound,
	} {
		for name, envelope := range envelopes {
			err := envelope(&fs.PathError{Op: "write", Path: faultKey, Err: errno})
			t.Run(name+"/"+errno.Error(), func(t *testing.T) {
				t.Parallel()
				s, d := newFaulty(t, "filesystem")
				d.write = err
				wantError(t, "write", s.Put(t.Context(), faultKey, []byte("hello")), want)
				_, statErr := s.Stat(t.Context(), faultKey)
				wantError(t, "stat", statErr, ErrNotFound)
				d.create = err
				_, createErr := s.Create(t.Context(), faultKey)
				wantError(t, "create", createErr, want)
			})
		}
	}
}

// A failed write is remembered: what follows it cannot be committed.
func TestWriteErrorSticks(t *testing.T) {
	t.Parallel()
	s, d := newFaulty(t, "inmemory")
	w, err := s.Create(t.Context(), faultKey)
	if err != nil {
		t.Fatal(err)
	}
	d.write = syscall.ENOSPC
	_, err = w.Write([]byte("hello"))
	wantError(t, "write", err, ErrNoSpace)
	d.write = nil
	_, err = w.Write([]byte("hello"))
	wantError(t, "write again", err, ErrNoSpace)
	wantError(t, "commit", w.Commit(t.Context()), ErrNoSpace)
	if diff := cmp.Diff([]string{"cancel"}, *d.events); diff != "" {
		t.Error(diff)
	}
	_, err = s.Stat(t.Context(), faultKey)
	wantError(t, "stat", err, ErrNotFound)
}
