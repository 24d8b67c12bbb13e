package engine

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/packhouse/packhouse/registry"
	"github.com/packhouse/packhouse/storage/meta"
)

// lease is the right to look after the registry: one collection, check or
// adoption at a time, in this process and, where others share the database,
// among all of them.
type lease struct {
	e    *Engine
	stop context.CancelCauseFunc
	done sync.WaitGroup
}

const (
	leaseName = "upkeep"
	leaseFor  = 30 * time.Second
	leaseBeat = leaseFor / 3
)

// upkeep takes the lease, and ends the context it returns when the lease is
// lost. It returns UNAVAILABLE while somebody else has it.
func (e *Engine) upkeep(ctx context.Context, op string) (context.Context, *lease, error) {
	if !e.collecting.TryLock() {
		return ctx, nil, busy(op)
	}
	ctx, stop := context.WithCancelCause(ctx)
	l := &lease{e: e, stop: stop}
	if !e.meta.Shared() {
		return ctx, l, nil
	}
	switch err := l.update(ctx, (*meta.Tx).TakeLease); {
	case errors.Is(err, meta.ErrHeld):
		l.end()
		return ctx, nil, busy(op)
	case err != nil:
		l.end()
		return ctx, nil, wrap(op, err)
	}
	l.done.Go(func() { l.keep(ctx) })
	return ctx, l, nil
}

func (l *lease) update(ctx context.Context, how func(*meta.Tx, context.Context, string, string, time.Time) error) error {
	return l.e.meta.Update(ctx, cleaning, func(ctx context.Context, tx *meta.Tx) error {
		return how(tx, ctx, leaseName, l.e.replica, tx.Now().Add(leaseFor))
	})
}

// keep renews the lease until it is released. What holds whoever lost it back
// is [lease.held], not this.
func (l *lease) keep(ctx context.Context) {
	tick := time.NewTicker(leaseBeat)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if err := l.update(ctx, (*meta.Tx).ExtendLease); errors.Is(err, meta.ErrHeld) {
			l.stop(errLeaseLost)
			return
		}
	}
}

// errLeaseLost ends work whose lease ran out and was taken by another replica.
var errLeaseLost = registry.E("engine.upkeep", registry.Unavailable, nil, "another replica took over: this one was stopped for too long")

// held makes a transaction fail when the lease is not ours any more.
func (l *lease) held(ctx context.Context, tx *meta.Tx) error {
	if !l.e.meta.Shared() {
		return nil
	}
	err := tx.KeepLease(ctx, leaseName, l.e.replica)
	if errors.Is(err, meta.ErrHeld) {
		return errLeaseLost
	}
	return err
}

// cause is why work ended that met err.
func (l *lease) cause(ctx context.Context, err error) error {
	if errors.Is(context.Cause(ctx), error(errLeaseLost)) {
		return errLeaseLost
	}
	return err
}

// release gives the lease up.
func (l *lease) release(ctx context.Context) {
	l.stop(context.Canceled)
	l.done.Wait()
	if l.e.meta.Shared() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), leaseBeat)
		defer cancel()
		// If it fails, the lease runs out.
		_ = l.e.meta.Update(ctx, cleaning, func(ctx context.Context, tx *meta.Tx) error { return tx.DropLease(ctx, leaseName, l.e.replica) })
	}
	l.end()
}

func (l *lease) end() {
	l.stop(context.Canceled)
	l.e.collecting.Unlock()
}
