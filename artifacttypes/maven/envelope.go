package maven

import (
	"encoding/json"
	"net/url"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/packhouse/packhouse/artifacttypes"
	"github.com/packhouse/packhouse/registry"
)

// config is the config of a natively published release. Each file that arrives
// makes a new edition, so it holds what its coordinates and its POM say, and
// nothing about the files.
type config struct {
	Format      string `json:"format"`
	Name        string `json:"name"`
	Version     string `json:"version"`
	Packaging   string `json:"packaging,omitempty"`
	Description string `json:"description,omitempty"`
	License     string `json:"license,omitempty"`
	URL         string `json:"url,omitempty"`
}

// Envelope implements [artifacttypes.Format].
func (Format) Envelope(f registry.Facts, _ []registry.File) artifacttypes.Envelope {
	n := nativeOf(&registry.Release{Facts: f})
	c := config{Format: "maven", Name: f.Package, Version: f.Version, Packaging: n.Packaging, Description: f.Description, License: f.License, URL: n.URL}
	body, err := json.Marshal(c)
	if err != nil {
		body = []byte("{}") // cannot be: strings only
	}
	annotations := map[string]string{
		registry.AnnotationFormat: "maven",
		registry.AnnotationName:   f.Package,
		registry.AnnotationPurl:   purl(f.Package, f.Version),
		ocispec.AnnotationTitle:   f.Package,
		ocispec.AnnotationVersion: f.Version,
	}
	for key, value := range map[string]string{
		ocispec.AnnotationDescription: f.Description,
		ocispec.AnnotationLicenses:    f.License,
		ocispec.AnnotationURL:         n.URL,
	} {
		if value != "" {
			annotations[key] = value
		}
	}
	return artifacttypes.Envelope{ArtifactType: artifactType, ConfigType: configType, Config: body, Annotations: annotations}
}

// purl is the package URL, purl-spec "maven".
func purl(pkg, version string) string {
	group, artifact, err := splitPackage(pkg)
	if err != nil {
		return ""
	}
	return "pkg:maven/" + group + "/" + artifact + "@" + url.QueryEscape(version)
}
