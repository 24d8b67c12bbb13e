package server

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/packhouse/packhouse/registry"
	"github.com/packhouse/packhouse/registry/auth"
	"github.com/packhouse/packhouse/registry/config"
	"github.com/packhouse/packhouse/registry/distspec"
	"github.com/packhouse/packhouse/registry/feed"
	"github.com/packhouse/packhouse/registry/limit"
	"github.com/packhouse/packhouse/registry/obs"
)

// Options are what a server is made of.
type Options struct {
	Config   config.Config // checked
	Dir      *Dir
	Registry registry.Registry
	Gate     registry.Gate
	Auth     *auth.Service  // nil for a registry that is always open
	Limits   *limit.Limiter // required beside Auth
	Feeds    *feed.Handler  // nil for none
	Mounts   []Mount        // the rest of what clients see; the first that matches serves
	// Redirect and Public are those of distspec's Options; nil for none.
	Redirect func(req *http.Request, r registry.Repo, d registry.Descriptor) string
	Public   func(ctx context.Context, r registry.Repo) bool
	Ready    func(context.Context) error // readiness beyond "not stopping"; may be nil
	Admin    net.Listener                // where Operations are served; both or neither
	Operate  http.Handler
	Log      *slog.Logger
	Access   *obs.Access // nil for no access log
	Metrics  *obs.Metrics
	Tracing  *obs.Tracing // nil for no spans
	Version  string
}

// maxStreams bounds what one HTTP/2 connection may ask at once.
const maxStreams = 100

// Server is a registry that listens. Make one with [Listen], then [Server.Serve].
type Server struct {
	o       Options
	probes  *probes
	clients net.Listener
	second  net.Listener // nil for none
	cert    *certificate // nil without TLS
	url     string       // of clients
}

// Listen opens the listeners and publishes their addresses. Requests wait
// until Serve is called.
func Listen(ctx context.Context, o Options) (_ *Server, err error) {
	s := &Server{o: o, probes: &probes{ready: o.Ready}}
	defer func() {
		if err != nil {
			s.close()
		}
	}()
	scheme := "http"
	if o.Config.TLS.Enabled() {
		scheme = "https"
		if s.cert, err = loadCertificate(o.Config.TLS, o.Log); err != nil {
			return nil, err
		}
	}
	if s.clients, err = listen(ctx, "addr", o.Config.Addr); err != nil {
		return nil, err
	}
	s.url = baseOf(scheme, s.clients)
	secondURL := ""
	if o.Config.MetricsAddr != "" {
		if s.second, err = listen(ctx, "metrics_addr", o.Config.MetricsAddr); err != nil {
			return nil, err
		}
		secondURL = baseOf("http", s.second)
	}
	return s, o.Dir.publish(s.url, secondURL)
}

func listen(ctx context.Context, key, addr string) (net.Listener, error) {
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("%s: %w: set another address, with port 0 for any free one", key, err)
	}
	return l, nil
}

// baseOf writes the URL to reach l by; an unspecified address is reached
// through loopback.
func baseOf(scheme string, l net.Listener) string {
	host, port, err := net.SplitHostPort(l.Addr().String())
	if err != nil {
		return scheme + "://" + l.Addr().String()
	}
	if ip := net.ParseIP(host); ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	return scheme + "://" + net.JoinHostPort(host, port)
}

func (s *Server) close() {
	for _, l := range []net.Listener{s.clients, s.second} {
		if l != nil {
			_ = l.Close() // it was never used
		}
	}
}

// URL is the clients' base URL, without a trailing slash.
func (s *Server) URL() string { return s.url }

// Serve answers requests until ctx ends, then lets those under way finish. It
// returns nil after a complete drain.
func (s *Server) Serve(ctx context.Context) error {
	// What outlives ctx: requests being drained. What does not: long
	// administrative work, which stops where it can be resumed.
	base := context.WithoutCancel(ctx)
	clients := s.clientServer(base)
	servers := []*serving{{"clients", clients, s.clients, s.cert != nil}}
	if s.o.Admin != nil {
		servers = append(servers, &serving{"admin", s.plainServer(ctx, s.o.Operate), s.o.Admin, false})
	}
	if s.second != nil {
		servers = append(servers, &serving{"operators", s.plainServer(base, operatorHandler(s.o.Metrics, s.probes)), s.second, false})
	}
	ended := make(chan error, len(servers))
	for _, sv := range servers {
		go func() { ended <- sv.run() }()
	}
	var failed error
	running := len(servers)
	select {
	case <-ctx.Done():
	case failed = <-ended:
		running--
	}
	err := s.drain(ctx, servers)
	for ; running > 0; running-- {
		failed = errors.Join(failed, <-ended)
	}
	return errors.Join(failed, err, s.o.Dir.withdraw())
}

