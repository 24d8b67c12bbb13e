package pypi

import (
	"net/http"

	"github.com/packhouse/packhouse/artifacttypes"
	"github.com/packhouse/packhouse/registry"
)

// Routes is the protocol; see [artifacttypes.Format].
func (Format) Routes() []artifacttypes.Route {
	routes := []artifacttypes.Route{
		{Name: "file", Method: http.MethodGet, Pattern: "/files/{pkg}/{version}/{file}", Verb: registry.Read, Serve: serveFile},
		{Name: "simple", Method: http.MethodGet, Pattern: "/simple/{pkg}/", Verb: registry.Read, Serve: servePage},
		{Name: "simple_redirect", Method: http.MethodGet, Pattern: "/simple/{pkg}", Verb: registry.Read, Serve: redirectPage},
		{Name: "projects", Method: http.MethodGet, Pattern: "/simple/", Verb: registry.List, Serve: serveProjects},
		{Name: "projects_redirect", Method: http.MethodGet, Pattern: "/simple", Verb: registry.List, Serve: redirectTo("simple/")},
		{
			Name: "provenance", Method: http.MethodGet, Pattern: "/integrity/{pkg}/{version}/{file}/provenance",
			Verb: registry.Read, Serve: serveProvenance,
		},
		{Name: "legacy_json", Method: http.MethodGet, Pattern: "/pypi/{pkg}/json", Verb: registry.Read, Serve: serveLegacy},
		{Name: "legacy_json", Method: http.MethodGet, Pattern: "/pypi/{pkg}/{version}/json", Verb: registry.Read, Serve: serveLegacyVersion},
		{Name: "yank", Method: http.MethodPost, Pattern: "/-/yank", Verb: registry.Withdraw, Serve: yank},
		{Name: "status", Method: http.MethodPut, Pattern: "/-/status", Verb: registry.Withdraw, Serve: setStatus},
	}
	for _, pattern := range []string{"/", "/legacy", "/legacy/"} { // clients follow no redirect
		routes = append(routes, artifacttypes.Route{Name: "upload", Method: http.MethodPost, Pattern: pattern, Verb: registry.Create, Serve: upload})
	}
	return routes
}
