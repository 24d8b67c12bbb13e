package helm

import (
	"context"
	"io"

	"github.com/packhouse/packhouse/artifacttypes"
)

const (
	chartFile        = "Chart.yaml"
	requirementsFile = "requirements.yaml" // where charts of apiVersion v1 have their dependencies
)

// readChart reads what a chart's archive says of itself. It returns
// MANIFEST_INVALID.
func readChart(ctx context.Context, r io.Reader, size int64) (*metadata, error) {
	files, err := readArchive(ctx, r, size, maxYAML, chartFile, requirementsFile)
	if err != nil {
		return nil, err
	}
	text, ok := files[chartFile]
	if !ok {
		return nil, artifacttypes.Invalid("the archive has no Chart.yaml in its one folder: pack the chart with `helm package`")
	}
	m := &metadata{}
	if err := decodeYAML(chartFile, text, m); err != nil {
		return nil, err
	}
	if text, ok := files[requirementsFile]; ok {
		if err := decodeRequirements(text, m); err != nil {
			return nil, err
		}
	}
	return m, m.check()
}

// decodeRequirements adds a requirements.yaml to what Chart.yaml says. Helm
// would let it change all of that, a chart's name included.
func decodeRequirements(text []byte, m *metadata) error {
	var alone metadata
	if err := decodeYAML(requirementsFile, text, &alone); err != nil {
		return err
	}
	alone.Dependencies = nil
	if !alone.empty() {
		return artifacttypes.Invalid("requirements.yaml says more than dependencies: the rest belongs in Chart.yaml")
	}
	return decodeYAML(requirementsFile, text, m)
}
