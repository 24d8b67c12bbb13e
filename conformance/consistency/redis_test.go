package consistency

import (
	"context"
	"path/filepath"
	"testing"
	"time"
)

// TestRedisFaults breaks Redis in every way while clients move and delete tags and pull images. Redis never decides an
// answer, so no answer is wrong, none is refused, and every pull succeeds: only the times differ, and are printed.
func TestRedisFaults(t *testing.T) {
	d := deploy(t, setup{})
	if d.services == nil {
		t.Skip("one process over SQLite has no Redis")
	}
	redis, snapshot := d.services.Redis, filepath.Join(t.TempDir(), "redis.rdb")
	c := newClient(time.Minute)
	defer c.close()
	log := newLoad(never)
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	stay := func() { <-time.After(span(1500*time.Millisecond, 15*time.Second)) }
	d.underLoad(t, c, log, func(context.Context) {
		ctx := t.Context()
		must(redis.Snapshot(ctx, snapshot))
		for range size(5, 50) {
			log.begin("flushed again and again")
			must(redis.Flush(ctx))
			<-time.After(100 * time.Millisecond)
		}
		for _, broken := range []struct {
			name        string
			spoil, mend func() error
		}{
			{"killed", redis.Kill, func() error { return redis.Start(ctx) }},
			{"cut off", func() error { return d.cache.Cut(ctx) }, func() error { return d.cache.Heal(ctx) }},
			{"its connections are reset", func() error { return d.cache.Reset(ctx) }, func() error { return d.cache.Heal(ctx) }},
			{"answers after 5 s", func() error { return d.cache.Delay(ctx, 5*time.Second) }, func() error { return d.cache.Heal(ctx) }},
			{"stands still", redis.Pause, redis.Resume},
		} {
			log.begin(broken.name)
			must(broken.spoil())
			stay()
			must(broken.mend())
			log.begin("the first second after: " + broken.name)
			<-time.After(time.Second)
			log.begin("well again after: " + broken.name)
			stay()
		}
		// What the snapshot holds has been moved and deleted many times since.
		for range 3 {
			log.begin("restored from an old snapshot")
			must(redis.Restore(ctx, snapshot))
			stay()
		}
	})
}
