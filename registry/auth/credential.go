package auth

import (
	"crypto/subtle"
	"encoding/base64"
	"net/http"
	"strings"
	"unicode/utf8"

	"github.com/packhouse/packhouse/registry"
)

// maxCredential bounds what a client may show. Nothing that we give out is
// half as long.
const maxCredential = 16 << 10

// Credential is what a client showed, in whatever header.
type Credential struct {
	User   string // "" for none
	Secret string // a password, the text of a token, or a JWT
	// Bare is set where only a secret can be sent: Bearer, a lone token, and
	// NuGet's header.
	Bare bool
}

// String never shows the secret.
func (c Credential) String() string { return "credential of " + c.User }

// GoString never shows the secret.
func (c Credential) GoString() string { return c.String() }

// Where credentials come in.
const (
	authorization = "Authorization"
	nugetKey      = "X-Nuget-Apikey"
)

// CredentialOf reads the credentials of a request, and whether it has any:
//
//	Authorization: Basic base64(USER:SECRET)   RFC 7617; a token may stand for SECRET, or for USER before no SECRET
//	Authorization: Bearer SECRET               RFC 6750
//	Authorization: SECRET                      cargo, gem
//	X-NuGet-ApiKey: SECRET                     nuget
//
// Two headers must show the same secret. It returns UNAUTHORIZED for what it
// cannot read.
func CredentialOf(h http.Header) (Credential, bool, error) {
	shown, key := h[authorization], h[nugetKey]
	switch {
	case len(shown) == 0 && len(key) == 0:
		return Credential{}, false, nil
	case len(shown) > 1:
		return Credential{}, false, unreadable("there is more than one Authorization header: send one")
	case len(key) > 1:
		return Credential{}, false, unreadable("there is more than one X-NuGet-ApiKey header: send one")
	}
	var c Credential
	if len(shown) == 1 {
		var err error
		if c, err = parseAuthorization(shown[0]); err != nil {
			return Credential{}, false, err
		}
	}
	if len(key) == 0 {
		return c, true, nil
	}
	k, err := bare(key[0])
	switch {
	case err != nil:
		return Credential{}, false, err
	case len(shown) == 0:
		return k, true, nil
	case subtle.ConstantTimeCompare([]byte(k.Secret), []byte(c.Secret)) != 1:
		return Credential{}, false, unreadable("Authorization and X-NuGet-ApiKey show different credentials: send one of them, or the same token in both")
	}
	return c, true, nil
}

func parseAuthorization(value string) (Credential, error) {
	value = strings.Trim(value, " \t")
	scheme, rest, two := strings.Cut(value, " ")
	rest = strings.TrimLeft(rest, " ")
	switch isBasic, isBearer := strings.EqualFold(scheme, "Basic"), strings.EqualFold(scheme, "Bearer"); {
	case len(value) > maxCredential:
		return Credential{}, unreadable("the Authorization header is longer than %d bytes", maxCredential)
	case (isBasic || isBearer) && rest == "":
		return Credential{}, unreadable("the Authorization header names a scheme and shows no credentials")
	case isBasic:
		return parseBasic(rest)
	case isBearer:
		return bare(rest)
	case two:
		return Credential{}, unreadable("the Authorization header is neither Basic nor Bearer nor a token alone")
	}
	return bare(value)
}

// parseBasic reads user-id ":" password.
func parseBasic(encoded string) (Credential, error) {
	text, err := base64.StdEncoding.Strict().DecodeString(encoded)
	// The decoder passes over line breaks.
	if err != nil || strings.ContainsAny(encoded, "\r\n") {
		return Credential{}, unreadable("the Authorization header is not Basic and user:password in base64")
	}
	user, secret, ok := strings.Cut(string(text), ":")
	if !ok {
		return Credential{}, unreadable("the Authorization header has no colon between user and password")
	}
	return basicCredential(user, secret)
}

// basicCredential is a user and a secret of which the user may be the secret.
func basicCredential(user, secret string) (Credential, error) {
	switch {
	case len(user) > maxCredential || len(secret) > maxCredential:
		return Credential{}, unreadable("user and password are longer than %d bytes", maxCredential)
	case !printable(user) || !printable(secret):
		return Credential{}, unreadable("user or password has control characters or no UTF-8 in it")
	}
	if secret == "" {
		if _, isToken := ParseTokenText(user); isToken {
			return Credential{Secret: user}, nil
		}
	}
	return Credential{User: user, Secret: secret}, nil
}

func bare(secret string) (Credential, error) {
	switch {
	case len(secret) > maxCredential:
		return Credential{}, unreadable("the token is longer than %d bytes", maxCredential)
	case secret == "":
		return Credential{}, unreadable("the token is empty")
	case !printable(secret) || strings.Contains(secret, " "):
		return Credential{}, unreadable("the token has spaces, control characters or no UTF-8 in it")
	}
	return Credential{Secret: secret, Bare: true}, nil
}

// printable tells whether s is UTF-8 without control characters.
func printable(s string) bool {
	for _, r := range s {
		if r < ' ' || r == 0x7f {
			return false
		}
	}
	return utf8.ValidString(s)
}

func unreadable(format string, a ...any) error {
	return registry.E("auth.CredentialOf", registry.Unauthorized, nil, format, a...)
}
