package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/netip"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/packhouse/packhouse/artifacttypes/all"
	"github.com/packhouse/packhouse/registry"
	"github.com/packhouse/packhouse/registry/auth"
	"github.com/packhouse/packhouse/registry/config"
	"github.com/packhouse/packhouse/registry/obs"
	"github.com/packhouse/packhouse/registry/server"
)

// world is a running registry as `packhouse serve` puts it together, with the
// namespaces, packages and people of the tests of access:
//
//	pub   public    each format's package app, the image app
//	priv  private   the same, and what is called hush, which no request names
//	else  private   nothing
//
// In pub and priv each has the role of the same name, nsadmin that of admin;
// admin administers the registry, foreign administers else, and neighbour the
// packages called neighbour in the feeds where app is.
type world struct {
	backend *server.Backend
	url     string
	client  *http.Client
	tokens  map[string]string // of people; none for anonymous
	ids     map[string]string // public ids of the same
	blob    registry.Digest   // of the images, and others
	image   registry.Digest
	asked   int // addresses
}

// anonymous is nobody's name in the tables.
const anonymous = "anonymous"

// owned are the tokens that are not their principals' own.
func ownerOf(who string) string {
	switch who {
	case "narrow":
		return "admin"
	case "revoked":
		return "nsadmin"
	}
	return who
}

// emptyWorld has strangers alone.
func emptyWorld(t *testing.T) *world {
	t.Helper()
	c := config.Default()
	c.Addr, c.MetricsAddr, c.Data, c.Auth = "127.0.0.1:0", "", t.TempDir(), config.AuthOn
	c.Rates, c.Log.Access = config.Rates{}, false // what a test asks is no attack
	c.OIDC.Audience = "packhouse.example"
	c.TrustedProxies = []config.Network{{Prefix: netip.MustParsePrefix("127.0.0.0/8")}} // for X-Forwarded-For
	log := slog.New(slog.DiscardHandler)
	b, err := server.Open(t.Context(), c, all.Formats(), log)
	if err != nil {
		t.Fatal(err)
	}
	w := &world{backend: b, tokens: map[string]string{}, ids: map[string]string{}}
	w.blob, w.image = layerOf(imageText), digest.FromString(imageOf(imageText))
	t.Cleanup(func() {
		if err := w.close(); err != nil {
			t.Error(err)
		}
	})
	out := obs.NewOutput(io.Discard)
	s, err := listen(t.Context(), c, b, server.Watch{Metrics: obs.NewMetrics(obs.Build{})}, out, log)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	ended := make(chan error, 1)
	go func() { ended <- s.Serve(ctx) }()
	transport := &http.Transport{DisableCompression: true, MaxIdleConnsPerHost: 8}
	w.url = s.URL()
	w.client = &http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	t.Cleanup(func() {
		transport.CloseIdleConnections()
		stop()
		if err := errors.Join(<-ended, out.Close()); err != nil {
			t.Error(err)
		}
	})
	w.strangers(t)
	return w
}

// newWorld is a registry with everybody and everything.
func newWorld(t *testing.T) *world {
	t.Helper()
	w := emptyWorld(t)
	w.people(t)
	w.neighbours(t)
	w.content(t)
	return w
}

// close ends the stores under the running server, once.
func (w *world) close() error {
	if w.backend == nil {
		return nil
	}
	b := w.backend
	w.backend = nil
	return b.Close()
}

// byOperator is a context in which everything may be done.
func byOperator(t *testing.T) context.Context {
	t.Helper()
	return registry.WithCaller(t.Context(), &registry.Caller{Principal: auth.Operator.String(), Identity: &auth.Identity{Kind: auth.Operator}})
}

// strangers are admin, and those who may do nothing in pub and priv.
func (w *world) strangers(t *testing.T) {
	t.Helper()
	secret, made, err := w.backend.Auth.Bootstrap(byOperator(t))
	if err != nil || !made {
		t.Fatalf("bootstrap: %v, %v", made, err)
	}
	w.tokens["admin"] = secret
	w.namespace(t, "else", "")
	w.person(t, "someone", "", "", "")
	w.person(t, "foreign", "admin", "else", "")
}

