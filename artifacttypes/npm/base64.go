package npm

import (
	"bytes"
	"encoding/base64"
	"errors"
	"io"

	"github.com/packhouse/packhouse/artifacttypes"
)

// decoder decodes base64 (RFC 4648, section 4) in large pieces. It keeps the
// error of the text apart from that of who reads what was decoded.
type decoder struct {
	r      io.Reader
	text   []byte // of which n bytes are not decoded yet
	n      int
	out    []byte
	rest   []byte // of out
	padded bool
	ended  bool
	err    error
}

func newDecoder(r io.Reader) *decoder {
	const piece = 64 << 10
	return &decoder{r: r, text: make([]byte, piece), out: make([]byte, base64.StdEncoding.DecodedLen(piece))}
}

func (d *decoder) Read(p []byte) (int, error) {
	for len(d.rest) == 0 {
		switch {
		case d.err != nil:
			return 0, d.err
		case d.ended:
			return 0, io.EOF
		}
		d.err = d.more()
	}
	n := copy(p, d.rest)
	d.rest = d.rest[n:]
	return n, nil
}

// more reads and decodes the next piece.
func (d *decoder) more() error {
	const quantum = 4 // characters that are decoded together
	got, err := d.r.Read(d.text[d.n:])
	d.n += withoutNewlines(d.text[d.n : d.n+got])
	whole := d.n / quantum * quantum
	switch {
	case errors.Is(err, io.EOF):
		d.ended, whole = true, d.n // what is left over is an error
	case err != nil:
		return err
	}
	if whole == 0 {
		return nil
	}
	n, err := base64.StdEncoding.Decode(d.out, d.text[:whole])
	if err != nil || d.padded {
		return artifacttypes.Invalid("the tarball in the request is not well-formed base64")
	}
	d.padded = d.text[whole-1] == '='
	d.rest = d.out[:n]
	d.n = copy(d.text, d.text[whole:d.n])
	return nil
}

// withoutNewlines moves together what is not part of a line's end, and counts it.
func withoutNewlines(text []byte) int {
	if bytes.IndexByte(text, '\n') < 0 && bytes.IndexByte(text, '\r') < 0 {
		return len(text)
	}
	n := 0
	for _, c := range text {
		if c != '\n' && c != '\r' {
			text[n] = c
			n++
		}
	}
	return n
}
