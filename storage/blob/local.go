package blob

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
)

// dirMode keeps private content from other users of the machine.
const dirMode = 0o750

// local is what the filesystem driver leaves to its user: that directories,
// and not files alone, are durable.
type local struct {
	root    string
	syncs   *dirSyncs
	durable sync.Map // directory → struct{}: known to survive a power cut
}

func newLocal(root string) *local {
	return &local{root: filepath.Clean(root), syncs: newDirSyncs(syncDir)}
}

// prepare makes root, root/objects and its 256 directories. What is there
// already is fsynced all the same: an earlier process may have been killed
// between making and syncing it.
func (l *local) prepare() error {
	if err := l.makeRoot(); err != nil {
		return err
	}
	objects := filepath.Join(l.root, "objects")
	if err := l.makeDir(objects); err != nil {
		return err
	}
	for i := range 256 {
		dir := filepath.Join(objects, fmt.Sprintf("%02x", i))
		if err := os.Mkdir(dir, dirMode); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
		l.durable.Store(dir, struct{}{})
	}
	return l.syncs.sync(objects)
}

// makeRoot makes root and the ancestors it lacks.
func (l *local) makeRoot() error {
	there := l.root
	for {
		if _, err := os.Stat(there); !errors.Is(err, fs.ErrNotExist) {
			break
		}
		there = filepath.Dir(there)
	}
	if err := os.MkdirAll(l.root, dirMode); err != nil {
		return err
	}
	for dir := l.root; dir != there; dir = filepath.Dir(dir) {
		if err := l.syncs.sync(filepath.Dir(dir)); err != nil {
			return err
		}
	}
	if there == l.root {
		// Made by someone else, perhaps in a directory we may not open.
		if err := l.syncs.sync(filepath.Dir(l.root)); err != nil && !errors.Is(err, fs.ErrPermission) {
			return err
		}
	}
	l.durable.Store(l.root, struct{}{})
	return nil
}

// makeDir makes dir, which lies under root, durably.
func (l *local) makeDir(dir string) error {
	if _, ok := l.durable.Load(dir); ok {
		return nil
	}
	parent := filepath.Dir(dir)
	if err := l.makeDir(parent); err != nil {
		return err
	}
	if err := os.Mkdir(dir, dirMode); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	if err := l.syncs.sync(parent); err != nil {
		return err
	}
	l.durable.Store(dir, struct{}{})
	return nil
}

func (l *local) path(key string) string { return filepath.Join(l.root, filepath.FromSlash(key)) }

// claim makes ready for the object key, which the driver would write over an
// existing one.
func (l *local) claim(key string) error {
	file := l.path(key)
	if err := l.makeDir(filepath.Dir(file)); err != nil {
		return err
	}
	_, err := os.Lstat(file)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err == nil:
		return ErrExists
	}
	return err
}

// settle makes the entry of key in its directory durable.
func (l *local) settle(key string) error { return l.syncs.sync(filepath.Dir(l.path(key))) }
