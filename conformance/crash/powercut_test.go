package crash

import (
	"context"
	"path/filepath"
	"testing"
	"time"

	"github.com/packhouse/packhouse/conformance/packhouse"
)

// TestPowerCut takes the image of the server's disk at an instant, as a power
// cut would leave it, while eight clients push, move and delete: what was
// written but not fsynced is in the page cache and so not in the image. Each
// image is mounted, which replays its journal, and a server started on it must
// have all that was acknowledged before the instant. Half of the cuts follow
// the last answer at once. With commit=300 nothing but the server's own fsyncs
// commits the file system's journal.
func TestPowerCut(t *testing.T) {
	for _, v := range []struct {
		name, options string
		cuts          int
	}{
		{"defaults", "", size(2, 25)},
		{"commit=300", "commit=300", size(4, 35)},
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
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			work(ctx, n.url, crew)
		}()
		<-time.After(between(r, 100*time.Millisecond, 800*time.Millisecond))
		quiet := cut%2 == 0
		if quiet {
			cancel()
			<-ended
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
			t.Fatalf("cut %d of %d (quiet: %t), seed %d:\n%s", cut+1, cuts, quiet, *seed, text)
		}
	}
	t.Logf("%d cuts with %d operations in flight: %d acknowledged in all, %d names read back, 0 faults; ready within %s",
		cuts, flying, acknowledged(crew), read, slowest.Round(time.Millisecond))
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
