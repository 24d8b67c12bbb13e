package meta

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"
	"github.com/pressly/goose/v3"
	"pgregory.net/rapid"

	"github.com/packhouse/packhouse/registry"
)

// change is update without a record in the audit.
func change(t *testing.T, s *Store, f func(context.Context, *Tx) error) error {
	t.Helper()
	return s.Update(t.Context(), Options{Unaudited: true}, f)
}

// must fails t on an error of change.
func must(t *testing.T, s *Store, f func(context.Context, *Tx) error) {
	t.Helper()
	if err := change(t, s, f); err != nil {
		t.Fatal(err)
	}
}

func (t *Tx) testBlob(ctx context.Context, repo registry.Repo, content string) (Repository, int64, error) {
	r, err := t.EnsureRepository(ctx, repo)
	if err != nil {
		return r, 0, err
	}
	d := digest.FromString(content)
	if _, err := t.AddBlob(ctx, r, d, int64(len(content)), []Object{{Key: "/" + d.Encoded() + fmt.Sprint(t.now.UnixNano()), Size: int64(len(content))}}); err != nil {
		return r, 0, err
	}
	row, err := t.BlobRow(ctx, d)
	return r, row.ID, err
}

// push adds a manifest of one blob and tags it.
func (t *Tx) push(ctx context.Context, repo registry.Repo, tag registry.Tag, content string) error {
	r, blob, err := t.testBlob(ctx, repo, content)
	if err != nil {
		return err
	}
	m := NewManifest{Blobs: []int64{blob}}
	m.Raw = []byte("manifest of " + content)
	m.Digest, m.MediaType = digest.FromBytes(m.Raw), "application/vnd.oci.image.manifest.v1+json"
	id, err := t.AddManifest(ctx, r, m)
	if err != nil {
		return err
	}
	return errors.Join(t.SetTag(ctx, r, tag, id), t.NextGeneration(ctx, r))
}

func usage(t *testing.T, s *Store, namespace string) NamespaceUsage {
	t.Helper()
	u, err := s.NamespaceUsage(t.Context(), namespace)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

func wantNoDrift(t *testing.T, s *Store) {
	t.Helper()
	drift, err := s.RecountUsage(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]Drift(nil), drift); diff != "" {
		t.Errorf("drift (-want +got):\n%s", diff)
	}
}

func TestANamespaceCountsEachThingOnce(t *testing.T) {
	t.Parallel()
	for _, at := range places() {
		t.Run(at.name, func(t *testing.T) {
			t.Parallel()
			at := at.fresh(t)
			s := at.open(t)
			must(t, s, func(ctx context.Context, tx *Tx) error {
				return errors.Join(tx.push(ctx, "acme/a", "1", "ten bytes!"), tx.push(ctx, "acme/b", "1", "ten bytes!"), tx.push(ctx, "acme/b", "2", "six by"),
					tx.push(ctx, "other/a", "1", "ten bytes!"), tx.push(ctx, "alpine", "1", "seven b"))
			})
			const about = int64(len("manifest of "))
			for namespace, want := range map[string]NamespaceUsage{
				"acme":  {Namespace: "acme", Bytes: 2*(10+6) + 2*about, Manifests: 2},
				"other": {Namespace: "other", Bytes: 2*10 + about, Manifests: 1},
				"":      {Bytes: 2*7 + about, Manifests: 1},
			} {
				if diff := cmp.Diff(want, usage(t, s, namespace)); diff != "" {
					t.Errorf("%q (-want +got):\n%s", namespace, diff)
				}
			}
			if _, err := s.NamespaceUsage(t.Context(), "nobody"); !errors.Is(err, ErrNotFound) {
				t.Errorf("usage of no namespace: %v", err)
			}
			wantNoDrift(t, s)
		})
	}
}

