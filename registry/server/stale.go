package server

import (
	"net/http"

	"github.com/packhouse/packhouse/registry"
)

// newCaller is a caller of whom nothing is known yet, but that it may be given
// stale answers where it changes nothing.
func newCaller(method string) *registry.Caller {
	c := &struct {
		registry.Caller
		reads registry.Reads
	}{}
	c.reads.Lenient = method == http.MethodGet || method == http.MethodHead
	c.Reads = &c.reads
	return &c.Caller
}

// warn says of an answer that the database could not be asked whether it is
// still right (RFC 7234, section 5.5.1; caches of clients do not keep it long
// then).
func (x *exchange) warn(status int) {
	if x.reads != nil && x.reads.Stale.Load() && status >= http.StatusOK && status < http.StatusBadRequest {
		x.Header().Add("Warning", `110 - "Response is Stale"`)
	}
}
