package crash

import (
	"context"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/packhouse/packhouse/conformance/packhouse"
)

// TestDiskFull fills the server's disk by pushing and then takes the last
// free byte. All along writes are answered 507 with a sentence and
// Retry-After, or done; reads work; deletes work. Killed, the server starts
// with no byte left and has everything acknowledged. Once there is space,
// pushes work.
//
// Seen red: with the database's reserve left to whoever writes next (deletes
// are refused), and with ENOSPC not told from other errors (500).
func TestDiskFull(t *testing.T) {
	t.Run("ext4", func(t *testing.T) { fillDisk(t, mountExt4(t, 64, "")) })
	t.Run("tmpfs", func(t *testing.T) { fillDisk(t, mountTmpfs(t, 48)) })
}

func fillDisk(t *testing.T, disk *volume) {
	ballast := filepath.Join(disk.dir, "ballast")
	if err := os.WriteFile(ballast, make([]byte, 12<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	n := mustStart(t, disk.dir, packhouse.Options{})
	problems := &problems{t: t}
	crew := team(8, smallAndLarge, problems.add)
	var refused atomic.Int64
	ctx, enough := context.WithCancel(t.Context())
	defer enough()
	for _, w := range crew {
		w.refuse = func(r *reply) error {
			if refused.Add(1) == int64(size(200, 1000)) {
				enough()
			}
			return outOfSpace(r)
		}
	}
	work(ctx, n.url, crew)
	readAll(t, n, crew, "the disk is full")

	filler := disk.fill(t)
	deleteSome(t, n, crew)
	readAll(t, n, crew, "no byte is left")

	if err := n.kill(); err != nil {
		t.Fatal(err)
	}
	disk.fill(t) // what the server gave up for the deletes
	n = mustStart(t, disk.dir, packhouse.Options{})
	readAll(t, n, crew, "restarted with no byte left")

	for _, path := range []string{filler, ballast} {
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
	}
	before := refused.Load()
	for _, w := range crew {
		w.c, w.sizes = newClient(n.url), []int{4 << 10}
		for range 3 {
			w.pushWhole(w.repos[0])
			w.pushTagged(w.repos[0])
		}
		w.c.close()
	}
	if after := refused.Load(); after != before {
		t.Errorf("%d pushes were refused although there is space again", after-before)
	}
	readAll(t, n, crew, "there is space again")
	t.Logf("%d operations acknowledged, %d writes refused with 507", acknowledged(crew), before)
}

// outOfSpace tells what is wrong with a refusal on a full disk.
func outOfSpace(r *reply) error {
	if r.status != http.StatusInsufficientStorage || strings.HasPrefix(r.to, http.MethodDelete) {
		return errors.New("on a full disk: " + r.String())
	}
	if r.header.Get("Retry-After") == "" {
		return errors.New("no Retry-After: " + r.String())
	}
	_, err := r.ociError()
	return err
}

// deleteSome deletes tags, manifests and blobs, each client a few.
func deleteSome(t *testing.T, n *node, crew []*worker) {
	t.Helper()
	before := acknowledged(crew)
	for _, w := range crew {
		w.c = newClient(n.url)
		for _, repo := range w.repos {
			w.deleteTag(repo)
			w.deleteManifest(repo)
			w.deleteBlob(repo)
		}
		w.c.close()
	}
	if done := acknowledged(crew) - before; done < len(crew) {
		t.Errorf("only %d deletes were done with no byte left", done)
	}
}

func readAll(t *testing.T, n *node, crew []*worker, when string) {
	t.Helper()
	a := newAudit(n.url)
	settle(t.Context(), a, crew, true)
	if text := a.report(); text != "" {
		t.Fatalf("%s, seed %d:\n%s", when, *seed, text)
	}
}
