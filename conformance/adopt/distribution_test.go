package adopt

import (
	"bytes"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/packhouse/packhouse/conformance/tools"
)

// distribution is a running registry of the distribution project.
type distribution struct {
	url  string
	stop func()
}

func startDistribution(t *testing.T, data string) distribution {
	t.Helper()
	tool, err := tools.Find("distribution")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tool.Install(t.Context()); err != nil {
		t.Fatal(err)
	}
	binary, err := tool.Path()
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	_ = l.Close()
	config := filepath.Join(t.TempDir(), "config.yml")
	content := fmt.Sprintf("version: 0.1\nlog: {level: error}\nstorage: {filesystem: {rootdirectory: %q}, delete: {enabled: true}}\nhttp: {addr: %q}\n", data, addr)
	if err := os.WriteFile(config, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	cmd := exec.Command(binary, "serve", config) //nolint:noctx // ended by stop
	cmd.Stdout, cmd.Stderr = &out, &out
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		_ = cmd.Wait() // a status of its own after SIGTERM
		close(ended)
	}()
	d := distribution{url: "http://" + addr, stop: func() {
		_ = cmd.Process.Signal(syscall.SIGTERM) // it may have ended
		<-ended
	}}
	t.Cleanup(d.stop)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.After(time.Minute); ; {
		if res, err := http.Get(d.url + "/v2/"); err == nil { //nolint:noctx // loopback
			_ = res.Body.Close()
			return d
		}
		select {
		case <-tick.C:
		case <-ended:
			t.Fatalf("distribution ended:\n%s", out.String())
		case <-deadline:
			t.Fatal("distribution does not answer")
		}
	}
}
