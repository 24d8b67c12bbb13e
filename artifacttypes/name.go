package artifacttypes

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"

	"github.com/packhouse/packhouse/registry"
)

const (
	maxComponent = 100 // bytes of a component that is kept as it is
	maxReadable  = 64  // bytes of the readable part of one that is not
	hashDigits   = 24
	longDigits   = 40
	maxPackage   = 160 // bytes of all components: the rest of a repository name is the feed's
)

// EncodePath makes legal repository name components of a package name's own.
// A component that is legal, short and cannot be mistaken for an encoded one
// stays; of any other the readable part is followed by "--" and the beginning
// of its SHA-256. Names that are too long altogether become one component.
func EncodePath(components ...string) (string, error) {
	if len(components) == 0 {
		return "", registry.E("artifacttypes.EncodePath", registry.NameInvalid, nil, "a package needs a name")
	}
	encoded := make([]string, len(components))
	for i, c := range components {
		if c == "" || strings.ContainsAny(c, "/\\\x00") || c == "." || c == ".." {
			return "", registry.E("artifacttypes.EncodePath", registry.NameInvalid, nil, "%q is not a package name", clip(strings.Join(components, "/")))
		}
		encoded[i] = encodeComponent(c)
	}
	path := strings.Join(encoded, "/")
	if len(path) > maxPackage {
		sum := sha256.Sum256([]byte(strings.Join(components, "/")))
		path = "x--" + hex.EncodeToString(sum[:])[:longDigits]
	}
	return path, nil
}

func encodeComponent(c string) string {
	if _, err := registry.ParseRepo(c); err == nil && len(c) <= maxComponent && !hashed(c) {
		return c
	}
	var b strings.Builder
	for _, r := range strings.ToLower(c) {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' {
			b.WriteRune(r)
		} else if s := b.String(); s != "" && s[len(s)-1] != '-' {
			b.WriteByte('-')
		}
	}
	readable := b.String()
	readable = strings.Trim(readable[:min(len(readable), maxReadable)], "-")
	if readable == "" {
		readable = "x"
	}
	sum := sha256.Sum256([]byte(c))
	return readable + "--" + hex.EncodeToString(sum[:])[:hashDigits]
}

// hashed tells whether c looks like an encoded component.
func hashed(c string) bool {
	i := len(c) - hashDigits - 2
	return i >= 0 && c[i:i+2] == "--" && isHex(c[i+2:]) || strings.HasPrefix(c, "x--") && len(c) == longDigits+3 && isHex(c[3:])
}

func isHex(s string) bool {
	for i := range len(s) {
		if c := s[i]; (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}

// SemverTag maps a version that contains no "_" to its tag: "+" becomes "_".
func SemverTag(version string) (registry.Tag, error) {
	if strings.Contains(version, "_") {
		return "", badVersion(version)
	}
	return FitTag(strings.ReplaceAll(version, "+", "_"), version)
}

// FitTag returns tag, the readable form of version that a format chose, or
// what stands for version where that is too long or taken by signatures. It
// returns MANIFEST_INVALID when tag has bytes that no tag can have.
func FitTag(tag, version string) (registry.Tag, error) {
	if len(tag) > registry.MaxTagLength || reserved(tag) {
		return hashTag(version), nil
	}
	if _, err := registry.ParseTag(tag); err != nil {
		return "", badVersion(version)
	}
	return registry.Tag(tag), nil
}

// EscapeTag maps any version to its tag: bytes that a tag cannot hold become
// "__" and two hex digits, and so does an "_" that would make that ambiguous.
func EscapeTag(version string) (registry.Tag, error) {
	if version == "" || strings.ContainsAny(version, "/\\\x00") {
		return "", badVersion(version)
	}
	var b strings.Builder
	for i := range len(version) {
		if c := version[i]; kept(version, i) && !(c == '_' && (i > 0 && version[i-1] == '_' || i+1 < len(version) && (version[i+1] == '_' || !kept(version, i+1)))) {
			b.WriteByte(c)
		} else {
			fmt.Fprintf(&b, "__%02x", c)
		}
	}
	return FitTag(b.String(), version)
}

// kept tells whether a tag can hold the byte at i of version.
func kept(version string, i int) bool {
	c := version[i]
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '_' || i > 0 && (c == '.' || c == '-')
}

func hashTag(version string) registry.Tag {
	sum := sha256.Sum256([]byte(version))
	return registry.Tag("v--" + hex.EncodeToString(sum[:])[:longDigits])
}

// reserved are the tags of signatures and referrers, and what hashTag makes.
func reserved(tag string) bool {
	return registry.IsSignatureTag(registry.Tag(tag)) || strings.HasPrefix(tag, "v--") && len(tag) == longDigits+3 && isHex(tag[3:])
}

func badVersion(version string) error {
	return registry.E("artifacttypes.Tag", registry.ManifestInvalid, nil, "%q is not a version", clip(version))
}

func clip(s string) string {
	const longest = 80
	if len(s) > longest {
		return s[:longest] + "…"
	}
	return s
}
