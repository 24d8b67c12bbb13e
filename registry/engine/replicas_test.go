package engine

import (
	"context"
	"errors"
	"io"
	"iter"
	"log/slog"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	"go.opentelemetry.io/otel/trace"

	"github.com/packhouse/packhouse/registry"
	"github.com/packhouse/packhouse/registry/registrytest"
	"github.com/packhouse/packhouse/registry/seal"
	"github.com/packhouse/packhouse/storage/blob"
	rediscache "github.com/packhouse/packhouse/storage/cache"
	"github.com/packhouse/packhouse/storage/cache/cachetest"
	"github.com/packhouse/packhouse/storage/meta"
	"github.com/packhouse/packhouse/storage/meta/metatest"
)

// sharing is what replicas have in common.
type sharing struct {
	tb    testing.TB
	url   string // of the database
	blobs *blob.Store
	box   *seal.Box
	redis string // address, "" for none

	tracer trace.Tracer // of the database, nil for none
}

func share(tb testing.TB) *sharing {
	tb.Helper()
	b, err := blob.Open(tb.Context(), "inmemory", nil)
	if err != nil {
		tb.Fatal(err)
	}
	box, err := seal.New(make([]byte, seal.KeySize))
	if err != nil {
		tb.Fatal(err)
	}
	return &sharing{tb: tb, url: metatest.Postgres(tb), blobs: b, box: box}
}

// replica starts one that ends with the test.
func (s *sharing) replica(change ...func(*Config)) *Engine {
	s.tb.Helper()
	m, err := meta.Open(s.tb.Context(), meta.Config{URL: s.url, Connections: 8, Tracer: s.tracer})
	if err != nil {
		s.tb.Fatal(err)
	}
	cfg := Config{
		Meta: m, Blobs: s.blobs, Seal: s.box, Log: slog.New(slog.DiscardHandler),
		Gate:   registry.GateFunc(func(context.Context, registry.Verb, registry.Repo) error { return nil }),
		Limits: Limits{Manifest: 4 << 20, Blob: 1 << 30},
		Trash:  time.Hour, Lease: time.Hour, UploadTTL: time.Hour, CacheBytes: 1 << 20,
	}
	if s.redis != "" {
		cfg.Redis, err = rediscache.Open(rediscache.Config{
			Addrs: []string{s.redis}, Secret: []byte("secret"), Timeout: 50 * time.Millisecond, TTL: time.Hour, Log: cfg.Log,
		})
		if err != nil {
			s.tb.Fatal(err)
		}
	}
	for _, f := range change {
		f(&cfg)
	}
	e, err := New(s.tb.Context(), cfg)
	if err != nil {
		s.tb.Fatal(err)
	}
	s.tb.Cleanup(func() {
		err := errors.Join(e.Close(), m.Close())
		if cfg.Redis != nil {
			err = errors.Join(err, cfg.Redis.Close())
		}
		if err != nil {
			s.tb.Error(err)
		}
	})
	return e
}

// alternating sends each operation to the next of some replicas.
type alternating struct {
	registry.Unimplemented
	engines []*Engine
	n       *atomic.Uint64
}

var _ registry.Registry = alternating{}

func alternate(engines ...*Engine) alternating {
	return alternating{engines: engines, n: new(atomic.Uint64)}
}

func (a alternating) next() *Engine { return a.engines[a.n.Add(1)%uint64(len(a.engines))] }

func (a alternating) StatBlob(ctx context.Context, r registry.Repo, d registry.Digest) (registry.Descriptor, error) {
	return a.next().StatBlob(ctx, r, d)
}

func (a alternating) Blob(ctx context.Context, r registry.Repo, d registry.Digest, off, n int64) (io.ReadCloser, error) {
	return a.next().Blob(ctx, r, d, off, n)
}

func (a alternating) Manifest(ctx context.Context, r registry.Repo, d registry.Digest) (registry.Manifest, error) {
	return a.next().Manifest(ctx, r, d)
}

func (a alternating) Tagged(ctx context.Context, r registry.Repo, t registry.Tag) (registry.Manifest, error) {
	return a.next().Tagged(ctx, r, t)
}