// TestTrashCounts follows a namespace through deletion, collection and purge.
func TestTrashCounts(t *testing.T) {
	t.Parallel()
	for _, at := range places() {
		t.Run(at.name, func(t *testing.T) {
			t.Parallel()
			at := at.fresh(t)
			s := at.open(t)
			const manifest = int64(len("manifest of ..."))
			shares := func(step string, want Shares) {
				t.Helper()
				got, err := s.NamespaceShares(t.Context(), "acme")
				if err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(want, got); diff != "" {
					t.Errorf("%s (-want +got):\n%s", step, diff)
				}
				wantNoDrift(t, s)
			}
			must(t, s, func(ctx context.Context, tx *Tx) error {
				_, _, err := tx.testBlob(ctx, "acme/a", "loose")
				return errors.Join(err, tx.push(ctx, "acme/a", "1", "one"), tx.push(ctx, "acme/a", "2", "two"), tx.push(ctx, "acme/b", "1", "one"), tx.push(ctx, "acme/c", "1", "fourth"))
			})
			shares("pushed", Shares{Live: Share{3 + 3 + 6 + 3*manifest + 3, 3}, Unreferenced: 5})
			must(t, s, func(ctx context.Context, tx *Tx) error {
				r, err := tx.Repository(ctx, "acme/a")
				if err != nil {
					return err
				}
				return errors.Join(tx.CloseMembership(ctx, r, digest.FromString("manifest of one")), tx.CloseMembership(ctx, r, digest.FromString("manifest of two")))
			})
			shares("deleted in one repository", Shares{Live: Share{3 + 6 + 2*manifest + 3, 2}, Trash: Share{3 + manifest, 1}, Unreferenced: 5})
			must(t, s, func(ctx context.Context, tx *Tx) error {
				gone, err := tx.Repository(ctx, "acme/c")
				if err != nil {
					return err
				}
				return tx.DeleteRepository(ctx, gone)
			})
			shares("deleted repository", Shares{Live: Share{3 + manifest, 1}, Trash: Share{3 + 6 + 2*manifest + 3, 2}, Unreferenced: 5})
			must(t, s, func(ctx context.Context, tx *Tx) error {
				return emptyTrash(ctx, tx, tx.Now().Add(-time.Hour), "acme/c")
			})
			shares("purged", Shares{Live: Share{3 + manifest, 1}, Trash: Share{3 + manifest, 1}, Unreferenced: 5})
			must(t, s, func(ctx context.Context, tx *Tx) error {
				return emptyTrash(ctx, tx, tx.Now().Add(time.Hour))
			})
			shares("trash emptied", Shares{Live: Share{3 + manifest, 1}, Unreferenced: 5 + 3})
			must(t, s, func(ctx context.Context, tx *Tx) error {
				return takeGarbage(ctx, tx, tx.Now().Add(time.Hour))
			})
			shares("collected", Shares{Live: Share{3 + manifest, 1}})
		})
	}
}

// The mutation that turns this red: leave the limits' triggers out of
// migration 5.
func TestQuota(t *testing.T) {
	t.Parallel()
	for _, at := range places() {
		t.Run(at.name, func(t *testing.T) {
			t.Parallel()
			at := at.fresh(t)
			const room = int64(2 * (10 + len("manifest of 0123456789")))
			tests := []struct {
				name  string
				quota Quota
				want  *QuotaError // of a third push
			}{
				{"none", Quota{}, nil},
				{"enough", Quota{Bytes: new(room + 32), Manifests: new(int64(3))}, nil},
				{"one byte short for the manifest", Quota{Bytes: new(room + 31)}, &QuotaError{"acme", "bytes", room + 10, 22, room + 31}},
				{"full", Quota{Bytes: new(room)}, &QuotaError{"acme", "bytes", room, 10, room}},
				{"manifests", Quota{Manifests: new(int64(2))}, &QuotaError{"acme", "manifests", 2, 1, 2}},
				{"nothing at all", Quota{Bytes: new(int64(0))}, &QuotaError{"acme", "bytes", room, 10, 0}},
			}
			for _, tt := range tests {
				t.Run(tt.name, func(t *testing.T) {
					t.Parallel()
					s := at.fresh(t).open(t)
					push := func(ctx context.Context, tx *Tx, tag registry.Tag, content string) error {
						return tx.push(ctx, "acme/app", tag, content)
					}
					must(t, s, func(ctx context.Context, tx *Tx) error {
						return errors.Join(push(ctx, tx, "1", "0123456789"), push(ctx, tx, "2", "9876543210"), tx.SetQuota(ctx, "acme", tt.quota))
					})
					err := change(t, s, func(ctx context.Context, tx *Tx) error { return push(ctx, tx, "3", "abcdefghij") })
					got, _ := errors.AsType[*QuotaError](err)
					if diff := cmp.Diff(tt.want, got); diff != "" || errors.Is(err, ErrQuota) != (got != nil) {
						t.Errorf("%v (-want +got):\n%s", err, diff)
					}
					u := usage(t, s, "acme")
					if refused := err != nil; refused != (u.Manifests == 2) || refused != (u.Bytes == room) {
						t.Errorf("push: %v, after it %+v", err, u)
					}
					if diff := cmp.Diff(tt.quota, u.Quota); diff != "" {
						t.Errorf("quota (-want +got):\n%s", diff)
					}
					must(t, s, func(ctx context.Context, tx *Tx) error {
						return errors.Join(push(ctx, tx, "1", "9876543210"), tx.push(ctx, "other/app", "1", "abcdefghij")) // nothing new; not this namespace
					})
					wantNoDrift(t, s)
				})
			}
		})
	}
}

