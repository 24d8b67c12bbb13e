package admin

import (
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/packhouse/packhouse/registry"
)

// Prefix is the path below which operations lie.
const Prefix = "/-/api/v1"

// routes finds operations by the escaped path, segment by segment: what a
// client escapes stays inside its segment, and no other spelling of a path is
// taken for it.
type routes []route

type route struct {
	segments []string
	methods  map[string]*Operation
}

func newRoutes(table []Operation) routes {
	var list routes
	for i := range table {
		op := &table[i]
		segments := strings.Split(op.Path, "/")
		at := slices.IndexFunc(list, func(r route) bool { return slices.Equal(r.segments, segments) })
		if at < 0 {
			list = append(list, route{segments, map[string]*Operation{}})
			at = len(list) - 1
		}
		list[at].methods[op.Method] = op
	}
	return list
}

// find returns the operation of a request and the parameters in its path. It
// returns NAME_UNKNOWN for another path, and the methods that would do, in
// allow, with UNSUPPORTED.
func (l routes) find(r *http.Request) (op *Operation, values map[string]string, allow []string, err error) {
	const where = "admin"
	path, below := strings.CutPrefix(r.URL.EscapedPath(), Prefix)
	if below {
		segments := strings.Split(path, "/")
		for _, known := range l {
			values, ok := known.match(segments)
			if !ok {
				continue
			}
			method := r.Method
			if method == http.MethodHead {
				method = http.MethodGet
			}
			if op := known.methods[method]; op != nil {
				return op, values, nil, nil
			}
			allow := known.allow()
			return nil, nil, allow, registry.E(where, registry.Unsupported, nil, "this URL takes %s", strings.Join(allow, ", "))
		}
	}
	return nil, nil, nil, registry.E(where, registry.NameUnknown, nil, "there is no such operation: %s/openapi.json lists them; client and server may be of different versions", Prefix)
}

func (r route) match(segments []string) (map[string]string, bool) {
	if len(segments) != len(r.segments) {
		return nil, false
	}
	values := map[string]string{}
	for i, want := range r.segments {
		name, ok := pathParam(want)
		if !ok {
			if segments[i] != want {
				return nil, false
			}
			continue
		}
		value, err := url.PathUnescape(segments[i])
		if err != nil || value == "" {
			return nil, false
		}
		values[name] = value
	}
	return values, true
}

func (r route) allow() (methods []string) {
	for m := range r.methods {
		methods = append(methods, m)
		if m == http.MethodGet {
			methods = append(methods, http.MethodHead)
		}
	}
	slices.Sort(methods)
	return methods
}
