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

// render is the one table of codes. A code that it does not know is a bug of
// ours, and looks like one.
func render(c registry.Code) rendering {
	switch c {
	case registry.BlobUnknown:
		return rendering{registry.BlobUnknown, http.StatusNotFound, "blob unknown to registry"}
	case registry.BlobUploadInvalid:
		return rendering{registry.BlobUploadInvalid, http.StatusBadRequest, "blob upload invalid"}
	case registry.BlobUploadUnknown:
		return rendering{registry.BlobUploadUnknown, http.StatusNotFound, "blob upload unknown to registry"}
	case registry.DigestInvalid:
		return rendering{registry.DigestInvalid, http.StatusBadRequest, "provided digest did not match uploaded content"}
	case registry.ManifestBlobUnknown:
		return rendering{registry.ManifestBlobUnknown, http.StatusBadRequest, "manifest references a manifest or blob unknown to registry"}
	case registry.ManifestInvalid:
		return rendering{registry.ManifestInvalid, http.StatusBadRequest, "manifest invalid"}
	case registry.ManifestUnknown:
		return rendering{registry.ManifestUnknown, http.StatusNotFound, "manifest unknown to registry"}
	case registry.NameInvalid:
		return rendering{registry.NameInvalid, http.StatusBadRequest, "invalid repository name"}
	case registry.NameUnknown:
		return rendering{registry.NameUnknown, http.StatusNotFound, "repository name not known to registry"}
	case registry.SizeInvalid:
		return rendering{registry.SizeInvalid, http.StatusBadRequest, "provided length did not match content length"}
	case registry.Unauthorized:
		return rendering{registry.Unauthorized, http.StatusUnauthorized, "authentication required"}
	case registry.Denied:
		return rendering{registry.Denied, http.StatusForbidden, "requested access to the resource is denied"}
	case registry.Unsupported:
		return rendering{registry.Unsupported, http.StatusMethodNotAllowed, "the operation is unsupported"}
	case registry.TooManyRequests:
		return rendering{registry.TooManyRequests, http.StatusTooManyRequests, "too many requests"}
	case registry.PreconditionFailed:
		return rendering{registry.Denied, http.StatusPreconditionFailed, "the precondition of the request does not hold"}
	case registry.Referenced:
		return rendering{registry.Denied, http.StatusMethodNotAllowed, "a manifest still refers to this"}
	case registry.RangeInvalid:
		return rendering{registry.SizeInvalid, http.StatusRequestedRangeNotSatisfiable, "the range is not there"}
	case registry.TooLarge:
		return rendering{registry.SizeInvalid, http.StatusRequestEntityTooLarge, "the content is larger than allowed"}
	case registry.Timeout:
		return rendering{registry.BlobUploadInvalid, http.StatusRequestTimeout, "the request body stopped arriving: send it again"}
	case pathUnknown:
		return rendering{registry.Unsupported, http.StatusNotFound, "there is no such endpoint"}
	case queryInvalid:
		return rendering{registry.Unsupported, http.StatusBadRequest, "the request is not well-formed"}
	case queryTooLong:
		return rendering{registry.Unsupported, http.StatusRequestURITooLong, "the URL asks for too much at once"}
	case registry.NoSpace:
		return rendering{registry.NoSpace, http.StatusInsufficientStorage, "the registry is out of disk space: try again later"}
	case registry.Unavailable:
		return rendering{registry.Unavailable, http.StatusServiceUnavailable, "the registry cannot do this at the moment: try again"}
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
	case http.StatusServiceUnavailable, http.StatusInsufficientStorage, http.StatusTooManyRequests:
		if header["Retry-After"] == nil {
			header["Retry-After"] = []string{retryAfter(how.status)}
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

// retryAfter is in seconds: a full disk takes somebody's hand.
func retryAfter(status int) string {
	if status == http.StatusInsufficientStorage {
		return "60"
	}
	return "5"
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
