// Package rig is what tests that drive real clients share: a running server with a home for its clients, the clients'
// programs, and plain requests that judge what they left.
//
// Its functions take a *testing.T and fail the test. Every client gets a proxy that refuses connections, so that nothing
// leaves the machine unseen, and of this process's environment the PATH alone.
package rig

import (
	"bytes"
	"context"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/packhouse/packhouse/conformance/packhouse"
)

// clientTimeout ends a client that hangs.
const clientTimeout = 5 * time.Minute

// Registry is one running server as one test sees it.
type Registry struct {
	*packhouse.Server
	Home string   // $HOME and working directory of the clients
	Env  []string // their environment
}

// Start starts a server with a data directory and a home of its own; the test's end stops it.
func Start(t *testing.T, o packhouse.Options) *Registry {
	t.Helper()
	if o.Data == "" {
		o.Data = filepath.Join(t.TempDir(), "data")
	}
	s, err := packhouse.Start(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	r := &Registry{Server: s, Home: t.TempDir()}
	r.Env = append(Environment(t, r.Home), s.Shared...) // for commands of the registry itself
	if o.TLS {
		r.Env = append(r.Env, "SSL_CERT_FILE="+s.CACert)
	}
	t.Cleanup(func() {
		if err := s.Stop(); err != nil {
			t.Errorf("stop: %v", err)
		}
		if t.Failed() {
			t.Logf("end of the server's log:\n%s", Tail(s.Logs()))
		}
	})
	return r
}

// Environment is that of a client whose home is home.
func Environment(t *testing.T, home string) []string {
	t.Helper()
	return []string{
		"HOME=" + home, "PATH=" + os.Getenv("PATH"), "TMPDIR=" + t.TempDir(), "XDG_RUNTIME_DIR=" + t.TempDir(),
		"HTTP_PROXY=http://127.0.0.1:1", "HTTPS_PROXY=http://127.0.0.1:1", "NO_PROXY=127.0.0.1,localhost",
	}
}

// In is the same registry with another home: its clients find nothing that others left.
func (r *Registry) In(t *testing.T) *Registry {
	t.Helper()
	fresh := &Registry{Server: r.Server, Home: t.TempDir()}
	fresh.Env = append(Environment(t, fresh.Home), r.Shared...)
	if r.CACert != "" {
		fresh.Env = append(fresh.Env, "SSL_CERT_FILE="+r.CACert)
	}
	return fresh
}

// Tail keeps of a log what fits on a screen.
func Tail(log string) string {
	lines := strings.SplitAfter(log, "\n")
	return strings.Join(lines[max(0, len(lines)-40):], "")
}

// TLS tells whether the server speaks TLS.
func (r *Registry) TLS() bool { return r.CACert != "" }

// Run runs a client in r.Home and returns its standard output; everything it printed is in the test's log.
func (r *Registry) Run(t *testing.T, argv ...string) string {
	t.Helper()
	out, err := r.Try(t, argv...)
	if err != nil {
		t.Fatalf("%s: %v", filepath.Base(argv[0]), err)
	}
	return out
}

// Refuse runs a client that must fail and returns what it printed.
func (r *Registry) Refuse(t *testing.T, argv ...string) string {
	t.Helper()
	out, err := r.Try(t, argv...)
	if err == nil {
		t.Fatalf("%s: succeeded, want a failure", strings.Join(argv, " "))
	}
	return out
}

// Try runs a client and returns its standard output and, when it failed, its standard error after it.
func (r *Registry) Try(t *testing.T, argv ...string) (string, error) {
	t.Helper()
	stdout, both, err := Command(t, r.Home, r.Env, argv...)
	if err != nil {
		return both, err
	}
	return stdout, nil
}

// Command runs a program, logs what it printed, and returns its standard output, and both of its outputs in the order
// in which they came.
func Command(t *testing.T, dir string, env []string, argv ...string) (stdout, both string, err error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), clientTimeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Dir, cmd.Env = dir, env
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = 5 * time.Second
	var out bytes.Buffer
	log := new(transcript)
	cmd.Stdout, cmd.Stderr = io.MultiWriter(&out, log), log
	err = cmd.Run()
	t.Logf("$ %s %s\n%s", filepath.Base(argv[0]), strings.Join(argv[1:], " "), clip(log.text.String()))
	return out.String(), log.text.String(), err
}

// clip keeps the ends of what a talkative client printed.
func clip(text string) string {
	const most = 16 << 10
	if len(text) <= most {
		return text
	}
	return text[:most/2] + "\n…\n" + text[len(text)-most/2:]
}

// transcript holds what a client printed, in the order in which it came, from both of its outputs.
type transcript struct {
	sync.Mutex
	text bytes.Buffer
}

func (w *transcript) Write(p []byte) (int, error) {
	w.Lock()
	defer w.Unlock()
	return w.text.Write(p)
}

// Soon tells whether something holds: at once with one process; with replicas, which learn of each other's rules by asking
// now and then, within five seconds.
func (r *Registry) Soon(holds func() bool) bool {
	deadline := time.Now().Add(5 * time.Second)
	for !holds() {
		if len(r.Replicas) == 0 || time.Now().After(deadline) {
			return false
		}
		<-time.After(50 * time.Millisecond)
	}
	return true
}

// File writes a file into r.Home and returns its path.
func (r *Registry) File(t *testing.T, name string, content []byte) string {
	t.Helper()
	path := filepath.Join(r.Home, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, content, 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

// Read reads a file of r.Home.
func (r *Registry) Read(t *testing.T, name string) []byte {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(r.Home, name))
	if err != nil {
		t.Fatal(err)
	}
	return content
}