// TestARefusalUndoesItsChangeAlone: what shares the commit, or was done before
// in the same transaction, does not fail with it.
func TestARefusalUndoesItsChangeAlone(t *testing.T) {
	t.Parallel()
	for _, at := range places() {
		t.Run(at.name, func(t *testing.T) {
			t.Parallel()
			at := at.fresh(t)
			s := at.open(t)
			must(t, s, func(ctx context.Context, tx *Tx) error {
				return errors.Join(tx.push(ctx, "acme/app", "1", "0123456789"), tx.SetQuota(ctx, "acme", Quota{Bytes: new(int64(50))}))
			})
			results := make(chan error, 40)
			for i := range cap(results) {
				go func() {
					repo := registry.Repo([]string{"acme/app", "other/app"}[i%2])
					err := s.Update(t.Context(), Options{Unaudited: true, Durable: i%3 == 0}, func(ctx context.Context, tx *Tx) error {
						return tx.push(ctx, repo, registry.Tag(fmt.Sprint("t", i)), fmt.Sprintf("0123456789-%d", i))
					})
					if errors.Is(err, ErrQuota) != (i%2 == 0) {
						err = fmt.Errorf("push to %s: %w", repo, err)
					} else {
						err = nil
					}
					results <- err
				}()
			}
			for range cap(results) {
				if err := <-results; err != nil {
					t.Error(err)
				}
			}
			if u := usage(t, s, "other"); u.Manifests != 20 {
				t.Errorf("other has %d manifests, want 20", u.Manifests)
			}
			wantNoDrift(t, s)
			if at.postgres() { // there a transaction ends with a statement that fails
				return
			}
			// A statement that was refused leaves nothing, and its transaction alive.
			must(t, s, func(ctx context.Context, tx *Tx) error {
				if _, _, err := tx.testBlob(ctx, "acme/app", "a blob that does not fit in, by far"); !errors.Is(err, ErrQuota) {
					t.Errorf("got %v, want ErrQuota", err)
				}
				return tx.push(ctx, "other/app", "after", "after")
			})
			wantNoDrift(t, s)
		})
	}
}

