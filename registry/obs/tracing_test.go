package obs_test

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.opentelemetry.io/otel/trace"

	"github.com/packhouse/packhouse/registry/obs"
)

// What nobody traces must not pay for it: this is on the way of each request.
func TestTracingOffAllocatesNothing(t *testing.T) { //nolint:paralleltest // it measures
	var off *obs.Tracing
	objects := obs.NewMetrics(obs.Build{}).Objects(off)
	ctx, header, began := t.Context(), http.Header{"Traceparent": {"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}}, time.Now()
	r := sample
	for name, f := range map[string]func(){
		"request": func() {
			_, span := off.Begin(ctx, header, "GET")
			r.TraceID = span.TraceID()
			span.End(&r, "oci", "/v2/", "http")
		},
		"object": func() {
			within := objects.Begin(ctx, "read")
			objects.End(within, "read", "ok", began, 100)
			objects.Read(100)
		},
	} {
		if n := testing.AllocsPerRun(1000, f); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
	if off.Tracer() != nil || off.Close(ctx) != nil {
		t.Error("no tracing is not nothing")
	}
	if next := http.RoundTripper(&http.Transport{}); off.Wrap(next) != next {
		t.Error("a transport that nobody watches is wrapped")
	}
}

func BenchmarkTracingOff(b *testing.B) {
	var off *obs.Tracing
	ctx, header := b.Context(), http.Header{}
	r := sample
	b.ReportAllocs()
	for b.Loop() {
		_, span := off.Begin(ctx, header, "GET")
		r.TraceID = span.TraceID()
		span.End(&r, "oci", "/v2/", "http")
	}
}

// An application line names the trace it belongs to.
func TestLogNamesTrace(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	log := obs.NewLogger(&b, slog.LevelInfo, "text")
	ctx := trace.ContextWithSpanContext(t.Context(), trace.NewSpanContext(trace.SpanContextConfig{TraceID: trace.TraceID{1}, SpanID: trace.SpanID{2}}))
	log.InfoContext(ctx, "in a trace")
	log.InfoContext(t.Context(), "in none")
	lines := strings.Split(b.String(), "\n")
	if want := "trace_id=01000000000000000000000000000000 span_id=0200000000000000"; !strings.HasSuffix(lines[0], want) || strings.Contains(lines[1], "trace_id") {
		t.Errorf("got %q", lines)
	}
}

// A count is a query: many scrapes share one, and a failed one is not tried
// again at once either.
func TestCountIsAskedOnceAMinute(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := obs.NewMetrics(obs.Build{})
		asked := 0
		m.Count([]obs.Series{{Name: "packhouse_things", Help: "Things."}}, func(ctx context.Context, v []float64) error {
			asked++
			if _, limited := ctx.Deadline(); !limited {
				t.Error("a count may take for ever")
			}
			if asked == 2 {
				return io.ErrUnexpectedEOF
			}
			v[0] = float64(asked)
			return nil
		})
		for i, want := range []string{"packhouse_things 1\n", "packhouse_things 1\n", "", "packhouse_things 3\n"} {
			rec := httptest.NewRecorder()
			m.Handler().ServeHTTP(rec, httptest.NewRequestWithContext(t.Context(), "GET", "/-/metrics", nil))
			if body := rec.Body.String(); !strings.Contains(body, want) || want == "" && strings.Contains(body, "packhouse_things") {
				t.Errorf("scrape %d: no %q", i, want)
			}
			<-time.After(31 * time.Second)
			if i == 2 {
				<-time.After(30 * time.Second)
			}
		}
		if asked != 3 {
			t.Errorf("asked %d times", asked)
		}
	})
}
