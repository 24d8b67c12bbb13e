package pypi

import (
	"cmp"
	"slices"
	"strings"
)

const maxVersion = 256 // bytes

// version is a parsed PEP 440 version. Numbers are decimal digits without
// leading zeros, of any length; "" where the part is absent.
type version struct {
	epoch   string // "0" if absent
	release []string
	phase   string // of a pre-release: "a", "b", "rc"
	pre     string
	post    string
	dev     string
	local   []string // lower case
}

// parseVersion reads what PEP 440 "Appendix B" accepts.
func parseVersion(s string) (v version, ok bool) {
	s = strings.Trim(s, " \t\n\r\f\v")
	if len(s) > maxVersion {
		return version{}, false
	}
	p := versionParser{strings.Map(asciiLower, s)}
	p.take("v")
	number, ok := p.number()
	if !ok {
		return version{}, false
	}
	v.epoch = "0"
	if p.take("!") {
		v.epoch = number
		if number, ok = p.number(); !ok {
			return version{}, false
		}
	}
	v.release = append(v.release, number)
	for len(p.rest) > 1 && p.rest[0] == '.' && digit(p.rest[1]) {
		p.rest = p.rest[1:]
		number, _ = p.number()
		v.release = append(v.release, number)
	}
	if word, number := p.labelled("alpha", "a", "beta", "b", "preview", "pre", "rc", "c"); word != "" {
		v.phase, v.pre = phases[word], number
	}
	if len(p.rest) > 1 && p.rest[0] == '-' && digit(p.rest[1]) {
		p.rest = p.rest[1:]
		v.post, _ = p.number()
	} else if word, number := p.labelled("post", "rev", "r"); word != "" {
		v.post = number
	}
	if word, number := p.labelled("dev"); word != "" {
		v.dev = number
	}
	if p.take("+") {
		if v.local, ok = splitLocal(p.rest); !ok {
			return version{}, false
		}
		p.rest = ""
	}
	return v, p.rest == ""
}

var phases = map[string]string{
	"alpha": "a", "a": "a", "beta": "b", "b": "b", "preview": "rc", "pre": "rc", "rc": "rc", "c": "rc",
}

func asciiLower(r rune) rune {
	if r >= 'A' && r <= 'Z' {
		return r + 'a' - 'A'
	}
	return r
}

type versionParser struct{ rest string }

func (p *versionParser) take(prefix string) bool {
	rest, ok := strings.CutPrefix(p.rest, prefix)
	p.rest = rest
	return ok
}

func (p *versionParser) number() (string, bool) {
	n := 0
	for n < len(p.rest) && digit(p.rest[n]) {
		n++
	}
	number := p.rest[:n]
	p.rest = p.rest[n:]
	return trimZeros(number), n > 0
}

// separator takes one optional '-', '_' or '.'.
func (p *versionParser) separator() {
	if p.rest != "" && strings.IndexByte("-_.", p.rest[0]) >= 0 {
		p.rest = p.rest[1:]
	}
}

// labelled takes one of words, the longer before its beginnings, with the
// number behind it, which counts as 0 if absent. It takes nothing and returns
// "" if none is there.
func (p *versionParser) labelled(words ...string) (word, number string) {
	before := p.rest
	p.separator()
	for _, word := range words {
		if p.take(word) {
			p.separator()
			number, ok := p.number()
			if !ok {
				number = "0"
			}
			return word, number
		}
	}
	p.rest = before
	return "", ""
}

func splitLocal(s string) ([]string, bool) {
	parts := strings.FieldsFunc(s, func(r rune) bool { return r == '-' || r == '_' || r == '.' })
	length := len(parts) - 1 // of the separators, one each
	for i, part := range parts {
		length += len(part)
		for j := range len(part) {
			if !alphanumeric(part[j]) {
				return nil, false
			}
		}
		if numeric(part) {
			parts[i] = trimZeros(part)
		}
	}
	return parts, len(parts) > 0 && length == len(s)
}

func numeric(s string) bool { return s != "" && strings.Trim(s, "0123456789") == "" }

func trimZeros(number string) string {
	if trimmed := strings.TrimLeft(number, "0"); trimmed != "" || number == "" {
		return trimmed
	}
	return "0"
}

// String is the canonical form: PEP 440 "Normalization", as installers print it.
func (v version) String() string {
	var b strings.Builder
	if v.epoch != "0" {
		b.WriteString(v.epoch + "!")
	}
	b.WriteString(strings.Join(v.release, "."))
	b.WriteString(v.phase + v.pre)
	if v.post != "" {
		b.WriteString(".post" + v.post)
	}
	if v.dev != "" {
		b.WriteString(".dev" + v.dev)
	}
	if len(v.local) > 0 {
		b.WriteString("+" + strings.Join(v.local, "."))
	}
	return b.String()
}

// canonicalVersion returns the canonical form of s.
func canonicalVersion(s string) (string, bool) {
	v, ok := parseVersion(s)
	if !ok {
		return "", false
	}
	return v.String(), true
}

// unstable tells whether v is a pre-release or a development release.
func (v version) unstable() bool { return v.phase != "" || v.dev != "" }

// compare orders versions: PEP 440 "Summary of permitted suffixes and relative
// ordering".
func (v version) compare(w version) int {
	return cmp.Or(
		compareNumbers(v.epoch, w.epoch),
		slices.CompareFunc(v.significant(), w.significant(), compareNumbers),
		cmp.Compare(v.stage(), w.stage()),
		compareNumbers(v.pre, w.pre),
		comparePresence(v.post, w.post),
		compareNumbers(v.post, w.post),
		comparePresence(w.dev, v.dev), // a development release comes before what it leads to
		compareNumbers(v.dev, w.dev),
		slices.CompareFunc(v.local, w.local, compareLocal),
	)
}

// significant is the release without zeros at its end: 1.0 equals 1.0.0.
func (v version) significant() []string {
	n := len(v.release)
	for n > 0 && v.release[n-1] == "0" {
		n--
	}
	return v.release[:n]
}

// spellings lists other versions that PEP 440 calls equal to v: those with
// fewer or more zeros at the end of the release number, as far as anybody
// writes them.
func (v version) spellings() []string {
	const most = 4
	own := v.String()
	var list []string
	release := slices.Clone(v.significant())
	for len(release) <= most {
		if len(release) == 0 {
			release = append(release, "0")
		}
		other := v
		other.release = slices.Clone(release)
		if s := other.String(); s != own {
			list = append(list, s)
		}
		release = append(release, "0")
	}
	return list
}

// stage orders what has the same release number: 1.dev1 < 1a1 < 1b1 < 1rc1 < 1.
func (v version) stage() int {
	switch {
	case v.phase == "" && v.post == "" && v.dev != "":
		return 0
	case v.phase == "a":
		return 1
	case v.phase == "b":
		return 2
	case v.phase == "rc":
		return 3
	}
	return 4
}

func comparePresence(a, b string) int { return min(len(a), 1) - min(len(b), 1) }

func compareNumbers(a, b string) int {
	return cmp.Or(cmp.Compare(len(a), len(b)), strings.Compare(a, b))
}

// compareLocal orders segments of local versions: numbers come after words.
func compareLocal(a, b string) int {
	switch numberA, numberB := numeric(a), numeric(b); {
	case numberA && numberB:
		return compareNumbers(a, b)
	case numberA:
		return 1
	case numberB:
		return -1
	}
	return strings.Compare(a, b)
}
