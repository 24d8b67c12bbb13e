package main

import (
	"fmt"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// accessTable is testdata/access/matrix.txt.
type accessTable struct {
	principals []string
	targets    map[string]target
	grids      map[string]grid
	routes     []route
}

// target is what is asked about.
type target struct{ name, ns, pkg string }

// grid says what each principal is answered about each target: a status, or ok
// or no.
type grid []row

type row struct {
	target target
	cells  []string // by principal
}

// route is one line of the table.
type route struct {
	line         int
	surface      string // npm
	name, method string
	pattern      string // of the whole path
	grid         string
	ok, no       int // statuses; 0 for none
	values       map[string]string
	header       http.Header
}

func (r route) String() string { return r.surface + " " + r.name + " " + r.method + " " + r.pattern }

// readTable reads the table. Blocks begin with a word at the margin; what
// belongs to one is indented.
func readTable(t *testing.T) accessTable {
	t.Helper()
	const file = "testdata/access/matrix.txt"
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	tab := accessTable{targets: map[string]target{}, grids: map[string]grid{}}
	kind, name := "", ""
	n := 0
	for line := range strings.Lines(string(text)) {
		n++
		bad := func(format string, a ...any) { t.Fatalf("%s:%d: "+format, append([]any{file, n}, a...)...) }
		words := strings.Fields(line)
		switch {
		case len(words) == 0, words[0][0] == '#':
			continue
		case line[0] != ' ':
			if kind = words[0]; len(words) > 1 {
				name = words[1]
			}
			continue
		}
		switch kind {
		case "principals":
			tab.principals = words
		case "targets":
			tab.targets[words[0]] = target{words[0], strings.Trim(words[1], "-"), strings.Trim(words[2], "-")}
		case "grid":
			if words[0] == "." {
				if !slices.Equal(words[1:], tab.principals) {
					bad("the columns are not the principals")
				}
				continue
			}
			at, known := tab.targets[words[0]]
			if !known || len(words) != len(tab.principals)+1 {
				bad("no target, or not a cell for each principal")
			}
			tab.grids[name] = append(tab.grids[name], row{at, words[1:]})
		case "routes":
			r, err := parseRoute(name, words)
			if err != nil {
				bad("%v", err)
			}
			r.line = n
			tab.routes = append(tab.routes, r)
		default:
			bad("what is %q", kind)
		}
	}
	for _, r := range tab.routes {
		if tab.grids[r.grid] == nil {
			t.Fatalf("%s:%d: there is no grid %q", file, r.line, r.grid)
		}
	}
	return tab
}

func parseRoute(surface string, words []string) (route, error) {
	if len(words) < 6 {
		return route{}, fmt.Errorf("want a name, method, path, grid and two statuses")
	}
	r := route{surface: surface, name: words[0], method: words[1], pattern: words[2], grid: words[3], values: map[string]string{}, header: http.Header{}}
	var err error
	for i, to := range []*int{&r.ok, &r.no} {
		if word := words[4+i]; word != "-" {
			if *to, err = strconv.Atoi(word); err != nil {
				return r, err
			}
		}
	}
	for _, item := range words[6:] {
		key, value, ok := strings.Cut(item, "=")
		switch {
		case !ok:
			return r, fmt.Errorf("%q is no key=value", item)
		case key[0] >= 'A' && key[0] <= 'Z':
			r.header.Set(key, value)
		default:
			r.values[key] = value
		}
	}
	return r, nil
}

// want is the status in a cell.
func (r route) want(cell string) (int, error) {
	n := 0
	switch cell {
	case "ok":
		n = r.ok
	case "no":
		n = r.no
	default:
		n, _ = strconv.Atoi(cell)
	}
	if n == 0 {
		return 0, fmt.Errorf("the cell says %q, of which the route says nothing", cell)
	}
	return n, nil
}

// refusal tells whether a cell refuses whatever the route.
func refusal(cell string) bool { return cell != "ok" && cell != "no" }

// request fills in a route for one case; vars make what starts with $.
func (r route) request(t *testing.T, w *world, method string, at target, who string) ask {
	t.Helper()
	vars := func(name string) string { return w.variable(t, name, at, who) }
	q := ask{method: method, header: http.Header{}}
	for name := range r.header {
		q.header.Set(name, os.Expand(r.header.Get(name), vars))
	}
	for _, name := range []string{"ns", "pkg", "repo"} {
		if r.values[name] == "" && strings.Contains(r.pattern, "{"+name+"}") {
			q.path = strings.ReplaceAll(r.pattern, "{"+name+"}", vars(name))
			r.pattern = q.path
		}
	}
	q.path = r.pattern
	for name, value := range r.values {
		value = os.Expand(value, vars)
		switch name {
		case "body":
			q.body = value
			if value[0] == '{' || value[0] == '"' {
				q.header.Set("Content-Type", "application/json")
			}
		case "type":
			q.header.Set("Content-Type", value)
		case "query":
			q.path += "?" + value
		case "publish":
			p := native(t, value, at.ns, at.pkg, about(at.ns))
			q.body = p.body
			for name, values := range p.header {
				q.header[name] = values
			}
		default:
			if r.surface == "api" { // one segment each
				value = url.PathEscape(value)
			}
			if !strings.Contains(q.path, "{"+name+"}") {
				t.Fatalf("matrix.txt:%d: the path has no {%s}", r.line, name)
			}
			q.path = strings.ReplaceAll(q.path, "{"+name+"}", value)
		}
	}
	if strings.ContainsAny(q.path, "{}") {
		t.Fatalf("matrix.txt:%d: nothing fills in %s", r.line, q.path)
	}
	return q
}
