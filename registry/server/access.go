package server

import (
	"context"
	"errors"
	"net/http"
	"strings"

	"github.com/packhouse/packhouse/registry"
	"github.com/packhouse/packhouse/registry/auth"
	"github.com/packhouse/packhouse/registry/distspec"
	"github.com/packhouse/packhouse/registry/limit"
)

// entrance finds out who sends a request, once, before anything is looked at.
type entrance struct {
	auth   *auth.Service
	limits *limit.Limiter
	guard  openGuard
}

// open tells whether everybody may do everything at this moment.
func (e *entrance) open() bool { return e.auth == nil || e.auth.Open() }

// admit fills in who c is. On an error c is anonymous: what everybody may do
// can go on. Credentials that the handler itself will check are left alone.
func (e *entrance) admit(r *http.Request, c *registry.Caller, checked bool) error {
	if e.open() {
		set(c, &auth.Identity{Kind: auth.Open})
		return e.guard.check(r)
	}
	set(c, &auth.Identity{Kind: auth.Anonymous})
	if err := e.guard.crossOrigin(r); err != nil {
		return err
	}
	if err := e.limits.Request("", c.Address, false); err != nil {
		return err
	}
	if checked {
		return nil
	}
	credential, sent, err := auth.CredentialOf(r.Header)
	if err != nil || !sent {
		return err
	}
	id, err := e.auth.Authenticate(r.Context(), credential, c.Address)
	if err != nil {
		return err
	}
	set(c, id)
	if id.Kind == auth.Anonymous {
		return nil
	}
	return e.limits.Request(c.Principal, "", id.Exempt)
}

// unknownLength is what a body counts for that does not say how long it is.
const unknownLength = 8 << 20

// carry counts a request's body among those that its principal, or for nobody
// its address, is sending; release ends that.
func (e *entrance) carry(r *http.Request, c *registry.Caller) (release func(), err error) {
	id, _ := c.Identity.(*auth.Identity)
	n := r.ContentLength
	if n == 0 || id == nil || id.Kind == auth.Open || id.Exempt {
		return func() {}, nil
	}
	if n < 0 {
		n = unknownLength
	}
	who := c.Principal
	if id.Kind == auth.Anonymous {
		who = c.Address
	}
	return e.limits.Bytes(who, n)
}

func isOpen(c *registry.Caller) bool {
	id, ok := c.Identity.(*auth.Identity)
	return ok && id.Kind == auth.Open
}

func set(c *registry.Caller, id *auth.Identity) {
	c.Identity, c.Principal, c.Token, c.Subject = id, id.String(), id.Token, id.Subject
}

// known tells whether c is somebody, or at least holds a token that says what
// anybody may do: what the version check of the OCI API asks.
func known(c *registry.Caller) bool {
	id, ok := c.Identity.(*auth.Identity)
	return ok && (id.Kind != auth.Anonymous || id.Claims != nil)
}

// mayOCI asks the gate about a request of the OCI API. Its version check has
// no repository: it tells whether the caller is known. The catalog shows what
// the caller may see of it.
func (h *handler) mayOCI(ctx context.Context, c *registry.Caller, q distspec.Request) error {
	switch q.Kind { //nolint:exhaustive // the others name a repository
	case distspec.Base:
		if !known(c) {
			return registry.E("server.mayOCI", registry.Unauthorized, nil, "log in to use this registry")
		}
		return nil
	case distspec.Catalog:
		return h.gate.Some(ctx, q.Verb, "")
	}
	return h.gate.Can(ctx, q.Verb, q.Repo)
}

// challengeOCI says how to log in to the OCI API, and for what.
func (h *handler) challengeOCI(w http.ResponseWriter, r *http.Request, q distspec.Request, err error, proxied bool) {
	if !errors.Is(err, registry.Unauthorized) {
		return
	}
	scope := ""
	switch {
	case q.Kind == distspec.Catalog:
		scope = "registry:catalog:*"
	case q.Repo != "":
		actions := "pull"
		switch q.Verb { //nolint:exhaustive // the others are not asked by this API
		case registry.Create, registry.Overwrite:
			actions = "pull,push"
		case registry.Delete:
			actions = "delete"
		}
		scope = "repository:" + string(q.Repo) + ":" + actions
	}
	base := h.baseURL(r, proxied)
	why := ""
	if r.Header.Get("Authorization") != "" {
		why = "invalid_token"
		if c := registry.CallerOf(r.Context()); known(c) {
			why = "insufficient_scope"
		}
	}
	w.Header()["Www-Authenticate"] = []string{auth.Challenge("Bearer", base+"/token", serviceName(base), scope, why)}
}

// serviceName is what tokens are for: the host by which clients know us.
func serviceName(base string) string {
	_, host, _ := strings.Cut(base, "://")
	return host
}
