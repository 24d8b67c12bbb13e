package main

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/csv"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"mime"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// unpack reads a .tgz.
func unpack(t *testing.T, packed []byte) map[string]string {
	t.Helper()
	z, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		t.Fatal(err)
	}
	files := map[string]string{}
	for r := tar.NewReader(z); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		content, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		files[h.Name] = string(content)
	}
	if _, err := io.Copy(io.Discard, z); err != nil { // its checksum
		t.Fatal(err)
	}
	return files
}

// published is what a registry reads of a publish.
type published struct {
	Versions map[string]struct {
		Name, Version string
		Dist          struct{ Integrity string }
	}
	Attachments map[string]struct {
		Data   []byte
		Length int
	} `json:"_attachments"`
}

// check compares a publish with the package that it should be, and returns the tarball's files.
func (p published) check(t *testing.T, want npmPackage) map[string]string {
	t.Helper()
	attachment, version := p.Attachments[want.tarballName()], p.Versions[want.version]
	sum := sha512.Sum512(attachment.Data)
	if got := "sha512-" + base64.StdEncoding.EncodeToString(sum[:]); got != version.Dist.Integrity {
		t.Errorf("the tarball is %s, but said to be %s", got, version.Dist.Integrity)
	}
	if len(attachment.Data) != attachment.Length || version.Name != want.name || version.Version != want.version {
		t.Errorf("got %+v with %d bytes, said to be %d", version, len(attachment.Data), attachment.Length)
	}
	files := unpack(t, attachment.Data)
	var manifest struct{ Name, Version string }
	if err := json.Unmarshal([]byte(files["package/package.json"]), &manifest); err != nil || manifest.Name != want.name || manifest.Version != want.version {
		t.Errorf("package.json is %+v, %v", manifest, err)
	}
	return files
}

func TestPublication(t *testing.T) {
	t.Parallel()
	p := npmPackage{name: "bench-a", version: "1.2.0", needs: []string{"bench-b"}, files: 2, tools: 3, seed: 7}
	body, err := p.publication()
	if err != nil {
		t.Fatal(err)
	}
	again, err := p.publication()
	if err != nil || !bytes.Equal(body, again) {
		t.Errorf("made twice, it is not the same: %v", err)
	}
	var got published
	if err := json.Unmarshal(body, &got); err != nil {
		t.Fatal(err)
	}
	if files := got.check(t, p); len(files) != 4 || !strings.Contains(files["package/package.json"], `"bench-b": "^1.0.0"`) {
		t.Errorf("files are %q", slices.Sorted(maps.Keys(files)))
	}
}

func TestStreamedPublication(t *testing.T) {
	t.Parallel()
	p := npmPackage{name: "bench-huge", version: "1.0.0"}
	var got published
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := json.NewDecoder(r.Body).Decode(&got); err != nil || r.URL.Path != "/bench/npm/bench-huge" || r.ContentLength < 0 {
			t.Errorf("%s %s of %d bytes: %v", r.Method, r.URL, r.ContentLength, err)
		}
		w.WriteHeader(http.StatusCreated)
	}))
	t.Cleanup(s.Close)
	const size = 1<<20 + 1
	file := filepath.Join(t.TempDir(), "huge.tgz")
	if err := p.writeTarball(file, size); err != nil {
		t.Fatal(err)
	}
	u, err := newStreamed(p, file)
	if err != nil {
		t.Fatal(err)
	}
	if err := u.put(t.Context(), &peer{name: packhouseName, addr: s.Listener.Addr().String()}); err != nil {
		t.Fatal(err)
	}
	if files := got.check(t, p); len(files["package/data.bin"]) != size {
		t.Errorf("%d bytes arrived, not %d", len(files["package/data.bin"]), size)
	}
}

