package pypi

import (
	"cmp"
	"encoding/json"
	"net/url"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/packhouse/packhouse/artifacttypes"
	"github.com/packhouse/packhouse/registry"
)

// config is the manifest's config: what the archives say of themselves.
type config struct {
	Format   string          `json:"format"`
	Name     string          `json:"name"`
	Version  string          `json:"version"`
	Metadata json.RawMessage `json:"metadata"`
}

// Envelope is the manifest around a release's files; see [artifacttypes.Format].
func (Format) Envelope(f registry.Facts, _ []registry.File) artifacttypes.Envelope {
	m, err := releaseMetadata(f)
	if err != nil {
		m = &metadata{} // Describe wrote it: cannot be
	}
	body, err := json.Marshal(config{Format: "pypi", Name: f.Package, Version: f.Version, Metadata: f.Native})
	if err != nil {
		body = []byte("{}")
	}
	annotations := map[string]string{
		ocispec.AnnotationTitle:   f.Package,
		ocispec.AnnotationVersion: f.Version,
		registry.AnnotationFormat: "pypi",
		registry.AnnotationName:   f.Package,
		registry.AnnotationPurl:   "pkg:pypi/" + f.Package + "@" + url.QueryEscape(f.Version),
	}
	const longest = 1024 // bytes of what only people read
	for key, value := range map[string]string{
		ocispec.AnnotationDescription:   f.Description,
		ocispec.AnnotationLicenses:      f.License,
		ocispec.AnnotationAuthors:       m.author(),
		ocispec.AnnotationURL:           cmp.Or(m.HomePage, m.link("homepage", "home")),
		ocispec.AnnotationSource:        m.link("source", "sourcecode", "repository", "github", "code"),
		ocispec.AnnotationDocumentation: m.link("documentation", "docs"),
	} {
		if value != "" && len(value) <= longest {
			annotations[key] = value
		}
	}
	return artifacttypes.Envelope{ArtifactType: artifactType, ConfigType: configType, Config: body, Annotations: annotations}
}
