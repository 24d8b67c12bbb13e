package server

import (
	"context"
	"time"

	"github.com/packhouse/packhouse/registry/obs"
	"github.com/packhouse/packhouse/storage/cache"
)

func counter(name, help string) obs.Series { return obs.Series{Name: name, Help: help, Counter: true} }

func gauge(name, help string) obs.Series { return obs.Series{Name: name, Help: help} }

// by returns s with its only label.
func by(s obs.Series, label, value string) obs.Series {
	s.Label, s.Value = label, value
	return s
}

func (b *Backend) measureCache(m *obs.Metrics) {
	requests := counter("packhouse_cache_requests_total", "Lookups in the memory of manifests and names: hit or miss.")
	m.Read([]obs.Series{
		by(requests, "result", "hit"), by(requests, "result", "miss"),
		counter("packhouse_cache_evictions_total", "Entries that the memory of manifests and names gave up for others."),
		gauge("packhouse_cache_entries", "Entries in the memory of manifests and names."),
		gauge("packhouse_cache_bytes", "Bytes of the entries in the memory of manifests and names."),
		gauge("packhouse_cache_capacity_bytes", "Bytes that these entries may have, cache.size."),
		counter("packhouse_validation_requests_total", "Requests that had to ask the database whether names changed; 0 on SQLite."),
		counter("packhouse_validation_queries_total", "Queries by which they asked; requests that wait together share one."),
		counter("packhouse_validation_failures_total", "Such queries that failed."),
		counter("packhouse_validation_stale_total", "Requests answered without such a query while the database was away, see database.stale_reads."),
	}, func(v []float64) {
		s := b.Engine.CacheStats()
		copy(v, []float64{
			float64(s.Hits), float64(s.Misses), float64(s.Evicted), float64(s.Entries), float64(s.Weight), float64(s.Capacity),
			float64(s.Validation.Requests), float64(s.Validation.Queries), float64(s.Validation.Failed), float64(s.Validation.Stale),
		})
	})
}

func (b *Backend) measureDatabase(m *obs.Metrics) {
	m.Read([]obs.Series{
		gauge("packhouse_database_connections", "Connections to the database that are open for reading."),
		gauge("packhouse_database_connections_in_use", "Those of them that are in use."),
		counter("packhouse_database_waits_total", "Queries that waited for a connection."),
		counter("packhouse_database_wait_seconds_total", "Time that they waited."),
		counter("packhouse_database_commits_retried_total", "Transactions that were run again."),
		counter("packhouse_database_unavailable_total", "Changes that were refused because the database was away."),
		counter("packhouse_database_uncertain_total", "Changes of which nobody could tell whether they were committed."),
	}, func(v []float64) {
		s := b.meta.Stats()
		copy(v, []float64{
			float64(s.Open), float64(s.InUse), float64(s.Waits), s.Waited.Seconds(),
			float64(s.Retried), float64(s.Unavailable), float64(s.Uncertain),
		})
	})
	m.Count([]obs.Series{
		gauge("packhouse_upload_sessions", "Upload sessions that are open in the whole registry."),
		gauge("packhouse_unreferenced_blobs", "Blobs of the whole registry that no manifest references, counted up to 1,000,000."),
		gauge("packhouse_replicas", "Replicas that were heard of in the last minute; 0 for a server without replicas."),
		gauge("packhouse_leases_held", "Leases that some replica holds, such as that of garbage collection."),
	}, func(ctx context.Context, v []float64) error {
		c, err := b.meta.Counts(ctx, b.meta.Now().Add(-time.Minute))
		copy(v, []float64{float64(c.Uploads), float64(c.Unreferenced), float64(c.Replicas), float64(c.Leases)})
		return err
	})
}

// measureRedis counts nothing, rather than not at all, without a Redis.
func (b *Backend) measureRedis(m *obs.Metrics) {
	requests := counter("packhouse_redis_requests_total",
		"Lookups in Redis: hit, miss, refused (a value that does not fit its key), error, or skipped while it is left alone.")
	writes := counter("packhouse_redis_writes_total", "Values written to Redis, or dropped because too many waited or it was away.")
	m.Read([]obs.Series{
		by(requests, "result", "hit"), by(requests, "result", "miss"), by(requests, "result", "refused"), by(requests, "result", "error"), by(requests, "result", "skipped"),
		by(writes, "result", "written"), by(writes, "result", "dropped"),
		counter("packhouse_redis_breaker_opened_total", "Times that Redis failed so often that it was left alone."),
		gauge("packhouse_redis_breaker_state", "Whether Redis is asked: 0 yes, 1 left alone, 2 being tried again."),
	}, func(v []float64) {
		var s cache.Stats
		if b.redis != nil {
			s = b.redis.Stats()
		}
		copy(v, []float64{
			float64(s.Hits), float64(s.Misses), float64(s.Refused), float64(s.Errors), float64(s.Skipped),
			float64(s.Written), float64(s.Dropped), float64(s.Opened), float64(s.State),
		})
	})
}

// collected are the kinds that collections remove.
var collected = []string{"uploads", "repositories", "periods", "manifests", "blobs", "blocks", "multiparts"}

func (b *Backend) measureCollections(m *obs.Metrics) {
	passes := counter("packhouse_gc_passes_total", "Passes of garbage collection on this replica: done, failed, or ended since another replica took over.")
	trashed := counter("packhouse_gc_trashed_total", "Manifests moved to the trash: untagged ones, and referrers without a subject.")
	series := []obs.Series{
		by(passes, "outcome", "done"), by(passes, "outcome", "failed"), by(passes, "outcome", "lost"),
		counter("packhouse_gc_removed_bytes_total", "Bytes of the blobs removed."),
		counter("packhouse_orphan_objects_total", "Objects of the storage that nothing held, found after a replica died and removed."),
		by(trashed, "reason", "untagged"), by(trashed, "reason", "referrer"),
		counter("packhouse_gc_seconds_total", "Time that passes took."),
		gauge("packhouse_gc_last_seconds", "Time that the last pass on this replica took."),
		gauge("packhouse_gc_last_timestamp_seconds", "When it ended, in seconds since 1970; 0 for never."),
		gauge("packhouse_gc_running", "1 while a pass runs on this replica."),
	}
	removed := counter("packhouse_gc_removed_total", "What garbage collection removed, by kind.")
	first := len(series)
	for _, kind := range collected {
		series = append(series, by(removed, "kind", kind))
	}
	m.Read(series, func(v []float64) {
		s := b.Engine.CollectionStats()
		running, ended := 0.0, 0.0
		if s.Holding {
			running = 1
		}
		if !s.LastPass.IsZero() {
			ended = float64(s.LastPass.UnixMilli()) / 1000
		}
		copy(v, []float64{
			float64(s.Passes - s.Failed), float64(s.Failed - s.LeaseLost), float64(s.LeaseLost), float64(s.BytesRemoved), float64(s.Orphans),
			float64(s.Untagged), float64(s.Referrers), s.Seconds, s.LastSeconds, ended, running,
		})
		for i, kind := range collected {
			v[first+i] = float64(s.Removed[kind])
		}
	})
}
