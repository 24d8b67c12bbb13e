package helm

import (
	"bytes"
	"context"
	"encoding/json"
	"io"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/packhouse/packhouse/artifacttypes"
	"github.com/packhouse/packhouse/registry"
)

// fileFacts is what one file says: one of the two is set.
type fileFacts struct {
	Chart      *metadata   `json:"chart,omitempty"`
	Provenance *provenance `json:"provenance,omitempty"`
}

// facts is the native part of a release's.
type facts struct {
	// Own says that the manifest is of this registry's artifact type and not
	// of Helm's.
	Own   bool            `json:"own,omitempty"`
	Chart json.RawMessage `json:"chart"` // metadata
}

// Inspect implements [artifacttypes.Format].
func (Format) Inspect(ctx context.Context, _, mediaType string, r io.ReaderAt, size int64) (json.RawMessage, error) {
	f, err := inspect(ctx, mediaType, r, size)
	if err != nil {
		return nil, err
	}
	return json.Marshal(f)
}

func inspect(ctx context.Context, mediaType string, r io.ReaderAt, size int64) (f fileFacts, err error) {
	head := make([]byte, len(provBegin))
	n, err := r.ReadAt(head, 0)
	if err != nil && n < len(head) && int64(n) < size {
		return f, err
	}
	head = bytes.TrimLeft(head[:n], "\r\n")
	signed := len(head) > 0 && bytes.HasPrefix([]byte(provBegin), head)
	switch {
	case signed && mediaType == chartType, signed && mediaType == oldChartType:
		return f, artifacttypes.Invalid("a provenance file has the media type of a chart")
	case signed:
		f.Provenance, err = readProvenance(r, size)
	case mediaType == provType:
		return f, artifacttypes.Invalid("what should be a provenance is no cleartext-signed message: make it with `helm package --sign`")
	default:
		f.Chart, err = readChart(ctx, io.NewSectionReader(r, 0, size), size)
	}
	return f, err
}

// Describe implements [artifacttypes.Format].
func (Format) Describe(a registry.Artifact) (registry.Facts, error) {
	var chart *metadata
	var chartFile registry.File
	var prov *provenance
	for _, file := range a.Files {
		var f fileFacts
		if err := json.Unmarshal(file.Facts.Native, &f); err != nil {
			return registry.Facts{}, err
		}
		switch {
		case f.Chart != nil && chart == nil:
			chart, chartFile = f.Chart, file
		case f.Provenance != nil && prov == nil:
			prov = f.Provenance
		default:
			return registry.Facts{}, artifacttypes.Invalid("a chart's version has one archive, and at most one provenance")
		}
	}
	if chart == nil {
		return registry.Facts{}, artifacttypes.Invalid("there is no chart archive: a provenance alone is no version")
	}
	if prov != nil {
		if err := agree(chart, prov, chartFile.Facts.Sums["sha256"]); err != nil {
			return registry.Facts{}, err
		}
	}
	if err := checkAnnotations(a, chart); err != nil {
		return registry.Facts{}, err
	}
	helms := chartFile.MediaType == chartType || chartFile.MediaType == oldChartType
	if a.ArtifactType == configType && !helms {
		return registry.Facts{}, artifacttypes.Invalid("the chart's layer has media type %s, by which Helm does not find it: use %s", chartFile.MediaType, chartType)
	}
	config, err := json.Marshal(chart)
	if err != nil {
		return registry.Facts{}, err
	}
	native, err := json.Marshal(facts{Own: a.ArtifactType == ownType || a.ArtifactType == "" && !helms, Chart: config})
	return registry.Facts{
		Package: chart.Name, Version: chart.Version, Description: chart.Description, License: chart.Annotations["artifacthub.io/license"],
		Keywords: chart.Keywords, Native: native,
	}, err
}

// agree refuses a provenance that is not about the chart.
func agree(chart *metadata, prov *provenance, sum string) error {
	if prov.Name != chart.Name || prov.Version != chart.Version {
		return artifacttypes.Invalid("the provenance is of %s %s, the chart is %s %s", prov.Name, prov.Version, chart.Name, chart.Version)
	}
	if !prov.covers(sum) {
		return artifacttypes.Invalid("the provenance was made for another archive of %s %s: it does not list sha256:%s", chart.Name, chart.Version, sum)
	}
	return nil
}

// checkAnnotations refuses a manifest that says it is another chart.
func checkAnnotations(a registry.Artifact, chart *metadata) error {
	for _, says := range []struct{ key, is string }{{registry.AnnotationName, chart.Name}, {ocispec.AnnotationVersion, chart.Version}} {
		if said := a.Annotations[says.key]; said != "" && said != says.is {
			return artifacttypes.Invalid("the annotation %s is %.80q, the chart is %s %s", says.key, said, chart.Name, chart.Version)
		}
	}
	return nil
}
