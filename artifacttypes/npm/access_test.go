package npm

import (
	"net/http"
	"strings"
	"testing"

	"github.com/packhouse/packhouse/artifacttypes/typetest"
	"github.com/packhouse/packhouse/registry"
)

// guarded is a place with an admin, a publisher of @acme/widget and somebody
// who may read and list the feed.
func guarded(t *testing.T) place {
	t.Helper()
	const feed, widget = "acme/npm", "acme/npm/acme/widget"
	read := []registry.Verb{registry.Read, registry.List}
	p := place{typetest.OpenTo(t, Format{}, map[string]typetest.Person{
		"root": {Password: "secret", Rights: typetest.Rights{"": registry.Grantable()}},
		"jo":   {Password: "sesame", Rights: typetest.Rights{widget: append(read, registry.Create, registry.Label), feed: read}},
		"al":   {Password: "letmein", Rights: typetest.Rights{widget: read, feed: read}},
	})}
	p.People().Jobs = map[string]string{"id.of.job": "jo"}
	return p
}

func (p place) as(name string) place { return place{p.As(name)} }

// asked is one request and its answer.
type asked struct {
	who, method, path, body string
	status                  int
	want                    string // of the answer; "" for any, "…" stands for anything
}

func (p place) ask(tests ...asked) {
	p.T.Helper()
	for _, test := range tests {
		res, got := p.as(test.who).do(test.method, test.path, test.body)
		got = strings.ReplaceAll(got, p.Base(), "BASE")
		before, after, any := strings.Cut(test.want, "…")
		same := test.want == "" || got == test.want || any && strings.HasPrefix(got, before) && strings.HasSuffix(got, after)
		if res.StatusCode != test.status || !same {
			p.T.Errorf("%s: %s %s: %s %s, want %d %s", test.who, test.method, test.path, res.Status, got, test.status, test.want)
		}
	}
}

