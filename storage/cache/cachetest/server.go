// Package cachetest starts Redis for tests: Debian's own server, on a port of
// the loopback interface, in a directory that goes away with the test.
package cachetest

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

// Server is a Redis that the test may treat badly. Its methods fail the test.
type Server struct {
	Addr string // HOST:PORT, the same after a restart

	tb     testing.TB
	bin    string
	dir    string
	args   []string
	cmd    *exec.Cmd
	client *redis.Client
}

// Redis starts a server, with further arguments of its command line. It skips
// the test where Redis is not installed.
func Redis(tb testing.TB, args ...string) *Server {
	tb.Helper()
	bin, err := exec.LookPath("redis-server")
	if err != nil {
		tb.Skip("Redis is not installed: apt-get install redis-server")
	}
	l, err := (&net.ListenConfig{}).Listen(tb.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	s := &Server{Addr: l.Addr().String(), tb: tb, bin: bin, dir: tb.TempDir(), args: args}
	if err := l.Close(); err != nil {
		tb.Fatal(err)
	}
	s.client = redis.NewClient(&redis.Options{Addr: s.Addr, MaxRetries: -1})
	tb.Cleanup(func() {
		_ = s.client.Close()
		s.Kill()
	})
	s.Start()
	return s
}

// Start starts the server again, with what its file holds.
func (s *Server) Start() {
	s.tb.Helper()
	host, port, _ := net.SplitHostPort(s.Addr)
	args := append([]string{"--bind", host, "--port", port, "--dir", s.dir, "--save", "", "--appendonly", "no", "--loglevel", "warning"}, s.args...)
	s.cmd = exec.Command(s.bin, args...)                                 //nolint:gosec,noctx // our own; killed at the end
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} // with this process, however that ends
	if err := s.cmd.Start(); err != nil {
		s.tb.Fatal(err)
	}
	deadline := time.Now().Add(10 * time.Second)
	for {
		err := s.client.Ping(context.Background()).Err()
		if err == nil || time.Now().After(deadline) {
			if err != nil {
				s.tb.Fatalf("redis-server %v: %v", args, err)
			}
			return
		}
		<-time.After(10 * time.Millisecond)
	}
}

// Kill kills the server.
func (s *Server) Kill() {
	s.tb.Helper()
	if s.cmd == nil {
		return
	}
	if err := s.cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		s.tb.Error(err)
	}
	_ = s.cmd.Wait() // it was killed
	s.cmd = nil
}

// Flush removes all that the server holds.
func (s *Server) Flush() { s.do("FLUSHALL") }

// Do runs one command.
func (s *Server) do(args ...any) any {
	s.tb.Helper()
	got, err := s.client.Do(context.Background(), args...).Result()
	if err != nil {
		s.tb.Fatal(fmt.Errorf("redis %v: %w", args, err))
	}
	return got
}

// Client is a client of the server.
func (s *Server) Client() *redis.Client { return s.client }

// Snapshot returns all that the server holds, for [Server.Restore].
func (s *Server) Snapshot() []byte {
	s.tb.Helper()
	s.do("SAVE")
	dump, err := os.ReadFile(s.dump())
	if err != nil {
		s.tb.Fatal(err)
	}
	return dump
}

// Restore kills the server and starts it with an earlier snapshot.
func (s *Server) Restore(dump []byte) {
	s.tb.Helper()
	s.Kill()
	if err := os.WriteFile(s.dump(), dump, 0o600); err != nil {
		s.tb.Fatal(err)
	}
	s.Start()
}

func (s *Server) dump() string { return filepath.Join(s.dir, "dump.rdb") }
