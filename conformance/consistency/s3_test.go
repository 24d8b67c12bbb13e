package consistency

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/packhouse/packhouse/conformance/services"
)

// uploads is what the clients of TestS3Faults did.
type uploads struct {
	c *client
	d *deployment

	mu     sync.Mutex
	taken  map[string]int // size by digest, of what was acknowledged
	faults []error

	large                                   int // one of how many blobs has several parts
	refused, cut, reads, failedReads, bytes atomic.Int64
}

func (u *uploads) fault(err error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if len(u.faults) < 20 {
		u.faults = append(u.faults, err)
	}
}

// run uploads n blobs, each until it is taken, for no longer than a while, and reads some back meanwhile: what comes is
// right, or visibly no whole answer.
func (u *uploads) run(ctx context.Context, r *rand.Rand, n int) {
	for range n {
		content := noise(r, 17<<10+r.IntN(512<<10))
		if r.IntN(u.large) == 0 {
			content = noise(r, 5<<20+r.IntN(12<<20))
		}
		digest := digestOf(content)
		for try := 0; ; try++ {
			a, err := u.upload(ctx, r, content)
			switch {
			case err != nil:
				u.cut.Add(1)
			case a.ok():
				u.mu.Lock()
				u.taken[digest] = len(content)
				u.mu.Unlock()
				u.bytes.Add(int64(len(content)))
			default:
				u.refused.Add(1)
				if err := a.busy(); err != nil {
					u.fault(err)
				}
			}
			if err == nil && a.ok() {
				break
			}
			if try == 200 {
				u.fault(fmt.Errorf("a blob of %d bytes was never taken: %v, %w", len(content), a, err))
				return
			}
			<-time.After(between(r, 10*time.Millisecond, 100*time.Millisecond))
		}
		u.read(ctx, u.d.at(r.IntN(len(u.d.replicas))), digest)
	}
}

// upload sends a blob in one body, or in two by two replicas.
func (u *uploads) upload(ctx context.Context, r *rand.Rand, content []byte) (*answer, error) {
	via, digest := u.d.at(r.IntN(2)), digestOf(content)
	if r.IntN(2) == 0 {
		return u.c.putBlob(ctx, via.url, "s3/app", content)
	}
	a, err := u.c.do(ctx, http.MethodPost, via.url+"/v2/s3/app/blobs/uploads/", nil, nil)
	if err != nil || !a.ok() {
		return a, err
	}
	location := a.header.Get("Location")
	half := len(content) / 2
	h := octets()
	h.Set("Content-Range", fmt.Sprintf("0-%d", half-1))
	if a, err = u.c.do(ctx, http.MethodPatch, u.d.at(r.IntN(2)).at(location), h, content[:half]); err != nil || !a.ok() {
		return a, err
	}
	return u.c.do(ctx, http.MethodPut, u.d.at(r.IntN(2)).at(withDigest(a.header.Get("Location"), digest)), octets(), content[half:])
}

// read reads a blob. An answer that ends well has the right bytes.
func (u *uploads) read(ctx context.Context, via *replica, digest string) bool {
	a, err := u.c.do(ctx, http.MethodGet, blobURL(via.url, "s3/app", digest), nil, nil)
	u.reads.Add(1)
	switch {
	case err != nil: // it was cut, and the client saw that
		u.failedReads.Add(1)
		return false
	case a.status == http.StatusServiceUnavailable:
		u.failedReads.Add(1)
		return false
	case !a.ok():
		u.fault(fmt.Errorf("an acknowledged blob: %s", a))
	case digestOf(a.body) != digest:
		u.fault(fmt.Errorf("%s brought %d bytes with digest %s", a.to, len(a.body), digestOf(a.body)))
	}
	return true
}

