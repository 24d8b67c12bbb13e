package rig

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// Daemon runs a long-lived program of a client until the test ends and returns once ready reports true. Its output is
// shown when the test fails.
func Daemon(t *testing.T, env []string, ready func(ctx context.Context) bool, argv ...string) {
	t.Helper()
	log, err := os.Create(filepath.Join(t.TempDir(), "log"))
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(argv[0], argv[1:]...) //nolint:gosec,noctx // the test's own; ended by its cleanup
	cmd.Env = append(os.Environ(), env...)
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() { _ = cmd.Wait(); close(ended) }()
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		select {
		case <-ended:
		case <-time.After(30 * time.Second):
			t.Errorf("%s did not end within 30 s of SIGTERM", filepath.Base(argv[0]))
		}
		// What it started itself is in its process group.
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		<-ended
		_ = log.Close()
		if content, err := os.ReadFile(log.Name()); err == nil && t.Failed() {
			t.Logf("end of the log of %s:\n%s", filepath.Base(argv[0]), Tail(string(content)))
		}
	})
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for !ready(ctx) {
		select {
		case <-ended:
			t.Fatalf("%s ended before it was ready", filepath.Base(argv[0]))
		case <-ctx.Done():
			t.Fatalf("%s is not ready after a minute", filepath.Base(argv[0]))
		case <-tick.C:
		}
	}
}
