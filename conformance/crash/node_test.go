package crash

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/packhouse/packhouse/conformance/packhouse"
)

// node is one running registry.
type node struct {
	url   string
	data  string
	pid   int
	ready time.Duration // from exec to the first answer
	kill  func() error  // SIGKILL, returns when the process is gone
	logs  func() string

	server *packhouse.Server // nil: a peer
}

// start runs the registry under test on the directory data.
func start(ctx context.Context, data string, o packhouse.Options) (*node, error) {
	if *peer != "" {
		return startPeer(ctx, data)
	}
	o.Data = data
	s, err := packhouse.Start(ctx, o)
	if err != nil {
		return nil, err
	}
	return &node{url: s.URL, data: data, pid: s.PID(), ready: s.StartedIn, kill: s.Kill, logs: s.Logs, server: s}, nil
}

// mustStart is start for a test that cannot go on without it; the process ends with the test.
func mustStart(t *testing.T, data string, o packhouse.Options) *node {
	t.Helper()
	n, err := start(t.Context(), data, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = n.kill()
		if logs := n.logs(); strings.Contains(logs, "panic:") || strings.Contains(logs, "goroutine 1 [") {
			t.Errorf("the server panicked:\n%s", tail(logs))
		}
	})
	return n
}

// pause stops all threads of the server and returns once they stand still.
func (n *node) pause() error {
	if err := syscall.Kill(-n.pid, syscall.SIGSTOP); err != nil {
		return err
	}
	for {
		still, err := n.stopped()
		if err != nil || still {
			return err
		}
		runtime.Gosched()
	}
}

func (n *node) resume() error { return syscall.Kill(-n.pid, syscall.SIGCONT) }

func (n *node) stopped() (bool, error) {
	threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", n.pid))
	if err != nil {
		return false, err
	}
	for _, path := range threads {
		stat, err := os.ReadFile(path)
		if err != nil {
			return false, err
		}
		_, fields, _ := strings.Cut(string(stat), ") ")
		if !strings.HasPrefix(fields, "T") {
			return false, nil
		}
	}
	return len(threads) > 0, nil
}

// resident returns the peak resident set of the server in bytes.
func (n *node) resident() (int64, error) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", n.pid))
	if err != nil {
		return 0, err
	}
	_, rest, found := strings.Cut(string(status), "VmHWM:")
	if !found {
		return 0, fmt.Errorf("no VmHWM in the status of process %d", n.pid)
	}
	kib, err := strconv.ParseInt(strings.Fields(rest)[0], 10, 64)
	return kib << 10, err
}

// startPeer runs distribution's registry, for comparison.
func startPeer(ctx context.Context, data string) (*node, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	addr := l.Addr().String()
	_ = l.Close()
	config := filepath.Join(data, "config.yml")
	content := fmt.Sprintf("version: 0.1\nlog: {level: error}\nstorage: {filesystem: {rootdirectory: %q}, delete: {enabled: true}}\nhttp: {addr: %q}\n", data, addr)
	if err := os.MkdirAll(data, 0o755); err != nil {
		return nil, err
	}
	if err := os.WriteFile(config, []byte(content), 0o600); err != nil {
		return nil, err
	}
	cmd := exec.Command(*peer, "serve", config)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	begin := time.Now()
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	n := &node{url: "http://" + addr, data: data, pid: cmd.Process.Pid, logs: func() string { return "" }}
	n.kill = sync.OnceValue(func() error {
		_ = syscall.Kill(-n.pid, syscall.SIGKILL)
		_ = cmd.Wait() // its status is the signal's
		return nil
	})
	for ctx.Err() == nil {
		res, err := http.Get(n.url + "/v2/")
		if err == nil {
			_ = res.Body.Close()
			n.ready = time.Since(begin)
			return n, nil
		}
		select {
		case <-ctx.Done():
		case <-time.After(5 * time.Millisecond):
		}
	}
	_ = n.kill()
	return nil, ctx.Err()
}

// tail returns the end of a log.
func tail(s string) string {
	const most = 8 << 10
	return s[max(0, len(s)-most):]
}
