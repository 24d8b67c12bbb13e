package server

import (
	"regexp"
	"strings"
)

// Some clients put a secret into a URL: npm's logout the token, a log-in's
// return its code. The log shows where it was, not what.
var secretsInURI = regexp.MustCompile(`pkh_[0-9A-Za-z]+|([?&](?:secret|code|state|token|refresh_token|id_token|password)=)[^&]*|(/-/user/token/|/-/npm/v1/tokens/token/)[^/?]+`)

// maskedURI is a request's URI as it may be logged.
func maskedURI(uri string) string {
	if strings.IndexByte(uri, '?') < 0 && !strings.Contains(uri, "pkh_") && !strings.Contains(uri, "/token/") {
		return uri
	}
	return secretsInURI.ReplaceAllString(uri, "${1}${2}***")
}
