package crash

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// volume is a file system of a test's own. With an image file it is ext4 on a
// loop device whose image lies in memory; without one it is a tmpfs.
type volume struct {
	dir   string // where it is mounted
	image string
	loop  string // "loop7"
}

// mountExt4 makes an ext4 file system of the given size with mkfs's default options and mounts it.
func mountExt4(t *testing.T, mib int, options string) *volume {
	t.Helper()
	memory := mountTmpfs(t, 0)
	v := &volume{image: filepath.Join(memory.dir, "image")}
	if err := os.WriteFile(v.image, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(v.image, int64(mib)<<20); err != nil {
		t.Fatal(err)
	}
	must(t, "mkfs.ext4", "-q", "-F", v.image)
	v.mount(t, options)
	return v
}

// mountTmpfs mounts a tmpfs; mib 0 is without a limit of its own.
func mountTmpfs(t *testing.T, mib int) *volume {
	t.Helper()
	needRoot(t)
	dir := t.TempDir()
	must(t, "mount", "-t", "tmpfs", "-o", fmt.Sprintf("size=%dm", mib), "none", dir)
	t.Cleanup(func() { detach(t, dir) })
	return &volume{dir: dir}
}

// mount mounts the image. The mount point is itself the data directory, so
// that nothing but the server writes to the file system.
func (v *volume) mount(t *testing.T, options string) {
	t.Helper()
	v.dir = filepath.Join(t.TempDir(), "data")
	if err := os.Mkdir(v.dir, 0o755); err != nil {
		t.Fatal(err)
	}
	must(t, "mount", "-o", strings.Trim("loop,"+options, ","), v.image, v.dir)
	t.Cleanup(func() { detach(t, v.dir) })
	var stat syscall.Stat_t
	if err := syscall.Stat(v.dir, &stat); err != nil {
		t.Fatal(err)
	}
	v.loop = fmt.Sprintf("loop%d", stat.Dev&0xff)
}

// copy returns a copy of the image as the device held it at one instant, and
// whether it is one: the device must not be written meanwhile.
func (v *volume) copy(t *testing.T, to string) bool {
	t.Helper()
	before := v.written(t)
	must(t, "cp", "--sparse=always", v.image, to)
	return before == v.written(t)
}

// written returns the device's counters of writes and flushes, those in flight included.
func (v *volume) written(t *testing.T) string {
	t.Helper()
	stat, err := os.ReadFile(filepath.Join("/sys/block", v.loop, "stat"))
	if err != nil {
		t.Fatal(err)
	}
	f := strings.Fields(string(stat)) // Documentation/block/stat.rst
	return strings.Join([]string{f[4], f[6], f[8], f[15]}, " ")
}

// fill takes the rest of the volume, to the last byte that can be had, and
// returns the file that holds it.
func (v *volume) fill(t *testing.T) string {
	t.Helper()
	path := filepath.Join(v.dir, "filler")
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	for n := 1 << 20; n > 0; n /= 2 {
		for err = nil; err == nil; {
			if _, err = f.Write(make([]byte, n)); err == nil {
				err = f.Sync()
			}
		}
	}
	_ = f.Close() // it is full
	return path
}

func detach(t *testing.T, dir string) {
	t.Helper()
	// What still holds it open was reported by its own test: let go of the name.
	if err := syscall.Unmount(dir, syscall.MNT_DETACH); err != nil {
		t.Errorf("unmount %s: %v", dir, err)
	}
}

func must(t *testing.T, command string, args ...string) {
	t.Helper()
	if out, err := exec.CommandContext(t.Context(), command, args...).CombinedOutput(); err != nil {
		t.Fatalf("%s %s: %v\n%s", command, strings.Join(args, " "), err, out)
	}
}

func needRoot(t *testing.T) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Fatal("this test mounts file systems: run it as root")
	}
}
