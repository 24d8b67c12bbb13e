package engine

import (
	"context"
	"fmt"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/packhouse/packhouse/registry"
	"github.com/packhouse/packhouse/storage/cache/cachetest"
	"github.com/packhouse/packhouse/storage/meta/metatest"
)

// request is the context of one request.
func request(ctx context.Context, lenient bool) (context.Context, *registry.Reads) {
	c := &registry.Caller{Reads: &registry.Reads{Lenient: lenient}}
	return registry.WithCaller(ctx, c), c.Reads
}

// TestQueriesOfPulls counts what pulls cost the database: 16 at once share
// validations, a hit costs nothing more, and a miss one query.
func TestQueriesOfPulls(t *testing.T) {
	t.Parallel()
	spans := tracetest.NewSpanRecorder()
	provider := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(spans))
	tracer := provider.Tracer("test")
	s := share(t)
	s.tracer = tracer
	e := s.replica()
	images := []registry.Manifest{pushImage(t, e, "one", "latest"), pushImage(t, e, "two", "latest")}

	pull := func() {
		ctx, span := tracer.Start(t.Context(), "pull")
		defer span.End()
		ctx, _ = request(ctx, true)
		for range 3 { // one request validates once, however much it reads
			if _, err := e.Tagged(ctx, repo, "latest"); err != nil {
				t.Error(err)
			}
		}
	}
	queries := func() int { // of rows, beside validations
		n := 0
		for _, span := range spans.Ended() {
			if span.Name() != "pull" && span.Name() != "push" {
				n++
			}
		}
		spans.Reset()
		return n
	}
	pull()
	queries()

	const readers, pulls = 16, 500
	before := e.CacheStats()
	var all sync.WaitGroup
	for range readers {
		all.Go(func() {
			for range pulls {
				pull()
			}
		})
	}
	all.Wait()
	after := e.CacheStats()
	asked, shared := after.Validation.Requests-before.Validation.Requests, after.Validation.Queries-before.Validation.Queries
	t.Logf("%d pulls: %d validated by %d queries (%.3f each)", readers*pulls, asked, shared, float64(shared)/float64(asked))
	if asked != readers*pulls || float64(shared) > 0.25*float64(asked) {
		t.Errorf("%d requests were validated by %d queries", asked, shared)
	}
	if n := queries(); n != 0 || after.Misses != before.Misses {
		t.Errorf("hits made %d queries, and %d misses", n, after.Misses-before.Misses)
	}

	for i := range 10 {
		m := images[i%2]
		if _, err := e.PutManifest(t.Context(), repo, m, registry.PutOptions{Tags: []registry.Tag{"latest"}}); err != nil {
			t.Fatal(err)
		}
		queries()
		pull()
		if n := queries(); n != 1 {
			t.Errorf("a miss made %d queries", n)
		}
	}
}

// TestNamesNeverGoBack moves one tag on and on, by turns on two replicas,
// while readers of both compare what they see with what was promised before
// they asked. Memory holds next to nothing, so that entries are evicted.
//
// Mutations that turn it red: mark after find in cache.loadShared; a round
// that late comers may join; seq left out of the key.
func TestNamesNeverGoBack(t *testing.T) {
	t.Parallel()
	s := share(t)
	server := cachetest.Redis(t)
	s.redis = server.Addr
	engines := []*Engine{s.replica(), s.replica(func(c *Config) { c.CacheBytes = 2000 })}
	const versions = 150
	number := make(map[registry.Digest]int, versions)
	manifests := make([]registry.Manifest, versions)
	for i := range manifests {
		manifests[i] = pushImage(t, engines[0], fmt.Sprint(i))
		number[manifests[i].Digest] = i
	}
	var acked atomic.Int64
	acked.Store(-1)
	done := make(chan struct{})
	var readers sync.WaitGroup
	var reads atomic.Int64
	for i := range 8 {
		e := engines[i%2]
		readers.Go(func() {
			last := -1
			for {
				select {
				case <-done:
					return
				default:
				}
				promised := int(acked.Load())
				ctx, _ := request(t.Context(), false)
				m, err := e.Tagged(ctx, repo, "latest")
				if err != nil {
					if promised >= 0 {
						t.Errorf("after version %d: %v", promised, err)
					}
					continue
				}
				reads.Add(1)
				n := number[m.Digest]
				if n < promised || n < last {
					t.Errorf("saw version %d after %d was promised and %d seen", n, promised, last)
					return
				}
				last = n
			}
		})
	}
	for i, m := range manifests {
		ctx, _ := request(t.Context(), false)
		if _, err := engines[i%2].PutManifest(ctx, repo, m, registry.PutOptions{Tags: []registry.Tag{"latest"}}); err != nil {
			t.Error(err)
			break
		}
		acked.Store(int64(i))
		if got, err := engines[(i/2)%2].Tagged(ctx, repo, "latest"); err != nil || i%2 == (i/2)%2 && got.Digest != m.Digest {
			t.Errorf("who wrote version %d reads %s, %v", i, got.Digest, err)
		}
		if i%25 == 0 {
			server.Flush()
		}
	}
	close(done)
	readers.Wait()
	for _, e := range engines {
		t.Logf("%d reads: %+v, redis %+v", reads.Load(), e.CacheStats(), e.cfg.Redis.Stats())
	}
}

