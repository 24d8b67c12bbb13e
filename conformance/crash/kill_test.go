package crash

import (
	"context"
	"errors"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/packhouse/packhouse/conformance/packhouse"
)

// smallAndLarge are blob sizes from one segment's worth to several; the least is
// large enough that no two random blobs are the same.
var smallAndLarge = []int{33, 700, 4 << 10, 4 << 10, 20 << 10, 64 << 10, 300 << 10, 2 << 20}

// TestKill kills the server with SIGKILL at random instants while eight
// clients push, move and delete, and sometimes again while it starts; of
// replicas, one of them while the others go on, or all. After
// each restart everything acknowledged that could have changed is read back;
// after the last one, everything.
//
// Seen red: with the answer sent before the commit (lost), with a manifest's
// tags set in a second transaction (torn), with a blob's bytes written after
// its row (error: the blob is there and cannot be read), and with the sweep of
// orphans at start not asking whether a key is in use (the same).
func TestKill(t *testing.T) {
	rounds, r := size(10, 100), dice(100)
	data := filepath.Join(t.TempDir(), "data")
	problems := &problems{t: t}
	crew := team(8, smallAndLarge, problems.add)
	n := mustStart(t, data, packhouse.Options{})
	var slowest time.Duration
	read, again, one := 0, 0, 0
	for round := range rounds {
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			work(ctx, n.url, crew)
		}()
		<-time.After(between(r, 20*time.Millisecond, 1200*time.Millisecond))
		victim := n.victim(r)
		if err := n.killOnly(victim); err != nil {
			t.Fatal(err)
		}
		cancel() // the others would go on
		<-ended
		if victim == allReplicas && r.IntN(4) == 0 {
			again++
			killWhileStarting(t, data, between(r, 0, 60*time.Millisecond))
		}
		if victim == allReplicas {
			n = mustStart(t, data, packhouse.Options{})
		} else {
			one++
			n.revive(t, victim)
		}
		slowest = max(slowest, n.ready)
		a := newAudit(n.url)
		settle(t.Context(), a, crew, round == rounds-1)
		read += a.read
		if text := a.report(); text != "" {
			t.Fatalf("round %d of %d, seed %d:\n%s", round+1, rounds, *seed, text)
		}
	}
	t.Logf("%d kills, %d of one replica alone, and %d more while starting: %d operations acknowledged, %d names read back, 0 faults; ready within %s",
		rounds, one, again, acknowledged(crew), read, slowest.Round(time.Millisecond))
}

// settle audits the journals of crew and tells each how its operation in
// flight ended.
func settle(ctx context.Context, a *audit, crew []*worker, everything bool) {
	for i, done := range a.journals(ctx, snapshots(crew), everything) {
		crew[i].l.settle(done)
	}
}

func snapshots(crew []*worker) []snapshot {
	list := make([]snapshot, len(crew))
	for i, w := range crew {
		list[i] = w.l.snapshot()
	}
	return list
}

func acknowledged(crew []*worker) int {
	n := 0
	for _, w := range crew {
		n += w.l.snapshot().acked
	}
	return n
}

func killWhileStarting(t *testing.T, data string, after time.Duration) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), after)
	defer cancel()
	n, err := start(ctx, data, packhouse.Options{})
	if err == nil {
		err = n.kill()
	} else if ctx.Err() != nil {
		err = nil
	}
	if err != nil && !errors.Is(err, context.DeadlineExceeded) {
		t.Fatal(err)
	}
}

// problems turns the complaints of clients into failures, the first few in words.
type problems struct {
	t     *testing.T
	mu    sync.Mutex
	count int
}

func (p *problems) add(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.count++; p.count <= 10 {
		p.t.Error(err)
	} else {
		p.t.Fail()
	}
}