// serving is one listener with its server.
type serving struct {
	name     string
	server   *http.Server
	listener net.Listener
	tls      bool
}

func (sv *serving) run() error {
	serve := sv.server.Serve
	if sv.tls {
		serve = func(l net.Listener) error { return sv.server.ServeTLS(l, "", "") }
	}
	if err := serve(sv.listener); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve %s: %w", sv.name, err)
	}
	return nil
}

// drain stops in the order that cuts nobody off. The operators' listener is
// the last, so that probes and metrics can be read meanwhile.
func (s *Server) drain(ctx context.Context, servers []*serving) error {
	s.probes.stopping.Store(true)
	ctx = context.WithoutCancel(ctx)
	cfg := s.o.Config.Shutdown
	s.o.Log.InfoContext(ctx, "stopping", "delay", cfg.Delay.String(), "drain", cfg.Drain.String())
	<-time.After(time.Duration(cfg.Delay))
	deadline, cancel := context.WithTimeout(ctx, time.Duration(cfg.Drain))
	defer cancel()
	var failed error
	for _, sv := range servers {
		err := sv.server.Shutdown(deadline)
		if errors.Is(err, context.DeadlineExceeded) {
			err = fmt.Errorf("requests to %s were still running after %s and were cut", sv.name, cfg.Drain)
			err = errors.Join(err, sv.server.Close())
		}
		failed = errors.Join(failed, err)
	}
	return failed
}

func (s *Server) clientServer(base context.Context) *http.Server {
	o := s.o
	l := o.Config.Limits
	external := func(*http.Request) string { return strings.TrimRight(o.Config.ExternalURL, "/") }
	h := &handler{
		cfg: o.Config, gate: o.Gate, mounts: slices.Clone(o.Mounts),
		entry:   entrance{auth: o.Auth, limits: o.Limits, guard: openGuard{anyHost: o.Config.InsecureOpen, csrf: http.NewCrossOriginProtection()}},
		proxies: o.Config.TrustedProxies, log: o.Log, access: o.Access, metrics: o.Metrics, tracing: o.Tracing, probes: s.probes,
		routes: newRoutes(o.Metrics, o.Feeds), version: o.Version, feeds: o.Feeds,
		api: distspec.New(o.Registry, distspec.Options{
			MaxManifest: int64(l.Manifest), PageSize: l.Page, Log: o.Log, BaseURL: external, Redirect: o.Redirect, Public: o.Public,
		}),
	}
	h.ids.seed()
	for i := range h.mounts {
		h.mounts[i].route = o.Metrics.Route("", h.mounts[i].Name, obs.None, "")
	}
	hs := &http.Server{
		Handler:           h,
		ReadHeaderTimeout: time.Duration(l.HeaderRead),
		IdleTimeout:       time.Duration(l.KeepAlive),
		MaxHeaderBytes:    int(l.Header),
		ErrorLog:          connectionLog(o.Log),
		BaseContext:       func(net.Listener) context.Context { return base },
		HTTP2:             &http.HTTP2Config{MaxConcurrentStreams: maxStreams},
	}
	if s.cert != nil {
		hs.TLSConfig = s.cert.config()
	}
	return hs
}

// plainServer serves operators: small requests, answers that may take long.
func (s *Server) plainServer(base context.Context, h http.Handler) *http.Server {
	l := s.o.Config.Limits
	return &http.Server{
		Handler:           h,
		ReadHeaderTimeout: time.Duration(l.HeaderRead),
		ReadTimeout:       time.Duration(l.IdleBody),
		IdleTimeout:       time.Duration(l.KeepAlive),
		MaxHeaderBytes:    int(l.Header),
		ErrorLog:          connectionLog(s.o.Log),
		BaseContext:       func(net.Listener) context.Context { return base },
		TLSNextProto:      map[string]func(*http.Server, *tls.Conn, http.Handler){},
	}
}
