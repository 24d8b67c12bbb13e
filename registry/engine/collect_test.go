package engine

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/packhouse/packhouse/registry"
	"github.com/packhouse/packhouse/registry/registrytest"
	"github.com/packhouse/packhouse/storage/blob"
	"github.com/packhouse/packhouse/storage/meta"
	"github.com/packhouse/packhouse/storage/meta/metatest"
)

// pushReferrer pushes a manifest about subject.
func pushReferrer(t *testing.T, e *Engine, subject registry.Descriptor, note string, tags ...registry.Tag) registry.Manifest {
	t.Helper()
	pushBlob(t, e, repo, note)
	m := registrytest.Image(func(m *ocispec.Manifest) {
		m.Subject = &registry.Descriptor{MediaType: subject.MediaType, Digest: subject.Digest, Size: subject.Size}
	}, []byte(note))
	if _, err := e.PutManifest(t.Context(), repo, m, registry.PutOptions{Tags: tags}); err != nil {
		t.Fatal(err)
	}
	return m
}

func pushIndex(t *testing.T, e *Engine, tag registry.Tag, children ...registry.Manifest) registry.Manifest {
	t.Helper()
	m := registrytest.Index(nil, children...)
	if _, err := e.PutManifest(t.Context(), repo, m, registry.PutOptions{Tags: []registry.Tag{tag}}); err != nil {
		t.Fatal(err)
	}
	return m
}

func remove(t *testing.T, e *Engine, digests ...registry.Digest) {
	t.Helper()
	for _, d := range digests {
		if err := e.DeleteManifest(t.Context(), repo, d, registry.Condition{}); err != nil {
			t.Fatal(err)
		}
	}
}

func isShown(t *testing.T, e *Engine, d registry.Digest) bool {
	t.Helper()
	_, err := e.Manifest(t.Context(), repo, d)
	if err != nil && !errors.Is(err, registry.ManifestUnknown) {
		t.Fatal(err)
	}
	return err == nil
}

func forecastOf(t *testing.T, e *Engine) Collected {
	t.Helper()
	c, err := e.Collect(t.Context(), CollectOptions{DryRun: true})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// The mutation that turns this red: leave out any step of [Engine.collect], or
// compare with another period in one.
func TestCollectTakesWhatIsPastItsPeriod(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, p *place) {
		t.Helper()
		e, _ := p.engine(t, func(c *Config) {
			c.Trash, c.Lease, c.UploadTTL = 3*time.Hour, time.Hour, 2*time.Hour
			c.Collection.Untagged, c.Collection.Referrers = 10*time.Hour, 5*time.Hour
		})
		pushImage(t, e, "kept", "kept")
		u, err := e.BeginUpload(t.Context(), repo, digest.SHA256)
		if err == nil {
			_, err = u.Append(t.Context(), strings.NewReader("four"), 0)
		}
		if err != nil {
			t.Fatal(err)
		}
		pushBlob(t, e, repo, "garbage")
		doomed := pushImage(t, e, "doomed", "doomed")
		signature := pushReferrer(t, e, doomed.Descriptor, "signature")
		pushImage(t, e, "untagged")
		pushBlob(t, e, "acme/gone", "in a repository that goes")
		remove(t, e, doomed.Digest)
		if err := e.DeleteRepository(t.Context(), "acme/gone"); err != nil {
			t.Fatal(err)
		}
		whole := p.objects(t)

		for _, step := range []struct {
			name    string
			advance time.Duration
			want    Collected
			objects int // that went
		}{
			{"at once", 0, Collected{}, 0},
			{"unreferenced blobs", 61 * time.Minute, Collected{Blobs: 2}, 2},
			{"the upload", time.Hour, Collected{Uploads: 1}, 1},
			{"the trash", time.Hour, Collected{Repositories: 1, Periods: 2, Manifests: 1}, 0},
			{"blobs of what was in the trash", 61 * time.Minute, Collected{Blobs: 2}, 2},
			{"the referrer", time.Hour, Collected{Referrers: 1}, 0},
			{"the referrer in the trash", 4 * time.Hour, Collected{Periods: 1, Manifests: 1}, 0},
			{"the untagged manifest", 2 * time.Hour, Collected{Untagged: 1, Blobs: 1}, 1},
			{"the untagged manifest in the trash", 4 * time.Hour, Collected{Periods: 1, Manifests: 1}, 0},
			{"its blobs", 2 * time.Hour, Collected{Blobs: 2}, 2},
			{"nothing more", 100 * time.Hour, Collected{}, 0},
		} {
			p.advance(step.advance)
			before := p.objects(t)
			said, did := forecastOf(t, e), collect(t, e)
			for _, c := range []*Collected{&said, &did} {
				c.Reasons, c.Bytes = nil, 0
			}
			if diff := cmp.Diff(step.want, did); diff != "" {
				t.Errorf("%s (-want +got):\n%s", step.name, diff)
			}
			if diff := cmp.Diff(did, said); diff != "" {
				t.Errorf("%s: what the dry run said (-did +said):\n%s", step.name, diff)
			}
			if gone := before - p.objects(t); gone != step.objects {
				t.Errorf("%s: %d objects went, want %d", step.name, gone, step.objects)
			}
		}
		if isShown(t, e, signature.Digest) || p.objects(t) != 2 {
			t.Errorf("%d objects of %d are left, want the two of the kept image", p.objects(t), whole)
		}
		if drift, err := e.meta.RecountUsage(t.Context()); err != nil || len(drift) > 0 {
			t.Errorf("usage: %v, %v", drift, err)
		}
	})
}

