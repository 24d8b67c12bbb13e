package pypi

import (
	"bytes"
	"crypto/md5"
	"encoding/hex"
	"encoding/json"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"

	"golang.org/x/crypto/blake2b"

	"github.com/packhouse/packhouse/artifacttypes/typetest"
	"github.com/packhouse/packhouse/registry"
)

// feed is a registry with an empty PyPI feed.
type feed struct{ *typetest.Place }

func open(t *testing.T) feed {
	t.Helper()
	return feed{typetest.Open(t, Format{})}
}

func (f feed) send(method, path, contentType string, body []byte) (status int, answer string) {
	f.T.Helper()
	r, err := http.NewRequestWithContext(f.T.Context(), method, f.Base()+path, bytes.NewReader(body))
	if err != nil {
		f.T.Fatal(err)
	}
	r.Header.Set("Content-Type", contentType)
	res := f.Do(r)
	defer func() { _ = res.Body.Close() }() // it is read to its end
	text, err := io.ReadAll(res.Body)
	if err != nil {
		f.T.Fatal(err)
	}
	return res.StatusCode, string(text)
}

func (f feed) upload(more fields, file string, content []byte) (status int, answer string) {
	f.T.Helper()
	contentType, body := encode(more, file, content)
	return f.send(http.MethodPost, "/", contentType, body)
}

func (f feed) mustUpload(more fields, file string, content []byte) {
	f.T.Helper()
	if status, answer := f.upload(more, file, content); status != http.StatusOK {
		f.T.Fatalf("upload of %s: %d %s", file, status, answer)
	}
}

// ask sends a request without a body.
func (f feed) ask(method, path string, more http.Header) (status int, h http.Header, body string) {
	f.T.Helper()
	res, text := f.Get(method, path, more)
	defer func() { _ = res.Body.Close() }() // it is read to its end
	return res.StatusCode, res.Header, string(text)
}

// get asks for a path and fails unless the status is the one wanted.
func (f feed) get(want int, path string) string {
	f.T.Helper()
	status, _, body := f.ask(http.MethodGet, path, nil)
	if status != want {
		f.T.Fatalf("GET %s: %d %s, want %d", path, status, body, want)
	}
	return body
}

// page is a simple page in JSON.
type page struct {
	Name     string
	Versions []string
	Status   struct{ Status, Reason string } `json:"project-status"`
	Files    []struct {
		Filename, URL string
		Yanked        any
		Core          any    `json:"core-metadata"`
		UploadTime    string `json:"upload-time"`
		Signed        bool   `json:"gpg-sig"`
		Provenance    string
	}
}

func (f feed) page() (p page) {
	f.T.Helper()
	if err := json.Unmarshal([]byte(f.get(http.StatusOK, "/simple/my-pkg/"+asJSON)), &p); err != nil {
		f.T.Fatal(err)
	}
	return p
}

func (f feed) names() []string {
	f.T.Helper()
	var names []string
	for _, file := range f.page().Files {
		names = append(names, file.Filename)
	}
	return names
}

// TestUpload: what is taken, at which URLs.
func TestUpload(t *testing.T) {
	t.Parallel()
	content := wheel(t, "my-pkg", "1.0", "Requires-Dist: dep (>=1); python_version < '4'\n")
	md := md5.Sum(content)
	blake := blake2b.Sum256(content)
	digests := fields{
		{"sha256_digest", hex.EncodeToString(sum(content))},
		{"md5_digest", strings.ToUpper(hex.EncodeToString(md[:]))},
		{"blake2_256_digest", hex.EncodeToString(blake[:])},
	}
	for name, form := range map[string]fields{
		"nothing but the file": nil,
		"as twine":             append(fields{{"filetype", "bdist_wheel"}, {"metadata_version", "2.1"}, {"name", "my.pkg"}, {"version", "1.0"}}, digests...),
		"digests behind":       append(fields{{"content"}, {"name", "my_pkg"}}, digests...),
		"the same dependencies": {
			{"requires_dist", `dep>=1 ; python_version<"4"`}, {"description", strings.Repeat("long ", 100_000)}, {"unknown", "x"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := open(t)
			f.mustUpload(form, wheelFile, content)
			f.mustUpload(form, wheelFile, content)
			if got := f.names(); !slices.Equal(got, []string{wheelFile}) {
				t.Errorf("files %q", got)
			}
			if got := f.get(http.StatusOK, "/files/my-pkg/1.0/"+wheelFile); got != string(content) {
				t.Errorf("served %d bytes, want %d", len(got), len(content))
			}
		})
	}
	for _, path := range []string{"", "/", "/legacy", "/legacy/"} {
		contentType, body := encode(nil, wheelFile, content)
		if status, answer := open(t).send(http.MethodPost, path, contentType, body); status != http.StatusOK {
			t.Errorf("POST to %q: %d %s", path, status, answer)
		}
	}
}

