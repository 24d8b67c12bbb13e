package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha1" //nolint:gosec // what npm calls shasum
	"crypto/sha512"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
)

// npmPackage is one version of an npm package. Equal ones make equal bytes.
type npmPackage struct {
	name, version string
	needs         []string // names, each at ^1.0.0
	files         int      // beside package.json, some KiB each
	tools         int      // development dependencies: a large project has many, and each version lists them
	seed          uint64
}

// manifest is the package.json.
func (p npmPackage) manifest() map[string]any {
	needs, tools := map[string]string{}, map[string]string{}
	for _, name := range p.needs {
		needs[name] = "^1.0.0"
	}
	for i := range p.tools {
		tools[fmt.Sprintf("@bench/tool-%02d", i)] = fmt.Sprintf("^%d.%d.%d", i%9, i%7, i)
	}
	m := map[string]any{
		"name": p.name, "version": p.version, "description": "A package of the benchmark, like many others.", "license": "MIT",
		"main": "lib/file-00.js", "keywords": []string{"benchmark", "registry", "package"}, "author": "The authors <authors@bench.invalid>",
		"engines": map[string]string{"node": ">=18"}, "scripts": map[string]string{"build": "make", "test": "make test", "lint": "make lint"},
		"dependencies": needs,
	}
	if p.tools > 0 {
		m["devDependencies"] = tools
	}
	return m
}

// tarball packs the package as npm does. Its text compresses to about half.
func (p npmPackage) tarball() ([]byte, error) {
	manifest, err := json.MarshalIndent(p.manifest(), "", "  ")
	if err != nil {
		return nil, err
	}
	files := []named{{"package/package.json", manifest}, {"package/README.md", []byte("# " + p.name + "\n\nA package of the benchmark.\n")}}
	source := noise(p.seed)
	for i := range p.files {
		raw := make([]byte, 1<<10+source.Uint64()%(3<<10))
		_, _ = source.Read(raw) // never fails
		files = append(files, named{fmt.Sprintf("package/lib/file-%02d.js", i), []byte("module.exports = '" + hex.EncodeToString(raw) + "'\n")})
	}
	return tarGzip(files)
}

// named is a file of an archive.
type named struct {
	name    string
	content []byte
}

// tarGzip packs files; they have no time.
func tarGzip(files []named) ([]byte, error) {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	w := tar.NewWriter(z)
	for _, f := range files {
		if err := w.WriteHeader(&tar.Header{Name: f.name, Mode: 0o644, Size: int64(len(f.content))}); err != nil {
			return nil, err
		}
		if _, err := w.Write(f.content); err != nil {
			return nil, err
		}
	}
	err := errors.Join(w.Close(), z.Close())
	return b.Bytes(), err
}

// sums are what npm says of a tarball.
type sums struct {
	sha1, sha512 []byte
	size         int64
}

func sumsOf(tarball io.Reader) (sums, error) {
	one, long := sha1.New(), sha512.New() //nolint:gosec // see the import
	n, err := io.Copy(io.MultiWriter(one, long), tarball)
	return sums{one.Sum(nil), long.Sum(nil), n}, err
}

// described is what a packument has of the version: its package.json and where its tarball is.
func (p npmPackage) described(s sums) map[string]any {
	m := p.manifest()
	m["_id"] = p.name + "@" + p.version
	m["_nodeVersion"], m["_npmVersion"] = "24.0.0", "11.0.0"
	m["dist"] = map[string]any{
		"integrity": "sha512-" + base64.StdEncoding.EncodeToString(s.sha512),
		"shasum":    hex.EncodeToString(s.sha1),
		"tarball":   "http://127.0.0.1/" + p.name + "/-/" + p.tarballName(), // npm has the registry here; registries render their own
	}
	return m
}

func (p npmPackage) tarballName() string { return p.name + "-" + p.version + ".tgz" }

// frame is the body of a publish before and after the tarball's base64.
func (p npmPackage) frame(s sums) (before, after []byte, err error) {
	const mark = "TARBALL"
	body, err := json.Marshal(map[string]any{
		"_id": p.name, "name": p.name, "access": nil, "dist-tags": map[string]string{"latest": p.version},
		"versions": map[string]any{p.version: p.described(s)},
		"_attachments": map[string]any{p.tarballName(): map[string]any{
			"content_type": "application/octet-stream", "data": mark, "length": s.size,
		}},
	})
	before, after, _ = bytes.Cut(body, []byte(mark))
	return before, after, err
}

// publication is the whole body of a publish.
func (p npmPackage) publication() ([]byte, error) {
	tarball, err := p.tarball()
	if err != nil {
		return nil, err
	}
	s, err := sumsOf(bytes.NewReader(tarball))
	if err != nil {
		return nil, err
	}
	before, after, err := p.frame(s)
	return append(base64.StdEncoding.AppendEncode(before, tarball), after...), err
}

const jsonType = "Content-Type: application/json\r\n"

// publishPackage sends a publication as npm does.
func (c *conn) publishPackage(feed, name string, body []byte) error {
	_, _, err := c.do(request{method: http.MethodPut, target: feed + "/" + name, header: jsonType, raw: body, want: http.StatusCreated})
	return err
}
