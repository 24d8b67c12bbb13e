package services

import (
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestPostgresOutlivesItsKills(t *testing.T) {
	t.Parallel()
	p, err := StartPostgres(t.Context(), PostgresOptions{Durable: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Kill() })
	if url, err := p.Create(t.Context(), "x"); err != nil || url != p.URL("x") {
		t.Fatalf("%q, %v", url, err)
	}
	if _, err := p.Query(t.Context(), "x", "CREATE TABLE a (b text); INSERT INTO a VALUES ('1'), ('2')"); err != nil {
		t.Fatal(err)
	}
	if _, err := p.Query(t.Context(), "x", "SELECT nothing"); err == nil || !strings.Contains(err.Error(), "nothing") {
		t.Errorf("err = %v, want the server's own words", err)
	}
	for _, end := range []func() error{p.Kill, p.Quit, p.Stop} {
		backends := children(p.cmd.Process.Pid)
		if len(backends) < 3 {
			t.Errorf("%d backends, want those of a running cluster", len(backends))
		}
		if err := end(); err != nil {
			t.Fatal(err)
		}
		for _, pid := range backends {
			if alive(pid) {
				t.Errorf("process %d is still there", pid)
			}
		}
		if err := p.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got, err := p.Query(t.Context(), "x", "SELECT b FROM a ORDER BY b"); err != nil || got != "1\n2" {
			t.Errorf("rows: %q, %v", got, err)
		}
	}
}

func TestRedisForgetsAndRemembers(t *testing.T) {
	t.Parallel()
	r, err := StartRedis(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.Kill() })
	expect := func(want string, args ...string) {
		t.Helper()
		if got, err := r.Do(t.Context(), args...); err != nil || got != want {
			t.Errorf("%s: %q, %v, want %q", args, got, err, want)
		}
	}
	file := filepath.Join(t.TempDir(), "snapshot")
	expect("OK", "SET", "a", "old\r\nvalue")
	if err := r.Snapshot(t.Context(), file); err != nil {
		t.Fatal(err)
	}
	expect("OK", "SET", "a", "new")
	if err := r.Restore(t.Context(), file); err != nil {
		t.Fatal(err)
	}
	expect("old\r\nvalue", "GET", "a")
	if err := r.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := r.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	expect("", "GET", "a")
	if _, err := r.Do(t.Context(), "NOSUCH"); err == nil {
		t.Error("an unknown command succeeded")
	}
}

func TestS3ListsWhatIsThere(t *testing.T) {
	t.Parallel()
	s, err := StartS3(t.Context(), "", "")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Kill() })
	if err := s.Create(t.Context(), "b"); err == nil {
		t.Error("a bucket of one letter was made")
	}
	if err := s.Create(t.Context(), "bucket"); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"/bucket/one", "/bucket/two%20words"} {
		if status, body, err := s.Do(t.Context(), http.MethodPut, path, nil); err != nil || status != http.StatusOK {
			t.Fatalf("%s: %d, %v: %s", path, status, err, body)
		}
	}
	if status, body, err := s.Do(t.Context(), http.MethodPost, "/bucket/open", url.Values{"uploads": {""}}); err != nil || status != http.StatusOK {
		t.Fatalf("%d, %v: %s", status, err, body)
	}
	if keys, err := s.Objects(t.Context(), "bucket"); err != nil || !slices.Equal(keys, []string{"one", "two words"}) {
		t.Errorf("objects: %q, %v", keys, err)
	}
	if keys, err := s.Multiparts(t.Context(), "bucket"); err != nil || !slices.Equal(keys, []string{"open"}) {
		t.Errorf("multiparts: %q, %v", keys, err)
	}
	proxy, err := StartS3Proxy(t.Context(), s.Addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = proxy.Close() })
	before := *s
	before.Addr = proxy.Addr
	if keys, err := before.Objects(t.Context(), "bucket"); err != nil || len(keys) != 2 {
		t.Errorf("through a proxy: %q, %v", keys, err)
	}
	for _, tt := range []struct {
		name   string
		faults S3Faults
		status int // 0: none
		done   bool
	}{
		{"slowdown", S3Faults{SlowDown: 1}, http.StatusServiceUnavailable, false},
		{"reset", S3Faults{Reset: 1}, 0, false},
		{"lost", S3Faults{LoseReply: 1}, 0, true},
		{"only-complete", S3Faults{Reset: 1, Only: "complete"}, http.StatusOK, true},
	} {
		proxy.Set(tt.faults)
		status, _, err := before.Do(t.Context(), http.MethodPut, "/bucket/"+tt.name, nil)
		if status != tt.status || (err == nil) != (tt.status != 0) {
			t.Errorf("%s: status %d, %v", tt.name, status, err)
		}
		if keys, err := s.Objects(t.Context(), "bucket"); err != nil || slices.Contains(keys, tt.name) != tt.done {
			t.Errorf("%s: objects %q, %v", tt.name, keys, err)
		}
	}
}

func TestProxySpoilsConnections(t *testing.T) {
	t.Parallel()
	r, err := StartRedis(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.Kill() })
	x, err := StartToxiproxy(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = x.Stop() })
	p, err := x.Before(t.Context(), "redis", r.Addr)
	if err != nil {
		t.Fatal(err)
	}
	before := *r
	before.Addr = p.Addr
	ping := func(within time.Duration) error {
		ctx, cancel := withTimeout(t, within)
		defer cancel()
		_, err := before.Do(ctx, "PING")
		return err
	}
	const long, short = 10 * time.Second, 200 * time.Millisecond
	if err := ping(long); err != nil {
		t.Fatal(err)
	}
	for name, spoil := range map[string]func() error{
		"cut":   func() error { return p.Cut(t.Context()) },
		"reset": func() error { return p.Reset(t.Context()) },
		"close": func() error { return p.Close(t.Context()) },
		"delay": func() error { return p.Delay(t.Context(), time.Minute) },
	} {
		if err := spoil(); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if err := ping(short); err == nil {
			t.Errorf("%s: the server answers", name)
		}
		if err := p.Heal(t.Context()); err != nil {
			t.Fatalf("heal after %s: %v", name, err)
		}
		if err := ping(long); err != nil {
			t.Errorf("after %s: %v", name, err)
		}
	}
	if err := p.Rate(t.Context(), 1<<20); err != nil {
		t.Fatal(err)
	}
	if err := ping(long); err != nil {
		t.Error(err)
	}
}

func TestScratchIsRemoved(t *testing.T) {
	t.Parallel()
	if dir := os.Getenv("SCRATCH"); dir != "" {
		made, err := scratch()
		if err != nil || os.WriteFile(dir, []byte(made), 0o600) != nil {
			t.Fatal(err)
		}
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
	}
	file := filepath.Join(t.TempDir(), "name")
	again(t, "SCRATCH="+file)
	name, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(10 * time.Second); ; {
		if _, err := os.Stat(string(name)); os.IsNotExist(err) {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s is still there", name)
		}
	}
}
