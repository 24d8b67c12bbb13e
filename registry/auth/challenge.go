package auth

import "strings"

// The kinds of challenge.
const (
	ChallengeBasic  = "Basic"  // RFC 7617: realm is a name
	ChallengeBearer = "Bearer" // RFC 6750 and distribution "Token Authentication": realm is the URL of the token endpoint
	ChallengeCargo  = "Cargo"  // realm is the URL of a page that tells how to log in
)

// Challenge is the value of a WWW-Authenticate header. scope, as
// "repository:NAME:pull,push", and errorCode, "invalid_token" or
// "insufficient_scope" (RFC 6750, section 3.1), are a Bearer challenge's and
// left out if empty.
func Challenge(kind, realm, service, scope, errorCode string) string {
	var b strings.Builder
	b.WriteString(kind)
	separator := " "
	add := func(name, value string) {
		if value == "" {
			return
		}
		b.WriteString(separator)
		separator = ","
		b.WriteString(name)
		b.WriteByte('=')
		quote(&b, value)
	}
	switch kind {
	case ChallengeBearer:
		add("realm", realm)
		add("service", service)
		add("scope", scope)
		add("error", errorCode)
	case ChallengeCargo:
		add("login_url", realm)
	default:
		add("realm", realm)
		add("charset", "UTF-8")
	}
	return b.String()
}

// quote writes a quoted-string (RFC 9110, section 5.6.4). What cannot stand in
// one is left out: a host or a name of the client's may be in it.
func quote(b *strings.Builder, value string) {
	b.WriteByte('"')
	for i := range len(value) {
		switch c := value[i]; {
		case c < ' ', c >= 0x7f:
			continue
		case c == '"', c == '\\':
			b.WriteByte('\\')
			b.WriteByte(c)
		default:
			b.WriteByte(c)
		}
	}
	b.WriteByte('"')
}
