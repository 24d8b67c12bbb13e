// Package metatest starts PostgreSQL for tests: Debian's own server, as an
// unprivileged user, on a port of the loopback interface, in a directory that
// goes away with the test process.
package metatest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// Postgres returns the URL of a new, empty database of a server that all tests
// of a process share. It skips the test where PostgreSQL is not installed.
func Postgres(tb testing.TB) string {
	tb.Helper()
	s, err := shared()
	if err != nil {
		unavailable(tb, err)
	}
	return s.Database(tb)
}

// Prepared is Postgres with a copy of what prepare made of an empty database,
// once in a process: to bring a schema up to date takes longer than to copy it.
func Prepared(tb testing.TB, prepare func(url string) error) string {
	tb.Helper()
	s, err := shared()
	if err != nil {
		unavailable(tb, err)
	}
	s.preparing.Lock()
	defer s.preparing.Unlock()
	if !s.prepared {
		if err := errors.Join(s.create("prepared", "template1"), prepare(s.URL("prepared"))); err != nil {
			tb.Fatal(err)
		}
		s.prepared = true
	}
	name := fmt.Sprintf("test_%d", s.databases.Add(1))
	if err := s.create(name, "prepared"); err != nil {
		tb.Fatal(err)
	}
	return s.URL(name)
}

// NewServer starts a server of the test's own, which it may stop and restart.
// options are lines of its configuration.
func NewServer(tb testing.TB, options ...string) *Server {
	tb.Helper()
	s, err := start(options...)
	if err != nil {
		unavailable(tb, err)
	}
	tb.Cleanup(s.close)
	return s
}

// ErrNotInstalled means that there are no binaries of PostgreSQL.
var ErrNotInstalled = errors.New("PostgreSQL is not installed: apt-get install postgresql")

func unavailable(tb testing.TB, err error) {
	tb.Helper()
	if errors.Is(err, ErrNotInstalled) {
		tb.Skip(err)
	}
	tb.Fatal(err)
}

// shared is never closed: the server ends with the process, see start.
var shared = sync.OnceValues(func() (*Server, error) { return start() }) //nolint:gochecknoglobals // one for all tests

// Server is one running PostgreSQL server.
type Server struct {
	Addr string // HOST:PORT

	bin, dir  string
	owner     *syscall.SysProcAttr
	leash     io.Closer // the server ends when it is closed
	databases atomic.Int64

	preparing sync.Mutex
	prepared  bool // there is a database to copy
}

// start makes a cluster and runs it below a shell that waits for this process
// to end, in whatever way, and then removes both.
func start(options ...string) (_ *Server, err error) {
	s := &Server{}
	if s.bin, err = binaries(); err != nil {
		return nil, err
	}
	if s.owner, err = unprivileged(); err != nil {
		return nil, err
	}
	if s.dir, err = os.MkdirTemp("", "packhouse-postgres-"); err != nil {
		return nil, err
	}
	if c := s.owner.Credential; c != nil {
		if err := os.Chown(s.dir, int(c.Uid), int(c.Gid)); err != nil {
			return nil, err
		}
	}
	const guard = `cat >/dev/null; [ -f "$1/data/postmaster.pid" ] && kill -QUIT $(head -1 "$1/data/postmaster.pid")
		while [ -f "$1/data/postmaster.pid" ] && kill -0 $(head -1 "$1/data/postmaster.pid") 2>/dev/null; do sleep 0.05; done; rm -rf "$1"`
	leash := exec.Command("sh", "-c", guard, "sh", s.dir) //nolint:gosec,noctx // outlives all contexts
	leash.SysProcAttr, leash.Dir = s.owner, "/"
	if s.leash, err = leash.StdinPipe(); err != nil {
		return nil, err
	}
	if err := leash.Start(); err != nil {
		return nil, err
	}
	initdb := []string{"initdb", "-D", s.data(), "-U", "packhouse", "-A", "trust", "-E", "UTF8", "--no-sync", "--no-instructions"}
	if version(s.bin) >= 15 { // an order of texts that is not that of bytes
		initdb = append(initdb, "--locale=C.UTF-8", "--locale-provider=icu", "--icu-locale=en-US")
	}
	if err := s.run(initdb...); err != nil {
		return nil, err
	}
	settings := append([]string{
		"listen_addresses = '127.0.0.1'", "unix_socket_directories = ''", "max_connections = 200", "shared_buffers = 64MB",
		"fsync = off", "full_page_writes = off", "log_min_messages = warning", "wal_level = minimal", "max_wal_senders = 0", "jit = off",
	}, options...)
	f, err := os.OpenFile(filepath.Join(s.data(), "postgresql.conf"), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		return nil, err
	}
	_, err = f.WriteString(strings.Join(settings, "\n") + "\n")
	if err := errors.Join(err, f.Close()); err != nil {
		return nil, err
	}
	for tries := 1; ; tries++ { // somebody else may take the port meanwhile
		if s.Addr, err = freePort(); err != nil {
			return nil, err
		}
		if err = s.Start(); err == nil || tries == 3 {
			return s, err
		}
	}
}