// TestLogin: log-in, logout and the list of tokens are real.
func TestLogin(t *testing.T) {
	t.Parallel()
	p := guarded(t)
	login := func(name, password string) string {
		return `{"_id":"org.couchdb.user:` + name + `","name":"` + name + `","password":"` + password + `","type":"user","roles":[],"date":"2026-01-01T00:00:00.000Z"}`
	}
	const nobody = `{"error":"you are not logged in: run npm login, or set _authToken"}`
	p.ask(
		asked{"", "GET", "/-/ping", "", 200, "{}"},
		asked{"", "GET", "/-/whoami", "", 401, nobody},
		asked{"", "GET", "/-/npm/v1/user", "", 401, nobody},
		asked{"", "POST", "/-/npm/v1/user", `{}`, 401, nobody},
		asked{"", "GET", "/-/npm/v1/tokens", "", 401, nobody},
		asked{"", "POST", "/-/npm/v1/tokens", `{}`, 401, nobody},
		asked{"", "DELETE", "/-/npm/v1/tokens/token/ida", "", 401, nobody},
		asked{"", "DELETE", "/-/user/token/TOKEN-ida", "", 401, nobody},
		asked{"jo", "GET", "/-/whoami", "", 200, `{"username":"jo"}`},
		asked{"jo", "GET", "/-/npm/v1/user", "", 200, `{…"name":"jo","tfa":null}`},
		asked{"jo", "POST", "/-/npm/v1/user", `{"email":"x"}`, 403, ""},

		asked{"", "PUT", "/-/user/org.couchdb.user:jo", login("jo", "wrong"), 401, `{"error":"the user name or the password is wrong"}`},
		asked{"", "PUT", "/-/user/org.couchdb.user:zoe", login("zoe", ""), 401, `{"error":"the user name or the password is wrong"}`},
		asked{"", "PUT", "/-/user/org.couchdb.user:jo", login("al", "letmein"), 400, `{"error":"the URL says that the user is \"jo\", but the request body says \"al\""}`},
		asked{"", "PUT", "/-/user/org.couchdb.user:jo", "no JSON", 400, ""},
		asked{"", "PUT", "/-/user/org.couchdb.user:jo", login("jo", "sesame"), 201, `{"id":"org.couchdb.user:jo","ok":true,"rev":"1-0","token":"TOKEN-ida"}`},
		asked{"gone", "PUT", "/-/user/org.couchdb.user:jo", login("jo", "sesame"), 201, `{…"token":"TOKEN-idb"}`}, // with a token that is not valid
		asked{"ida", "GET", "/-/whoami", "", 200, `{"username":"jo"}`},
		asked{"gone", "GET", "/-/whoami", "", 401, nobody},
		asked{"ida", "DELETE", "/-/user/token/TOKEN-ida", "", 200, `{"ok":true}`},
		asked{"ida", "GET", "/-/whoami", "", 401, nobody},

		asked{"jo", "POST", "/-/npm/v1/tokens", `{"password":"wrong"}`, 401, `{"error":"the password is wrong"}`},
		asked{
			"jo", "POST", "/-/npm/v1/tokens", `{"password":"sesame","readonly":true,"name":"ci","expires":1,"packages":["@acme/widget"],"cidr_whitelist":[]}`, 201,
			`{"token":"TOKEN-idb","key":"idb","name":"ci","cidr_whitelist":null,"created":"1970-01-01T00:00:00.000Z","expires":"1970-01-02T00:00:00.000Z","readonly":true}`,
		},
		asked{"jo", "POST", "/-/npm/v1/tokens", `{"password":"sesame","cidr_whitelist":["10.0.0.0/8"]}`, 400, `{"error":"tokens of this registry are not bound to addresses: leave out --cidr"}`},
		asked{"jo", "POST", "/-/npm/v1/tokens", `{"password":"sesame","scopes":["@acme"]}`, 400, ""},
		asked{"jo", "POST", "/-/npm/v1/tokens", `{"password":"sesame","expires":1e300}`, 400, ""},
		asked{"jo", "POST", "/-/npm/v1/tokens", `{"password":"sesame","packages":["../etc"]}`, 400, ""},
		asked{"jo", "POST", "/-/npm/v1/tokens", `{"password":"sesame","packages_and_scopes_permission":"no-access"}`, 400, ""},
	)
}

// TestTokenPages: the list goes on where urls.next says.
func TestTokenPages(t *testing.T) {
	t.Parallel()
	p := guarded(t)
	for range 3 {
		p.as("jo").want(http.StatusCreated, http.MethodPost, "/-/npm/v1/tokens", `{"password":"sesame"}`)
	}
	var page struct {
		Objects []struct{ Token, Key string }
		URLs    struct{ Next string }
	}
	p.decode(p.as("jo").want(http.StatusOK, http.MethodGet, "/-/npm/v1/tokens", ""), &page)
	next, below := strings.CutPrefix(page.URLs.Next, p.Base())
	if len(page.Objects) != 2 || page.Objects[0].Token != "TOKEN-" || page.Objects[1].Key != "idb" || !below {
		t.Fatalf("first page %+v", page)
	}
	page.URLs.Next = ""
	p.decode(p.as("jo").want(http.StatusOK, http.MethodGet, next, ""), &page)
	if len(page.Objects) != 1 || page.Objects[0].Key != "idc" || page.URLs.Next != "" {
		t.Fatalf("last page %+v", page)
	}
	p.ask(
		asked{"al", "DELETE", "/-/npm/v1/tokens/token/ida", "", 404, `{"error":"you have no such token"}`},
		asked{"jo", "DELETE", "/-/npm/v1/tokens/token/ida", "", 200, `{"ok":true}`},
		asked{"jo", "DELETE", "/-/npm/v1/tokens/token/TOKEN-idb", "", 200, `{"ok":true}`},
		asked{"idb", "GET", "/-/whoami", "", 401, ""},
		asked{"idc", "GET", "/-/whoami", "", 200, ""},
	)
}