func (a alternating) PutBlob(ctx context.Context, r registry.Repo, body io.Reader, want registry.Digest) (registry.Descriptor, error) {
	return a.next().PutBlob(ctx, r, body, want)
}

func (a alternating) BeginUpload(ctx context.Context, r registry.Repo, d digest.Algorithm) (registry.Upload, error) {
	return a.next().BeginUpload(ctx, r, d)
}

func (a alternating) ResumeUpload(ctx context.Context, r registry.Repo, id string) (registry.Upload, error) {
	return a.next().ResumeUpload(ctx, r, id)
}

func (a alternating) Mount(ctx context.Context, from, to registry.Repo, d registry.Digest) (registry.Descriptor, error) {
	return a.next().Mount(ctx, from, to, d)
}

func (a alternating) PutManifest(ctx context.Context, r registry.Repo, m registry.Manifest, o registry.PutOptions) (registry.PutResult, error) {
	return a.next().PutManifest(ctx, r, m, o)
}

func (a alternating) DeleteTag(ctx context.Context, r registry.Repo, t registry.Tag, c registry.Condition) error {
	return a.next().DeleteTag(ctx, r, t, c)
}

func (a alternating) DeleteManifest(ctx context.Context, r registry.Repo, d registry.Digest, c registry.Condition) error {
	return a.next().DeleteManifest(ctx, r, d, c)
}

func (a alternating) DeleteBlob(ctx context.Context, r registry.Repo, d registry.Digest) error {
	return a.next().DeleteBlob(ctx, r, d)
}

func (a alternating) Repos(ctx context.Context, after registry.Repo) iter.Seq2[registry.Repo, error] {
	return a.next().Repos(ctx, after)
}

func (a alternating) Tags(ctx context.Context, r registry.Repo, after registry.Tag) iter.Seq2[registry.Tag, error] {
	return a.next().Tags(ctx, r, after)
}

func (a alternating) Referrers(ctx context.Context, r registry.Repo, subject registry.Digest, artifactType string, after registry.Digest) iter.Seq2[registry.Descriptor, error] {
	return a.next().Referrers(ctx, r, subject, artifactType, after)
}

// TestReplicas holds two replicas that take turns to the registry's contract.
func TestReplicas(t *testing.T) {
	t.Parallel()
	registrytest.Run(t, func(t *testing.T) registry.Registry {
		t.Helper()
		s := share(t)
		s.redis = cachetest.Redis(t).Addr
		return alternate(s.replica(), s.replica())
	})
}

// TestModelReplicas is TestModel over two replicas that take turns, while
// Redis is treated badly.
//
// Mutations that turn it red: skip the query in follower.validate; leave
// generation out of farKey; leave touchStripes out of changeNames.
func TestModelReplicas(t *testing.T) {
	t.Parallel()
	s := share(t)
	server := cachetest.Redis(t)
	proxy := cachetest.NewProxy(t, server.Addr)
	s.redis = proxy.Addr
	one, two := s.replica(), s.replica()

	done := make(chan struct{})
	var tormenting sync.WaitGroup
	tormenting.Go(func() { torment(server, proxy, done) })
	t.Cleanup(func() {
		for i, e := range []*Engine{one, two} {
			stats := e.CacheStats()
			t.Logf("replica %d: %+v, redis %+v", i+1, stats, e.cfg.Redis.Stats())
			if stats.Hits == 0 || stats.Validation.Queries == 0 {
				t.Errorf("replica %d was not tested: %+v", i+1, stats)
			}
		}
	})
	defer tormenting.Wait()
	defer close(done)
	const times = 8
	checkModel(t, alternate(one, two), times)
}

// torment flushes, kills, stalls and turns back Redis until done.
func torment(server *cachetest.Server, proxy *cachetest.Proxy, done <-chan struct{}) {
	old := server.Snapshot()
	for i := 0; ; i++ {
		switch i % 5 {
		case 0:
			server.Flush()
		case 1:
			server.Restore(old)
		case 2:
			proxy.Stall()
		case 3:
			proxy.Flow()
		case 4:
			old = server.Snapshot()
		}
		select {
		case <-done:
			proxy.Flow()
			return
		case <-time.After(150 * time.Millisecond):
		}
	}
}
