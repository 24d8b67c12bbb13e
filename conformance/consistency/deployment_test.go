package consistency

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/packhouse/packhouse/conformance/packhouse"
	"github.com/packhouse/packhouse/conformance/services"
)

// deployment is the registry under test: replicas over services of their own, or one process over SQLite.
type deployment struct {
	replicas []*replica

	// The services, each with a proxy that spoils connections before it; nil for SQLite.
	services *services.Set
	place    *services.Place
	database *services.Proxy
	cache    *services.Proxy
	store    *services.S3Proxy
}

// replica is one process, started again on the same address as often as it is killed.
type replica struct {
	number  int
	url     string
	mu      sync.Mutex
	server  *packhouse.Server
	options packhouse.Options
}

// setup is what tests set of a deployment. The zero value is two replicas of the plain configuration.
type setup struct {
	binary   string
	env      []string
	args     []string
	postgres services.PostgresOptions
}

// deploy starts replicas over services that nobody else uses: tests break them.
func deploy(t *testing.T, s setup) *deployment {
	t.Helper()
	if *sqlite {
		return single(t, s)
	}
	ctx := context.WithoutCancel(t.Context()) // the services end with this process
	dir := t.TempDir()
	set, err := services.Start(ctx, s.postgres)
	if err != nil {
		t.Fatal(err)
	}
	d := &deployment{services: set}
	t.Cleanup(func() {
		if err := errors.Join(set.Postgres.Kill(), set.Redis.Kill(), set.S3.Kill()); err != nil {
			t.Error(err)
		}
	})
	if d.place, err = set.Place(ctx); err != nil {
		t.Fatal(err)
	}
	toxic, err := services.StartToxiproxy(ctx, "")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = toxic.Stop() })
	if d.database, err = toxic.Before(ctx, "postgres", set.Postgres.Addr); err != nil {
		t.Fatal(err)
	}
	if d.cache, err = toxic.Before(ctx, "redis", set.Redis.Addr); err != nil {
		t.Fatal(err)
	}
	if d.store, err = services.StartS3Proxy(ctx, set.S3.Addr); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = d.store.Close() })
	env := append(d.place.Env(d.database.Addr, d.store.Addr, d.cache.Addr),
		"PACKHOUSE_SECRETS__KEY="+base64.StdEncoding.EncodeToString(make([]byte, 32)), "PACKHOUSE_LOG__ACCESS=false")
	d.replicas = make([]*replica, 2)
	errs := make([]error, len(d.replicas))
	var starting sync.WaitGroup
	for i := range d.replicas { // at once: whoever is first makes the schema
		starting.Go(func() {
			d.replicas[i], errs[i] = startReplica(t, i, packhouse.Options{
				Replicas: 1, Data: filepath.Join(dir, fmt.Sprint("replica", i)), Binary: s.binary, Args: s.args, Env: slices.Concat(env, s.env),
			})
		})
	}
	starting.Wait()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
	return d
}

// single is one process over SQLite: what the tests find there is no matter of replicas.
func single(t *testing.T, s setup) *deployment {
	t.Helper()
	r, err := startReplica(t, 0, packhouse.Options{
		Replicas: 1, Data: filepath.Join(t.TempDir(), "data"), Binary: s.binary, Args: s.args, Env: append([]string{"PACKHOUSE_LOG__ACCESS=false"}, s.env...),
	})
	if err != nil {
		t.Fatal(err)
	}
	return &deployment{replicas: []*replica{r}}
}

// startReplica starts a process that ends with the test. A panic of it fails the test.
func startReplica(t *testing.T, number int, o packhouse.Options) (*replica, error) {
	t.Helper()
	s, err := packhouse.Start(t.Context(), o)
	if err != nil {
		return nil, err
	}
	r := &replica{number: number, url: s.URL, server: s, options: o}
	r.options.Addr = s.Host
	t.Cleanup(func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		_ = r.server.Kill()
		logs := r.server.Logs()
		if strings.Contains(logs, "panic:") || strings.Contains(logs, "goroutine 1 [") {
			t.Errorf("replica %d panicked:\n%s", number, tail(logs))
		}
		if t.Failed() {
			t.Logf("end of the log of replica %d:\n%s", number, tail(logs))
		}
	})
	return r, nil
}

// at is the URL of a Location at this replica, whoever gave it.
func (r *replica) at(location string) string {
	if _, rest, found := strings.Cut(location, "://"); found {
		_, path, _ := strings.Cut(rest, "/")
		location = "/" + path
	}
	return r.url + location
}

// kill sends SIGKILL and returns when the process is gone.
func (r *replica) kill() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.server.Kill()
}

// stop sends SIGTERM and returns when the process has ended.
func (r *replica) stop() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.server.Stop()
}

// start starts a process that was killed or stopped, and returns when it answers.
func (r *replica) start(ctx context.Context) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	s, err := packhouse.Start(ctx, r.options)
	if err != nil {
		return fmt.Errorf("replica %d: %w", r.number, err)
	}
	r.server = s
	return nil
}

// freeze stops all threads of the process and returns once they stand still.
func (r *replica) freeze() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	pid := r.server.PID()
	if err := syscall.Kill(-pid, syscall.SIGSTOP); err != nil {
		return err
	}
	for {
		still, err := stopped(pid)
		if err != nil || still {
			return err
		}
		runtime.Gosched()
	}
}

func (r *replica) thaw() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return syscall.Kill(-r.server.PID(), syscall.SIGCONT)
}

func stopped(pid int) (bool, error) {
	threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", pid))
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

// recovery is how long a registry may take to be well again once everything around it is.
const recovery = 5 * time.Second

// settle returns when all replicas are ready and read what only the database knows, or with an error after the time that
// this may take.
func (d *deployment) settle(ctx context.Context) error {
	c := newClient(recovery)
	defer c.close()
	for _, r := range d.replicas {
		if err := eventually(ctx, recovery, func() error {
			a, err := c.do(ctx, http.MethodGet, r.url+"/-/ready", nil, nil)
			if err == nil && !a.ok() {
				err = fmt.Errorf("not ready: %s", a)
			}
			if err != nil {
				return err
			}
			if a, err = c.do(ctx, http.MethodGet, manifestURL(r.url, "nobody/nothing", "none"), accept(), nil); err == nil && a.status >= http.StatusInternalServerError {
				err = fmt.Errorf("not well: %s", a)
			}
			return err
		}); err != nil {
			return fmt.Errorf("replica %d: %w", r.number, err)
		}
	}
	return nil
}

// eventually tries until it succeeds, for at most so long, and returns the last error.
func eventually(ctx context.Context, most time.Duration, try func() error) error {
	deadline := time.After(most)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		err := try()
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return err
		case <-deadline:
			return fmt.Errorf("not within %s: %w", most, err)
		case <-tick.C:
		}
	}
}

// tail returns the end of a log.
func tail(s string) string {
	const most = 2 << 10
	return s[max(0, len(s)-most):]
}
