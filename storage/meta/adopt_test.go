package meta

import (
	"context"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"

	"github.com/packhouse/packhouse/registry"
)

func TestAdoptTagTakesOnlyNamesWithoutAPeriod(t *testing.T) {
	t.Parallel()
	for _, at := range places() {
		t.Run(at.name, func(t *testing.T) {
			t.Parallel()
			at := at.fresh(t)
			s := at.open(t)
			update(t, s, func(ctx context.Context, tx *Tx) error {
				r, err := tx.EnsureRepository(ctx, "acme/app")
				if err != nil {
					return err
				}
				var digests []registry.Digest
				for _, raw := range []string{"old", "new"} {
					m := NewManifest{}
					m.Raw, m.Digest, m.MediaType = []byte(raw), digest.FromString(raw), "application/vnd.oci.image.manifest.v1+json"
					id, err := tx.AddManifest(ctx, r, m)
					if err != nil {
						return err
					}
					digests = append(digests, m.Digest)
					if raw == "new" {
						err = errors.Join(tx.SetTag(ctx, r, "moved", id), tx.SetTag(ctx, r, "deleted", id), tx.CloseTag(ctx, r, "deleted"))
					}
					if err != nil {
						return err
					}
				}
				for tag, want := range map[registry.Tag]bool{"moved": false, "deleted": false, "free": true} {
					if done, err := tx.AdoptTag(ctx, r, tag, digests[0]); err != nil || done != want {
						t.Errorf("%s: %t, %v, want %t", tag, done, err, want)
					}
				}
				if _, err := tx.AdoptTag(ctx, r, "lost", digest.FromString("lost")); !errors.Is(err, ErrNotFound) {
					t.Errorf("tag on an unknown manifest: %v", err)
				}
				m, err := tx.Tagged(ctx, "acme/app", "moved")
				if m.Digest != digests[1] {
					t.Errorf("moved is %s", m.Digest)
				}
				return err
			})
		})
	}
}

func TestAdoptBlobNeverSparesItsOwnKey(t *testing.T) {
	t.Parallel()
	for _, at := range places() {
		t.Run(at.name, func(t *testing.T) {
			t.Parallel()
			at := at.fresh(t)
			tests := []struct {
				name  string
				state BlobState
				key   string // of the row that is there; "" for none
				fresh bool
				spare []string
			}{
				{"new", Live, "", true, nil},
				{"live by the same key", Live, "/old/a/data", false, nil},
				{"live by another key", Live, "/objects/aa/b", false, nil},
				{"deleting, same key", Deleting, "/old/a/data", true, nil},
				{"deleting, another key", Deleting, "/objects/aa/b", true, []string{"/objects/aa/b"}},
				{"quarantined, another key", Quarantined, "/objects/aa/b", true, []string{"/objects/aa/b"}},
			}
			for _, tt := range tests {
				t.Run(tt.name, func(t *testing.T) {
					t.Parallel()
					s := at.fresh(t).open(t)
					d := digest.FromString("content")
					update(t, s, func(ctx context.Context, tx *Tx) error {
						r, err := tx.EnsureRepository(ctx, "acme/app")
						if err != nil {
							return err
						}
						if tt.key != "" {
							if _, err := tx.AddBlob(ctx, r, d, 7, []Object{{Key: tt.key, Size: 7}}); err != nil {
								return err
							}
							if _, err := tx.exec(ctx, `UPDATE blobs SET state = ?`, tt.state); err != nil {
								return err
							}
						}
						fresh, spare, err := tx.AdoptBlob(ctx, r, d, Object{Key: "/old/a/data", Size: 7})
						if fresh != tt.fresh {
							t.Errorf("fresh is %t", fresh)
						}
						if diff := cmp.Diff(tt.spare, spare); diff != "" {
							t.Errorf("spare (-want +got):\n%s", diff)
						}
						return err
					})
					b, err := s.Blob(t.Context(), "acme/app", d)
					if err != nil || len(b.Objects) != 1 {
						t.Errorf("%+v, %v", b, err)
					}
				})
			}
		})
	}
}
