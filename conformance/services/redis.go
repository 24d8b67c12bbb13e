package services

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// Redis is one server without persistence of its own: what it holds is gone with it, unless a snapshot is restored.
type Redis struct {
	Addr string // HOST:PORT

	process
	dir string
}

// StartRedis starts an empty server in a directory of its own below dir, or of this process for "".
func StartRedis(ctx context.Context, dir string) (*Redis, error) {
	var err error
	if dir == "" {
		if dir, err = scratch(); err != nil {
			return nil, err
		}
	}
	r := &Redis{dir: filepath.Join(dir, "redis"), process: process{name: "redis-server", log: filepath.Join(dir, "redis.log")}}
	if err := os.Mkdir(r.dir, 0o700); err != nil {
		return nil, err
	}
	err = onFreePort(ctx, func(addr string) error {
		r.Addr = addr
		return r.Start(ctx)
	})
	if err != nil {
		return nil, err
	}
	return r, nil
}

// Start starts a server that was stopped or killed, on the same address. It is empty.
func (r *Redis) Start(ctx context.Context) error {
	if err := os.Remove(r.file()); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return r.run(ctx)
}

func (r *Redis) run(ctx context.Context) error {
	binary, err := exec.LookPath("redis-server")
	if err != nil {
		return fmt.Errorf("redis-server is not installed, conformance/run installs it: %w", err)
	}
	host, port, err := net.SplitHostPort(r.Addr)
	if err != nil {
		return err
	}
	return r.start(ctx, program{argv: []string{binary, "--bind", host, "--port", port, "--dir", r.dir, "--save", "", "--appendonly", "no"}, death: syscall.SIGKILL},
		func(ctx context.Context) error {
			_, err := r.Do(ctx, "PING")
			return err
		})
}

func (r *Redis) file() string { return filepath.Join(r.dir, "dump.rdb") }

// Stop ends the server in good order.
func (r *Redis) Stop() error { return r.end(syscall.SIGTERM) }

// Kill ends the server by SIGKILL.
func (r *Redis) Kill() error { return r.kill() }

// Pause stops the server in the middle of whatever it does, Resume lets it go on.
func (r *Redis) Pause() error { return r.each(syscall.SIGSTOP) }

// Resume ends a pause.
func (r *Redis) Resume() error { return r.each(syscall.SIGCONT) }

// Flush removes all entries.
func (r *Redis) Flush(ctx context.Context) error {
	_, err := r.Do(ctx, "FLUSHALL")
	return err
}

// Snapshot copies all entries to a file (RDB), for Restore.
func (r *Redis) Snapshot(ctx context.Context, file string) error {
	content, err := r.snapshot(ctx)
	if err != nil {
		return err
	}
	return os.WriteFile(file, content, 0o600)
}

func (r *Redis) snapshot(ctx context.Context) ([]byte, error) {
	if _, err := r.Do(ctx, "SAVE"); err != nil {
		return nil, err
	}
	return os.ReadFile(r.file())
}

// Restore kills the server and starts it with the entries of a snapshot, as old as it may be.
func (r *Redis) Restore(ctx context.Context, file string) error {
	content, err := os.ReadFile(file) //nolint:gosec // the test's own
	if err != nil {
		return err
	}
	if err := r.Kill(); err != nil {
		return err
	}
	if err := os.WriteFile(r.file(), content, 0o600); err != nil {
		return err
	}
	return r.run(ctx)
}

// Do sends one command and returns its reply: the text of a status, a number or a string, the number of elements of an
// array, "" for nil.
func (r *Redis) Do(ctx context.Context, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	c, err := (&net.Dialer{}).DialContext(ctx, "tcp", r.Addr)
	if err != nil {
		return "", err
	}
	defer c.Close()
	deadline, _ := ctx.Deadline()
	if err := c.SetDeadline(deadline); err != nil {
		return "", err
	}
	// https://redis.io/docs/latest/develop/reference/protocol-spec
	var b strings.Builder
	fmt.Fprintf(&b, "*%d\r\n", len(args))
	for _, a := range args {
		fmt.Fprintf(&b, "$%d\r\n%s\r\n", len(a), a)
	}
	if _, err := io.WriteString(c, b.String()); err != nil {
		return "", err
	}
	in := bufio.NewReader(c)
	line, err := in.ReadString('\n')
	if err != nil || len(line) < len("+\r\n") {
		return "", errors.Join(errors.New("redis: no reply"), err)
	}
	kind, text := line[0], strings.TrimRight(line[1:], "\r\n")
	switch kind {
	case '-':
		return "", fmt.Errorf("redis: %s: %s", args[0], text)
	case '$':
		n, err := strconv.Atoi(text)
		if err != nil || n < 0 {
			return "", err
		}
		content := make([]byte, n)
		_, err = io.ReadFull(in, content)
		return string(content), err
	}
	return text, nil
}
