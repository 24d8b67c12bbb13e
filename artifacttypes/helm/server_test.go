package helm

import (
	"bytes"
	"encoding/json"
	"io"
	"mime/multipart"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/packhouse/packhouse/artifacttypes/typetest"
	"github.com/packhouse/packhouse/registry"
)

// apiURL is where a feed's ChartMuseum API is.
func apiURL(feed string) string {
	i := strings.Index(feed[len("http://"):], "/") + len("http://")
	return feed[:i] + "/api" + feed[i:]
}

// answer is what came back.
type answer struct {
	request string
	status  int
	header  http.Header
	body    string
}

// send makes a request; its path is below the feed, or below its API where it
// starts with "api:". A body that is a func makes a form.
func send(t *testing.T, p *typetest.Place, method, path string, body io.Reader, header ...string) answer {
	t.Helper()
	url := p.Base() + path
	if below, ok := strings.CutPrefix(path, "api:"); ok {
		url = apiURL(p.Base()) + below
	}
	r, err := http.NewRequestWithContext(t.Context(), method, url, body)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		r.Header.Add(header[i], header[i+1])
	}
	res := p.Do(r)
	defer func() { _ = res.Body.Close() }() // it is read to its end
	text, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer{method + " " + path, res.StatusCode, res.Header, string(text)}
}

func (a answer) want(t *testing.T, status int, words string) {
	t.Helper()
	if a.status != status || !strings.Contains(a.body, words) {
		t.Errorf("%s: %d %s, want %d and %q", a.request, a.status, a.body, status, words)
	}
}

