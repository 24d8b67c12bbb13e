package obs

import (
	"context"
	"errors"
	"net"
	"strconv"

	"github.com/redis/go-redis/v9"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"
)

// ServerSpan is the span of one request. The zero ServerSpan is none.
type ServerSpan struct{ span trace.Span }

// Active tells whether there is a span.
func (s ServerSpan) Active() bool { return s.span != nil }

// TraceID is the trace's id in hexadecimal, "" for none.
func (s ServerSpan) TraceID() string {
	if s.span == nil {
		return ""
	}
	return s.span.SpanContext().TraceID().String()
}

// End ends the span of the request that r tells of. path is the template that
// its URL fits, format the package format or "oci". What the client wrote into
// the URL is no attribute, except for the repository's name.
func (s ServerSpan) End(r *Request, format, path, scheme string) {
	if s.span == nil {
		return
	}
	defer s.span.End()
	if !s.span.IsRecording() {
		return
	}
	method := knownMethod(r.Method)
	s.span.SetName(method + " " + r.Kind)
	attributes := []attribute.KeyValue{
		semconv.HTTPResponseStatusCode(r.Status),
		semconv.URLScheme(scheme),
		semconv.ClientAddress(r.Client),
		semconv.UserAgentOriginal(r.UserAgent),
		semconv.HTTPRequestBodySize(int(r.BytesIn)),
		semconv.HTTPResponseBodySize(int(r.BytesOut)),
		attribute.String("packhouse.request_id", r.ID),
		attribute.String("packhouse.kind", r.Kind),
	}
	if method == "HTTP" {
		attributes = append(attributes, semconv.HTTPRequestMethodOther)
	} else {
		attributes = append(attributes, semconv.HTTPRequestMethodKey.String(method))
	}
	for _, a := range []struct{ key, value string }{{string(semconv.HTTPRouteKey), path}, {"packhouse.format", format}, {"packhouse.repo", r.Repo}} {
		if a.value != "" {
			attributes = append(attributes, attribute.String(a.key, a.value))
		}
	}
	s.span.SetAttributes(attributes...)
	if r.Status >= 500 {
		failed(s.span, statusText(r.Status))
	}
}

func statusText(status int) string { return strconv.Itoa(status) }

// failed marks a span. kind is one of few words: an error's own text may quote
// what must not leave the server.
func failed(span trace.Span, kind string) {
	span.SetAttributes(semconv.ErrorTypeKey.String(kind))
	span.SetStatus(codes.Error, kind)
}

// Redis makes a span of each command and pipeline, below a request's; none on
// a nil Tracing. Keys and values are no attributes.
func (t *Tracing) Redis(client redis.UniversalClient) {
	if t == nil {
		return
	}
	client.AddHook(redisSpans{t.tracer})
}

type redisSpans struct{ tracer trace.Tracer }

var _ redis.Hook = redisSpans{}

// DialHook implements [redis.Hook].
func (h redisSpans) DialHook(next redis.DialHook) redis.DialHook {
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		ctx, end := h.begin(ctx, "dial", 0)
		conn, err := next(ctx, network, addr)
		end(err)
		return conn, err
	}
}

// ProcessHook implements [redis.Hook].
func (h redisSpans) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		ctx, end := h.begin(ctx, cmd.Name(), 0)
		err := next(ctx, cmd)
		end(err)
		return err
	}
}

// ProcessPipelineHook implements [redis.Hook].
func (h redisSpans) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		ctx, end := h.begin(ctx, "pipeline", len(cmds))
		err := next(ctx, cmds)
		end(err)
		return err
	}
}

// begin starts a span if ctx is of a request that is traced.
func (h redisSpans) begin(ctx context.Context, command string, batch int) (context.Context, func(error)) {
	if !trace.SpanFromContext(ctx).IsRecording() {
		return ctx, func(error) {}
	}
	ctx, span := h.tracer.Start(ctx, "redis "+command, trace.WithSpanKind(trace.SpanKindClient),
		trace.WithAttributes(semconv.DBSystemNameRedis, semconv.DBOperationName(command)))
	if batch > 0 {
		span.SetAttributes(semconv.DBOperationBatchSize(batch))
	}
	return ctx, func(err error) {
		if err != nil && !errors.Is(err, redis.Nil) {
			failed(span, "redis")
		}
		span.End()
	}
}
