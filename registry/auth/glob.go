package auth

import (
	"strings"

	"github.com/packhouse/packhouse/registry"
)

// maxGlob is the longest pattern in bytes.
const maxGlob = 256

// Glob is a compiled pattern over repository names. A `*` stands for anything
// within a segment, `**` for any number of whole segments, none included:
//
//	acme/app       that name
//	acme/**        acme and all below it
//	acme/*/app-*   acme/x/app-1, not acme/app-1
//	**/charts      charts, acme/charts, acme/x/charts
//	**             all names, and "", the whole registry
//
// Matching takes time in proportion to pattern × name at most, and no memory.
// The zero Glob matches nothing.
type Glob struct {
	text     string
	form     globForm
	literal  string    // the segments before the first that has a wildcard
	segments []segment // all of them
}

type globForm uint8

const (
	_           globForm = iota
	globExact            // literal
	globTree             // literal and all below it
	globPattern          // segments
)

// CompileGlob compiles a pattern. It returns PARAMETER_INVALID.
func CompileGlob(pattern string) (Glob, error) {
	bad := func(format string, a ...any) error {
		return registry.E("auth.CompileGlob", registry.ParameterInvalid, nil, format, a...)
	}
	switch {
	case pattern == "":
		return Glob{}, bad("the pattern of repository names is empty: use ** for all of them")
	case len(pattern) > maxGlob:
		return Glob{}, bad("the pattern of repository names is %d bytes long, the limit is %d", len(pattern), maxGlob)
	}
	g := Glob{text: pattern, form: globPattern}
	literals := 0
	for text := range strings.SplitSeq(pattern, "/") {
		s, ok := parseSegment(text)
		if !ok {
			return Glob{}, bad("%q is not a pattern of repository names: %q is neither **, nor lower-case letters, digits, '.', '_', '-' and single '*'", clip(pattern), clip(text))
		}
		if s.kind == segmentLiteral && literals == len(g.segments) {
			literals++
		}
		g.segments = appendSegment(g.segments, s)
	}
	for i, s := range g.segments[:literals] {
		if i > 0 {
			g.literal += "/"
		}
		g.literal += s.text
	}
	switch rest := g.segments[literals:]; {
	case len(rest) == 0:
		g.form = globExact
	case len(rest) == 1 && rest[0].kind == segmentAny:
		g.form = globTree
	}
	return g, nil
}

// appendSegment puts each `*` before the `**` beside it and keeps one `**` of
// many, which is the same pattern in a form that [Glob.Covers] sees through.
func appendSegment(list []segment, s segment) []segment {
	last := len(list) - 1
	if last < 0 || list[last].kind != segmentAny {
		return append(list, s)
	}
	switch s.kind {
	case segmentAny:
		return list
	case segmentOne:
		return append(list[:last], s, list[last])
	case segmentLiteral, segmentPieces:
	}
	return append(list, s)
}

// String is the pattern.
func (g Glob) String() string { return g.text }

// Match tells whether the pattern matches name as a whole.
func (g Glob) Match(name string) bool {
	switch g.form {
	case globExact:
		return name == g.literal
	case globTree:
		return within(name, g.literal)
	case globPattern:
		if !within(name, g.literal) {
			return false
		}
		at := g.after(name)
		return at.has(len(g.segments))
	}
	return false
}

// Overlaps tells whether the pattern could match prefix or a name below it. It
// may say so wrongly of patterns that match no legal name there.
func (g Glob) Overlaps(prefix string) bool {
	switch g.form {
	case globExact:
		return within(g.literal, prefix)
	case globTree:
		return within(g.literal, prefix) || within(prefix, g.literal)
	case globPattern:
		// Every state has a way on to the end.
		return within(g.literal, prefix) || within(prefix, g.literal) && !g.after(prefix).empty()
	}
	return false
}

// Covers tells whether the pattern matches prefix and every name below it. It
// may deny so wrongly of patterns that do not end in `**`.
func (g Glob) Covers(prefix string) bool {
	switch g.form {
	case globTree:
		return within(prefix, g.literal)
	case globPattern:
		last := len(g.segments) - 1
		return g.segments[last].kind == segmentAny && within(prefix, g.literal) && g.after(prefix).has(last)
	case globExact:
	}
	return false
}

// Includes tells whether the pattern matches every name that inner matches. It
// may deny so wrongly where inner's `**` meets anything but a `**`.
func (g Glob) Includes(inner Glob) bool {
	if g.form == 0 || inner.form == 0 {
		return inner.form == 0
	}
	outer, in := g.segments, inner.segments
	// The usual match with one way back, to the last `**`.
	o, i, star, mark := 0, 0, -1, 0
	for i < len(in) {
		switch {
		case o < len(outer) && outer[o].kind == segmentAny:
			star, mark = o, i
			o++
		case o < len(outer) && in[i].kind != segmentAny && includesText(outer[o].text, in[i].text):
			o, i = o+1, i+1
		case star >= 0:
			mark++
			o, i = star+1, mark
		default:
			return false
		}
	}
	for o < len(outer) && outer[o].kind == segmentAny {
		o++
	}
	return o == len(outer)
}

// within tells whether name is prefix or below it; everything is below "".
func within(name, prefix string) bool {
	return prefix == "" || strings.HasPrefix(name, prefix) && (len(name) == len(prefix) || name[len(prefix)] == '/')
}

// namespaceGlob is the pattern that all patterns bound to a namespace lie
// inside: what belongs to it. The root namespace has the one-segment names.
func namespaceGlob(namespace string) string {
	if namespace == "" {
		return "*"
	}
	return namespace + "/**"
}
