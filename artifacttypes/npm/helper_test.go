package npm

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/ecdsa"
	"crypto/sha1" // what npm calls shasum
	"crypto/sha256"
	"crypto/sha512"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"strings"
	"testing"

	"github.com/packhouse/packhouse/artifacttypes/typetest"
	"github.com/packhouse/packhouse/registry"
)

// packed is one entry of a tarball.
type packed struct {
	name, content string
	kind          byte // tar.TypeReg if 0
	link          string
}

// pack makes a tarball. Kinds that archive/tar does not write are patched in.
func pack(entries ...packed) []byte {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	must := func(err error) {
		if err != nil {
			panic(err) // of the test
		}
	}
	for _, e := range entries {
		must(w.Flush())
		start := b.Len()
		h := &tar.Header{Name: e.name, Mode: 0o644, Size: int64(len(e.content)), Typeflag: e.kind, Linkname: e.link}
		raw := e.kind == tar.TypeXHeader || e.kind == tar.TypeXGlobalHeader
		if e.kind == 0 || raw {
			h.Typeflag = tar.TypeReg
		}
		must(w.WriteHeader(h))
		if raw {
			setKind(b.Bytes()[start:], e.kind)
		}
		_, err := io.WriteString(w, e.content)
		must(err)
	}
	must(w.Close())
	return zipped(&b)
}

// setKind changes a header's type and with it its checksum.
func setKind(header []byte, kind byte) {
	const typeflag, checksum, end = 156, 148, 156
	header[typeflag] = kind
	sum := 0
	for i, c := range header[:512] {
		if i >= checksum && i < end {
			c = ' '
		}
		sum += int(c)
	}
	copy(header[checksum:], fmt.Sprintf("%06o\x00 ", sum))
}

func zipped(r io.Reader) []byte {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	if _, err := io.Copy(z, r); err != nil {
		panic(err)
	}
	if err := z.Close(); err != nil {
		panic(err)
	}
	return b.Bytes()
}

// simple is the tarball of a package that holds one module.
func simple(packageJSON string) []byte {
	return pack(packed{name: "package/package.json", content: packageJSON}, packed{name: "package/index.js", content: "module.exports = 1\n"})
}

// publishing is the body of a publish request. Its zero values are what npm sends.
type publishing struct {
	name, version string
	tag           string // latest
	tarball       []byte
	described     string            // the version's object, without dist; package.json if ""
	provenance    string            // a bundle
	dist          map[string]string // replaces what is computed
	attachment    string            // its name
	length        int
}

func (p publishing) body() string {
	sum1 := sha1.Sum(p.tarball)
	sum512 := sha512.Sum512(p.tarball)
	dist := map[string]string{"shasum": hex.EncodeToString(sum1[:]), "integrity": "sha512-" + base64.StdEncoding.EncodeToString(sum512[:]), "tarball": "http://wrong/"}
	maps.Copy(dist, p.dist)
	described := map[string]any{"name": p.name, "version": p.version}
	if p.described != "" {
		if err := json.Unmarshal([]byte(p.described), &described); err != nil {
			panic(err) // of the test
		}
	}
	described["dist"] = dist
	if p.tag == "" {
		p.tag = "latest"
	}
	if p.attachment == "" {
		p.attachment = p.name + "-" + p.version + ".tgz"
	}
	if p.length == 0 {
		p.length = len(p.tarball)
	}
	attachments := map[string]any{p.attachment: map[string]any{
		"content_type": "application/octet-stream", "data": base64.StdEncoding.EncodeToString(p.tarball), "length": p.length,
	}}
	if p.provenance != "" {
		attachments[p.name+"-"+p.version+".sigstore"] = map[string]any{
			"content_type": "application/vnd.dev.sigstore.bundle.v0.3+json", "data": p.provenance, "length": len(p.provenance),
		}
	}
	body, err := json.Marshal(map[string]any{
		"_id": p.name, "name": p.name, "dist-tags": map[string]string{p.tag: p.version},
		"versions": map[string]any{p.version: described}, "access": nil, "_attachments": attachments,
	})
	if err != nil {
		panic(err)
	}
	return string(body)
}

// place is a registry with npm alone.
type place struct{ *typetest.Place }

func open(t *testing.T) place {
	t.Helper()
	return place{typetest.Open(t, Format{})}
}

// escaped is a name as npm writes it in paths.
func escaped(name string) string { return strings.Replace(name, "/", "%2f", 1) }

