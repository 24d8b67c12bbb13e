package generic

import (
	"bytes"
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/packhouse/packhouse/artifacttypes/typetest"
	"github.com/packhouse/packhouse/registry"
)

// answer is what came back.
type answer struct {
	request string
	status  int
	header  http.Header
	body    string
}

// send makes a request below the feed; header is in pairs of name and value.
func send(t *testing.T, p *typetest.Place, method, path, body string, header ...string) answer {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, p.Base()+path, strings.NewReader(body))
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

func (a answer) want(t *testing.T, status int) {
	t.Helper()
	if a.status != status {
		t.Errorf("%s: %d %q, want %d", a.request, a.status, a.body, status)
	}
}

const content = "some bytes"

var (
	sum256  = sha256.Sum256([]byte(content))
	sum512  = sha512.Sum512([]byte(content))
	sumSHA1 = sha1.Sum([]byte(content))
	sumMD5  = md5.Sum([]byte(content))
	etag    = `"sha256:` + hex.EncodeToString(sum256[:]) + `"`
	reprSHA = "sha-256=:" + base64.StdEncoding.EncodeToString(sum256[:]) + ":"
)

func TestUpload(t *testing.T) {
	t.Parallel()
	other := sha256.Sum256([]byte("others"))
	otherSHA := "sha-256=:" + base64.StdEncoding.EncodeToString(other[:]) + ":"
	tests := []struct {
		name   string
		path   string
		header []string
		want   int
	}{
		{"plain", "/tool/1.0/tool.bin", nil, 201},
		{"folders", "/tool/1.0/a/b/c.bin", nil, 201},
		{"any text", "/%C3%BCber%20tool/1%3A1.0~rc1%2Bb/%25.bin", nil, 201},
		{"leads out", "/tool/1.0/../x", nil, 400},
		{"leads out, escaped", "/tool/1.0/%2e%2e/x", nil, 400},
		{"leads out, escaped slash", "/tool/1.0/..%2fx", nil, 400},
		{"name leads out", "/%2e%2e/1.0/x", nil, 400},
		{"version leads out", "/tool/%2e%2e/x", nil, 400},
		{"slash in name", "/a%2Fb/1.0/x", nil, 400},
		{"empty segment", "/tool/1.0/a//b", nil, 400},
		{"folder", "/tool/1.0/a/", nil, 400},
		{"absolute", "/tool/1.0//etc/passwd", nil, 400},
		{"backslash", "/tool/1.0/a%5Cb", nil, 400},
		{"control character", "/tool/1.0/a%0Ab", nil, 400},
		{"not UTF-8", "/tool/1.0/%ff", nil, 400},
		{"long", "/tool/1.0/" + strings.Repeat("x", 256), nil, 400},
		{"part", "/tool/1.0/x", []string{"Content-Range", "bytes 0-9/100"}, 400},
		{"no file", "/tool/1.0/", nil, 405},
		{"no version", "/tool.bin", nil, 405},
		{"only if new", "/tool/1.0/x", []string{"If-None-Match", "*"}, 201},
		{"only if there", "/tool/1.0/x", []string{"If-Match", "*"}, 412},
		{"only if another", "/tool/1.0/x", []string{"If-Match", `"sha256:0"`}, 412},
		{"Repr-Digest", "/tool/1.0/x", []string{"Repr-Digest", reprSHA}, 201},
		{"Repr-Digest, wrong", "/tool/1.0/x", []string{"Repr-Digest", otherSHA}, 400},
		{"Repr-Digest, one wrong", "/tool/1.0/x", []string{"Repr-Digest", "sha-512=:" + base64.StdEncoding.EncodeToString(sum512[:]) + ":, " + otherSHA}, 400},
		{"Repr-Digest, unknown", "/tool/1.0/x", []string{"Repr-Digest", "blake9=:AAAA:"}, 201},
		{"Repr-Digest, broken", "/tool/1.0/x", []string{"Repr-Digest", "sha-256=AAAA"}, 400},
		{"Content-Digest, parameter", "/tool/1.0/x", []string{"Content-Digest", reprSHA + ";x=1"}, 201},
		{"Content-Digest, wrong", "/tool/1.0/x", []string{"Content-Digest", otherSHA}, 400},
		{"Content-MD5", "/tool/1.0/x", []string{"Content-MD5", base64.StdEncoding.EncodeToString(sumMD5[:])}, 201},
		{"Content-MD5, wrong", "/tool/1.0/x", []string{"Content-MD5", "AAAA"}, 400},
		{"X-Checksum", "/tool/1.0/x", []string{
			"X-Checksum-Sha256", strings.ToUpper(hex.EncodeToString(sum256[:])), "X-Checksum-Sha512", hex.EncodeToString(sum512[:]),
			"X-Checksum-Sha1", hex.EncodeToString(sumSHA1[:]), "X-Checksum-Md5", hex.EncodeToString(sumMD5[:]),
		}, 201},
		{"X-Checksum-Sha256, wrong", "/tool/1.0/x", []string{"X-Checksum-Sha256", hex.EncodeToString(other[:])}, 400},
		{"X-Checksum-Sha512, wrong", "/tool/1.0/x", []string{"X-Checksum-Sha512", "00"}, 400},
		{"X-Checksum-Sha1, wrong", "/tool/1.0/x", []string{"X-Checksum-Sha1", "00"}, 400},
		{"X-Checksum-Md5, wrong", "/tool/1.0/x", []string{"X-Checksum-Md5", "00"}, 400},
	}
	p := typetest.Open(t, Format{})
	for i, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			path := strings.Replace(tt.path, "/tool", fmt.Sprintf("/tool%d", i), 1)
			got := send(t, p, http.MethodPut, path, content, tt.header...)
			got.want(t, tt.want)
			if tt.want == http.StatusCreated {
				if got := send(t, p, http.MethodGet, path, ""); got.status != http.StatusOK || got.body != content {
					t.Errorf("GET: %d %q", got.status, got.body)
				}
				return
			}
			if len(strings.Fields(got.body)) < 3 {
				t.Errorf("the answer is no sentence: %q", got.body)
			}
			send(t, p, http.MethodGet, fmt.Sprintf("/tool%d", i), "").want(t, http.StatusNotFound)
		})
	}
}