func TestForecastFollowsReferences(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, p *place) {
		t.Helper()
		e, _ := p.engine(t, func(c *Config) { c.Collection.Untagged = 4 * time.Hour })
		pushBlob(t, e, repo, "shared")
		image := func(own string, tags ...registry.Tag) registry.Manifest {
			pushBlob(t, e, repo, own)
			m := registrytest.Image(nil, []byte(own), []byte("shared"))
			if _, err := e.PutManifest(t.Context(), repo, m, registry.PutOptions{Tags: tags}); err != nil {
				t.Fatal(err)
			}
			return m
		}
		image("1", "kept")
		remove(t, e, image("22", "deleted").Digest)
		image("333")
		p.advance(5 * time.Hour)
		later := map[string]int64{}
		for _, r := range forecastOf(t, e).Reasons {
			if r.Later != "" {
				later[r.Later] += r.Bytes
			}
		}
		want := map[string]int64{"once gc.lease is over": 2, "once trash.window and gc.lease are over": 3}
		if diff := cmp.Diff(want, later); diff != "" {
			t.Errorf("bytes by when they go (-want +got):\n%s", diff)
		}
	})
}

// The mutations that turn this red: leave out a NOT EXISTS of meta's untagged,
// or one of the triggers of migration 8.
func TestUntagged(t *testing.T) {
	t.Parallel()
	const period = 48 * time.Hour
	onBoth(t, func(t *testing.T, p *place) {
		t.Helper()
		e, _ := p.engine(t, func(c *Config) { c.Collection.Untagged = period })
		child := pushImage(t, e, "child")
		index := pushIndex(t, e, "index", child)
		moved := pushImage(t, e, "moved", "moved")
		signature := pushReferrer(t, e, moved.Descriptor, "signature")
		check := func(when string, kept ...registry.Digest) {
			t.Helper()
			collect(t, e)
			for name, d := range map[string]registry.Digest{"child": child.Digest, "index": index.Digest, "moved": moved.Digest, "signature": signature.Digest} {
				if want := slices.Contains(kept, d); isShown(t, e, d) != want {
					t.Errorf("%s: %s is kept: %t, want %t", when, name, !want, want)
				}
			}
		}
		p.advance(2 * period)
		check("while tagged", child.Digest, index.Digest, moved.Digest, signature.Digest)
		pushImage(t, e, "newer", "moved")
		if err := e.DeleteTag(t.Context(), repo, "index", registry.Condition{}); err != nil {
			t.Fatal(err)
		}
		p.advance(period / 2) // what tells of the tags is past the trash window
		check("half a period after", child.Digest, index.Digest, moved.Digest, signature.Digest)
		check("when their rows are gone", child.Digest, index.Digest, moved.Digest, signature.Digest)
		p.advance(period/2 + time.Minute)
		check("a period after", child.Digest, signature.Digest)
		p.advance(period / 2)
		check("half a period after the index went", child.Digest, signature.Digest)
		p.advance(period/2 + time.Minute)
		check("a period after the index went", signature.Digest)
	})
}

