package obs

import (
	"context"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Series is one series whose value something else keeps.
type Series struct {
	Name, Help   string
	Counter      bool   // else a gauge
	Label, Value string // of its only label; "" for none
}

// Read adds series whose values are read together at each scrape: read fills
// values, one for each series, in their order. It must be cheap.
func (m *Metrics) Read(series []Series, read func(values []float64)) {
	m.registry.MustRegister(newReadings(series, func(values []float64) bool {
		read(values)
		return true
	}))
}

// Count is Read for what takes a query: it is asked once a minute at most, and
// scrapes between get the same values. While it fails the scrapes lack them.
func (m *Metrics) Count(series []Series, count func(ctx context.Context, values []float64) error) {
	c := &counted{count: count, values: make([]float64, len(series))}
	m.registry.MustRegister(newReadings(series, c.read))
}

const (
	countEvery   = time.Minute
	countTimeout = 5 * time.Second // of a scrape's usual ten
)

type counted struct {
	count func(context.Context, []float64) error

	mu     sync.Mutex
	at     time.Time // of the last try; zero for none
	values []float64
	known  bool
}

func (c *counted) read(values []float64) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if now := time.Now(); c.at.IsZero() || now.Sub(c.at) >= countEvery {
		c.at = now
		ctx, cancel := context.WithTimeout(context.Background(), countTimeout)
		defer cancel()
		c.known = c.count(ctx, c.values) == nil
	}
	copy(values, c.values)
	return c.known
}

// readings is a collector of series that share one call.
type readings struct {
	series []Series
	descs  []*prometheus.Desc
	read   func([]float64) bool
}

func newReadings(series []Series, read func([]float64) bool) *readings {
	r := &readings{series: series, read: read}
	for _, s := range series {
		var labels prometheus.Labels
		if s.Label != "" {
			labels = prometheus.Labels{s.Label: s.Value}
		}
		r.descs = append(r.descs, prometheus.NewDesc(s.Name, s.Help, nil, labels))
	}
	return r
}

// Describe implements [prometheus.Collector].
func (r *readings) Describe(out chan<- *prometheus.Desc) {
	for _, d := range r.descs {
		out <- d
	}
}

// Collect implements [prometheus.Collector].
func (r *readings) Collect(out chan<- prometheus.Metric) {
	values := make([]float64, len(r.series))
	if !r.read(values) {
		return
	}
	for i, s := range r.series {
		kind := prometheus.GaugeValue
		if s.Counter {
			kind = prometheus.CounterValue
		}
		out <- prometheus.MustNewConstMetric(r.descs[i], kind, values[i])
	}
}

// Histogram adds one that is told of each observation: use what it returns.
// buckets are [Seconds] or [Sizes].
func (m *Metrics) Histogram(name, help string, buckets []float64) (observe func(float64)) {
	h := prometheus.NewHistogram(prometheus.HistogramOpts{Name: name, Help: help, Buckets: buckets})
	m.registry.MustRegister(h)
	return h.Observe
}

// Calls adds a histogram of seconds for each of some kinds of call. Others are
// not observed.
func (m *Metrics) Calls(name, help, label string, kinds ...string) (observe func(kind string, took time.Duration)) {
	h := prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: name, Help: help, Buckets: Seconds}, []string{label})
	m.registry.MustRegister(h)
	of := map[string]prometheus.Observer{}
	for _, kind := range kinds {
		of[kind] = h.WithLabelValues(kind)
	}
	return func(kind string, took time.Duration) {
		if o := of[kind]; o != nil {
			o.Observe(took.Seconds())
		}
	}
}

// Buckets of histograms: the time of calls to what the server depends on, and
// how many things were done at once.
var (
	Seconds = []float64{0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30}
	Sizes   = []float64{1, 2, 4, 8, 16, 32, 64, 128}
)
