package auth

import (
	"strings"

	"github.com/packhouse/packhouse/registry"
)

// segment is one part of a [Glob] between slashes.
type segment struct {
	kind           segmentKind
	text           string
	prefix, suffix string   // of segmentPieces, before the first `*` and after the last
	middle         []string // between them, none empty
}

type segmentKind uint8

const (
	segmentLiteral segmentKind = iota
	segmentPieces              // literals around `*`
	segmentOne                 // `*`
	segmentAny                 // `**`: any number of segments
)

// parseSegment reads what stands between two slashes.
func parseSegment(text string) (segment, bool) {
	s := segment{text: text}
	switch {
	case text == "**":
		s.kind = segmentAny
		return s, true
	case text == "*":
		s.kind = segmentOne
		return s, true
	case !strings.Contains(text, "*"):
		_, err := registry.ParseRepo(text)
		return s, err == nil
	case strings.Contains(text, "**"), strings.Trim(text, "abcdefghijklmnopqrstuvwxyz0123456789._-*") != "":
		return s, false
	}
	s.kind = segmentPieces
	pieces := strings.Split(text, "*")
	s.prefix, s.suffix, s.middle = pieces[0], pieces[len(pieces)-1], pieces[1:len(pieces)-1]
	return s, true
}

// match tells whether the segment, which is no `**`, matches name's as a
// whole: each piece is taken where it first fits.
func (s *segment) match(name string) bool {
	switch s.kind {
	case segmentLiteral:
		return name == s.text
	case segmentOne:
		return true
	case segmentPieces:
		if len(name) < len(s.prefix)+len(s.suffix) || !strings.HasPrefix(name, s.prefix) || !strings.HasSuffix(name, s.suffix) {
			return false
		}
		name = name[len(s.prefix) : len(name)-len(s.suffix)]
		for _, piece := range s.middle {
			_, rest, ok := strings.Cut(name, piece)
			if !ok {
				return false
			}
			name = rest
		}
		return true
	case segmentAny:
	}
	return false
}

// includesText tells whether the segment outer matches all that inner does: a
// `*` of inner is met by a `*` alone.
func includesText(outer, inner string) bool {
	o, i, star, mark := 0, 0, -1, 0
	for i < len(inner) {
		switch {
		case o < len(outer) && outer[o] == '*':
			star, mark = o, i
			o++
		case o < len(outer) && inner[i] != '*' && outer[o] == inner[i]:
			o, i = o+1, i+1
		case star >= 0:
			mark++
			o, i = star+1, mark
		default:
			return false
		}
	}
	return strings.Trim(outer[o:], "*") == ""
}

// states is a set of positions in a pattern: i means that the segments before
// i are matched. maxGlob bytes hold 128 segments at most.
type states [maxGlob/2/64 + 1]uint64

func (s *states) add(i int)     { s[i/64] |= 1 << (i % 64) }
func (s states) has(i int) bool { return s[i/64]&(1<<(i%64)) != 0 }
func (s states) empty() bool    { return s == states{} }

// after returns where the pattern can be once name, all of it, is matched.
func (g *Glob) after(name string) states {
	var now states
	now.add(0)
	g.skip(&now)
	for name != "" && !now.empty() {
		part, rest, _ := strings.Cut(name, "/")
		name = rest
		var next states
		for i := range g.segments {
			switch {
			case !now.has(i):
			case g.segments[i].kind == segmentAny:
				next.add(i)
			case g.segments[i].match(part):
				next.add(i + 1)
			}
		}
		g.skip(&next)
		now = next
	}
	return now
}

// skip adds the ways past each `**` that matches nothing more.
func (g *Glob) skip(s *states) {
	for i := range g.segments {
		if g.segments[i].kind == segmentAny && s.has(i) {
			s.add(i + 1)
		}
	}
}
