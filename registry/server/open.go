package server

import (
	"net/http"

	"github.com/packhouse/packhouse/registry"
	"github.com/packhouse/packhouse/registry/config"
)

// openGuard stands in for authentication while the registry is open.
// A name that resolves to this machine (DNS rebinding) and a page of another
// site must not turn a browser here into a client of the open registry.
type openGuard struct {
	anyHost bool // the operator passed --insecure-open
	csrf    *http.CrossOriginProtection
}

func (g openGuard) check(r *http.Request) error {
	const op = "server.open"
	if !g.anyHost && !config.IsLoopbackName(hostOf(r.Host)) {
		return registry.E(op, registry.Denied, nil,
			"this registry is open and therefore only answers to localhost, not to %.80q: use http://localhost or 127.0.0.1, or restart it with --insecure-open", r.Host)
	}
	if crossSite(r) || g.csrf.Check(r) != nil {
		return registry.E(op, registry.Denied, nil,
			"this registry is open and therefore refuses requests that a browser sends for another site: use a registry client, or open the address itself")
	}
	return nil
}

// crossOrigin refuses changes that a browser sends for another site: it adds
// the credentials that somebody typed here.
func (g openGuard) crossOrigin(r *http.Request) error {
	if g.csrf.Check(r) != nil {
		return registry.E("server.open", registry.Denied, nil,
			"this registry refuses changes that a browser sends for another site: use a registry client, or open the address itself")
	}
	return nil
}

// crossSite adds what CrossOriginProtection lets pass: reads by another
// site's scripts and tags. Following a link is no such read.
func crossSite(r *http.Request) bool {
	site := r.Header["Sec-Fetch-Site"]
	if len(site) == 0 || site[0] == "same-origin" || site[0] == "none" {
		return false
	}
	return r.Header.Get("Sec-Fetch-Mode") != "navigate"
}
