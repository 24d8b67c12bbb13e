package obs_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"io"
	"log/slog"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/packhouse/packhouse/registry"
	"github.com/packhouse/packhouse/registry/obs"
)

var update = flag.Bool("update", false, "rewrite the golden files")

var sample = obs.Request{
	Start: time.Date(2026, 1, 2, 3, 4, 5, 678_900_000, time.UTC), Duration: 1234567 * time.Nanosecond,
	ID: "abc", Client: "::1", Method: "GET", URI: "/v2/app/manifests/latest", Kind: "manifest_get", Repo: "app",
	Status: 200, BytesOut: 1234, UserAgent: "docker/28 (linux)",
}

func TestAccessLine(t *testing.T) {
	t.Parallel()
	hostile := sample
	hostile.URI, hostile.UserAgent, hostile.Repo = "/x\n\"y\\", "\x00é", ""
	traced := sample
	traced.TraceID = "0af7651916cd43dd8448eb211c80319c"
	for _, tc := range []struct {
		name, format string
		request      obs.Request
		want         string
	}{
		{"text", "text", sample, `time=2026-01-02T03:04:05.678Z level=INFO msg=request request_id=abc client=::1 method=GET uri=/v2/app/manifests/latest kind=manifest_get repo=app status=200 duration_ms=1.234 bytes_in=0 bytes_out=1234 user_agent="docker/28 (linux)"`},
		{"json", "json", sample, `{"time":"2026-01-02T03:04:05.678Z","level":"INFO","msg":"request","request_id":"abc","client":"::1","method":"GET","uri":"/v2/app/manifests/latest","kind":"manifest_get","repo":"app","status":200,"duration_ms":1.234,"bytes_in":0,"bytes_out":1234,"user_agent":"docker/28 (linux)"}`},
		{"text traced", "text", traced, `time=2026-01-02T03:04:05.678Z level=INFO msg=request request_id=abc client=::1 method=GET uri=/v2/app/manifests/latest kind=manifest_get repo=app status=200 duration_ms=1.234 bytes_in=0 bytes_out=1234 user_agent="docker/28 (linux)" trace_id=0af7651916cd43dd8448eb211c80319c`},
		{"text hostile", "text", hostile, `time=2026-01-02T03:04:05.678Z level=INFO msg=request request_id=abc client=::1 method=GET uri="/x\n\"y\\" kind=manifest_get status=200 duration_ms=1.234 bytes_in=0 bytes_out=1234 user_agent="\x00é"`},
		{"json hostile", "json", hostile, `{"time":"2026-01-02T03:04:05.678Z","level":"INFO","msg":"request","request_id":"abc","client":"::1","method":"GET","uri":"/x\n\"y\\","kind":"manifest_get","status":200,"duration_ms":1.234,"bytes_in":0,"bytes_out":1234,"user_agent":"\u0000é"}`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			var b bytes.Buffer
			out := obs.NewOutput(&b)
			obs.NewAccess(out, tc.format).Log(&tc.request)
			if b.Len() != 0 {
				t.Errorf("written before it was flushed: %q", &b)
			}
			if err := out.Close(); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.want+"\n", b.String()); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if tc.format == "json" && !json.Valid(b.Bytes()) {
				t.Error("not JSON")
			}
		})
	}
}

func TestOutputKeepsOrderAndFlushesWithinASecond(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var b bytes.Buffer
		out := obs.NewOutput(&b)
		access, log := obs.NewAccess(out, "text"), obs.NewLogger(out, slog.LevelInfo, "text")
		access.Log(&sample)
		log.InfoContext(registry.WithCaller(t.Context(), &registry.Caller{RequestID: "abc"}), "second")
		lines := strings.Split(b.String(), "\n")
		if len(lines) != 3 || !strings.Contains(lines[0], "msg=request") || !strings.Contains(lines[1], "msg=second request_id=abc") {
			t.Errorf("got %q", lines)
		}
		b.Reset()
		access.Log(&sample)
		<-time.After(time.Second)
		synctest.Wait()
		if strings.Count(b.String(), "\n") != 1 {
			t.Errorf("after a second: %q", &b)
		}
		if err := out.Close(); err != nil {
			t.Fatal(err)
		}
	})
}

func TestOutputReportsFailedWrites(t *testing.T) {
	t.Parallel()
	r, w := io.Pipe()
	full := errors.New("full")
	_ = r.CloseWithError(full)
	out := obs.NewOutput(w)
	obs.NewAccess(out, "text").Log(&sample)
	if err := out.Close(); !errors.Is(err, full) {
		t.Errorf("err = %v", err)
	}
}