func TestUploadRefuses(t *testing.T) {
	t.Parallel()
	content := wheel(t, "my-pkg", "1.0", "Requires-Dist: dep>=1\n")
	zero := strings.Repeat("0", 64)
	for name, tt := range map[string]struct {
		form   fields
		file   string
		status int
		want   string
	}{
		"another sha256":       {fields{{"sha256_digest", zero}}, wheelFile, 400, "sha256_digest"},
		"another blake2":       {fields{{"blake2_256_digest", zero}}, wheelFile, 400, "blake2_256_digest"},
		"another md5":          {fields{{"md5_digest", zero[:32]}}, wheelFile, 400, "md5_digest"},
		"another md5 behind":   {fields{{"content"}, {"md5_digest", zero[:32]}}, wheelFile, 400, "md5_digest"},
		"another name":         {fields{{"name", "other"}}, wheelFile, 400, `not "other"`},
		"another version":      {fields{{"version", "2.0"}}, wheelFile, 400, `not "2.0"`},
		"another type":         {fields{{"filetype", "sdist"}}, wheelFile, 400, "filetype bdist_wheel"},
		"other dependencies":   {fields{{"requires_dist", "evil"}}, wheelFile, 400, "dependencies in the form"},
		"register":             {fields{{":action", "submit"}}, "", 410, "not taken any more"},
		"documentation":        {fields{{":action", "doc_upload"}}, wheelFile, 410, "not taken any more"},
		"another protocol":     {fields{{"protocol_version", "2"}}, wheelFile, 400, "want 1"},
		"no file":              {nil, "", 400, "no file in its field content"},
		"two files":            {fields{{"content"}, {"content"}}, wheelFile, 400, "two files"},
		"an egg":               {nil, "my_pkg-1.0-py3.11.egg", 400, "an egg"},
		"an image":             {nil, "logo.png", 400, "neither a wheel"},
		"a signature alone":    {nil, sdistFile + ".asc", 400, "send it with the one"},
		"a path":               {nil, "../" + "x", 400, "neither a wheel"}, // the folder does not arrive
		"a name not its own":   {nil, "other-1.0-py3-none-any.whl", 400, "instead of renaming"},
		"a long field":         {fields{{"name", strings.Repeat("x", 100_000)}}, wheelFile, 400, "64 KiB"},
		"a signature of text":  {fields{{"gpg_signature", "yours truly"}}, wheelFile, 400, "not an ASCII-armored"},
		"attestations of text": {fields{{"attestations", "yes"}}, wheelFile, 400, "not JSON"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := open(t)
			status, answer := f.upload(tt.form, tt.file, content)
			if status != tt.status || !strings.Contains(answer, tt.want) || strings.Count(answer, "\n") != 1 {
				t.Errorf("%d %q, want %d and one line with %q", status, answer, tt.status, tt.want)
			}
			f.get(http.StatusNotFound, "/simple/my-pkg/")
		})
	}
}

// TestUploadMalformed: what is no form at all.
func TestUploadMalformed(t *testing.T) {
	t.Parallel()
	contentType, body := encode(nil, wheelFile, wheel(t, "my-pkg", "1.0", ""))
	for name, tt := range map[string]struct {
		contentType string
		body        []byte
		want        string
	}{
		"JSON":               {"application/json", []byte("{}"), "multipart/form-data"},
		"no boundary":        {"multipart/form-data", body, "multipart/form-data"},
		"another boundary":   {"multipart/form-data; boundary=x", body, "broke off"},
		"nothing":            {contentType, nil, "broke off"},
		"cut off in a file":  {contentType, body[:len(body)/2], "broke off"},
		"cut off at the end": {contentType, body[:len(body)-20], "broke off"},
		"very many fields":   {contentType, append(bytes.Repeat([]byte("--4d56f6b1c9\r\nContent-Disposition: form-data; name=\"x\"\r\n\r\n\r\n"), 20_001), body...), "20000 fields"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if status, answer := open(t).send(http.MethodPost, "/", tt.contentType, tt.body); status != http.StatusBadRequest || !strings.Contains(answer, tt.want) {
				t.Errorf("%d %q, want 400 with %q", status, answer, tt.want)
			}
		})
	}
}

