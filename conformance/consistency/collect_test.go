package consistency

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// collected is what the tests read of a collection's result.
type collected struct {
	Blobs, Bytes int64
}

// report is what the tests read of a check's result.
type report struct {
	Blobs, Bytes, Manifests, Objects, Orphans, Found int64
	Problems                                         json.RawMessage
}

// operate runs an operation of the administrative API. busy is true when another replica is at it.
func operate[T any](ctx context.Context, c *client, via *replica, name string) (result T, busy bool, err error) {
	a, err := c.do(ctx, http.MethodPost, via.url+"/-/api/v1/"+name, http.Header{"Content-Type": {"application/json"}}, []byte("{}"))
	switch {
	case err != nil:
		return result, false, err
	case a.status == http.StatusServiceUnavailable, a.status == http.StatusConflict:
		return result, true, a.busy()
	case !a.ok():
		return result, false, fmt.Errorf("unexpected answer: %s", a)
	}
	return result, false, json.Unmarshal(a.body, &result)
}

// collector asks every replica for one collection after the other. passes counts the finished ones.
type collector struct {
	passes, busy, blobs atomic.Int64
}

func (k *collector) run(ctx context.Context, t *testing.T, c *client, d *deployment) {
	t.Helper()
	var all sync.WaitGroup
	for _, via := range d.replicas {
		all.Go(func() {
			for ctx.Err() == nil {
				got, busy, err := operate[collected](context.WithoutCancel(ctx), c, via, "gc")
				switch {
				case err != nil:
					t.Errorf("collect: %v", err)
					return
				case busy:
					k.busy.Add(1)
					<-time.After(20 * time.Millisecond)
				default:
					k.passes.Add(1)
					k.blobs.Add(got.Blobs)
				}
			}
		})
	}
	all.Wait()
}

// TestCollectUnderFire lets clients push while garbage is collected without a pause. No push that the registry took, or
// let begin, misses a blob; nothing that is served dangles; and the garbage that was there goes.
//
// Seen red: with a lease shorter than pushes take, see TestHarnessSeesEarlyCollection.
func TestCollectUnderFire(t *testing.T) {
	const pushers = 100
	length, lease := span(20*time.Second, 10*time.Minute), span(6*time.Second, time.Minute)
	f := &fire{lease: lease, most: lease / 2}
	d := deploy(t, setup{env: []string{
		"PACKHOUSE_GC__LEASE=" + lease.String(), "PACKHOUSE_GC__EVERY=0s", "PACKHOUSE_GC__UNTAGGED=1s", "PACKHOUSE_TRASH__WINDOW=1s", "PACKHOUSE_GC__RATE=0",
	}})
	c := newClient(time.Minute)
	defer c.close()
	r := dice(0)
	for range 200 {
		f.hot = append(f.hot, noise(r, 17<<10+r.IntN(16<<10)))
	}
	garbage := d.litter(t, c, size(300, 3000))
	<-time.After(1500 * time.Millisecond) // the images among it leave the trash
	if _, busy, err := operate[collected](t.Context(), c, d.at(0), "gc"); err != nil || busy {
		t.Fatalf("collect: %v, busy %v", err, busy)
	}
	before := time.Now()

	ctx, cancel := context.WithTimeout(t.Context(), length)
	defer cancel()
	var all sync.WaitGroup
	crew := make([]*pusher, pushers)
	for i := range crew {
		crew[i] = &pusher{id: i, r: dice(i + 1), c: c, d: d, fire: f, alive: map[string]pushed{}}
		all.Go(func() { crew[i].run(ctx) })
	}
	k := &collector{}
	collecting, stop := context.WithCancel(t.Context())
	defer stop()
	var ended sync.WaitGroup
	ended.Go(func() { k.run(collecting, t, c, d) })
	gone := f.cycles(ctx, t, k, before)
	left := d.count(t, c, garbage)
	all.Wait()
	stop()
	ended.Wait()

	for _, err := range f.faults {
		t.Error(err)
	}
	images := 0
	for _, p := range crew {
		for _, one := range p.alive {
			images++
			if err := one.whole(t.Context(), c, d.at(images)); err != nil {
				t.Error(err)
			}
		}
	}
	rate := 100 * float64(len(garbage)-left) / float64(len(garbage))
	if rate < 95 {
		t.Errorf("%d of %d blobs of the garbage are left after two cycles", left, len(garbage))
	}
	d.checkAfterFire(t, c, lease)
	t.Logf("%d pushes by %d pushers in %s: %d blobs found there, %d mounted, %d uploaded (%d MiB), %d images deleted, %d pushes too slow; "+
		"%d collections (%d asked while another ran) removed %d blobs; %.1f %% of %d blobs of garbage were gone after two cycles, which took %s; %d images whole",
		f.pushes.Load(), pushers, length, f.skipped.Load(), f.mounted.Load(), f.uploaded.Load(), f.bytes.Load()>>20, f.deleted.Load(), f.late.Load(),
		k.passes.Load(), k.busy.Load(), k.blobs.Load(), rate, len(garbage), gone.Round(time.Millisecond), images)
}

