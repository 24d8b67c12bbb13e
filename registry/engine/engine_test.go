package engine

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/packhouse/packhouse/registry"
	"github.com/packhouse/packhouse/registry/registrytest"
	"github.com/packhouse/packhouse/registry/seal"
	"github.com/packhouse/packhouse/storage/blob"
	"github.com/packhouse/packhouse/storage/meta"
)

func open(t *testing.T, change ...func(*Config)) *Engine {
	t.Helper()
	return openAt(t, t.TempDir(), change...)
}

func openAt(t *testing.T, dir string, change ...func(*Config)) *Engine {
	t.Helper()
	e, _ := start(t, dir, time.Now, change...)
	return e
}

// start opens an engine that ends with the test, or earlier by stop.
func start(tb testing.TB, dir string, now func() time.Time, change ...func(*Config)) (e *Engine, stop func()) {
	tb.Helper()
	m, err := meta.Open(tb.Context(), meta.Config{Dir: dir, Now: now})
	if err != nil {
		tb.Fatal(err)
	}
	b, err := blob.Open(tb.Context(), "filesystem", map[string]any{"rootdirectory": dir})
	if err != nil {
		tb.Fatal(err)
	}
	box, err := seal.New(make([]byte, seal.KeySize))
	if err != nil {
		tb.Fatal(err)
	}
	cfg := Config{
		Meta: m, Blobs: b, Seal: box, Log: slog.New(slog.DiscardHandler),
		Gate:       registry.GateFunc(func(context.Context, registry.Verb, registry.Repo) error { return nil }),
		Limits:     Limits{Manifest: 4 << 20, Blob: 1 << 30},
		Trash:      time.Hour,
		Lease:      time.Hour,
		UploadTTL:  time.Hour,
		CacheBytes: 1 << 20,
	}
	for _, f := range change {
		f(&cfg)
	}
	if e, err = New(tb.Context(), cfg); err != nil {
		tb.Fatal(err)
	}
	stop = sync.OnceFunc(func() {
		if err := errors.Join(e.Close(), m.Close()); err != nil {
			tb.Error(err)
		}
	})
	tb.Cleanup(stop)
	return e, stop
}

func TestRegistry(t *testing.T) {
	t.Parallel()
	registrytest.Run(t, func(t *testing.T) registry.Registry {
		t.Helper()
		return open(t)
	})
}
