package engine

import (
	"bytes"
	"runtime"
	"testing"
	"time"

	"github.com/packhouse/packhouse/registry"
	"github.com/packhouse/packhouse/registry/registrytest"
)

// BenchmarkHit reads a tag that memory has.
func BenchmarkHit(b *testing.B) {
	e, _ := start(b, b.TempDir(), time.Now)
	pushForBench(b, e, "app", "latest")
	b.ReportAllocs()
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		ctx := registry.WithCaller(b.Context(), &registry.Caller{})
		for pb.Next() {
			if _, err := e.Tagged(ctx, "app", "latest"); err != nil {
				b.Error(err)
				return
			}
		}
	})
}

// BenchmarkHitReplicas reads a tag that memory has and PostgreSQL validates,
// 16 requests at a time.
func BenchmarkHitReplicas(b *testing.B) {
	e := share(b).replica()
	pushForBench(b, e, "app", "latest")
	before := e.CacheStats().Validation
	b.SetParallelism(max(1, 16/runtime.GOMAXPROCS(0)))
	b.ReportAllocs()
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			ctx, _ := request(b.Context(), true)
			if _, err := e.Tagged(ctx, "app", "latest"); err != nil {
				b.Error(err)
				return
			}
		}
	})
	after := e.CacheStats().Validation
	b.ReportMetric(float64(after.Queries-before.Queries)/float64(after.Requests-before.Requests), "queries/op")
}

func pushForBench(b *testing.B, e *Engine, r registry.Repo, t registry.Tag) {
	b.Helper()
	content := []byte("content")
	for _, blob := range [][]byte{[]byte("{}"), content} {
		if _, err := e.PutBlob(b.Context(), r, bytes.NewReader(blob), ""); err != nil {
			b.Fatal(err)
		}
	}
	if _, err := e.PutManifest(b.Context(), r, registrytest.Image(nil, []byte("{}"), content), registry.PutOptions{Tags: []registry.Tag{t}}); err != nil {
		b.Fatal(err)
	}
}
