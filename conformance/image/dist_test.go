package image

import (
	"crypto/sha256"
	"debug/elf"
	"encoding/hex"
	"errors"
	"flag"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/packhouse/packhouse/conformance/packhouse"
	"github.com/packhouse/packhouse/conformance/rig"
)

var fresh = flag.Bool("fresh", false, "compile the second binary from nothing, which takes minutes")

// buildContext makes what the Dockerfile's head says to make, from the tree at root, and returns the directory.
func buildContext(t *testing.T, root string, env ...string) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "context")
	dist := filepath.Join(dir, "dist")
	for _, d := range []string{filepath.Join(dist, "etc", "ssl", "certs"), filepath.Join(dist, "data")} {
		if err := os.MkdirAll(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chmod(filepath.Join(dist, "data"), 0o777|fs.ModeSticky); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "go", "build", "-trimpath", "-ldflags", "-s -w", "-o", filepath.Join(dist, "packhouse"), "./cmd/packhouse")
	cmd.Dir, cmd.Env = root, append(append(os.Environ(), "CGO_ENABLED=0"), env...)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	copyFile(t, "/etc/ssl/certs/ca-certificates.crt", filepath.Join(dist, "etc", "ssl", "certs", "ca-certificates.crt"))
	for _, name := range []string{"Dockerfile", ".dockerignore", "LICENSE"} {
		copyFile(t, filepath.Join(root, name), filepath.Join(dir, name))
	}
	touch(t, dir)
	return dir
}

// touch gives every file one date.
func touch(t *testing.T, dir string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		return errors.Join(err, os.Chtimes(path, time.Unix(0, 0), time.Unix(0, 0)))
	})
	if err != nil {
		t.Fatal(err)
	}
}

func copyFile(t *testing.T, from, to string) {
	t.Helper()
	content, err := os.ReadFile(from)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(to, content, 0o644); err != nil {
		t.Fatal(err)
	}
}

// TestBinary: it needs no other file, and comes out the same wherever the tree lies.
func TestBinary(t *testing.T) {
	t.Parallel()
	root, err := packhouse.Root()
	if err != nil {
		t.Fatal(err)
	}
	tree := copyOf(t, root) // the working tree may change meanwhile
	first := filepath.Join(buildContext(t, tree), "dist", "packhouse")
	program, err := elf.Open(first)
	if err != nil {
		t.Fatal(err)
	}
	defer program.Close()
	needed, err := program.ImportedLibraries()
	if err != nil || len(needed) > 0 {
		t.Errorf("it needs the libraries %v (%v)", needed, err)
	}
	for _, p := range program.Progs {
		if p.Type == elf.PT_INTERP {
			t.Error("it needs a dynamic loader")
		}
	}
	var env []string
	if *fresh {
		env = append(env, "GOCACHE="+t.TempDir())
	}
	second := filepath.Join(buildContext(t, copyOf(t, tree), env...), "dist", "packhouse")
	rig.Equal(t, "digest of the binary of a tree elsewhere", digestOf(t, second), digestOf(t, first))
}

func digestOf(t *testing.T, file string) string {
	t.Helper()
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(content)
	return hex.EncodeToString(sum[:])
}

// copyOf copies the tree, with its history: the binary says of which commit it is.
func copyOf(t *testing.T, root string) string {
	t.Helper()
	to := filepath.Join(t.TempDir(), "elsewhere")
	if out, err := exec.CommandContext(t.Context(), "cp", "-a", root, to).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return to
}
