package meta

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// Mutations that turn it red: let who comes later join the round under way;
// start the next round beside it; share a success of the one before.
func TestRoundsAreShared(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var began, ended atomic.Int64
		r := &Rounds{Query: func(context.Context) error {
			if began.Add(1)-ended.Load() != 1 {
				t.Error("two at once")
			}
			time.Sleep(time.Second) //nolint:forbidigo // of the bubble
			ended.Add(1)
			return nil
		}}
		start := time.Now()
		wait := func(after time.Duration, want int64) {
			time.Sleep(after) //nolint:forbidigo // of the bubble
			if err := r.Wait(t.Context()); err != nil {
				t.Error(err)
			}
			if got := time.Since(start).Milliseconds(); got != want {
				t.Errorf("who came after %s got the answer at %d ms, want %d", after, got, want)
			}
		}
		go wait(0, 1000)
		for range 100 { // all share the second
			go wait(10*time.Millisecond, 2000)
			go wait(900*time.Millisecond, 2000)
		}
		go wait(1500*time.Millisecond, 3000)
		go wait(5*time.Second, 6000)
		go func() {
			ctx, cancel := context.WithTimeout(t.Context(), 1700*time.Millisecond)
			defer cancel()
			time.Sleep(1200 * time.Millisecond) //nolint:forbidigo // of the bubble
			if err := r.Wait(ctx); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("who goes away gets %v", err)
			}
		}()
		time.Sleep(10 * time.Second) //nolint:forbidigo // of the bubble
		if n := began.Load(); n != 4 {
			t.Errorf("%d rounds, want 4", n)
		}
		r.Close()
	})
}

// Who waits for the round after one that failed fails with it.
func TestRoundsShareFailure(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		failure := errors.New("away")
		var began atomic.Int64
		r := &Rounds{Query: func(context.Context) error {
			time.Sleep(time.Second) //nolint:forbidigo // of the bubble
			if began.Add(1) == 1 {
				return failure
			}
			return nil
		}}
		start := time.Now()
		results := make(chan error, 2)
		go func() { results <- r.Wait(t.Context()) }()
		go func() {
			time.Sleep(time.Millisecond) //nolint:forbidigo // of the bubble
			results <- r.Wait(t.Context())
		}()
		for range 2 {
			if err := <-results; !errors.Is(err, failure) {
				t.Errorf("got %v", err)
			}
		}
		if d := time.Since(start); d != time.Second {
			t.Errorf("took %s", d)
		}
		if err := r.Wait(t.Context()); err != nil {
			t.Errorf("the next: %v", err)
		}
		r.Close()
	})
}
