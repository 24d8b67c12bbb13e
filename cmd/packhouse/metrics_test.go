package main

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/packhouse/packhouse/storage/cache/cachetest"
	"github.com/packhouse/packhouse/storage/meta/metatest"
)

// scrape reads the metrics as Prometheus does: our series with their values,
// and the line of each metric's help.
func (s *traceServer) scrape(t *testing.T) (series map[string]float64, help []string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), "GET", s.metrics+"/-/metrics", nil)
	if err != nil {
		t.Fatal(err)
	}
	res, err := http.DefaultClient.Do(req) //nolint:forbidigo // loopback
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	series = map[string]float64{}
	for lines := bufio.NewScanner(bytes.NewReader(body)); lines.Scan(); {
		line := lines.Text()
		switch {
		case strings.HasPrefix(line, "# HELP packhouse_"):
			help = append(help, strings.TrimPrefix(line, "# HELP "))
		case strings.HasPrefix(line, "packhouse_"):
			at := strings.LastIndexByte(line, ' ')
			v, err := strconv.ParseFloat(line[at+1:], 64)
			if err != nil {
				t.Fatalf("%q: %v", line, err)
			}
			series[line[:at]] = v
		}
	}
	return series, help
}

// patientRedis is for tests that want Redis to be asked and to answer, however
// busy the machine is.
const patientRedis = "PACKHOUSE_REDIS__TIMEOUT=20s"

// Everything that a server with PostgreSQL and Redis says of itself, and that
// what clients invent adds no series.
func TestMetricsOfReplica(t *testing.T) {
	t.Parallel()
	s := startTraced(t,
		"PACKHOUSE_DATABASE__URL="+metatest.Postgres(t), "PACKHOUSE_REDIS__ADDRS="+cachetest.Redis(t).Client().Options().Addr, patientRedis,
		"PACKHOUSE_SECRETS__KEY=MDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDA=", "OTEL_SDK_DISABLED=true")
	s.exercise(t)
	got, help := s.scrape(t)
	for name, least := range map[string]float64{
		`packhouse_storage_operations_total{operation="commit",outcome="ok"}`: 1,
		`packhouse_storage_operations_total{operation="read",outcome="ok"}`:   1,
		`packhouse_storage_bytes_total{operation="commit"}`:                   300 << 10,
		`packhouse_storage_bytes_total{operation="read"}`:                     300 << 10,
		`packhouse_storage_operation_seconds_count{operation="commit"}`:       1,
		`packhouse_database_commit_seconds_count`:                             2,
		`packhouse_database_commit_changes_sum`:                               2,
		`packhouse_database_connections`:                                      1,
		`packhouse_validation_requests_total`:                                 2,
		`packhouse_validation_queries_total`:                                  1,
		`packhouse_cache_requests_total{result="miss"}`:                       1,
		`packhouse_cache_bytes`:                                               256,
		`packhouse_cache_capacity_bytes`:                                      32 << 20,
		`packhouse_redis_requests_total{result="miss"}`:                       1,
		`packhouse_redis_seconds_count{operation="get"}`:                      1,
		`packhouse_replicas`:                                                  1,
	} {
		if got[name] < least {
			t.Errorf("%s = %v, want at least %v", name, got[name], least)
		}
	}
	for _, name := range []string{`packhouse_upload_sessions`, `packhouse_redis_breaker_state`, `packhouse_gc_running`, `packhouse_database_unavailable_total`} {
		if v, ok := got[name]; !ok || v != 0 {
			t.Errorf("%s = %v, %v, want 0", name, v, ok)
		}
	}
	s.ask(t, "", "GET", "/v2/other/absent/manifests/1", "", nil, http.StatusNotFound)
	before, _ := s.scrape(t)
	for i := range 20 {
		s.ask(t, "", "GET", fmt.Sprintf("/v2/other%d/absent/manifests/%d", i, i), "", nil, http.StatusNotFound)
	}
	after, _ := s.scrape(t)
	for name := range after {
		if _, known := before[name]; !known {
			t.Errorf("a series came to be: %s", name)
		}
	}
	slices.Sort(help)
	const file = "testdata/metrics.txt"
	text := strings.Join(help, "\n") + "\n"
	if *update {
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(strings.Split(string(want), "\n"), strings.Split(text, "\n")); diff != "" {
		t.Errorf("%s (-want +got):\n%s", file, diff)
	}
}
