package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"
)

// canonical are requests about what is private, by the path's parts.
var canonical = []struct {
	method string
	path   string
	body   string
}{
	{"GET", "/v2/priv/app/manifests/latest", ""},
	{"GET", "/v2/priv/app/tags/list", ""},
	{"PUT", "/v2/priv/app/manifests/spelt", "{}"},
	{"POST", "/v2/priv/app/blobs/uploads/", ""},
	{"GET", "/priv/npm/app", ""},
	{"GET", "/priv/npm/@acme%2fapp", ""},
	{"GET", "/priv/pypi/simple/app/", ""},
	{"GET", "/priv/maven/acme/app/1.0.0/app-1.0.0.pom", ""},
	{"GET", "/priv/generic/app/1.0.0/app.txt", ""},
	{"PUT", "/priv/generic/app/1.0.0/spelt.txt", "spelt"},
	{"GET", "/priv/helm/charts/app-1.0.0.tgz", ""},
	{"GET", "/api/priv/helm/charts/app", ""},
	{"GET", "/-/api/v1/repositories/priv%2Fapp", ""},
	{"DELETE", "/-/api/v1/repositories/priv%2Fapp", ""},
}

// spellings are other ways to write such a path.
func spellings(path string) map[string]string {
	replaced := func(old, new string) string { return strings.Replace(path, old, new, 1) }
	beforeLast := strings.LastIndexByte(strings.TrimSuffix(path, "/"), '/')
	all := map[string]string{
		"two slashes before it":         "/" + path,
		"three slashes before it":       "//" + path,
		"two slashes before the name":   replaced("/priv", "//priv"),
		"two slashes in it":             path[:beforeLast] + "/" + path[beforeLast:],
		"two slashes behind it":         path + "//",
		"a slash behind it":             path + "/",
		"a dot before it":               "/." + path,
		"a dot before the name":         replaced("/priv", "/./priv"),
		"a dot behind it":               path + "/.",
		"a dot at the end":              path + ".",
		"a dot behind the name":         replaced("priv", "priv."),
		"by way of what is public":      replaced("/priv", "/pub/../priv"),
		"by way of what is not there":   replaced("/priv", "/nowhere/../priv"),
		"by two ways up":                replaced("/priv", "/pub/app/../../priv"),
		"by way of a probe":             "/-/healthy/../.." + path,
		"by way of the log-in":          "/-/login/../.." + path,
		"by way of the tokens":          "/token/.." + path,
		"by way of the API":             "/-/api/v1/../../.." + path,
		"by way of the OCI API":         "/v2/.." + path,
		"by way of a public feed":       "/pub/npm/../.." + path,
		"escaped dots":                  replaced("/priv", "/pub/%2e%2e/priv"),
		"escaped dots, capitals":        replaced("/priv", "/pub/%2E%2E/priv"),
		"one escaped dot":               replaced("/priv", "/pub/.%2e/priv"),
		"escaped dots and slash":        replaced("/priv", "/pub%2f%2e%2e%2fpriv"),
		"an escaped slash before it":    "/%2f" + path[1:],
		"an escaped slash in it":        path[:beforeLast] + "%2f" + path[beforeLast+1:],
		"an escaped slash, twice":       path[:beforeLast] + "%252f" + path[beforeLast+1:],
		"an escaped slash at the name":  replaced("/priv", "%2fpriv"),
		"an escaped letter":             replaced("priv", "%70riv"),
		"all letters escaped":           replaced("priv", "%70%72%69%76"),
		"escaped twice":                 replaced("priv", "%2570riv"),
		"another letter escaped":        replaced("app", "%61pp"),
		"capitals":                      replaced("priv", "PRIV"),
		"one capital":                   replaced("priv", "Priv"),
		"a parameter":                   replaced("priv", "priv;x=1"),
		"an empty parameter":            replaced("priv", "priv;"),
		"a parameter of the package":    replaced("app", "app;v=1"),
		"an escaped semicolon":          replaced("priv", "priv%3b"),
		"a parameter with a way out":    replaced("/priv", "/pub;/../priv"),
		"a zero byte behind the name":   replaced("priv", "priv%00"),
		"a zero byte before the name":   replaced("priv", "%00priv"),
		"a zero byte at the end":        path + "%00",
		"a zero byte and an extension":  path + "%00.txt",
		"a backslash":                   replaced("/priv/", `/priv\`),
		"a backslash and a way out":     replaced("/priv", `/pub\..\priv`),
		"an escaped backslash":          replaced("/priv/", "/priv%5c"),
		"a plus":                        replaced("priv", "priv+"),
		"an escaped space":              replaced("priv", "priv%20"),
		"an escaped space before it":    replaced("priv", "%20priv"),
		"an escaped line break":         replaced("priv", "priv%0d%0a"),
		"a tab":                         replaced("priv", "priv%09"),
		"wide letters":                  replaced("priv", "%ef%bd%90riv"),
		"a soft hyphen":                 replaced("priv", "pr%c2%adiv"),
		"a joiner":                      replaced("priv", "pr%e2%80%8div"),
		"a letter that looks the same":  replaced("priv", "pri%d1%b5"),
		"a slash that is too long":      replaced("/priv", "%c0%afpriv"),
		"dots that are too long":        replaced("/priv", "/pub/%c0%ae%c0%ae/priv"),
		"no UTF-8":                      replaced("priv", "priv%ff"),
		"an escape that is none":        replaced("priv", "priv%zz"),
		"half an escape":                path + "%",
		"a wide escape":                 replaced("priv", "%u0070riv"),
		"a fragment":                    path + "#/pub/app",
		"a fragment in it":              replaced("priv", "priv#"),
		"an escaped question mark":      path + "%3f",
		"another host":                  "http://other.example" + path,
		"another scheme":                "https://HOST" + path,
		"this host":                     "http://HOST" + path,
		"a user of this host":           "http://admin@HOST" + path,
		"no host":                       "http://" + path,
		"a host with a dot":             "http://HOST." + path,
		"no slash":                      path[1:],
		"a query that names the public": path + "?ns=pub&repo=pub/app&namespace=pub",
		"a format twice":                replaced("/priv/", "/priv/npm/priv/"),
		"below the public":              replaced("/priv", "/pub/priv"),
		"below the public, a format":    replaced("/priv", "/pub/npm/priv"),
		"the public before it":          "/pub/app" + path,
	}
	for name, other := range all {
		if other == path {
			delete(all, name)
		}
	}
	return all
}

// raw sends a request line as it is.
func (w *world) raw(t *testing.T, who, method, target, body string) (answer, error) {
	t.Helper()
	_, host, _ := strings.Cut(w.url, "://")
	c, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", host)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }() // the answer tells
	if err := c.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\nContent-Length: %d\r\n", method, strings.ReplaceAll(target, "HOST", host), host, len(body))
	if token := w.tokens[who]; token != "" {
		b.WriteString("Authorization: Bearer " + token + "\r\n")
	}
	b.WriteString("\r\n" + body)
	if _, err := io.WriteString(c, b.String()); err != nil {
		return answer{}, err
	}
	res, err := http.ReadResponse(bufio.NewReader(c), &http.Request{Method: method})
	if err != nil {
		return answer{}, err
	}
	text, err := io.ReadAll(res.Body)
	return answer{res.StatusCode, res.Header, string(text)}, errors.Join(err, res.Body.Close())
}

// TestSpellings: however a path is written, it is decided about as its usual
// form is, or it is none.
func TestSpellings(t *testing.T) {
	t.Parallel()
	const least = 200
	w := newWorld(t)
	state := func() string {
		return w.must(t, ask{method: http.MethodGet, path: "/-/api/v1/repositories"}).body +
			w.must(t, ask{method: http.MethodGet, path: "/priv/generic/app/1.0.0"}).body + w.must(t, ask{method: http.MethodGet, path: "/v2/priv/app/tags/list"}).body
	}
	before, count, forms := state(), 0, map[string]bool{}
	for _, c := range canonical {
		usual := map[string]int{}
		for _, who := range []string{anonymous, "foreign"} {
			a, err := w.raw(t, who, c.method, c.path, c.body)
			if err != nil || !slices.Contains([]int{401, 403, 404}, a.status) {
				t.Fatalf("%s %s as %s: %d %s, %v", c.method, c.path, who, a.status, a.body, err)
			}
			usual[who] = a.status
		}
		for name, target := range spellings(c.path) {
			forms[c.method+" "+target] = true
			for who, status := range usual {
				count++
				a, err := w.raw(t, who, c.method, target, c.body)
				switch allowed := []int{status, 400, 404, 405}; {
				case err != nil:
					t.Errorf("%s: %s %s as %s: %v", name, c.method, target, who, err)
				case !slices.Contains(allowed, a.status):
					t.Errorf("%s: %s %s as %s: %d %.200s, want %d, 400, 404 or 405", name, c.method, target, who, a.status, a.body, status)
				case strings.Contains(a.body, secretly):
					t.Errorf("%s: %s %s as %s: the answer tells what is private: %.200s", name, c.method, target, who, a.body)
				}
			}
		}
	}
	if after := state(); after != before {
		t.Errorf("something was written:\n%s\nwas\n%s", after, before)
	}
	t.Logf("%d requests, %d spellings", count, len(forms))
	if len(forms) < least {
		t.Errorf("%d spellings, want %d", len(forms), least)
	}
}
