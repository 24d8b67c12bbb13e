package engine

// CacheStats count since the start, but for Weight and Entries.
type CacheStats struct {
	Hits, Misses, Evicted uint64
	Weight, Capacity      uint64 // bytes
	Entries               int
	Validation            ValidationStats
}

// ValidationStats tell how a database that replicas share was asked whether
// names changed. They are 0 on SQLite.
type ValidationStats struct {
	Requests uint64 // that had to be validated
	Queries  uint64 // which they shared
	Failed   uint64 // queries
	Stale    uint64 // requests answered without, see [Config].StaleReads
}

// CacheStats returns what the cache did so far.
func (e *Engine) CacheStats() CacheStats {
	c := e.cache
	return CacheStats{
		Hits: c.hits.Load(), Misses: c.misses.Load(), Evicted: c.evicted.Load(),
		Weight: c.entries.WeightedSize(), Capacity: c.capacity, Entries: c.entries.EstimatedSize(),
		Validation: c.validation(),
	}
}
