package packages

import (
	"bytes"
	"mime/multipart"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/packhouse/packhouse/conformance/rig"
)

const pypiPath = "/" + namespace + "/pypi"

// pypiUpload sends one file as twine does and returns the answer.
func pypiUpload(t *testing.T, r *rig.Registry, path string, d pythonDistribution, file string, content []byte) (*http.Response, string) {
	t.Helper()
	var form bytes.Buffer
	w := multipart.NewWriter(&form)
	kind, python := "bdist_wheel", "py3"
	if strings.HasSuffix(file, ".tar.gz") {
		kind, python = "sdist", "source"
	}
	for _, field := range [][2]string{
		{":action", "file_upload"},
		{"protocol_version", "1"},
		{"metadata_version", "2.1"},
		{"name", d.name},
		{"version", d.version},
		{"filetype", kind},
		{"pyversion", python},
		{"sha256_digest", sum(content)},
	} {
		if err := w.WriteField(field[0], field[1]); err != nil {
			t.Fatal(err)
		}
	}
	part, err := w.CreateFormFile("content", file)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := part.Write(content); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	res, body := r.Do(t, http.MethodPost, path, http.Header{"Content-Type": {w.FormDataContentType()}}, form.Bytes())
	return res, string(body)
}

// TestPyPIWire is formats.md part F, line 4.
func TestPyPIWire(t *testing.T) {
	t.Parallel()
	t.Run("HTTP", func(t *testing.T) {
		t.Parallel()
		r := start(t)
		d := pythonDistribution{name: "My_Widget", version: "1.0", python: ">=3.8"}
		for _, path := range []string{pypiPath + "/", pypiPath, pypiPath + "/legacy/", pypiPath + "/legacy"} {
			if res, body := pypiUpload(t, r, path, d, d.wheelName(), d.wheel(t)); res.StatusCode != http.StatusOK {
				t.Fatalf("POST %s: %s: %s", path, res.Status, body)
			}
		}
		page := pypiPath + "/simple/my-widget/"
		t.Run("keys of the JSON page have no data- prefix, and old pip's is not there as an object", func(t *testing.T) {
			for _, accept := range []string{"application/vnd.pypi.simple.v1+json", "application/vnd.pypi.simple.latest+json"} {
				body, header := ask(t, r, http.MethodGet, page, http.Header{"Accept": {accept}}, nil, http.StatusOK)
				if !strings.HasPrefix(header.Get("Content-Type"), "application/vnd.pypi.simple.v1+json") {
					t.Errorf("Content-Type of %s: %s", accept, header.Get("Content-Type"))
				}
				rig.Contains(t, string(body), `"core-metadata":{"sha256":"`, `"requires-python":"`, `"size":`, `"upload-time":"`, `"versions":["1.0"]`)
				if strings.Contains(string(body), `"dist-info-metadata"`) {
					t.Error("dist-info-metadata crashes pip 22.3 to 23.1, which expect a string")
				}
			}
		})
		t.Run("other spellings and a missing slash lead to the page", func(t *testing.T) {
			for _, path := range []string{pypiPath + "/simple/My_Widget/", pypiPath + "/simple/my.widget/", pypiPath + "/simple/my-widget", pypiPath + "/simple"} {
				// The client follows redirects, as pip does.
				body := get(t, r, path)
				if !strings.Contains(string(body), "my-widget") && !strings.Contains(string(body), "My_Widget") {
					t.Errorf("GET %s: %s", path, body)
				}
			}
		})
		t.Run("HTML has a doctype, and the root's links end in a slash", func(t *testing.T) {
			html := http.Header{"Accept": {"text/html"}}
			root, header := ask(t, r, http.MethodGet, pypiPath+"/simple/", html, nil, http.StatusOK)
			rig.Contains(t, strings.ToLower(string(root)), "<!doctype html>")
			rig.Contains(t, string(root), `my-widget/"`)
			rig.Contains(t, header.Get("Content-Type"), "text/html")
			rig.Contains(t, header.Get("Vary"), "Accept")
			body, _ := ask(t, r, http.MethodGet, page, html, nil, http.StatusOK)
			rig.Contains(t, strings.ToLower(string(body)), "<!doctype html>", "pypi:repository-version")
			rig.Contains(t, string(body), "#sha256="+sum(d.wheel(t)), `data-requires-python="&gt;=3.8"`, "data-core-metadata=", ">"+d.wheelName()+"</a>")
		})
		t.Run("POST to the simple page is 405", func(t *testing.T) {
			for _, path := range []string{page, pypiPath + "/simple/"} {
				ask(t, r, http.MethodPost, path, nil, nil, http.StatusMethodNotAllowed)
			}
		})
		t.Run("the same bytes again are accepted, others are 409", func(t *testing.T) {
			if res, body := pypiUpload(t, r, pypiPath+"/", d, d.wheelName(), d.wheel(t)); res.StatusCode != http.StatusOK {
				t.Errorf("again: %s: %s", res.Status, body)
			}
			other := d
			other.extra = []byte("other")
			res, body := pypiUpload(t, r, pypiPath+"/", d, d.wheelName(), other.wheel(t))
			rig.Equal(t, "other bytes", res.StatusCode, http.StatusConflict)
			if !strings.HasPrefix(body, "File already exists") {
				t.Errorf("twine and uv look for «File already exists» in %q", body)
			}
		})
		t.Run("metadata beside the wheel is never compressed", func(t *testing.T) {
			file := fileURL(t, r, page, d.wheelName())
			body, header := ask(t, r, http.MethodGet, file+".metadata", http.Header{"Accept-Encoding": {"gzip"}}, nil, http.StatusOK)
			rig.Equal(t, "Content-Encoding", header.Get("Content-Encoding"), "")
			rig.Equal(t, "metadata", string(body), d.metadata())
			wheel, header := ask(t, r, http.MethodGet, file, http.Header{"Accept-Encoding": {"gzip"}, "Range": {"bytes=-100"}}, nil, http.StatusPartialContent)
			rig.Equal(t, "Content-Encoding of the wheel", header.Get("Content-Encoding"), "")
			rig.Equal(t, "end of the wheel", len(wheel), 100)
		})
		t.Run("an unknown project is 404 with a type that clients take", func(t *testing.T) {
			_, header := ask(t, r, http.MethodGet, pypiPath+"/simple/unknown/", http.Header{"Accept": {"application/vnd.pypi.simple.v1+json, text/html;q=0.1"}}, nil, http.StatusNotFound)
			if got := header.Get("Content-Type"); got == "" || strings.HasPrefix(got, "image/") {
				t.Errorf("Content-Type: %q", got)
			}
		})
		t.Run("metadata that disagrees with the form is refused", func(t *testing.T) {
			lie := d
			lie.version = "1.1"
			if res, body := pypiUpload(t, r, pypiPath+"/", lie, "My_Widget-1.1-py3-none-any.whl", d.wheel(t)); res.StatusCode != http.StatusBadRequest {
				t.Errorf("%s: %s, want 400", res.Status, body)
			}
		})
	})
}

// fileURL is the path of a file that a project's page lists.
func fileURL(t *testing.T, r *rig.Registry, page, name string) string {
	t.Helper()
	body, _ := ask(t, r, http.MethodGet, page, http.Header{"Accept": {"application/vnd.pypi.simple.v1+json"}}, nil, http.StatusOK)
	list := rig.Decode[struct {
		Files []struct{ Filename, URL string }
	}](t, string(body))
	for _, f := range list.Files {
		if f.Filename != name {
			continue
		}
		base, err := url.Parse(r.URL + page)
		if err != nil {
			t.Fatal(err)
		}
		file, err := base.Parse(f.URL)
		if err != nil {
			t.Fatal(err)
		}
		return file.EscapedPath()
	}
	t.Fatalf("%s is not on %s: %s", name, page, body)
	return ""
}
