package engine

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/packhouse/packhouse/registry"
	"github.com/packhouse/packhouse/storage/meta"
)

// numbersOf is a database of stripes alone.
type numbersOf struct {
	origin string
	seqs   map[int]int64
	err    error
	asked  int
	takes  time.Duration
}

func (n *numbersOf) ChangedStripes(ctx context.Context, after int64) (string, []meta.StripeChange, error) {
	n.asked++
	select {
	case <-time.After(n.takes):
	case <-ctx.Done():
		return "", nil, ctx.Err()
	}
	var list []meta.StripeChange
	for stripe, seq := range n.seqs {
		if seq > after {
			list = append(list, meta.StripeChange{Stripe: stripe, Seq: seq})
		}
	}
	return n.origin, list, n.err
}

func (n *numbersOf) Identity(context.Context) (string, error) { return "id", n.err }

// follow runs f in a bubble over a follower of n.
func follow(t *testing.T, n *numbersOf, staleFor time.Duration, f func(t *testing.T, a *follower, told *[]string, fail *error)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		var told []string
		var fail error
		a, err := newFollower(t.Context(), n, staleFor, nil, func(_ context.Context, feeds, access bool, seq int64) error {
			told = append(told, fmt.Sprint(feeds, access, seq))
			return fail
		})
		if err != nil {
			t.Fatal(err)
		}
		f(t, a, &told, &fail)
		a.close()
	})
}

func TestFollowerMarks(t *testing.T) {
	t.Parallel()
	n := &numbersOf{origin: "one", seqs: map[int]int64{stripeOf("a"): 7}}
	follow(t, n, 0, func(t *testing.T, a *follower, _ *[]string, _ *error) {
		t.Helper()
		marked := func(what string, origin uint32, generation uint64, database string) {
			t.Helper()
			if err := a.validate(t.Context()); err != nil {
				t.Fatal(err)
			}
			got, ok := a.mark("a")
			if want := (mark{origin, generation, database}); !ok || got != want {
				t.Errorf("%s: %+v, want %+v", what, got, want)
			}
		}
		marked("at first", 1, 7, "id one")
		n.seqs[stripeOf("b")] = 8
		marked("another's change", 1, 7, "id one")
		n.seqs[stripeOf("a")] = 9
		marked("its change", 1, 9, "id one")
		n.seqs[meta.AllStripe] = 10
		marked("everybody's change", 1, 10, "id one")
		n.seqs[stripeOf("a")] = 11
		before, _ := a.mark("a")
		marked("its change after it", 1, 11, "id one")
		if a.holds("a", before) {
			t.Error("an outdated mark holds")
		}
		// An earlier backup, with lower numbers, and other content under them.
		n.origin, n.seqs = "two", map[int]int64{stripeOf("a"): 9}
		marked("restored", 2, 9, "id two")
		n.seqs[stripeOf("a")] = 10
		marked("changed since", 2, 10, "id two")
	})
}

// What moved failed to read is read in the next round, and nobody relies on the
// round that failed.
func TestFollowerTellsAgain(t *testing.T) {
	t.Parallel()
	n := &numbersOf{origin: "one", seqs: map[int]int64{}}
	follow(t, n, 0, func(t *testing.T, a *follower, told *[]string, fail *error) {
		t.Helper()
		n.seqs[stripeOf("a")] = 1
		_ = a.validate(t.Context())
		n.seqs[meta.FeedsStripe] = 2
		*fail = meta.ErrUnavailable
		if err := a.validate(t.Context()); !errors.Is(err, meta.ErrUnavailable) {
			t.Errorf("got %v", err)
		}
		*fail = nil
		if err := a.validate(t.Context()); err != nil {
			t.Error(err)
		}
		_ = a.validate(t.Context())
		n.seqs[meta.AccessStripe] = 3
		_ = a.validate(t.Context())
		want := []string{"true true 0", "true false 2", "true true 2", "false true 2"}
		if fmt.Sprint(*told) != fmt.Sprint(want) {
			t.Errorf("told %q, want %q", *told, want)
		}
	})
}

func TestFollowerAsksOncePerRequest(t *testing.T) {
	t.Parallel()
	n := &numbersOf{origin: "one", seqs: map[int]int64{}}
	follow(t, n, 0, func(t *testing.T, a *follower, _ *[]string, _ *error) {
		t.Helper()
		asks := func(what string, ctx context.Context, want int) {
			t.Helper()
			before := n.asked
			for range 3 {
				if err := a.validate(ctx); err != nil {
					t.Error(err)
				}
			}
			if got := n.asked - before; got != want {
				t.Errorf("%s: asked %d times, want %d", what, got, want)
			}
		}
		ctx, reads := request(t.Context(), false)
		asks("a request", ctx, 1)
		asks("the same", ctx, 0)
		asks("asking what it may", registry.Asking(ctx), 0)
		other, _ := request(t.Context(), false)
		asks("another", other, 1)
		asks("none", t.Context(), 3)
		time.Sleep(validFor) //nolint:forbidigo // of the bubble
		asks("a long one", ctx, 1)
		reads.Validated.Store(0) // as after a commit of its own
		asks("after a commit", ctx, 1)
	})
}

func TestFollowerMayBeStale(t *testing.T) {
	t.Parallel()
	n := &numbersOf{origin: "one", seqs: map[int]int64{}}
	const staleFor = time.Minute
	follow(t, n, staleFor, func(t *testing.T, a *follower, _ *[]string, _ *error) {
		t.Helper()
		answered := func(what string, lenient, wantAnswer, wantStale bool, within time.Duration) {
			t.Helper()
			ctx, reads := request(t.Context(), lenient)
			began := time.Now()
			err := a.validate(ctx)
			if (err == nil) != wantAnswer || reads.Stale.Load() != wantStale {
				t.Errorf("%s: %v, stale %v", what, err, reads.Stale.Load())
			}
			if err != nil && !errors.Is(err, meta.ErrUnavailable) {
				t.Errorf("%s: %v is no ErrUnavailable", what, err)
			}
			if took := time.Since(began); took > within {
				t.Errorf("%s: took %s", what, took)
			}
		}
		n.err = meta.ErrUnavailable
		answered("away", true, true, true, 0)
		answered("away, a write", false, false, false, 0)
		n.takes = time.Hour
		answered("silent", true, true, true, staleAfter)
		time.Sleep(askWithin) //nolint:forbidigo // of the bubble
		synctest.Wait()       // the round that got no answer is over
		n.takes, n.err = 0, nil
		answered("back", true, true, false, 0)
		n.err = errors.New("a bug")
		ctx, _ := request(t.Context(), true)
		if err := a.validate(ctx); err == nil {
			t.Error("a foreign error was hidden")
		}
		n.err = meta.ErrUnavailable
		time.Sleep(staleFor + time.Second) //nolint:forbidigo // of the bubble
		answered("too old", true, false, false, 0)
	})
}