func TestSparseBlobsCountWhenTheyCome(t *testing.T) {
	t.Parallel()
	for _, at := range places() {
		t.Run(at.name, func(t *testing.T) {
			t.Parallel()
			at := at.fresh(t)
			s := at.open(t)
			content := "it has more bytes than its manifest said"
			d := registry.Descriptor{Digest: digest.FromString(content), Size: 4}
			must(t, s, func(ctx context.Context, tx *Tx) error {
				r, err := tx.EnsureRepository(ctx, "acme/app")
				if err != nil {
					return err
				}
				_, _, err = tx.EnsureBlob(ctx, r, d, true)
				return err
			})
			if u := usage(t, s, "acme"); u.Bytes != 0 {
				t.Errorf("an absent blob counts %d bytes", u.Bytes)
			}
			must(t, s, func(ctx context.Context, tx *Tx) error {
				_, _, err := tx.testBlob(ctx, "acme/app", content)
				return err
			})
			if u := usage(t, s, "acme"); u.Bytes != int64(len(content)) {
				t.Errorf("got %d bytes, want %d", u.Bytes, len(content))
			}
			// A size that changes under a repository that shows the blob.
			resize := func(size int) error {
				return change(t, s, func(ctx context.Context, tx *Tx) error {
					_, err := tx.exec(ctx, `UPDATE blobs SET size = ?`, size)
					return err
				})
			}
			must(t, s, func(ctx context.Context, tx *Tx) error {
				return tx.SetQuota(ctx, "acme", Quota{Bytes: new(int64(len(content)))})
			})
			if err := errors.Join(resize(2), resize(40)); err != nil {
				t.Error(err)
			}
			if err := resize(41); !errors.Is(err, ErrQuota) {
				t.Errorf("growing in place: %v", err)
			}
			wantNoDrift(t, s)
		})
	}
}

// TestARepositoryMoves to another namespace, with what it holds open and in the
// trash, part of which others hold, too.
func TestARepositoryMoves(t *testing.T) {
	t.Parallel()
	for _, at := range places() {
		t.Run(at.name, func(t *testing.T) {
			t.Parallel()
			at := at.fresh(t)
			s := at.open(t)
			move := func(to string) error {
				return change(t, s, func(ctx context.Context, tx *Tx) error {
					_, err := tx.exec(ctx, `UPDATE repositories SET namespace_id = (SELECT id FROM namespaces WHERE name = ?) WHERE name = 'acme/app'`, to)
					return err
				})
			}
			must(t, s, func(ctx context.Context, tx *Tx) error {
				err := errors.Join(tx.push(ctx, "acme/app", "1", "alone"), tx.push(ctx, "acme/app", "2", "shared"), tx.push(ctx, "acme/app", "3", "known"),
					tx.push(ctx, "acme/other", "1", "shared"), tx.push(ctx, "other/app", "1", "known"), tx.SetQuota(ctx, "other", Quota{Manifests: new(int64(2))}))
				if err != nil {
					return err
				}
				r, err := tx.Repository(ctx, "acme/app")
				if err != nil {
					return err
				}
				return errors.Join(tx.CloseMembership(ctx, r, digest.FromString("manifest of alone")), tx.NextGeneration(ctx, r), tx.push(ctx, "acme/app", "4", "alone"))
			})
			manifests := func() [2]int64 { return [2]int64{usage(t, s, "acme").Manifests, usage(t, s, "other").Manifests} }
			if err := move("other"); !errors.Is(err, ErrQuota) || manifests() != [2]int64{3, 1} {
				t.Errorf("into a full namespace: %v, %v manifests", err, manifests())
			}
			wantNoDrift(t, s)
			must(t, s, func(ctx context.Context, tx *Tx) error { return tx.SetQuota(ctx, "other", Quota{}) })
			for to, want := range map[string][2]int64{"other": {1, 3}, "acme": {3, 1}} {
				if err := move("acme"); err != nil {
					t.Fatal(err)
				}
				if err := move(to); err != nil || manifests() != want {
					t.Errorf("to %s: %v, %v manifests, want %v", to, err, manifests(), want)
				}
				wantNoDrift(t, s)
			}
		})
	}
}

func TestCountedRowsStay(t *testing.T) {
	t.Parallel()
	for _, at := range places() {
		t.Run(at.name, func(t *testing.T) {
			t.Parallel()
			at := at.fresh(t)
			s := at.open(t)
			must(t, s, func(ctx context.Context, tx *Tx) error {
				return errors.Join(tx.push(ctx, "acme/app", "1", "content"), tx.push(ctx, "other/app", "1", "others"))
			})
			for _, statement := range []string{
				`UPDATE repository_blobs SET repository_id = 2 WHERE repository_id = 1`,
				`UPDATE memberships SET manifest_id = 2 WHERE manifest_id = 1`,
				`UPDATE manifests SET raw = raw || raw`,
			} {
				err := change(t, s, func(ctx context.Context, tx *Tx) error {
					_, err := tx.exec(ctx, statement)
					return err
				})
				if err == nil || errors.Is(err, ErrQuota) {
					t.Errorf("%s: %v", statement, err)
				}
			}
			wantNoDrift(t, s)
		})
	}
}

