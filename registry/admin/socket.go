package admin

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"syscall"
)

const socketName = "admin.sock"

// maxSocketPath is what fits sockaddr_un on every system, with a margin.
const maxSocketPath = 100

// Listen makes DATA/admin.sock, for the owner alone. The caller holds the
// directory's lock, so a socket that is there was left by a crash.
func Listen(dir string) (net.Listener, error) {
	fail := func(err error) (net.Listener, error) { return nil, fmt.Errorf("admin socket: %w", err) }
	// Made in a private directory and then moved, so that there is no moment
	// in which somebody else can connect.
	private, err := os.MkdirTemp(dir, ".admin-")
	if err != nil {
		return fail(err)
	}
	defer func() { _ = os.RemoveAll(private) }()
	path, release, err := short(private)
	if err != nil {
		return fail(err)
	}
	defer release()
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		return fail(err)
	}
	l.SetUnlinkOnClose(false)
	made, final := filepath.Join(private, socketName), filepath.Join(dir, socketName)
	if err := os.Chmod(made, 0o600); err != nil {
		return fail(errors.Join(err, l.Close()))
	}
	if err := os.Rename(made, final); err != nil {
		return fail(errors.Join(err, l.Close()))
	}
	return &listener{UnixListener: l, path: final}, nil
}

type listener struct {
	*net.UnixListener
	path string
}

// Close removes the socket too.
func (l *listener) Close() error {
	if err := os.Remove(l.path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return errors.Join(err, l.UnixListener.Close())
	}
	return l.UnixListener.Close()
}

// short returns a path of dir's socket that fits a socket address; release it
// after use.
func short(dir string) (path string, release func(), err error) {
	path = filepath.Join(dir, socketName)
	if len(path) <= maxSocketPath {
		return path, func() {}, nil
	}
	if runtime.GOOS != "linux" {
		return "", nil, fmt.Errorf("the path of the data directory is too long for a socket: %s", dir)
	}
	d, err := os.Open(dir)
	if err != nil {
		return "", nil, err
	}
	return fmt.Sprintf("/proc/self/fd/%d/%s", d.Fd(), socketName), func() { _ = d.Close() }, nil
}

// errNotRunning means that no server listens on the directory's socket.
var errNotRunning = errors.New("no server is running")

func dial(ctx context.Context, dir string) (net.Conn, error) {
	path, release, err := short(dir)
	if errors.Is(err, os.ErrNotExist) {
		return nil, errNotRunning
	}
	if err != nil {
		return nil, err
	}
	defer release()
	var d net.Dialer
	c, err := d.DialContext(ctx, "unix", path)
	if errors.Is(err, os.ErrNotExist) || errors.Is(err, syscall.ECONNREFUSED) {
		return nil, errNotRunning
	}
	return c, err
}
