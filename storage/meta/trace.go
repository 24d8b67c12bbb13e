package meta

import (
	"context"
	"database/sql"
	"errors"
	"strings"
	"sync"

	"github.com/jackc/pgx/v5/pgconn"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"
	"modernc.org/sqlite"
)

// spans makes the database's spans, below those of requests that are traced. A
// nil spans makes none and stands in no statement's way.
type spans struct {
	tracer  trace.Tracer
	system  attribute.KeyValue
	summary sync.Map // text of a statement → its summary
}

func newSpans(t trace.Tracer, shared bool) *spans {
	if t == nil {
		return nil
	}
	s := &spans{tracer: t, system: semconv.DBSystemNameSQLite}
	if shared {
		s.system = semconv.DBSystemNamePostgreSQL
	}
	return s
}

// over returns q with a span for each statement.
func (s *spans) over(q queries) queries {
	if s != nil {
		q.run = traced{q.run, s}
	}
	return q
}

// begin starts a span if ctx belongs to a request that is traced.
func (s *spans) begin(ctx context.Context, name string, kind trace.SpanKind) (context.Context, trace.Span) {
	if s == nil || !trace.SpanFromContext(ctx).IsRecording() {
		return ctx, nil
	}
	return s.tracer.Start(ctx, name, trace.WithSpanKind(kind), trace.WithAttributes(s.system))
}

// end ends a span that begin started. An error's text may quote a row, so what
// is told of it is its code.
func end(span trace.Span, err error) {
	if span == nil {
		return
	}
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		span.SetAttributes(semconv.ErrorTypeKey.String(errorType(err)))
		span.SetStatus(codes.Error, errorType(err))
	}
	span.End()
}

func errorType(err error) string {
	if e, ok := errors.AsType[*pgconn.PgError](err); ok {
		return e.Code
	}
	if e, ok := errors.AsType[*sqlite.Error](err); ok {
		return sqlite.ErrorCodeString[e.Code()&0xff]
	}
	switch {
	case errors.Is(err, context.Canceled):
		return "canceled"
	case errors.Is(err, ErrUnavailable), errors.Is(err, context.DeadlineExceeded):
		return "unavailable"
	}
	return "other"
}

// traced is a runner with spans.
type traced struct {
	runner
	spans *spans
}

func (t traced) exec(ctx context.Context, query string, args []any) (sql.Result, error) {
	ctx, span := t.begin(ctx, query)
	res, err := t.runner.exec(ctx, query, args)
	end(span, err)
	return res, err
}

func (t traced) rows(ctx context.Context, query string, args []any, f func(*sql.Rows) error) error {
	ctx, span := t.begin(ctx, query)
	err := t.runner.rows(ctx, query, args, f)
	end(span, err)
	return err
}

// begin starts a statement's span. The text has no values in it: they are
// parameters.
func (t traced) begin(ctx context.Context, query string) (context.Context, trace.Span) {
	if !trace.SpanFromContext(ctx).IsRecording() {
		return ctx, nil
	}
	known, ok := t.spans.summary.Load(query)
	if !ok {
		known, _ = t.spans.summary.LoadOrStore(query, summarize(query))
	}
	summary := known.(string)
	ctx, span := t.spans.begin(ctx, summary, trace.SpanKindClient)
	span.SetAttributes(semconv.DBQuerySummary(summary), semconv.DBQueryText(query))
	return ctx, span
}

// summarize names a statement by what it does and to which table first:
// "SELECT manifests".
func summarize(query string) string {
	words := strings.Fields(query)
	if len(words) == 0 {
		return "statement"
	}
	verb := strings.ToUpper(words[0])
	for i, w := range words[:len(words)-1] {
		switch strings.ToUpper(w) {
		case "FROM", "INTO", "UPDATE":
			if table := strings.Trim(words[i+1], "(),;"); table != "" && !strings.EqualFold(table, "SELECT") {
				return verb + " " + table
			}
		}
	}
	return verb
}

// commit starts the span of a commit that group shares. It lies in the trace of
// the first member that has one, linked with those of the others.
func (s *spans) commit(group []*pending) trace.Span {
	if s == nil {
		return nil
	}
	var span trace.Span
	for _, p := range group {
		member := trace.SpanFromContext(p.ctx)
		switch {
		case !member.IsRecording():
		case span == nil:
			_, span = s.begin(p.ctx, "commit", trace.SpanKindClient)
			span.SetAttributes(semconv.DBOperationBatchSize(len(group)))
		default:
			span.AddLink(trace.Link{SpanContext: member.SpanContext()})
			member.AddLink(trace.Link{SpanContext: span.SpanContext()})
		}
	}
	return span
}