func TestDownload(t *testing.T) {
	t.Parallel()
	p := typetest.Open(t, Format{})
	const path = "/tool/1.0/x/%C3%BCber.html"
	put := send(t, p, http.MethodPut, path, content, "Content-Type", "text/html; charset=utf-8")
	put.want(t, http.StatusCreated)
	if got := put.header.Get("ETag"); got != etag {
		t.Errorf("ETag of the answer to PUT %s, want %s", got, etag)
	}
	for _, method := range []string{http.MethodGet, http.MethodHead} {
		res := send(t, p, method, path, "")
		res.want(t, http.StatusOK)
		want := map[string]string{
			"ETag": etag, "Docker-Content-Digest": strings.Trim(etag, `"`), "Content-Type": "text/html", "Content-Length": "10",
			"Repr-Digest":            reprSHA + ", sha-512=:" + base64.StdEncoding.EncodeToString(sum512[:]) + ":",
			"Content-Disposition":    "attachment",
			"X-Content-Type-Options": "nosniff", "X-Checksum-Sha1": hex.EncodeToString(sumSHA1[:]), "X-Checksum-Md5": hex.EncodeToString(sumMD5[:]),
			"Accept-Ranges": "bytes",
		}
		got := map[string]string{}
		for name := range want {
			got[name] = res.header.Get(name)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", method, diff)
		}
	}
	rest := send(t, p, http.MethodGet, path, "", "Range", "bytes=5-")
	if rest.status != http.StatusPartialContent || rest.body != content[5:] || rest.header.Get("Repr-Digest") == "" {
		t.Errorf("the rest: %d %q", rest.status, rest.body)
	}
	send(t, p, http.MethodGet, path, "", "If-None-Match", etag).want(t, http.StatusNotModified)
	send(t, p, http.MethodGet, "/tool/1.0/none", "").want(t, http.StatusNotFound)
}

// A type that would make the file an image's layer is not taken.
func TestMediaType(t *testing.T) {
	t.Parallel()
	p := typetest.Open(t, Format{})
	for i, tt := range []struct{ sent, want string }{
		{"", "application/octet-stream"},
		{"Text/Plain; charset=utf-8", "text/plain"},
		{"nonsense", "application/octet-stream"},
		{"a/b;;", "application/octet-stream"},
		{"application/vnd.oci.image.layer.nondistributable.v1.tar", "application/octet-stream"},
	} {
		path := fmt.Sprintf("/tool/1.%d/x", i)
		send(t, p, http.MethodPut, path, content, "Content-Type", tt.sent).want(t, http.StatusCreated)
		if got := send(t, p, http.MethodGet, path, "").header.Get("Content-Type"); got != tt.want {
			t.Errorf("%q: Content-Type %q, want %q", tt.sent, got, tt.want)
		}
	}
}

