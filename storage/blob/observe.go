package blob

import (
	"context"
	"errors"
	"time"
)

// Observer is told what is done to objects. Its methods are called
// concurrently.
type Observer interface {
	// Begin says that op begins: create, put, read, commit, delete, stat or sign.
	// What it returns is the context of the operation and of End.
	Begin(ctx context.Context, op string) context.Context
	// End says how it ended: ok, absent, full, canceled or failed. bytes is what
	// it stored. A read ends when its first byte can be had.
	End(ctx context.Context, op, outcome string, began time.Time, bytes int64)
	// Read counts bytes that came of a read after its end.
	Read(bytes int64)
}

// Observe sets who is told; it is called once, before the store is used.
func (s *Store) Observe(o Observer) { s.observer = o }

// operation is one that began; its zero value tells nobody.
type operation struct {
	observer Observer
	name     string
	began    time.Time
}

func (s *Store) begin(ctx context.Context, name string) (context.Context, operation) {
	if s.observer == nil {
		return ctx, operation{}
	}
	return s.observer.Begin(ctx, name), operation{s.observer, name, time.Now()}
}

// end tells how o ended, and returns err.
func (o operation) end(ctx context.Context, bytes int64, err error) error {
	if o.observer == nil {
		return err
	}
	outcome := "ok"
	switch {
	case err == nil:
	case errors.Is(err, ErrNotFound):
		outcome, bytes = "absent", 0
	case errors.Is(err, ErrNoSpace):
		outcome, bytes = "full", 0
	case errors.Is(err, context.Canceled):
		outcome, bytes = "canceled", 0
	default:
		outcome, bytes = "failed", 0
	}
	o.observer.End(ctx, o.name, outcome, o.began, bytes)
	return err
}
