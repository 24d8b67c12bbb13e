package blob

import (
	"context"
	"errors"
	"fmt"
	"path"
	"strings"

	storagedriver "github.com/distribution/distribution/v3/registry/storage/driver"
	"github.com/distribution/distribution/v3/registry/storage/driver/factory"
	_ "github.com/distribution/distribution/v3/registry/storage/driver/filesystem" // "filesystem"
	_ "github.com/distribution/distribution/v3/registry/storage/driver/inmemory"   // "inmemory"
)

// Segment is one object of a blob; a blob is its segments in order.
type Segment struct {
	Key  string
	Size int64 // bytes
}

// Store keeps objects. Its methods may be called concurrently.
type Store struct {
	driver storagedriver.StorageDriver
	urls   storagedriver.StorageDriver            // signs URLs; nil where nothing does
	local  *local                                 // nil on remote drivers
	pause  func(ctx context.Context, n int) error // before the n-th attempt in a row

	observer Observer // nil for nobody
}

// Open makes a store of the named driver of distribution with that driver's
// own parameters, as in
// https://distribution.github.io/distribution/storage-drivers/. Beside
// filesystem and inmemory those drivers can be named that the program links
// in; they register themselves. The filesystem
// driver needs rootdirectory, under which Open makes the directories that
// objects lie in.
func Open(ctx context.Context, driver string, params map[string]any) (*Store, error) {
	var root string
	if driver == "filesystem" {
		if root, _ = params["rootdirectory"].(string); root == "" {
			return nil, errors.New("open filesystem storage: parameter rootdirectory is missing: set it to the data directory")
		}
	}
	d, err := factory.Create(ctx, driver, params)
	if err != nil {
		return nil, fmt.Errorf("open %s storage: %w", driver, unwrap(err))
	}
	return newStore(d, root)
}

// New makes a store over d, which is on another machine. If d has the methods
// of the interfaces in remote.go they are used.
func New(d storagedriver.StorageDriver) *Store {
	s, _ := newStore(d, "") // only a local one can fail
	return s
}

// newStore makes a store over d, which is on the local disk if root is set.
func newStore(d storagedriver.StorageDriver, root string) (*Store, error) {
	s := &Store{driver: d, urls: d, pause: pause}
	if root == "" {
		return s, nil
	}
	s.local = newLocal(root)
	if err := s.local.prepare(); err != nil {
		return nil, fail("open", root, err)
	}
	return s, nil
}

// Local returns the directory that objects lie under, and whether there is one
// on this machine.
func (s *Store) Local() (root string, ok bool) {
	if s.local == nil {
		return "", false
	}
	return s.local.root, true
}

// Create starts the object key, which must not have been used before. The
// caller must end the Writer with Commit or Abort; ctx governs it until then.
// It returns ErrExists (filesystem only), ErrNoSpace, ErrReadOnly,
// ErrUnavailable.
func (s *Store) Create(ctx context.Context, key string) (*Writer, error) {
	if err := checkKey(key); err != nil {
		return nil, err
	}
	if s.local != nil {
		if err := s.local.claim(key); err != nil {
			return nil, fail("create", key, err)
		}
	}
	at, op := s.begin(ctx, "create")
	fw, err := s.driver.Writer(ctx, key, false)
	if err = op.end(at, 0, s.fail("create", key, err)); err != nil {
		return nil, err
	}
	return &Writer{store: s, key: key, fw: fw}, nil
}

