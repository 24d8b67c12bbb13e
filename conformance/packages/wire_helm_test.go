package packages

import (
	"bytes"
	"mime/multipart"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"github.com/packhouse/packhouse/conformance/rig"
)

const helmPath = "/" + namespace + "/helm"

// TestHelmWire is formats.md part F, line 6, but for credentials: there are none yet. That the index is strict enough for
// helm is shown by helm itself, in TestHelm.
func TestHelmWire(t *testing.T) {
	t.Parallel()
	t.Run("HTTP", func(t *testing.T) {
		t.Parallel()
		r := start(t)
		read := func(name, version, more string) []byte { return r.Read(t, chart(t, r, name, version, more)) }
		t.Run("a version with a plus is a tag with an underscore, and its file keeps the plus", func(t *testing.T) {
			content := read("plus", "1.0.0+build.1", "")
			ask(t, r, http.MethodPost, "/api"+helmPath+"/charts", nil, content, http.StatusCreated)
			m := r.Whole(t, "acme/helm/plus", "1.0.0_build.1")
			rig.Equal(t, "config", m.Config.MediaType, "application/vnd.cncf.helm.config.v1+json")
			index := string(get(t, r, helmPath+"/index.yaml"))
			rig.Contains(t, index, "1.0.0+build.1", sum(content))
			file := indexURL(t, index, "plus-1.0.0")
			rig.Equal(t, "file", sum(get(t, r, file)), sum(content))
		})
		t.Run("numbers stay strings in the index", func(t *testing.T) {
			ask(t, r, http.MethodPost, "/api"+helmPath+"/charts", nil, read("number", "1.10.0", ""), http.StatusCreated)
			rig.Contains(t, string(get(t, r, helmPath+"/index.yaml")), `"1.10"`)
		})
		t.Run("cm-push: a form, and a body without a length", func(t *testing.T) {
			for _, version := range []string{"1.0.0", "1.1.0"} {
				var form bytes.Buffer
				w := multipart.NewWriter(&form)
				part, err := w.CreateFormFile("chart", "chart.tgz")
				if err != nil {
					t.Fatal(err)
				}
				if _, err := part.Write(read("pushed", version, "")); err != nil {
					t.Fatal(err)
				}
				if err := w.Close(); err != nil {
					t.Fatal(err)
				}
				// Of a type that net/http knows no length of: it is sent in chunks.
				req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, r.URL+"/api"+helmPath+"/charts", struct{ *bytes.Buffer }{&form})
				if err != nil {
					t.Fatal(err)
				}
				req.Header.Set("Content-Type", w.FormDataContentType())
				res, err := r.Client().Do(req)
				if err != nil {
					t.Fatal(err)
				}
				_ = res.Body.Close()
				rig.Equal(t, "POST", res.StatusCode, http.StatusCreated)
			}
		})
		t.Run("there already: the same bytes are accepted, others are 409", func(t *testing.T) {
			ask(t, r, http.MethodPost, "/api"+helmPath+"/charts", nil, read("number", "1.10.0", "keywords: [other]\n"), http.StatusConflict)
			res, body := r.Do(t, http.MethodPost, "/api"+helmPath+"/charts", nil, read("number", "1.10.0", "keywords: [other]\n"))
			rig.Contains(t, string(body), `"error":"`)
			rig.Equal(t, "again", res.StatusCode, http.StatusConflict)
		})
		t.Run("ChartMuseum's lists and DELETE", func(t *testing.T) {
			rig.Contains(t, string(get(t, r, "/api"+helmPath+"/charts")), `"number"`, `"pushed"`)
			rig.Contains(t, string(get(t, r, "/api"+helmPath+"/charts/pushed")), `"version":"1.1.0"`)
			rig.Contains(t, string(get(t, r, "/api"+helmPath+"/charts/pushed/1.0.0")), `"version":"1.0.0"`)
			body, _ := ask(t, r, http.MethodDelete, "/api"+helmPath+"/charts/pushed/1.0.0", nil, nil, http.StatusOK)
			rig.Contains(t, string(body), `"deleted":true`)
			if left := string(get(t, r, "/api"+helmPath+"/charts/pushed")); strings.Contains(left, `"version":"1.0.0"`) {
				t.Error("it is still listed")
			}
		})
	})
}

// indexURL finds the path of a chart's file in index.yaml, relative to the repository or absolute.
func indexURL(t *testing.T, index, name string) string {
	t.Helper()
	url := regexp.MustCompile(`[^"\s\[\]]*` + regexp.QuoteMeta(name) + `[^"\s]*\.tgz`).FindString(index)
	if url == "" {
		t.Fatalf("%s has no URL in the index:\n%s", name, index)
	}
	if _, rest, ok := strings.Cut(url, helmPath+"/"); ok {
		url = rest
	}
	return helmPath + "/" + url
}
