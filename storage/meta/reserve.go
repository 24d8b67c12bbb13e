package meta

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// reserve is a file of allocated but unused bytes beside the database. When
// the disk is full it is given up, so that deletes and collection, which must
// write before they can free anything, still commit.
type reserve struct {
	path   string
	held   bool
	before time.Time // no attempt to refill until then
}

const (
	reserveBytes = 4 << 20 // a few hundred deletes' worth of log pages
	refillEvery  = 10 * time.Second
)

func newReserve(dir string) *reserve {
	r := &reserve{path: filepath.Join(dir, "reserve")}
	r.refill()
	return r
}

// refill takes the space again, now and then, once there is some.
func (r *reserve) refill() {
	if r.held || time.Now().Before(r.before) {
		return
	}
	r.before = time.Now().Add(refillEvery)
	if err := os.WriteFile(r.path, make([]byte, reserveBytes), 0o600); err != nil {
		_ = os.Remove(r.path) // read-only or full: tried again later
		return
	}
	r.held = true
}

// release gives the space up; false if there was none to give.
func (r *reserve) release() bool {
	if !r.held {
		return false
	}
	r.held = false
	r.before = time.Now().Add(refillEvery)
	err := os.Remove(r.path)
	return err == nil || errors.Is(err, fs.ErrNotExist)
}
