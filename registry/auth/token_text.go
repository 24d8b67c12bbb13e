package auth

import (
	"crypto/rand"
	"crypto/sha256"
	"hash/crc32"
	"math/big"
	"strings"
)

// The text of a token is
//
//	pkh_  43 characters: 256 random bits in base62  6 characters: checksum in base62
//
// the checksum being the CRC-32 (IEEE) of all that is before it. Base62 is
// 0-9A-Za-z, the highest digit first, padded with 0. Secret scanners find a
// token by
//
//	\bpkh_[0-9A-Za-z]{49}\b
//
// and know by the checksum that it is one.
const (
	// TokenPrefix is what every token's text begins with.
	TokenPrefix   = "pkh_"
	tokenRandom   = 43
	tokenChecksum = 6
	tokenLength   = len(TokenPrefix) + tokenRandom + tokenChecksum
)

const base62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

// NewTokenText makes the text of a new token.
func NewTokenText() string {
	var bits [32]byte
	_, _ = rand.Read(bits[:]) // never fails
	text := appendBase62([]byte(TokenPrefix), new(big.Int).SetBytes(bits[:]), tokenRandom)
	return string(appendChecksum(text))
}

// ParseTokenText returns what the token of a text is stored under, the SHA-256
// of the whole text, and whether it is the text of a token at all. A slip of
// the hand is found here, before anything is looked up.
func ParseTokenText(text string) (hash [sha256.Size]byte, ok bool) {
	if len(text) != tokenLength || !strings.HasPrefix(text, TokenPrefix) {
		return hash, false
	}
	for i := len(TokenPrefix); i < len(text); i++ {
		if c := text[i]; (c < '0' || c > '9') && (c < 'A' || c > 'Z') && (c < 'a' || c > 'z') {
			return hash, false
		}
	}
	var whole [tokenLength]byte
	random := append(whole[:0], text[:tokenLength-tokenChecksum]...)
	if string(appendChecksum(random)) != text {
		return hash, false
	}
	return sha256.Sum256([]byte(text)), true
}

func appendChecksum(text []byte) []byte {
	sum := crc32.ChecksumIEEE(text)
	return appendBase62(text, big.NewInt(int64(sum)), tokenChecksum)
}

// appendBase62 appends n in exactly width digits.
func appendBase62(b []byte, n *big.Int, width int) []byte {
	start := len(b)
	for range width {
		b = append(b, '0')
	}
	n = new(big.Int).Set(n)
	base, digit := big.NewInt(int64(len(base62))), new(big.Int)
	for i := len(b) - 1; i >= start && n.Sign() > 0; i-- {
		n.DivMod(n, base, digit)
		b[i] = base62[digit.Int64()]
	}
	return b
}

// newSecret makes a token's text and what it is stored under.
func newSecret() (text string, hash []byte) {
	text = NewTokenText()
	return text, hashSecret(text)
}

// hashSecret is what a token's text is stored under.
func hashSecret(text string) []byte {
	sum := sha256.Sum256([]byte(text))
	return sum[:]
}
