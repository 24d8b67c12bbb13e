package helm

import (
	"encoding/json"
	"maps"
	"net/url"
	"strings"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/packhouse/packhouse/artifacttypes"
	"github.com/packhouse/packhouse/registry"
)

// Envelope implements [artifacttypes.Format]: it is what `helm push` makes, but
// for a release that another client began.
func (Format) Envelope(f registry.Facts, _ []registry.File) artifacttypes.Envelope {
	var native facts
	var m metadata
	if json.Unmarshal(f.Native, &native) != nil || json.Unmarshal(native.Chart, &m) != nil {
		m = metadata{Name: f.Package, Version: f.Version} // Describe wrote it: cannot be
	}
	config, err := json.Marshal(m) // in Helm's order, however it was stored
	if err != nil {
		config = []byte("{}")
	}
	e := artifacttypes.Envelope{ConfigType: configType, Config: config, Annotations: annotations(&m)}
	if native.Own {
		e.ArtifactType, e.ConfigType = ownType, ownConfigType
		e.Annotations[registry.AnnotationFormat] = "helm"
		e.Annotations[registry.AnnotationName] = f.Package
		e.Annotations[registry.AnnotationPurl] = "pkg:helm/" + url.PathEscape(f.Package) + "@" + url.QueryEscape(f.Version)
	}
	return e
}

// annotations are those that Helm makes of a chart. Its own come last, but may
// not say that it is another. The time is added where the chart has none.
func annotations(m *metadata) map[string]string {
	a := map[string]string{}
	for key, value := range map[string]string{
		ocispec.AnnotationDescription: m.Description,
		ocispec.AnnotationURL:         m.Home,
		ocispec.AnnotationAuthors:     authors(m.Maintainers),
	} {
		if strings.TrimSpace(value) != "" {
			a[key] = value
		}
	}
	if len(m.Sources) > 0 && strings.TrimSpace(m.Sources[0]) != "" {
		a[ocispec.AnnotationSource] = m.Sources[0]
	}
	maps.Copy(a, m.Annotations)
	a[ocispec.AnnotationTitle], a[ocispec.AnnotationVersion] = m.Name, m.Version
	return a
}

func authors(list []*maintainer) string {
	names := make([]string, len(list))
	for i, one := range list {
		names[i] = one.Name
		if one.Email != "" {
			names[i] += " (" + one.Email + ")"
		}
	}
	return strings.Join(names, ", ")
}
