package oidc

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/packhouse/packhouse/conformance/packhouse"
	"github.com/packhouse/packhouse/conformance/rig"
)

// namespace is where the tests publish.
const namespace = "acme"

// registry is a server that asks for credentials, beside an issuer that it knows.
type registry struct {
	*rig.Registry
	issuer *issuer
	binary string
}

// start starts both. The server's URL must be known before it starts, since people come back to it.
func start(t *testing.T) *registry {
	t.Helper()
	addr := freeAddr(t)
	home := "https://" + addr
	i := newIssuer(t, home+"/-/login/callback")
	data := filepath.Join(t.TempDir(), "data")
	config := filepath.Join(t.TempDir(), "packhouse.yaml")
	r := &registry{issuer: i}
	write(t, config, fmt.Sprintf(`auth: on
external_url: %s
egress: {allow: [127.0.0.0/8]}
oidc: {issuer: %q, client_id: %q, client_secret: %q, name_claim: preferred_username, groups_claim: groups, scopes: [profile, email, groups]}
`, home, i.URL, clientID, clientSecret))
	r.Registry = rig.Start(t, packhouse.Options{Data: data, Addr: addr, TLS: true, Args: []string{"--config", config}})
	var err error
	if r.binary, err = packhouse.Binary(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, format := range []string{"npm", "pypi", "generic"} {
		r.command(t, "feed", "create", namespace+"/"+format)
	}
	return r
}

// freeAddr is an address on loopback that nobody listens at.
func freeAddr(t *testing.T) string {
	t.Helper()
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	return addr
}

func write(t *testing.T, path, text string) {
	t.Helper()
	home := rig.Registry{Home: filepath.Dir(path)}
	home.File(t, filepath.Base(path), []byte(text))
}

// command runs one of the operator's commands on the server.
func (r *registry) command(t *testing.T, args ...string) string {
	t.Helper()
	return r.Run(t, append(append([]string{r.binary}, args...), "--data", r.Data)...)
}

// trust adds a trust rule.
func (r *registry) trust(t *testing.T, name, repositories string, claims ...string) {
	t.Helper()
	args := []string{"trust", "add", name, namespace, "--issuer", r.issuer.URL, "--repositories", repositories}
	for _, c := range claims {
		args = append(args, "--claim", c)
	}
	r.command(t, args...)
}

// may asks whether somebody may do something.
func (r *registry) may(t *testing.T, who, action, repo string) bool {
	t.Helper()
	_, err := r.Try(t, r.binary, "can", who, action, repo, "--data", r.Data)
	return err == nil
}

// browser is one with cookies that trusts the server's certificate.
type browser struct {
	client *http.Client
	base   string
}

func (r *registry) browser(t *testing.T) *browser {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	c := r.Client()
	c.Jar = jar
	t.Cleanup(c.CloseIdleConnections)
	return &browser{client: c}
}

// send requests a page, follows where it leads, and returns where that was and what was there.
func (b *browser) send(t *testing.T, method, to string, form url.Values) (*url.URL, int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, to, strings.NewReader(form.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	if form != nil {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		req.Header.Set("Origin", req.URL.Scheme+"://"+req.URL.Host)
		req.Header.Set("Sec-Fetch-Site", "same-origin")
	}
	res, err := b.client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close() //nolint:errcheck // it was read
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.Request.URL, res.StatusCode, string(body)
}

var providerLink = regexp.MustCompile(`href="(/-/login/[^"]*/provider\?token=[0-9a-f]+)"`)

// login goes from the registry's page to the issuer's and back, and returns what the registry says in the end.
func (b *browser) login(t *testing.T, page, user, password string) (int, string) {
	t.Helper()
	at, status, body := b.send(t, http.MethodGet, page, nil)
	link := providerLink.FindStringSubmatch(body)
	if status != http.StatusOK || link == nil {
		t.Fatalf("%s: %d\n%s", at, status, body)
	}
	form, status, body := b.send(t, http.MethodGet, at.Scheme+"://"+at.Host+link[1], nil)
	if status != http.StatusOK || !strings.Contains(body, `type="password"`) {
		t.Fatalf("%s: %d\n%s", form, status, body)
	}
	at, status, body = b.send(t, http.MethodPost, form.String(), url.Values{"user": {user}, "password": {password}})
	if status == http.StatusOK && at.Path != "/-/login/callback" {
		t.Errorf("the browser ended at %s", at)
	}
	return status, body
}

// put sends a file with a token and returns the status.
func (r *registry) put(t *testing.T, token, path string) int {
	t.Helper()
	res, _ := r.Do(t, http.MethodPut, path, http.Header{"Authorization": {"Bearer " + token}}, []byte("content of "+path)) //nolint:bodyclose // Do read it
	return res.StatusCode
}

// call posts JSON and decodes the answer.
func (r *registry) call(t *testing.T, to, body string, header http.Header) (int, map[string]any) {
	t.Helper()
	if header == nil {
		header = http.Header{}
	}
	header.Set("Content-Type", "application/json")
	res, answer := r.Do(t, http.MethodPost, strings.TrimPrefix(to, r.URL), header, []byte(body)) //nolint:bodyclose // Do read it
	if !bytes.HasPrefix(bytes.TrimSpace(answer), []byte("{")) {
		t.Fatalf("POST %s: %s: %s", to, res.Status, answer)
	}
	return res.StatusCode, rig.Decode[map[string]any](t, string(answer))
}
