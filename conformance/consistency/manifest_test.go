package consistency

import (
	"encoding/json"
	"fmt"
)

const (
	imageType  = "application/vnd.oci.image.manifest.v1+json"
	configType = "application/vnd.oci.image.config.v1+json"
	layerType  = "application/vnd.oci.image.layer.v1.tar+gzip"
)

// manifest is an image manifest as it is pushed.
type manifest struct {
	raw    []byte
	digest string
}

type descriptor struct {
	MediaType string `json:"mediaType"`
	Digest    string `json:"digest"`
	Size      int    `json:"size"`
}

// document is what a manifest says.
type document struct {
	SchemaVersion int               `json:"schemaVersion"`
	MediaType     string            `json:"mediaType"`
	Config        descriptor        `json:"config"`
	Layers        []descriptor      `json:"layers"`
	Annotations   map[string]string `json:"annotations,omitempty"`
}

// config is a blob that manifests of these tests refer to.
var config = []byte("{}")

// image makes a manifest that is told from all others by its nonce.
func image(nonce string, config []byte, layers ...[]byte) manifest {
	var list []descriptor
	for _, l := range layers {
		list = append(list, descriptor{layerType, digestOf(l), len(l)})
	}
	return manifestOf(nonce, config, list)
}

func manifestOf(nonce string, config []byte, layers []descriptor) manifest {
	d := document{
		SchemaVersion: 2, MediaType: imageType, Layers: append([]descriptor{}, layers...), Annotations: map[string]string{"nonce": nonce},
		Config: descriptor{configType, digestOf(config), len(config)},
	}
	raw, err := json.Marshal(d)
	if err != nil {
		panic(err) // strings and numbers only
	}
	return manifest{raw, digestOf(raw)}
}

// parts are the digests of all blobs that a manifest refers to.
func parts(raw []byte) ([]string, error) {
	var d document
	if err := json.Unmarshal(raw, &d); err != nil {
		return nil, fmt.Errorf("manifest: %w", err)
	}
	list := []string{d.Config.Digest}
	for _, l := range d.Layers {
		list = append(list, l.Digest)
	}
	return list, nil
}
