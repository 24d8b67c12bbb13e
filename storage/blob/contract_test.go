package blob

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// open opens a store on driver that the test alone uses.
func open(tb testing.TB, driver string) *Store {
	tb.Helper()
	params := map[string]any{}
	switch driver {
	case "s3aws":
		return openS3(tb, "")
	case "filesystem":
		params["rootdirectory"] = filepath.Join(tb.TempDir(), "data")
	}
	s, err := Open(tb.Context(), driver, params)
	if err != nil {
		tb.Fatal(err)
	}
	return s
}

func stream(t *testing.T, s *Store, key string, parts ...string) {
	t.Helper()
	w, err := s.Create(t.Context(), key)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range parts {
		if _, err := io.WriteString(w, p); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func put(tb testing.TB, s *Store, key, content string) {
	tb.Helper()
	if err := s.Put(tb.Context(), key, []byte(content)); err != nil {
		tb.Fatal(err)
	}
}

func read(tb testing.TB, s *Store, off, n int64, segs ...Segment) string {
	tb.Helper()
	rc, err := s.Read(tb.Context(), segs, off, n)
	if err != nil {
		tb.Fatal(err)
	}
	got, err := io.ReadAll(rc)
	if err := errors.Join(err, rc.Close()); err != nil {
		tb.Fatal(err)
	}
	return string(got)
}

func wantError(t *testing.T, what string, got, want error) {
	t.Helper()
	if !errors.Is(got, want) {
		t.Errorf("%s: got error %v, want %v", what, got, want)
	}
}

// TestContract is what every driver promises through this package.
func TestContract(t *testing.T) {
	t.Parallel()
	const key = "/objects/ab/abcdef-07"
	tests := []struct {
		name string
		run  func(t *testing.T, s *Store)
	}{
		{"put is read back", func(t *testing.T, s *Store) {
			put(t, s, key, "hello")
			if got := read(t, s, 0, -1, Segment{key, 5}); got != "hello" {
				t.Errorf("got %q", got)
			}
			if size, err := s.Stat(t.Context(), key); size != 5 || err != nil {
				t.Errorf("stat: got %d, %v", size, err)
			}
		}},
		{"stream is read back", func(t *testing.T, s *Store) {
			big := string(bytes.Repeat([]byte("0123456789"), 10_000))
			stream(t, s, key, "a", big, "z")
			if diff := cmp.Diff("a"+big+"z", read(t, s, 0, -1, Segment{key, 100_002})); diff != "" {
				t.Error(diff)
			}
		}},
		{"size counts what was written", func(t *testing.T, s *Store) {
			w, err := s.Create(t.Context(), key)
			if err != nil {
				t.Fatal(err)
			}
			for want := range int64(3) {
				if got := w.Size(); got != want {
					t.Errorf("got %d, want %d", got, want)
				}
				if _, err := w.Write([]byte("x")); err != nil {
					t.Fatal(err)
				}
			}
			if err := w.Abort(t.Context()); err != nil {
				t.Fatal(err)
			}
		}},
		{"empty object", func(t *testing.T, s *Store) {
			stream(t, s, key)
			put(t, s, "/objects/ab/b", "")
			segs := []Segment{{key, 0}, {"/objects/ab/b", 0}}
			if got := read(t, s, 0, -1, segs...); got != "" {
				t.Errorf("got %q", got)
			}
			if _, err := s.Stat(t.Context(), key); err != nil {
				t.Error(err)
			}
		}},
		{"missing object", func(t *testing.T, s *Store) {
			_, err := s.Stat(t.Context(), key)
			wantError(t, "stat", err, ErrNotFound)
			_, err = s.Read(t.Context(), []Segment{{key, 1}}, 0, -1)
			wantError(t, "read", err, ErrNotFound)
			if err := s.Delete(t.Context(), key); err != nil {
				t.Errorf("delete: %v", err)
			}
		}},
		{"deleted object is gone", func(t *testing.T, s *Store) {
			put(t, s, key, "hello")
			put(t, s, key+"8", "neighbour")
			if err := s.Delete(t.Context(), key); err != nil {
				t.Fatal(err)
			}
			_, err := s.Stat(t.Context(), key)
			wantError(t, "stat", err, ErrNotFound)
			if got := read(t, s, 0, -1, Segment{key + "8", 9}); got != "neighbour" {
				t.Errorf("got %q", got)
			}
		}},
		{"directory is no object", func(t *testing.T, s *Store) {
			put(t, s, "/objects/ab/cd/e", "hello")
			_, err := s.Stat(t.Context(), "/objects/ab/cd")
			wantError(t, "stat", err, ErrNotFound)
		}},
		{"aborted object is gone", func(t *testing.T, s *Store) {
			w, err := s.Create(t.Context(), key)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := w.Write(make([]byte, 10_000)); err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithCancel(t.Context())
			cancel()
			for range 2 {
				if err := w.Abort(ctx); err != nil {
					t.Fatal(err)
				}
			}
			_, err = s.Stat(t.Context(), key)
			wantError(t, "stat", err, ErrNotFound)
			_, err = w.Write([]byte("x"))
			wantError(t, "write", err, os.ErrClosed)
			wantError(t, "commit", w.Commit(t.Context()), os.ErrClosed)
		}},
		{"abort after commit does nothing", func(t *testing.T, s *Store) {
			w, err := s.Create(t.Context(), key)
			if err != nil {
				t.Fatal(err)
			}
			if err := w.Commit(t.Context()); err != nil {
				t.Fatal(err)
			}
			if err := w.Abort(t.Context()); err != nil {
				t.Fatal(err)
			}
			wantError(t, "commit", w.Commit(t.Context()), os.ErrClosed)
			if _, err := s.Stat(t.Context(), key); err != nil {
				t.Error(err)
			}
		}},
		{"walk finds all below a prefix", func(t *testing.T, s *Store) {
			put(t, s, "/objects/ab/1", "x")
			put(t, s, "/objects/cd/2", "xx")
			put(t, s, "/docker/registry/v2/blobs/data", "xxx")
			got := map[string]int64{}
			err := s.Walk(t.Context(), "/objects", func(key string, size int64) error {
				got[key] = size
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(map[string]int64{"/objects/ab/1": 1, "/objects/cd/2": 2}, got); diff != "" {
				t.Error(diff)
			}
		}},
		{"walk around a directory", func(t *testing.T, s *Store) {
			for _, key := range []string{"/objects/ab/1", "/objects/cd/2", "/objects/cd/ef/3", "/objects/gh/4"} {
				put(t, s, key, "x")
			}
			var seen []string
			err := s.WalkExcept(t.Context(), "/objects", func(dir string) bool { return dir == "/objects/cd" }, func(key string, _ int64) error {
				seen = append(seen, key)
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff([]string{"/objects/ab/1", "/objects/gh/4"}, seen); diff != "" {
				t.Error(diff)
			}
		}},
		{"walk of nothing", func(t *testing.T, s *Store) {
			err := s.Walk(t.Context(), "/docker/registry", func(string, int64) error { return io.ErrNoProgress })
			if err != nil {
				t.Error(err)
			}
		}},
		{"walk stops", func(t *testing.T, s *Store) {
			put(t, s, "/objects/ab/1", "x")
			put(t, s, "/objects/ab/2", "x")
			var seen []string
			err := s.Walk(t.Context(), "/objects", func(key string, _ int64) error {
				seen = append(seen, key)
				return io.ErrNoProgress
			})
			if err != io.ErrNoProgress { //nolint:errorlint // as it is, not wrapped
				t.Errorf("got error %v", err)
			}
			if len(seen) != 1 {
				t.Errorf("saw %v", seen)
			}
			ctx, cancel := context.WithCancel(t.Context())
			cancel()
			wantError(t, "cancelled", s.Walk(ctx, "/objects", func(string, int64) error { return nil }), context.Canceled)
		}},
		{"bad keys", func(t *testing.T, s *Store) {
			put(t, s, key, "hello")
			for _, bad := range []string{
				"", "/", "objects/ab/x", "/objects", "/objects/ab", "/objects/ab/", "/objects/../x",
				"/objects/ab/../../../etc", "/objects/./ab/x", "/objects/a b/x", "/objects//x", "/objects/ab/é",
			} {
				_, statErr := s.Stat(t.Context(), bad)
				_, createErr := s.Create(t.Context(), bad)
				_, readErr := s.Read(t.Context(), []Segment{{bad, 1}}, 0, 1)
				errs := []error{statErr, createErr, readErr, s.Put(t.Context(), bad, nil), s.Delete(t.Context(), bad)}
				if slices.Contains(errs, nil) {
					t.Errorf("%q: got %v", bad, errs)
				}
			}
			if got := read(t, s, 0, -1, Segment{key, 5}); got != "hello" {
				t.Errorf("got %q", got)
			}
		}},
	}
	for _, driver := range []string{"filesystem", "inmemory", "s3aws"} {
		for _, tt := range tests {
			t.Run(driver+"/"+tt.name, func(t *testing.T) {
				t.Parallel()
				tt.run(t, open(t, driver))
			})
		}
	}
}

func TestOpenRefuses(t *testing.T) {
	t.Parallel()
	for driver, params := range map[string]map[string]any{
		"floppy":     nil,
		"filesystem": {"rootdirectory": ""},
		"s3aws":      {"region": "nowhere"},
		"gcs":        {},
		"azure":      {},
	} {
		if _, err := Open(t.Context(), driver, params); err == nil {
			t.Errorf("%s: no error", driver)
		}
	}
}

func TestLocal(t *testing.T) {
	t.Parallel()
	if root, ok := open(t, "inmemory").Local(); ok || root != "" {
		t.Errorf("inmemory: got %q", root)
	}
	root, ok := open(t, "filesystem").Local()
	if fi, err := os.Stat(filepath.Join(root, "objects", "ff")); !ok || err != nil || !fi.IsDir() {
		t.Errorf("filesystem: got %q, %v", root, err)
	}
}

// A second use of a key must not touch the first object.
func TestFilesystemKeyUsedTwice(t *testing.T) {
	t.Parallel()
	s := open(t, "filesystem")
	put(t, s, "/objects/ab/x", "first")
	wantError(t, "put", s.Put(t.Context(), "/objects/ab/x", []byte("second")), ErrExists)
	_, err := s.Create(t.Context(), "/objects/ab/x")
	wantError(t, "create", err, ErrExists)
	if got := read(t, s, 0, -1, Segment{"/objects/ab/x", 5}); got != "first" {
		t.Errorf("got %q", got)
	}
}
