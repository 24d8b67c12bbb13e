package consistency

import (
	"context"
	"math/rand/v2"
	"path/filepath"
	"testing"
	"time"
)

// trouble is something that breaks, and is mended when strike returns.
type trouble struct {
	name   string
	strike func(ctx context.Context, r *rand.Rand) error
}

// troubles are all that can happen to the deployment, each kind as likely as the others.
func (d *deployment) troubles(t *testing.T) []trouble {
	t.Helper()
	list := d.replicaTroubles()
	if d.services != nil {
		list = append(list, d.databaseTroubles()...)
		list = append(list, d.cacheTroubles(t)...)
	}
	return list
}

func (d *deployment) replicaTroubles() []trouble {
	one := func(r *rand.Rand) *replica { return d.replicas[r.IntN(len(d.replicas))] }
	return []trouble{
		{"a replica is killed", func(ctx context.Context, r *rand.Rand) error {
			victim := one(r)
			if err := victim.kill(); err != nil {
				return err
			}
			return victim.start(context.WithoutCancel(ctx))
		}},
		{"a replica stands still", func(_ context.Context, r *rand.Rand) error {
			victim := one(r)
			if err := victim.freeze(); err != nil {
				return err
			}
			<-time.After(between(r, patience/4, patience*3/2))
			return victim.thaw()
		}},
	}
}

func (d *deployment) databaseTroubles() []trouble {
	postgres := d.services.Postgres
	again := func(end func() error) func(context.Context, *rand.Rand) error {
		return func(ctx context.Context, r *rand.Rand) error {
			if err := end(); err != nil {
				return err
			}
			<-time.After(between(r, 0, 300*time.Millisecond))
			return d.startPostgres(context.WithoutCancel(ctx))
		}
	}
	return []trouble{
		{"PostgreSQL restarts at once (immediate)", again(postgres.Quit)},
		{"PostgreSQL restarts in order (fast)", again(postgres.Stop)},
		{"PostgreSQL is killed", again(postgres.Kill)},
		{"connections to PostgreSQL are reset", func(ctx context.Context, r *rand.Rand) error {
			return passing(ctx, r, d.database.Reset, d.database.Heal)
		}},
		{"PostgreSQL is cut off", func(ctx context.Context, r *rand.Rand) error {
			return passing(ctx, r, d.database.Cut, d.database.Heal)
		}},
	}
}

// startPostgres starts it again. After a SIGKILL that takes a moment: it refuses while a process of its last life is about
// to end.
func (d *deployment) startPostgres(ctx context.Context) error {
	return eventually(ctx, time.Minute, func() error { return d.services.Postgres.Start(ctx) })
}

// cacheTroubles are what happens to Redis. The snapshot that it is restored from gets older and older, and is replaced
// now and then.
func (d *deployment) cacheTroubles(t *testing.T) []trouble {
	t.Helper()
	redis, snapshot := d.services.Redis, filepath.Join(t.TempDir(), "redis.rdb")
	taken := false
	return []trouble{
		{"Redis is flushed", func(ctx context.Context, _ *rand.Rand) error {
			return redis.Flush(context.WithoutCancel(ctx))
		}},
		{"Redis is killed", func(ctx context.Context, r *rand.Rand) error {
			if err := redis.Kill(); err != nil {
				return err
			}
			<-time.After(between(r, 0, time.Second))
			return redis.Start(context.WithoutCancel(ctx))
		}},
		{"Redis stands still", func(_ context.Context, r *rand.Rand) error {
			if err := redis.Pause(); err != nil {
				return err
			}
			<-time.After(between(r, 100*time.Millisecond, 2*time.Second))
			return redis.Resume()
		}},
		{"Redis is cut off", func(ctx context.Context, r *rand.Rand) error {
			return passing(ctx, r, d.cache.Cut, d.cache.Heal)
		}},
		{"a snapshot of Redis is taken or restored", func(ctx context.Context, r *rand.Rand) error {
			ctx = context.WithoutCancel(ctx)
			if !taken || r.IntN(4) == 0 {
				taken = true
				return redis.Snapshot(ctx, snapshot)
			}
			return redis.Restore(ctx, snapshot)
		}},
	}
}

// passing breaks a thing and mends it.
func passing(ctx context.Context, r *rand.Rand, broken, mended func(context.Context) error) error {
	ctx = context.WithoutCancel(ctx)
	if err := broken(ctx); err != nil {
		return err
	}
	<-time.After(between(r, 100*time.Millisecond, 2*time.Second))
	return mended(ctx)
}

// disturb lets one trouble after the other strike until ctx ends. When it returns, all is mended.
func (d *deployment) disturb(ctx context.Context, t *testing.T, h *history, r *rand.Rand, list []trouble) {
	t.Helper()
	for len(list) > 0 {
		select {
		case <-ctx.Done():
			return
		case <-time.After(between(r, 100*time.Millisecond, time.Second)):
		}
		one := list[r.IntN(len(list))]
		h.mark(one.name)
		if err := one.strike(ctx, r); err != nil {
			t.Errorf("%s: %v", one.name, err)
			return
		}
		h.mark("mended: " + one.name)
	}
	<-ctx.Done()
}
