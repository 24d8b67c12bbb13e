package registry

import (
	_ "crypto/sha256" // digest algorithms that go-digest looks up by name
	_ "crypto/sha512"
	"strings"

	"github.com/opencontainers/go-digest"
)

// Digest is "algorithm:hex". Only sha256 and sha512 are accepted; see [ParseDigest].
type Digest = digest.Digest

// Repo is a legal repository name, OCI distribution-spec "Pulling manifests".
type Repo string

// Tag is a legal tag, OCI distribution-spec "Pulling manifests".
type Tag string

const (
	// MaxRepoLength is the longest repository name in bytes. Clients cap
	// host + "/" + name at 255, so a longer one could not be pulled.
	MaxRepoLength = 255
	// MaxTagLength is the longest tag in bytes.
	MaxTagLength = 128
)

// ParseRepo checks s against
// [a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*(\/[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*)*.
// It returns NAME_INVALID.
func ParseRepo(s string) (Repo, error) {
	if len(s) > MaxRepoLength {
		return "", E("registry.ParseRepo", NameInvalid, nil,
			"repository name is %d bytes long, the limit is %d", len(s), MaxRepoLength)
	}
	rest := s
	for {
		segment, tail, more := strings.Cut(rest, "/")
		if !legalSegment(segment) {
			return "", E("registry.ParseRepo", NameInvalid, nil,
				"%q is not a repository name: each segment is lower-case letters and digits, joined by one '.', one or two '_', or any number of '-'", clip(s))
		}
		if !more {
			return Repo(s), nil
		}
		rest = tail
	}
}

func legalSegment(s string) bool {
	alnum := func(c byte) bool { return c >= 'a' && c <= 'z' || c >= '0' && c <= '9' }
	if s == "" || !alnum(s[0]) || !alnum(s[len(s)-1]) {
		return false
	}
	for i := 1; i < len(s); {
		if alnum(s[i]) {
			i++
			continue
		}
		run := i
		for !alnum(s[i]) { // ends: the last byte is alphanumeric
			i++
		}
		switch sep := s[run:i]; {
		case sep == ".", sep == "_", sep == "__":
		case strings.Trim(sep, "-") == "":
		default:
			return false
		}
	}
	return true
}

// ParseTag checks s against [a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}.
// It returns MANIFEST_INVALID, the code clients expect for a bad reference.
func ParseTag(s string) (Tag, error) {
	bad := func() (Tag, error) {
		return "", E("registry.ParseTag", ManifestInvalid, nil,
			"%q is not a tag: at most %d letters, digits, '_', '.', '-', not starting with '.' or '-'", clip(s), MaxTagLength)
	}
	if s == "" || len(s) > MaxTagLength || s[0] == '.' || s[0] == '-' {
		return bad()
	}
	for i := range len(s) {
		switch c := s[i]; {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '_', c == '.', c == '-':
		default:
			return bad()
		}
	}
	return Tag(s), nil
}

// ParseDigest accepts sha256 and sha512 with lower-case hex of the right
// length. It returns DIGEST_INVALID.
func ParseDigest(s string) (Digest, error) {
	if legalDigest(s) {
		return Digest(s), nil
	}
	if algorithm, _, ok := strings.Cut(s, ":"); ok {
		if _, err := ParseAlgorithm(algorithm); err != nil {
			return "", err
		}
	}
	return "", E("registry.ParseDigest", DigestInvalid, nil,
		"%q is not a digest: want sha256 or sha512, a colon and lower-case hex", clip(s))
}

// legalDigest does without go-digest's regular expression: it is on the path
// of every pull, and a manifest may hold thousands of digests.
func legalDigest(s string) bool {
	algorithm, hex, _ := strings.Cut(s, ":")
	if !(algorithm == "sha256" && len(hex) == 64 || algorithm == "sha512" && len(hex) == 128) {
		return false
	}
	for i := range len(hex) {
		if c := hex[i]; (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}

// ParseAlgorithm accepts "sha256", "sha512" and "" (sha256).
// It returns DIGEST_INVALID.
func ParseAlgorithm(s string) (digest.Algorithm, error) {
	switch digest.Algorithm(s) {
	case "", digest.SHA256:
		return digest.SHA256, nil
	case digest.SHA512:
		return digest.SHA512, nil
	}
	return "", E("registry.ParseAlgorithm", DigestInvalid, nil,
		"digest algorithm %q is not supported: use sha256 or sha512", clip(s))
}

// ReferrersTag is the tag under which clients without the referrers API keep
// the list of what refers to d, OCI distribution-spec "Referrers Tag Schema".
func ReferrersTag(d Digest) Tag {
	const maxEncoded = 64
	return Tag(d.Algorithm().String() + "-" + d.Encoded()[:min(len(d.Encoded()), maxEncoded)])
}

// ReferrersSubject undoes [ReferrersTag]. A sha512 subject is truncated in its
// tag, so what comes back is its algorithm and a prefix of its hex; ok is
// false when t is no such tag.
func ReferrersSubject(t Tag) (algorithm digest.Algorithm, hexPrefix string, ok bool) {
	const hexLength = 64
	name, hex, found := strings.Cut(string(t), "-")
	if !found || len(hex) != hexLength || strings.Trim(hex, "0123456789abcdef") != "" {
		return "", "", false
	}
	switch digest.Algorithm(name) {
	case digest.SHA256, digest.SHA512:
		return digest.Algorithm(name), hex, true
	}
	return "", "", false
}

// IsSignatureTag tells whether t is one of the tags under which clients keep
// what is about a digest: the referrers tag, or cosign's with .sig, .att or
// .sbom behind it.
func IsSignatureTag(t Tag) bool {
	base := string(t)
	for _, suffix := range []string{".sig", ".att", ".sbom"} {
		if cut, ok := strings.CutSuffix(base, suffix); ok {
			base = cut
			break
		}
	}
	_, _, ok := ReferrersSubject(Tag(base))
	return ok
}

// clip keeps a client's own words short in the sentence sent back.
func clip(s string) string {
	const most = 80
	if len(s) > most {
		return s[:most] + "…"
	}
	return s
}
