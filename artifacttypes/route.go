package artifacttypes

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/packhouse/packhouse/registry"
)

// Route is one kind of request.
type Route struct {
	Name   string // the metric label: "packument"
	Method string // GET serves HEAD, too
	// Pattern is matched on the escaped path below the feed's URL, segment by
	// segment: "/{pkg}/-/{file}". A segment is literal text, with at most one
	// {name} in it that takes the rest of the segment, at least one byte and
	// unescaped; "{name...}" as the last segment takes all that follows, at
	// least one byte, slashes included. Nothing is redirected or cleaned: where
	// clients write a path with and without a trailing slash, list both. The
	// first match in the order of [Format.Routes] wins. Handlers read names by
	// [http.Request.PathValue].
	Pattern string
	// API routes lie below /api/FEED instead of /FEED.
	API bool
	// Verb is the least that the caller needs. The zero verb does not register.
	Verb  registry.Verb
	Serve func(w http.ResponseWriter, r *http.Request, v View) error
}

// Router finds routes of one format.
type Router struct {
	info   Info
	routes []compiled
}

type compiled struct {
	Route
	segments []segment
	rest     string // name of a trailing {name...}
}

type segment struct{ prefix, name, suffix string }

// maxSegments bounds a pattern.
const maxSegments = 12

// NewRouter compiles the routes of f.
func NewRouter(f Format) (*Router, error) {
	r := &Router{info: f.Info()}
	for _, route := range f.Routes() {
		switch {
		case route.Verb == 0, route.Serve == nil, route.Name == "", route.Method == "":
			return nil, fmt.Errorf("%s: route %s %s needs a name, a method, a verb and a handler", r.info.Name, route.Method, route.Pattern)
		case !strings.HasPrefix(route.Pattern, "/"):
			return nil, fmt.Errorf("%s: pattern %q does not start with a slash", r.info.Name, route.Pattern)
		}
		c := compiled{Route: route}
		for part := range strings.SplitSeq(route.Pattern[1:], "/") {
			prefix, tail, found := strings.Cut(part, "{")
			name, suffix, closed := strings.Cut(tail, "}")
			if found && !closed || strings.ContainsAny(suffix, "{}") || c.rest != "" {
				return nil, fmt.Errorf("%s: pattern %q is not well-formed", r.info.Name, route.Pattern)
			}
			if base, ok := strings.CutSuffix(name, "..."); ok {
				c.rest = base
				continue
			}
			c.segments = append(c.segments, segment{prefix, name, suffix})
		}
		if len(c.segments) >= maxSegments {
			return nil, fmt.Errorf("%s: pattern %q has too many segments", r.info.Name, route.Pattern)
		}
		r.routes = append(r.routes, c)
	}
	return r, nil
}

// Routes lists what was compiled.
func (r *Router) Routes() []Route {
	list := make([]Route, len(r.routes))
	for i, c := range r.routes {
		list[i] = c.Route
	}
	return list
}

// Match finds the route of a request whose escaped path below the feed is
// path, which starts with a slash, and sets the path values of req. index is
// the route's place in [Router.Routes]. It returns UNSUPPORTED with the
// allowed methods as detail for another method, NAME_UNKNOWN for another path.
func (r *Router) Match(req *http.Request, path string, api bool) (route Route, index int, err error) {
	const op = "artifacttypes.Match"
	var allowed Methods
	var values [maxSegments]string // on the stack: many routes are tried
	for i := range r.routes {
		c := &r.routes[i]
		if c.API != api || !c.match(path, &values) {
			continue
		}
		if c.Method != req.Method && (c.Method != http.MethodGet || req.Method != http.MethodHead) {
			allowed = allowed.add(c.Method)
			continue
		}
		for j, s := range c.segments {
			if s.name != "" {
				req.SetPathValue(s.name, values[j])
			}
		}
		if c.rest != "" {
			req.SetPathValue(c.rest, values[len(c.segments)])
		}
		return c.Route, i, nil
	}
	if len(allowed) > 0 {
		return Route{}, -1, registry.E(op, registry.Unsupported, nil, "%s does not apply to this URL", req.Method).WithDetail(allowed)
	}
	return Route{}, -1, registry.E(op, registry.NameUnknown, nil, "nothing is at this URL of the %s feed", r.info.Title)
}

// match finds the value of each segment's name, and of the rest.
func (c *compiled) match(path string, values *[maxSegments]string) bool {
	rest := path[1:]
	for i, s := range c.segments {
		if i > 0 {
			if rest == "" || rest[0] != '/' {
				return false
			}
			rest = rest[1:]
		}
		end := strings.IndexByte(rest, '/')
		if end < 0 {
			end = len(rest)
		}
		var ok bool
		if values[i], ok = s.match(rest[:end]); !ok {
			return false
		}
		rest = rest[end:]
	}
	if c.rest == "" {
		return rest == ""
	}
	if len(c.segments) > 0 {
		if rest == "" || rest[0] != '/' {
			return false
		}
		rest = rest[1:]
	}
	value, err := url.PathUnescape(rest)
	values[len(c.segments)] = value
	return err == nil && value != "" && !strings.Contains(value, "\x00")
}

func (s segment) match(part string) (string, bool) {
	if s.name == "" {
		return "", part == s.prefix
	}
	if len(part) <= len(s.prefix)+len(s.suffix) || !strings.HasPrefix(part, s.prefix) || !strings.HasSuffix(part, s.suffix) {
		return "", false
	}
	value, err := url.PathUnescape(part[len(s.prefix) : len(part)-len(s.suffix)])
	return value, err == nil && !strings.Contains(value, "\x00")
}

// Methods are what a URL accepts: the detail of UNSUPPORTED.
type Methods []string

func (m Methods) add(method string) Methods {
	for _, one := range methodsOf(method) {
		if !slices.Contains(m, one) {
			m = append(m, one)
		}
	}
	return m
}

func methodsOf(method string) []string {
	if method == http.MethodGet {
		return []string{http.MethodGet, http.MethodHead}
	}
	return []string{method}
}