func (s *Server) data() string { return filepath.Join(s.dir, "data") }

func (s *Server) close() { _ = s.leash.Close() }

// Start starts the server and waits until it takes connections.
func (s *Server) Start() error {
	_, port, err := net.SplitHostPort(s.Addr)
	if err != nil {
		return err
	}
	return s.run("pg_ctl", "-D", s.data(), "-l", filepath.Join(s.dir, "log"), "-o", "-p "+port, "-w", "-s", "start")
}

// Stop stops the server: immediate is a crash, fast ends transactions.
func (s *Server) Stop(mode string) error {
	return s.run("pg_ctl", "-D", s.data(), "-m", mode, "-w", "-s", "stop")
}

// Restart does both.
func (s *Server) Restart(mode string) error { return errors.Join(s.Stop(mode), s.Start()) }

// URL is that of a database.
func (s *Server) URL(database string) string {
	return (&url.URL{Scheme: "postgres", User: url.User("packhouse"), Host: s.Addr, Path: "/" + database, RawQuery: "sslmode=disable"}).String()
}

// Database makes an empty one and returns its URL.
func (s *Server) Database(tb testing.TB) string {
	tb.Helper()
	name := fmt.Sprintf("test_%d", s.databases.Add(1))
	if err := s.create(name, "template1"); err != nil {
		tb.Fatal(err)
	}
	return s.URL(name)
}

func (s *Server) create(name, template string) error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	conn, err := pgx.Connect(ctx, s.URL("postgres"))
	if err != nil {
		return err
	}
	_, err = conn.Exec(ctx, "CREATE DATABASE "+name+" TEMPLATE "+template)
	return errors.Join(err, conn.Close(ctx))
}

// run runs one of the server's commands as its owner. What it says comes with
// the error; it goes through a file, since the server that pg_ctl leaves
// behind keeps a pipe open.
func (s *Server) run(command ...string) error {
	out, err := os.CreateTemp("", "packhouse-postgres-*.out")
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(out.Name()) }()
	defer func() { _ = out.Close() }()
	cmd := exec.Command(filepath.Join(s.bin, command[0]), command[1:]...) //nolint:gosec,noctx // our own; bounded by pg_ctl
	cmd.SysProcAttr, cmd.Dir, cmd.Stdout, cmd.Stderr = s.owner, "/", out, out
	if err := cmd.Run(); err != nil {
		said, _ := os.ReadFile(out.Name())
		log, _ := os.ReadFile(filepath.Join(s.dir, "log"))
		return fmt.Errorf("%s: %w\n%s%s", strings.Join(command, " "), err, said, log)
	}
	return nil
}

// binaries finds the newest installed version.
func binaries() (string, error) {
	found, err := filepath.Glob("/usr/lib/postgresql/*/bin/postgres")
	if err != nil || len(found) == 0 {
		return "", errors.Join(ErrNotInstalled, err)
	}
	dirs := make([]string, len(found))
	for i, f := range found {
		dirs[i] = filepath.Dir(f)
	}
	return slices.MaxFunc(dirs, func(a, b string) int { return version(a) - version(b) }), nil
}

// version is the major one in …/<version>/bin.
func version(bin string) int {
	n, _ := strconv.Atoi(filepath.Base(filepath.Dir(bin)))
	return n
}

// unprivileged is who runs the server, which refuses to be root.
func unprivileged() (*syscall.SysProcAttr, error) {
	if os.Geteuid() != 0 {
		return &syscall.SysProcAttr{}, nil
	}
	var err error
	for _, name := range []string{"postgres", "nobody"} {
		var u *user.User
		if u, err = user.Lookup(name); err != nil {
			continue
		}
		uid, e1 := strconv.ParseUint(u.Uid, 10, 32)
		gid, e2 := strconv.ParseUint(u.Gid, 10, 32)
		return &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}}, errors.Join(e1, e2)
	}
	return nil, err
}

func freePort() (string, error) {
	l, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
}
