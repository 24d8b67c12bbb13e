package blob

import (
	"errors"
	"fmt"
	"os"
	"sync"
	"syscall"
)

// dirSyncs shares fsyncs of directories among concurrent callers: whoever
// calls while one runs waits for the next, and all who wait take that one.
type dirSyncs struct {
	fsync func(dir string) error
	mu    sync.Mutex // guards dirs and each next
	dirs  map[string]*dirQueue
}

// dirQueue is one directory. Entries stay: there are as many as directories
// that objects are written to.
type dirQueue struct {
	turn chan struct{} // full while an fsync runs; guards lost and the fields of rounds
	next *round        // joined by callers, not begun
	lost error         // the directory lost a write
}

// round is one fsync and all who wait for it.
type round struct {
	done bool
	err  error
}

func newDirSyncs(fsync func(dir string) error) *dirSyncs {
	return &dirSyncs{fsync: fsync, dirs: map[string]*dirQueue{}}
}

// sync returns after an fsync of dir that began after the call.
func (s *dirSyncs) sync(dir string) error {
	s.mu.Lock()
	q := s.dirs[dir]
	if q == nil {
		q = &dirQueue{turn: make(chan struct{}, 1)}
		s.dirs[dir] = q
	}
	if q.next == nil {
		q.next = &round{}
	}
	r := q.next
	s.mu.Unlock()

	q.turn <- struct{}{}
	defer func() { <-q.turn }()
	if r.done { // by another of the same round
		return r.err
	}
	s.mu.Lock()
	q.next = nil // r begins: nobody may join it any more
	s.mu.Unlock()
	r.done, r.err = true, q.lost
	if q.lost != nil {
		return r.err
	}
	r.err = s.fsync(dir)
	if errors.Is(r.err, syscall.EIO) {
		// The kernel reports a lost write once and forgets it: a later fsync
		// would succeed without the entries of those who wait for it.
		q.lost = fmt.Errorf("an earlier fsync failed, restart after checking the disk: %w", r.err)
	}
	return r.err
}

// syncDir fsyncs one directory.
func syncDir(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}
