package blob

import (
	"os"
	"syscall"
	"testing"
)

// mount gives the test a filesystem of its own, of size bytes.
func mount(t *testing.T, size string) string {
	t.Helper()
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "mode=0700,size="+size); err != nil {
		if os.Getenv("PACKHOUSE_REQUIRE_CLIENTS") == "1" { //nolint:forbidigo // what CI sets
			t.Fatalf("mount a tmpfs for a full disk: %v: run the tests as root", err)
		}
		t.Skipf("mount a tmpfs for a full disk: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, 0); err != nil {
			t.Errorf("unmount %s: %v", dir, err) // a file was left open
		}
	})
	return dir
}

// TestDiskFull: a full disk is ErrNoSpace, frees what the failed object took,
// and leaves reads and deletes working.
func TestDiskFull(t *testing.T) {
	t.Parallel()
	s, err := Open(t.Context(), "filesystem", map[string]any{"rootdirectory": mount(t, "1m")})
	if err != nil {
		t.Fatal(err)
	}
	put(t, s, "/objects/00/kept", "hello")

	wantError(t, "put", s.Put(t.Context(), "/objects/ab/big", make([]byte, 2<<20)), ErrNoSpace)

	w, err := s.Create(t.Context(), "/objects/ab/stream")
	if err != nil {
		t.Fatal(err)
	}
	for err == nil && w.Size() < 2<<20 {
		_, err = w.Write(make([]byte, 32<<10))
	}
	wantError(t, "write", err, ErrNoSpace)
	wantError(t, "put while full", s.Put(t.Context(), "/objects/ab/small", make([]byte, 64<<10)), ErrNoSpace)
	if got := read(t, s, 0, -1, Segment{"/objects/00/kept", 5}); got != "hello" {
		t.Errorf("got %q", got)
	}
	if err := w.Abort(t.Context()); err != nil {
		t.Fatal(err)
	}
	put(t, s, "/objects/ab/after", string(make([]byte, 512<<10)))
	if err := s.Delete(t.Context(), "/objects/00/kept"); err != nil {
		t.Fatal(err)
	}
}

// TestReadOnlyDisk: a store opens on a disk that turned read-only, and reads.
func TestReadOnlyDisk(t *testing.T) {
	t.Parallel()
	dir := mount(t, "1m")
	params := map[string]any{"rootdirectory": dir}
	s, err := Open(t.Context(), "filesystem", params)
	if err != nil {
		t.Fatal(err)
	}
	put(t, s, "/objects/ab/x", "hello")
	if err := syscall.Mount("", dir, "", syscall.MS_REMOUNT|syscall.MS_RDONLY, ""); err != nil {
		t.Fatal(err)
	}
	if s, err = Open(t.Context(), "filesystem", params); err != nil {
		t.Fatal(err)
	}
	if got := read(t, s, 0, -1, Segment{"/objects/ab/x", 5}); got != "hello" {
		t.Errorf("got %q", got)
	}
	wantError(t, "put", s.Put(t.Context(), "/objects/ab/y", []byte("hello")), ErrReadOnly)
	wantError(t, "delete", s.Delete(t.Context(), "/objects/ab/x"), ErrReadOnly)
}
