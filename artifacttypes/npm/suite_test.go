package npm

import (
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/packhouse/packhouse/artifacttypes/typetest"
)

func sample(name, version string, tarball []byte) typetest.Sample {
	file := tarballName(name, version)
	return typetest.Sample{
		Package: name, Version: version,
		Files: []typetest.File{{Name: file, MediaType: "application/gzip", Content: tarball}},
		Paths: map[string]string{file: "/" + name + "/-/" + file},
		Publish: func(base string) ([]*http.Request, error) {
			body := publishing{name: name, version: version, tarball: tarball}.body()
			r, err := http.NewRequest(http.MethodPut, base+"/"+escaped(name), strings.NewReader(body)) //nolint:noctx // the suite sets one
			return []*http.Request{r}, err
		},
	}
}

func TestContract(t *testing.T) { //nolint:paralleltest // the suite measures memory
	const name = "@acme/widget"
	doc := func(version, more string) string {
		return `{"name":"@acme/widget","version":"` + version + `"` + more + `}`
	}
	s := typetest.Suite{
		Format:    Format{},
		First:     sample(name, "1.0.0", simple(doc("1.0.0", ""))),
		Second:    sample(name, "1.1.0-rc.1", simple(doc("1.1.0-rc.1", ""))),
		Altered:   sample(name, "1.0.0", simple(doc("1.0.0", `,"description":"altered"`))),
		Documents: []string{"/@acme%2fwidget", "/@acme/widget"},
		Header:    http.Header{"Accept": {"application/json"}},
	}
	cases := hostile()
	for _, name := range slices.Sorted(maps.Keys(cases)) {
		s.Hostile = append(s.Hostile, typetest.Hostile{Name: name, File: typetest.File{Name: "widget-1.0.0.tgz", MediaType: "application/gzip", Content: cases[name].file}})
	}
	s.Run(t)
	t.Run("abbreviated", func(t *testing.T) { //nolint:paralleltest // likewise
		s := s
		s.Header, s.Hostile = http.Header{"Accept": {abbreviatedType + "; q=1.0, application/json; q=0.8, */*"}}, nil
		s.Run(t)
	})
}
