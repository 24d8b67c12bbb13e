package registry

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"
)

// Code says what went wrong. The first group is the OCI distribution-spec's
// list; the second is ours, for conditions the spec has no code for. Only a
// protocol's error renderer turns a Code into a status line.
type Code string

// The codes of the OCI distribution-spec, "Error Codes".
const (
	BlobUnknown         Code = "BLOB_UNKNOWN"
	BlobUploadInvalid   Code = "BLOB_UPLOAD_INVALID"
	BlobUploadUnknown   Code = "BLOB_UPLOAD_UNKNOWN"
	DigestInvalid       Code = "DIGEST_INVALID"
	ManifestBlobUnknown Code = "MANIFEST_BLOB_UNKNOWN"
	ManifestInvalid     Code = "MANIFEST_INVALID"
	ManifestUnknown     Code = "MANIFEST_UNKNOWN"
	NameInvalid         Code = "NAME_INVALID"
	NameUnknown         Code = "NAME_UNKNOWN"
	SizeInvalid         Code = "SIZE_INVALID"
	Unauthorized        Code = "UNAUTHORIZED"
	Denied              Code = "DENIED"
	Unsupported         Code = "UNSUPPORTED"
	TooManyRequests     Code = "TOOMANYREQUESTS"
)

// Codes of our own.
const (
	Internal           Code = "UNKNOWN"             // a bug or a broken disk: 500
	PreconditionFailed Code = "PRECONDITION_FAILED" // If-Match, If-None-Match: 412
	Referenced         Code = "REFERENCED"          // delete of what a manifest still needs: 405
	RangeInvalid       Code = "RANGE_INVALID"       // bytes or an offset that are not there: 416
	TooLarge           Code = "TOO_LARGE"           // over a configured limit: 413
	NoSpace            Code = "NO_SPACE"            // the disk is full: 507
	Unavailable        Code = "UNAVAILABLE"         // try again: 503
	Timeout            Code = "TIMEOUT"             // the client went silent: 408
	VersionExists      Code = "VERSION_EXISTS"      // a version is there with other content, or was withdrawn: 409
	Conflict           Code = "CONFLICT"            // what is there stands in the way: 409
	ParameterInvalid   Code = "PARAMETER_INVALID"   // an argument that is not understood: 400
	QuotaExceeded      Code = "QUOTA_EXCEEDED"      // the namespace may hold no more: 403
)

// HTTPStatus is the status that protocols give a Code; 500 for one that it
// does not know, which is a bug of ours and looks like one.
func (c Code) HTTPStatus() int {
	switch c {
	case BlobUploadInvalid, DigestInvalid, ManifestBlobUnknown, ManifestInvalid, NameInvalid, SizeInvalid, ParameterInvalid:
		return http.StatusBadRequest
	case BlobUnknown, BlobUploadUnknown, ManifestUnknown, NameUnknown:
		return http.StatusNotFound
	case Unauthorized:
		return http.StatusUnauthorized
	case Denied, QuotaExceeded:
		return http.StatusForbidden
	case Unsupported, Referenced:
		return http.StatusMethodNotAllowed
	case TooManyRequests:
		return http.StatusTooManyRequests
	case PreconditionFailed:
		return http.StatusPreconditionFailed
	case RangeInvalid:
		return http.StatusRequestedRangeNotSatisfiable
	case TooLarge:
		return http.StatusRequestEntityTooLarge
	case Timeout:
		return http.StatusRequestTimeout
	case VersionExists, Conflict:
		return http.StatusConflict
	case NoSpace:
		return http.StatusInsufficientStorage
	case Unavailable:
		return http.StatusServiceUnavailable
	case Internal:
	}
	return http.StatusInternalServerError
}

// RetryAfter is what the Retry-After header says of a status, in seconds; ""
// for none. A full disk takes somebody's hand.
func RetryAfter(status int) string {
	switch status {
	case http.StatusInsufficientStorage:
		return "60"
	case http.StatusServiceUnavailable, http.StatusTooManyRequests:
		return "5"
	}
	return ""
}

// RetryIn, as the Detail of an Error, is how long to wait before trying again:
// what Retry-After says instead of the usual.
type RetryIn time.Duration

// Seconds rounds up: who waits that long has waited enough.
func (d RetryIn) Seconds() int64 {
	return max(1, int64((time.Duration(d)+time.Second-1)/time.Second))
}

// MarshalJSON makes it {"retry_after":seconds}.
func (d RetryIn) MarshalJSON() ([]byte, error) {
	return fmt.Appendf(nil, `{"retry_after":%d}`, d.Seconds()), nil
}

// RetryAfter is what the Retry-After header says of an error that is answered
// with status; "" for none.
func (e *Error) RetryAfter(status int) string {
	if d, ok := e.Detail.(RetryIn); ok {
		return strconv.FormatInt(d.Seconds(), 10)
	}
	return RetryAfter(status)
}

// Error makes a bare Code an error, so that errors.Is(err, registry.BlobUnknown) works.
func (c Code) Error() string { return string(c) }

// Error is the one error type that crosses package borders on its way to a client.
type Error struct {
	Code    Code
	Op      string // where: "engine.PutManifest"
	Message string // one sentence, safe for the client
	Detail  any    // safe for the client, rendered as JSON
	Err     error  // cause: logged, never sent
}

func (e *Error) Error() string {
	s := string(e.Code)
	if e.Op != "" {
		s = e.Op + ": " + s
	}
	if e.Message != "" {
		s += ": " + e.Message
	}
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	return s
}

func (e *Error) Unwrap() error { return e.Err }

// Is matches the Code, so callers compare against codes, not values.
func (e *Error) Is(target error) bool { return target == error(e.Code) }

// WithDetail returns e with detail set.
func (e *Error) WithDetail(detail any) *Error {
	e.Detail = detail
	return e
}

// E builds an Error; cause may be nil.
func E(op string, c Code, cause error, format string, a ...any) *Error {
	return &Error{Op: op, Code: c, Err: cause, Message: fmt.Sprintf(format, a...)}
}

// Public is all that a client may see of err: what is not ours is a bare
// UNKNOWN, "internal error".
func Public(err error) *Error {
	if e, ok := errors.AsType[*Error](err); ok {
		return e
	}
	return &Error{Code: Internal, Message: "internal error", Err: err}
}
