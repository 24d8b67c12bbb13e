package obs

import (
	"net/http"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// Build identifies the running program.
type Build struct {
	Version  string // "v1.2.3", or "devel"
	Revision string // commit, "" if unknown
	Go       string // toolchain
}

// Metrics is one server's metrics, in a Prometheus registry of its own.
type Metrics struct {
	registry *prometheus.Registry
	requests *prometheus.CounterVec
	duration *prometheus.HistogramVec
	received *prometheus.CounterVec
	sent     *prometheus.CounterVec
	pushes   *prometheus.CounterVec
	pulls    *prometheus.CounterVec
	inFlight prometheus.Gauge
}

// From a manifest out of memory to an upload of many minutes.
var durationBuckets = []float64{0.0001, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1800}

// NewMetrics returns metrics that count nothing yet.
func NewMetrics(b Build) *Metrics {
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels)
	}
	m := &Metrics{
		registry: prometheus.NewRegistry(),
		requests: counter("packhouse_http_requests_total", "Requests answered, by format, route kind and status class.", "format", "kind", "status"),
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "packhouse_http_request_duration_seconds",
			Help:    "Time from the request's header to the answer's end.",
			Buckets: durationBuckets,
		}, []string{"format", "kind", "status"}),
		received: counter("packhouse_http_received_bytes_total", "Bytes of request bodies.", "format", "kind"),
		sent:     counter("packhouse_http_sent_bytes_total", "Bytes of answers' bodies.", "format", "kind"),
		pushes:   counter("packhouse_pushes_total", "Blobs and manifests pushed: ok, refused (4xx) or failed (5xx).", "format", "object", "outcome"),
		pulls:    counter("packhouse_pulls_total", "Blobs and manifests pulled: ok, refused (4xx) or failed (5xx).", "format", "object", "outcome"),
		inFlight: prometheus.NewGauge(prometheus.GaugeOpts{Name: "packhouse_http_in_flight_requests", Help: "Requests being served."}),
	}
	build := prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "packhouse_build_info", Help: "Always 1; the labels identify the program.",
		ConstLabels: prometheus.Labels{"version": b.Version, "revision": b.Revision, "goversion": b.Go},
	})
	build.Set(1)
	m.registry.MustRegister(m.requests, m.duration, m.received, m.sent, m.pushes, m.pulls, m.inFlight, build,
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

// Handler serves the metrics in the formats Prometheus reads.
func (m *Metrics) Handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{Registry: m.registry})
}

// Begin counts a request as being served until End.
func (m *Metrics) Begin() { m.inFlight.Inc() }

// End undoes Begin.
func (m *Metrics) End() { m.inFlight.Dec() }

// Transfer says that a route moves content.
type Transfer uint8

// The transfers.
const (
	None Transfer = iota
	Push
	Pull
)

// Route counts the requests of one kind. Its series are resolved once: those
// of a status class when the first such answer is given, so that classes a
// route never gives do not fill every scrape.
type Route struct {
	metrics      *Metrics
	format, kind string
	classes      [6]atomic.Pointer[class] // by first digit of the status
	received     prometheus.Counter
	sent         prometheus.Counter
	transfers    [3]prometheus.Counter // ok, refused, failed; nil if the route moves nothing
}

type class struct {
	requests prometheus.Counter
	duration prometheus.Observer
}

// Route returns the counters of one kind of one format. object is what a
// transfer moves, "blob" or "manifest".
func (m *Metrics) Route(format, kind string, t Transfer, object string) *Route {
	r := &Route{metrics: m, format: format, kind: kind, received: m.received.WithLabelValues(format, kind), sent: m.sent.WithLabelValues(format, kind)}
	transfers := map[Transfer]*prometheus.CounterVec{Push: m.pushes, Pull: m.pulls}[t]
	if transfers != nil {
		for i, outcome := range [...]string{"ok", "refused", "failed"} {
			r.transfers[i] = transfers.WithLabelValues(format, object, outcome)
		}
	}
	return r
}

// Format is the format that the route belongs to, "" for none.
func (r *Route) Format() string { return r.format }

// Observe counts one request that was answered with status after d, its body
// being in bytes long and the answer's out bytes.
func (r *Route) Observe(status int, d time.Duration, in, out int64) {
	c := r.class(status)
	c.requests.Inc()
	c.duration.Observe(d.Seconds())
	if in > 0 {
		r.received.Add(float64(in))
	}
	if out > 0 {
		r.sent.Add(float64(out))
	}
	if r.transfers[0] == nil {
		return
	}
	switch {
	case status < 400:
		r.transfers[0].Inc()
	case status < 500:
		r.transfers[1].Inc()
	default:
		r.transfers[2].Inc()
	}
}

func (r *Route) class(status int) *class {
	digit := status / 100
	if digit < 1 || digit >= len(r.classes) {
		digit = 5 // no such status: a bug in a handler
	}
	if c := r.classes[digit].Load(); c != nil {
		return c
	}
	name := [...]string{"", "1xx", "2xx", "3xx", "4xx", "5xx"}[digit]
	c := &class{
		requests: r.metrics.requests.WithLabelValues(r.format, r.kind, name),
		duration: r.metrics.duration.WithLabelValues(r.format, r.kind, name),
	}
	r.classes[digit].Store(c) // a racing call stored the same series
	return c
}
