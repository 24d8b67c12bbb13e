package server

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"runtime/debug"
	"sync/atomic"
	"time"

	"github.com/packhouse/packhouse/registry"
	"github.com/packhouse/packhouse/registry/config"
	"github.com/packhouse/packhouse/registry/distspec"
	"github.com/packhouse/packhouse/registry/feed"
	"github.com/packhouse/packhouse/registry/obs"
)

// handler serves the clients' listener.
type handler struct {
	cfg     config.Config
	api     *distspec.Handler
	gate    registry.Gate
	entry   entrance
	mounts  []Mount // the first that matches serves
	proxies proxies
	log     *slog.Logger
	access  *obs.Access // nil for no access log
	metrics *obs.Metrics
	tracing *obs.Tracing // nil for no spans
	probes  *probes
	routes  routes
	ids     requestIDs
	version string
	feeds   *feed.Handler // nil for none
}

// routes holds the counters of each kind of request.
type routes struct {
	oci     []*obs.Route // by distspec.Kind
	whole   *obs.Route   // UploadStart that brings the blob along
	invalid *obs.Route   // below /v2, but nothing the API knows
	probe   *obs.Route
	page    *obs.Route
	unknown *obs.Route
	feeds   map[string]map[string]*obs.Route // by format and route
}

func newRoutes(m *obs.Metrics, feeds *feed.Handler) routes {
	const format = "oci"
	r := routes{
		whole:   m.Route(format, distspec.UploadStart.String(), obs.Push, "blob"),
		invalid: m.Route(format, "invalid", obs.None, ""),
		probe:   m.Route("", "probe", obs.None, ""),
		page:    m.Route("", "page", obs.None, ""),
		feeds:   map[string]map[string]*obs.Route{},
		unknown: m.Route("", "unknown", obs.None, ""),
	}
	for _, k := range distspec.Kinds() {
		transfer, object := obs.None, ""
		switch k { //nolint:exhaustive // the others move no content
		case distspec.ManifestGet:
			transfer, object = obs.Pull, "manifest"
		case distspec.BlobGet:
			transfer, object = obs.Pull, "blob"
		case distspec.ManifestPut:
			transfer, object = obs.Push, "manifest"
		case distspec.UploadFinish:
			transfer, object = obs.Push, "blob"
		}
		for len(r.oci) <= int(k) {
			r.oci = append(r.oci, nil)
		}
		r.oci[k] = m.Route(format, k.String(), transfer, object)
	}
	if feeds != nil {
		for name, kinds := range feeds.RouteNames() {
			r.feeds[name] = map[string]*obs.Route{}
			for _, kind := range append(kinds, "invalid") {
				if r.feeds[name][kind] == nil {
					r.feeds[name][kind] = m.Route(name, kind, obs.None, "")
				}
			}
		}
	}
	return r
}

func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	now := time.Now()
	x := exchanges.Get().(*exchange)
	x.begin(w, r, time.Duration(h.cfg.Limits.IdleBody), now)
	h.metrics.Begin()
	client, proxied := h.proxies.client(r)
	id := ""
	if proxied {
		id = r.Header.Get("X-Request-Id")
	}
	if !saneID(id) {
		id = h.ids.next()
	}
	x.Header()["X-Request-Id"] = []string{id}
	x.route = h.routes.unknown
	x.request.Start, x.request.ID, x.request.Client = now, id, client
	x.request.Method, x.request.URI, x.request.UserAgent = r.Method, maskedURI(r.RequestURI), r.UserAgent()
	x.request.Kind = "unknown"
	caller := newCaller(r.Method)
	caller.Address, caller.Client, caller.RequestID = client, r.UserAgent(), id
	x.reads = caller.Reads
	r = r.WithContext(registry.WithCaller(h.traced(x, r), caller))
	defer h.end(x, r)
	h.serve(x, r, caller, proxied)
}

func (h *handler) serve(x *exchange, r *http.Request, c *registry.Caller, proxied bool) {
	if len(r.RequestURI) > int(h.cfg.Limits.URL) {
		http.Error(x, "the URL is longer than "+h.cfg.Limits.URL.String()+": shorten it", http.StatusRequestURITooLong)
		return
	}
	// Routes are chosen on the escaped path: what a client escapes stays
	// escaped, so "/%76%32/" is not "/v2/".
	path := r.URL.EscapedPath()
	if probe := h.probes.at(path); probe != nil {
		x.route, x.request.Kind = h.routes.probe, "probe"
		probe(x, r)
		return
	}
	m := h.mounted(path)
	refused := h.entry.admit(r, c, m != nil && m.Checks)
	if !isOpen(c) { // else everybody is the same nobody
		x.request.Principal = c.Principal
	}
	if refused == nil {
		var release func()
		if release, refused = h.entry.carry(r, c); refused == nil {
			defer release()
		}
	}
	if path == "/v2" || len(path) >= 4 && path[:4] == "/v2/" {
		h.serveOCI(x, r, c, refused, proxied)
		return
	}
	if m != nil {
		h.serveMount(x, r, c, m, refused, proxied)
		return
	}
	if h.feeds != nil {
		if t, ok := h.feeds.Find(r); ok {
			h.serveFeed(x, r, c, t, refused, proxied)
			return
		}
	}
	if refused != nil {
		refuse(x, r, refused)
		return
	}
	if path == "/" {
		x.route, x.request.Kind = h.routes.page, "page"
		h.welcome(x, r, proxied)
		return
	}
	http.Error(x, "nothing is here: the OCI API is at /v2/, a package feed at /NAMESPACE/FORMAT/", http.StatusNotFound)
}

