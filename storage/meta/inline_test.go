package meta

import (
	"bytes"
	"context"
	"errors"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
)

// TestInline: a small blob's bytes come back with its row, are gone with it,
// and come back with a new push while it is being deleted.
func TestInline(t *testing.T) {
	t.Parallel()
	for _, at := range places() {
		t.Run(at.name, func(t *testing.T) {
			t.Parallel()
			at := at.fresh(t)
			s := at.open(t)
			content := []byte("small")
			d := digest.FromBytes(content)
			add := func() (spare []string) {
				update(t, s, func(ctx context.Context, tx *Tx) error {
					r, err := tx.EnsureRepository(ctx, "acme/app")
					if err != nil {
						return err
					}
					spare, err = tx.AddBlob(ctx, r, d, int64(len(content)), []Object{Inline(d, content)})
					return err
				})
				return spare
			}
			want := func() Blob {
				t.Helper()
				b, err := s.Blob(t.Context(), "acme/app", d)
				if err != nil || len(b.Objects) != 1 || !bytes.Equal(b.Objects[0].Content, content) || !IsInline(b.Objects[0].Key) {
					t.Fatalf("blob %+v, %v", b, err)
				}
				return b
			}
			add()
			want()
			for _, key := range add() {
				if !IsInline(key) {
					t.Errorf("spare key %q is to be deleted from the storage", key)
				}
			}
			later := s.Now().Add(time.Hour)
			update(t, s, func(ctx context.Context, tx *Tx) error {
				_, _, err := tx.MarkGarbage(ctx, later, Garbage{})
				return err
			})
			if _, err := s.Blob(t.Context(), "acme/app", d); !errors.Is(err, ErrNotFound) {
				t.Fatalf("a blob being deleted is shown: %v", err)
			}
			add()
			want()
			update(t, s, func(ctx context.Context, tx *Tx) error {
				return takeGarbage(ctx, tx, later)
			})
			if row, err := s.BlobRow(t.Context(), d); !errors.Is(err, ErrNotFound) {
				t.Errorf("row %+v, %v, want none", row, err)
			}
		})
	}
}
