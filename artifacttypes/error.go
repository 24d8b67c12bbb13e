package artifacttypes

import (
	"encoding/json"
	"net/http"
	"strconv"
	"strings"

	"github.com/packhouse/packhouse/registry"
)

// ErrorHeader sets what the answer to an error has in every format beside its
// body, and returns the status. A format that needs another status for a code
// changes that one and takes the rest from here.
func ErrorHeader(w http.ResponseWriter, e *registry.Error) int {
	status := e.Code.HTTPStatus()
	h := w.Header()
	if methods, ok := e.Detail.(Methods); ok {
		h.Set("Allow", strings.Join(methods, ", "))
	}
	if after := e.RetryAfter(status); after != "" {
		h.Set("Retry-After", after)
	}
	if status == http.StatusUnauthorized && h.Get("WWW-Authenticate") == "" { // RFC 9110, section 11.6.1
		h.Set("WWW-Authenticate", Challenge)
	}
	h.Del("ETag")
	h.Del("Last-Modified")
	h.Del("Content-Encoding")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	return status
}

// Challenge is how a client logs in to a feed.
const Challenge = `Basic realm="packhouse"`

// ReasonHeader carries a reason phrase from [SetReason] to the server; it is
// never sent.
const ReasonHeader = "Packhouse-Reason"

// SetReason makes sentence the reason phrase of an error's status line, where
// the protocol has one (HTTP/1.1): the only thing that some clients show. It is
// called before the status is written.
func SetReason(w http.ResponseWriter, sentence string) { w.Header().Set(ReasonHeader, sentence) }

// WriteBody writes a whole small answer; a HEAD request gets its header alone.
func WriteBody(w http.ResponseWriter, r *http.Request, status int, contentType string, body []byte) {
	h := w.Header()
	h.Set("Content-Type", contentType)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	if r.Method != http.MethodHead {
		_, _ = w.Write(body) // fails when the client is gone, of which net/http takes care
	}
}

// WriteJSON is WriteBody with v as JSON.
func WriteJSON(w http.ResponseWriter, r *http.Request, status int, v any) error {
	body, err := json.Marshal(v)
	if err != nil {
		return err
	}
	WriteBody(w, r, status, "application/json", body)
	return nil
}

// Invalid is the error of a file or manifest that a format refuses.
func Invalid(format string, a ...any) *registry.Error {
	return registry.E("artifacttypes", registry.ManifestInvalid, nil, format, a...)
}
