package meta

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// TestLogins follows a log-in to each of its ends.
func TestLogins(t *testing.T) {
	t.Parallel()
	for _, at := range places() {
		t.Run(at.name, func(t *testing.T) {
			t.Parallel()
			at := at.fresh(t)
			now := time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
			s, err := Open(t.Context(), at.with(func() time.Time { return now }))
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() {
				if err := s.Close(); err != nil {
					t.Error(err)
				}
			})
			var alice int64
			update(t, s, func(ctx context.Context, tx *Tx) error {
				alice, err = tx.AddPrincipal(ctx, Principal{Kind: KindUser, Name: "alice", Source: SourceLocal})
				return err
			})
			add := func(id, address string) (added bool) {
				t.Helper()
				update(t, s, func(ctx context.Context, tx *Tx) error {
					l := Login{ID: id, Secret: []byte("secret " + id), Client: "npm", Address: address, Expires: now.Add(10 * time.Minute)}
					added, err = tx.AddLogin(ctx, l, 4, 2)
					return err
				})
				return added
			}
			for i, want := range []bool{true, true, false} {
				if got := add(fmt.Sprintf("a%d", i), "192.0.2.1"); got != want {
					t.Errorf("log-in %d of one address: added %v, want %v", i, got, want)
				}
			}
			for i, want := range []bool{true, true, false} {
				if got := add(fmt.Sprintf("b%d", i), fmt.Sprintf("192.0.2.%d", i+10)); got != want {
					t.Errorf("log-in %d of all: added %v, want %v", i+2, got, want)
				}
			}
			got, err := s.Login(t.Context(), "a0", now)
			want := Login{ID: "a0", Secret: []byte("secret a0"), Client: "npm", Address: "192.0.2.1", Created: now, Expires: now.Add(10 * time.Minute)}
			if diff := cmp.Diff(want, got); err != nil || diff != "" {
				t.Errorf("Login (-want +got):\n%s%v", diff, err)
			}

			try := func(what string, want error, f func(ctx context.Context, tx *Tx) error) {
				t.Helper()
				if err := s.Update(t.Context(), Options{Unaudited: true}, f); !errors.Is(err, want) {
					t.Errorf("%s: %v, want %v", what, err, want)
				}
			}
			send := func(id, state string) func(context.Context, *Tx) error {
				return func(ctx context.Context, tx *Tx) error {
					return tx.SendLogin(ctx, id, []byte(state), []byte("sealed "+state))
				}
			}
			take := func(state, id string) func(context.Context, *Tx) error {
				return func(ctx context.Context, tx *Tx) error {
					l, sealed, err := tx.TakeState(ctx, []byte(state))
					if err == nil && (l.ID != id || string(sealed) != "sealed "+state) {
						t.Errorf("state %s: log-in %s with %q", state, l.ID, sealed)
					}
					return err
				}
			}
			approve := func(id string) func(context.Context, *Tx) error {
				return func(ctx context.Context, tx *Tx) error { return tx.ApproveLogin(ctx, id, alice) }
			}
			try("send", nil, send("a0", "first"))
			try("send again", nil, send("a0", "second"))
			try("send what is not there", ErrNotFound, send("none", "x"))
			try("a state that was replaced", ErrNotFound, take("first", "a0"))
			try("a state", nil, take("second", "a0"))
			try("a state twice", ErrNotFound, take("second", "a0"))
			try("send once more", nil, send("a0", "third"))
			try("approve", nil, approve("a0"))
			try("approve twice", ErrNotFound, approve("a0"))
			try("a state of before", ErrNotFound, take("third", "a0"))
			try("send what was answered", ErrNotFound, send("a0", "x"))
			if got, err := s.Login(t.Context(), "a0", now); err != nil || got.Principal != alice || got.Epoch == 0 {
				t.Errorf("approved: %+v, %v", got, err)
			}

			try("send another", nil, send("a1", "late"))
			now = now.Add(10 * time.Minute)
			if _, err := s.Login(t.Context(), "a1", now); !errors.Is(err, ErrNotFound) {
				t.Errorf("an expired log-in: %v", err)
			}
			try("an expired state", ErrNotFound, take("late", "a1"))
			try("send an expired one", ErrNotFound, send("a1", "x"))
			try("approve an expired one", ErrNotFound, approve("a1"))
			if !add("c0", "192.0.2.1") {
				t.Error("expired log-ins still count")
			}
			try("remove what expired", ErrNotFound, func(ctx context.Context, tx *Tx) error { return tx.RemoveLogin(ctx, "a0") })
			try("approve the new one", nil, approve("c0"))
			update(t, s, func(ctx context.Context, tx *Tx) error { return tx.DeletePrincipal(ctx, alice) })
			if _, err := s.Login(t.Context(), "c0", now); !errors.Is(err, ErrNotFound) {
				t.Errorf("a deleted user's log-in: %v", err)
			}
		})
	}
}
