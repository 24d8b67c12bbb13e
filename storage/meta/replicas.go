package meta

import (
	"context"
	"errors"
	"time"
)

// ErrHeld means that somebody else has a lease.
var ErrHeld = errors.New("another process has the lease")

// Beat notes that a replica runs.
func (t *Tx) Beat(ctx context.Context, id string) error {
	_, err := t.exec(ctx, `INSERT INTO replicas (id, seen_at) VALUES (?, ?) ON CONFLICT (id) DO UPDATE SET seen_at = excluded.seen_at`, id, millis(t.now))
	return err
}

// RemoveReplica forgets a replica: what it reserved is nobody's.
func (t *Tx) RemoveReplica(ctx context.Context, id string) error {
	_, err := t.exec(ctx, `DELETE FROM replicas WHERE id = ?`, id)
	return err
}

// RemoveReplicas forgets the replicas that have not beaten since the given
// time, and returns how many.
func (t *Tx) RemoveReplicas(ctx context.Context, since time.Time) (int64, error) {
	return t.changed(ctx, `DELETE FROM replicas WHERE seen_at < ?`, millis(since))
}

// TakeLease gives a lease to holder until the given time. It returns ErrHeld
// while another holder has it.
func (t *Tx) TakeLease(ctx context.Context, name, holder string, until time.Time) error {
	n, err := t.changed(ctx, `INSERT INTO leases (name, holder, until) VALUES (?, ?, ?)
		ON CONFLICT (name) DO UPDATE SET holder = excluded.holder, until = excluded.until WHERE leases.until < ? OR leases.holder = excluded.holder`,
		name, holder, millis(until), millis(t.now))
	if err == nil && n == 0 {
		return ErrHeld
	}
	return err
}

// ExtendLease makes holder's lease last until the given time. It returns
// ErrHeld when it ran out or is another's: then it must be taken anew.
func (t *Tx) ExtendLease(ctx context.Context, name, holder string, until time.Time) error {
	n, err := t.changed(ctx, `UPDATE leases SET until = ? WHERE name = ? AND holder = ? AND until > ?`, millis(until), name, holder, millis(t.now))
	if err == nil && n == 0 {
		return ErrHeld
	}
	return err
}

// KeepLease is what each step of the lease's work asks in its own transaction:
// a holder that was stopped for longer than its lease must change nothing. It
// returns ErrHeld when the lease ran out or is another's.
func (t *Tx) KeepLease(ctx context.Context, name, holder string) error {
	var one int
	err := t.one(ctx, `SELECT 1 FROM leases WHERE name = ? AND holder = ? AND until > ?`, []any{name, holder, millis(t.now)}, &one)
	if errors.Is(err, ErrNotFound) {
		return ErrHeld
	}
	return err
}

// DropLease ends holder's lease, if it has it.
func (t *Tx) DropLease(ctx context.Context, name, holder string) error {
	_, err := t.exec(ctx, `DELETE FROM leases WHERE name = ? AND holder = ?`, name, holder)
	return err
}