// Put stores content whole as the object key; it is durable on return. It
// costs one request on a remote driver and two fsyncs on the filesystem: the
// file's own and its share in one of the directory's. It returns ErrExists
// (filesystem only), ErrNoSpace, ErrReadOnly, ErrUnavailable.
func (s *Store) Put(ctx context.Context, key string, content []byte) error {
	if s.local != nil {
		// The driver's PutContent would rename a temporary file: a key that
		// is used once and read only after its commit needs no such thing.
		w, err := s.Create(ctx, key)
		if err != nil {
			return err
		}
		// A failed write is remembered by w: Commit discards and reports it.
		_, _ = w.Write(content)
		return w.Commit(ctx)
	}
	if err := checkKey(key); err != nil {
		return err
	}
	size := int64(len(content))
	ctx, op := s.begin(ctx, "put")
	err := s.driver.PutContent(ctx, key, content)
	if err != nil {
		look, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanupTimeout)
		defer cancel()
		if s.holds(look, key, size) {
			err = nil
		} else {
			// What the storage is still at must not outlast this refusal.
			err = errors.Join(s.fail("put", key, err), s.remove(look, key))
		}
	}
	return op.end(ctx, size, err)
}

// holds tells whether a remote driver has all of key although its answer to
// the write was an error: the reply may have been lost.
func (s *Store) holds(ctx context.Context, key string, size int64) bool {
	fi, err := s.driver.Stat(ctx, key)
	return err == nil && !fi.IsDir() && fi.Size() == size
}

// Delete removes the object key; one that is not there is no error. On the
// filesystem a power cut may bring it back. It returns ErrReadOnly,
// ErrUnavailable.
func (s *Store) Delete(ctx context.Context, key string) error {
	if err := checkKey(key); err != nil {
		return err
	}
	ctx, op := s.begin(ctx, "delete")
	return op.end(ctx, 0, s.remove(ctx, key))
}

func (s *Store) remove(ctx context.Context, key string) error {
	if err := s.fail("delete", key, s.driver.Delete(ctx, key)); !errors.Is(err, ErrNotFound) {
		return err
	}
	return nil
}

// Stat returns the size of the object key in bytes. It returns ErrNotFound,
// ErrUnavailable.
func (s *Store) Stat(ctx context.Context, key string) (int64, error) {
	if err := checkKey(key); err != nil {
		return 0, err
	}
	ctx, op := s.begin(ctx, "stat")
	fi, err := s.driver.Stat(ctx, key)
	if err = op.end(ctx, 0, s.fail("stat", key, err)); err != nil {
		return 0, err
	}
	if fi.IsDir() {
		return 0, fmt.Errorf("stat %s: %w: it is a directory", key, ErrNotFound)
	}
	return fi.Size(), nil
}

// Walk calls fn for every object under prefix, a directory such as "/objects",
// and stops at the first error, which it returns. On the filesystem files come
// in the order of their names within a directory. An absent prefix holds
// nothing.
func (s *Store) Walk(ctx context.Context, prefix string, fn func(key string, size int64) error) error {
	return s.WalkExcept(ctx, prefix, func(string) bool { return false }, fn)
}

// WalkExcept is Walk without what lies in the directories that except picks.
func (s *Store) WalkExcept(ctx context.Context, prefix string, except func(dir string) bool, fn func(key string, size int64) error) error {
	var stopped error
	err := s.driver.Walk(ctx, prefix, func(fi storagedriver.FileInfo) error {
		switch stopped = ctx.Err(); {
		case stopped != nil:
		case !fi.IsDir():
			stopped = fn(fi.Path(), fi.Size())
		case except(fi.Path()):
			return storagedriver.ErrSkipDir
		}
		return stopped
	})
	if stopped != nil {
		return stopped
	}
	if absent, ok := errors.AsType[storagedriver.PathNotFoundError](err); ok && absent.Path == prefix {
		return nil
	}
	return s.fail("walk", prefix, err)
}

// checkKey refuses what is not a key. The drivers' own check lets ".." pass,
// and their Delete removes whole directories: hence the three names.
func checkKey(key string) error {
	if !storagedriver.PathRegexp.MatchString(key) || path.Clean(key) != key || strings.Count(key, "/") < 3 {
		return fmt.Errorf("object key %q is not of the form /a/b/c", key)
	}
	return nil
}