func (w *world) people(t *testing.T) {
	t.Helper()
	w.namespace(t, "pub", "public")
	w.namespace(t, "priv", "private")
	for _, role := range []string{"reader", "publisher", "maintainer"} {
		w.person(t, role, role, "pub priv", "")
	}
	w.person(t, "nsadmin", "admin", "pub priv", "")
	w.person(t, "neighbour", "admin", "pub priv", "/*/neighbour/**")
	w.token(t, "narrow", auth.Scope{Repositories: "pub/**", Role: "reader"}, auth.Scope{Repositories: "priv/**", Role: "reader"})
	w.token(t, "revoked")
	if err := w.backend.Auth.RevokeToken(byOperator(t), w.ids["revoked"]); err != nil {
		t.Fatal(err)
	}
}

func (w *world) namespace(t *testing.T, name, visibility string) {
	t.Helper()
	if _, err := w.backend.Auth.CreateNamespace(byOperator(t), name, visibility, ""); err != nil {
		t.Fatal(err)
	}
}

// person makes a user who has a role on some namespaces, or below them, and a
// token.
func (w *world) person(t *testing.T, name, role, namespaces, below string) {
	t.Helper()
	ctx, a := byOperator(t), w.backend.Auth
	if _, err := a.CreateUser(ctx, auth.Account{Name: name, Password: "open sesame of " + name}); err != nil {
		t.Fatal(err)
	}
	for ns := range strings.FieldsSeq(namespaces) {
		g := auth.Grant{Subject: "user:" + name, Role: role, Namespace: ns}
		if below != "" {
			g.Repositories = ns + below
		}
		if _, err := a.AddGrant(ctx, g); err != nil {
			t.Fatal(err)
		}
	}
	w.token(t, name)
}

// token makes the token that who shows.
func (w *world) token(t *testing.T, who string, scope ...auth.Scope) {
	t.Helper()
	made, secret, err := w.backend.Auth.CreateToken(byOperator(t), auth.TokenParams{Owner: "user:" + ownerOf(who), Name: "of " + who, Scope: scope})
	if err != nil {
		t.Fatal(err)
	}
	w.tokens[who], w.ids[who] = secret, made.ID
}

// fresh makes another token of a user.
func (w *world) fresh(t *testing.T, user string) auth.Token {
	t.Helper()
	made, _, err := w.backend.Auth.CreateToken(byOperator(t), auth.TokenParams{Owner: "user:" + user, Name: "fresh"})
	if err != nil {
		t.Fatal(err)
	}
	return made
}

// answer is what came back.
type answer struct {
	status int
	header http.Header
	body   string
}

// ask is one request.
type ask struct {
	method, path string // with its query, escaped
	body         string
	header       http.Header
}

// send asks as who, an anonymous one or one of the tokens'.
func (w *world) send(t *testing.T, who string, q ask) answer {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), q.method, w.url+q.path, strings.NewReader(q.body))
	if err != nil {
		t.Fatalf("%s %s: %v", q.method, q.path, err)
	}
	for name, values := range q.header {
		r.Header[name] = values
	}
	if token := w.tokens[who]; token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	} else if who != anonymous {
		t.Fatalf("%q has no token", who)
	}
	return w.do(t, r)
}

func (w *world) do(t *testing.T, r *http.Request) answer {
	t.Helper()
	res, err := w.client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(res.Body)
	if err := errors.Join(err, res.Body.Close()); err != nil {
		t.Fatalf("%s %s: %v", r.Method, r.URL, err)
	}
	return answer{res.StatusCode, res.Header, string(body)}
}

// must is send by the administrator; it fails unless the status is one of 2xx.
func (w *world) must(t *testing.T, q ask) answer {
	t.Helper()
	a := w.send(t, "admin", q)
	if a.status/100 != 2 {
		t.Fatalf("%s %s: %d %s", q.method, q.path, a.status, a.body)
	}
	return a
}

// upload begins a session as who, or as the administrator where that one may
// not, and returns its id.
func (w *world) upload(t *testing.T, who, repo string) string {
	t.Helper()
	q := ask{method: http.MethodPost, path: "/v2/" + repo + "/blobs/uploads/"}
	a := w.send(t, who, q)
	if a.status != http.StatusAccepted {
		a = w.must(t, q)
	}
	return a.header.Get("Docker-Upload-Uuid")
}

// secretly is what only those who may read priv may ever see.
const secretly = "hush"

// maySee tells whether who may read what is in priv.
func maySee(who string) bool {
	switch who {
	case anonymous, "revoked", "foreign", "neighbour", "someone":
		return false
	}
	return true
}

// decoded is a JSON answer.
func decoded[T any](t *testing.T, a answer) (v T) {
	t.Helper()
	if err := json.Unmarshal([]byte(a.body), &v); err != nil {
		t.Fatal(fmt.Errorf("%d %s: %w", a.status, a.body, err))
	}
	return v
}
