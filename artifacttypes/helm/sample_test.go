package helm

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"strings"
	"testing"
)

// entryOf is one entry of an archive: a file unless header says otherwise.
type entryOf struct {
	name, content string
	header        tar.Header
}

// pack makes a chart's archive.
func pack(tb testing.TB, entries ...entryOf) []byte {
	tb.Helper()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	w := tar.NewWriter(z)
	for _, e := range entries {
		h := e.header
		if h.Name = e.name; h.Name != "" {
			h.Mode = 0o644
		}
		if h.Typeflag == 0 {
			h.Typeflag, h.Size = tar.TypeReg, int64(len(e.content))
		}
		if err := w.WriteHeader(&h); err != nil {
			tb.Fatal(err)
		}
		if _, err := io.WriteString(w, e.content); err != nil {
			tb.Fatal(err)
		}
	}
	for _, c := range []io.Closer{w, z} {
		if err := c.Close(); err != nil {
			tb.Fatal(err)
		}
	}
	return b.Bytes()
}

// chartOf packs a chart with the given Chart.yaml.
func chartOf(tb testing.TB, text string) []byte {
	tb.Helper()
	return pack(tb, entryOf{name: "web/Chart.yaml", content: text}, entryOf{name: "web/values.yaml", content: "greeting: hello\n"},
		entryOf{name: "web/templates/NOTES.txt", content: "Thanks.\n"})
}

// version packs a version of the chart web; other content for another salt.
func version(tb testing.TB, v, salt string) []byte {
	tb.Helper()
	return pack(tb, entryOf{name: "web/Chart.yaml", content: "apiVersion: v2\nname: web\nversion: " + v + "\ndescription: A chart.\n"},
		entryOf{name: "web/values.yaml", content: "greeting: " + salt + "\n"})
}

func sumOf(content []byte) string {
	sum := sha256.Sum256(content)
	return hex.EncodeToString(sum[:])
}

// provenanceFor is what `helm package --sign` writes, but for the signature.
func provenanceFor(name, version string, archive []byte) []byte {
	return []byte(strings.Join([]string{
		provBegin, "Hash: SHA512", "",
		"apiVersion: v2", "keywords:", "- - a", "name: " + name, "version: " + version, "", "...", "files:",
		"  " + fileName(name, version) + ": sha256:" + sumOf(archive),
		provSign, "", "wsDcBAEBCgAQBQJ=", "=abcd", provEnd,
	}, "\n"))
}
