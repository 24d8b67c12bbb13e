package obs

import (
	"context"
	"net/http"
	"net/url"

	"go.opentelemetry.io/contrib/exporters/autoexport"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"
)

// Tracing makes spans and sends them away. Its methods may be called on nil,
// which makes none.
type Tracing struct {
	provider *sdktrace.TracerProvider
	tracer   trace.Tracer
	callers  propagation.TextMapPropagator
}

// scope names the spans' instrumentation.
const scope = "github.com/packhouse/packhouse"

// NewTracing sends spans where the standard OTEL_* variables say, sampled as
// they say: https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/.
// The exporter is OTLP over HTTP unless they name another; the service is
// called packhouse unless they do. It returns nil for the exporter "none", and
// an error for a value that no exporter understands.
func NewTracing(ctx context.Context, b Build) (*Tracing, error) {
	exporter, err := autoexport.NewSpanExporter(ctx)
	if err != nil {
		return nil, err
	}
	if autoexport.IsNoneSpanExporter(exporter) {
		return nil, nil //nolint:nilnil // a nil Tracing is one that makes no spans
	}
	// The last detector wins, so the environment does. No schema: an operator's
	// attributes may follow another version of it.
	res, err := resource.New(ctx,
		resource.WithTelemetrySDK(), resource.WithHost(),
		resource.WithAttributes(semconv.ServiceName("packhouse"), semconv.ServiceVersion(b.Version)),
		resource.WithFromEnv())
	if err != nil {
		return nil, err
	}
	provider := sdktrace.NewTracerProvider(sdktrace.WithBatcher(exporter), sdktrace.WithResource(res))
	return &Tracing{
		provider: provider,
		tracer:   provider.Tracer(scope, trace.WithInstrumentationVersion(b.Version)),
		// https://www.w3.org/TR/trace-context/ and https://www.w3.org/TR/baggage/
		callers: propagation.NewCompositeTextMapPropagator(propagation.TraceContext{}, propagation.Baggage{}),
	}, nil
}

// Tracer makes spans below those of requests; nil where there are none.
func (t *Tracing) Tracer() trace.Tracer {
	if t == nil {
		return nil
	}
	return t.tracer
}

// Close sends the spans that wait, as long as ctx lets it. Spans that end
// later are dropped.
func (t *Tracing) Close(ctx context.Context) error {
	if t == nil {
		return nil
	}
	return t.provider.Shutdown(ctx)
}

// Begin starts the span of a request to this server, which continues the trace
// that header names. The caller ends it by [ServerSpan.End].
func (t *Tracing) Begin(ctx context.Context, header http.Header, method string) (context.Context, ServerSpan) {
	if t == nil {
		return ctx, ServerSpan{}
	}
	ctx = t.callers.Extract(ctx, propagation.HeaderCarrier(header))
	// Samplers see this name; the kind is known once the request was routed.
	ctx, span := t.tracer.Start(ctx, knownMethod(method), trace.WithSpanKind(trace.SpanKindServer))
	return ctx, ServerSpan{span}
}

// knownMethod is method, or "HTTP" for one that a client invented: names of
// spans are few.
func knownMethod(method string) string {
	switch method {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodOptions:
		return method
	}
	return "HTTP"
}

// Wrap returns a transport that makes a span of each exchange through next.
// Other origins are told neither that nor the caller's baggage.
func (t *Tracing) Wrap(next http.RoundTripper) http.RoundTripper {
	if t == nil {
		return next
	}
	return &clientSpans{t.tracer, next}
}

type clientSpans struct {
	tracer trace.Tracer
	next   http.RoundTripper
}

// RoundTrip implements [http.RoundTripper]. The span ends with the answer's
// header, and tells of the URL no more than whose server it is.
func (c *clientSpans) RoundTrip(r *http.Request) (*http.Response, error) {
	if !trace.SpanFromContext(r.Context()).IsRecording() {
		return c.next.RoundTrip(r)
	}
	method := r.Method
	if method == "" {
		method = http.MethodGet // net/http: "" means GET for a client
	}
	ctx, span := c.tracer.Start(r.Context(), knownMethod(method), trace.WithSpanKind(trace.SpanKindClient), trace.WithAttributes(
		semconv.HTTPRequestMethodKey.String(method), semconv.ServerAddress(r.URL.Hostname()), semconv.ServerPort(portOf(r.URL)),
	))
	defer span.End()
	res, err := c.next.RoundTrip(r.WithContext(ctx))
	if err != nil {
		failed(span, "transport")
		return nil, err
	}
	span.SetAttributes(semconv.HTTPResponseStatusCode(res.StatusCode))
	if res.StatusCode >= http.StatusBadRequest {
		failed(span, statusText(res.StatusCode))
	}
	return res, nil
}

func portOf(u *url.URL) int {
	port := 0
	for _, c := range []byte(u.Port()) { // digits, as url.Parse demands
		port = port*10 + int(c-'0')
	}
	switch {
	case port > 0:
		return port
	case u.Scheme == "https":
		return 443
	}
	return 80
}
