package pypi

import (
	"bytes"
	"net/http"
	"strings"
	"testing"

	"github.com/packhouse/packhouse/artifacttypes/typetest"
)

// asJSON asks for a simple page in JSON by its URL.
const asJSON = "?format=application/vnd.pypi.simple.v1%2Bjson"

func TestSuite(t *testing.T) { //nolint:paralleltest // the suite measures memory
	s := typetest.Suite{
		Format: Format{},
		First:  sample(t, "1.0", ""), Second: sample(t, "1.1rc1", ""), Altered: sample(t, "1.0", "Summary: other\n"),
		Documents: []string{"/simple/my-pkg/", "/simple/my-pkg/" + asJSON, "/pypi/my-pkg/json"},
		Late:      true,
	}
	for _, h := range hostile(t) {
		s.Hostile = append(s.Hostile, typetest.Hostile{Name: h.name, File: typetest.File{Name: h.file, MediaType: "application/zip", Content: h.content}})
	}
	s.Run(t)
}

// sample is a release of a wheel and a source distribution.
func sample(t *testing.T, version, more string) typetest.Sample {
	t.Helper()
	files := []typetest.File{
		{Name: "my_pkg-" + version + "-py3-none-any.whl", MediaType: "application/zip", Content: wheel(t, "my-pkg", version, more)},
		{Name: "my_pkg-" + version + ".tar.gz", MediaType: "application/gzip", Content: sdist(t, "my-pkg", version, more)},
	}
	s := typetest.Sample{Package: "my-pkg", Version: version, Files: files, Paths: map[string]string{}}
	for _, f := range files {
		s.Paths[f.Name] = "/files/my-pkg/" + version + "/" + f.Name
	}
	s.Publish = func(base string) ([]*http.Request, error) {
		var requests []*http.Request
		for _, f := range files {
			contentType, body := encode(fields{{"name", "My.Pkg"}, {"version", version}}, f.Name, f.Content)
			r, err := http.NewRequest(http.MethodPost, base+"/legacy/", bytes.NewReader(body)) //nolint:noctx // the suite adds it
			if err != nil {
				return nil, err
			}
			r.Header.Set("Content-Type", contentType)
			requests = append(requests, r)
		}
		return requests, nil
	}
	return s
}

// fields are those of an upload form, names and values, in the order sent.
type fields [][2]string

// encode writes an upload form. A field called "content" is where the file
// goes, at the end if there is none.
func encode(f fields, file string, content []byte) (contentType string, body []byte) {
	const boundary = "4d56f6b1c9"
	var b strings.Builder
	head := func(disposition string) {
		b.WriteString("--" + boundary + "\r\nContent-Disposition: form-data; " + disposition + "\r\n\r\n")
	}
	place := func() {
		head(`name="content"; filename="` + file + `"`)
		b.Write(content)
		b.WriteString("\r\n")
	}
	placed := file == ""
	for _, pair := range append(fields{{":action", "file_upload"}, {"protocol_version", "1"}}, f...) {
		if pair[0] == "content" {
			place()
			placed = true
			continue
		}
		head(`name="` + pair[0] + `"`)
		b.WriteString(pair[1] + "\r\n")
	}
	if !placed {
		place()
	}
	b.WriteString("--" + boundary + "--\r\n")
	return "multipart/form-data; boundary=" + boundary, []byte(b.String())
}
