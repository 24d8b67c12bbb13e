package admin_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/packhouse/packhouse/registry"
	"github.com/packhouse/packhouse/registry/admin"
)

// answer is what a client got.
type answer struct {
	status int
	header http.Header
	body   string
}

// ask sends a request of a client to the API. Headers are "Name: value".
func ask(t *testing.T, a http.Handler, method, path, body string, headers ...string) answer {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), method, path, strings.NewReader(body))
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		r.Header.Set(name, value)
	}
	return answered(a, r)
}

func answered(a http.Handler, r *http.Request) answer {
	w := httptest.NewRecorder()
	a.ServeHTTP(w, r)
	return answer{w.Code, w.Header(), w.Body.String()}
}

const asJSON = "Content-Type: application/json"

func TestRequests(t *testing.T) {
	t.Parallel()
	env := environment(t, t.TempDir())
	push(t, env.Engine, "acme/app", "latest", "")
	a := api(t, env)
	for _, tc := range []struct {
		name, method, path, body string
		headers                  []string
		status                   int
		want                     string // in the body
	}{
		{"a list", "GET", "/repositories", "", nil, 200, `[{"name":"acme/app"`},
		{"a slash in a segment", "GET", "/repositories/acme%2Fapp", "", nil, 200, `"tags":1`},
		{"a slash between segments", "GET", "/repositories/acme/app", "", nil, 404, `"NAME_UNKNOWN"`},
		{"no path", "GET", "/repositories/", "", nil, 404, "there is no such operation"},
		{"another spelling", "GET", "/%72epositories", "", nil, 404, "there is no such operation"},
		{"dots", "GET", "/gc/../repositories", "", nil, 404, "there is no such operation"},
		{"a twofold slash", "GET", "//repositories", "", nil, 404, "there is no such operation"},
		{"a NUL", "GET", "/repositories/a%00", "", nil, 400, `"NAME_INVALID"`},
		{"HEAD", "HEAD", "/repositories", "", nil, 200, ""},
		{"no result", "DELETE", "/repositories/acme%2Fgone", "", nil, 404, "there is no repository acme/gone"},
		{"another method", "PUT", "/gc", "", nil, 405, "this URL takes POST"},
		{"unknown in the query", "GET", "/repositories?limits=1", "", nil, 400, `repo.list has no parameter \"limits\"`},
		{"unknown in the body", "POST", "/gc", `{"dryrun":true}`, []string{asJSON}, 400, `gc has no parameter \"dryrun\"`},
		{"another case", "POST", "/gc", `{"Dry_run":true}`, []string{asJSON}, 400, `gc has no parameter \"Dry_run\"`},
		{"a query where a body is", "POST", "/gc?dry_run=true", "", nil, 400, `takes its parameters as a JSON object in the body`},
		{"in path and query", "GET", "/repositories/a?repo=b", "", nil, 400, `\"repo\" is in the path already`},
		{"in path and body", "POST", "/repositories/a/restore", `{"repo":"b"}`, []string{asJSON}, 400, `\"repo\" is in the path already`},
		{"twice", "GET", "/repositories?limit=1&limit=2", "", nil, 400, `\"limit\" is given 2 times`},
		{"no number", "GET", "/repositories?limit=x", "", nil, 400, `limit: \"x\" is not a number`},
		{"negative", "GET", "/repositories?limit=-1", "", nil, 400, `limit -1 is less than 1`},
		{"neither true nor false", "GET", "/repositories?deleted=1", "", nil, 400, `neither true nor false`},
		{"a malformed query", "GET", "/repositories?a=%zz", "", nil, 400, "the query is malformed"},
		{"another kind", "POST", "/gc", `{"dry_run":"yes"}`, []string{asJSON}, 400, "the parameters of gc are not understood"},
		{"no object", "POST", "/gc", `[]`, []string{asJSON}, 400, "the body is no JSON object"},
		{"two objects", "POST", "/gc", `{}{}`, []string{asJSON}, 400, "the body is no JSON object"},
		{"another type", "POST", "/gc", `{}`, []string{"Content-Type: text/plain"}, 400, "send it as application/json"},
		{"no type", "POST", "/gc", `{}`, nil, 400, "send it as application/json"},
		{"too large", "POST", "/gc", `{"x":"` + strings.Repeat("x", 1<<10) + `"}`, []string{asJSON}, 413, "the body is larger than 1024 bytes"},
		{"no body", "POST", "/gc", "", nil, 200, `{"uploads":0`},
		{"long work in one piece", "POST", "/gc", `{"dry_run":true}`, []string{asJSON}, 200, `{"uploads":0`},
		{"the description", "GET", "/openapi.json", "", nil, 200, `"openapi":"3.1.0"`},
	} {
		res := ask(t, a, tc.method, admin.Prefix+tc.path, tc.body, tc.headers...)
		body := res.body
		if res.status != tc.status || !strings.Contains(body, tc.want) || res.header.Get("Content-Type") != "application/json" {
			t.Errorf("%s: %d %s %s, want %d with %s", tc.name, res.status, res.header.Get("Content-Type"), body, tc.status, tc.want)
		}
		if tc.method == "HEAD" && (body != "" || res.header.Get("Content-Length") == "") {
			t.Errorf("%s: %q, length %q", tc.name, body, res.header.Get("Content-Length"))
		}
	}
	res := ask(t, a, "DELETE", admin.Prefix+"/repositories/acme%2Fapp", "")
	if body := res.body; res.status != http.StatusNoContent || body != "" {
		t.Errorf("no result: %d %q", res.status, body)
	}
	if allow := ask(t, a, "PUT", admin.Prefix+"/repositories/a", "").header["Allow"]; cmp.Diff([]string{"DELETE", "GET", "HEAD"}, allow) != "" {
		t.Errorf("Allow: %q", allow)
	}
}

