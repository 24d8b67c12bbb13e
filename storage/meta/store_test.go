package meta

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/packhouse/packhouse/registry"
)

func open(t *testing.T, dir string) *Store {
	t.Helper()
	s, err := Open(t.Context(), Config{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func update(t *testing.T, s *Store, f func(context.Context, *Tx) error) {
	t.Helper()
	if err := s.Update(t.Context(), Options{Durable: true, Unaudited: true}, f); err != nil {
		t.Fatal(err)
	}
}

func TestChangesThatWaitTogetherFailAlone(t *testing.T) {
	t.Parallel()
	for _, at := range places() {
		t.Run(at.name, func(t *testing.T) {
			t.Parallel()
			at := at.fresh(t)
			s := at.open(t)
			refused := errors.New("refused")
			var wg sync.WaitGroup
			for i := range 200 {
				wg.Go(func() {
					name := registry.Repo(fmt.Sprintf("acme/r%03d", i))
					err := s.Update(t.Context(), Options{Durable: i%2 == 0, Unaudited: true}, func(ctx context.Context, tx *Tx) error {
						if _, err := tx.EnsureRepository(ctx, name); err != nil {
							return err
						}
						if i%3 == 0 {
							return refused
						}
						return nil
					})
					if want := i%3 == 0; errors.Is(err, refused) != want {
						t.Errorf("%s: got %v", name, err)
					}
				})
			}
			wg.Wait()
			names, err := s.RepositoryNames(t.Context(), "", 1000)
			if err != nil {
				t.Fatal(err)
			}
			if len(names) != 133 { // 200 less the 67 that are divisible by three
				t.Errorf("got %d repositories, want 133", len(names))
			}
		})
	}
}

func TestACancelledCallerIsSkipped(t *testing.T) {
	t.Parallel()
	for _, at := range places() {
		t.Run(at.name, func(t *testing.T) {
			t.Parallel()
			at := at.fresh(t)
			s := at.open(t)
			ctx, cancel := context.WithCancel(t.Context())
			cancel()
			err := s.Update(ctx, Options{}, func(context.Context, *Tx) error {
				t.Error("the change ran")
				return nil
			})
			if !errors.Is(err, context.Canceled) {
				t.Errorf("got %v, want context.Canceled", err)
			}
		})
	}
}

func TestClosedStoreRefusesChanges(t *testing.T) {
	t.Parallel()
	for _, at := range places() {
		t.Run(at.name, func(t *testing.T) {
			t.Parallel()
			at := at.fresh(t)
			s := at.open(t)
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			err := s.Update(t.Context(), Options{}, func(context.Context, *Tx) error { return nil })
			if !errors.Is(err, ErrReadOnly) {
				t.Errorf("got %v, want ErrReadOnly", err)
			}
		})
	}
}

// The mutation that turns this red: leave setDurable out of writer.try.
func TestOnlyDurableChangesSyncTheLog(t *testing.T) {
	t.Parallel()
	s := open(t, t.TempDir())
	for _, durable := range []bool{true, false, false, true} {
		var got int
		err := s.Update(t.Context(), Options{Durable: durable, Unaudited: true}, func(ctx context.Context, tx *Tx) error {
			return tx.one(ctx, `SELECT synchronous FROM pragma_synchronous`, nil, &got)
		})
		if err != nil {
			t.Fatal(err)
		}
		if want := map[bool]int{true: 2, false: 1}[durable]; got != want {
			t.Errorf("durable %v: synchronous is %d, want %d", durable, got, want)
		}
	}
}

func TestANewerSchema(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		oldest int64
		want   string
	}{
		{"that needs newer binaries", 9999, "newer than this binary"},
		{"that this binary can use", 7, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			for _, at := range places() {
				at := at.fresh(t)
				s := at.open(t)
				must(t, s, func(ctx context.Context, tx *Tx) error {
					_, err := tx.exec(ctx, `INSERT INTO goose_db_version (version_id, is_applied) VALUES (9999, `+at.truth+`)`)
					if err == nil {
						_, err = tx.exec(ctx, `UPDATE identity SET oldest = ?`, c.oldest)
					}
					return err
				})
				again, err := Open(t.Context(), at.config)
				if err == nil {
					err = again.Close()
				}
				if got := fmt.Sprint(err); (err == nil) != (c.want == "") || !strings.Contains(got, c.want) {
					t.Errorf("%s: got %v, want %q", at.name, err, c.want)
				}
			}
		})
	}
}

func TestNamespaces(t *testing.T) {
	t.Parallel()
	for _, at := range places() {
		t.Run(at.name, func(t *testing.T) {
			t.Parallel()
			at := at.fresh(t)
			s := at.open(t)
			for _, c := range []struct{ repo, namespace string }{
				{"alpine", ""},
				{"acme/app", "acme"},
				{"acme/team/app", "acme"},
				{"other/deep/app", "other"},
			} {
				update(t, s, func(ctx context.Context, tx *Tx) error {
					r, err := tx.EnsureRepository(ctx, registry.Repo(c.repo))
					if r.Namespace != c.namespace {
						t.Errorf("%s belongs to %q, want %q", c.repo, r.Namespace, c.namespace)
					}
					return err
				})
			}
		})
	}
}

func TestAddBlob(t *testing.T) {
	t.Parallel()
	for _, at := range places() {
		t.Run(at.name, func(t *testing.T) {
			t.Parallel()
			at := at.fresh(t)
			s := at.open(t)
			d := digest.FromString("content")
			add := func(repo registry.Repo, keys ...string) (spare []string) {
				update(t, s, func(ctx context.Context, tx *Tx) error {
					r, err := tx.EnsureRepository(ctx, repo)
					if err != nil {
						return err
					}
					var objects []Object
					for _, k := range keys {
						objects = append(objects, Object{Key: k, Size: 7})
					}
					spare, err = tx.AddBlob(ctx, r, d, 7, objects)
					return err
				})
				return spare
			}
			if spare := add("a", "/first"); len(spare) != 0 {
				t.Errorf("a new blob leaves %v", spare)
			}
			if spare := add("b", "/second"); len(spare) != 1 || spare[0] != "/second" {
				t.Errorf("a second upload leaves %v, want its own object", spare)
			}
			b, err := s.Blob(t.Context(), "b", d)
			if err != nil || len(b.Objects) != 1 || b.Objects[0].Key != "/first" {
				t.Errorf("b shows %+v, %v", b, err)
			}
			later := time.Now().Add(time.Hour)
			update(t, s, func(ctx context.Context, tx *Tx) error {
				garbage, shown, err := tx.MarkGarbage(ctx, later, Garbage{})
				if len(garbage) != 1 || !slices.Equal(garbage[0].Keys, []string{"/first"}) || len(shown) != 2 {
					t.Errorf("marking gave %+v, %v", garbage, shown)
				}
				return err
			})
			if _, err := s.Blob(t.Context(), "a", d); !errors.Is(err, ErrNotFound) {
				t.Errorf("a blob being deleted is shown: %v", err)
			}
			if spare := add("a", "/third"); len(spare) != 1 || spare[0] != "/first" {
				t.Errorf("reviving leaves %v, want the old object", spare)
			}
			update(t, s, func(ctx context.Context, tx *Tx) error { return tx.RemoveBlobs(ctx, []int64{b.ID}) })
			if b, err = s.Blob(t.Context(), "a", d); err != nil || b.Objects[0].Key != "/third" {
				t.Errorf("the collector removed a revived blob: %+v, %v", b, err)
			}
		})
	}
}

func TestUploadSegmentsAreCompareAndSet(t *testing.T) {
	t.Parallel()
	for _, at := range places() {
		t.Run(at.name, func(t *testing.T) {
			t.Parallel()
			at := at.fresh(t)
			s := at.open(t)
			update(t, s, func(ctx context.Context, tx *Tx) error {
				return tx.AddUpload(ctx, UploadSession{ID: "u", Repository: "a", Algorithm: digest.SHA256})
			})
			segment := func(position int, key string) error {
				return s.Update(t.Context(), Options{}, func(ctx context.Context, tx *Tx) error {
					return tx.AddSegment(ctx, "u", position, Object{Key: key, Size: 1}, []byte("state"))
				})
			}
			if err := segment(0, "/one"); err != nil {
				t.Fatal(err)
			}
			if err := segment(0, "/two"); !errors.Is(err, ErrNotFound) {
				t.Errorf("a second segment 0: got %v, want ErrNotFound", err)
			}
			remove := func(segments int) error {
				return s.Update(t.Context(), Options{}, func(ctx context.Context, tx *Tx) error { return tx.RemoveUpload(ctx, "u", segments) })
			}
			if err := remove(0); !errors.Is(err, ErrNotFound) {
				t.Errorf("finishing a session that grew: got %v, want ErrNotFound", err)
			}
			if err := remove(1); err != nil {
				t.Error(err)
			}
			if _, err := s.Upload(t.Context(), "a", "u"); !errors.Is(err, ErrNotFound) {
				t.Errorf("the session is still there: %v", err)
			}
		})
	}
}

func TestReserve(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	r := newReserve(dir)
	if fi, err := os.Stat(filepath.Join(dir, "reserve")); err != nil || fi.Size() != reserveBytes {
		t.Fatalf("no reserve: %v", err)
	}
	if !r.release() || r.release() {
		t.Error("a reserve is given up exactly once")
	}
	if _, err := os.Stat(filepath.Join(dir, "reserve")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the space is still taken: %v", err)
	}
}
