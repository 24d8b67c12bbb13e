package oidc

import (
	"regexp"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestLike(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		rule, text string
		want       bool
	}{
		{"74", "74", true},
		{"74", "740", false},
		{"740", "74", false},
		{"", "", true},
		{"*", "", true},
		{"*", "main", true},
		{"*", "a/b", false},
		{"*", "a:b", false},
		{"**", "a/b:c", true},
		{"v*", "v", true},
		{"v*", "v1.2", true},
		{"v*", "xv1", false},
		{"refs/tags/v*", "refs/tags/v1", true},
		{"refs/tags/v*", "refs/tags/v1/x", false},
		{"refs/**", "refs/tags/v1/x", true},
		{"refs/**/x", "refs/x", false}, // nothing is not a part here: the slashes stand
		{"refs/**/x", "refs/tags/v1/x", true},
		{"*-*", "a-b-c", true},
		{"*a*a*", "banana", true},
		{"*a*b", "banana", false},
		{"***", "a/b", true},
		{"a*c**e", "abc/d/e", true},
		{"repo:acme/*:ref:refs/heads/main", "repo:acme/x:ref:refs/heads/main", true},
		{"repo:acme/*:ref:refs/heads/main", "repo:acme/x:ref:y:ref:refs/heads/main", false},
		{"a.c", "abc", false},
		{"[a]", "a", false},
		{"?", "a", false},
	} {
		if got := like(tt.rule, tt.text); got != tt.want {
			t.Errorf("like(%q, %q) = %v, want %v", tt.rule, tt.text, got, tt.want)
		}
	}
}

// TestLikeAsRegexp compares with another implementation.
func TestLikeAsRegexp(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		rule := rapid.StringMatching(`[ab/:*]{0,12}`).Draw(t, "rule")
		text := rapid.StringMatching(`[ab/:*]{0,12}`).Draw(t, "text")
		pattern := regexp.QuoteMeta(rule)
		pattern = regexp.MustCompile(`(\\\*){2,}`).ReplaceAllString(pattern, ".*")
		pattern = strings.ReplaceAll(pattern, `\*`, "[^/:]*")
		if got, want := like(rule, text), regexp.MustCompile(`\A(?s:`+pattern+`)\z`).MatchString(text); got != want {
			t.Fatalf("like(%q, %q) = %v, want %v", rule, text, got, want)
		}
	})
}

// FuzzUnverified reads what anybody may send.
func FuzzUnverified(f *testing.F) {
	f.Add(raw(`{"alg":"RS256"}`, `{"iss":"https://issuer.example.com"}`))
	f.Add("..")
	f.Add(`e30.e30.`)
	f.Fuzz(func(t *testing.T, token string) {
		iss, err := unverifiedIssuer(token)
		if (err == nil) != (iss != "") {
			t.Errorf("issuer %q, %v", iss, err)
		}
	})
}

func FuzzObject(f *testing.F) {
	f.Add([]byte(`{"a":1,"b":[{"a":1}]}`))
	f.Add([]byte(`{"a":1,"a":2}`))
	f.Add([]byte(`{"a":1} {`))
	f.Fuzz(func(t *testing.T, text []byte) {
		if o, err := object(text); err == nil && o == nil {
			t.Error("neither an object nor an error")
		}
	})
}
