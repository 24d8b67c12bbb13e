package meta

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/packhouse/packhouse/registry"
)

// BenchmarkPushWithCounts measures what the triggers of migration 5 add to a
// push of one small blob and its manifest in two durable commits, as clients
// make it.
func BenchmarkPushWithCounts(b *testing.B) {
	for _, counted := range []bool{false, true} {
		for _, durable := range []bool{false, true} {
			b.Run(fmt.Sprintf("counted=%t/durable=%t", counted, durable), func(b *testing.B) {
				s, err := Open(b.Context(), Config{Dir: b.TempDir()})
				if err != nil {
					b.Fatal(err)
				}
				b.Cleanup(func() {
					if err := s.Close(); err != nil {
						b.Error(err)
					}
				})
				update := func(f func(context.Context, *Tx) error) {
					if err := s.Update(b.Context(), Options{Durable: durable, Unaudited: true}, f); err != nil {
						b.Fatal(err)
					}
				}
				if !counted {
					update(dropTriggers)
				}
				for i := 0; b.Loop(); i++ {
					content := fmt.Sprintf("content %d", i)
					d, repo := digest.FromString(content), registry.Repo(fmt.Sprintf("acme/r%02d", i%50))
					update(func(ctx context.Context, tx *Tx) error {
						r, err := tx.EnsureRepository(ctx, repo)
						if err == nil {
							_, err = tx.AddBlob(ctx, r, d, int64(len(content)), []Object{{Key: "/" + content, Size: int64(len(content))}})
						}
						return err
					})
					update(func(ctx context.Context, tx *Tx) error {
						r, err := tx.EnsureRepository(ctx, repo)
						if err != nil {
							return err
						}
						blob, _, err := tx.EnsureBlob(ctx, r, registry.Descriptor{Digest: d}, false)
						if err != nil {
							return err
						}
						m := NewManifest{Blobs: []int64{blob}}
						m.Raw = fmt.Appendf(make([]byte, 500), "manifest of %d", i)
						m.Digest, m.MediaType = digest.FromBytes(m.Raw), "application/vnd.oci.image.manifest.v1+json"
						id, err := tx.AddManifest(ctx, r, m)
						return errors.Join(err, tx.SetTag(ctx, r, registry.Tag(fmt.Sprint("t", i)), id), tx.NextGeneration(ctx, r))
					})
				}
			})
		}
	}
}

func dropTriggers(ctx context.Context, tx *Tx) error {
	names, err := strs[string](tx.queries, ctx, `SELECT name FROM sqlite_schema WHERE type = 'trigger'`)
	for _, name := range names {
		_, e := tx.exec(ctx, `DROP TRIGGER `+name)
		err = errors.Join(err, e)
	}
	return err
}
