package crash

import (
	"context"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/packhouse/packhouse/conformance/packhouse"
)

// TestPowerCut takes the image of the server's disk at an instant, as a power
// cut would leave it: what was written but not fsynced is in the page cache and
// so not in the image. Each image is mounted, which replays its journal, and a
// server started on it must have all that was acknowledged before the instant.
// Two cuts of three come when the server has just acknowledged one operation,
// each kind in turn, and rests; the others in the midst of eight clients' work.
//
// By default ext4 does more than it must: it commits its journal every five
// seconds, and writes a file that was truncated when it is closed. The second
// run takes all that away, so that only the server's own fsyncs count.
//
// Seen red: without the fsync of an object's file (blobs lost or unreadable),
// with the database's synchronous at OFF, with commits that do not wait for
// the log, and with only deletes not waiting (a deleted tag comes back).
func TestPowerCut(t *testing.T) {
	for _, v := range []struct {
		name, options string
		cuts          int
	}{
		{"defaults", "", size(3, 27)},
		{"strict", "commit=300,noauto_da_alloc,data=writeback", size(14, 54)},
	} {
		t.Run(v.name, func(t *testing.T) { cutPower(t, v.options, v.cuts) })
	}
}

func cutPower(t *testing.T, options string, cuts int) {
	const mib = 1024
	r := dice(200)
	disk := mountExt4(t, mib, options)
	n := mustStart(t, disk.dir, packhouse.Options{})
	problems := &problems{t: t}
	crew := team(8, smallAndLarge, problems.add)
	var slowest time.Duration
	read, flying := 0, 0
	for cut := range cuts {
		ctx, cancel := context.WithTimeout(t.Context(), between(r, 30*time.Millisecond, 300*time.Millisecond))
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			work(ctx, n.url, crew)
		}()
		last := "in the midst of work"
		<-ctx.Done()
		if cut%3 != 0 {
			<-ended
			last = crew[0].one(n, 2*cut/3)
		}
		image := filepath.Join(filepath.Dir(disk.image), "cut")
		journals := freeze(t, n, disk, crew, image)
		cancel()
		<-ended
		for _, s := range journals {
			if s.flying != nil {
				flying++
			}
		}
		a, ready := powerOn(t, image, journals)
		read, slowest = read+a.read, max(slowest, ready)
		if text := a.report(); text != "" {
			t.Fatalf("cut %d of %d, %s, seed %d:\n%s", cut+1, cuts, last, *seed, text)
		}
	}
	t.Logf("%d cuts with %d operations in flight: %d acknowledged in all, %d names read back, 0 faults; ready within %s",
		cuts, flying, acknowledged(crew), read, slowest.Round(time.Millisecond))
}

// one does operation i of the tour and nothing else.
func (w *worker) one(n *node, i int) string {
	tour := w.tour()
	i %= len(tour)
	w.c = newClient(n.url)
	defer w.c.close()
	tour[i](w.repos[0])
	return fmt.Sprintf("after operation %d of the tour", i)
}

// freeze stops the server, copies the journals and the disk, and lets it go on.
func freeze(t *testing.T, n *node, disk *volume, crew []*worker, image string) []snapshot {
	t.Helper()
	if err := n.pause(); err != nil {
		t.Fatal(err)
	}
	journals := snapshots(crew)
	// The kernel may go on writing by itself; a moment when it does not comes soon.
	for !disk.copy(t, image) {
	}
	if err := n.resume(); err != nil {
		t.Fatal(err)
	}
	return journals
}

// powerOn mounts image, starts a server on it and reads everything back.
func powerOn(t *testing.T, image string, journals []snapshot) (a *audit, ready time.Duration) {
	t.Helper()
	t.Run("on", func(t *testing.T) {
		disk := &volume{image: image}
		disk.mount(t, "")
		n := mustStart(t, disk.dir, packhouse.Options{})
		a, ready = newAudit(n.url), n.ready
		a.journals(t.Context(), journals, true)
	})
	if a == nil {
		t.FailNow()
	}
	return a, ready
}
