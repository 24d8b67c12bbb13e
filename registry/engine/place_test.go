package engine

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/packhouse/packhouse/registry"
	"github.com/packhouse/packhouse/registry/seal"
	"github.com/packhouse/packhouse/storage/blob"
	"github.com/packhouse/packhouse/storage/meta"
	"github.com/packhouse/packhouse/storage/meta/metatest"
)

// place is a database and a storage, with a clock, for several engines: at
// once on PostgreSQL, one after the other on SQLite.
type place struct {
	clock
	dir, url string // url "" for SQLite
	blobs    *blob.Store
}

// onBoth runs a test on SQLite and on PostgreSQL.
func onBoth(t *testing.T, test func(t *testing.T, p *place)) {
	t.Helper()
	t.Run("sqlite", func(t *testing.T) {
		t.Parallel()
		test(t, newPlace(t, ""))
	})
	t.Run("postgres", func(t *testing.T) {
		t.Parallel()
		test(t, newPlace(t, metatest.Postgres(t)))
	})
}

func newPlace(t *testing.T, url string) *place {
	t.Helper()
	p := &place{dir: t.TempDir(), url: url}
	var err error
	if p.blobs, err = blob.Open(t.Context(), "inmemory", nil); err != nil {
		t.Fatal(err)
	}
	return p
}

// engine starts an engine, which has its own connections; stop ends it, as the
// test's end does.
func (p *place) engine(t *testing.T, change ...func(*Config)) (e *Engine, stop func()) {
	t.Helper()
	m, err := meta.Open(t.Context(), meta.Config{Dir: p.dir, URL: p.url, Connections: 6, Now: p.Now})
	if err != nil {
		t.Fatal(err)
	}
	box, err := seal.New(make([]byte, seal.KeySize))
	if err != nil {
		t.Fatal(err)
	}
	cfg := Config{
		Meta: m, Blobs: p.blobs, Seal: box, Log: slog.New(slog.DiscardHandler),
		Gate:       registry.GateFunc(func(context.Context, registry.Verb, registry.Repo) error { return nil }),
		Limits:     Limits{Manifest: 4 << 20, Blob: 1 << 30},
		Trash:      time.Hour,
		Lease:      time.Hour,
		UploadTTL:  24 * time.Hour,
		CacheBytes: 1 << 20,
	}
	for _, f := range change {
		f(&cfg)
	}
	if e, err = New(t.Context(), cfg); err != nil {
		t.Fatal(err)
	}
	stop = sync.OnceFunc(func() {
		if err := errors.Join(e.Close(), m.Close()); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(stop)
	return e, stop
}

// objects counts what lies in the storage.
func (p *place) objects(t *testing.T) int {
	t.Helper()
	n := 0
	if err := p.blobs.Walk(t.Context(), "/objects", func(string, int64) error { n++; return nil }); err != nil {
		t.Fatal(err)
	}
	return n
}
