package server

import (
	"context"

	"github.com/packhouse/packhouse/registry/obs"
)

// NamespaceUsage tells the metrics what the namespaces hold and may hold.
func (b *Backend) NamespaceUsage(ctx context.Context) ([]obs.NamespaceUsage, error) {
	list, err := b.meta.NamespaceUsages(ctx)
	usage := make([]obs.NamespaceUsage, len(list))
	for i, n := range list {
		usage[i] = obs.NamespaceUsage{Name: n.Namespace, Bytes: n.Bytes, Manifests: n.Manifests, QuotaBytes: n.Quota.Bytes, QuotaManifests: n.Quota.Manifests}
	}
	return usage, err
}
