package consistency

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"crypto/sha1"
	"crypto/sha512"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"strings"
)

// publication is one request that publishes a version, and what is to be seen of it. Paths begin below a replica's URL.
type publication struct {
	method, path, contentType string
	body                      []byte

	file    string // what it publishes
	content []byte
	index   string // a document that names it
	accept  string // of the document
	listed  string // how it is named there

	rest []publication // what completes the version; it is named from then on
}

// format is an ecosystem as its own client publishes to it.
type format struct {
	name string
	// conflicts are the statuses that say: this version is there with other content.
	conflicts []int
	// publish makes a version; salt is in its content.
	publish func(pkg, version, salt string) publication
}

func formats() []format {
	return []format{
		{"npm", []int{http.StatusForbidden, http.StatusConflict}, npmPublication},
		{"pypi", []int{http.StatusConflict, http.StatusBadRequest}, pypiPublication},
		{"maven", []int{http.StatusConflict}, mavenPublication},
		{"helm", []int{http.StatusConflict}, helmPublication},
		{"generic", []int{http.StatusConflict}, genericPublication},
	}
}

func npmPublication(pkg, version, salt string) publication {
	tarball := tarGzip("package/package.json", fmt.Sprintf(`{"name":%q,"version":%q}`, pkg, version), "package/salt", salt)
	long, short := sha512.Sum512(tarball), sha1.Sum(tarball)
	file := pkg + "-" + version + ".tgz"
	body := fmt.Sprintf(`{"_id":%[1]q,"name":%[1]q,"dist-tags":{"latest":%[2]q},"versions":{%[2]q:{"name":%[1]q,"version":%[2]q,"_id":"%[1]s@%[2]s",`+
		`"dist":{"integrity":"sha512-%[3]s","shasum":"%[4]s","tarball":"http://localhost/%[5]s"}}},"access":null,`+
		`"_attachments":{%[5]q:{"content_type":"application/octet-stream","data":%[6]q,"length":%[7]d}}}`,
		pkg, version, base64.StdEncoding.EncodeToString(long[:]), hex.EncodeToString(short[:]), file,
		base64.StdEncoding.EncodeToString(tarball), len(tarball))
	return publication{
		method: http.MethodPut, path: "/acme/npm/" + pkg, contentType: "application/json", body: []byte(body),
		file: "/acme/npm/" + pkg + "/-/" + file, content: tarball,
		index: "/acme/npm/" + pkg, accept: "application/vnd.npm.install-v1+json", listed: `"version":"` + version + `"`,
	}
}

func pypiPublication(pkg, version, salt string) publication {
	info := pkg + "-" + version + ".dist-info/"
	wheel := zipped(
		pkg+"/__init__.py", "salt = '"+salt+"'\n",
		info+"METADATA", "Metadata-Version: 2.1\nName: "+pkg+"\nVersion: "+version+"\n\n",
		info+"WHEEL", "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
		info+"RECORD", "",
	)
	file := pkg + "-" + version + "-py3-none-any.whl"
	var form bytes.Buffer
	w := multipart.NewWriter(&form)
	for _, field := range [][2]string{
		{":action", "file_upload"},
		{"protocol_version", "1"},
		{"metadata_version", "2.1"},
		{"name", pkg},
		{"version", version},
		{"filetype", "bdist_wheel"},
		{"pyversion", "py3"},
		{"sha256_digest", sum(wheel)},
	} {
		_ = w.WriteField(field[0], field[1]) // into memory
	}
	part, _ := w.CreateFormFile("content", file)
	_, _ = part.Write(wheel)
	_ = w.Close()
	return publication{
		method: http.MethodPost, path: "/acme/pypi/", contentType: w.FormDataContentType(), body: form.Bytes(),
		file: "/acme/pypi/files/" + pkg + "/" + version + "/" + file, content: wheel,
		index: "/acme/pypi/simple/" + pkg + "/", accept: "application/vnd.pypi.simple.v1+json", listed: `"` + file + `"`,
	}
}

// mavenPublication is a jar, and its POM after it, with which the version is one.
func mavenPublication(pkg, version, salt string) publication {
	stem := "/acme/maven/com/acme/" + pkg + "/" + version + "/" + pkg + "-" + version
	file := func(ext string, content []byte) publication {
		return publication{method: http.MethodPut, path: stem + ext, body: content, file: stem + ext, content: content}
	}
	p := file(".jar", zipped("salt", salt))
	p.index, p.listed = "/acme/maven/com/acme/"+pkg+"/maven-metadata.xml", "<version>"+version+"</version>"
	p.rest = []publication{file(".pom", []byte("<project><modelVersion>4.0.0</modelVersion><groupId>com.acme</groupId><artifactId>"+pkg+
		"</artifactId><version>"+version+"</version></project>"))}
	return p
}

func helmPublication(pkg, version, salt string) publication {
	chart := tarGzip(pkg+"/Chart.yaml", "apiVersion: v2\nname: "+pkg+"\nversion: "+version+"\n", pkg+"/values.yaml", "salt: "+salt+"\n")
	return publication{
		method: http.MethodPost, path: "/api/acme/helm/charts", contentType: "application/gzip", body: chart,
		file: "/acme/helm/charts/" + pkg + "-" + version + ".tgz", content: chart,
		index: "/acme/helm/index.yaml", listed: sum(chart),
	}
}

func genericPublication(pkg, version, salt string) publication {
	content := []byte(strings.Repeat(salt+"\n", 100))
	file := "/acme/generic/" + pkg + "/" + version + "/tool.bin"
	return publication{
		method: http.MethodPut, path: file, body: content, file: file, content: content,
		index: "/acme/generic/" + pkg, accept: "application/json", listed: `"` + version + `"`,
	}
}

// tarGzip packs files, given as names and contents in turn.
func tarGzip(files ...string) []byte {
	var packed bytes.Buffer
	gz := gzip.NewWriter(&packed)
	w := tar.NewWriter(gz)
	for i := 0; i < len(files); i += 2 {
		_ = w.WriteHeader(&tar.Header{Name: files[i], Mode: 0o644, Size: int64(len(files[i+1]))}) // into memory
		_, _ = io.WriteString(w, files[i+1])
	}
	_, _ = w.Close(), gz.Close()
	return packed.Bytes()
}

// zipped packs files, given as names and contents in turn.
func zipped(files ...string) []byte {
	var packed bytes.Buffer
	w := zip.NewWriter(&packed)
	for i := 0; i < len(files); i += 2 {
		f, _ := w.Create(files[i]) // into memory
		_, _ = io.WriteString(f, files[i+1])
	}
	_ = w.Close()
	return packed.Bytes()
}