// serveFeed serves a package format's own protocol.
func (h *handler) serveFeed(x *exchange, r *http.Request, c *registry.Caller, t feed.Target, refused error, proxied bool) {
	x.route, x.request.Kind, x.request.Repo = h.routes.feeds[t.Format()][t.Route()], t.Format()+"_"+t.Route(), t.Feed().Name()
	x.path.feed(t)
	c.Route = x.request.Kind
	err := refused
	if t.Verb() == registry.Enter && errors.Is(err, registry.Unauthorized) {
		err = nil // who shows a credential that is not valid any more may get another
	}
	if err == nil {
		err = h.gate.Some(r.Context(), t.Verb(), registry.Repo(t.Feed().Name()))
	}
	if err == nil {
		err = t.Serve(x, r, h.baseURL(r, proxied))
	}
	if err != nil {
		t.WriteError(x, r, err)
	}
}

func (h *handler) serveOCI(x *exchange, r *http.Request, c *registry.Caller, refused error, proxied bool) {
	q, err := distspec.Parse(r.Method, r.URL)
	if err != nil {
		x.route, x.request.Kind = h.routes.invalid, "invalid"
	} else {
		x.route, x.request.Kind, x.request.Repo = h.routes.oci[q.Kind], q.Kind.String(), string(q.Repo)
		x.path.kind = q.Kind
		if q.Kind == distspec.UploadStart && q.Digest != "" {
			x.route = h.routes.whole
		}
	}
	c.Route = x.request.Kind
	// Who may ask at all comes before what was asked.
	if refused != nil {
		err = refused
	} else if err == nil {
		err = h.mayOCI(r.Context(), c, q)
	}
	if err != nil {
		h.challengeOCI(x, r, q, err, proxied)
		h.api.WriteError(x, r, err)
		return
	}
	h.api.Serve(x, r, q)
}

// end logs and counts an exchange however it ended. It is deferred itself, as
// recover demands.
func (h *handler) end(x *exchange, r *http.Request) {
	panicked := recover()
	if panicked != nil && panicked != http.ErrAbortHandler { //nolint:errorlint // net/http compares it so
		panicked = h.rescue(x, r, fmt.Errorf("panic: %v\n%s", panicked, debug.Stack()))
	}
	if x.request.Status == 0 {
		x.request.Status = http.StatusOK // what net/http sends for a handler that wrote nothing
		if panicked != nil {
			x.request.Status = http.StatusInternalServerError
		}
	}
	if x.spoken != nil {
		x.spoken.end()
		panicked = nil
	}
	x.request.Duration = time.Since(x.request.Start)
	x.route.Observe(x.request.Status, x.request.Duration, x.request.BytesIn, x.request.BytesOut)
	h.access.Log(&x.request)
	if x.span.Active() {
		x.span.End(&x.request, x.route.Format(), x.path.String(), schemeOf(x))
	}
	h.metrics.End()
	if panicked != nil {
		panic(panicked)
	}
	*x = exchange{} // keep no connection alive
	exchanges.Put(x)
}

// rescue answers a request whose handler panicked before it wrote anything,
// and else returns what breaks the connection: the client must not take what it
// got for whole.
func (h *handler) rescue(x *exchange, r *http.Request, cause error) (abort any) {
	if x.request.Status != 0 {
		h.log.ErrorContext(r.Context(), "request could not be finished", "error", cause)
		return http.ErrAbortHandler
	}
	for name := range x.Header() {
		if name != "X-Request-Id" {
			x.Header().Del(name)
		}
	}
	h.api.WriteError(x, r, registry.E("server", registry.Internal, cause, "internal error"))
	return nil
}

// probes answer whether the process lives and whether it should get requests.
type probes struct {
	stopping atomic.Bool
	ready    func(context.Context) error // nil: always
}

// at returns the probe at path, or nil.
func (p *probes) at(path string) http.HandlerFunc {
	switch path {
	case "/-/healthy", "/livez", "/healthz":
		return p.healthy
	case "/-/ready", "/readyz":
		return p.serveReady
	}
	return nil
}

func (p *probes) healthy(w http.ResponseWriter, r *http.Request) {
	answerProbe(w, r, http.StatusOK, "ok\n")
}

func (p *probes) serveReady(w http.ResponseWriter, r *http.Request) {
	if p.stopping.Load() {
		answerProbe(w, r, http.StatusServiceUnavailable, "stopping\n")
		return
	}
	if p.ready != nil {
		if err := p.ready(r.Context()); err != nil {
			answerProbe(w, r, http.StatusServiceUnavailable, registry.Public(err).Message+"\n")
			return
		}
	}
	answerProbe(w, r, http.StatusOK, "ok\n")
}

func answerProbe(w http.ResponseWriter, r *http.Request, status int, text string) {
	h := w.Header()
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		h.Set("Allow", "GET, HEAD")
		status, text = http.StatusMethodNotAllowed, "a probe takes GET or HEAD\n"
	}
	h.Set("Content-Type", "text/plain; charset=utf-8")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	if r.Method != http.MethodHead {
		_, _ = io.WriteString(w, text) // the client is gone if it fails
	}
}
