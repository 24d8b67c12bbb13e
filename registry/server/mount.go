package server

import (
	"net/http"
	"strings"

	"github.com/packhouse/packhouse/registry"
	"github.com/packhouse/packhouse/registry/obs"
)

// Mount is a part of the server beside the OCI API and the feeds.
type Mount struct {
	Name   string // metric label
	Prefix string // of the escaped path; one that does not end in a slash is the whole path
	// Verb is what the caller needs on the whole registry: Enter where the
	// handler itself decides. The zero Verb does not register.
	Verb    registry.Verb
	Checks  bool // looks at credentials itself
	Closed  bool // is not there while the registry is open
	Handler http.Handler

	route *obs.Route
}

func (h *handler) mounted(path string) *Mount {
	for i := range h.mounts {
		m := &h.mounts[i]
		if path == m.Prefix || m.Prefix[len(m.Prefix)-1] == '/' && strings.HasPrefix(path, m.Prefix) {
			if m.Closed && h.entry.open() {
				return nil
			}
			return m
		}
	}
	return nil
}

func (h *handler) serveMount(x *exchange, r *http.Request, c *registry.Caller, m *Mount, refused error, proxied bool) {
	x.route, x.request.Kind = m.route, m.Name
	x.path.prefix = m.Prefix
	c.Route, c.Base = m.Name, h.baseURL(r, proxied)
	if refused == nil {
		refused = h.gate.Some(r.Context(), m.Verb, "")
	}
	if refused != nil {
		refuse(x, r, refused)
		return
	}
	m.Handler.ServeHTTP(x, r)
	if m.Checks { // and perhaps found out who it is
		x.request.Principal = c.Principal
	}
}

// refuse answers where no protocol has a form of its own.
func refuse(w http.ResponseWriter, r *http.Request, err error) {
	e := registry.Public(err)
	status := e.Code.HTTPStatus()
	if after := e.RetryAfter(status); after != "" {
		w.Header().Set("Retry-After", after)
	}
	if strings.HasPrefix(r.URL.EscapedPath(), apiPrefix) {
		writeAPI(w, r, status, problem{e.Code, e.Message})
		return
	}
	http.Error(w, e.Message, status)
}
