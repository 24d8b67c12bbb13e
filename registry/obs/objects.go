package obs

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"
)

// Objects counts what is done to objects of the storage, and makes its spans:
// it is the store's observer.
type Objects struct {
	tracer trace.Tracer // nil for none
	ops    map[string]*objectOp
}

type objectOp struct {
	name     string // of spans
	outcomes map[string]prometheus.Counter
	seconds  prometheus.Observer
	bytes    prometheus.Counter
}

// What is done to objects, and how it ends; a word that is not here counts as
// the last one.
var (
	objectOps      = []string{"create", "put", "read", "commit", "delete", "stat", "sign", "other"}
	objectOutcomes = []string{"ok", "absent", "full", "canceled", "failed"}
)

// Objects adds the storage's metrics; t may be nil.
func (m *Metrics) Objects(t *Tracing) *Objects {
	total := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "packhouse_storage_operations_total",
		Help: "Operations on objects of the storage, by outcome: ok, absent (no such object), full, canceled by the client, or failed.",
	}, []string{"operation", "outcome"})
	seconds := prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name:    "packhouse_storage_operation_seconds",
		Help:    "Time of operations on objects of the storage; that of a read is the time until its first byte can be had.",
		Buckets: Seconds,
	}, []string{"operation"})
	bytes := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "packhouse_storage_bytes_total",
		Help: "Bytes read from and written to objects of the storage: put and commit write, read reads.",
	}, []string{"operation"})
	m.registry.MustRegister(total, seconds, bytes)
	o := &Objects{tracer: t.Tracer(), ops: map[string]*objectOp{}}
	for _, name := range objectOps {
		op := &objectOp{name: "object " + name, outcomes: map[string]prometheus.Counter{}, seconds: seconds.WithLabelValues(name), bytes: bytes.WithLabelValues(name)}
		for _, outcome := range objectOutcomes {
			op.outcomes[outcome] = total.WithLabelValues(name, outcome)
		}
		o.ops[name] = op
	}
	return o
}

func (o *Objects) op(name string) *objectOp {
	if op := o.ops[name]; op != nil {
		return op
	}
	return o.ops[objectOps[len(objectOps)-1]]
}

// Begin says that op begins: "read". The context that it returns is End's.
func (o *Objects) Begin(ctx context.Context, op string) context.Context {
	if o.tracer == nil || !trace.SpanFromContext(ctx).IsRecording() {
		return ctx
	}
	ctx, _ = o.tracer.Start(ctx, o.op(op).name, trace.WithSpanKind(trace.SpanKindClient))
	return context.WithValue(ctx, begunKey{}, true)
}

// begunKey marks a context whose span Begin has started, not its caller.
type begunKey struct{}

// End says how op ended that began then: "ok", and with how many bytes.
func (o *Objects) End(ctx context.Context, op, outcome string, began time.Time, bytes int64) {
	x := o.op(op)
	c := x.outcomes[outcome]
	if c == nil {
		c = x.outcomes[objectOutcomes[len(objectOutcomes)-1]]
	}
	c.Inc()
	x.seconds.Observe(time.Since(began).Seconds())
	if bytes > 0 {
		x.bytes.Add(float64(bytes))
	}
	if o.tracer == nil || ctx.Value(begunKey{}) == nil {
		return
	}
	span := trace.SpanFromContext(ctx)
	span.SetAttributes(attribute.String("packhouse.operation", op), attribute.Int64("packhouse.bytes", bytes))
	if outcome != "ok" {
		failed(span, outcome)
	}
	span.End()
}

// Read counts bytes of an object that were read after its operation ended.
func (o *Objects) Read(bytes int64) { o.op("read").bytes.Add(float64(bytes)) }
