package distspec

import (
	"errors"
	"io"
	"net"
	"net/http"

	"github.com/packhouse/packhouse/registry"
)

// requestBody reads the body of a request and marks its errors, so that they
// are told apart from those of the storage it is copied to.
type requestBody struct {
	r    io.Reader
	want int64 // Content-Length, -1 if unknown
	got  int64
}

func (b *requestBody) Read(p []byte) (int, error) {
	n, err := b.r.Read(p)
	b.got += int64(n)
	if err != nil && !errors.Is(err, io.EOF) {
		err = &bodyError{err: err, got: b.got, want: b.want}
	}
	return n, err
}

// body returns the body of r, nil if it has none.
func body(r *http.Request) io.Reader {
	if r.Body == nil || r.ContentLength == 0 {
		return nil
	}
	return &requestBody{r: r.Body, want: r.ContentLength}
}

// bodyError is a failure to read the request's body.
type bodyError struct {
	err       error
	got, want int64
}

func (e *bodyError) Error() string { return "request body: " + e.err.Error() }
func (e *bodyError) Unwrap() error { return e.err }

func (e *bodyError) public() *registry.Error {
	const op = "distspec.body"
	if own, ok := errors.AsType[*registry.Error](e.err); ok {
		return own
	}
	if tooLarge, ok := errors.AsType[*http.MaxBytesError](e.err); ok {
		return registry.E(op, registry.TooLarge, e, "the body is larger than the %d bytes allowed", tooLarge.Limit)
	}
	if timeout, ok := errors.AsType[net.Error](e.err); ok && timeout.Timeout() {
		return registry.E(op, registry.Timeout, e, "the body stopped arriving after %d bytes: send it again", e.got)
	}
	if e.want >= 0 {
		return registry.E(op, registry.SizeInvalid, e, "the body ended after %d of %d bytes: send it again", e.got, e.want)
	}
	return registry.E(op, registry.SizeInvalid, e, "the body broke off after %d bytes: send it again", e.got)
}

// exactly fails when r has more or less than n bytes: a chunked body does not
// say its length, but its Content-Range does.
func exactly(r io.Reader, n int64) io.Reader { return &exactReader{r: r, left: n, n: n} }

type exactReader struct {
	r       io.Reader
	left, n int64
}

func (e *exactReader) Read(p []byte) (int, error) {
	// One byte more than is left, to see whether there is one.
	if e.left < int64(len(p)) {
		p = p[:e.left+1]
	}
	n, err := e.r.Read(p)
	if int64(n) > e.left {
		n, err = int(e.left), e.mismatch("longer")
	}
	e.left -= int64(n)
	if errors.Is(err, io.EOF) && e.left > 0 {
		err = e.mismatch("shorter")
	}
	return n, err
}

func (e *exactReader) mismatch(how string) error {
	return &bodyError{err: registry.E("distspec.body", registry.SizeInvalid, nil, "the body is %s than the %d bytes of its Content-Range", how, e.n)}
}
