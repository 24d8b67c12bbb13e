package main

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math/big"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/packhouse/packhouse/registry"
)

// native is the request by which a format's own client publishes version 1.0.0
// of a package with a line of text about it. The same arguments give the same
// content, but for signatures.
func native(t *testing.T, format, ns, pkg, about string) ask {
	t.Helper()
	switch format {
	case "npm":
		return publishNPM(t, ns, pkg, about)
	case "pypi":
		return publishPyPI(t, ns, pkg, about)
	case "helm":
		chart := tarball(t, pkg+"/Chart.yaml", "apiVersion: v2\nname: "+pkg+"\nversion: 1.0.0\ndescription: "+about+"\n", pkg+"/values.yaml", "a: 1\n")
		return ask{method: http.MethodPost, path: "/api/" + ns + "/helm/charts", body: string(chart)}
	case "maven":
		const pom = "<project><modelVersion>4.0.0</modelVersion><groupId>%s</groupId><artifactId>%s</artifactId>" +
			"<version>1.0.0</version><packaging>pom</packaging><description>%s</description></project>"
		group := "acme"
		if pkg == "neighbour" { // repositories begin with the group
			group = pkg
		}
		return ask{method: http.MethodPut, path: "/" + ns + "/maven/" + group + "/" + pkg + "/1.0.0/" + pkg + "-1.0.0.pom", body: fmt.Sprintf(pom, group, pkg, about)}
	case "generic":
		return ask{method: http.MethodPut, path: "/" + ns + "/generic/" + pkg + "/1.0.0/" + pkg + ".txt", body: about, header: http.Header{"Content-Type": {"text/plain"}}}
	}
	t.Fatalf("the tests of access know no package of the format %s: add one", format)
	return ask{}
}

// tarball packs files, given as names and contents.
func tarball(t *testing.T, pairs ...string) []byte {
	t.Helper()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	w := tar.NewWriter(z)
	for pair := range slices.Chunk(pairs, 2) {
		if err := w.WriteHeader(&tar.Header{Name: pair[0], Mode: 0o644, Size: int64(len(pair[1]))}); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write([]byte(pair[1])); err != nil {
			t.Fatal(err)
		}
	}
	for _, closed := range []error{w.Close(), z.Close()} {
		if closed != nil {
			t.Fatal(closed)
		}
	}
	return b.Bytes()
}