// TestWebLogin: npm shows the page and asks until somebody has logged in there.
func TestWebLogin(t *testing.T) {
	t.Parallel()
	p := guarded(t)
	const done = "/-/v1/done?id=7&secret=hush"
	p.ask(
		asked{"", "POST", "/-/v1/login", `{}`, 200, `{"doneUrl":"BASE` + strings.Replace(done, "&", `\u0026`, 1) + `","loginUrl":"http://page.example/npm"}`},
		asked{"", "GET", "/-/v1/login", "", 404, ""},
		asked{"", "GET", done, "", 202, `{}`},
		asked{"", "GET", done + "x", "", 401, ""},
	)
	if res, _ := p.do(http.MethodGet, done, ""); res.Header.Get("Retry-After") != "2" {
		t.Errorf("Retry-After %q", res.Header.Get("Retry-After"))
	}
	p.People().Browse("hush", "jo")
	p.ask(
		asked{"", "GET", done, "", 200, `{"token":"TOKEN-ida"}`},
		asked{"", "GET", done, "", 401, ""},
		asked{"ida", "GET", "/-/whoami", "", 200, `{"username":"jo"}`},
	)
}

// TestExchange: a CI job's ID token, in both spellings of the package, gives a
// token that publishes it.
func TestExchange(t *testing.T) {
	t.Parallel()
	p := guarded(t)
	const path = "/-/npm/v1/oidc/token/exchange/package/"
	for _, test := range []struct {
		pkg, token string
		status     int
		want       string
	}{
		{"@acme%2fwidget", "Bearer id.of.job", 201, `{"token":"TOKEN-ida"}`},
		{"@acme/widget", "bearer id.of.job", 201, `{"token":"TOKEN-idb"}`},
		{"@acme%2fother", "Bearer id.of.job", 403, `{"error":"no trust rule lets this job publish @acme/other"}`},
		{"@acme%2fwidget", "Bearer forged", 401, `{"error":"the ID token is not valid"}`},
		{"@acme%2fwidget", "Basic eDp5", 401, ""},
		{"@acme%2fwidget", "", 401, `{"error":"show the ID token of the CI job as Authorization: Bearer"}`},
		{"..%2fx", "Bearer id.of.job", 400, ""},
	} {
		res, got := p.do(http.MethodPost, path+test.pkg, "", "Authorization", test.token)
		if res.StatusCode != test.status || test.want != "" && got != test.want {
			t.Errorf("%s with %q: %s %s, want %d %s", test.pkg, test.token, res.Status, got, test.status, test.want)
		}
	}
	p.as("ida").publish("@acme/widget", "1.0.0")
}

