package oidc

import (
	"encoding/json"

	"github.com/packhouse/packhouse/storage/meta"
)

// maxClaim bounds the text of a claim that is compared.
const maxClaim = 2 << 10

// fits tells whether a token has every claim of a rule with the value that the
// rule wants, and else which it has not. A rule that wants nothing is fitted by
// nothing: it would be open to everybody whom the issuer knows.
func (c claims) fits(rule meta.Trust) (missing string, ok bool) {
	if len(rule.Claims) == 0 {
		return "", false
	}
	for name, want := range rule.Claims {
		got, is := c.value(name)
		if !is || got == "" || len(got) > maxClaim || !like(want, got) {
			return name, false
		}
	}
	return "", true
}

// value is a claim as it is compared: strings and booleans. Numbers have many
// spellings and lose digits on the way, so an id that is one matches nothing;
// issuers that mean ids to be compared send them as strings.
func (c claims) value(name string) (string, bool) {
	if s, ok := c.text(name); ok {
		return s, true
	}
	var b *bool
	if json.Unmarshal(c[name], &b) != nil || b == nil {
		return "", false
	}
	if *b {
		return "true", true
	}
	return "false", true
}

// like tells whether text is what a rule wants: the same, but that `*` in the
// rule stands for anything without '/' and ':', the separators of refs and
// subjects, and `**` for anything at all. It takes time in proportion to rule ×
// text at most.
func like(rule, text string) bool {
	// The states are the places in the rule that can be reached; a place at a
	// wildcard is also one behind it.
	now, next := make([]bool, len(rule)+1), make([]bool, len(rule)+1)
	reach := func(states []bool, at int) {
		for !states[at] {
			states[at] = true
			if at == len(rule) || rule[at] != '*' {
				return
			}
			at += wildcard(rule, at)
		}
	}
	reach(now, 0)
	for _, c := range []byte(text) {
		clear(next)
		for at := range rule {
			switch {
			case !now[at]:
			case rule[at] != '*':
				if rule[at] == c {
					reach(next, at+1)
				}
			case wildcard(rule, at) > 1 || c != '/' && c != ':':
				reach(next, at)
			}
		}
		now, next = next, now
	}
	return now[len(rule)]
}

// wildcard is the length of the wildcard at a place: 1, or more for `**`.
func wildcard(rule string, at int) int {
	n := 0
	for at+n < len(rule) && rule[at+n] == '*' {
		n++
	}
	return n
}
