package npm

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"io"

	"github.com/packhouse/packhouse/artifacttypes"
	"github.com/packhouse/packhouse/registry"
)

const (
	maxBody  = 64 << 20 // bytes of a request body, apart from attachments
	maxStack = 128      // levels of objects and arrays in it
)

// scan reads the body of a PUT of a package. It hands the text of each
// attachment's "data", which may be larger than memory, to attachment, and
// returns the rest of the document with that text empty. What attachment does
// not read is skipped.
//
// It finds its way in well-formed JSON; whether it was that is known only when
// the rest has been checked, at the end. It returns MANIFEST_INVALID,
// TOO_LARGE, and what attachment and the reader of the body return.
func scan(body io.Reader, attachment func(name string, data io.Reader) error) (object, error) {
	const buffer = 64 << 10
	s := &scanner{r: bufio.NewReaderSize(body, buffer), attachment: attachment}
	for {
		c, err := s.r.ReadByte()
		if errors.Is(err, io.EOF) {
			break
		}
		if err == nil {
			err = s.step(c)
		}
		if err != nil {
			return nil, err
		}
	}
	if !json.Valid(s.kept.Bytes()) {
		return nil, notJSON()
	}
	doc, ok := fields(s.kept.Bytes())
	if !ok {
		return nil, artifacttypes.Invalid("the request body is not a JSON object")
	}
	return doc, nil
}

func notJSON() error {
	return artifacttypes.Invalid("the request body is not valid JSON, or ends in the middle")
}

type scanner struct {
	r          *bufio.Reader
	kept       bytes.Buffer
	open       []level
	attachment func(name string, data io.Reader) error
}

// level is one object or array that is open.
type level struct {
	object bool
	key    string // the last one read
	value  bool   // what comes next belongs to key
}

func (s *scanner) step(c byte) error {
	switch c {
	case ' ', '\t', '\r', '\n':
		return nil
	case '"':
		return s.string()
	case '{', '[':
		if len(s.open) == maxStack {
			return artifacttypes.Invalid("the request body is nested deeper than %d levels", maxStack)
		}
		s.open = append(s.open, level{object: c == '{'})
	case '}', ']':
		if len(s.open) == 0 {
			return notJSON()
		}
		s.open = s.open[:len(s.open)-1]
	case ':', ',':
		if n := len(s.open); n > 0 {
			s.open[n-1].value = c == ':'
		}
	}
	return s.keep(c)
}

func (s *scanner) keep(text ...byte) error {
	if s.kept.Len()+len(text) > maxBody {
		return registry.E("npm.scan", registry.TooLarge, nil, "the request body is larger than %d MiB without its attachments", maxBody>>20)
	}
	s.kept.Write(text)
	return nil
}

// string reads one string, from behind its opening quote.
func (s *scanner) string() error {
	if name, ok := s.inAttachment(); ok {
		data := &attachmentData{r: s.r}
		if err := s.attachment(name, data); err != nil {
			return err
		}
		if _, err := io.Copy(io.Discard, data); err != nil {
			return err
		}
		return s.keep('"', '"')
	}
	start := s.kept.Len()
	if err := s.keep('"'); err != nil {
		return err
	}
	for escaped, ended := false, false; !ended; {
		part, err := s.r.ReadSlice('"')
		for _, c := range part {
			switch {
			case escaped:
				escaped = false
			case c == '\\':
				escaped = true
			case c == '"':
				ended = true
			}
		}
		switch {
		case errors.Is(err, io.EOF):
			return notJSON()
		case err != nil && !errors.Is(err, bufio.ErrBufferFull):
			return err
		}
		if err := s.keep(part...); err != nil {
			return err
		}
	}
	return s.gotString(s.kept.Bytes()[start:])
}

// gotString remembers what may be the key of an object.
func (s *scanner) gotString(text []byte) error {
	n := len(s.open)
	if n == 0 || !s.open[n-1].object || s.open[n-1].value {
		return nil
	}
	if !json.Valid(text) {
		return notJSON()
	}
	s.open[n-1].key = unquote(text)
	return nil
}

// inAttachment tells whether what comes next is an attachment's data, and the
// attachment's name.
func (s *scanner) inAttachment() (string, bool) {
	path := [...]string{"_attachments", "", "data"}
	if len(s.open) != len(path) {
		return "", false
	}
	for i, l := range s.open {
		if !l.object || !l.value || path[i] != "" && l.key != path[i] {
			return "", false
		}
	}
	return s.open[1].key, true
}

// attachmentData is the value of a JSON string, from behind its opening quote.
type attachmentData struct {
	r     *bufio.Reader
	rest  []byte // of a character that an escape stood for
	ended bool
}

func (d *attachmentData) Read(p []byte) (int, error) {
	for len(p) > 0 {
		if len(d.rest) > 0 {
			n := copy(p, d.rest)
			d.rest = d.rest[n:]
			return n, nil
		}
		if d.ended {
			return 0, io.EOF
		}
		if _, err := d.r.Peek(1); err != nil {
			return 0, ended(err)
		}
		part, _ := d.r.Peek(min(d.r.Buffered(), len(p)))
		for _, c := range []byte{'"', '\\'} {
			if i := bytes.IndexByte(part, c); i >= 0 {
				part = part[:i]
			}
		}
		if n := copy(p, part); n > 0 {
			_, err := d.r.Discard(n)
			return n, err
		}
		if err := d.special(); err != nil {
			return 0, err
		}
	}
	return 0, nil
}

// special reads the closing quote, or an escape.
func (d *attachmentData) special() error {
	c, err := d.r.ReadByte()
	if err != nil {
		return ended(err)
	}
	if c == '"' {
		d.ended = true
		return nil
	}
	escape := []byte{'"', c}
	more := func(n int) bool {
		part, err := d.r.Peek(n)
		escape = append(escape, part...)
		_, _ = d.r.Discard(len(part))
		return err == nil
	}
	const unit = 4 // hex digits
	if more(1) && escape[2] == 'u' && more(unit) {
		// The first half of a pair says nothing without the second.
		if next, err := d.r.Peek(2); err == nil && next[0] == '\\' && next[1] == 'u' && bytes.EqualFold(escape[3:4], []byte("d")) {
			more(2 + unit)
		}
	}
	escape = append(escape, '"')
	if !json.Valid(escape) {
		return notJSON()
	}
	d.rest = []byte(unquote(escape))
	return nil
}

func ended(err error) error {
	if errors.Is(err, io.EOF) {
		return notJSON()
	}
	return err
}
