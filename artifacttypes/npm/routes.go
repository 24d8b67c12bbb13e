package npm

import (
	"net/http"

	"github.com/packhouse/packhouse/artifacttypes"
	"github.com/packhouse/packhouse/registry"
)

type handler = func(w http.ResponseWriter, r *http.Request, v artifacttypes.View) error

// Routes is the registry protocol. What is below "/-/" comes before packages,
// none of which can have that name.
func (Format) Routes() []artifacttypes.Route {
	const (
		get, update, post, remove = http.MethodGet, http.MethodPut, http.MethodPost, http.MethodDelete
	)
	var list []artifacttypes.Route
	add := func(name, method, pattern string, verb registry.Verb, serve handler) {
		list = append(list, artifacttypes.Route{Name: name, Method: method, Pattern: pattern, Verb: verb, Serve: serve})
	}
	// A package stands in a path as one segment, or as two when the slash
	// behind its scope is not escaped.
	addBoth := func(name, method, before, after string, verb registry.Verb, serve handler) {
		add(name, method, before+"/{scope}/"+after, verb, serve)
		add(name, method, before+"/"+after, verb, serve)
	}

	// Who has an account may log in and ask about it, whatever else it may.
	add("ping", get, "/-/ping", registry.Enter, ping)
	add("whoami", get, "/-/whoami", registry.Enter, whoami)
	add("search", get, "/-/v1/search", registry.List, search)
	add("login", post, "/-/v1/login", registry.Enter, webLogin)
	add("login", get, "/-/v1/login", registry.Enter, loginPage)
	add("login", get, "/-/v1/done", registry.Enter, loginDone)
	add("login", update, "/-/user/"+userPrefix+"{user}", registry.Enter, login)
	add("login", update, "/-/user/"+userPrefix+"{user}/-rev/{rev}", registry.Enter, login)
	addBoth("exchange", post, "/-/npm/v1/oidc/token/exchange/package", "{pkg}", registry.Enter, exchange)
	add("user", get, "/-/user/"+userPrefix+"{user}", registry.Read, user)
	add("logout", remove, "/-/user/token/{key}", registry.Enter, dropToken)
	add("profile", get, "/-/npm/v1/user", registry.Enter, profile)
	add("profile", post, "/-/npm/v1/user", registry.Enter, setProfile)
	add("tokens", get, "/-/npm/v1/tokens", registry.Enter, listTokens)
	add("tokens", post, "/-/npm/v1/tokens", registry.Enter, createToken)
	add("tokens", remove, "/-/npm/v1/tokens/token/{key}", registry.Enter, dropToken)
	add("audit", post, "/-/npm/v1/security/advisories/bulk", registry.Read, advisories)
	add("audit", post, "/-/npm/v1/security/audits", registry.Read, audits)
	add("audit", post, "/-/npm/v1/security/audits/quick", registry.Read, audits)
	add("keys", get, "/-/npm/v1/keys", registry.Read, keys)
	addBoth("attestations", get, "/-/npm/v1/attestations", "{spec}", registry.Read, attestations)
	add("access", get, "/-/org/{owner}/package", registry.List, scopePackages)
	add("access", get, "/-/user/{owner}/package", registry.List, userPackages)
	addBoth("access", get, "/-/package", "{pkg}/visibility", registry.Read, visibility)
	addBoth("access", get, "/-/package", "{pkg}/collaborators", registry.Read, collaborators)
	addBoth("access", get, "/-/package", "{pkg}/access", registry.Read, visibility)
	addBoth("access", post, "/-/package", "{pkg}/access", registry.Create, setAccess)
	addBoth("dist_tags", get, "/-/package", "{pkg}/dist-tags", registry.Read, listTags)
	addBoth("dist_tags", update, "/-/package", "{pkg}/dist-tags/{tag}", registry.Label, setTag)
	addBoth("dist_tags", remove, "/-/package", "{pkg}/dist-tags/{tag}", registry.Label, dropTag)
	add("unknown", get, "/-/{rest...}", registry.Read, unknown)
	add("unknown", update, "/-/{rest...}", registry.Read, unknown)

	addBoth("tarball", get, "", "{pkg}/-/{file}", registry.Read, tarball)
	addBoth("tarball", get, "", "{pkg}/-/{folder}/{file}", registry.Read, tarball)
	addBoth("unpublish", remove, "", "{pkg}/-/{file}/-rev/{rev}", registry.Withdraw, removeTarball)
	addBoth("unpublish", remove, "", "{pkg}/-/{folder}/{file}/-rev/{rev}", registry.Withdraw, removeTarball)
	addBoth("unpublish", remove, "", "{pkg}/-rev/{rev}", registry.Withdraw, removePackage)
	addBoth("change", update, "", "{pkg}/-rev/{rev}", registry.Create, putRevision)
	addBoth("publish", update, "", "{pkg}", registry.Create, put)
	add("version", get, "/{scope}/{pkg}/{version}", registry.Read, versionDocument)
	addBoth("packument", get, "", "{pkg}", registry.Read, document)
	return list
}

// unknown answers what is asked of the registry itself and that it does not have.
func unknown(_ http.ResponseWriter, r *http.Request, _ artifacttypes.View) error {
	return registry.E("npm.unknown", registry.NameUnknown, nil, "this registry has no /-/%s", clip(r.PathValue("rest")))
}
