package artifacttypes_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/packhouse/packhouse/artifacttypes"
	"github.com/packhouse/packhouse/registry"
)

// routed is a format that only has routes.
type routed struct {
	artifacttypes.Format
	routes []artifacttypes.Route
}

func (routed) Info() artifacttypes.Info        { return artifacttypes.Info{Name: "x", Title: "X"} }
func (r routed) Routes() []artifacttypes.Route { return r.routes }

func serve(http.ResponseWriter, *http.Request, artifacttypes.View) error { return nil }

func TestMatch(t *testing.T) {
	t.Parallel()
	var routes []artifacttypes.Route
	for _, pattern := range []string{"/", "/-/ping", "/{pkg}", "/@{scope}/{name}", "/{pkg}/-/{file}", "/files/{path...}", "/v-{v}.json", "/list/"} {
		routes = append(routes, artifacttypes.Route{Name: pattern, Method: http.MethodGet, Pattern: pattern, Verb: registry.Read, Serve: serve})
	}
	routes = append(routes,
		artifacttypes.Route{Name: "put", Method: http.MethodPut, Pattern: "/{pkg}", Verb: registry.Create, Serve: serve},
		artifacttypes.Route{Name: "api", Method: http.MethodPost, Pattern: "/charts", Verb: registry.Create, Serve: serve, API: true})
	router, err := artifacttypes.NewRouter(routed{routes: routes})
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		method, path string
		api          bool
		want         string
		values       map[string]string
	}{
		{"GET", "/", false, "/", nil},
		{"GET", "/-/ping", false, "/-/ping", nil},
		{"GET", "/left-pad", false, "/{pkg}", map[string]string{"pkg": "left-pad"}},
		{"HEAD", "/left-pad", false, "/{pkg}", map[string]string{"pkg": "left-pad"}},
		{"GET", "/@acme%2fwidget", false, "/{pkg}", map[string]string{"pkg": "@acme/widget"}},
		{"GET", "/@acme%2Fwidget", false, "/{pkg}", map[string]string{"pkg": "@acme/widget"}},
		{"GET", "/@acme/widget", false, "/@{scope}/{name}", map[string]string{"scope": "acme", "name": "widget"}},
		{"GET", "/a+b/-/a+b%2B1.tgz", false, "/{pkg}/-/{file}", map[string]string{"pkg": "a+b", "file": "a+b+1.tgz"}},
		{"GET", "/files/a/b%20c/d", false, "/files/{path...}", map[string]string{"path": "a/b c/d"}},
		{"GET", "/v-1.0.json", false, "/{pkg}", nil},
		{"GET", "/list/", false, "/list/", nil},
		{"PUT", "/left-pad", false, "put", map[string]string{"pkg": "left-pad"}},
		{"POST", "/charts", true, "api", nil},
		{"POST", "/charts", false, "", nil},
		{"GET", "/files/", false, "", nil},
		{"GET", "//", false, "", nil},
		{"GET", "/a/b/c", false, "", nil},
		{"GET", "/%zz", false, "", nil},
		{"GET", "/a%00", false, "", nil},
	}
	for _, tt := range tests {
		r := httptest.NewRequest(tt.method, "/", nil) //nolint:noctx // only matched
		route, index, err := router.Match(r, tt.path, tt.api)
		if route.Name != tt.want || (err == nil) != (tt.want != "") || (err == nil) != (index >= 0) {
			t.Errorf("%s %s: route %q, %v, want %q", tt.method, tt.path, route.Name, err, tt.want)
		}
		for name, want := range tt.values {
			if got := r.PathValue(name); got != want {
				t.Errorf("%s %s: %s = %q, want %q", tt.method, tt.path, name, got, want)
			}
		}
	}
	_, _, err = router.Match(httptest.NewRequest(http.MethodDelete, "/", nil), "/left-pad", false)
	e, ok := errors.AsType[*registry.Error](err)
	if !ok || e.Code != registry.Unsupported {
		t.Fatalf("another method: %v", err)
	}
	if diff := cmp.Diff(artifacttypes.Methods{"GET", "HEAD", "PUT"}, e.Detail); diff != "" {
		t.Errorf("allowed methods:\n%s", diff)
	}
}

func TestNewRouterRefuses(t *testing.T) {
	t.Parallel()
	good := artifacttypes.Route{Name: "x", Method: "GET", Pattern: "/x", Verb: registry.Read, Serve: serve}
	for name, change := range map[string]func(*artifacttypes.Route){
		"no verb":    func(r *artifacttypes.Route) { r.Verb = 0 },
		"no handler": func(r *artifacttypes.Route) { r.Serve = nil },
		"no name":    func(r *artifacttypes.Route) { r.Name = "" },
		"no slash":   func(r *artifacttypes.Route) { r.Pattern = "x" },
		"open brace": func(r *artifacttypes.Route) { r.Pattern = "/{x" },
		"two names":  func(r *artifacttypes.Route) { r.Pattern = "/{a}{b}" },
		"after rest": func(r *artifacttypes.Route) { r.Pattern = "/{a...}/b" },
	} {
		r := good
		change(&r)
		if _, err := artifacttypes.NewRouter(routed{routes: []artifacttypes.Route{r}}); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func FuzzMatch(f *testing.F) {
	router, err := artifacttypes.NewRouter(routed{routes: []artifacttypes.Route{
		{Name: "a", Method: "GET", Pattern: "/{pkg}/-/{file}", Verb: registry.Read, Serve: serve},
		{Name: "b", Method: "GET", Pattern: "/x{a}y/{rest...}", Verb: registry.Read, Serve: serve},
	}})
	if err != nil {
		f.Fatal(err)
	}
	for _, path := range []string{"/", "/a/-/b", "/xay/b/c", "/%2f/-/%00", "/x%79y/", "//-/"} {
		f.Add(path)
	}
	f.Fuzz(func(t *testing.T, path string) {
		if path == "" || path[0] != '/' {
			return
		}
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		if route, _, err := router.Match(r, path, false); err == nil && route.Name == "a" && (r.PathValue("pkg") == "" || r.PathValue("file") == "") {
			t.Errorf("%q has an empty value", path)
		}
	})
}