// answer is a response apart from its body.
type answer struct {
	StatusCode int
	Status     string
	Header     http.Header
}

// do sends a request and returns the answer and its body.
func (p place) do(method, path, body string, header ...string) (answer, string) {
	p.T.Helper()
	r, err := http.NewRequestWithContext(p.T.Context(), method, p.Base()+path, strings.NewReader(body))
	if err != nil {
		p.T.Fatal(err)
	}
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	res := p.Do(r)
	got, err := io.ReadAll(res.Body)
	if err := errors.Join(err, res.Body.Close()); err != nil {
		p.T.Fatal(err)
	}
	return answer{res.StatusCode, res.Status, res.Header}, string(got)
}

// want sends a request that must be answered with the status.
func (p place) want(status int, method, path, body string, header ...string) string {
	p.T.Helper()
	res, got := p.do(method, path, body, header...)
	if res.StatusCode != status {
		p.T.Fatalf("%s %s: %s %s, want %d", method, path, res.Status, got, status)
	}
	return got
}

// refused is want for a request that must be refused with a sentence.
func (p place) refused(status int, sentence, method, path, body string) {
	p.T.Helper()
	res, got := p.do(method, path, body)
	var e struct{ Error string }
	if err := json.Unmarshal([]byte(got), &e); err != nil || res.StatusCode != status || !strings.Contains(e.Error, sentence) {
		p.T.Errorf("%s %s: %s %s, want %d and %q", method, path, res.Status, got, status, sentence)
	}
}

// publish publishes a package without content of interest.
func (p place) publish(name, version string, tag ...string) {
	p.T.Helper()
	pub := publishing{name: name, version: version, tarball: simple(`{"name":"` + name + `","version":"` + version + `"}`)}
	if len(tag) > 0 {
		pub.tag = tag[0]
	}
	p.want(http.StatusCreated, http.MethodPut, "/"+escaped(name), pub.body())
}

// packument is what the tests read of one.
type packumentJSON struct {
	ID         string                     `json:"_id"`
	Rev        string                     `json:"_rev"`
	Name       string                     `json:"name"`
	Tags       map[string]string          `json:"dist-tags"`
	Versions   map[string]json.RawMessage `json:"versions"`
	Time       map[string]string          `json:"time"`
	Users      map[string]bool            `json:"users"`
	Readme     string                     `json:"readme"`
	Maintainer []struct{ Name string }    `json:"maintainers"`
}

func (p place) packument(name string) packumentJSON {
	p.T.Helper()
	var doc packumentJSON
	p.decode(p.want(http.StatusOK, http.MethodGet, "/"+escaped(name)+"?write=true", ""), &doc)
	return doc
}

func (p place) tags(name string) map[string]string {
	p.T.Helper()
	var tags map[string]string
	p.decode(p.want(http.StatusOK, http.MethodGet, "/-/package/"+escaped(name)+"/dist-tags", ""), &tags)
	return tags
}

func (p place) decode(text string, v any) {
	p.T.Helper()
	if err := json.Unmarshal([]byte(text), v); err != nil {
		p.T.Fatalf("%v in %s", err, text)
	}
}

func sha512Hex(b []byte) string {
	sum := sha512.Sum512(b)
	return hex.EncodeToString(sum[:])
}

// verify checks a registry's signature over text as npm's clients do.
func verify(key, sig, text string) error {
	spki, err := base64.StdEncoding.DecodeString(key)
	if err != nil {
		return err
	}
	public, err := x509.ParsePKIXPublicKey(spki)
	if err != nil {
		return err
	}
	der, err := base64.StdEncoding.DecodeString(sig)
	if err != nil {
		return err
	}
	sum := sha256.Sum256([]byte(text))
	if k, ok := public.(*ecdsa.PublicKey); !ok || !ecdsa.VerifyASN1(k, sum[:], der) {
		return errors.New("the signature is not the key's")
	}
	return nil
}

// sameTag checks that two tags of a package's repository name one manifest.
func (p place) sameTag(path string, a, b registry.Tag) {
	p.T.Helper()
	repo := registry.Repo("acme/npm/" + path)
	x, errX := p.Engine.Tagged(p.T.Context(), repo, a)
	y, errY := p.Engine.Tagged(p.T.Context(), repo, b)
	if err := errors.Join(errX, errY); err != nil || x.Digest != y.Digest {
		p.T.Errorf("tag %s is %s, tag %s is %s, %v", a, x.Digest, b, y.Digest, err)
	}
}
