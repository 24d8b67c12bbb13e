package pypi

import (
	"archive/tar"
	"bytes"
	"compress/flate"
	"compress/gzip"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"io"
	"strings"
	"testing"
)

// part is one member of an archive that a test makes. What is not set follows
// from content.
type part struct {
	name      string
	content   string
	stored    bool   // instead of deflated
	raw       []byte // the packed bytes, instead of content's
	local     string // the name in the local header
	size      int64  // unpacked, in both headers
	localSize int64  // unpacked, in the local header
	flags     uint16
	method    uint16
	extra     []byte // of the directory
	mode      uint32 // Unix, in the directory
	gap       string // what is between this member and the next
}

// zipped writes a zip archive as the parts say, however wrong.
func zipped(tb testing.TB, parts ...part) []byte {
	tb.Helper()
	var out, directory bytes.Buffer
	le := func(b *bytes.Buffer, values ...any) {
		for _, v := range values {
			_ = binary.Write(b, binary.LittleEndian, v) // a buffer takes all
		}
	}
	for _, p := range parts {
		packed, method := []byte(p.content), uint16(0)
		if !p.stored {
			packed, method = deflate(tb, []byte(p.content)), 8
		}
		if p.raw != nil {
			packed = p.raw
		}
		if p.method != 0 {
			method = p.method
		}
		size := int64(len(p.content))
		if p.size != 0 {
			size = p.size
		}
		localSize, local := size, p.name
		if p.localSize != 0 {
			localSize = p.localSize
		}
		if p.local != "" {
			local = p.local
		}
		crc := crc32.ChecksumIEEE([]byte(p.content))
		offset := out.Len()
		le(&out, uint32(0x04034b50), uint16(20), p.flags, method, uint32(0), crc, uint32(len(packed)), uint32(localSize), uint16(len(local)), uint16(0))
		out.WriteString(local)
		out.Write(packed)
		out.WriteString(p.gap)
		le(&directory, uint32(0x02014b50), uint16(20|3<<8), uint16(20), p.flags, method, uint32(0), crc, uint32(len(packed)), uint32(size),
			uint16(len(p.name)), uint16(len(p.extra)), uint16(0), uint16(0), uint16(0), p.mode<<16, uint32(offset))
		directory.WriteString(p.name)
		directory.Write(p.extra)
	}
	return append(append(out.Bytes(), directory.Bytes()...), endRecord(len(parts), directory.Len(), out.Len(), "")...)
}

// endRecord ends a zip archive.
func endRecord(entries, size, offset int, comment string) []byte {
	b := binary.LittleEndian.AppendUint32(nil, 0x06054b50)
	for _, v := range []int{0, 0, entries, entries} {
		b = binary.LittleEndian.AppendUint16(b, uint16(v))
	}
	b = binary.LittleEndian.AppendUint32(b, uint32(size))
	b = binary.LittleEndian.AppendUint32(b, uint32(offset))
	b = binary.LittleEndian.AppendUint16(b, uint16(len(comment)))
	return append(b, comment...)
}

func deflate(tb testing.TB, content []byte) []byte {
	tb.Helper()
	var b bytes.Buffer
	w, err := flate.NewWriter(&b, flate.BestCompression)
	if err != nil {
		tb.Fatal(err)
	}
	if _, err := w.Write(content); err != nil {
		tb.Fatal(err)
	}
	if err := w.Close(); err != nil {
		tb.Fatal(err)
	}
	return b.Bytes()
}

const wheelText = "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"

// metadataText is a METADATA with more fields, each ending in a newline.
func metadataText(name, version, more string) string {
	return "Metadata-Version: 2.1\nName: " + name + "\nVersion: " + version + "\n" + more
}

// wheelParts are the members of a sound wheel.
func wheelParts(name, version, more string) []part {
	folder := strings.ReplaceAll(name, "-", "_") + "-" + version + ".dist-info/"
	return []part{
		{name: "pkg/__init__.py", content: "x = 1\n"},
		{name: folder + "METADATA", content: metadataText(name, version, more)},
		{name: folder + "WHEEL", content: wheelText},
		{name: folder + "RECORD", content: "pkg/__init__.py,,\n"},
	}
}

func wheel(tb testing.TB, name, version, more string) []byte {
	tb.Helper()
	return zipped(tb, wheelParts(name, version, more)...)
}

// entry is one member of a tar archive that a test makes.
type entry struct {
	name    string
	content string
	kind    byte // tar.TypeReg if 0
	link    string
}

func tarGz(tb testing.TB, entries ...entry) []byte {
	tb.Helper()
	return gzipped(tb, tarred(tb, entries...))
}

func tarred(tb testing.TB, entries ...entry) []byte {
	tb.Helper()
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	for _, e := range entries {
		kind := e.kind
		if kind == 0 {
			kind = tar.TypeReg
		}
		h := &tar.Header{Name: e.name, Typeflag: kind, Linkname: e.link, Size: int64(len(e.content)), Mode: 0o644}
		if err := w.WriteHeader(h); err != nil {
			tb.Fatal(err)
		}
		if _, err := io.WriteString(w, e.content); err != nil {
			tb.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		tb.Fatal(err)
	}
	return out.Bytes()
}

func gzipped(tb testing.TB, content []byte) []byte {
	tb.Helper()
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	if _, err := w.Write(content); err != nil {
		tb.Fatal(err)
	}
	if err := w.Close(); err != nil {
		tb.Fatal(err)
	}
	return out.Bytes()
}

func sdist(tb testing.TB, name, version, more string) []byte {
	tb.Helper()
	folder := strings.ReplaceAll(name, "-", "_") + "-" + version
	return tarGz(tb, entry{name: folder + "/", kind: tar.TypeDir},
		entry{name: folder + "/setup.py", content: "# nothing\n"},
		entry{name: folder + "/PKG-INFO", content: metadataText(name, version, more)})
}

// zeros is a reader of n zero bytes.
func zeros(n int64) io.Reader { return io.LimitReader(zeroReader{}, n) }

type zeroReader struct{}

func (zeroReader) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

// tarBomb is a compressed archive with one file of n zero bytes, and a header
// for a PKG-INFO behind it.
func tarBomb(tb testing.TB, n int64) []byte {
	tb.Helper()
	var out bytes.Buffer
	z, err := gzip.NewWriterLevel(&out, gzip.BestSpeed)
	if err != nil {
		tb.Fatal(err)
	}
	w := tar.NewWriter(z)
	if err := w.WriteHeader(&tar.Header{Name: "my_pkg-1.0/zeros", Typeflag: tar.TypeReg, Size: n, Mode: 0o644}); err != nil {
		tb.Fatal(err)
	}
	if _, err := io.Copy(w, zeros(n)); err != nil {
		tb.Fatal(err)
	}
	text := metadataText("my-pkg", "1.0", "")
	if err := w.WriteHeader(&tar.Header{Name: "my_pkg-1.0/PKG-INFO", Typeflag: tar.TypeReg, Size: int64(len(text)), Mode: 0o644}); err != nil {
		tb.Fatal(err)
	}
	if _, err := io.WriteString(w, text); err != nil {
		tb.Fatal(err)
	}
	for _, c := range []io.Closer{w, z} {
		if err := c.Close(); err != nil {
			tb.Fatal(err)
		}
	}
	return out.Bytes()
}

// manyParts are n empty members beside those of a sound wheel.
func manyParts(n int) []part {
	parts := wheelParts("my-pkg", "1.0", "")
	for i := range n {
		parts = append(parts, part{name: fmt.Sprintf("pkg/%d", i), stored: true})
	}
	return parts
}