// TestUploadConflicts uses the words that clients look for.
func TestUploadConflicts(t *testing.T) {
	t.Parallel()
	f := open(t)
	f.mustUpload(nil, wheelFile, wheel(t, "my-pkg", "1.0", ""))
	f.mustUpload(nil, sdistFile, sdist(t, "my-pkg", "1.0", ""))
	status, answer := f.upload(nil, wheelFile, wheel(t, "my-pkg", "1.0", "Summary: other\n"))
	if status != http.StatusConflict || !strings.HasPrefix(answer, "File already exists") {
		t.Errorf("other content: %d %q", status, answer)
	}
	status, answer = f.upload(nil, "my-pkg-1.0.tar.gz", sdist(t, "my-pkg", "1.0", "Summary: other\n"))
	if status != http.StatusBadRequest || !strings.Contains(answer, "one source distribution") {
		t.Errorf("a second source distribution: %d %q", status, answer)
	}
	if err := f.Engine.DeleteTag(t.Context(), "acme/pypi/my-pkg", "1.0", registry.Condition{}); err != nil {
		t.Fatal(err)
	}
	for _, content := range [][]byte{wheel(t, "my-pkg", "1.0", ""), wheel(t, "my-pkg", "1.0", "Summary: other\n")} {
		status, answer = f.upload(nil, wheelFile, content)
		if status != http.StatusBadRequest || !strings.Contains(answer, "previously used by a file that has since been deleted") {
			t.Errorf("after a withdrawal: %d %q", status, answer)
		}
	}
}

// TestUploadSignature: a signature is stored, and one made again is no conflict.
func TestUploadSignature(t *testing.T) {
	t.Parallel()
	const first, second = "-----BEGIN PGP SIGNATURE-----\nfirst\n", "-----BEGIN PGP SIGNATURE-----\nsecond\n"
	f := open(t)
	content := sdist(t, "my-pkg", "1.0", "")
	f.mustUpload(fields{{"gpg_signature", first}}, sdistFile, content)
	f.mustUpload(fields{{"gpg_signature", second}}, sdistFile, content)
	if got := f.get(http.StatusOK, "/files/my-pkg/1.0/"+sdistFile+".asc"); got != first {
		t.Errorf("signature %q", got)
	}
	if p := f.page(); len(p.Files) != 1 || !p.Files[0].Signed {
		t.Errorf("page %+v", p)
	}
	if !strings.Contains(f.get(http.StatusOK, "/simple/my-pkg/"), `data-gpg-sig="true"`) {
		t.Error("the page does not tell of the signature")
	}
}

// TestUploadWholeRelease: files of one release that come in any order are one
// release, and each is served byte for byte.
func TestUploadWholeRelease(t *testing.T) {
	t.Parallel()
	f := open(t)
	files := map[string][]byte{sdistFile: sdist(t, "my-pkg", "1.0", "")}
	for _, tag := range []string{"cp310-cp310-win32", "cp311-cp311-win32", "py3-none-any"} {
		parts := wheelParts("my-pkg", "1.0", "")
		parts[0].content = tag
		files["my_pkg-1.0-"+tag+".whl"] = zipped(t, parts...)
	}
	for name, content := range files {
		f.mustUpload(nil, name, content)
	}
	p := f.page()
	if len(p.Files) != len(files) || !slices.Equal(p.Versions, []string{"1.0"}) {
		t.Errorf("page %+v", p)
	}
	for _, file := range p.Files {
		if got := f.get(http.StatusOK, strings.TrimPrefix(file.URL, "../..")); got != string(files[file.Filename]) {
			t.Errorf("%s: %d bytes", file.URL, len(got))
		}
		if len(file.UploadTime) != len("2026-01-02T03:04:05.000000Z") {
			t.Errorf("%s: upload-time %q", file.Filename, file.UploadTime)
		}
	}
}

// TestRefusedUpload: who may not publish a project is refused when the form
// names it, whatever else is in it; else when the file does.
func TestRefusedUpload(t *testing.T) {
	t.Parallel()
	f := feed{typetest.OpenTo(t, Format{}, map[string]typetest.Person{
		"jo": {Rights: typetest.Rights{"acme/pypi/other": {registry.Create}}},
	}).As("jo")}
	content := wheel(t, "my-pkg", "1.0", "")
	const file = "my_pkg-1.0-py3-none-any.whl"
	const refused = "jo may not create in acme/pypi/my-pkg\n"
	for name, test := range map[string]struct {
		form    fields
		content []byte
		status  int
		answer  string
	}{
		"named first":        {fields{{"name", "My.Pkg"}, {"version", "1.0"}}, []byte("no wheel"), http.StatusForbidden, refused},
		"named last":         {fields{{"content", ""}, {"name", "my-pkg"}, {"version", "1.0"}}, content, http.StatusForbidden, refused},
		"not named":          {nil, content, http.StatusForbidden, refused},
		"under another name": {fields{{"name", "other"}}, content, http.StatusBadRequest, file + " is of the project my-pkg, not \"other\" as the form says\n"},
	} {
		if status, answer := f.upload(test.form, file, test.content); status != test.status || answer != test.answer {
			t.Errorf("%s: %d %q, want %d %q", name, status, answer, test.status, test.answer)
		}
	}
}
