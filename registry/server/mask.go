package server

import (
	"regexp"
	"strings"
)

// Some clients put a secret into a URL: npm's logout the token, a log-in's
// return its code, a proxy's client the whole user info. The log shows where it
// was, not what. Names of query parameters are judged by how they end.
var secretsInURI = regexp.MustCompile(`(?i)pkh_[0-9A-Za-z]+|(^https?://)[^/@]*@|([?&][^=&]*(?:secret|token|password|passwd|key|code|state|signature|sig)=)[^&]*|(/-/user/token/|/-/npm/v1/tokens/token/)[^/?]+`)

// maskedURI is a request's URI as it may be logged.
func maskedURI(uri string) string {
	if strings.IndexByte(uri, '?') < 0 && !strings.HasPrefix(uri, "http") && !strings.Contains(uri, "pkh_") && !strings.Contains(uri, "/token/") {
		return uri
	}
	return secretsInURI.ReplaceAllString(uri, "${1}${2}${3}***")
}
