package registry

import (
	"fmt"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// scanner reads JSON strictly, so that no two readers of one document can
// disagree about it: RFC 8259 and no more, keys compared after unescaping and
// unique in their object, no lone surrogates, nesting bounded. encoding/json
// folds the case of keys and lets the last duplicate win, so it cannot decide
// what a manifest refers to.
//
// The first error sticks: every method is then a no-op, and loops end.
type scanner struct {
	s     string
	i     int
	depth int
	keys  []string // of the objects that are open, outermost first
	err   error
}

// object is one open object. The zero value is not usable; see scanner.object.
type object struct {
	key   string // of the member whose value comes next
	base  int    // where its keys start in scanner.keys
	seen  map[string]struct{}
	began bool
}

const (
	maxDepth = 64
	// Up to this many keys a linear search is cheaper than a map.
	fewKeys = 16
)

func (p *scanner) fail(format string, a ...any) {
	if p.err == nil {
		p.err = fmt.Errorf("%s at byte %d", fmt.Sprintf(format, a...), p.i)
	}
}

// peek skips white space and returns the next byte, 0 at the end or after an error.
func (p *scanner) peek() byte {
	if p.err != nil {
		return 0
	}
	for p.i < len(p.s) {
		switch c := p.s[p.i]; c {
		case ' ', '\t', '\n', '\r':
			p.i++
		default:
			return c
		}
	}
	return 0
}

// take consumes c, which must be next.
func (p *scanner) take(c byte) bool {
	if p.peek() == c && p.err == nil {
		p.i++
		return true
	}
	p.unexpected("'" + string(rune(c)) + "'")
	return false
}

func (p *scanner) unexpected(want string) {
	if p.err == nil && p.i >= len(p.s) {
		p.fail("the document ends where %s was expected", want)
		return
	}
	p.fail("expected %s", want)
}

func (p *scanner) open(c byte) {
	if !p.take(c) {
		return
	}
	if p.depth++; p.depth > maxDepth {
		p.fail("nested deeper than %d levels", maxDepth)
	}
}

func (p *scanner) shut() {
	p.i++
	p.depth--
}

// object enters an object.
func (p *scanner) object() object {
	p.open('{')
	return object{base: len(p.keys)}
}

// next reads the key of o's next member, whose value the caller must then
// consume. It returns false at the end of the object, having left it.
func (p *scanner) next(o *object) bool {
	c := p.peek()
	if p.err != nil {
		return false
	}
	if c == '}' {
		p.keys = p.keys[:o.base]
		p.shut()
		return false
	}
	if o.began && !p.take(',') {
		return false
	}
	o.began = true
	if p.peek() != '"' {
		p.unexpected("a key")
		return false
	}
	o.key = p.str()
	p.unique(o)
	return p.take(':')
}

func (p *scanner) unique(o *object) {
	if p.err != nil {
		return
	}
	repeated := false
	mine := p.keys[o.base:]
	switch {
	case o.seen != nil:
		_, repeated = o.seen[o.key]
		o.seen[o.key] = struct{}{}
		if repeated {
			break
		}
		return // the stack need not grow any more
	case len(mine) < fewKeys:
		for _, k := range mine {
			repeated = repeated || k == o.key
		}
	default:
		o.seen = make(map[string]struct{}, 4*fewKeys)
		for _, k := range mine {
			o.seen[k] = struct{}{}
		}
		_, repeated = o.seen[o.key]
		o.seen[o.key] = struct{}{}
	}
	if repeated {
		p.fail("duplicate key %q", clip(o.key))
		return
	}
	p.keys = append(p.keys, o.key)
}

// array enters an array.
func (p *scanner) array() { p.open('[') }

// more tells whether the array has an element number n, counted from 0, and
// moves to it. It returns false at the end of the array, having left it.
func (p *scanner) more(n int) bool {
	c := p.peek()
	switch {
	case p.err != nil:
		return false
	case c == ']':
		p.shut()
		return false
	case n == 0:
		return true
	}
	if !p.take(',') {
		return false
	}
	if p.peek() == ']' {
		p.unexpected("a value")
		return false
	}
	return p.err == nil
}

// null consumes null, if that is what comes next. Encoders write it for an
// absent list, map or pointer.
func (p *scanner) null() bool {
	if p.peek() == 'n' {
		p.literal("null")
		return p.err == nil
	}
	return false
}

func (p *scanner) literal(word string) {
	if !strings.HasPrefix(p.s[p.i:], word) {
		p.unexpected(word)
		return
	}
	p.i += len(word)
}

// str reads a string.
func (p *scanner) str() string {
	if !p.take('"') {
		return ""
	}
	start := p.i
	for p.i < len(p.s) {
		switch c := p.s[p.i]; {
		case c == '"':
			p.i++
			return p.s[start : p.i-1]
		case c == '\\':
			return p.escaped(start)
		case c < ' ':
			p.fail("control character in a string")
			return ""
		}
		p.i++
	}
	p.fail("the document ends inside a string")
	return ""
}

// escaped is str from the first backslash on.
func (p *scanner) escaped(start int) string {
	out := append(make([]byte, 0, p.i-start+32), p.s[start:p.i]...)
	for p.i < len(p.s) {
		c := p.s[p.i]
		p.i++
		switch {
		case c == '"':
			return string(out)
		case c < ' ':
			p.i--
			p.fail("control character in a string")
			return ""
		case c != '\\':
			out = append(out, c)
			continue
		}
		if p.i == len(p.s) {
			break
		}
		c = p.s[p.i]
		p.i++
		switch c {
		case '"', '\\', '/':
			out = append(out, c)
		case 'b':
			out = append(out, '\b')
		case 'f':
			out = append(out, '\f')
		case 'n':
			out = append(out, '\n')
		case 'r':
			out = append(out, '\r')
		case 't':
			out = append(out, '\t')
		case 'u':
			r := p.unit()
			if utf16.IsSurrogate(r) {
				low := rune(-1)
				if strings.HasPrefix(p.s[p.i:], `\u`) {
					p.i += len(`\u`)
					low = p.unit()
				}
				if r = utf16.DecodeRune(r, low); r == utf8.RuneError {
					p.fail("half of a surrogate pair in a string")
				}
			}
			if p.err != nil {
				return ""
			}
			out = utf8.AppendRune(out, r)
		default:
			p.i--
			p.fail("unknown escape in a string")
			return ""
		}
	}
	p.fail("the document ends inside a string")
	return ""
}

// unit reads the four hex digits of a \u escape.
func (p *scanner) unit() rune {
	const digits = 4
	if len(p.s)-p.i >= digits {
		// ParseUint takes "+123" and "1_23" in no base but 0, so four hex digits it is.
		if v, err := strconv.ParseUint(p.s[p.i:p.i+digits], 16, 16); err == nil {
			p.i += digits
			return rune(v)
		}
	}
	p.fail("want four hex digits after \\u")
	return utf8.RuneError
}

// integer reads a number that has neither sign, fraction nor exponent.
func (p *scanner) integer() int64 {
	if p.peek() == 0 {
		p.unexpected("a number")
		return 0
	}
	start := p.i
	if p.number(); p.err != nil {
		return 0
	}
	n, err := strconv.ParseInt(p.s[start:p.i], 10, 64)
	if err != nil || n < 0 || p.s[start] == '-' {
		p.i = start
		p.fail("want a whole number from 0 to 2^63-1, not %q", clip(p.s[start:min(len(p.s), start+24)]))
		return 0
	}
	return n
}

func (p *scanner) number() {
	digits := func() {
		if p.i >= len(p.s) || p.s[p.i] < '0' || p.s[p.i] > '9' {
			p.unexpected("a digit")
		}
		for p.i < len(p.s) && p.s[p.i] >= '0' && p.s[p.i] <= '9' {
			p.i++
		}
	}
	at := func(set string) bool { return p.i < len(p.s) && strings.IndexByte(set, p.s[p.i]) >= 0 }
	if at("-") {
		p.i++
	}
	if at("0") {
		p.i++
	} else {
		digits()
	}
	if at(".") {
		p.i++
		digits()
	}
	if at("eE") {
		p.i++
		if at("+-") {
			p.i++
		}
		digits()
	}
}

// skip checks and passes one value of any kind.
func (p *scanner) skip() {
	switch c := p.peek(); c {
	case '{':
		for o := p.object(); p.next(&o); {
			p.skip()
		}
	case '[':
		p.array()
		for n := 0; p.more(n); n++ {
			p.skip()
		}
	case '"':
		p.str()
	case 't':
		p.literal("true")
	case 'f':
		p.literal("false")
	case 'n':
		p.literal("null")
	default:
		if c != '-' && (c < '0' || c > '9') {
			p.unexpected("a value")
			return
		}
		p.number()
	}
}

// end checks that nothing follows the document.
func (p *scanner) end() error {
	if p.peek(); p.err == nil && p.i < len(p.s) {
		p.fail("text after the end of the document")
	}
	return p.err
}
