package engine

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/packhouse/packhouse/registry"
	"github.com/packhouse/packhouse/registry/registrytest"
	"github.com/packhouse/packhouse/storage/meta/metatest"
)

const (
	fireFor    = 5 * time.Second // at least: longer on a machine that is slow
	fireAtMost = time.Minute
	fireLease  = 1500 * time.Millisecond
	firePool   = 150 // contents that all pushers share
	firePusher = 12  // per engine
)

// fire are pushers that skip what they find by HEAD, mount, delete and push
// again, on engines that collect all the while.
type fire struct {
	t         *testing.T
	engines   []*Engine
	pushes    atomic.Int64
	skipped   atomic.Int64 // blobs found by HEAD
	mounted   atomic.Int64
	collected atomic.Int64
	late      atomic.Int64 // pushes that took longer than the lease promises

	mu     sync.Mutex
	tagged map[string]registry.Manifest // "repo:tag" → what it must point to, by its one owner
}

func pooled(n int) string { return fmt.Sprintf("content %d of a pool that all pushers share", n) }

// The mutations that turn this red: leave the renewal out of StatBlob, or the
// comparison of the lease out of [collection.garbage].
func TestCollectionUnderFire(t *testing.T) {
	t.Parallel()
	p := newPlace(t, metatest.Postgres(t))
	short := func(c *Config) { c.Lease, c.Trash = fireLease, 200*time.Millisecond }
	a, _ := p.engine(t, short)
	b, _ := p.engine(t, short)
	f := &fire{t: t, engines: []*Engine{a, b}, tagged: map[string]registry.Manifest{}}
	var garbage []registry.Digest
	for i := range 60 {
		garbage = append(garbage, pushBlob(t, a, "acme/garbage", fmt.Sprint("garbage ", i)))
	}
	ctx, stop := context.WithTimeout(t.Context(), fireAtMost)
	defer stop()
	var wg sync.WaitGroup
	wg.Go(func() { f.watch(ctx, stop) })
	for i, e := range f.engines {
		wg.Go(func() { f.collect(ctx, e) })
		for j := range firePusher {
			wg.Go(func() { f.push(ctx, i, j) })
		}
	}
	wg.Wait()
	t.Logf("%d pushes, %d too late, %d blobs skipped by HEAD, %d mounted, %d collected meanwhile", f.pushes.Load(), f.late.Load(), f.skipped.Load(), f.mounted.Load(), f.collected.Load())
	if f.pushes.Load() == 0 || f.skipped.Load() == 0 || f.mounted.Load() == 0 || f.collected.Load() == 0 {
		t.Error("the test did not do what it is for")
	}
	f.check(t.Context())
	p.advance(2 * fireLease)
	collect(t, a)
	collect(t, b)
	for _, d := range garbage {
		if _, err := a.meta.BlobRow(t.Context(), d); err == nil {
			t.Errorf("%s of the garbage is left after two cycles", d)
		}
	}
	f.check(t.Context())
}

// watch ends the run when enough happened.
func (f *fire) watch(ctx context.Context, stop context.CancelFunc) {
	for began := time.Now(); ctx.Err() == nil; pause(ctx, 100*time.Millisecond) {
		enough := f.pushes.Load() > 100 && f.skipped.Load() > 50 && f.mounted.Load() > 20 && f.collected.Load() > 20
		if enough && time.Since(began) > fireFor {
			stop()
		}
	}
}

// collect makes one pass after the other.
func (f *fire) collect(ctx context.Context, e *Engine) {
	for ctx.Err() == nil {
		c, err := e.Collect(ctx, CollectOptions{})
		if err != nil && ctx.Err() == nil && !errors.Is(err, registry.Unavailable) {
			f.t.Errorf("collect: %v", err)
		}
		f.collected.Add(c.Blobs)
	}
}

