package meta

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"

	"github.com/packhouse/packhouse/registry"
)

func TestSummarize(t *testing.T) {
	t.Parallel()
	for query, want := range map[string]string{
		"":                                       "statement",
		"COMMIT":                                 "COMMIT",
		"SELECT a FROM tags WHERE b = ?":         "SELECT tags",
		"select 1\n\tfrom manifests m JOIN tags": "SELECT manifests",
		"INSERT INTO blobs (a) VALUES (?)":       "INSERT blobs",
		"UPDATE blobs SET a = 1":                 "UPDATE blobs",
		"DELETE FROM uploads WHERE id = ?":       "DELETE uploads",
		"SELECT count(*) FROM (SELECT 1 FROM uploads": "SELECT uploads",
		"WITH x AS (SELECT 1 FROM tags) SELECT":       "WITH tags",
	} {
		if got := summarize(query); got != want {
			t.Errorf("summarize(%q) = %q, want %q", query, got, want)
		}
	}
}

// spansOf runs f under a span of each of n callers and returns all spans.
func spansOf(t *testing.T, at place, n int, f func(ctx context.Context, s *Store, caller int)) (tracetest.SpanStubs, []trace.SpanContext) {
	t.Helper()
	out := tracetest.NewInMemoryExporter()
	provider := sdktrace.NewTracerProvider(sdktrace.WithSyncer(out))
	at.config.Tracer = provider.Tracer("test")
	s := at.open(t)
	callers := make([]trace.SpanContext, n)
	started := make([]context.Context, n)
	for i := range n {
		ctx, span := provider.Tracer("test").Start(t.Context(), fmt.Sprint("caller ", i))
		started[i], callers[i] = ctx, span.SpanContext()
		defer span.End()
	}
	done := make(chan struct{})
	for i, ctx := range started {
		go func() {
			f(ctx, s, i)
			done <- struct{}{}
		}()
	}
	for range n {
		<-done
	}
	return out.GetSpans(), callers
}

// A commit that several callers share is in one's trace, and linked with those
// of the others; each caller's own statements are in its own.
func TestSpansOfSharedCommit(t *testing.T) {
	t.Parallel()
	for _, at := range places() {
		t.Run(at.name, func(t *testing.T) {
			t.Parallel()
			const callers = 3
			blocked, release := make(chan struct{}), make(chan struct{})
			at := at.fresh(t)
			spans, ids := spansOf(t, at, callers, func(ctx context.Context, s *Store, i int) {
				if i == 0 { // holds the writer until the others wait together
					_ = s.Update(ctx, Options{}, func(context.Context, *Tx) error {
						close(blocked)
						<-release
						return nil
					})
					return
				}
				<-blocked
				if i == 1 {
					go func() {
						for len(s.writer.queue) < callers-1 {
							runtime.Gosched()
						}
						close(release)
					}()
				}
				err := s.Update(ctx, Options{}, func(ctx context.Context, tx *Tx) error {
					_, err := tx.EnsureRepository(ctx, registry.Repo(fmt.Sprint("acme/r", i)))
					return err
				})
				if err != nil {
					t.Error(err)
				}
			})
			var commit *tracetest.SpanStub
			statements := map[trace.TraceID]int{}
			for i, s := range spans {
				if s.Name == "commit" && len(s.Links) > 0 {
					commit = &spans[i]
				}
				if s.Name == "INSERT repositories" {
					statements[s.SpanContext.TraceID()]++
				}
			}
			if commit == nil || len(commit.Links) != 1 {
				t.Fatalf("no commit that two share: %+v", commit)
			}
			of, linked := commit.SpanContext.TraceID(), commit.Links[0].SpanContext.TraceID()
			if of == linked || statements[of] != 1 || statements[linked] != 1 || statements[ids[0].TraceID()] != 0 {
				t.Errorf("commit in %v, linked with %v; statements %v", of, linked, statements)
			}
		})
	}
}

// What a statement was about and what went wrong stays here: keys and rows are
// not sent away, nor errors that quote them.
func TestSpansTellNoValues(t *testing.T) {
	t.Parallel()
	for _, at := range places() {
		t.Run(at.name, func(t *testing.T) {
			t.Parallel()
			at := at.fresh(t)
			spans, _ := spansOf(t, at, 1, func(ctx context.Context, s *Store, _ int) {
				if _, err := s.Repository(ctx, "canary/canary"); !errors.Is(err, ErrNotFound) {
					t.Error(err)
				}
				_ = s.Update(ctx, Options{}, func(ctx context.Context, tx *Tx) error {
					for range 2 { // the second is a duplicate
						if _, err := tx.exec(ctx, `INSERT INTO leases (name, holder, until) VALUES (?, ?, ?)`, "canary", "canary", int64(1)); err != nil {
							return err
						}
					}
					return nil
				})
			})
			var failed tracetest.SpanStub
			for _, s := range spans {
				if s.Name == "INSERT leases" && s.Status.Code == codes.Error {
					failed = s
				}
				for _, a := range s.Attributes {
					if v := a.Value.String(); strings.Contains(v, "canary") {
						t.Errorf("%s: %s = %s", s.Name, a.Key, v)
					}
				}
				if strings.Contains(s.Status.Description, "canary") || len(s.Events) > 0 {
					t.Errorf("%s: %+v %+v", s.Name, s.Status, s.Events)
				}
			}
			want := map[bool]string{false: "SQLITE_CONSTRAINT", true: "23505"}[at.postgres()]
			set := attribute.NewSet(failed.Attributes...)
			if got, _ := set.Value("error.type"); !strings.Contains(got.AsString(), want) {
				t.Errorf("error.type %q, want %s", got.AsString(), want)
			}
		})
	}
}

// Who is not traced pays nothing: neither without a tracer nor with one that
// did not pick the request.
func TestSpansOffAllocateNothing(t *testing.T) { //nolint:paralleltest // it measures
	var off *spans
	provider := sdktrace.NewTracerProvider(sdktrace.WithSampler(sdktrace.NeverSample()))
	unpicked, _ := provider.Tracer("test").Start(t.Context(), "caller")
	on := newSpans(provider.Tracer("test"), true)
	group := []*pending{{ctx: unpicked}}
	for name, f := range map[string]func(){
		"no tracer": func() {
			_, span := off.begin(unpicked, "update", trace.SpanKindInternal)
			end(span, nil)
			end(off.commit(group), nil)
		},
		"not picked": func() {
			_, span := on.begin(unpicked, "update", trace.SpanKindInternal)
			end(span, nil)
			_, span = traced{spans: on}.begin(unpicked, "SELECT 1")
			end(span, nil)
			end(on.commit(group), nil)
		},
	} {
		if n := testing.AllocsPerRun(1000, f); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
	if q := (queries{}); off.over(q) != q {
		t.Error("statements pass through a runner that does nothing")
	}
}