// The mutations that turn this red: leave out one of the triggers
// memberships_subject_… of migration 8, or the tags in meta's orphaned.
func TestReferrersOfWhatIsGone(t *testing.T) {
	t.Parallel()
	const period = 5 * time.Hour
	onBoth(t, func(t *testing.T, p *place) {
		t.Helper()
		e, _ := p.engine(t, func(c *Config) { c.Trash, c.Collection.Referrers = 10*time.Hour, period })
		subject := pushImage(t, e, "subject", "1.0")
		elsewhere := pushReferrer(t, e, registry.Descriptor{MediaType: subject.MediaType, Digest: digest.FromString("elsewhere"), Size: 1}, "of what never was here")
		signature := pushReferrer(t, e, subject.Descriptor, "signature")
		found := pushReferrer(t, e, subject.Descriptor, "found by its tag", registry.ReferrersTag(subject.Digest))
		named := pushReferrer(t, e, subject.Descriptor, "named", "sbom")
		about := pushReferrer(t, e, signature.Descriptor, "of the signature")
		check := func(when string, kept ...registry.Manifest) {
			t.Helper()
			collect(t, e)
			for _, m := range []registry.Manifest{elsewhere, signature, found, named, about} {
				want := slices.ContainsFunc(kept, func(k registry.Manifest) bool { return k.Digest == m.Digest })
				if isShown(t, e, m.Digest) != want {
					t.Errorf("%s: %s is kept: %t, want %t", when, m.Raw, !want, want)
				}
			}
		}
		p.advance(2 * period)
		check("with the subject", elsewhere, signature, found, named, about)
		remove(t, e, subject.Digest)
		p.advance(period - time.Minute)
		check("before the period ends", elsewhere, signature, found, named, about)
		if _, err := e.RestoreTag(t.Context(), repo, "1.0", ""); err != nil {
			t.Fatal(err)
		}
		p.advance(period)
		check("after the subject came back", elsewhere, signature, found, named, about)
		remove(t, e, subject.Digest)
		p.advance(period + time.Minute)
		check("after the period", elsewhere, named, about)
		p.advance(period + time.Minute)
		check("another period later", elsewhere, named)
		if _, err := e.Restore(t.Context(), Undelete{Repo: repo, Digest: signature.Digest}); err != nil {
			t.Errorf("restore what was collected: %v", err)
		}
	})
}

// The mutation that turns this red: let [lease.held] return nil.
func TestAStoppedCollectorChangesNothing(t *testing.T) {
	t.Parallel()
	p := newPlace(t, metatest.Postgres(t))
	stopped, _ := p.engine(t)
	other, _ := p.engine(t)
	ctx, l, err := stopped.upkeep(t.Context(), "test")
	if err != nil {
		t.Fatal(err)
	}
	c := collection{Engine: stopped, lease: l, now: p.Now()}
	nothing := func(context.Context, *meta.Tx) error { return nil }
	if err := c.step(ctx, nothing); err != nil {
		t.Fatal(err)
	}
	if _, err := other.Collect(t.Context(), CollectOptions{}); !errors.Is(err, registry.Unavailable) {
		t.Errorf("two collections ran at once: %v", err)
	}
	p.advance(leaseFor + time.Second)
	pushBlob(t, other, repo, "garbage")
	if err := c.step(ctx, nothing); !errors.Is(err, error(errLeaseLost)) {
		t.Errorf("with a lease that ran out: %v", err)
	}
	if _, err := other.Collect(t.Context(), CollectOptions{}); err != nil {
		t.Errorf("after the lease ran out: %v", err)
	}
	p.advance(2 * time.Hour)
	_, taken, err := other.upkeep(t.Context(), "test")
	if err != nil {
		t.Fatal(err)
	}
	if err := c.garbage(ctx); !errors.Is(err, error(errLeaseLost)) {
		t.Errorf("while another has the lease: %v", err)
	}
	if p.objects(t) != 1 {
		t.Errorf("%d objects, want the one", p.objects(t))
	}
	taken.release(t.Context())
	l.release(t.Context())
	if got := collect(t, stopped); got.Blobs != 1 {
		t.Errorf("got %+v, want the one blob", got)
	}
}

