package meta

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"syscall"
)

// reserve is a file of allocated but unused bytes beside the database. When
// the disk is full it is given up, so that deletes and collection, which must
// write before they can free anything, still commit. Until it can be taken
// again nothing else is committed: pushes would only eat what was freed.
type reserve struct {
	mu   sync.Mutex
	path string
	held bool
}

const (
	reserveBytes = 12 << 20 // some hundred deletes' worth of log pages, with their records
	marginBytes  = 4 << 20  // what must be left beside it for the pushes that go on
)

func newReserve(dir string) *reserve {
	r := &reserve{path: filepath.Join(dir, "reserve")}
	r.refill()
	return r
}

// refill tells whether the space is held. It takes it again once there is more
// than that.
func (r *reserve) refill() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.held {
		return true
	}
	if fi, err := os.Stat(r.path); err == nil && fi.Size() == reserveBytes {
		r.held = true
		return true
	}
	var s syscall.Statfs_t
	if err := syscall.Statfs(filepath.Dir(r.path), &s); err != nil || int64(s.Bavail)*s.Bsize < reserveBytes+marginBytes {
		return false
	}
	if err := os.WriteFile(r.path, make([]byte, reserveBytes), 0o600); err != nil {
		_ = os.Remove(r.path) // a part would only keep space from others
		return false
	}
	r.held = true
	return true
}

// release gives the space up; false if there was none to give.
func (r *reserve) release() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.held {
		return false
	}
	r.held = false
	err := os.Remove(r.path)
	return err == nil || errors.Is(err, fs.ErrNotExist)
}
