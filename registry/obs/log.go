package obs

import (
	"context"
	"io"
	"log/slog"

	"go.opentelemetry.io/otel/trace"

	"github.com/packhouse/packhouse/registry"
)

// NewLogger returns a logger to w, in format "text" or "json". Each line made
// while a request is served carries its request_id and who asked, and the trace
// and span that it belongs to.
func NewLogger(w io.Writer, level slog.Leveler, format string) *slog.Logger {
	o := &slog.HandlerOptions{Level: level}
	var h slog.Handler = slog.NewTextHandler(w, o)
	if format == "json" {
		h = slog.NewJSONHandler(w, o)
	}
	return slog.New(handler{h})
}

type handler struct{ slog.Handler }

func (h handler) Handle(ctx context.Context, r slog.Record) error {
	c := registry.CallerOf(ctx)
	if c.RequestID != "" {
		r.AddAttrs(slog.String("request_id", c.RequestID))
	}
	if c.Principal != "" && c.Principal != registry.Anonymous {
		r.AddAttrs(slog.String("principal", c.Principal))
	}
	if sc := trace.SpanContextFromContext(ctx); sc.IsValid() {
		r.AddAttrs(slog.String("trace_id", sc.TraceID().String()), slog.String("span_id", sc.SpanID().String()))
	}
	return h.Handler.Handle(ctx, r)
}

func (h handler) WithAttrs(a []slog.Attr) slog.Handler { return handler{h.Handler.WithAttrs(a)} }
func (h handler) WithGroup(name string) slog.Handler   { return handler{h.Handler.WithGroup(name)} }
