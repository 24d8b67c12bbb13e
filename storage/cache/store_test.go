package cache_test

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/packhouse/packhouse/storage/cache"
	"github.com/packhouse/packhouse/storage/cache/cachetest"
)

func open(tb testing.TB, addr string, change ...func(*cache.Config)) *cache.Store {
	tb.Helper()
	cfg := cache.Config{Addrs: []string{addr}, Secret: []byte("secret"), Timeout: 200 * time.Millisecond, TTL: time.Hour, Log: slog.New(slog.DiscardHandler)}
	for _, f := range change {
		f(&cfg)
	}
	s, err := cache.Open(cfg)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := s.Close(); err != nil {
			tb.Error(err)
		}
	})
	return s
}

// eventually waits until ok: writes take place some time after Set.
func eventually(tb testing.TB, what string, ok func() bool) {
	tb.Helper()
	deadline := time.Now().Add(10 * time.Second)
	for !ok() {
		if time.Now().After(deadline) {
			tb.Fatal("never: " + what)
		}
		<-time.After(2 * time.Millisecond)
	}
}

func set(tb testing.TB, s *cache.Store, key, body string) {
	tb.Helper()
	before := s.Stats().Written
	s.Set(key, []byte(body))
	eventually(tb, "write of "+key, func() bool { return s.Stats().Written > before })
}

func TestGetWhatWasSet(t *testing.T) {
	t.Parallel()
	server := cachetest.Redis(t)
	s, other := open(t, server.Addr), open(t, server.Addr)
	for _, body := range []string{"", "x", strings.Repeat("long ", 50_000)} {
		key := fmt.Sprint("key of ", len(body), "\x00\n")
		set(t, s, key, body)
		got, ok := other.Get(t.Context(), key)
		if !ok || string(got) != body {
			t.Errorf("%d bytes: got %d bytes, %v", len(body), len(got), ok)
		}
	}
	if _, ok := s.Get(t.Context(), "another key"); ok {
		t.Error("found what was never set")
	}
	s.Set("too large", make([]byte, cache.MaxValue+1))
	set(t, s, "after it", "")
	if _, ok := s.Get(t.Context(), "too large"); ok {
		t.Error("kept a body over the limit")
	}
	ttl, err := server.Client().TTL(t.Context(), server.Client().RandomKey(t.Context()).Val()).Result()
	if err != nil || ttl <= 50*time.Minute || ttl > time.Hour {
		t.Errorf("an entry lives for %s, %v", ttl, err)
	}
}

// Mutations that turn it red: leave the key, or the sum, out of the value's
// check.
func TestRefusesWhatIsNotItsOwn(t *testing.T) {
	t.Parallel()
	server := cachetest.Redis(t)
	s := open(t, server.Addr)
	client := server.Client()
	set(t, s, "a", "of a")
	ofA := client.RandomKey(t.Context()).Val()
	value, err := client.Get(t.Context(), ofA).Bytes()
	if err != nil {
		t.Fatal(err)
	}
	put := func(key string, value []byte) {
		if err := client.Set(t.Context(), key, value, 0).Err(); err != nil {
			t.Fatal(err)
		}
	}
	want := uint64(0)
	refused := func(name, key string, s *cache.Store) {
		t.Helper()
		want++
		if got, ok := s.Get(t.Context(), key); ok || s.Stats().Refused != want {
			t.Errorf("%s: got %q, refused %d times, want %d", name, got, s.Stats().Refused, want)
		}
	}
	for i := range value {
		damaged := append([]byte(nil), value...)
		damaged[i] ^= 1
		put(ofA, damaged)
		refused(fmt.Sprint("byte ", i), "a", s)
		put(ofA, value[:i])
		refused(fmt.Sprint("cut to ", i), "a", s)
	}
	put(ofA, append(append([]byte(nil), value...), 'x'))
	refused("longer", "a", s)

	set(t, s, "b", "of b")
	for _, key := range client.Keys(t.Context(), "*").Val() {
		put(key, value)
	}
	refused("another key's", "b", s)
	if got, ok := s.Get(t.Context(), "a"); !ok || string(got) != "of a" {
		t.Errorf("its own: %q, %v", got, ok)
	}
	want = 0
	refused("sealed with another secret", "a", open(t, server.Addr, func(c *cache.Config) { c.Secret = []byte("other") }))
}

