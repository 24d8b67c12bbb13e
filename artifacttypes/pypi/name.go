package pypi

import "strings"

const maxName = 200 // bytes

// canonicalName returns the PEP 503 form of a project name: lower case, each
// run of '-', '_' and '.' one '-'. ok is false for what is no name, by the
// grammar of the core metadata's Name field.
func canonicalName(s string) (name string, ok bool) {
	if s == "" || len(s) > maxName || !alphanumeric(s[0]) || !alphanumeric(s[len(s)-1]) {
		return "", false
	}
	var b strings.Builder
	for i := range len(s) {
		switch c := s[i]; {
		case alphanumeric(c):
			b.WriteByte(lower(c))
		case c == '-' || c == '_' || c == '.':
			if alphanumeric(s[i-1]) {
				b.WriteByte('-')
			}
		default:
			return "", false
		}
	}
	return b.String(), true
}

func alphanumeric(c byte) bool { return digit(c) || lower(c) >= 'a' && lower(c) <= 'z' }

func digit(c byte) bool { return c >= '0' && c <= '9' }

func lower(c byte) byte {
	if c >= 'A' && c <= 'Z' {
		return c + 'a' - 'A'
	}
	return c
}
