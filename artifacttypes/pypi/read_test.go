package pypi

import (
	"encoding/json"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/packhouse/packhouse/artifacttypes/typetest"
)

// TestMetadata: METADATA is served beside a wheel whether or not a layer has
// it, with the same bytes.
func TestMetadata(t *testing.T) {
	t.Parallel()
	const more = "Requires-Dist: dep\n\nunusual \u00fc\r\nbytes\n"
	want := metadataText("my-pkg", "1.0", more)
	content := wheel(t, "my-pkg", "1.0", more)
	native := open(t)
	native.mustUpload(nil, wheelFile, content)
	pushed := open(t)
	if err := pushed.Push("acme/pypi/my-pkg", "1.0", []typetest.File{{Name: wheelFile, MediaType: "application/zip", Content: content}}, nil); err != nil {
		t.Fatal(err)
	}
	for name, f := range map[string]feed{"uploaded": native, "pushed": pushed} {
		path := "/files/my-pkg/1.0/" + wheelFile + ".metadata"
		_, header, got := f.ask(http.MethodGet, path, http.Header{"Accept-Encoding": {"gzip"}})
		if got != want || header.Get("Content-Encoding") != "" || !strings.HasPrefix(header.Get("Content-Type"), "text/plain") {
			t.Errorf("%s: %q, header %v", name, got, header)
		}
		etag := header.Get("ETag")
		if again, _, _ := f.ask(http.MethodGet, path, http.Header{"If-None-Match": {etag}}); etag == "" || again != http.StatusNotModified {
			t.Errorf("%s: ETag %q: %d", name, etag, again)
		}
		if status, header, _ := f.ask(http.MethodHead, path, nil); status != http.StatusOK || header.Get("Content-Length") != strconv.Itoa(len(want)) {
			t.Errorf("%s: HEAD: %d, %v", name, status, header)
		}
		sum := hexSum(want)
		core, _ := f.page().Files[0].Core.(map[string]any)
		if core["sha256"] != sum {
			t.Errorf("%s: core-metadata %v, want %s", name, core, sum)
		}
		if html := f.get(http.StatusOK, "/simple/my-pkg/"); !strings.Contains(html, `data-core-metadata="sha256=`+sum+`" data-dist-info-metadata="sha256=`+sum+`"`) {
			t.Errorf("%s: page %s", name, html)
		}
		f.get(http.StatusNotFound, "/files/my-pkg/1.0/other-1.0-py3-none-any.whl.metadata")
	}
}

// TestSimple: spellings, methods and forms of the pages.
func TestSimple(t *testing.T) {
	t.Parallel()
	f := open(t)
	f.mustUpload(nil, wheelFile, wheel(t, "my-pkg", "1.0", ""))
	for path, want := range map[string]string{
		"/simple/My_.Pkg/": "../my-pkg/", "/simple/MY-PKG": "my-pkg/", "/simple/my-pkg": "my-pkg/", "/simple": "simple/", "/simple/absent": "absent/",
	} {
		status, header, _ := f.ask(http.MethodGet, path, nil)
		if got := header.Get("Location"); status != http.StatusMovedPermanently || got != want {
			t.Errorf("%s: %d to %q, want %q", path, status, got, want)
		}
	}
	for path, want := range map[string]int{
		"/simple/absent/": 404, "/simple/-/": 404, "/simple/a%2Fb/": 404, "/simple//": 404, "/files/my-pkg/2.0/x": 404, "/files/my-pkg/nonsense/x": 404,
		"/files/absent/1.0/x": 404, "/pypi/absent/json": 404, "/pypi/my-pkg/2/json": 404, "/nowhere": 404, "/simple/my-pkg/more": 404,
	} {
		status, header, body := f.ask(http.MethodGet, path, nil)
		if status != want || !strings.HasPrefix(header.Get("Content-Type"), "text/plain") || body == "" {
			t.Errorf("%s: %d %q, want %d", path, status, body, want)
		}
	}
	for _, path := range []string{"/simple/my-pkg/", "/simple/my-pkg", "/simple/", "/simple"} { // clients that got the wrong URL lost their uploads
		contentType, body := encode(nil, wheelFile, wheel(t, "my-pkg", "2.0", ""))
		if status, _ := f.send(http.MethodPost, path, contentType, body); status != http.StatusMethodNotAllowed {
			t.Errorf("POST %s: %d", path, status)
		}
	}
	for accept, want := range map[string]string{
		"":                                    "text/html; charset=utf-8",
		"application/vnd.pypi.simple.v1+html": "application/vnd.pypi.simple.v1+html",
		"application/vnd.pypi.simple.latest+json, text/html;q=0.1": "application/vnd.pypi.simple.v1+json",
		"image/png": "",
	} {
		for _, path := range []string{"/simple/", "/simple/my-pkg/"} {
			status, header, body := f.ask(http.MethodGet, path, http.Header{"Accept": {accept}})
			if want == "" && status == http.StatusNotAcceptable {
				continue
			}
			if got := header.Get("Content-Type"); status != http.StatusOK || got != want || !slices.Contains(header.Values("Vary"), "Accept") {
				t.Errorf("%s for %q: %d, %q, Vary %q", path, accept, status, got, header.Values("Vary"))
			}
			if strings.Contains(want, "json") != json.Valid([]byte(body)) {
				t.Errorf("%s for %q: %s", path, accept, body)
			}
		}
	}
	if got := f.get(http.StatusOK, "/simple/"); !strings.HasPrefix(got, "<!DOCTYPE html>") || !strings.Contains(got, `<a href="my-pkg/">my-pkg</a>`) {
		t.Errorf("projects: %s", got)
	}
	if got := f.get(http.StatusOK, "/simple/"+asJSON); got != `{"meta":{"api-version":"1.4"},"projects":[{"name":"my-pkg"}]}` {
		t.Errorf("projects: %s", got)
	}
}

