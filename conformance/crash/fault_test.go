package crash

import (
	"errors"
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"github.com/packhouse/packhouse/conformance/packhouse"
)

// fault is a system call of the server that fails.
type fault struct {
	calls string // names, comma-separated
	errno string
	only  string // pattern of the files, below the data directory, whose calls count; "" for all
	nth   int    // the nth call that a thread makes
	after int    // operations that are done before the count begins
}

// faults lists what is tried. Operations are few and threads many, so a count
// that begins anew before each operation reaches what a long count does not:
// that makes each operation's own commit fail.
func faults() []fault {
	var list []fault
	add := func(f fault, nth, after int) {
		for f.nth = 1; f.nth <= nth; f.nth++ {
			for f.after = 0; f.after <= after; f.after++ {
				list = append(list, f)
			}
		}
	}
	last := size(2, len((&worker{}).tour())-1)
	add(fault{calls: "fsync,fdatasync", errno: "EIO", only: "*-wal"}, 1, last)
	add(fault{calls: "pwrite64", errno: "ENOSPC", only: "*-wal"}, size(1, 3), last)
	if !*full {
		return list
	}
	add(fault{calls: "pwrite64", errno: "EIO", only: "*-wal"}, 3, last)
	for _, f := range []fault{
		{calls: "write", errno: "ENOSPC", only: "objects/*/*"},
		{calls: "write", errno: "EIO", only: "objects/*/*"},
		{calls: "fsync,fdatasync", errno: "EIO"},
		{calls: "pwrite64", errno: "EIO"},
		{calls: "openat", errno: "EIO"},
		{calls: "openat", errno: "EMFILE"},
		{calls: "openat", errno: "ENOSPC"},
		{calls: "unlinkat,unlink", errno: "EIO"},
		{calls: "newfstatat,fstat", errno: "EIO"},
	} {
		add(f, 10, 0)
	}
	return list
}

// TestFaults makes system calls of the server fail while a client pushes and
// deletes. Each operation is done and durable, or answered 5xx and without any
// effect, now and after a restart; then the same client can push again. A
// panic fails the test.
//
// Seen red: with a commit whose fsync failed left in the database's log, where
// the next start finds it: what was answered 5xx is done after all, and a blob
// is there whose bytes were given up.
func TestFaults(t *testing.T) {
	total, hits := 0, 0
	for _, f := range faults() {
		t.Run(fmt.Sprintf("%s %s %s %d after %d", f.calls, f.errno, f.only, f.nth, f.after), func(t *testing.T) {
			total++
			f.inject(t, &hits)
		})
	}
	if hits < total/3 {
		t.Errorf("only %d calls failed in %d runs: the faults miss the server", hits, total)
	}
	t.Logf("%d runs with %d failed calls", total, hits)
}

// tour is one of each operation.
func (w *worker) tour() []func(repo string) bool {
	return []func(string) bool{
		w.pushWhole, w.pushTagged, w.pushChunks, w.pushUntagged, w.deleteTag, w.pushIndex, w.deleteManifest, w.deleteBlob, w.mount,
	}
}

func (f fault) inject(t *testing.T, failed *int) {
	data := filepath.Join(t.TempDir(), "data")
	n := mustStart(t, data, packhouse.Options{})
	problems := &problems{t: t}
	w := team(1, []int{4 << 10, 600 << 10}, problems.add)[0]
	w.c = newClient(n.url)
	repo := w.repos[0]
	for range 3 {
		w.pushWhole(w.repos[1])
		w.pushWhole(repo)
		w.pushTagged(repo)
	}
	for _, do := range w.tour()[:f.after] {
		do(repo)
	}
	w.refuse = func(r *reply) error {
		if r.status < http.StatusInternalServerError {
			return fmt.Errorf("unexpected answer: %s", r)
		}
		_, err := r.ociError()
		return err
	}
	tracer := f.attach(t, n)
	for _, do := range w.tour()[f.after:] {
		if !do(repo) {
			break // it hit the connection
		}
	}
	*failed += tracer.stop(t)
	w.c.close()
	readAll(t, n, []*worker{w}, "after the errors")
	if err := n.kill(); err != nil {
		t.Fatal(err)
	}
	n = mustStart(t, data, packhouse.Options{})
	readAll(t, n, []*worker{w}, "restarted")
	w.c = newClient(n.url)
	w.refuse = func(r *reply) error { return errors.New("the errors are over: " + r.String()) }
	for _, do := range w.tour() {
		do(repo)
	}
	w.c.close()
	readAll(t, n, []*worker{w}, "pushed again")
}

func (f fault) attach(t *testing.T, n *node) *tracer {
	t.Helper()
	args := []string{"-e", "trace=" + f.calls, "-e", fmt.Sprintf("inject=%s:error=%s:when=%d", f.calls, f.errno, f.nth)}
	for _, path := range f.files(t, n.data) {
		args = append(args, "-P", path)
	}
	return attach(t, n, args...)
}

// files returns the paths that f is limited to. Those of objects are foretold:
// a process numbers its objects from 00 to ff under one name.
func (f fault) files(t *testing.T, data string) []string {
	t.Helper()
	if f.only == "" {
		return nil
	}
	there, err := filepath.Glob(filepath.Join(data, f.only))
	if err != nil || len(there) == 0 {
		t.Fatalf("no file %s in the data directory: %v", f.only, err)
	}
	first, isObject := strings.CutSuffix(there[0], "-00")
	if !isObject {
		return there
	}
	paths := make([]string, 256)
	for i := range paths {
		paths[i] = fmt.Sprintf("%s-%02x", first, i)
	}
	return paths
}