func TestMetrics(t *testing.T) {
	t.Parallel()
	m := obs.NewMetrics(obs.Build{Version: "v1.2.3", Revision: "abc", Go: "go1"})
	m.Read([]obs.Series{
		{Name: "packhouse_cache_requests_total", Help: "Lookups in the cache of manifests and names: hit or miss.", Counter: true, Label: "result", Value: "hit"},
		{Name: "packhouse_cache_requests_total", Help: "Lookups in the cache of manifests and names: hit or miss.", Counter: true, Label: "result", Value: "miss"},
		{Name: "packhouse_cache_bytes", Help: "Bytes in it."},
	}, func(v []float64) { copy(v, []float64{3, 1, 4096}) })
	m.Count([]obs.Series{{Name: "packhouse_leases_held", Help: "Leases."}}, func(_ context.Context, v []float64) error {
		v[0] = 2
		return nil
	})
	m.Count([]obs.Series{{Name: "packhouse_away", Help: "Never."}}, func(context.Context, []float64) error { return errors.New("away") })
	m.Histogram("packhouse_group_changes", "Changes in a group.", obs.Sizes)(3)
	call := m.Calls("packhouse_redis_seconds", "Time of requests to Redis.", "operation", "get", "set")
	call("get", time.Millisecond)
	call("invented", time.Millisecond)
	objects := m.Objects(nil)
	objects.End(objects.Begin(t.Context(), "put"), "put", "ok", time.Now(), 100)
	objects.End(objects.Begin(t.Context(), "read"), "read", "absent", time.Now(), 0)
	objects.End(objects.Begin(t.Context(), "invented"), "invented", "invented", time.Now(), 0)
	objects.Read(50)
	m.Namespaces(func() ([]obs.NamespaceUsage, error) {
		return []obs.NamespaceUsage{{Name: "", Bytes: 10, Manifests: 2}, {Name: "acme", Bytes: 7, Manifests: 1, QuotaBytes: new(int64(100))}}, nil
	})
	pull := m.Route("oci", "manifest_get", obs.Pull, "manifest")
	push := m.Route("oci", "blob_upload_put", obs.Push, "blob")
	m.Route("oci", "catalog", obs.None, "")
	m.Begin()
	pull.Observe(200, 700*time.Microsecond, 0, 1000)
	pull.Observe(304, 700*time.Microsecond, 0, 0)
	pull.Observe(404, time.Millisecond, 0, 80)
	push.Observe(201, 2*time.Second, 5000, 0)
	push.Observe(507, time.Second, 100, 50)
	rec := httptest.NewRecorder()
	m.Handler().ServeHTTP(rec, httptest.NewRequestWithContext(t.Context(), "GET", "/-/metrics", nil))
	var ours []string
	for l := range strings.Lines(rec.Body.String()) {
		// How long things took differs from run to run.
		if strings.Contains(l, "packhouse_") && !strings.Contains(l, "_bucket{") && !strings.HasPrefix(l, "packhouse_storage_operation_seconds_sum") {
			ours = append(ours, l)
		}
	}
	golden(t, "testdata/metrics.txt", []byte(strings.Join(ours, "")))
	for _, runtime := range []string{"go_goroutines ", "process_resident_memory_bytes "} {
		if !strings.Contains(rec.Body.String(), "\n"+runtime) {
			t.Errorf("no %s", runtime)
		}
	}
}

// What one request costs: the budget is 2 µs and no allocation.
func BenchmarkRequest(b *testing.B) {
	m := obs.NewMetrics(obs.Build{})
	route := m.Route("oci", "manifest_get", obs.Pull, "manifest")
	out := obs.NewOutput(io.Discard)
	access := obs.NewAccess(out, "json")
	b.ReportAllocs()
	for b.Loop() {
		m.Begin()
		route.Observe(200, time.Millisecond, 0, 1000)
		r := sample
		access.Log(&r)
		m.End()
	}
}

func golden(t *testing.T, file string, got []byte) {
	t.Helper()
	if *update {
		if err := os.WriteFile(file, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(slices.Collect(strings.Lines(string(want))), slices.Collect(strings.Lines(string(got)))); diff != "" {
		t.Errorf("%s (-want +got):\n%s", file, diff)
	}
}