func TestUploadAgain(t *testing.T) {
	t.Parallel()
	p := typetest.Open(t, Format{})
	const path = "/tool/1.0/x"
	steps := []struct {
		content string
		header  []string
		want    int
	}{
		{content, nil, 201},
		{content, nil, 200},
		{content, []string{"If-Match", etag}, 200},
		{content, []string{"If-None-Match", "*"}, 412},
		{content, []string{"If-None-Match", etag}, 412},
		{content, []string{"If-Match", `"sha256:00", "other"`}, 412},
		{content, []string{"If-Match", "W/" + etag}, 412},
		{content, []string{"If-Match", ""}, 412},
		{"other bytes", nil, 409},
		{"other bytes", []string{"If-None-Match", "*"}, 412},
	}
	for i, s := range steps {
		got := send(t, p, http.MethodPut, path, s.content, s.header...)
		if got.status != s.want {
			t.Errorf("step %d, %v: %d %s, want %d", i, s.header, got.status, got.body, s.want)
		}
	}
	if got := send(t, p, http.MethodGet, path, ""); got.body != content {
		t.Errorf("the file became %q", got.body)
	}
}

// A client that waits for 100 Continue does not send a body that is refused.
func TestRefusedBeforeBody(t *testing.T) {
	t.Parallel()
	p := typetest.Open(t, Format{})
	send(t, p, http.MethodPut, "/tool/1.0/x", content).want(t, http.StatusCreated)
	unread := &countingReader{r: bytes.NewReader(make([]byte, 1<<20))}
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPut, p.Base()+"/tool/1.0/x", unread)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Expect", "100-continue")
	r.Header.Set("If-None-Match", "*")
	client := &http.Client{Transport: &http.Transport{ExpectContinueTimeout: 1 << 40}}
	res, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	_ = res.Body.Close()
	if res.StatusCode != http.StatusPreconditionFailed || unread.n > 0 {
		t.Errorf("%s after %d bytes were sent, want 412 after none", res.Status, unread.n)
	}
}

type countingReader struct {
	r io.Reader
	n int
}

func (c *countingReader) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += n
	return n, err
}

func TestLists(t *testing.T) {
	t.Parallel()
	p := typetest.Open(t, Format{})
	for _, path := range []string{"/tool/1.0/a/b.bin", "/tool/1.0/c", "/a%20%3Cb%3E/a%3Ab/x%26y"} {
		send(t, p, http.MethodPut, path, content).want(t, http.StatusCreated)
	}
	const browser = "text/html,application/xhtml+xml"
	tests := []struct{ path, accept, want string }{
		{"", "", `[{"name":"a \u003cb\u003e"}` + "\n" + `,{"name":"tool"}` + "\n]\n"},
		{"/", browser, "<title>BASE/</title>\n<base href=\"BASE/\">\n" +
			`<li><a href="a%20%3Cb%3E/">a &lt;b&gt;/</a>` + "\n" + `<li><a href="tool/">tool/</a>` + "\n"},
		{"/a%20%3Cb%3E", browser, "<title>BASE/a%20%3Cb%3E/</title>\n<base href=\"BASE/a%20%3Cb%3E/\">\n<li><a href=\"./a:b/\">a:b/</a>\n"},
		{"/a%20%3Cb%3E/a:b/", browser, "<title>BASE/a%20%3Cb%3E/a:b/</title>\n<base href=\"BASE/a%20%3Cb%3E/a:b/\">\n<li><a href=\"x&amp;y\">x&amp;y</a>\n"},
		{"/tool/1.0", browser, "<title>BASE/tool/1.0/</title>\n<base href=\"BASE/tool/1.0/\">\n<li><a href=\"a/b.bin\">a/b.bin</a>\n<li><a href=\"c\">c</a>\n"},
	}
	for _, tt := range tests {
		res := send(t, p, http.MethodGet, tt.path, "", "Accept", tt.accept)
		res.want(t, http.StatusOK)
		got := strings.TrimPrefix(strings.ReplaceAll(res.body, p.Base(), "BASE"), "<!doctype html>\n")
		// Packages come in no certain order.
		if diff := cmp.Diff(sortedLines(tt.want), sortedLines(got)); diff != "" {
			t.Errorf("%q (-want +got):\n%s", tt.path, diff)
		}
		if !strings.Contains(strings.Join(res.header.Values("Vary"), ","), "Accept") {
			t.Errorf("%q: Vary %q", tt.path, res.header.Values("Vary"))
		}
	}
	for _, path := range []string{"/tool", "/tool/", "/tool/1.0", "/tool/1.0/"} {
		got := send(t, p, http.MethodGet, path, "")
		if got.status != http.StatusOK || !strings.Contains(got.body, `"name":"a/b.bin","size":10,"digest":`+etag) {
			t.Errorf("%s: %d %s", path, got.status, got.body)
		}
	}
	for _, path := range []string{"/none", "/tool/9", "/none/9/"} {
		send(t, p, http.MethodGet, path, "").want(t, http.StatusNotFound)
	}
}

