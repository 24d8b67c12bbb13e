package registrytest

import (
	"encoding/json"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/packhouse/packhouse/registry"
)

// Image renders an OCI image whose config is the first of blobs and whose
// layers are the rest. edit, if not nil, may change it before.
func Image(edit func(*ocispec.Manifest), blobs ...[]byte) registry.Manifest {
	m := ocispec.Manifest{
		Versioned: specs.Versioned{SchemaVersion: 2},
		MediaType: ocispec.MediaTypeImageManifest,
		Layers:    []ocispec.Descriptor{},
	}
	for i, b := range blobs {
		d := ocispec.Descriptor{Digest: digest.FromBytes(b), Size: int64(len(b))}
		if i == 0 {
			d.MediaType = ocispec.MediaTypeImageConfig
			m.Config = d
			continue
		}
		d.MediaType = ocispec.MediaTypeImageLayerGzip
		m.Layers = append(m.Layers, d)
	}
	if edit != nil {
		edit(&m)
	}
	return rendered(m.MediaType, m)
}

// Index renders an OCI index of children. edit, if not nil, may change it before.
func Index(edit func(*ocispec.Index), children ...registry.Manifest) registry.Manifest {
	x := ocispec.Index{
		Versioned: specs.Versioned{SchemaVersion: 2},
		MediaType: ocispec.MediaTypeImageIndex,
		Manifests: []ocispec.Descriptor{},
	}
	for _, c := range children {
		x.Manifests = append(x.Manifests, c.Descriptor)
	}
	if edit != nil {
		edit(&x)
	}
	return rendered(x.MediaType, x)
}

func rendered(mediaType string, v any) registry.Manifest {
	raw, err := json.Marshal(v)
	if err != nil {
		panic(err) // a test passed what JSON cannot hold
	}
	return registry.Manifest{Raw: raw, Descriptor: registry.Descriptor{
		MediaType: mediaType, Digest: digest.FromBytes(raw), Size: int64(len(raw)),
	}}
}