// The error's status is the code's, and its body says code and sentence.
func TestProblem(t *testing.T) {
	t.Parallel()
	a := api(t, environment(t, t.TempDir()))
	var p admin.Problem
	if err := json.Unmarshal([]byte(ask(t, a, "GET", admin.Prefix+"/repositories/nowhere", "").body), &p); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(admin.Problem{Code: registry.NameUnknown, Message: "there is no repository nowhere"}, p); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// Who asks long work for lines gets them only if there is progress to tell; an
// error before that has its status.
func TestLines(t *testing.T) {
	t.Parallel()
	env := environment(t, t.TempDir())
	push(t, env.Engine, "app", "latest", "")
	a := api(t, env)
	lines := "Accept: application/json;q=0.5, application/jsonl"
	res := ask(t, a, "POST", admin.Prefix+"/fsck", "", lines)
	if body := res.body; res.status != http.StatusOK || res.header.Get("Content-Type") != "application/jsonl" ||
		!strings.HasPrefix(body, `{"progress":{"phase":"check"`) || !strings.Contains(body, "\n"+`{"result":{"blobs":1,`) {
		t.Errorf("%d %s %s", res.status, res.header, body)
	}
	res = ask(t, a, "POST", admin.Prefix+"/fsck", "{", lines, asJSON)
	if res.status != http.StatusBadRequest || res.header.Get("Content-Type") != "application/json" {
		t.Errorf("%d %s", res.status, res.header)
	}
}

// The pages of a list are followed by their links alone.
func TestPages(t *testing.T) {
	t.Parallel()
	env := environment(t, t.TempDir())
	var want []string
	for i := range 7 {
		name := fmt.Sprintf("acme/r%d", i)
		want = append(want, name)
		push(t, env.Engine, registry.Repo(name), "latest", "")
	}
	a := api(t, env)
	follow := func(url string) (names []string, pages int) {
		for url != "" {
			res := ask(t, a, "GET", url, "")
			var page []admin.Repository
			if err := json.Unmarshal([]byte(res.body), &page); err != nil {
				t.Fatal(err)
			}
			for _, r := range page {
				names = append(names, string(r.Name))
			}
			link := res.header.Get("Link")
			url, _, _ = strings.Cut(strings.TrimPrefix(link, "<"), ">")
			if link != "" && !strings.HasSuffix(link, `; rel="next"`) {
				t.Errorf("Link: %s", link)
			}
			pages++
		}
		return names, pages
	}
	check := func(url string, wantPages int) {
		t.Helper()
		got, pages := follow(admin.Prefix + url)
		if diff := cmp.Diff(want, got); diff != "" || pages != wantPages {
			t.Errorf("%s: %d pages (-want +got):\n%s", url, pages, diff)
		}
	}
	check("/repositories?limit=3&namespace=acme", 3)
	check("/repositories?limit=9999", 1)
	if _, err := admin.Call(t.Context(), admin.Local{Env: env}, admin.NamespaceDelete, admin.NamespaceParams{Namespace: "acme"}, nil); err != nil {
		t.Fatal(err)
	}
	check("/repositories?deleted=true&limit=2", 4)
	all, err := admin.All(t.Context(), admin.Local{Env: env}, admin.RepoList, admin.RepoListParams{Deleted: true, Page: admin.Page{Limit: 2}})
	if err != nil || len(all) != len(want) {
		t.Errorf("all: %d, %v", len(all), err)
	}
}

// Who may not is told so before what is wrong with the request, and nothing is
// looked up for them.
func TestAccessComesFirst(t *testing.T) {
	t.Parallel()
	var asked []string
	env := &admin.Env{Gate: registry.GateFunc(func(ctx context.Context, v registry.Verb, r registry.Repo) error {
		asked = append(asked, fmt.Sprintf("%s %s %q", registry.CallerOf(ctx).Route, v, r))
		return registry.E("gate", registry.Unauthorized, nil, "log in")
	})} // no engine: what is looked up panics
	a := api(t, env)
	for _, r := range [][]string{
		{"POST", "/gc", `{"nonsense`},
		{"DELETE", "/namespaces/acme%2Fteam", ""},
		{"GET", "/repositories/acme%2Fapp/tags/x%2Fy/history?limit=x", ""},
		{"POST", "/repositories/acme%2Fapp/tags/latest/restore", `{"digest":"x"}`},
	} {
		res := ask(t, a, r[0], admin.Prefix+r[1], r[2], asJSON)
		if res.status != http.StatusUnauthorized || len(res.header["Www-Authenticate"]) != 2 {
			t.Errorf("%s %s: %d %s", r[0], r[1], res.status, res.header)
		}
	}
	want := []string{
		`gc admin ""`, `namespace.delete admin "acme/team"`, `tag.history read "acme/app"`, `tag.restore overwrite "acme/app"`,
	}
	if diff := cmp.Diff(want, asked); diff != "" {
		t.Errorf("asked (-want +got):\n%s", diff)
	}
}

func TestSocketIsTheOperators(t *testing.T) {
	t.Parallel()
	var who []string
	env := &admin.Env{Gate: registry.GateFunc(func(ctx context.Context, _ registry.Verb, _ registry.Repo) error {
		who = append(who, registry.CallerOf(ctx).Principal)
		return registry.E("gate", registry.Denied, nil, "no")
	})}
	ask(t, api(t, env).Socket(), "POST", admin.Prefix+"/gc", "")
	_, _ = admin.Call(t.Context(), admin.Local{Env: env}, admin.GC, admin.GCParams{}, nil)
	if diff := cmp.Diff([]string{"operator", "operator"}, who); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
