package registrytest_test

import (
	"testing"

	"github.com/packhouse/packhouse/registry"
	"github.com/packhouse/packhouse/registry/registrytest"
)

func TestMemory(t *testing.T) {
	t.Parallel()
	registrytest.Run(t, func(*testing.T) registry.Registry { return &registrytest.Memory{} })
}

func TestMemorySparse(t *testing.T) {
	t.Parallel()
	m := &registrytest.Memory{Sparse: true}
	image := registrytest.Image(nil, []byte("config"), []byte("layer"))
	for _, pushed := range []registry.Manifest{image, registrytest.Index(nil, image, registrytest.Image(nil, []byte("absent")))} {
		if _, err := m.PutManifest(t.Context(), "acme/app", pushed, registry.PutOptions{}); err != nil {
			t.Error(err)
		}
	}
}
