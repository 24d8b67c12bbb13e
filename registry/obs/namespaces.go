package obs

import "github.com/prometheus/client_golang/prometheus"

// NamespaceUsage is what one namespace holds.
type NamespaceUsage struct {
	Name                       string
	Bytes, Manifests           int64
	QuotaBytes, QuotaManifests *int64 // nil for no limit
}

// Namespaces adds what the namespaces hold and may hold, read at each scrape.
// Where that fails the scrape lacks it.
func (m *Metrics) Namespaces(usage func() ([]NamespaceUsage, error)) {
	desc := func(name, help string) *prometheus.Desc {
		return prometheus.NewDesc("packhouse_namespace_"+name, help, []string{"namespace"}, nil)
	}
	m.registry.MustRegister(namespaceCollector{
		usage:          usage,
		bytes:          desc("bytes", "Bytes of a namespace's blobs and manifests, each once, the trash included."),
		manifests:      desc("manifests", "Manifests of a namespace, each once, the trash included."),
		quotaBytes:     desc("quota_bytes", "Bytes that a namespace may hold."),
		quotaManifests: desc("quota_manifests", "Manifests that a namespace may hold."),
	})
}

type namespaceCollector struct {
	usage                                        func() ([]NamespaceUsage, error)
	bytes, manifests, quotaBytes, quotaManifests *prometheus.Desc
}

func (c namespaceCollector) Describe(d chan<- *prometheus.Desc) {
	for _, desc := range []*prometheus.Desc{c.bytes, c.manifests, c.quotaBytes, c.quotaManifests} {
		d <- desc
	}
}

func (c namespaceCollector) Collect(out chan<- prometheus.Metric) {
	list, err := c.usage()
	if err != nil {
		return
	}
	for _, n := range list {
		name := n.Name
		if name == "" {
			name = "/" // the root namespace, as commands write it
		}
		for _, v := range []struct {
			desc  *prometheus.Desc
			value *int64
		}{{c.bytes, &n.Bytes}, {c.manifests, &n.Manifests}, {c.quotaBytes, n.QuotaBytes}, {c.quotaManifests, n.QuotaManifests}} {
			if v.value != nil {
				out <- prometheus.MustNewConstMetric(v.desc, prometheus.GaugeValue, float64(*v.value), name)
			}
		}
	}
}
