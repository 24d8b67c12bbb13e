package server

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// Dir is a data directory that belongs to this process.
type Dir struct {
	path string // absolute
	lock *os.File
}

// LockedError means that another process has the data directory.
type LockedError struct {
	Path string
	PID  string // "" if it cannot be told
}

func (e *LockedError) Error() string {
	holder := "another process"
	if e.PID != "" {
		holder = "process " + e.PID
	}
	return fmt.Sprintf("data directory %s is in use by %s: stop it, or give this one another directory with --data", e.Path, holder)
}

// OpenDir makes the directory if need be and locks it. It returns a
// *LockedError while another process has it.
func OpenDir(path string) (*Dir, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("data directory: %w", err)
	}
	if err := os.MkdirAll(path, 0o750); err != nil {
		return nil, fmt.Errorf("data directory: %w", err)
	}
	if fs, remote := networkFileSystem(path); remote {
		return nil, fmt.Errorf("data directory %s is on a network file system (%s), where the database would be damaged: use a local disk and, to keep blobs elsewhere, storage.driver", path, fs)
	}
	lock, err := os.OpenFile(filepath.Join(path, "lock"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("data directory: %w", err)
	}
	d := &Dir{path: path, lock: lock}
	if err := d.claim(); err != nil {
		return nil, errors.Join(err, lock.Close())
	}
	return d, nil
}

func (d *Dir) claim() error {
	err := syscall.Flock(int(d.lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		pid := make([]byte, 20)
		n, _ := d.lock.ReadAt(pid, 0) // the error is io.EOF; no pid is no harm
		return &LockedError{Path: d.path, PID: strings.TrimSpace(string(pid[:n]))}
	}
	if err != nil {
		return fmt.Errorf("lock data directory %s: %w", d.path, err)
	}
	// The pid is for people. A disk so full that it cannot be written must
	// not stop a start: deleting needs a server.
	if d.lock.Truncate(0) == nil {
		_, _ = d.lock.WriteAt(fmt.Appendf(nil, "%d\n", os.Getpid()), 0)
	}
	return nil
}

// Path is the directory, absolute.
func (d *Dir) Path() string { return d.path }

// Close gives the directory up.
func (d *Dir) Close() error { return d.lock.Close() }

// publish writes DATA/addr whole or not at all.
func (d *Dir) publish(lines ...string) error {
	name := filepath.Join(d.path, "addr")
	if err := os.WriteFile(name+".new", []byte(strings.Join(lines, "\n")+"\n"), 0o640); err != nil { //nolint:gosec // no secret
		return fmt.Errorf("publish address: %w", err)
	}
	if err := os.Rename(name+".new", name); err != nil {
		return fmt.Errorf("publish address: %w", err)
	}
	return nil
}

// withdraw removes DATA/addr.
func (d *Dir) withdraw() error {
	err := os.Remove(filepath.Join(d.path, "addr"))
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	return err
}

// Running returns the clients' URL of the server that has the data directory,
// if one says that it runs.
func Running(data string) (url string, ok bool) {
	content, err := os.ReadFile(filepath.Join(data, "addr"))
	if err != nil {
		return "", false
	}
	first, _, _ := strings.Cut(string(content), "\n")
	return strings.TrimSpace(first), first != ""
}