// litter makes garbage: blobs that nothing ever referred to, and blobs of images that are deleted. It returns their digests.
func (d *deployment) litter(t *testing.T, c *client, n int) []string {
	t.Helper()
	r := dice(-1)
	var list []string
	upload := func(content []byte) {
		a, err := c.putBlob(t.Context(), d.at(len(list)).url, "fire/garbage", content)
		if err != nil || a.status != http.StatusCreated {
			t.Fatalf("push garbage: %v %v", a, err)
		}
		list = append(list, digestOf(content))
	}
	for len(list) < n {
		layer, config := noise(r, 17<<10), noise(r, 100)
		upload(layer)
		upload(config)
		if r.IntN(2) == 0 {
			continue
		}
		m := image(digestOf(config), config, layer)
		a, err := c.putManifest(t.Context(), d.at(len(list)).url, "fire/garbage", "gone", m, nil)
		if err != nil || a.status != http.StatusCreated {
			t.Fatalf("push garbage: %v %v", a, err)
		}
		a, err = c.do(t.Context(), http.MethodDelete, manifestURL(d.at(len(list)+1).url, "fire/garbage", m.digest), nil, nil)
		if err != nil || a.status != http.StatusAccepted {
			t.Fatalf("delete garbage: %v %v", a, err)
		}
	}
	return list
}

// cycles waits until two whole collections have run since all that was garbage at an instant has been so for longer than
// the lease, and returns how long they took.
func (f *fire) cycles(ctx context.Context, t *testing.T, k *collector, since time.Time) time.Duration {
	t.Helper()
	select {
	case <-ctx.Done():
		t.Error("the run ended before the lease did")
	case <-time.After(time.Until(since.Add(f.lease + 500*time.Millisecond))):
	}
	begin, passes := time.Now(), k.passes.Load()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for k.passes.Load() < passes+3 { // the first may have begun before
		select {
		case <-t.Context().Done():
			t.Fatal("no two collections ended")
		case <-tick.C:
		}
	}
	return time.Since(begin)
}

// count tells how many blobs of the garbage are still there.
func (d *deployment) count(t *testing.T, c *client, garbage []string) int {
	t.Helper()
	left := 0
	for i, digest := range garbage {
		a, err := c.do(t.Context(), http.MethodHead, blobURL(d.at(i).url, "fire/garbage", digest), nil, nil)
		if err != nil {
			t.Fatal(err)
		}
		if a.status != http.StatusNotFound {
			left++
		}
	}
	return left
}

// checkAfterFire looks at what is stored: no reference dangles, no object is there that nothing holds.
func (d *deployment) checkAfterFire(t *testing.T, c *client, lease time.Duration) {
	t.Helper()
	<-time.After(lease + 2*time.Second) // what the last pushes replaced
	for range 2 {
		if _, busy, err := operate[collected](t.Context(), c, d.at(0), "gc"); err != nil || busy {
			t.Fatalf("collect at the end: %v, busy %v", err, busy)
		}
	}
	got, _, err := operate[report](t.Context(), c, d.at(1), "fsck")
	if err != nil {
		t.Fatal(err)
	}
	if got.Found > 0 || got.Orphans > 0 {
		t.Errorf("%d problems and %d orphans at the end: %s", got.Found, got.Orphans, got.Problems)
	}
	note := "objects on disk are fsck's"
	if d.services != nil {
		objects, err := d.services.S3.Objects(t.Context(), d.place.Bucket)
		if err != nil {
			t.Fatal(err)
		}
		note = fmt.Sprintf("%d objects in the bucket", len(objects))
		if int64(len(objects)) > got.Blobs {
			t.Errorf("%d objects hold %d blobs", len(objects), got.Blobs)
		}
		open, err := d.services.S3.Multiparts(t.Context(), d.place.Bucket)
		if err != nil || len(open) > 0 {
			t.Errorf("multipart uploads are left: %v, %v", open, err)
		}
	}
	t.Logf("fsck: %d blobs, %d manifests, %d objects, %d orphans, %d problems; %s", got.Blobs, got.Manifests, got.Objects, got.Orphans, got.Found, note)
}
