package main

import (
	"archive/zip"
	"bytes"
	"crypto/md5" //nolint:gosec // a field of the form
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"hash/crc32"
	"mime/multipart"
	"net/http"
	"strings"
)

// wheel is one version of a Python project. Equal ones make equal bytes.
type wheel struct {
	name, version string // name as it is normalized: bench-wheel-1
	needs         []string
	size          int // of its one data file, of noise; about the size of the wheel
	seed          uint64
}

func (w wheel) module() string   { return strings.ReplaceAll(w.name, "-", "_") }
func (w wheel) fileName() string { return w.module() + "-" + w.version + "-py3-none-any.whl" }

func (w wheel) metadata() []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "Metadata-Version: 2.1\nName: %s\nVersion: %s\nSummary: A project of the benchmark.\nLicense: MIT\nRequires-Python: >=3.8\n", w.name, w.version)
	for _, need := range w.needs {
		fmt.Fprintf(&b, "Requires-Dist: %s\n", need)
	}
	b.WriteString("\nA project of the benchmark, like many others.\n")
	return b.Bytes()
}

// pack makes the wheel.
func (w wheel) pack() ([]byte, error) {
	data := make([]byte, w.size)
	_, _ = noise(w.seed).Read(data) // never fails
	info := w.module() + "-" + w.version + ".dist-info/"
	files := []named{
		{w.module() + "/__init__.py", []byte("version = '" + w.version + "'\n")},
		{w.module() + "/data.bin", data},
		{info + "METADATA", w.metadata()},
		{info + "WHEEL", []byte("Wheel-Version: 1.0\nGenerator: bench\nRoot-Is-Purelib: true\nTag: py3-none-any\n")},
	}
	var record bytes.Buffer
	for _, f := range files {
		sum := sha256.Sum256(f.content)
		fmt.Fprintf(&record, "%s,sha256=%s,%d\n", f.name, base64.RawURLEncoding.EncodeToString(sum[:]), len(f.content))
	}
	fmt.Fprintf(&record, "%sRECORD,,\n", info)
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for _, f := range append(files, named{info + "RECORD", record.Bytes()}) {
		// As Python packs it, with the size before the content: uv reads wheels as they come.
		size := uint64(len(f.content))
		entry, err := z.CreateRaw(&zip.FileHeader{Name: f.name, Method: zip.Store, CRC32: crc32.ChecksumIEEE(f.content), CompressedSize64: size, UncompressedSize64: size})
		if err != nil {
			return nil, err
		}
		if _, err := entry.Write(f.content); err != nil {
			return nil, err
		}
	}
	err := z.Close()
	return b.Bytes(), err
}

// upload is a form as twine sends it.
type upload struct {
	contentType string
	body        []byte
}

// form wraps the wheel.
func (w wheel) form() (upload, error) {
	packed, err := w.pack()
	if err != nil {
		return upload{}, err
	}
	sum, short := sha256.Sum256(packed), md5.Sum(packed) //nolint:gosec // see the import
	fields := [][2]string{
		{":action", "file_upload"},
		{"protocol_version", "1"},
		{"metadata_version", "2.1"},
		{"name", w.name},
		{"version", w.version},
		{"filetype", "bdist_wheel"},
		{"pyversion", "py3"},
		{"summary", "A project of the benchmark."},
		{"license", "MIT"},
		{"requires_python", ">=3.8"},
		{"sha256_digest", hex.EncodeToString(sum[:])},
		{"md5_digest", hex.EncodeToString(short[:])},
	}
	for _, need := range w.needs {
		fields = append(fields, [2]string{"requires_dist", need})
	}
	var b bytes.Buffer
	m := multipart.NewWriter(&b)
	if err := m.SetBoundary(hex.EncodeToString(sum[:16])); err != nil {
		return upload{}, err
	}
	for _, f := range fields {
		if err := m.WriteField(f[0], f[1]); err != nil {
			return upload{}, err
		}
	}
	part, err := m.CreateFormFile("content", w.fileName())
	if err != nil {
		return upload{}, err
	}
	if _, err := part.Write(packed); err != nil {
		return upload{}, err
	}
	err = m.Close()
	return upload{m.FormDataContentType(), b.Bytes()}, err
}

// uploadWheel sends a form as twine does.
func (c *conn) uploadWheel(target string, u upload) error {
	_, _, err := c.do(request{
		method: http.MethodPost, target: target, header: "Content-Type: " + u.contentType + "\r\n", raw: u.body, want: http.StatusOK,
	})
	return err
}
