package server

import (
	"net/http"
	"net/url"
	"strings"

	"github.com/packhouse/packhouse/artifacttypes"
	"github.com/packhouse/packhouse/registry"
	"github.com/packhouse/packhouse/registry/auth"
	"github.com/packhouse/packhouse/registry/oidc"
)

// Operations is the administrative API, which decides itself who may.
type Operations interface {
	http.Handler
	// Operation names what a request asks for, "" for nothing that is there.
	Operation(r *http.Request) string
}

// Mounts is what clients see beside the OCI API and the feeds.
func (b *Backend) Mounts(api Operations) []Mount {
	base := func(r *http.Request) string { return registry.CallerOf(r.Context()).Base }
	service := func(r *http.Request) string { return serviceName(base(r)) }
	operations := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if name := api.Operation(r); name != "" {
			registry.CallerOf(r.Context()).Route = name
		}
		api.ServeHTTP(w, r)
	})
	enter := func(name, prefix string, h http.Handler) Mount {
		return Mount{Name: name, Prefix: prefix, Verb: registry.Enter, Checks: true, Closed: true, Handler: h}
	}
	return []Mount{
		{Name: "api", Prefix: apiPrefix, Verb: registry.Enter, Handler: operations},
		enter("token", "/token", b.Auth.TokenEndpoint(func(r *http.Request) string { return base(r) + "/token" }, service)),
		enter("login", "/-/login", b.OIDC),
		enter("login", "/-/login/", b.OIDC),
		enter("oidc_token", "/-/oidc/", b.OIDC),
		enter("oidc_token", "/_/oidc/", b.OIDC),
		enter("oidc_token", npmExchange, http.HandlerFunc(b.exchangeNPM)),
	}
}

const (
	apiPrefix   = "/-/api/v1/"
	npmExchange = "/-/npm/v1/oidc/token/exchange/package/"
)

// exchangeNPM gives npm's CI jobs their token: npm asks at the root of the
// host, whatever feed it publishes to, so each feed is tried whose trust rules
// could mean the package.
func (b *Backend) exchangeNPM(w http.ResponseWriter, r *http.Request) {
	name, err := url.PathUnescape(strings.TrimPrefix(r.URL.EscapedPath(), npmExchange))
	if err != nil || r.Method != http.MethodPost {
		refuse(w, r, registry.E("server.exchangeNPM", registry.Unsupported, err, "POST the job's ID token to this URL"))
		return
	}
	credential, _, err := auth.CredentialOf(r.Header)
	if err != nil {
		refuse(w, r, err)
		return
	}
	c := registry.CallerOf(r.Context())
	host, _, _ := strings.Cut(serviceName(c.Base), ":")
	err = registry.E("server.exchangeNPM", registry.Denied, nil, "no trust rule lets this job publish %.214q", name)
	feeds, unknown := b.Engine.FeedsOf(r.Context(), "npm")
	if unknown != nil {
		err = unknown
	}
	for _, f := range feeds {
		repo, wrong := b.Engine.PackageRepo(f, name)
		if wrong != nil {
			continue
		}
		m, failed := b.OIDC.Exchange(r.Context(), credential.Secret, oidc.Want{Repository: repo, Audiences: []string{"npm:" + host}}, c.Address)
		if failed == nil {
			_ = artifacttypes.WriteJSON(w, r, http.StatusCreated, map[string]any{"token": m.Secret, "token_type": "oidc", "expires": m.Expires})
			return
		}
		err = failed
	}
	refuse(w, r, err)
}
