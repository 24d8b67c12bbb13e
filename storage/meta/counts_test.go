package meta

import (
	"context"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestCounts(t *testing.T) {
	t.Parallel()
	for _, at := range places() {
		t.Run(at.name, func(t *testing.T) {
			t.Parallel()
			at := at.fresh(t)
			s := at.open(t)
			update(t, s, func(ctx context.Context, tx *Tx) error {
				for _, query := range []string{
					`INSERT INTO blobs (digest, size, state, unreferenced_since, created_at) VALUES ('sha256:a', 1, 0, 1, 1), ('sha256:b', 1, 0, NULL, 1)`,
					`DELETE FROM replicas`,
				} {
					if _, err := tx.exec(ctx, query); err != nil {
						return err
					}
				}
				for name, until := range map[string]time.Time{"held": tx.now.Add(time.Hour), "over": tx.now.Add(-time.Hour)} {
					if err := tx.TakeLease(ctx, name, "me", until); err != nil {
						return err
					}
				}
				return tx.Beat(ctx, "me")
			})
			got, err := s.Counts(t.Context(), s.Now().Add(-time.Minute))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(Counts{Unreferenced: 1, Replicas: 1, Leases: 1}, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if got, err = s.Counts(t.Context(), s.Now().Add(time.Minute)); err != nil || got.Replicas != 0 {
				t.Errorf("%+v, %v: a replica that is silent counts", got, err)
			}
		})
	}
}