func TestBreaker(t *testing.T) {
	t.Parallel()
	server := cachetest.Redis(t)
	proxy := cachetest.NewProxy(t, server.Addr)
	const timeout = 50 * time.Millisecond
	s := open(t, proxy.Addr, func(c *cache.Config) { c.Timeout = timeout })
	set(t, s, "a", "of a")
	for name, fault := range map[string]struct{ begin, end func() }{
		"stalled": {proxy.Stall, proxy.Flow},
		"killed":  {server.Kill, func() { server.Start(); set(t, open(t, server.Addr), "a", "of a") }},
	} {
		before := s.Stats()
		fault.begin()
		began := time.Now()
		for range 1000 {
			if _, ok := s.Get(t.Context(), "a"); ok {
				t.Errorf("%s: found", name)
			}
		}
		took := time.Since(began)
		after := s.Stats()
		// A few wait in vain, then one probe now and then, which nobody waits for.
		if limit := 10 * timeout; took > limit {
			t.Errorf("%s: 1000 reads took %s, want at most %s", name, took, limit)
		}
		if after.State == cache.StateClosed || after.Opened == before.Opened || after.Skipped-before.Skipped < 900 {
			t.Errorf("%s: %+v", name, after)
		}
		s.Set("b", nil)
		fault.end()
		eventually(t, name+": closed again", func() bool { return s.Stats().State == cache.StateClosed })
		eventually(t, name+": found again", func() bool { got, ok := s.Get(t.Context(), "a"); return ok && string(got) == "of a" })
	}
}

// A caller that goes away says nothing about Redis.
func TestCanceledIsNoFailure(t *testing.T) {
	t.Parallel()
	server := cachetest.Redis(t)
	s := open(t, server.Addr)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for range 100 {
		if _, ok := s.Get(ctx, "a"); ok {
			t.Error("found")
		}
	}
	if st := s.Stats(); st.State != cache.StateClosed || st.Errors != 0 {
		t.Errorf("%+v", st)
	}
}

// Writes never wait: what Redis does not take in time is dropped.
func TestWritesAreDropped(t *testing.T) {
	t.Parallel()
	server := cachetest.Redis(t)
	proxy := cachetest.NewProxy(t, server.Addr)
	s := open(t, proxy.Addr, func(c *cache.Config) { c.Timeout = time.Second })
	set(t, s, "a", "")
	proxy.Stall()
	began := time.Now()
	body := make([]byte, 256<<10)
	var all sync.WaitGroup
	for i := range 200 {
		all.Go(func() { s.Set(fmt.Sprint(i), body) })
	}
	all.Wait()
	if took := time.Since(began); took > 500*time.Millisecond {
		t.Errorf("200 writes took %s", took)
	}
	if st := s.Stats(); st.Dropped < 100 {
		t.Errorf("50 MiB were queued: %+v", st)
	}
	proxy.Flow()
	eventually(t, "all settled", func() bool { st := s.Stats(); return st.Written+st.Dropped == 201 })
}

// A Redis that takes no writes goes on to answer.
func TestFullRedisIsRead(t *testing.T) {
	t.Parallel()
	server := cachetest.Redis(t)
	s := open(t, server.Addr)
	set(t, s, "a", "of a")
	if err := server.Client().ConfigSet(t.Context(), "maxmemory", "1").Err(); err != nil {
		t.Fatal(err)
	}
	for i := range 20 {
		s.Set(fmt.Sprint(i), nil)
	}
	eventually(t, "refused by Redis", func() bool { return s.Stats().Dropped == 20 })
	got, ok := s.Get(t.Context(), "a")
	if diff := cmp.Diff([]any{"of a", true, cache.StateClosed}, []any{string(got), ok, s.Stats().State}); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func BenchmarkGet(b *testing.B) {
	server := cachetest.Redis(b)
	s := open(b, server.Addr)
	set(b, s, "a", strings.Repeat("x", 2000))
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if _, ok := s.Get(b.Context(), "a"); !ok {
				b.Error("not found")
			}
		}
	})
}
