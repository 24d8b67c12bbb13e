package npm

import (
	"bytes"
	"encoding/json"
	"slices"
	"strconv"
	"unicode/utf8"

	"github.com/packhouse/packhouse/artifacttypes"
)

const (
	maxDepth  = 64      // levels of objects and arrays in a package.json
	maxFields = 100_000 // fields in it, over all levels
	maxNumber = 100     // bytes of a number in it
)

// member is one field of an object.
type member struct {
	Key   string
	Value json.RawMessage
}

// object is a JSON object's fields, in their order.
type object []member

// get returns the value of key, the last where there are several; nil for none.
func (o object) get(key string) json.RawMessage {
	for _, m := range slices.Backward(o) {
		if m.Key == key {
			return m.Value
		}
	}
	return nil
}

// set replaces the value of key, or adds it at the end.
func (o *object) set(key string, value json.RawMessage) {
	for i := range *o {
		if (*o)[i].Key == key {
			(*o)[i].Value = value
			return
		}
	}
	*o = append(*o, member{key, value})
}

// drop removes the fields that cut is true for.
func (o *object) drop(cut func(key string) bool) {
	kept := (*o)[:0]
	for _, m := range *o {
		if !cut(m.Key) {
			kept = append(kept, m)
		}
	}
	*o = kept
}

func (o *object) remove(key string) { o.drop(func(k string) bool { return k == key }) }

func (o object) write(w *bytes.Buffer) {
	w.WriteByte('{')
	for i, m := range o {
		if i > 0 {
			w.WriteByte(',')
		}
		w.Write(quote(m.Key))
		w.WriteByte(':')
		w.Write(m.Value)
	}
	w.WriteByte('}')
}

// raw is the object as JSON.
func (o object) raw() json.RawMessage {
	var w bytes.Buffer
	o.write(&w)
	return w.Bytes()
}

// text returns a JSON string's value; false for any other value.
func text(v json.RawMessage) (string, bool) {
	if len(v) < 2 || v[0] != '"' {
		return "", false
	}
	return unquote(v), true
}

func quote(s string) json.RawMessage { return encode(s) }

// encode is v as JSON, without escaping what only HTML needs escaped.
func encode(v any) json.RawMessage {
	var w bytes.Buffer
	e := json.NewEncoder(&w)
	e.SetEscapeHTML(false)
	_ = e.Encode(v) // of strings, maps and structs of them: nothing there can fail
	return bytes.TrimRight(w.Bytes(), "\n")
}

// unquote is the value of a valid JSON string.
func unquote(v []byte) string {
	if bytes.IndexByte(v, '\\') < 0 {
		return string(v[1 : len(v)-1])
	}
	var s string
	_ = json.Unmarshal(v, &s) // cannot fail: the string is valid
	return s
}

// fields splits an object that is known to be valid JSON; false for any other value.
func fields(doc json.RawMessage) (object, bool) {
	p := reader{doc: doc}
	if p.peek() != '{' {
		return nil, false
	}
	o := object{}
	for p.i++; p.peek() != '}'; {
		if p.peek() == ',' {
			p.i++
		}
		key := unquote(p.take())
		p.peek()
		p.i++ // the colon
		o = append(o, member{key, p.take()})
	}
	return o, true
}

// elements splits an array that is known to be valid JSON; false for any other value.
func elements(doc json.RawMessage) ([]json.RawMessage, bool) {
	p := reader{doc: doc}
	if p.peek() != '[' {
		return nil, false
	}
	list := []json.RawMessage{}
	for p.i++; p.peek() != ']'; {
		if p.peek() == ',' {
			p.i++
		}
		list = append(list, p.take())
	}
	return list, true
}

// reader walks valid JSON.
type reader struct {
	doc []byte
	i   int
}

// peek skips white space and returns the next byte.
func (p *reader) peek() byte {
	for p.i < len(p.doc) {
		switch c := p.doc[p.i]; c {
		case ' ', '\t', '\n', '\r':
			p.i++
		default:
			return c
		}
	}
	return 0
}

// take returns the next value as it stands.
func (p *reader) take() json.RawMessage {
	p.peek()
	start, depth := p.i, 0
	for p.i < len(p.doc) {
		switch c := p.doc[p.i]; c {
		case '"':
			p.skipString()
			if depth == 0 {
				return p.doc[start:p.i]
			}
			continue
		case '{', '[':
			depth++
		case '}', ']':
			if depth == 0 { // the end of what a number or a word is in
				return p.doc[start:p.i]
			}
			if depth--; depth == 0 {
				p.i++
				return p.doc[start:p.i]
			}
		case ',', ' ', '\t', '\n', '\r':
			if depth == 0 {
				return p.doc[start:p.i]
			}
		}
		p.i++
	}
	return p.doc[start:p.i]
}

func (p *reader) skipString() {
	for p.i++; p.i < len(p.doc); p.i++ {
		switch p.doc[p.i] {
		case '\\':
			p.i++
		case '"':
			p.i++
			return
		}
	}
}

// checkJSON checks what encoding/json and JavaScript let pass, but what two
// readers of one document may understand differently: invalid UTF-8, keys
// that are there twice, numbers that fit nowhere. It returns MANIFEST_INVALID.
func checkJSON(what string, doc []byte) error {
	switch {
	case !utf8.Valid(doc):
		return artifacttypes.Invalid("%s is not valid UTF-8", what)
	case !json.Valid(doc):
		return artifacttypes.Invalid("%s is not valid JSON", what)
	}
	c := checker{reader: reader{doc: doc}, what: what}
	return c.value(1)
}

type checker struct {
	reader
	what string
	n    int // fields so far
}

func (c *checker) value(depth int) error {
	if depth > maxDepth {
		return artifacttypes.Invalid("%s is nested deeper than %d levels", c.what, maxDepth)
	}
	switch b := c.peek(); b {
	case '{':
		seen := map[string]struct{}{}
		for c.i++; c.peek() != '}'; {
			if c.peek() == ',' {
				c.i++
			}
			key := unquote(c.take())
			if _, twice := seen[key]; twice {
				return artifacttypes.Invalid("%s has the key %q twice in one object", c.what, clip(key))
			}
			if c.n++; c.n > maxFields {
				return artifacttypes.Invalid("%s has more than %d fields", c.what, maxFields)
			}
			seen[key] = struct{}{}
			c.peek()
			c.i++
			if err := c.value(depth + 1); err != nil {
				return err
			}
		}
		c.i++
	case '[':
		for c.i++; c.peek() != ']'; {
			if c.peek() == ',' {
				c.i++
			}
			if err := c.value(depth + 1); err != nil {
				return err
			}
		}
		c.i++
	case '"', 't', 'f', 'n':
		c.take()
	default:
		n := c.take()
		if len(n) > maxNumber {
			return artifacttypes.Invalid("%s has a number of %d digits", c.what, len(n))
		}
		if _, err := strconv.ParseFloat(string(n), 64); err != nil {
			return artifacttypes.Invalid("%s has the number %s, which is too large", c.what, n)
		}
	}
	return nil
}
