package crash

import (
	"encoding/json"
	"fmt"
)

const (
	imageType = "application/vnd.oci.image.manifest.v1+json"
	indexType = "application/vnd.oci.image.index.v1+json"
)

// manifest is one that a client made.
type manifest struct {
	mediaType string
	raw       []byte
	digest    string
	blobs     []string // digests of config and layers
	children  []string // digests of an index's entries
	subject   string
}

// descriptor is the part of an OCI descriptor that the tests use.
type descriptor struct {
	MediaType string `json:"mediaType"`
	Digest    string `json:"digest"`
	Size      int    `json:"size"`
}

type document struct {
	SchemaVersion int               `json:"schemaVersion"`
	MediaType     string            `json:"mediaType"`
	Config        *descriptor       `json:"config,omitempty"`
	Layers        []descriptor      `json:"layers,omitempty"`
	Manifests     []descriptor      `json:"manifests,omitempty"`
	Subject       *descriptor       `json:"subject,omitempty"`
	Annotations   map[string]string `json:"annotations,omitempty"`
}

// image makes a manifest of blobs, the first of which is its config. The same
// blobs with another nonce are another manifest.
func image(nonce string, subject *descriptor, blobs ...descriptor) manifest {
	return encode(document{
		SchemaVersion: 2, MediaType: imageType, Config: &blobs[0], Layers: append([]descriptor{}, blobs[1:]...),
		Subject: subject, Annotations: map[string]string{"nonce": nonce},
	})
}

func index(nonce string, children ...descriptor) manifest {
	return encode(document{
		SchemaVersion: 2, MediaType: indexType, Manifests: children, Annotations: map[string]string{"nonce": nonce},
	})
}

func encode(d document) manifest {
	raw, err := json.Marshal(d)
	if err != nil {
		panic(fmt.Sprintf("encode a manifest: %v", err)) // its types cannot fail
	}
	m := d.references()
	m.raw, m.digest = raw, digestOf(raw)
	return m
}

// decode reads what raw refers to.
func decode(raw []byte) (manifest, error) {
	var d document
	if err := json.Unmarshal(raw, &d); err != nil {
		return manifest{}, err
	}
	m := d.references()
	m.raw, m.digest = raw, digestOf(raw)
	return m, nil
}

func (d document) references() manifest {
	m := manifest{mediaType: d.MediaType}
	if d.Config != nil {
		m.blobs = append(m.blobs, d.Config.Digest)
	}
	for _, l := range d.Layers {
		m.blobs = append(m.blobs, l.Digest)
	}
	for _, c := range d.Manifests {
		m.children = append(m.children, c.Digest)
	}
	if d.Subject != nil {
		m.subject = d.Subject.Digest
	}
	return m
}

func (m manifest) descriptor() descriptor {
	return descriptor{MediaType: m.mediaType, Digest: m.digest, Size: len(m.raw)}
}

func blobDescriptor(body []byte) descriptor {
	return descriptor{MediaType: "application/octet-stream", Digest: digestOf(body), Size: len(body)}
}
