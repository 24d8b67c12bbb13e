package oidc

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"net/url"
	"sync"
	"sync/atomic"
	"time"

	gooidc "github.com/coreos/go-oidc/v3/oidc"
	"github.com/go-jose/go-jose/v4"

	"github.com/packhouse/packhouse/registry/egress"
)

const (
	// maxAnswer bounds a discovery document, a key set, a provider's answer.
	maxAnswer = 256 << 10
	// fetchTimeout bounds discovery and key set together.
	fetchTimeout = 15 * time.Second
	// maxAge is how long keys are used without asking again whether they are
	// still the issuer's.
	maxAge = time.Hour
	// minInterval is the least time between two fetches from one issuer, so
	// that tokens with keys it never had do not become requests to it.
	minInterval = 30 * time.Second
)

// issuers knows what the issuers that are trusted publish about themselves.
type issuers struct {
	client *http.Client
	now    func() time.Time

	mu    sync.Mutex
	known map[string]*issuer
}

func newIssuers(d *egress.Dialer, now func() time.Time) *issuers {
	client := d.Client(maxAnswer)
	// The document must come from the issuer's own host.
	client.CheckRedirect = func(next *http.Request, _ []*http.Request) error {
		return errors.New("a redirect is not followed, to " + next.URL.Host)
	}
	return &issuers{client: client, now: now, known: map[string]*issuer{}}
}

// get returns the issuer of exactly that URL. Only issuers that a rule or the
// configuration names are asked for.
func (s *issuers) get(name string) *issuer {
	s.mu.Lock()
	defer s.mu.Unlock()
	i := s.known[name]
	if i == nil {
		i = &issuer{name: name, client: s.client, now: s.now, turn: make(chan struct{}, 1)}
		s.known[name] = i
	}
	return i
}

// keep forgets all issuers but those that are still named.
func (s *issuers) keep(named func(string) bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for name := range s.known {
		if !named(name) {
			delete(s.known, name)
		}
	}
}

func (s *issuers) size() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.known)
}

// issuer is one OpenID Connect issuer.
type issuer struct {
	name   string
	client *http.Client
	now    func() time.Time
	turn   chan struct{} // held by who fetches
	last   atomic.Pointer[published]
}

// published is what an issuer says about itself. It never changes.
type published struct {
	provider *gooidc.Provider
	keys     []jose.JSONWebKey
	at       time.Time // when it was fetched
	tried    time.Time // when that was last tried
	err      error     // why there is nothing
}

// published returns what is known, and fetches it if that is nothing, old, or
// not enough: what is asked for is not there.
func (i *issuer) published(ctx context.Context, enough func(*published) bool) (*published, error) {
	fresh := func() *published {
		p := i.last.Load()
		if p == nil {
			return nil
		}
		now := i.now()
		good := p.err == nil && now.Sub(p.at) < maxAge && (enough == nil || enough(p))
		if good || now.Sub(p.tried) < minInterval {
			return p
		}
		return nil
	}
	p := fresh()
	if p == nil {
		select {
		case i.turn <- struct{}{}:
			defer func() { <-i.turn }()
		case <-ctx.Done():
			return nil, ctx.Err()
		}
		if p = fresh(); p == nil {
			p = i.refresh(ctx)
		}
	}
	return p, p.err
}

func (i *issuer) refresh(ctx context.Context) *published {
	// Others wait for it, too: who asked first may leave.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), fetchTimeout)
	defer cancel()
	next, err := i.fetch(ctx)
	now := i.now()
	if err != nil {
		next = &published{err: err}
		if before := i.last.Load(); before != nil && before.err == nil && now.Sub(before.at) < maxAge {
			kept := *before
			next = &kept
		}
	} else {
		next.at = now
	}
	next.tried = now
	i.last.Store(next)
	return next
}

// fetch reads the discovery document (OpenID Connect Discovery 1.0, section 4)
// and the keys that it leads to.
func (i *issuer) fetch(ctx context.Context) (*published, error) {
	if err := checkEndpoint("issuer", i.name); err != nil {
		return nil, err
	}
	ctx = gooidc.ClientContext(ctx, i.client)
	provider, err := gooidc.NewProvider(ctx, i.name)
	if err != nil {
		return nil, fmt.Errorf("discover %s: %w", i.name, err)
	}
	var document struct {
		Keys string `json:"jwks_uri"`
	}
	if err := provider.Claims(&document); err != nil {
		return nil, fmt.Errorf("discover %s: %w", i.name, err)
	}
	if err := checkEndpoint("jwks_uri", document.Keys); err != nil {
		return nil, fmt.Errorf("discover %s: %w", i.name, err)
	}
	keys, err := i.fetchKeys(ctx, document.Keys)
	if err != nil {
		return nil, fmt.Errorf("read keys of %s: %w", i.name, err)
	}
	return &published{provider: provider, keys: keys}, nil
}

func (i *issuer) fetchKeys(ctx context.Context, from string) ([]jose.JSONWebKey, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, from, http.NoBody)
	if err != nil {
		return nil, err
	}
	res, err := i.client.Do(req)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close() //nolint:errcheck // it was read, or it is of no use
	if res.StatusCode != http.StatusOK {
		return nil, errors.New(res.Status)
	}
	body, err := io.ReadAll(res.Body) // bounded by the client
	if err != nil {
		return nil, err
	}
	var set struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if err := json.Unmarshal(body, &set); err != nil {
		return nil, err
	}
	return usableKeys(set.Keys)
}

// checkEndpoint takes https URLs, and http ones of this machine, where nobody
// is between.
func checkEndpoint(what, text string) error {
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || u.User != nil || u.Fragment != "" {
		return fmt.Errorf("%s %q is not a URL", what, text)
	}
	if u.Scheme == "https" || u.Scheme == "http" && loopback(u.Hostname()) {
		return nil
	}
	return fmt.Errorf("%s %q is not an https URL", what, text)
}

func loopback(host string) bool {
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && ip.IsLoopback()
}