// form is a multipart body of files by field, and its type. It has no length,
// as that of `helm cm-push`.
func form(t *testing.T, fields ...any) (io.Reader, string) {
	t.Helper()
	var b bytes.Buffer
	w := multipart.NewWriter(&b)
	for i := 0; i < len(fields); i += 2 {
		part, err := w.CreateFormFile(fields[i].(string), "file")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := part.Write(fields[i+1].([]byte)); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return io.MultiReader(&b), w.FormDataContentType()
}

func postForm(t *testing.T, p *typetest.Place, path string, fields ...any) answer {
	t.Helper()
	body, kind := form(t, fields...)
	return send(t, p, http.MethodPost, path, body, "Content-Type", kind)
}

func TestUpload(t *testing.T) {
	t.Parallel()
	p := typetest.Open(t, Format{})
	chart, other := version(t, "1.0.0", "x"), version(t, "1.0.0", "y")
	prov := provenanceFor("web", "1.0.0", chart)
	const saved = `{"saved":true}`
	post := func(path string, content []byte) answer {
		return send(t, p, http.MethodPost, path, bytes.NewReader(content))
	}

	post("api:/prov", prov).want(t, 400, "a provenance alone is no version")
	post("api:/charts", prov).want(t, 400, "has the media type of a chart")
	post("api:/prov", chart).want(t, 400, "no cleartext-signed message")
	post("api:/charts", nil).want(t, 400, "not a gzip archive")
	send(t, p, http.MethodGet, "api:/charts", nil).want(t, 200, "{}")

	post("api:/charts", chart).want(t, 201, saved)
	post("api:/charts", chart).want(t, 201, saved)
	post("api:/charts", other).want(t, 409, `{"error":"web 1.0.0 is there with other content and cannot be changed"}`)
	post("api:/charts?force", other).want(t, 409, "to force it is of no use")
	send(t, p, http.MethodGet, "/charts/web-1.0.0.tgz.prov", nil).want(t, 404, `{"error":"web 1.0.0 has no provenance"}`)
	post("api:/prov", provenanceFor("web", "1.0.0", other)).want(t, 400, "another archive")
	post("api:/prov", prov).want(t, 201, saved)
	post("api:/prov", prov).want(t, 201, saved)
	post("api:/prov", append(prov, '\n')).want(t, 409, "error")

	for _, path := range []string{"/charts/web-1.0.0.tgz", "/web-1.0.0.tgz", "/charts/web/web-1.0.0.tgz"} {
		for _, method := range []string{http.MethodGet, http.MethodHead} {
			body := string(chart)
			if method == http.MethodHead {
				body = ""
			}
			got := send(t, p, method, path, nil)
			got.want(t, 200, body)
			if kind := got.header.Get("Content-Type"); kind != "application/gzip" {
				t.Errorf("%s: Content-Type %s", path, kind)
			}
		}
		send(t, p, http.MethodGet, path+".prov", nil).want(t, 200, string(prov))
	}
	for _, path := range []string{"/charts/web-2.0.0.tgz", "/charts/web.tgz", "/none", "/charts/none/web-1.0.0.tgz", "/charts/web/web-1.0.0", "/charts/web-1.0.0.zip"} {
		send(t, p, http.MethodGet, path, nil).want(t, 404, `{"error":"there is no`)
	}
}

func TestUploadForm(t *testing.T) {
	t.Parallel()
	p := typetest.Open(t, Format{})
	one, two, three := version(t, "1.0.0", "x"), version(t, "2.0.0", "x"), version(t, "3.0.0", "x")
	prov := provenanceFor("web", "2.0.0", two)
	postForm(t, p, "api:/charts", "chart", one).want(t, 201, "saved")
	postForm(t, p, "api:/charts", "prov", prov, "force", []byte("true"), "chart", two).want(t, 201, "saved")
	send(t, p, http.MethodGet, "/web-2.0.0.tgz.prov", nil).want(t, 200, string(prov))
	postForm(t, p, "api:/charts", "prov", provenanceFor("web", "1.0.0", one)).want(t, 201, "saved")
	send(t, p, http.MethodGet, "/web-1.0.0.tgz.prov", nil).want(t, 200, "web-1.0.0.tgz")
	postForm(t, p, "api:/charts", "chart", three, "prov", prov).want(t, 400, "the provenance is of web 2.0.0")
	send(t, p, http.MethodGet, "/web-3.0.0.tgz", nil).want(t, 404, "error")
	postForm(t, p, "api:/charts", "file", three).want(t, 400, "neither a part called chart nor one called prov")
	postForm(t, p, "api:/charts", "chart", three, "chart", three).want(t, 400, "two parts called chart")
	send(t, p, http.MethodPost, "api:/charts", strings.NewReader("x"), "Content-Type", "multipart/form-data").want(t, 400, "the form cannot be read")
	send(t, p, http.MethodPost, "api:/charts", strings.NewReader("--b\r\nContent-Disposition: form-data; name=\"chart\"\r\n\r\nx"), "Content-Type", "multipart/form-data; boundary=b").want(t, 400, "error")
}

// What `helm cm-push` sends: it reads the index for a context path, then posts
// a form without a length.
func TestPushPlugin(t *testing.T) {
	t.Parallel()
	p := typetest.Open(t, Format{})
	index := send(t, p, http.MethodGet, "/index.yaml", nil)
	index.want(t, 200, `"apiVersion":"v1"`)
	var parsed struct {
		ServerInfo struct{ ContextPath string }
		Entries    map[string]any
	}
	if err := json.Unmarshal([]byte(index.body), &parsed); err != nil || parsed.Entries == nil || parsed.ServerInfo.ContextPath != "" {
		t.Fatalf("index: %v %+v", err, parsed)
	}
	body, kind := form(t, "chart", version(t, "1.0.0", "x"))
	send(t, p, http.MethodPost, "api:/charts?force", body, "Content-Type", kind, "Authorization", "Bearer token").want(t, 201, `{"saved":true}`)
	send(t, p, http.MethodGet, "/index.yaml", nil).want(t, 200, `"urls":["charts/web-1.0.0.tgz"]`)
}

func TestAPI(t *testing.T) {
	t.Parallel()
	p := typetest.Open(t, Format{})
	for _, v := range []string{"1.0.0", "2.0.0-rc.1", "1.1.0"} {
		send(t, p, http.MethodPost, "api:/charts", bytes.NewReader(version(t, v, "hello"))).want(t, 201, "saved")
	}
	for _, name := range []string{"a", "b", "z"} {
		send(t, p, http.MethodPost, "api:/charts", bytes.NewReader(chartOf(t, "name: "+name+"\nversion: 1.0.0\n"))).want(t, 201, "saved")
	}
	versions := func(path string) map[string][]string {
		t.Helper()
		got := send(t, p, http.MethodGet, path, nil)
		got.want(t, 200, "")
		var charts map[string][]struct{ Version string }
		if err := json.Unmarshal([]byte(got.body), &charts); err != nil {
			t.Fatalf("%s: %v: %s", path, err, got.body)
		}
		list := map[string][]string{}
		for name, all := range charts {
			for _, one := range all {
				list[name] = append(list[name], one.Version)
			}
		}
		return list
	}
	web := []string{"2.0.0-rc.1", "1.1.0", "1.0.0"}
	one := []string{"1.0.0"}
	for path, want := range map[string]map[string][]string{
		"api:/charts":                  {"a": one, "b": one, "web": web, "z": one},
		"api:/charts?limit=2":          {"a": one, "b": one},
		"api:/charts?offset=2":         {"web": web, "z": one},
		"api:/charts?offset=1&limit=2": {"b": one, "web": web},
		"api:/charts?offset=9":         {},
	} {
		if diff := cmp.Diff(want, versions(path)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", path, diff)
		}
	}
	get := func(path string) answer { return send(t, p, http.MethodGet, path, nil) }
	get("api:/charts?offset=-1").want(t, 400, "is no offset or limit")
	get("api:/charts/web").want(t, 200, `"version":"1.1.0"`)
	get("api:/charts/none").want(t, 404, "error")
	get("api:/charts/web/1.0.0").want(t, 200, `{"name":"web","version":"1.0.0"`)
	get("api:/charts/web/latest").want(t, 200, `"version":"1.1.0"`)
	get("api:/charts/web/9.0.0").want(t, 404, "error")
	get("api:/charts/web/1.0.0/values").want(t, 200, "greeting: hello")
	send(t, p, http.MethodHead, "api:/charts/web/1.0.0", nil).want(t, 200, "")
	send(t, p, http.MethodHead, "api:/charts/web", nil).want(t, 200, "")
	send(t, p, http.MethodHead, "api:/charts/web/9.0.0", nil).want(t, 404, "")
	get("/info").want(t, 200, `{"version":`)
	get("/health").want(t, 200, `{"healthy":true}`)

	remove := func(path string) answer { return send(t, p, http.MethodDelete, path, nil) }
	remove("api:/charts/web/1.1.0").want(t, 200, `{"deleted":true}`)
	remove("api:/charts/web/1.1.0").want(t, 404, "error")
	get("/charts/web-1.1.0.tgz").want(t, 404, "error")
	get("api:/charts/web/latest").want(t, 200, `"version":"1.0.0"`)
	if got := get("/index.yaml"); strings.Contains(got.body, "1.1.0") {
		t.Errorf("the index still has a withdrawn version: %s", got.body)
	}
	send(t, p, http.MethodPost, "api:/charts", bytes.NewReader(version(t, "1.1.0", "hello"))).want(t, 409, "was withdrawn")
}

// A chart that another client pushed keeps its kind, and grows.
func TestOwnTypeGrows(t *testing.T) {
	t.Parallel()
	p := typetest.Open(t, Format{})
	chart := version(t, "1.0.0", "x")
	prov := provenanceFor("web", "1.0.0", chart)
	files := []typetest.File{{Name: "my web.tgz", MediaType: "application/gzip", Content: chart}}
	if err := p.Push("acme/helm/web", "1.0.0", files, nil); err != nil {
		t.Fatal(err)
	}
	post := func(path string, content []byte) answer {
		return send(t, p, http.MethodPost, path, bytes.NewReader(content))
	}
	post("api:/charts", chart).want(t, 201, "saved")
	post("api:/charts", version(t, "1.0.0", "y")).want(t, 409, "cannot be changed")
	post("api:/prov", prov).want(t, 201, "saved")
	send(t, p, http.MethodGet, "/charts/web-1.0.0.tgz.prov", nil).want(t, 200, string(prov))
	m, err := p.Engine.Tagged(t.Context(), "acme/helm/web", "1.0.0")
	if err != nil {
		t.Fatal(err)
	}
	var got ocispec.Manifest
	if err := json.Unmarshal(m.Raw, &got); err != nil {
		t.Fatal(err)
	}
	if got.ArtifactType != ownType || len(got.Layers) != 2 || got.Layers[1].Annotations[ocispec.AnnotationTitle] != "my web.tgz.prov" {
		t.Errorf("grown manifest: %s", m.Raw)
	}
	if err := p.Push("acme/helm/other", "1.0.0", files, nil); !isInvalid(err) {
		t.Errorf("push to another chart's repository: %v, want MANIFEST_INVALID", err)
	}
}

func isInvalid(err error) bool {
	e, ok := err.(*registry.Error) //nolint:errorlint // as PutManifest returns it
	return ok && e.Code == registry.ManifestInvalid
}

// A name in upper case has an encoded repository and its own name everywhere else.
func TestUpperCase(t *testing.T) {
	t.Parallel()
	p := typetest.Open(t, Format{})
	chart := pack(t, entryOf{name: "Azure/Chart.yaml", content: "apiVersion: v2\nname: Azure\nversion: 1.0.0+b\n"})
	send(t, p, http.MethodPost, "api:/charts", bytes.NewReader(chart)).want(t, 201, "saved")
	send(t, p, http.MethodGet, "/index.yaml", nil).want(t, 200, `"Azure":[{"name":"Azure","version":"1.0.0+b"`)
	send(t, p, http.MethodGet, "/charts/Azure-1.0.0+b.tgz", nil).want(t, 200, string(chart))
	send(t, p, http.MethodGet, "/charts/Azure-1.0.0%2Bb.tgz", nil).want(t, 200, string(chart))
	send(t, p, http.MethodGet, "/charts/azure-1.0.0+b.tgz", nil).want(t, 404, "error")
}
