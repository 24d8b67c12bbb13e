package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"time"

	"github.com/packhouse/packhouse/artifacttypes"
	"github.com/packhouse/packhouse/registry/config"
	"github.com/packhouse/packhouse/registry/engine"
	"github.com/packhouse/packhouse/registry/feed"
	"github.com/packhouse/packhouse/storage/blob"
	"github.com/packhouse/packhouse/storage/meta"
)

// Backend is an engine over an opened data directory. Whoever holds it is the
// only process that does.
type Backend struct {
	Dir    *Dir
	Engine *engine.Engine
	Feeds  *feed.Handler
	meta   *meta.Store
}

// Open locks the data directory and starts an engine over its stores. It
// returns a *LockedError while another process has the directory. c must have
// been checked, its formats' settings too.
func Open(ctx context.Context, c config.Config, formats []artifacttypes.Format, log *slog.Logger) (_ *Backend, err error) {
	b := &Backend{}
	defer func() {
		if err != nil {
			err = errors.Join(err, b.Close())
		}
	}()
	if b.Dir, err = OpenDir(c.Data); err != nil {
		return nil, err
	}
	if b.meta, err = meta.Open(ctx, meta.Config{Dir: b.Dir.Path()}); err != nil {
		return nil, err
	}
	blobs, err := openBlobs(ctx, c.Storage, b.Dir.Path())
	if err != nil {
		return nil, err
	}
	b.Engine, err = engine.New(ctx, engine.Config{
		Meta: b.meta, Blobs: blobs, Gate: openGate, Log: log,
		Limits: engine.Limits{Manifest: int64(c.Limits.Manifest), Blob: int64(c.Limits.Blob), File: int64(c.Limits.Package)},
		Sparse: c.Manifests.Sparse, Trash: time.Duration(c.Trash.Window), Lease: time.Duration(c.GC.Lease),
		UploadTTL: time.Duration(c.Uploads.TTL), CacheBytes: int64(c.Cache.Size),
		Formats: feed.EngineFormats(formats),
	})
	if err != nil {
		return nil, fmt.Errorf("start engine: %w", err)
	}
	b.Feeds, err = feed.New(feed.Options{Formats: formats, Engine: b.Engine, Settings: c.Formats, Log: log})
	if err != nil {
		return nil, fmt.Errorf("start formats: %w", err)
	}
	return b, nil
}

// openBlobs opens the store; files lie in the data directory unless the
// driver's own parameter says otherwise.
func openBlobs(ctx context.Context, s config.Storage, dir string) (*blob.Store, error) {
	params := maps.Clone(s.Params)
	if params == nil {
		params = config.Params{}
	}
	if s.Driver == "filesystem" && params["rootdirectory"] == nil {
		params["rootdirectory"] = dir
	}
	return blob.Open(ctx, s.Driver, params)
}

// Close ends the engine's work, closes the stores and gives the directory up.
func (b *Backend) Close() error {
	var errs []error
	if b.Engine != nil {
		errs = append(errs, b.Engine.Close())
	}
	if b.meta != nil {
		errs = append(errs, b.meta.Close())
	}
	if b.Dir != nil {
		errs = append(errs, b.Dir.Close())
	}
	return errors.Join(errs...)
}
