package clients

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

// registry is one running server as one test over one transport sees it.
type registry struct {
	*packhouse.Server
	home string   // $HOME and working directory of the clients
	env  []string // their environment
}

// overHTTPAndTLS runs test against two servers at once and names the client for the support matrix.
func overHTTPAndTLS(t *testing.T, client, version string, test func(t *testing.T, r *registry)) {
	t.Helper()
	t.Attr("client", client)
	t.Attr("version", version)
	for _, transport := range []string{"HTTP", "TLS"} {
		t.Run(transport, func(t *testing.T) {
			t.Parallel()
			test(t, start(t, transport == "TLS"))
		})
	}
}

func start(t *testing.T, tls bool) *registry {
	t.Helper()
	s, err := packhouse.Start(t.Context(), packhouse.Options{Data: filepath.Join(t.TempDir(), "data"), TLS: tls})
	if err != nil {
		t.Fatal(err)
	}
	r := &registry{Server: s, home: t.TempDir()}
	r.env = []string{
		"HOME=" + r.home, "PATH=" + os.Getenv("PATH"), "TMPDIR=" + t.TempDir(), "XDG_RUNTIME_DIR=" + t.TempDir(),
		"HTTP_PROXY=http://127.0.0.1:1", "HTTPS_PROXY=http://127.0.0.1:1", "NO_PROXY=127.0.0.1,localhost",
	}
	if tls {
		r.env = append(r.env, "SSL_CERT_FILE="+s.CACert)
	}
	t.Cleanup(func() {
		if err := s.Stop(); err != nil {
			t.Errorf("stop: %v", err)
		}
		if t.Failed() {
			t.Logf("end of the server's log:\n%s", tail(s.Logs()))
		}
	})
	return r
}

// tail keeps of a log what fits on a screen.
func tail(log string) string {
	lines := strings.SplitAfter(log, "\n")
	return strings.Join(lines[max(0, len(lines)-40):], "")
}

func (r *registry) tls() bool { return r.CACert != "" }

// run runs a client in r.home and returns its standard output; everything it printed is in the test's log.
func (r *registry) run(t *testing.T, argv ...string) string {
	t.Helper()
	out, err := r.try(t, argv...)
	if err != nil {
		t.Fatalf("%s: %v", filepath.Base(argv[0]), err)
	}
	return out
}

// refuse runs a client that must fail and returns what it printed.
func (r *registry) refuse(t *testing.T, argv ...string) string {
	t.Helper()
	out, err := r.try(t, argv...)
	if err == nil {
		t.Fatalf("%s: succeeded, want a failure", strings.Join(argv, " "))
	}
	return out
}

func (r *registry) try(t *testing.T, argv ...string) (string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Dir, cmd.Env = r.home, r.env
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = 5 * time.Second
	var stdout bytes.Buffer
	both := new(transcript)
	cmd.Stdout, cmd.Stderr = io.MultiWriter(&stdout, both), both
	err := cmd.Run()
	t.Logf("$ %s %s\n%s", filepath.Base(argv[0]), strings.Join(argv[1:], " "), both.text.Bytes())
	return stdout.String(), err
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

// file writes a file into r.home and returns its path.
func (r *registry) file(t *testing.T, name string, content []byte) string {
	t.Helper()
	path := filepath.Join(r.home, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, content, 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

// certDir returns a directory with the authority's certificate under the name that the containers tools look for.
func (r *registry) certDir(t *testing.T) string {
	t.Helper()
	pem, err := os.ReadFile(r.CACert)
	if err != nil {
		t.Fatal(err)
	}
	return filepath.Dir(r.file(t, "certs/ca.crt", pem))
}
