package secrets

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"
	"testing"
)

// canaries are secrets, by what they are.
type canaries map[string]string

// password makes a secret that must not be seen again. It has what escaping changes.
func (c canaries) password(what string) string { return c.keep(what, "Cn+"+rand.Text()[:16]+"/%&=") }

// word makes one of letters and digits alone.
func (c canaries) word(what string) string { return c.keep(what, "Cn"+rand.Text()) }

// keep notes one that somebody else made.
func (c canaries) keep(what, secret string) string {
	if _, twice := c[what]; twice || len(secret) < 16 {
		panic(fmt.Sprintf("canary %q is there already, or its text of %d bytes is too short to be sure of", what, len(secret)))
	}
	c[what] = secret
	return secret
}

// jwt notes a JWT. Its signature is what makes it worth something.
func (c canaries) jwt(what, token string) string {
	c.keep(what+", signature", token[strings.LastIndexByte(token, '.')+1:])
	return c.keep(what, token)
}

// source is something that others may read.
type source struct {
	name    string
	content []byte
}

// leaks lists which secrets can be read where.
func (c canaries) leaks(sources []source) []string {
	var found []string
	for what, secret := range c {
		spelled := forms(secret)
		for _, s := range sources {
			for _, how := range slices.Sorted(maps.Keys(spelled)) {
				if at := bytes.Index(s.content, spelled[how]); at >= 0 {
					found = append(found, fmt.Sprintf("%s: %s, %s: …%.200q…", s.name, what, how, s.content[max(0, at-60):min(len(s.content), at+len(spelled[how])+60)]))
					break
				}
			}
		}
	}
	slices.Sort(found)
	return found
}

// forms are the spellings of a secret that are as good as the secret.
func forms(secret string) map[string][]byte {
	quoted, _ := json.Marshal(secret) // a string always does
	all := map[string][]byte{
		"as it is":            []byte(secret),
		"quoted":              quoted[1 : len(quoted)-1],
		"escaped for a query": []byte(url.QueryEscape(secret)),
		"escaped for a path":  []byte(url.PathEscape(secret)),
		"in hex":              []byte(hex.EncodeToString([]byte(secret))),
		"in upper-case hex":   []byte(strings.ToUpper(hex.EncodeToString([]byte(secret)))),
		"reversed":            reversed(secret),
	}
	// In base64 it depends on how many bytes stand before it, as a user's name and a colon do: what is certain is the text
	// of the whole groups of three that begin and end in it.
	for shift := range 3 {
		inner := secret[(3-shift)%3:]
		inner = inner[:len(inner)/3*3]
		all[fmt.Sprintf("in base64 at %d", shift)] = []byte(base64.StdEncoding.EncodeToString([]byte(inner)))
		all[fmt.Sprintf("in base64url at %d", shift)] = []byte(base64.RawURLEncoding.EncodeToString([]byte(inner)))
	}
	return all
}

func reversed(secret string) []byte {
	b := []byte(secret)
	slices.Reverse(b)
	return b
}

// TestSearch: what is planted is found, however it is spelled, and nothing else is.
func TestSearch(t *testing.T) {
	t.Parallel()
	c := canaries{}
	secret := c.password("a password")
	other := canaries{}.password("another")
	for name, spell := range map[string]func(string) string{
		"as it is":         func(s string) string { return s },
		"in a log line":    func(s string) string { return fmt.Sprintf("level=WARN msg=failed err=%q", "bind: "+s) },
		"in JSON":          func(s string) string { b, _ := json.Marshal(map[string]string{"err": s}); return string(b) },
		"in a query":       func(s string) string { return "uri=/token?" + url.Values{"password": {s}}.Encode() },
		"in a path":        func(s string) string { return "uri=/-/user/token/" + url.PathEscape(s) },
		"after one byte":   func(s string) string { return base64.StdEncoding.EncodeToString([]byte("a" + s)) },
		"in Basic":         func(s string) string { return base64.StdEncoding.EncodeToString([]byte("alice:" + s)) },
		"in Basic for bob": func(s string) string { return base64.StdEncoding.EncodeToString([]byte("bob:" + s)) },
		"in hex":           func(s string) string { return hex.EncodeToString([]byte("x" + s + "y")) },
	} {
		if got := c.leaks([]source{{"here", []byte("before " + spell(secret) + " after")}}); len(got) == 0 {
			t.Errorf("%s: nothing was found in %q", name, spell(secret))
		}
		if got := c.leaks([]source{{"here", []byte("before " + spell(other) + " after")}}); len(got) != 0 {
			t.Errorf("%s: another text was taken for the secret: %q", name, got)
		}
	}
}