func publishNPM(t *testing.T, ns, pkg, about string) ask {
	t.Helper()
	const version = "1.0.0"
	content := tarball(t, "package/package.json", fmt.Sprintf(`{"name":%q,"version":%q,"description":%q}`, pkg, version, about))
	sum := sha512.Sum512(content)
	purl := "pkg:npm/" + strings.Replace(pkg, "@", "%40", 1) + "@" + version
	statement := fmt.Sprintf(`{"_type":"https://in-toto.io/Statement/v1","subject":[{"name":%q,"digest":{"sha512":"%x"}}],"predicateType":"https://slsa.dev/provenance/v1"}`, purl, sum)
	bundle := fmt.Sprintf(`{"mediaType":"application/vnd.dev.sigstore.bundle.v0.3+json","dsseEnvelope":{"payload":%q}}`, base64.StdEncoding.EncodeToString([]byte(statement)))
	body, err := json.Marshal(map[string]any{
		"_id": pkg, "name": pkg, "dist-tags": map[string]string{"latest": version},
		"versions": map[string]any{version: map[string]any{
			"name": pkg, "version": version, "description": about,
			"dist": map[string]string{"integrity": "sha512-" + base64.StdEncoding.EncodeToString(sum[:])},
		}},
		"_attachments": map[string]any{
			pkg + "-" + version + ".tgz":      map[string]any{"data": base64.StdEncoding.EncodeToString(content), "length": len(content)},
			pkg + "-" + version + ".sigstore": map[string]any{"content_type": "application/vnd.dev.sigstore.bundle.v0.3+json", "data": bundle, "length": len(bundle)},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	return ask{method: http.MethodPut, path: "/" + ns + "/npm/" + strings.Replace(pkg, "/", "%2f", 1), body: string(body)}
}

func publishPyPI(t *testing.T, ns, pkg, about string) ask {
	t.Helper()
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	info := pkg + "-1.0.0.dist-info/"
	for _, f := range [][2]string{
		{pkg + ".py", "x = 1\n"},
		{info + "METADATA", "Metadata-Version: 2.1\nName: " + pkg + "\nVersion: 1.0.0\nSummary: " + about + "\n"},
		{info + "WHEEL", "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"},
		{info + "RECORD", pkg + ".py,,\n"},
	} {
		part, err := w.Create(f[0])
		if err == nil {
			_, err = part.Write([]byte(f[1]))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	file := pkg + "-1.0.0-py3-none-any.whl"
	const boundary = "between"
	var form strings.Builder
	for _, f := range [][2]string{{`:action"`, "file_upload"}, {`protocol_version"`, "1"}, {`name"`, pkg}, {`version"`, "1.0.0"}, {`attestations"`, "[" + attested(t, file, b.Bytes()) + "]"}, {`content"; filename="` + file + `"`, b.String()}} {
		form.WriteString("--" + boundary + "\r\nContent-Disposition: form-data; name=\"" + f[0] + "\r\n\r\n" + f[1] + "\r\n")
	}
	form.WriteString("--" + boundary + "--\r\n")
	return ask{method: http.MethodPost, path: "/" + ns + "/pypi/legacy/", body: form.String(), header: http.Header{"Content-Type": {"multipart/form-data; boundary=" + boundary}}}
}

// attested is an attestation of PEP 740 by somebody.
func attested(t *testing.T, file string, content []byte) string {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), URIs: []*url.URL{{Scheme: "https", Host: "ci.example"}}, NotAfter: time.Unix(1<<32, 0)}
	certificate, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	statement := fmt.Sprintf(`{"_type":"https://in-toto.io/Statement/v1","subject":[{"name":%q,"digest":{"sha256":"%x"}}],"predicateType":"https://docs.pypi.org/attestations/publish/v1","predicate":null}`, file, sha256.Sum256(content))
	const kind = "application/vnd.in-toto+json"
	sum := sha256.Sum256(fmt.Appendf(nil, "DSSEv1 %d %s %d %s", len(kind), kind, len(statement), statement))
	signature, err := ecdsa.SignASN1(rand.Reader, key, sum[:])
	if err != nil {
		t.Fatal(err)
	}
	b64 := base64.StdEncoding.EncodeToString
	return fmt.Sprintf(`{"version":1,"verification_material":{"certificate":%q,"transparency_entries":[{"logIndex":"1"}]},"envelope":{"statement":%q,"signature":%q}}`,
		b64(certificate), b64([]byte(statement)), b64(signature))
}

// about is what packages say of themselves.
func about(ns string) string {
	if ns == "priv" {
		return "all " + secretly
	}
	return "all about it"
}

// neighbours publishes what neighbour has, which makes the feeds.
func (w *world) neighbours(t *testing.T) {
	t.Helper()
	for _, ns := range []string{"pub", "priv"} {
		for format := range w.backend.Feeds.Routes() {
			w.must(t, native(t, format, ns, "neighbour", "another's"))
		}
	}
}

// content publishes what the table's targets are.
func (w *world) content(t *testing.T) {
	t.Helper()
	for _, ns := range []string{"pub", "priv"} {
		for format := range w.backend.Feeds.Routes() {
			w.must(t, native(t, format, ns, "app", about(ns)))
			if ns == "priv" {
				w.must(t, native(t, format, ns, secretly, about(ns)))
			}
		}
		w.must(t, native(t, "npm", ns, "@acme/app", about(ns)))
		w.pushImage(t, ns+"/app", "latest", imageText)
	}
	w.pushImage(t, "priv/"+secretly, secretly, secretly+" layer")
	w.must(t, ask{method: http.MethodPost, path: "/-/api/v1/groups", header: jsonBody, body: `{"group":"team"}`})
	w.must(t, ask{method: http.MethodPost, path: "/-/api/v1/services", header: jsonBody, body: `{"service":"robot"}`})
}

var jsonBody = http.Header{"Content-Type": {"application/json"}}

func (w *world) pushBlob(t *testing.T, repo, content string) {
	t.Helper()
	w.must(t, ask{method: http.MethodPost, path: "/v2/" + repo + "/blobs/uploads/?digest=" + layerOf(content).String(), body: content})
}

// imageText is what the images called app hold.
const imageText = "an image"

const imageType = "application/vnd.oci.image.manifest.v1+json"

func layerOf(content string) registry.Digest { return digest.FromString(content) }

// imageOf is the manifest of an image with one layer.
func imageOf(content string) string {
	return fmt.Sprintf(`{"schemaVersion":2,"mediaType":%q,"config":{"mediaType":"application/vnd.oci.image.config.v1+json","digest":%q,"size":2},"layers":[{"mediaType":"application/vnd.oci.image.layer.v1.tar","digest":%q,"size":%d}]}`,
		imageType, layerOf("{}"), layerOf(content), len(content))
}

func (w *world) pushImage(t *testing.T, repo, tag, content string) {
	t.Helper()
	w.pushBlob(t, repo, content)
	w.pushBlob(t, repo, "{}")
	w.must(t, ask{method: http.MethodPut, path: "/v2/" + repo + "/manifests/" + tag, body: imageOf(content), header: http.Header{"Content-Type": {imageType}}})
}
