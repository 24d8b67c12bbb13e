package helm

import (
	"bytes"
	"net/http"
	"testing"

	"github.com/packhouse/packhouse/artifacttypes/typetest"
)

// release is a sample of the chart web.
func release(t *testing.T, v, salt string) typetest.Sample {
	t.Helper()
	content := version(t, v, salt)
	file := fileName("web", v)
	return typetest.Sample{
		Package: "web", Version: v,
		Files: []typetest.File{{Name: file, MediaType: "application/gzip", Content: content}},
		Paths: map[string]string{file: "/charts/" + file},
		Publish: func(base string) ([]*http.Request, error) {
			r, err := http.NewRequest(http.MethodPost, apiURL(base)+"/charts", bytes.NewReader(content)) //nolint:noctx // the suite adds it
			return []*http.Request{r}, err
		},
	}
}

func TestContract(t *testing.T) { //nolint:paralleltest // the suite measures memory
	s := typetest.Suite{
		Format: Format{}, First: release(t, "1.0.0+a", "first"), Second: release(t, "1.1.0", "second"), Altered: release(t, "1.0.0+a", "altered"),
		Documents: []string{"/index.yaml"}, Late: true,
	}
	for _, h := range hostile(t) {
		s.Hostile = append(s.Hostile, typetest.Hostile{Name: h.name, File: typetest.File{Name: "web-1.0.0.tgz", MediaType: "application/gzip", Content: h.content}})
	}
	s.Run(t)
}