// TestDatabaseAway reads while PostgreSQL is down.
func TestDatabaseAway(t *testing.T) {
	t.Parallel()
	server := metatest.NewServer(t)
	s := share(t)
	s.url = server.Database(t)
	const staleFor = 3 * time.Second
	strict, lenient := s.replica(), s.replica(func(c *Config) { c.StaleReads = staleFor })
	m := pushImage(t, strict, "one", "latest")
	for _, e := range []*Engine{strict, lenient} {
		if _, err := e.Tagged(t.Context(), repo, "latest"); err != nil {
			t.Fatal(err)
		}
	}
	if err := server.Stop("immediate"); err != nil {
		t.Fatal(err)
	}
	stopped := time.Now()

	unavailable := func(name string, err error, began time.Time) {
		t.Helper()
		e := registry.Public(err)
		if e.Code != registry.Unavailable || e.RetryAfter(503) == "" {
			t.Errorf("%s: got %v, want UNAVAILABLE with a time to try again", name, err)
		}
		if took := time.Since(began); took > 2*time.Second {
			t.Errorf("%s: took %s", name, took)
		}
	}
	read := func(e *Engine, mayBeStale bool, r registry.Repo) (registry.Manifest, bool, error) {
		ctx, reads := request(t.Context(), mayBeStale)
		got, err := e.Tagged(ctx, r, "latest")
		return got, reads.Stale.Load(), err
	}
	for range 3 {
		got, stale, err := read(lenient, true, repo)
		if err != nil || got.Digest != m.Digest || !stale {
			t.Errorf("in memory, may be stale: %s, stale %v, %v", got.Digest, stale, err)
		}
	}
	for _, tt := range []struct {
		name    string
		engine  *Engine
		lenient bool
		repo    registry.Repo
	}{
		{"no staleness configured", strict, true, repo},
		{"a write's read", lenient, false, repo},
		{"not in memory", lenient, true, "other"},
	} {
		began := time.Now()
		_, _, err := read(tt.engine, tt.lenient, tt.repo)
		unavailable(tt.name, err, began)
	}
	began := time.Now()
	ctx, _ := request(t.Context(), false)
	_, err := lenient.PutManifest(ctx, repo, m, registry.PutOptions{Tags: []registry.Tag{"v2"}})
	unavailable("push", err, began)

	// What was validated is too old some time.
	for {
		_, _, err := read(lenient, true, repo)
		if err != nil {
			unavailable("too old", err, time.Now())
			break
		}
		if time.Since(stopped) > staleFor+2*time.Second {
			t.Error("answered for ever")
			break
		}
	}
	if old := time.Since(stopped); old < staleFor-time.Second {
		t.Errorf("not answered any more after %s", old)
	}
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	started := time.Now()
	for {
		got, stale, err := read(lenient, true, repo)
		if err == nil && !stale && got.Digest == m.Digest {
			break
		}
		if time.Since(started) > 5*time.Second {
			t.Fatalf("5 s after the start: stale %v, %v", stale, err)
		}
	}
	t.Logf("back after %s", time.Since(started))
}

// TestRestoredDatabase puts an earlier state in the database's place: what is
// remembered of what came after it must not be answered any more, though the
// same sequence numbers come again.
func TestRestoredDatabase(t *testing.T) {
	t.Parallel()
	server := metatest.NewServer(t)
	s := share(t)
	s.url = server.Database(t)
	s.redis = cachetest.Redis(t).Addr
	e, other := s.replica(), s.replica()
	first, second, third := pushImage(t, e, "one", "latest"), pushImage(t, e, "two"), pushImage(t, e, "three")
	put := func(m registry.Manifest) {
		t.Helper()
		if _, err := e.PutManifest(t.Context(), repo, m, registry.PutOptions{Tags: []registry.Tag{"latest"}}); err != nil {
			t.Fatal(err)
		}
	}
	want := func(what string, m registry.Manifest) {
		t.Helper()
		for range 2 {
			for i, e := range []*Engine{e, other} {
				got, err := e.Tagged(t.Context(), repo, "latest")
				if err != nil || got.Digest != m.Digest {
					t.Errorf("%s, replica %d: got %s, %v, want %s", what, i+1, got.Digest, err, m.Digest)
				}
			}
		}
	}
	want("at first", first)
	restore := backup(t, server, s.url)
	put(second)
	want("after the backup", second)
	restore()
	want("restored", first)
	put(third) // gets the number that second's push had
	want("changed again", third)
}

// backup keeps a database as it is; restore puts it back.
func backup(t *testing.T, server *metatest.Server, of string) (restore func()) {
	t.Helper()
	u, err := url.Parse(of)
	if err != nil {
		t.Fatal(err)
	}
	name := pgx.Identifier{strings.TrimPrefix(u.Path, "/")}.Sanitize()
	run := func(statements ...string) {
		t.Helper()
		conn, err := pgx.Connect(t.Context(), server.URL("postgres"))
		if err != nil {
			t.Fatal(err)
		}
		for _, sql := range statements {
			if _, err := conn.Exec(t.Context(), sql); err != nil {
				t.Fatalf("%s: %v", sql, err)
			}
		}
		if err := conn.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	others := "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = '" + strings.Trim(name, `"`) + "'"
	run("ALTER DATABASE "+name+" ALLOW_CONNECTIONS false", others, "CREATE DATABASE backup TEMPLATE "+name, "ALTER DATABASE "+name+" ALLOW_CONNECTIONS true")
	return func() {
		t.Helper()
		run("DROP DATABASE "+name+" WITH (FORCE)", "ALTER DATABASE backup RENAME TO "+name)
	}
}