// TestAccess: what npm asks about access is what the caller may.
func TestAccess(t *testing.T) {
	t.Parallel()
	p := guarded(t)
	p.as("jo").publish("@acme/widget", "1.0.0")
	p.as("root").publish("gadget", "1.0.0")
	const widget = "/-/package/@acme%2fwidget"
	p.ask(
		asked{"", "GET", widget + "/visibility", "", 401, ""},
		asked{"jo", "GET", widget + "/visibility", "", 200, `{"access":"restricted","public":false}`},
		asked{"jo", "GET", widget + "/collaborators?format=cli", "", 200, `{"jo":"write"}`},
		asked{"al", "GET", widget + "/collaborators", "", 200, `{"al":"read"}`},
		asked{"al", "GET", "/-/org/acme/package", "", 200, `{"@acme/widget":"read"}`},
		asked{"jo", "GET", "/-/org/jo/package", "", 404, ""},
		asked{"jo", "GET", "/-/user/jo/package", "", 200, `{"@acme/widget":"write"}`},
		asked{"jo", "GET", "/-/user/al/package", "", 404, ""},
		asked{"root", "GET", "/-/user/root/package", "", 200, `{"@acme/widget":"write","gadget":"write"}`},

		asked{"jo", "POST", widget + "/access", `{"access":"public"}`, 403, `{"error":"jo may not admin in acme/npm/acme/widget"}`},
		asked{"al", "POST", widget + "/access", `{"access":"public"}`, 403, ""},
		asked{"root", "POST", widget + "/access", `{"access":"secret"}`, 400, ""},
		asked{"root", "POST", widget + "/access", `{"publish_requires_tfa":true}`, 403, ""},
		asked{"root", "POST", widget + "/access", `{"access":"public"}`, 200, `{"ok":true}`},
		asked{"jo", "GET", widget + "/visibility", "", 200, `{"access":"public","public":true}`},
		asked{"", "GET", widget + "/visibility", "", 200, `{"access":"public","public":true}`},
		asked{"", "GET", widget + "/collaborators", "", 200, `{}`},
		asked{"", "GET", "/@acme%2fwidget", "", 200, ""},
		asked{"", "PUT", "/@acme%2fwidget", `{}`, 401, ""},
		asked{"", "GET", "/gadget", "", 401, ""},
		asked{"jo", "GET", "/gadget", "", 404, `{"error":"gadget is not in this registry"}`},
		asked{"jo", "GET", "/gizmo", "", 404, `{"error":"gizmo is not in this registry"}`},
		asked{"jo", "PUT", "/gadget", `{}`, 403, `{"error":"jo may not create in acme/npm/gadget"}`},
		asked{"al", "PUT", widget + "/dist-tags/next", `"1.0.0"`, 403, ""},
		asked{"jo", "PUT", widget + "/dist-tags/next", `"1.0.0"`, 201, ""},
	)
}

// TestChallenges: npm's words for a 401 follow from the challenge.
func TestChallenges(t *testing.T) {
	t.Parallel()
	p := guarded(t)
	const logIn, password = `Bearer realm="packhouse", Basic realm="packhouse"`, `Basic realm="packhouse"`
	for _, test := range []struct{ who, method, path, body, want string }{
		{"", "GET", "/-/whoami", "", logIn},
		{"", "PUT", "/gadget", "{}", logIn},
		{"", "PUT", "/-/user/org.couchdb.user:jo", `{"name":"jo","password":"wrong"}`, password},
		{"", "POST", "/-/npm/v1/tokens", `{"password":"wrong"}`, logIn},
		{"jo", "POST", "/-/npm/v1/tokens", `{"password":"wrong"}`, password},
	} {
		if res, _ := p.as(test.who).do(test.method, test.path, test.body); res.StatusCode != 401 || res.Header.Get("WWW-Authenticate") != test.want {
			t.Errorf("%q: %s %s: %s, challenge %q, want %q", test.who, test.method, test.path, res.Status, res.Header.Get("WWW-Authenticate"), test.want)
		}
	}
}

// TestStars: everybody gives and takes back their own alone.
func TestStars(t *testing.T) {
	t.Parallel()
	p := guarded(t)
	p.as("root").publish("gadget", "1.0.0")
	star := func(who, users string) {
		t.Helper()
		rev := p.as("root").packument("gadget").Rev
		p.as(who).want(http.StatusCreated, http.MethodPut, "/gadget", `{"_id":"gadget","_rev":"`+rev+`","users":`+users+`}`)
	}
	people := p.People().Known
	people["jo"] = people["root"]
	star("root", `{"root":true,"al":true}`)
	star("jo", `{"jo":true}`)
	if got := p.as("root").packument("gadget").Users; len(got) != 2 || !got["root"] || !got["jo"] {
		t.Errorf("two stars are %v", got)
	}
	star("root", `{}`)
	star("jo", `{"jo":false,"root":true}`)
	if got := p.as("root").packument("gadget").Users; len(got) != 0 {
		t.Errorf("no stars are %v", got)
	}
}
