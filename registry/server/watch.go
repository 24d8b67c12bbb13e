package server

import (
	"context"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/packhouse/packhouse/registry/obs"
	"github.com/packhouse/packhouse/storage/blob"
	"github.com/packhouse/packhouse/storage/cache"
	"github.com/packhouse/packhouse/storage/meta"
)

// Watch is how an operator sees a backend at work. The zero Watch is nobody.
type Watch struct {
	Metrics *obs.Metrics // nil for none
	Tracing *obs.Tracing // nil for none
}

// database lets w see what the database does.
func (w Watch) database(c meta.Config) meta.Config {
	c.Tracer = w.Tracing.Tracer()
	if w.Metrics == nil {
		return c
	}
	took := w.Metrics.Histogram("packhouse_database_commit_seconds", "Time of commits, which changes that wait together share.", obs.Seconds)
	shared := w.Metrics.Histogram("packhouse_database_commit_changes", "Changes that one commit made.", obs.Sizes)
	c.Committed = func(changes int, d time.Duration) {
		took(d.Seconds())
		shared(float64(changes))
	}
	return c
}

// objects lets w see what is done to objects of the storage.
func (w Watch) objects(s *blob.Store) {
	if w.Metrics != nil {
		s.Observe(w.Metrics.Objects(w.Tracing))
	}
}

// cache lets w see what Redis does.
func (w Watch) cache(c cache.Config) cache.Config {
	c.Instrument = func(client redis.UniversalClient) error {
		w.Tracing.Redis(client)
		return nil
	}
	if w.Metrics == nil {
		return c
	}
	call := w.Metrics.Calls("packhouse_redis_seconds", "Time of requests to Redis that it answered.", "operation", "get", "set", "ping")
	c.Observe = func(op string, took time.Duration, err error) {
		if err == nil {
			call(op, took)
		}
	}
	return c
}

// measure adds the metrics that the backend's parts keep by themselves.
func (b *Backend) measure(ctx context.Context) {
	m := b.watch.Metrics
	if m == nil {
		return
	}
	ctx = context.WithoutCancel(ctx)
	m.Namespaces(func() ([]obs.NamespaceUsage, error) { return b.NamespaceUsage(ctx) })
	b.measureCache(m)
	b.measureDatabase(m)
	b.measureRedis(m)
	b.measureCollections(m)
}
