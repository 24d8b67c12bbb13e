package npm

import (
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestOpenRegistry: what clients ask a registry about accounts, access and
// vulnerabilities has an answer that they understand.
func TestOpenRegistry(t *testing.T) {
	t.Parallel()
	p := open(t)
	p.publish("@acme/widget", "1.0.0")
	login := `{"_id":"org.couchdb.user:jo","name":"jo","password":"x","type":"user","roles":[],"date":"2026-01-01T00:00:00.000Z"}`
	for _, test := range []struct {
		method, path, body string
		status             int
		want               string // of the answer; "" for any
	}{
		{"GET", "/-/ping", "", 200, `{}`},
		{"GET", "/-/whoami", "", 200, `{"username":"anonymous"}`},
		{"PUT", "/-/user/org.couchdb.user:jo", login, 201, `{"id":"org.couchdb.user:jo","ok":true,"rev":"1-0","token":"open"}`},
		{"PUT", "/-/user/org.couchdb.user:jo/-rev/1-0", login, 201, ""},
		{"GET", "/-/user/org.couchdb.user:jo", "", 200, `{"_id":"org.couchdb.user:jo","_rev":"1-0","email":"","name":"jo","roles":[],"type":"user"}`},
		{"POST", "/-/v1/login", "{}", 200, `{"doneUrl":"BASE/-/v1/done","loginUrl":"BASE/-/v1/login"}`},
		{"GET", "/-/v1/login", "", 200, "This registry is open to everybody: you are logged in.\n"},
		{"GET", "/-/v1/done", "", 200, `{"token":"open"}`},
		{"DELETE", "/-/user/token/open", "", 200, `{"ok":true}`},
		{"GET", "/-/npm/v1/user", "", 200, ""},
		{"POST", "/-/npm/v1/user", `{"email":"x"}`, 403, `{"error":"this registry is open to everybody and has no accounts, so there is no profile to change"}`},
		{"GET", "/-/npm/v1/tokens", "", 200, `{"objects":[],"urls":{}}`},
		{"POST", "/-/npm/v1/tokens", `{}`, 403, ""},
		{"DELETE", "/-/npm/v1/tokens/token/x", "", 200, `{"ok":true}`},
		{"GET", "/-/package/@acme%2fwidget/visibility", "", 200, `{"access":"public","public":true}`},
		{"GET", "/-/package/@acme%2fwidget/access", "", 200, ""},
		{"GET", "/-/package/@acme%2fwidget/collaborators?format=cli", "", 200, `{"anonymous":"write"}`},
		{"GET", "/-/package/nothing/visibility", "", 404, ""},
		{"POST", "/-/package/@acme%2fwidget/access", `{"access":"public"}`, 200, `{"ok":true}`},
		{"POST", "/-/package/@acme%2fwidget/access", `{"publish_requires_tfa":false}`, 200, `{"ok":true}`},
		{"POST", "/-/package/@acme%2fwidget/access", `{"access":"restricted"}`, 403, ""},
		{"POST", "/-/package/@acme%2fwidget/access", `{"publish_requires_tfa":true}`, 403, ""},
		{"GET", "/-/user/anonymous/package?format=cli", "", 200, `{"@acme/widget":"write"}`},
		{"GET", "/-/org/acme/package", "", 200, `{"@acme/widget":"write"}`},
		{"POST", "/-/npm/v1/security/advisories/bulk", string(zipped(strings.NewReader(`{"a":["1.0.0"]}`))), 200, `{}`},
		{"POST", "/-/npm/v1/security/audits", `{}`, 200, ""},
		{"POST", "/-/npm/v1/security/audits/quick", `{}`, 200, ""},
		{"PUT", "/-/unknown", "", 404, `{"error":"this registry has no /-/unknown"}`},
		{"PATCH", "/widget", "", 405, ""},
	} {
		res, got := p.do(test.method, test.path, test.body)
		got = strings.ReplaceAll(got, p.Base(), "BASE")
		if res.StatusCode != test.status || test.want != "" && got != test.want {
			t.Errorf("%s %s: %s %s, want %d %s", test.method, test.path, res.Status, got, test.status, test.want)
		}
	}
}

func TestSearch(t *testing.T) {
	t.Parallel()
	p := open(t)
	for _, name := range []string{"@acme/widget", "gadget", "gizmo"} {
		doc := `{"name":"` + name + `","version":"1.0.0","description":"Turns things","keywords":["` + name[:2] + `x"],"homepage":"https://h.example"}`
		p.want(http.StatusCreated, http.MethodPut, "/"+escaped(name), publishing{name: name, version: "1.0.0", described: doc, tarball: simple(doc)}.body())
	}
	type answer struct {
		Objects []struct {
			Package struct {
				Name, Scope, Version, Date string
				Links                      map[string]string
				Maintainers                []struct{ Username string }
			}
		}
		Total int
		Time  string
	}
	search := func(query string) (names []string, a answer) {
		p.decode(p.want(http.StatusOK, http.MethodGet, "/-/v1/search?"+query, ""), &a)
		for _, o := range a.Objects {
			names = append(names, o.Package.Name)
		}
		return names, a
	}
	for query, want := range map[string][]string{
		"text=widget":                      {"@acme/widget"},
		"text=keywords:gax":                {"gadget"},
		"text=scope:acme":                  {"@acme/widget"},
		"text=turns+not:unstable&size=250": {"@acme/widget", "gadget", "gizmo"},
		"text=nothing":                     nil,
	} {
		names, a := search(query)
		if diff := cmp.Diff(want, names); diff != "" || a.Total != len(want) || a.Time == "" {
			t.Errorf("%s: total %d, %s", query, a.Total, diff)
		}
	}
	if names, a := search("text=turns&size=1&from=1"); len(names) != 1 || a.Total != 3 {
		t.Errorf("one from the second: %v of %d", names, a.Total)
	}
	_, a := search("text=widget")
	got := a.Objects[0].Package
	if got.Scope != "acme" || got.Version != "1.0.0" || got.Date == "" || got.Links["homepage"] != "https://h.example" || len(got.Maintainers) != 1 {
		t.Errorf("package %+v", got)
	}
}

// TestSignatures: the key that is published has signed what clients compute.
func TestSignatures(t *testing.T) {
	t.Parallel()
	p := open(t)
	tarball := simple(`{"name":"@acme/widget","version":"1.0.0"}`)
	p.want(http.StatusCreated, http.MethodPut, "/@acme%2fwidget", publishing{name: "@acme/widget", version: "1.0.0", tarball: tarball}.body())
	var v struct {
		Dist struct {
			Integrity  string
			Signatures []struct{ KeyID, Sig string }
		}
	}
	p.decode(string(p.packument("@acme/widget").Versions["1.0.0"]), &v)
	var keys struct {
		Keys []struct {
			Expires                     *string
			KeyID, KeyType, Scheme, Key string
		}
	}
	p.decode(p.want(http.StatusOK, http.MethodGet, "/-/npm/v1/keys", ""), &keys)
	if len(v.Dist.Signatures) != 1 || len(keys.Keys) != 1 || keys.Keys[0].KeyID != v.Dist.Signatures[0].KeyID || keys.Keys[0].Expires != nil {
		t.Fatalf("signatures %+v, keys %+v", v.Dist.Signatures, keys)
	}
	if err := verify(keys.Keys[0].Key, v.Dist.Signatures[0].Sig, "@acme/widget@1.0.0:"+v.Dist.Integrity); err != nil {
		t.Error(err)
	}
	if err := verify(keys.Keys[0].Key, v.Dist.Signatures[0].Sig, "@acme/widget@1.0.1:"+v.Dist.Integrity); err == nil {
		t.Errorf("the signature holds for another version, too")
	}
	if v.Dist.Integrity != integrityOf(tarball) {
		t.Errorf("integrity %s", v.Dist.Integrity)
	}
}
