package audit

import (
	"context"
	"crypto/ed25519"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/packhouse/packhouse/registry"
	"github.com/packhouse/packhouse/storage/meta"
)

// Config is all that a trail needs. Meta, Gate and Log are required.
type Config struct {
	Meta *meta.Store
	Gate registry.Gate
	Log  *slog.Logger

	// Checkpoints is the directory of the checkpoints; it is made when the
	// first is written. "" for none.
	Checkpoints string
	// Key signs checkpoints. It is asked for each, so it may change.
	Key func(ctx context.Context) (id string, key ed25519.PrivateKey, err error)
	// Every is how often a checkpoint is written if something changed.
	// Default 5 minutes.
	Every time.Duration
	// Retention is how long records are kept; 0 for ever.
	Retention time.Duration
}

// Trail is the audit of one registry.
type Trail struct {
	cfg         Config
	meta        *meta.Store
	log         *slog.Logger
	denials     *Denials
	checkpoints checkpoints
	stop        context.CancelFunc
	background  sync.WaitGroup
}

const (
	flushEvery = time.Minute
	retryAfter = 30 * time.Second // a checkpoint that could not be written
	trimAfter  = time.Minute      // from the start, then each trimEvery
	trimEvery  = 24 * time.Hour
)

// New starts the background work on the audit: checkpoints, retention,
// refusals. [Trail.Close] ends it.
func New(ctx context.Context, cfg Config) (*Trail, error) {
	switch {
	case cfg.Meta == nil, cfg.Gate == nil, cfg.Log == nil:
		return nil, errors.New("audit: Meta, Gate and Log are required")
	case cfg.Checkpoints != "" && cfg.Key == nil:
		return nil, errors.New("audit: checkpoints need a Key to sign them")
	}
	if cfg.Every <= 0 {
		cfg.Every = 5 * time.Minute
	}
	background, stop := context.WithCancel(context.WithoutCancel(ctx))
	t := &Trail{
		cfg: cfg, meta: cfg.Meta, log: cfg.Log, stop: stop,
		denials:     &Denials{now: cfg.Meta.Now},
		checkpoints: checkpoints{dir: cfg.Checkpoints, key: cfg.Key, meta: cfg.Meta, log: cfg.Log},
	}
	t.background.Go(func() { t.write(background) })
	if cfg.Retention > 0 {
		t.background.Go(func() { t.retain(background) })
	}
	return t, nil
}

// Close writes the refusals that wait and a last checkpoint. The store must
// still be open.
func (t *Trail) Close() error {
	t.stop()
	t.background.Wait()
	return nil
}

// Denials is where the gate tells what it refused.
func (t *Trail) Denials() *Denials { return t.denials }

// write is the loop of what is written now and then.
func (t *Trail) write(ctx context.Context) {
	flush := time.NewTicker(flushEvery)
	defer flush.Stop()
	checkpoint := time.NewTimer(t.cfg.Every)
	defer checkpoint.Stop()
	for {
		select {
		case <-ctx.Done():
			ctx = context.WithoutCancel(ctx)
			t.flush(ctx)
			t.checkpoint(ctx)
			return
		case <-flush.C:
			t.flush(ctx)
		case <-checkpoint.C:
			checkpoint.Reset(t.checkpoint(ctx))
		}
	}
}

// checkpoint returns when to write the next.
func (t *Trail) checkpoint(ctx context.Context) time.Duration {
	if t.cfg.Checkpoints == "" {
		return t.cfg.Every
	}
	if err := t.checkpoints.write(ctx); err != nil && ctx.Err() == nil {
		t.log.ErrorContext(ctx, "audit checkpoint not written", "dir", t.cfg.Checkpoints, "error", err)
		return min(retryAfter, t.cfg.Every)
	}
	return t.cfg.Every
}

// may tells whether the caller may read the audit of name and, with below, of
// all under it.
func (t *Trail) may(ctx context.Context, op string, name registry.Repo, below bool) error {
	if err := t.cfg.Gate.Can(ctx, registry.Admin, name); err != nil {
		return err
	}
	if below && !t.cfg.Gate.All(ctx, registry.Admin, name) {
		if name == "" {
			return registry.E(op, registry.Denied, nil, "only administrators of the whole registry may read its audit: ask for one repository or one namespace")
		}
		return registry.E(op, registry.Denied, nil, "only administrators of all that is below %s may read its audit: ask for one repository", name)
	}
	return nil
}
