package crash

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// tracer is strace, attached to a server.
type tracer struct {
	cmd *exec.Cmd
	out string
}

// attach returns when every thread of the server is traced.
func attach(t *testing.T, n *node, args ...string) *tracer {
	t.Helper()
	tr := &tracer{out: filepath.Join(t.TempDir(), "strace")}
	args = append([]string{"-f", "-qq", "-o", tr.out, "-e", "signal=none", "-p", fmt.Sprint(n.pid)}, args...)
	tr.cmd = exec.Command("strace", args...)
	tr.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := tr.cmd.Start(); err != nil {
		t.Fatalf("this test needs strace: %v", err)
	}
	t.Cleanup(func() { _ = tr.cmd.Process.Kill() })
	eventually(t, "strace is attached", func() bool { return attached(n) })
	return tr
}

// attached tells whether every thread of the server is traced.
func attached(n *node) bool {
	threads, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/status", n.pid))
	for _, path := range threads {
		status, err := os.ReadFile(path)
		if err != nil || bytes.Contains(status, []byte("TracerPid:\t0\n")) {
			return false
		}
	}
	return len(threads) > 0
}

// stop detaches and returns how many calls were made to fail.
func (tr *tracer) stop(t *testing.T) (injected int) {
	t.Helper()
	if err := tr.cmd.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	_ = tr.cmd.Wait() // its status is the signal's
	f, err := os.Open(tr.out)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for lines := bufio.NewReader(f); ; {
		line, err := lines.ReadString('\n')
		if strings.Contains(line, "(INJECTED)") {
			injected++
		}
		if errors.Is(err, io.EOF) {
			return injected
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}
