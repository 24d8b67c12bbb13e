package distspec

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"maps"
	"net/http"
	"strings"

	"github.com/packhouse/packhouse/registry"
)

// Conditions that only this protocol has.
const (
	pathUnknown  registry.Code = "PATH_UNKNOWN"
	queryInvalid registry.Code = "QUERY_INVALID"
	queryTooLong registry.Code = "QUERY_TOO_LONG"
)

// clientGone is the status of a response that nobody will read; the access log shows it.
const clientGone = 499

// rendering is how a code looks on the wire. The specification allows only its
// own codes in a 4xx, so where wire differs from the code, detail.reason has it.
type rendering struct {
	wire   registry.Code
	status int
	text   string // what the message says when the error has none
}

// render is the one table of codes.
func render(c registry.Code) rendering {
	at := func(wire registry.Code, text string) rendering { return rendering{wire, c.HTTPStatus(), text} }
	switch c {
	case registry.BlobUnknown:
		return at(c, "blob unknown to registry")
	case registry.BlobUploadInvalid:
		return at(c, "blob upload invalid")
	case registry.BlobUploadUnknown:
		return at(c, "blob upload unknown to registry")
	case registry.DigestInvalid:
		return at(c, "provided digest did not match uploaded content")
	case registry.ManifestBlobUnknown:
		return at(c, "manifest references a manifest or blob unknown to registry")
	case registry.ManifestInvalid:
		return at(c, "manifest invalid")
	case registry.ManifestUnknown:
		return at(c, "manifest unknown to registry")
	case registry.NameInvalid:
		return at(c, "invalid repository name")
	case registry.NameUnknown:
		return at(c, "repository name not known to registry")
	case registry.SizeInvalid:
		return at(c, "provided length did not match content length")
	case registry.Unauthorized:
		return at(c, "authentication required")
	case registry.Denied:
		return at(c, "requested access to the resource is denied")
	case registry.Unsupported:
		return at(c, "the operation is unsupported")
	case registry.TooManyRequests:
		return at(c, "too many requests")
	case registry.PreconditionFailed:
		return at(registry.Denied, "the precondition of the request does not hold")
	case registry.Referenced:
		return at(registry.Denied, "a manifest still refers to this")
	case registry.VersionExists:
		return at(registry.Denied, "this version exists and cannot be changed")
	case registry.Conflict:
		return at(registry.Denied, "what is there stands in the way")
	case registry.QuotaExceeded:
		return at(registry.Denied, "the namespace may hold no more: delete something or ask for more room")
	case registry.RangeInvalid:
		return at(registry.SizeInvalid, "the range is not there")
	case registry.TooLarge:
		return at(registry.SizeInvalid, "the content is larger than allowed")
	case registry.Timeout:
		return at(registry.BlobUploadInvalid, "the request body stopped arriving: send it again")
	case pathUnknown:
		return rendering{registry.Unsupported, http.StatusNotFound, "there is no such endpoint"}
	case queryInvalid:
		return rendering{registry.Unsupported, http.StatusBadRequest, "the request is not well-formed"}
	case queryTooLong:
		return rendering{registry.Unsupported, http.StatusRequestURITooLong, "the URL asks for too much at once"}
	case registry.NoSpace:
		return at(c, "the registry is out of disk space: try again later")
	case registry.Unavailable:
		return at(c, "the registry cannot do this at the moment: try again")
	case registry.Internal:
	}
	return rendering{registry.Internal, http.StatusInternalServerError, "internal error"}
}

// WriteError answers r with err: its code as status and in an OCI error body,
// its cause, if the fault is ours, in the log. It adds no challenge to a 401.
func (h *Handler) WriteError(w http.ResponseWriter, r *http.Request, err error) {
	if r.Context().Err() != nil && errors.Is(err, context.Canceled) {
		w.WriteHeader(clientGone)
		return
	}
	e := public(err)
	how := render(e.Code)
	message := e.Message
	if message == "" {
		message = how.text
	}
	if how.status >= http.StatusInternalServerError {
		h.logFault(r.Context(), how.status, e, err)
		if id := registry.RequestID(r.Context()); id != "" && how.wire == registry.Internal {
			message += " (request " + id + ")"
		}
	}
	header := w.Header()
	switch how.status {
	case http.StatusMethodNotAllowed:
		methods, ok := e.Detail.(allowed)
		if !ok {
			methods = allowed{http.MethodGet, http.MethodHead}
		}
		header["Allow"] = []string{strings.Join(methods, ", ")}
	default:
		if after := e.RetryAfter(how.status); after != "" && header["Retry-After"] == nil {
			header["Retry-After"] = []string{after}
		}
	}
	h.setCommon(header)
	delete(header, "Cache-Control")
	delete(header, "Etag")
	if r.Method == http.MethodHead {
		w.WriteHeader(how.status)
		return
	}
	h.writeJSON(w, how.status, h.fixed.json, errorBody(how.wire, message, detail(e, how)))
}

func (h *Handler) logFault(ctx context.Context, status int, e *registry.Error, err error) {
	level := slog.LevelError
	if status == http.StatusServiceUnavailable {
		level = slog.LevelWarn
	}
	h.log.LogAttrs(ctx, level, "request could not be served",
		slog.String("code", string(e.Code)), slog.Int("status", status), slog.Any("error", err))
}

// public finds out what of err the client may see.
func public(err error) *registry.Error {
	if b, ok := errors.AsType[*bodyError](err); ok {
		return b.public()
	}
	if e, ok := errors.AsType[*registry.Error](err); ok {
		return e
	}
	if code, ok := errors.AsType[registry.Code](err); ok {
		return &registry.Error{Code: code, Err: err}
	}
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return &registry.Error{Code: registry.Unavailable, Err: err}
	}
	return registry.Public(err)
}

// detail is e's own, and the reason where the wire code does not tell it.
func detail(e *registry.Error, how rendering) any {
	_, isMethods := e.Detail.(allowed)
	if e.Code == how.wire || isMethods {
		return e.Detail
	}
	m := map[string]any{}
	switch d := e.Detail.(type) {
	case nil:
	case map[string]any:
		maps.Copy(m, d)
	default:
		m["detail"] = d
	}
	m["reason"] = e.Code
	return m
}

// errorBody is the JSON of the specification's "Error Codes".
func errorBody(code registry.Code, message string, detail any) []byte {
	type one struct {
		Code    registry.Code `json:"code"`
		Message string        `json:"message"`
		Detail  any           `json:"detail,omitempty"`
	}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	body := struct {
		Errors []one `json:"errors"`
	}{[]one{{code, message, detail}}}
	if enc.Encode(body) != nil { // a detail that JSON cannot hold
		b.Reset()
		body.Errors[0].Detail = nil
		_ = enc.Encode(body) // cannot fail: strings only
	}
	return bytes.TrimRight(b.Bytes(), "\n")
}
