package auth

import (
	"crypto/sha256"
	"math/big"
	"regexp"
	"strings"
	"testing"
)

func TestTokenText(t *testing.T) {
	t.Parallel()
	scanner := regexp.MustCompile(`\bpkh_[0-9A-Za-z]{49}\b`)
	seen := map[string]bool{}
	for range 1000 {
		text := NewTokenText()
		hash, ok := ParseTokenText(text)
		if !ok || hash != sha256.Sum256([]byte(text)) {
			t.Fatalf("ParseTokenText(%q) = %x, %t", text, hash, ok)
		}
		if got := scanner.FindString("export TOKEN='" + text + "'"); got != text {
			t.Fatalf("scanner found %q in %q", got, text)
		}
		if seen[text] {
			t.Fatalf("%q was made twice", text)
		}
		seen[text] = true
	}
}

// TestTokenTextForm pins the form: secret scanners rely on it.
func TestTokenTextForm(t *testing.T) {
	t.Parallel()
	zero, ones := new(big.Int), new(big.Int).Lsh(big.NewInt(1), 256)
	ones.Sub(ones, big.NewInt(1))
	for want, bits := range map[string]*big.Int{
		"pkh_00000000000000000000000000000000000000000000BZ9KG": zero,
		"pkh_yhjskwdA6OZ1AL1YmHWZWm8LLG7HjnuCA2j5rOw8Xp12xVvrY": ones,
	} {
		got := string(appendChecksum(appendBase62([]byte(TokenPrefix), bits, tokenRandom)))
		if got != want {
			t.Errorf("text of %x is %q, want %q", bits, got, want)
		}
		if _, ok := ParseTokenText(got); !ok {
			t.Errorf("ParseTokenText(%q) is false", got)
		}
	}
}

func TestParseTokenTextRefuses(t *testing.T) {
	t.Parallel()
	good := NewTokenText()
	other := func(c byte) string {
		if c == 'a' {
			return "b"
		}
		return "a"
	}
	near := []string{
		"", "pkh_", good[:52], good + "0", " " + good, good + "\n", "PKH_" + good[4:], "pkg_" + good[4:], strings.ToLower(good),
		strings.Repeat("0", 53), "pkh_" + strings.Repeat("0", 49), good[:4] + "é" + good[6:], good[:10] + "-" + good[11:],
	}
	for i := range good { // each slip of the hand
		near = append(near, good[:i]+other(good[i])+good[i+1:])
	}
	for i := 4; i < 52; i++ { // and each two that changed places
		if good[i] != good[i+1] {
			near = append(near, good[:i]+good[i+1:i+2]+good[i:i+1]+good[i+2:])
		}
	}
	for _, text := range near {
		if _, ok := ParseTokenText(text); ok && text != good {
			t.Errorf("ParseTokenText(%q) is true; the token is %q", text, good)
		}
	}
}