// shortLease is shorter than [deadAfter].
func shortLease(c *Config) { c.Lease = 5 * time.Minute }

// The mutations that turn this red: let Tx.ours return nil, or delete objects
// before [sweepBlock] gave the block up.
func TestWhatDeadReplicasReserved(t *testing.T) {
	t.Parallel()
	p := newPlace(t, metatest.Postgres(t))
	stopped, _ := p.engine(t, shortLease)
	other, _ := p.engine(t, shortLease)
	pushImage(t, stopped, "kept", "kept")
	u, err := stopped.BeginUpload(t.Context(), repo, digest.SHA256)
	if err == nil {
		_, err = u.Append(t.Context(), strings.NewReader("half"), 0)
	}
	if err != nil {
		t.Fatal(err)
	}
	put := func() meta.Object { // stored, not committed
		t.Helper()
		o, bodyErr, err := stopped.store(t.Context(), strings.NewReader("uncommitted"), digest.SHA256.Hash(), 100)
		if err := errors.Join(err, bodyErr); err != nil {
			t.Fatal(err)
		}
		return o
	}
	o := put()
	commit := func(o meta.Object) error {
		_, err := stopped.addBlob(t.Context(), "test", repo, digest.FromString("uncommitted"), nil, o, nil)
		return err
	}
	p.advance(deadAfter - time.Minute)
	if got := collect(t, other); got.Blocks != 0 {
		t.Errorf("a replica that was silent for less than %s was given up: %+v", deadAfter, got)
	}
	p.advance(2 * time.Minute)
	if got := collect(t, other); got.Blocks != 1 || got.Orphans != 1 {
		t.Errorf("got %+v, want one block with one orphan", got)
	}
	if _, err := p.blobs.Stat(t.Context(), o.Key); !errors.Is(err, blob.ErrNotFound) {
		t.Errorf("the uncommitted object: %v", err)
	}
	err = commit(o)
	wantCode(t, err, registry.Unavailable)
	if _, err := other.StatBlob(t.Context(), repo, digest.FromString("uncommitted")); !errors.Is(err, registry.BlobUnknown) {
		t.Errorf("a blob without bytes is shown: %v", err)
	}
	if err := commit(put()); err != nil {
		t.Errorf("the retry: %v", err)
	}
	// What sessions and blobs hold stays, and goes on elsewhere.
	again, err := other.ResumeUpload(t.Context(), repo, u.ID())
	if err == nil {
		_, err = again.Commit(t.Context(), strings.NewReader("way"), 4, digest.FromString("halfway"))
	}
	if err != nil {
		t.Errorf("continue the upload: %v", err)
	}
	for _, d := range []registry.Digest{digest.FromString("layer kept"), digest.FromString("halfway"), digest.FromString("uncommitted")} {
		body, err := other.Blob(t.Context(), repo, d, 0, -1)
		if err == nil {
			err = body.Close()
		}
		if err != nil {
			t.Errorf("%s: %v", d, err)
		}
	}
	if r := fsck(t, other, false); r.Found != 0 || r.Orphans != 0 {
		t.Errorf("%+v", r)
	}
}