// TestS3Faults uploads blobs by two replicas to a store that resets connections, is slow, asks for less, and loses its
// answers to what it has done. What was acknowledged is there, byte for byte; what was not left nothing behind once the
// collection has run.
func TestS3Faults(t *testing.T) {
	d := deploy(t, setup{env: []string{
		"PACKHOUSE_UPLOADS__TTL=3s", "PACKHOUSE_GC__LEASE=3s", "PACKHOUSE_GC__EVERY=0s", "PACKHOUSE_GC__RATE=0",
	}})
	if d.services == nil {
		t.Skip("one process over SQLite has no S3")
	}
	c := newClient(2 * time.Minute)
	defer c.close()
	u := &uploads{c: c, d: d, taken: map[string]int{}}
	const clients = 8
	for i, phase := range []struct {
		name   string
		faults services.S3Faults
		large  int
	}{
		{"all is well", services.S3Faults{}, 6},
		{"connections are reset", services.S3Faults{Reset: 0.2}, 6},
		{"SlowDown", services.S3Faults{SlowDown: 0.3}, 6},
		{"slow", services.S3Faults{Delay: 500 * time.Millisecond}, 6},
		{"answers to CompleteMultipartUpload are lost", services.S3Faults{LoseReply: 0.6, Only: "complete"}, 1},
		{"answers to writes are lost", services.S3Faults{LoseReply: 0.3, Only: "write"}, 6},
		{"everything at once", services.S3Faults{Reset: 0.05, SlowDown: 0.1, LoseReply: 0.1, Delay: 20 * time.Millisecond}, 3},
	} {
		begin, before, refused, cut := time.Now(), len(u.taken), u.refused.Load(), u.cut.Load()
		slowDown, reset, lost, _ := d.store.Counts()
		u.large = phase.large
		d.store.Set(phase.faults)
		var all sync.WaitGroup
		for j := range clients {
			all.Go(func() { u.run(t.Context(), dice(100*i+j), size(3, 20)) })
		}
		all.Wait()
		slowDown2, reset2, lost2, _ := d.store.Counts()
		slowDown, reset, lost = slowDown2-slowDown, reset2-reset, lost2-lost
		t.Logf("%-45s %3d blobs taken in %s, %d tries refused, %d cut; the store sent %d SlowDown, %d resets, lost %d answers", phase.name,
			len(u.taken)-before, time.Since(begin).Round(100*time.Millisecond), u.refused.Load()-refused, u.cut.Load()-cut, slowDown, reset, lost)
		f := phase.faults
		if f.SlowDown > 0 && slowDown == 0 || f.Reset > 0 && reset == 0 || f.LoseReply > 0 && lost == 0 {
			t.Errorf("%s: the fault met nobody", phase.name)
		}
	}
	u.large = 1
	d.store.Set(services.S3Faults{Delay: 100 * time.Millisecond})
	before := len(u.taken)
	var all sync.WaitGroup
	for j := range clients {
		all.Go(func() { u.run(t.Context(), dice(1000+j), size(2, 10)) })
	}
	for i := range size(2, 10) {
		<-time.After(500 * time.Millisecond)
		if err := errors.Join(d.at(i).kill(), d.at(i).start(t.Context())); err != nil {
			t.Fatal(err)
		}
	}
	all.Wait()
	t.Logf("%-45s %3d blobs taken, %d tries cut", "replicas are killed", len(u.taken)-before, u.cut.Load())
	d.store.Set(services.S3Faults{})
	begin, turn := time.Now(), 0
	for digest := range u.taken {
		for range d.replicas {
			turn++
			if !u.read(t.Context(), d.at(turn), digest) {
				t.Errorf("blob %s cannot be read when all is well again", digest)
			}
		}
	}
	for _, err := range u.faults {
		t.Error(err)
	}
	t.Logf("%d blobs, %d MiB; %d of %d reads failed visibly; all read back in %s", len(u.taken), u.bytes.Load()>>20, u.failedReads.Load(), u.reads.Load(),
		time.Since(begin).Round(100*time.Millisecond))
	d.nothingStray(t, c, u)
}

// nothingStray collects after all upload sessions have ended: each object holds a blob, and no multipart upload is open.
// The blobs are kept by a manifest meanwhile.
func (d *deployment) nothingStray(t *testing.T, c *client, u *uploads) {
	t.Helper()
	if a, err := c.putBlob(t.Context(), d.at(0).url, "s3/app", config); err != nil || !a.ok() {
		t.Fatalf("push: %v %v", a, err)
	}
	if err := u.keep(t.Context()); err != nil {
		t.Fatal(err)
	}
	before, err := d.services.S3.Multiparts(t.Context(), d.place.Bucket)
	if err != nil {
		t.Fatal(err)
	}
	var got report
	begin := time.Now()
	err = eventually(t.Context(), time.Minute, func() error {
		if _, _, err := operate[collected](t.Context(), c, d.at(0), "gc"); err != nil {
			return err
		}
		open, err := d.services.S3.Multiparts(t.Context(), d.place.Bucket)
		if err != nil || len(open) > 0 {
			return fmt.Errorf("%d multipart uploads are open: %v %w", len(open), open, err)
		}
		if got, _, err = operate[report](t.Context(), c, d.at(1), "fsck"); err != nil {
			return err
		}
		if got.Found > 0 || got.Orphans > 0 {
			return fmt.Errorf("%d problems, %d orphans: %s", got.Found, got.Orphans, got.Problems)
		}
		objects, err := d.services.S3.Objects(t.Context(), d.place.Bucket)
		if err != nil || int64(len(objects)) != got.Objects {
			return fmt.Errorf("%d objects in the bucket, the database knows %d: %w", len(objects), got.Objects, err)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
	t.Logf("%d multipart uploads were left open, none after the collection, %s later; fsck: %d blobs in %d objects, %d problems, %d orphans",
		len(before), time.Since(begin).Round(100*time.Millisecond), got.Blobs, got.Objects, got.Found, got.Orphans)
}

// keep pushes manifests that refer to all blobs: garbage would be collected.
func (u *uploads) keep(ctx context.Context) error {
	u.mu.Lock()
	defer u.mu.Unlock()
	n := 0
	for digest, size := range u.taken {
		n++
		m := manifestOf(fmt.Sprint("keep ", n), config, []descriptor{{layerType, digest, size}})
		a, err := u.c.putManifest(ctx, u.d.at(n).url, "s3/app", fmt.Sprint("keep", n), m, nil)
		if err != nil || !a.ok() {
			return errors.Join(fmt.Errorf("keep %s: %v", digest, a), err)
		}
	}
	return nil
}
