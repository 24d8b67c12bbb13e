package maven

import (
	"bufio"
	"errors"
	"io"
	"strings"
	"unicode/utf8"
)

var errCharset = errors.New("character set not supported")

// charsetReader knows the one-byte character sets that old POMs declare.
func charsetReader(label string, r io.Reader) (io.Reader, error) {
	switch strings.ToLower(label) {
	case "iso-8859-1", "iso8859-1", "iso8859_1", "latin1", "latin-1", "us-ascii", "ascii", "windows-1252", "cp1252":
		return &oneByteReader{r: bufio.NewReader(r)}, nil
	case "utf8":
		return r, nil
	}
	return nil, errCharset
}

// windows1252 is what Windows-1252 has in place of the C1 controls of ISO
// 8859-1, which XML does not use: the WHATWG Encoding Standard reads both so.
const windows1252 = "€\u0081‚ƒ„…†‡ˆ‰Š‹Œ\u008dŽ\u008f\u0090‘’“”•–—˜™š›œ\u009džŸ"

// oneByteReader turns Windows-1252, and so ISO 8859-1 and ASCII, into UTF-8.
type oneByteReader struct {
	r    *bufio.Reader
	rest []byte // of a character that did not fit
	buf  [utf8.UTFMax]byte
}

func (o *oneByteReader) Read(p []byte) (int, error) {
	n := 0
	for n < len(p) {
		if len(o.rest) == 0 {
			if n > 0 && o.r.Buffered() == 0 {
				return n, nil
			}
			c, err := o.r.ReadByte()
			if err != nil {
				return n, err
			}
			o.rest = o.buf[:utf8.EncodeRune(o.buf[:], decode1252(c))]
		}
		copied := copy(p[n:], o.rest)
		n += copied
		o.rest = o.rest[copied:]
	}
	return n, nil
}

func decode1252(c byte) rune {
	if c < 0x80 || c > 0x9f {
		return rune(c)
	}
	return []rune(windows1252)[c-0x80]
}