// TestRecountSeesDrift is the proof that the tests that want none can fail.
func TestRecountSeesDrift(t *testing.T) {
	t.Parallel()
	for _, at := range places() {
		t.Run(at.name, func(t *testing.T) {
			t.Parallel()
			at := at.fresh(t)
			for statement, want := range map[string]Drift{
				`UPDATE namespace_usage SET bytes = bytes + 1 WHERE bytes > 0`:         {"acme", "bytes", 27, 26},
				`UPDATE namespace_usage SET manifests = manifests - 1 WHERE bytes > 0`: {"acme", "manifests", 0, 1},
				`UPDATE namespace_blobs SET refs = 5`:                                  {"acme", "references of blob 1", 5, 1},
				`UPDATE namespace_manifests SET refs = 5`:                              {"acme", "references of manifest 1", 5, 1},
				`DELETE FROM namespace_blobs`:                                          {"acme", "references of blob 1", 0, 1},
				`DELETE FROM namespace_manifests`:                                      {"acme", "references of manifest 1", 0, 1},
			} {
				s := at.fresh(t).open(t)
				must(t, s, func(ctx context.Context, tx *Tx) error {
					err := tx.push(ctx, "acme/app", "1", "content")
					if err == nil {
						_, err = tx.exec(ctx, statement)
					}
					return err
				})
				got, err := s.RecountUsage(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff([]Drift{want}, got); diff != "" {
					t.Errorf("%s (-want +got):\n%s", statement, diff)
				}
			}
		})
	}
}

func TestQuotaReached(t *testing.T) {
	t.Parallel()
	for _, at := range places() {
		t.Run(at.name, func(t *testing.T) {
			t.Parallel()
			at := at.fresh(t)
			s := at.open(t)
			must(t, s, func(ctx context.Context, tx *Tx) error {
				return errors.Join(tx.push(ctx, "acme/app", "1", "content"), tx.push(ctx, "free/app", "1", "content"), tx.push(ctx, "near/app", "1", "content"), tx.push(ctx, "alpine", "1", "content"),
					tx.SetQuota(ctx, "acme", Quota{Bytes: new(int64(26))}), tx.SetQuota(ctx, "near", Quota{Bytes: new(int64(27))}), tx.SetQuota(ctx, "", Quota{Bytes: new(int64(1))}))
			})
			for repo, want := range map[registry.Repo]error{
				"acme/app": &QuotaError{Namespace: "acme", What: "bytes", Used: 26, Limit: 26},
				"acme/new": &QuotaError{Namespace: "acme", What: "bytes", Used: 26, Limit: 26},
				"debian":   &QuotaError{Namespace: "", What: "bytes", Used: 26, Limit: 1},
				"free/app": nil, "free/new": nil, "near/app": nil, "nobody/app": nil,
			} {
				got := s.QuotaReached(t.Context(), repo)
				if diff := cmp.Diff(want, got, cmp.Comparer(func(a, b error) bool { return fmt.Sprint(a) == fmt.Sprint(b) })); diff != "" {
					t.Errorf("%s (-want +got):\n%s", repo, diff)
				}
			}
			if err := change(t, s, func(ctx context.Context, tx *Tx) error { return tx.SetQuota(ctx, "nobody", Quota{}) }); !errors.Is(err, ErrNotFound) {
				t.Errorf("quota of no namespace: %v", err)
			}
		})
	}
}

func TestOpenUploads(t *testing.T) {
	t.Parallel()
	for _, at := range places() {
		t.Run(at.name, func(t *testing.T) {
			t.Parallel()
			at := at.fresh(t)
			s := at.open(t)
			must(t, s, func(ctx context.Context, tx *Tx) error {
				var err error
				for i, u := range []UploadSession{{Repository: "a", Principal: "user:x"}, {Repository: "a", Principal: "user:y"}, {Repository: "b", Principal: "user:x"}, {Repository: "b", Principal: "user:x"}} {
					u.ID, u.Algorithm = fmt.Sprint(i), digest.SHA256
					err = errors.Join(err, tx.AddUpload(ctx, u))
				}
				return err
			})
			for _, tt := range []struct {
				principal string
				repo      registry.Repo
				most      int
				want      [2]int
			}{
				{"user:x", "a", 10, [2]int{3, 2}},
				{"user:y", "b", 10, [2]int{1, 2}},
				{"user:x", "a", 1, [2]int{1, 1}},
				{"nobody", "c", 10, [2]int{0, 0}},
			} {
				principal, repo, err := s.OpenUploads(t.Context(), tt.principal, tt.repo, tt.most)
				if got := [2]int{principal, repo}; err != nil || got != tt.want {
					t.Errorf("%s, %s: %v, %v, want %v", tt.principal, tt.repo, got, err, tt.want)
				}
			}
		})
	}
}

// TestQuotaMigrationCounts opens a database that was filled before there were
// counts.
func TestQuotaMigrationCounts(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	db, err := sql.Open("sqlite", dsn(filepath.Join(dir, "packhouse.db"), "journal_mode(WAL)"))
	if err != nil {
		t.Fatal(err)
	}
	files, err := fs.Sub(migrations, sqliteDir)
	if err != nil {
		t.Fatal(err)
	}
	p, err := goose.NewProvider(goose.DialectSQLite3, db, files)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.UpTo(t.Context(), 4); err != nil {
		t.Fatal(err)
	}
	for _, statement := range []string{
		`INSERT INTO namespaces (id, name, created_at) VALUES (1, 'acme', 0), (2, 'empty', 0)`,
		`INSERT INTO repositories (id, namespace_id, name, created_at, deleted_at) VALUES (1, 1, 'acme/a', 0, NULL), (2, 1, 'acme/b', 0, 0)`,
		`INSERT INTO blobs (id, digest, size, state, created_at) VALUES (1, 'sha256:1', 10, 0, 0), (2, 'sha256:2', 100, 0, 0), (3, 'sha256:3', 1000, 3, 0)`,
		`INSERT INTO repository_blobs VALUES (1, 1), (2, 1), (2, 2)`,
		`INSERT INTO manifests (id, digest, media_type, artifact_type, depth, raw, created_at) VALUES (1, 'sha256:4', 'm', '', 0, x'010203', 0)`,
		`INSERT INTO memberships (repository_id, manifest_id, digest, from_gen, from_at, until_gen, until_at) VALUES (1, 1, 'sha256:4', 1, 0, 2, 0), (1, 1, 'sha256:4', 3, 0, NULL, NULL), (2, 1, 'sha256:4', 1, 0, NULL, NULL)`,
	} {
		if _, err := db.ExecContext(t.Context(), statement); err != nil {
			t.Fatalf("%s: %v", statement, err)
		}
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	s := open(t, dir)
	list, err := s.NamespaceUsages(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	want := []NamespaceUsage{{Namespace: "acme", Bytes: 113, Manifests: 1}, {Namespace: "empty"}}
	if diff := cmp.Diff(want, list); diff != "" {
		t.Errorf("usages (-want +got):\n%s", diff)
	}
	wantNoDrift(t, s)
}

// TestUsageNeverDrifts does whatever a namespace can go through in any order:
// the counts stay those of a recount and within the limits.
func TestUsageNeverDrifts(t *testing.T) {
	t.Parallel()
	for _, at := range places() {
		t.Run(at.name, func(t *testing.T) {
			t.Parallel()
			at := at.fresh(t)
			s := at.open(t)
			n := 0
			rapid.Check(t, func(rt *rapid.T) {
				n++
				namespace := fmt.Sprint("acme", n) // beside what the runs before left
				limit := Quota{Bytes: new(rapid.Int64Range(0, 400).Draw(rt, "bytes")), Manifests: new(rapid.Int64Range(0, 8).Draw(rt, "manifests"))}
				try := func(what string, f func(context.Context, *Tx) error) {
					err := s.Update(t.Context(), Options{Unaudited: true}, f)
					if err != nil && !errors.Is(err, ErrQuota) && !errors.Is(err, ErrNotFound) {
						rt.Fatalf("%s: %v", what, err)
					}
				}
				try("begin", func(ctx context.Context, tx *Tx) error {
					_, _, err := tx.CreateNamespace(ctx, namespace)
					return errors.Join(err, tx.SetQuota(ctx, namespace, limit))
				})
				repo := func() registry.Repo {
					return registry.Repo(rapid.SampledFrom([]string{namespace + "/a", namespace + "/b", namespace + "/deep/c", "other/a"}).Draw(rt, "repo"))
				}
				content := func() string {
					return "0123456789abcdefghijklmnopqrstuvwxyz"[:rapid.IntRange(1, 36).Draw(rt, "content")]
				}
				later := func(tx *Tx) time.Time { return tx.Now().Add(time.Hour) }
				rt.Repeat(map[string]func(*rapid.T){
					"push": func(*rapid.T) {
						r, c := repo(), content()
						try("push", func(ctx context.Context, tx *Tx) error { return tx.push(ctx, r, "t", c) })
					},
					"blob": func(*rapid.T) {
						r, c := repo(), content()
						try("blob", func(ctx context.Context, tx *Tx) error { _, _, err := tx.testBlob(ctx, r, c); return err })
					},
					"delete manifest": func(*rapid.T) {
						name, c := repo(), content()
						try("delete manifest", func(ctx context.Context, tx *Tx) error {
							r, err := tx.Repository(ctx, name)
							if err != nil {
								return err
							}
							return tx.CloseMembership(ctx, r, digest.FromString("manifest of "+c))
						})
					},
					"unlink blob": func(*rapid.T) {
						name, c := repo(), content()
						try("unlink blob", func(ctx context.Context, tx *Tx) error {
							r, err := tx.Repository(ctx, name)
							if err != nil {
								return err
							}
							b, err := tx.BlobRow(ctx, digest.FromString(c))
							if err != nil {
								return err
							}
							return tx.UnlinkBlob(ctx, r, b.ID)
						})
					},
					"move": func(*rapid.T) {
						name, to := repo(), rapid.SampledFrom([]string{namespace, "other"}).Draw(rt, "to")
						try("move", func(ctx context.Context, tx *Tx) error {
							_, err := tx.exec(ctx, `UPDATE repositories SET namespace_id = n.id FROM namespaces n WHERE n.name = ? AND repositories.name = ?`, to, string(name))
							return err
						})
					},
					"delete repository": func(*rapid.T) {
						name := repo()
						try("delete repository", func(ctx context.Context, tx *Tx) error {
							r, err := tx.Repository(ctx, name)
							if err != nil {
								return err
							}
							return tx.DeleteRepository(ctx, r)
						})
					},
					"empty the trash": func(*rapid.T) {
						try("empty the trash", func(ctx context.Context, tx *Tx) error { return emptyTrash(ctx, tx, later(tx)) })
					},
					"collect": func(*rapid.T) {
						try("collect", func(ctx context.Context, tx *Tx) error { return takeGarbage(ctx, tx, later(tx)) })
					},
					"": func(rt *rapid.T) {
						drift, err := s.RecountUsage(t.Context())
						if err != nil || len(drift) > 0 {
							rt.Fatalf("drift %+v, %v", drift, err)
						}
						u, err := s.NamespaceUsage(t.Context(), namespace)
						if err != nil || u.Bytes < 0 || u.Bytes > *limit.Bytes || u.Manifests < 0 || u.Manifests > *limit.Manifests {
							rt.Fatalf("usage %+v, limits %d and %d, %v", u, *limit.Bytes, *limit.Manifests, err)
						}
						shares, err := s.NamespaceShares(t.Context(), namespace)
						if err != nil || shares.Unreferenced < 0 || shares.Live.Manifests+shares.Trash.Manifests != u.Manifests {
							rt.Fatalf("shares %+v of %+v, %v", shares, u, err)
						}
					},
				})
			})
		})
	}
}