// A replica that says that it runs keeps what it reserved.
func TestReplicasThatBeatKeepTheirKeys(t *testing.T) {
	t.Parallel()
	p := newPlace(t, metatest.Postgres(t))
	slow, stop := p.engine(t, shortLease)
	other, _ := p.engine(t, shortLease)
	key, err := slow.keys.take(t.Context())
	if err == nil {
		err = p.blobs.Put(t.Context(), key, []byte("arriving"))
	}
	if err != nil {
		t.Fatal(err)
	}
	for range 10 {
		p.advance(4 * time.Minute)
		if err := slow.beat(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got := collect(t, other); got.Blocks != 0 {
			t.Fatalf("got %+v", got)
		}
	}
	stop() // says goodbye
	if got := collect(t, other); got.Blocks != 1 || got.Orphans != 1 || p.objects(t) != 0 {
		t.Errorf("got %+v, want one orphan; %d objects are left", got, p.objects(t))
	}
	if stats := other.CollectionStats(); stats.Passes != 11 || stats.Orphans != 1 || stats.Removed["blocks"] != 1 || stats.Holding {
		t.Errorf("counted %+v", stats)
	}
}

// A replica that knows a blob as referenced hears that its lease began: a HEAD
// that it answered after that is a promise. The mutation that turns this red:
// leave touchStripes out of [Engine.removeLoose].
func TestABlobsLeaseBeginsOnAllReplicas(t *testing.T) {
	t.Parallel()
	p := newPlace(t, metatest.Postgres(t))
	collector, _ := p.engine(t)
	other, _ := p.engine(t)
	m := pushImage(t, other, "image", "1.0")
	layer := digest.FromString("layer image")
	head := func() {
		t.Helper()
		if err := other.beat(t.Context()); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			if _, err := other.StatBlob(t.Context(), repo, layer); err != nil {
				t.Fatal(err)
			}
		}
	}
	remove(t, other, m.Digest)
	head()
	p.advance(2 * time.Hour) // the trash window and more
	head()
	if got := collect(t, collector); got.Manifests != 1 || got.Blobs != 0 {
		t.Fatalf("got %+v, want the manifest to go", got)
	}
	p.advance(50 * time.Minute)
	head()
	p.advance(40 * time.Minute)
	if err := other.beat(t.Context()); err != nil {
		t.Fatal(err)
	}
	collect(t, collector)
	pushBlob(t, other, repo, "config image")
	if _, err := other.PutManifest(t.Context(), repo, m, registry.PutOptions{}); err != nil {
		t.Errorf("40 minutes after a HEAD, with a lease of an hour: %v", err)
	}
}

func TestSessionsExpireOnSeveralReplicasAtOnce(t *testing.T) {
	t.Parallel()
	p := newPlace(t, metatest.Postgres(t))
	a, _ := p.engine(t)
	b, _ := p.engine(t)
	const sessions = 40
	for range sessions {
		u, err := a.BeginUpload(t.Context(), repo, digest.SHA256)
		if err == nil {
			_, err = u.Append(t.Context(), strings.NewReader("never finished"), 0)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	p.advance(25 * time.Hour)
	ended := make(chan int64, 2)
	for _, e := range []*Engine{a, b} {
		go func() {
			n, bytes, err := e.expireIdle(t.Context(), p.Now().Add(-e.cfg.UploadTTL))
			if err != nil || bytes != n*int64(len("never finished")) {
				t.Errorf("%d sessions, %d bytes, %v", n, bytes, err)
			}
			ended <- n
		}()
	}
	if n := <-ended + <-ended; n != sessions || p.objects(t) != 0 {
		t.Errorf("%d sessions ended, %d objects are left; want each to end once", n, p.objects(t))
	}
}

func TestPassesBeginByThemselves(t *testing.T) {
	t.Parallel()
	p := newPlace(t, metatest.Postgres(t))
	every := func(c *Config) { c.Collection.Every = 2 * time.Hour }
	a, _ := p.engine(t, every)
	b, _ := p.engine(t, every)
	due := func(e *Engine) bool {
		t.Helper()
		_, err := e.collectWhenDue(t.Context())
		if err != nil && !errors.Is(err, errNotDue) {
			t.Fatal(err)
		}
		return err == nil
	}
	if !due(a) || due(b) || due(a) {
		t.Error("the first pass was not made once")
	}
	p.advance(2*time.Hour - time.Minute)
	if due(a) || due(b) {
		t.Error("a pass began too early")
	}
	p.advance(time.Minute)
	if !due(b) || due(a) {
		t.Error("the second pass was not made once")
	}
}
