package oidc

import (
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"net/url"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/packhouse/packhouse/registry"
	"github.com/packhouse/packhouse/registry/auth"
	"github.com/packhouse/packhouse/registry/egress"
	"github.com/packhouse/packhouse/registry/seal"
	"github.com/packhouse/packhouse/storage/meta"
)

// Config is what a [Service] is made of.
type Config struct {
	Auth   *auth.Service
	Meta   *meta.Store
	Seal   *seal.Box
	Egress *egress.Dialer
	Log    *slog.Logger     // nil for none
	Now    func() time.Time // default: that of Meta
	// External is the URL by which the registry is known, without a trailing
	// slash. People who log in by a provider come back to it.
	External string
	// Audience is what ID tokens of CI jobs must be for where a rule does not
	// say it; default the host of External. With neither only rules that have
	// one of their own are of use. It is never taken from a request: whoever
	// sends one could name another's.
	Audience string
	// Base is the URL by which a request reached the registry, without a
	// trailing slash.
	Base   func(*http.Request) string
	People Provider
}

// Provider is the OpenID Connect provider by which people log in.
type Provider struct {
	Issuer       string // "" for none
	ClientID     string
	ClientSecret string   // "" for a public client
	Scopes       []string // beside openid; default profile, email
	NameClaim    string   // default preferred_username
	GroupsClaim  string   // "" leaves memberships alone
}

// Service exchanges what others vouch for. It is safe for concurrent use.
type Service struct {
	cfg     Config
	log     *slog.Logger
	now     func() time.Time
	issuers *issuers
	pages   *pages
	mux     *http.ServeMux
}

// New makes a Service. It connects to nobody: a provider that is away does not
// keep the registry from starting.
func New(cfg Config) (*Service, error) {
	s := &Service{cfg: cfg, log: cfg.Log, now: cfg.Now}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	if s.now == nil {
		s.now = cfg.Meta.Now
	}
	if s.cfg.Audience == "" && cfg.External != "" {
		u, err := url.Parse(cfg.External)
		if err != nil || u.Host == "" {
			return nil, fmt.Errorf("oidc: %q is not the URL of this registry", cfg.External)
		}
		s.cfg.Audience = u.Host
	}
	p := &s.cfg.People
	if p.Issuer != "" {
		if p.ClientID == "" || cfg.External == "" {
			return nil, errors.New("oidc: a provider needs a client id, and the URL of this registry to come back to")
		}
		if err := checkEndpoint("oidc: the issuer", p.Issuer); err != nil {
			return nil, err
		}
		if len(p.Scopes) == 0 {
			p.Scopes = []string{"profile", "email"}
		}
		if p.NameClaim == "" {
			p.NameClaim = "preferred_username"
		}
	}
	s.issuers = newIssuers(cfg.Egress, s.now)
	s.pages = newPages()
	s.mux = http.NewServeMux()
	for pattern, serve := range s.handlers() {
		s.mux.HandleFunc(pattern, serve)
	}
	return s, nil
}

// ServeHTTP serves what lies under /-/login, /-/oidc/ and /_/oidc/.
func (s *Service) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	// Nothing of ours needs escapes, and the mux would answer other spellings
	// of a path with redirects.
	if p := r.URL.EscapedPath(); strings.Contains(p, "%") || p != path.Clean(p) {
		http.NotFound(w, r)
		return
	}
	s.mux.ServeHTTP(w, r)
}

func (s *Service) handlers() map[string]http.HandlerFunc {
	return map[string]http.HandlerFunc{
		"POST /-/oidc/token":         s.serveToken,
		"GET /_/oidc/audience":       s.serveAudience,
		"POST /_/oidc/mint-token":    s.serveMint,
		"POST /_/oidc/burn-token":    s.serveBurn,
		"POST /-/login":              s.serveBegin,
		"GET /-/login/callback":      s.serveCallback,
		"GET /-/login/{id}":          s.servePage,
		"POST /-/login/{id}":         s.servePassword,
		"GET /-/login/{id}/provider": s.serveProvider,
		"POST /-/login/{id}/done":    s.serveDone,
	}
}

// Routes lists what is served: a method and a path, as [http.ServeMux] writes
// them.
func (s *Service) Routes() []string { return slices.Sorted(maps.Keys(s.handlers())) }

// Audience is what ID tokens of CI jobs must be for, "" for what rules say.
func (s *Service) Audience() string { return s.cfg.Audience }

// ours tells whether an audience names this registry, plainly or as a client's
// scheme and its host, with or without the port ("npm:packages.example.com").
func (s *Service) ours(audience string) bool {
	own := s.cfg.Audience
	if own == "" {
		return false
	}
	if audience == own {
		return true
	}
	_, host, ok := strings.Cut(audience, ":")
	return ok && slices.Contains(s.hosts(), host)
}

// hosts are the registry's own names: the audience, and the host of its URL
// with and without a port.
func (s *Service) hosts() []string {
	hosts := []string{s.cfg.Audience}
	if u, err := url.Parse(s.cfg.External); err == nil && u.Host != "" {
		hosts = append(hosts, u.Host, u.Hostname())
	}
	return hosts
}

// wrap makes an error of another package one that may go to a client.
func wrap(op string, err error) error {
	if err == nil {
		return nil
	}
	if _, ok := errors.AsType[*registry.Error](err); ok {
		return err
	}
	switch {
	case errors.Is(err, meta.ErrNoSpace):
		return registry.E(op, registry.NoSpace, err, "the database cannot grow: free space on its disk")
	case errors.Is(err, meta.ErrReadOnly), errors.Is(err, meta.ErrUncertain):
		return registry.E(op, registry.Unavailable, err, "the database cannot be written at the moment: try again")
	}
	return registry.E(op, registry.Internal, err, "internal error")
}