func sortedLines(s string) map[string]bool {
	lines := map[string]bool{}
	for line := range strings.SplitSeq(s, "\n") {
		lines[strings.Trim(line, ",[]")] = true
	}
	return lines
}

func TestWithdraw(t *testing.T) {
	t.Parallel()
	p := typetest.Open(t, Format{})
	for _, path := range []string{"/tool/1.0/a", "/tool/1.0/b", "/tool/2.0/a", "/tool/3.0/a"} {
		send(t, p, http.MethodPut, path, content).want(t, http.StatusCreated)
	}
	steps := []struct {
		method, path string
		want         int
	}{
		{http.MethodDelete, "/tool/1.0/a", 409},
		{http.MethodGet, "/tool/1.0/a", 200},
		{http.MethodDelete, "/tool/1.0/none", 404},
		{http.MethodDelete, "/tool/1.0", 204},
		{http.MethodGet, "/tool/1.0/a", 404},
		{http.MethodDelete, "/tool/1.0", 404},
		{http.MethodDelete, "/tool/2.0/none", 404},
		{http.MethodDelete, "/tool/2.0/a", 204},
		{http.MethodGet, "/tool/2.0/a", 404},
		{http.MethodPut, "/tool/2.0/a", 409},
		{http.MethodDelete, "/tool/3.0", 204},
		{http.MethodGet, "/tool", 404},
		{http.MethodDelete, "/tool", 405},
		{http.MethodPost, "/tool/4.0/a", 405},
	}
	for _, s := range steps {
		send(t, p, s.method, s.path, content).want(t, s.want)
	}
}

// What a bare push says is where it goes to.
func TestHints(t *testing.T) {
	t.Parallel()
	p := typetest.Open(t, Format{})
	files := []typetest.File{{Name: "tool.bin", MediaType: "application/octet-stream", Content: []byte(content)}}
	tests := []struct {
		repo, tag   string
		annotations map[string]string
		refused     bool
	}{
		{"acme/generic/tool", "1.0", nil, false},
		{"acme/generic/tool", "1.1", map[string]string{ocispec.AnnotationVersion: "1.1"}, false},
		{"acme/generic/tool", "1.3", map[string]string{ocispec.AnnotationVersion: "1.2"}, true},
		{"acme/generic/tool", "1.4", map[string]string{registry.AnnotationName: "other"}, true},
		{"acme/generic/a/b", "1.0", nil, true},                            // a name is one segment
		{"acme/generic/tool--0123456789abcdef01234567", "1.0", nil, true}, // stands for another name
		{"acme/generic/tool", "1__3a2.0", nil, true},                      // stands for 1:2.0
		{"acme/generic/tool", "1__3a2.0", map[string]string{ocispec.AnnotationVersion: "1:2.0"}, false},
	}
	for _, tt := range tests {
		err := p.Push(registry.Repo(tt.repo), registry.Tag(tt.tag), files, tt.annotations)
		if tt.refused != errors.Is(err, registry.ManifestInvalid) || !tt.refused && err != nil {
			t.Errorf("%s:%s %v: %v, want refused %v", tt.repo, tt.tag, tt.annotations, err, tt.refused)
		}
	}
	for _, path := range []string{"/tool/1.0/tool.bin", "/tool/1:2.0/tool.bin"} {
		if got := send(t, p, http.MethodGet, path, ""); got.body != content {
			t.Errorf("%s: %d %q", path, got.status, got.body)
		}
	}
}

// FuzzDescribe: what is accepted can be a path of a URL that leads to it.
func FuzzDescribe(f *testing.F) {
	f.Add("tool", "1.0", "tool.bin")
	f.Add("..", "1:2~x", "a/../b")
	f.Add("ü", "\xff", "a//b")
	f.Fuzz(func(t *testing.T, name, version, file string) {
		facts, err := Format{}.Describe(registry.Artifact{
			Annotations: map[string]string{registry.AnnotationName: name, ocispec.AnnotationVersion: version}, Files: []registry.File{{Name: file}},
		})
		if err != nil {
			if !errors.Is(err, registry.ManifestInvalid) {
				t.Errorf("error %v", err)
			}
			return
		}
		if strings.ContainsAny(name+version, "/") || strings.Contains("/"+file+"/", "/../") || strings.Contains("/"+file+"/", "//") {
			t.Errorf("accepted %q %q %q", name, version, file)
		}
		if _, err := (Format{}).Repository(facts.Package); err != nil {
			t.Error(err)
		}
		if _, err := (Format{}).Tag(facts.Version); err != nil {
			t.Error(err)
		}
	})
}