func TestWheelForm(t *testing.T) {
	t.Parallel()
	w := wheel{name: "bench-wheel-01", version: "1.2.0", needs: []string{"bench-wheel-02>=1.0"}, size: 100, seed: 7}
	u, err := w.form()
	if err != nil {
		t.Fatal(err)
	}
	_, parameters, err := mime.ParseMediaType(u.contentType)
	if err != nil {
		t.Fatal(err)
	}
	form, err := multipart.NewReader(bytes.NewReader(u.body), parameters["boundary"]).ReadForm(1 << 20)
	if err != nil {
		t.Fatal(err)
	}
	for field, want := range map[string]string{":action": "file_upload", "name": w.name, "version": w.version, "requires_dist": w.needs[0]} {
		if got := form.Value[field]; !slices.Equal(got, []string{want}) {
			t.Errorf("%s is %q, want %q", field, got, want)
		}
	}
	file := form.File["content"][0]
	if file.Filename != "bench_wheel_01-1.2.0-py3-none-any.whl" {
		t.Errorf("the file is called %s", file.Filename)
	}
	content, err := file.Open()
	if err != nil {
		t.Fatal(err)
	}
	z, err := zip.NewReader(content, file.Size)
	if err != nil {
		t.Fatal(err)
	}
	records := recordOf(t, z, "bench_wheel_01-1.2.0.dist-info/RECORD")
	for _, f := range z.File {
		sum := sha256.Sum256(readEntry(t, z, f.Name))
		want := "sha256=" + base64.RawURLEncoding.EncodeToString(sum[:])
		if strings.HasSuffix(f.Name, "/RECORD") {
			want = ""
		}
		if got, ok := records[f.Name]; !ok || got != want {
			t.Errorf("RECORD has %q for %s, want %q", got, f.Name, want)
		}
		if f.Flags&8 != 0 {
			t.Errorf("%s has its size behind it: whoever reads a wheel as it comes cannot", f.Name)
		}
	}
}

func readEntry(t *testing.T, z *zip.Reader, name string) []byte {
	t.Helper()
	f, err := z.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	content, err := io.ReadAll(f)
	if err != nil {
		t.Fatal(err)
	}
	return content
}

// recordOf are the hashes in a RECORD, by file.
func recordOf(t *testing.T, z *zip.Reader, name string) map[string]string {
	t.Helper()
	lines, err := csv.NewReader(bytes.NewReader(readEntry(t, z, name))).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	records := map[string]string{}
	for _, line := range lines {
		records[line[0]] = line[1]
	}
	return records
}

func TestChart(t *testing.T) {
	t.Parallel()
	packed, err := chart{"bench-chart-1", "1.0.0"}.pack()
	if err != nil {
		t.Fatal(err)
	}
	if got := unpack(t, packed)["bench-chart-1/Chart.yaml"]; !strings.Contains(got, "name: bench-chart-1\nversion: 1.0.0\n") {
		t.Errorf("Chart.yaml is %q", got)
	}
}

func TestTreesAreWhole(t *testing.T) {
	t.Parallel()
	needs := map[string]map[string][]string{"npm": {}, "pypi": {}}
	for _, versions := range npmTree(300, 2) {
		needs["npm"][versions[1].name] = versions[1].needs
	}
	for _, versions := range wheelTree(50, 2) {
		for _, need := range versions[1].needs {
			name, _, _ := strings.Cut(need, ">=")
			needs["pypi"][versions[1].name] = append(needs["pypi"][versions[1].name], name)
		}
		if needs["pypi"][versions[1].name] == nil {
			needs["pypi"][versions[1].name] = []string{}
		}
	}
	for kind, first := range map[string]string{"npm": treeName(0), "pypi": wheelName(0)} {
		reached, next := map[string]bool{}, []string{first}
		for len(next) > 0 {
			name := next[0]
			next = next[1:]
			if reached[name] {
				continue
			}
			reached[name] = true
			list, ok := needs[kind][name]
			if !ok {
				t.Errorf("%s: %s is needed and not there", kind, name)
			}
			next = append(next, list...)
		}
		if len(reached) != len(needs[kind]) {
			t.Errorf("%s: the first needs %d of %d", kind, len(reached), len(needs[kind]))
		}
	}
}
