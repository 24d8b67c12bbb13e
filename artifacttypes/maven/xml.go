package maven

import (
	"encoding/xml"
	"errors"
	"io"
	"strings"

	"github.com/packhouse/packhouse/artifacttypes"
)

const (
	maxDocument = 4 << 20   // bytes of a POM, a plug-in descriptor or a .module file
	maxTag      = 256 << 10 // bytes of one tag: attributes are held all at once
	maxDepth    = 64        // nested elements, objects or arrays
	maxText     = 16 << 10  // bytes that are kept of one element's text
)

// xmlReader reads elements of a document that may be hostile: it holds no more
// than a tag, and there are no declarations and no entities of the document's own.
type xmlReader struct {
	d     *xml.Decoder
	name  string // of the file, for the client
	depth int
}

func newXMLReader(name string, r io.Reader) *xmlReader {
	d := xml.NewDecoder(&tagLimiter{r: r})
	// Maven's parser knows HTML's entities without a declaration.
	d.Entity = xml.HTMLEntity
	d.CharsetReader = charsetReader
	return &xmlReader{d: d, name: name}
}

// next returns the next element's start, its end or text. It returns io.EOF,
// MANIFEST_INVALID.
func (x *xmlReader) next() (xml.Token, error) {
	for {
		t, err := x.d.Token()
		if errors.Is(err, io.EOF) {
			return nil, io.EOF
		}
		if err != nil {
			return nil, x.invalid(err)
		}
		switch t.(type) {
		case xml.StartElement:
			if x.depth++; x.depth > maxDepth {
				return nil, artifacttypes.Invalid("%s nests elements deeper than %d", x.name, maxDepth)
			}
			return t, nil
		case xml.EndElement:
			x.depth--
			return t, nil
		case xml.CharData:
			return t, nil
		case xml.Directive:
			return nil, artifacttypes.Invalid("%s has a DOCTYPE, which is not allowed: remove it", x.name)
		}
	}
}

func (x *xmlReader) invalid(err error) error {
	if syntax, ok := errors.AsType[*xml.SyntaxError](err); ok {
		return artifacttypes.Invalid("%s is not well-formed XML: line %d: %s", x.name, syntax.Line, clip(syntax.Msg))
	}
	if errors.Is(err, errTag) {
		return artifacttypes.Invalid("%s has a tag of more than %d KiB", x.name, maxTag>>10)
	}
	if errors.Is(err, errCharset) {
		return artifacttypes.Invalid("%s is in a character set that is not supported: use UTF-8", x.name)
	}
	return err // storage, or the limit of a reader
}

// root reads up to the root element and checks its name.
func (x *xmlReader) root(want string) error {
	for {
		t, err := x.next()
		if errors.Is(err, io.EOF) {
			return artifacttypes.Invalid("%s holds no XML element: want <%s>", x.name, want)
		}
		if err != nil {
			return err
		}
		if start, ok := t.(xml.StartElement); ok {
			if start.Name.Local != want {
				return artifacttypes.Invalid("the root element of %s is <%s>: want <%s>", x.name, clip(start.Name.Local), want)
			}
			return nil
		}
	}
}

// children calls visit with the name of each child of the present element, up
// to its end. visit reads the child to its end.
func (x *xmlReader) children(visit func(name string) error) error {
	for {
		t, err := x.next()
		if err != nil {
			return x.unexpected(err)
		}
		switch t := t.(type) {
		case xml.StartElement:
			if err := visit(t.Name.Local); err != nil {
				return err
			}
		case xml.EndElement:
			return nil
		}
	}
}

// text reads the present element to its end and returns its own text, trimmed.
func (x *xmlReader) text() (string, error) {
	var b strings.Builder
	depth := x.depth
	for {
		t, err := x.next()
		if err != nil {
			return "", x.unexpected(err)
		}
		switch t := t.(type) {
		case xml.EndElement:
			if x.depth < depth {
				return strings.TrimSpace(b.String()), nil
			}
		case xml.CharData:
			if x.depth == depth && b.Len() < maxText {
				b.Write(t)
			}
		}
	}
}

// skip reads the present element to its end.
func (x *xmlReader) skip() error {
	_, err := x.text()
	return err
}

// finish checks that nothing but comments follows the root element.
func (x *xmlReader) finish() error {
	for {
		t, err := x.next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if _, ok := t.(xml.StartElement); ok {
			return artifacttypes.Invalid("%s has two root elements", x.name)
		}
	}
}

func (x *xmlReader) unexpected(err error) error {
	if errors.Is(err, io.EOF) {
		return artifacttypes.Invalid("%s ends inside an element", x.name)
	}
	return err
}

var errTag = errors.New("tag too long")

// tagLimiter fails when a "<" is followed by too many bytes without a ">".
type tagLimiter struct {
	r    io.Reader
	open bool
	run  int
}

func (l *tagLimiter) Read(p []byte) (int, error) {
	n, err := l.r.Read(p)
	for _, c := range p[:n] {
		switch c {
		case '>':
			l.open, l.run = false, 0
		case '<':
			l.open = true
		}
		if l.open {
			if l.run++; l.run > maxTag {
				return 0, errTag
			}
		}
	}
	return n, err
}