// TestEscapes: bytes of versions and of metadata that URLs and HTML take for
// their own.
func TestEscapes(t *testing.T) {
	t.Parallel()
	const file = "my_pkg-1!2.0+cu.1-py3-none-any.whl"
	f := open(t)
	content := zipped(t, wheelParts("my-pkg", "1!2.0+cu.1", "Requires-Python: >=3.8,<\"4\" <b>&\nSummary: </script>\n")...)
	f.mustUpload(nil, file, content)
	html := f.get(http.StatusOK, "/simple/my-pkg/")
	if want := `data-requires-python="&gt;=3.8,&lt;&#34;4&#34; &lt;b&gt;&amp;"`; !strings.Contains(html, want) || strings.Contains(html, "<b>") {
		t.Errorf("page %s", html)
	}
	for _, version := range []string{"1!2.0+cu.1", "1%212.0%2Bcu.1", "1!2.0+CU-1"} {
		if got := f.get(http.StatusOK, "/files/My.Pkg/"+version+"/"+strings.ReplaceAll(file, "+", "%2B")); got != string(content) {
			t.Errorf("%s: %d bytes", version, len(got))
		}
	}
	if got := f.page(); got.Files[0].Filename != file || got.Versions[0] != "1!2.0+cu.1" {
		t.Errorf("page %+v", got)
	}
}

// TestLegacyJSON: the newest release that is neither yanked nor a
// pre-release stands for the project.
func TestLegacyJSON(t *testing.T) {
	t.Parallel()
	f := open(t)
	type answer struct {
		Info struct {
			Version, Description, Summary string
			Yanked                        bool
		}
		Releases map[string][]struct{ Filename, URL, PackageType string }
		URLs     []struct{ Filename, URL string }
	}
	ask := func(path string) (a answer) {
		t.Helper()
		if err := json.Unmarshal([]byte(f.get(http.StatusOK, path)), &a); err != nil {
			t.Fatal(err)
		}
		return a
	}
	for _, version := range []string{"1.10", "1.9", "2.0rc1"} {
		f.mustUpload(nil, "my_pkg-"+version+"-py3-none-any.whl", wheel(t, "my-pkg", version, "Summary: "+version+"\n\n# "+version+"\n"))
	}
	got := ask("/pypi/My.Pkg/json")
	if got.Info.Version != "1.10" || len(got.Releases) != 3 || len(got.URLs) != 1 || got.URLs[0].URL != f.Base()+"/files/my-pkg/1.10/my_pkg-1.10-py3-none-any.whl" {
		t.Errorf("project: %+v", got)
	}
	if got := ask("/pypi/my-pkg/1.9/json"); got.Info.Description != "# 1.9\n" || got.URLs[0].URL != f.Base()+"/files/my-pkg/1.9/my_pkg-1.9-py3-none-any.whl" {
		t.Errorf("release: %+v", got)
	}
	for _, tt := range []struct{ yank, want string }{{"1.10", "1.9"}, {"1.9", "2.0rc1"}, {"2.0rc1", "1.10"}} {
		f.mustSend(http.MethodPost, "/-/yank", `{"name":"my-pkg","version":"`+tt.yank+`"}`)
		if got := ask("/pypi/my-pkg/json"); got.Info.Version != tt.want {
			t.Errorf("%s is yanked: %s stands for the project, want %s", tt.yank, got.Info.Version, tt.want)
		}
	}
}
