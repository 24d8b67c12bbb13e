package blob

import (
	"errors"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
)

// TestDirSyncsShare steps through rounds: callers who come while an fsync runs
// are answered by the next one, together.
//
// Red when: a caller may join a round that has begun; a round is not shared.
func TestDirSyncsShare(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		finish := make(chan error)
		begun := 0
		s := newDirSyncs(func(string) error {
			begun++
			return <-finish
		})
		returned := map[string]error{}
		var mu sync.Mutex
		call := func(names ...string) {
			for _, name := range names {
				go func() {
					err := s.sync("dir")
					mu.Lock()
					returned[name] = err
					mu.Unlock()
				}()
			}
			synctest.Wait()
		}
		want := func(fsyncs int, names ...string) {
			t.Helper()
			mu.Lock()
			defer mu.Unlock()
			if begun != fsyncs || len(returned) != len(names) {
				t.Fatalf("%d fsyncs begun and %v returned, want %d and %v", begun, returned, fsyncs, names)
			}
			for _, name := range names {
				if _, ok := returned[name]; !ok {
					t.Fatalf("%v returned, want %v", returned, names)
				}
			}
		}
		end := func(err error) {
			finish <- err
			synctest.Wait()
		}

		call("a")
		want(1)
		call("b", "c", "d")
		want(1)
		end(nil)
		want(2, "a")
		call("e", "f")
		want(2, "a")
		end(syscall.ENOSPC)
		want(3, "a", "b", "c", "d")
		end(nil)
		want(3, "a", "b", "c", "d", "e", "f")
		for name, err := range returned {
			if full := slices.Contains([]string{"b", "c", "d"}, name); full != errors.Is(err, syscall.ENOSPC) {
				t.Errorf("%s: got error %v", name, err)
			}
		}
	})
}

// TestDirSyncsOrder: under any schedule, whoever returns had an fsync that
// began after the call and ended before the return.
func TestDirSyncsOrder(t *testing.T) {
	t.Parallel()
	var clock, covered atomic.Int64 // covered: when the newest finished fsync began
	var running atomic.Int32
	s := newDirSyncs(func(string) error {
		if running.Add(1) != 1 {
			t.Error("two fsyncs of one directory at once")
		}
		began := clock.Add(1)
		runtime.Gosched() // let others call meanwhile
		covered.Store(began)
		running.Add(-1)
		return nil
	})
	var wg sync.WaitGroup
	for range 16 {
		wg.Go(func() {
			for range 500 {
				called := clock.Add(1)
				if err := s.sync("dir"); err != nil {
					t.Error(err)
				}
				if covered.Load() < called {
					t.Error("returned without an fsync that began after the call")
				}
			}
		})
	}
	wg.Wait()
}

// TestDirSyncsLost: after EIO a directory is never fsynced again, as that
// would succeed without what was lost. Other directories and errors go on.
func TestDirSyncsLost(t *testing.T) {
	t.Parallel()
	var fsyncs []string
	answer := map[string]error{"bad": syscall.EIO, "full": syscall.ENOSPC}
	s := newDirSyncs(func(dir string) error {
		fsyncs = append(fsyncs, dir)
		return answer[dir]
	})
	wantError(t, "bad", s.sync("bad"), syscall.EIO)
	wantError(t, "full", s.sync("full"), syscall.ENOSPC)
	clear(answer)
	wantError(t, "bad again", s.sync("bad"), syscall.EIO)
	for _, dir := range []string{"full", "good"} {
		if err := s.sync(dir); err != nil {
			t.Errorf("%s: %v", dir, err)
		}
	}
	if want := []string{"bad", "full", "full", "good"}; !slices.Equal(fsyncs, want) {
		t.Errorf("fsynced %v, want %v", fsyncs, want)
	}
}