// push publishes images of shared contents under a tag of its own, on both
// engines in turn, and deletes some of them.
func (f *fire) push(ctx context.Context, engine, number int) {
	random := rand.New(rand.NewPCG(uint64(engine), uint64(number)))
	tag := registry.Tag(fmt.Sprintf("p%d-%d", engine, number))
	for n := 0; ctx.Err() == nil; n++ {
		e := f.engines[random.IntN(len(f.engines))]
		r := registry.Repo(fmt.Sprintf("acme/app%d", random.IntN(3)))
		began := time.Now()
		blobs := [][]byte{[]byte(pooled(random.IntN(firePool))), []byte(pooled(random.IntN(firePool))), []byte(pooled(random.IntN(firePool)))}
		for _, body := range blobs {
			if err := f.bring(ctx, e, r, string(body)); err != nil {
				f.failed(ctx, "bring a blob", err)
				return
			}
		}
		m := registrytest.Image(nil, blobs...)
		pause(ctx, time.Duration(random.Int64N(int64(fireLease/3)))) // between what it found and what relies on it
		_, err := e.PutManifest(ctx, r, m, registry.PutOptions{Tags: []registry.Tag{tag}})
		switch {
		case errors.Is(err, registry.ManifestBlobUnknown) && time.Since(began) > fireLease*3/4:
			f.late.Add(1)
			continue
		case err != nil:
			f.failed(ctx, "push a manifest", err)
			return
		}
		f.pushes.Add(1)
		f.set(r, tag, m)
		if random.IntN(3) == 0 {
			f.set(r, tag, registry.Manifest{})
			if err := e.DeleteTag(ctx, r, tag, registry.Condition{}); err != nil {
				f.failed(ctx, "delete a tag", err)
				return
			}
			if err := e.DeleteManifest(ctx, r, m.Digest, registry.Condition{}); err != nil && !errors.Is(err, registry.ManifestUnknown) {
				f.failed(ctx, "delete a manifest", err) // others push the same image
				return
			}
		}
	}
}

func pause(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

func (f *fire) failed(ctx context.Context, what string, err error) {
	if ctx.Err() == nil {
		f.t.Errorf("%s: %v", what, err)
	}
}

// set notes what a tag points to, which nobody else moves.
func (f *fire) set(r registry.Repo, tag registry.Tag, m registry.Manifest) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.tagged[string(r)+":"+string(tag)] = m
}

// bring makes r show a content: by HEAD, by a mount, else by an upload.
func (f *fire) bring(ctx context.Context, e *Engine, r registry.Repo, body string) error {
	d := digest.FromString(body)
	_, err := e.StatBlob(ctx, r, d)
	if err == nil {
		f.skipped.Add(1)
		return nil
	}
	if !errors.Is(err, registry.BlobUnknown) && !errors.Is(err, registry.NameUnknown) {
		return err
	}
	if _, err = e.Mount(ctx, "", r, d); err == nil {
		f.mounted.Add(1)
		return nil
	}
	if !errors.Is(err, registry.BlobUnknown) {
		return err
	}
	_, err = e.PutBlob(ctx, r, strings.NewReader(body), d)
	return err
}

// check reads all that must be there on both engines.
func (f *fire) check(ctx context.Context) {
	f.t.Helper()
	for _, e := range f.engines {
		for name, want := range f.tagged {
			if want.Digest == "" {
				continue
			}
			r, tag, _ := strings.Cut(name, ":")
			m, err := e.Tagged(ctx, registry.Repo(r), registry.Tag(tag))
			if errors.Is(err, registry.ManifestUnknown) {
				continue // somebody deleted the same image by its digest, and with it this tag
			}
			if err != nil {
				f.t.Errorf("%s: %v", name, err)
				continue
			}
			p, err := registry.ParseManifest(m.MediaType, m.Raw)
			if err != nil {
				f.t.Error(err)
			}
			for _, b := range p.Blobs {
				if err := intact(ctx, e, registry.Repo(r), b.Digest); err != nil {
					f.t.Errorf("%s: %v", name, err)
				}
			}
		}
	}
	if r, err := f.engines[0].Check(ctx, CheckOptions{}); err != nil || r.Found != 0 {
		f.t.Errorf("%+v, %v", r, err)
	}
}

func intact(ctx context.Context, e *Engine, r registry.Repo, d registry.Digest) error {
	body, err := e.Blob(ctx, r, d, 0, -1)
	if err != nil {
		return err
	}
	v := d.Verifier()
	_, err = io.Copy(v, body)
	if err := errors.Join(err, body.Close()); err != nil {
		return err
	}
	if !v.Verified() {
		return fmt.Errorf("%s has other bytes", d)
	}
	return nil
}
