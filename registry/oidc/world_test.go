package oidc

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"golang.org/x/crypto/argon2"

	"github.com/packhouse/packhouse/registry"
	"github.com/packhouse/packhouse/registry/auth"
	"github.com/packhouse/packhouse/registry/egress"
	"github.com/packhouse/packhouse/registry/seal"
	"github.com/packhouse/packhouse/storage/meta"
)

const (
	home     = "https://packages.example.com"
	audience = "packages.example.com"
)

// clock is the time of a test, which it moves.
type clock struct {
	sync.Mutex
	t time.Time
}

func newClock() *clock { return &clock{t: time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)} }

func (c *clock) now() time.Time {
	c.Lock()
	defer c.Unlock()
	return c.t
}

func (c *clock) pass(d time.Duration) {
	c.Lock()
	defer c.Unlock()
	c.t = c.t.Add(d)
}

// keys that tests sign with, made once: it takes a while.
var (
	rsaKey     = sync.OnceValue(func() *rsa.PrivateKey { return must(rsa.GenerateKey(rand.Reader, 2048)) })
	otherKey   = sync.OnceValue(func() *rsa.PrivateKey { return must(rsa.GenerateKey(rand.Reader, 2048)) })
	weakKey    = sync.OnceValue(func() *rsa.PrivateKey { return must(rsa.GenerateKey(rand.Reader, 1024)) })
	ecKey      = sync.OnceValue(func() *ecdsa.PrivateKey { return must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader)) })
	edwardsKey = sync.OnceValue(func() ed25519.PrivateKey {
		_, key, err := ed25519.GenerateKey(rand.Reader)
		return must(key, err)
	})
)

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// issuerServer is an issuer on this machine that tests can make misbehave.
type issuerServer struct {
	*httptest.Server
	mu       sync.Mutex
	requests []string
	keys     []jose.JSONWebKey
	document func() any // nil for the usual
	handle   map[string]http.HandlerFunc
}

func newIssuerServer(t *testing.T) *issuerServer {
	t.Helper()
	i := &issuerServer{handle: map[string]http.HandlerFunc{}}
	i.Server = httptest.NewServer(i)
	t.Cleanup(i.Close)
	i.keys = []jose.JSONWebKey{
		{Key: rsaKey().Public(), KeyID: "rsa", Algorithm: "RS256", Use: "sig"},
		{Key: ecKey().Public(), KeyID: "ec", Use: "sig"},
		{Key: edwardsKey().Public(), KeyID: "ed"},
		{Key: otherKey().Public(), KeyID: "encryption", Use: "enc"},
		{Key: weakKey().Public(), KeyID: "weak", Use: "sig"},
	}
	return i
}

func (i *issuerServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	i.mu.Lock()
	i.requests = append(i.requests, r.URL.Path)
	handle, document := i.handle[r.URL.Path], i.document
	keys := append([]jose.JSONWebKey(nil), i.keys...)
	i.mu.Unlock()
	switch {
	case handle != nil:
		handle(w, r)
	case r.URL.Path == "/.well-known/openid-configuration" && document != nil:
		_ = json.NewEncoder(w).Encode(document())
	case r.URL.Path == "/.well-known/openid-configuration":
		_ = json.NewEncoder(w).Encode(i.usual())
	case r.URL.Path == "/keys":
		_ = json.NewEncoder(w).Encode(jose.JSONWebKeySet{Keys: keys})
	default:
		http.NotFound(w, r)
	}
}

func (i *issuerServer) usual() map[string]any {
	return map[string]any{
		"issuer": i.URL, "jwks_uri": i.URL + "/keys", "authorization_endpoint": i.URL + "/authorize", "token_endpoint": i.URL + "/token",
		"userinfo_endpoint": i.URL + "/userinfo", "id_token_signing_alg_values_supported": []string{"RS256", "HS256", "none"},
	}
}

func (i *issuerServer) on(path string, h http.HandlerFunc) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.handle[path] = h
}

func (i *issuerServer) set(keys ...jose.JSONWebKey) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.keys = keys
}

func (i *issuerServer) asked() int {
	i.mu.Lock()
	defer i.mu.Unlock()
	return len(i.requests)
}

// world is a service with what it stands on.
type world struct {
	*Service
	t      *testing.T
	clock  *clock
	store  *meta.Store
	auth   *auth.Service
	issuer *issuerServer
}

func newWorld(t *testing.T, configure ...func(*Config)) *world {
	t.Helper()
	w := &world{t: t, clock: newClock(), issuer: newIssuerServer(t)}
	var err error
	if w.store, err = meta.Open(t.Context(), meta.Config{Dir: t.TempDir(), Now: w.clock.now}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := w.store.Close(); err != nil {
			t.Error(err)
		}
	})
	box := must(seal.New(seal.GenerateKey()))
	if w.auth, err = auth.New(t.Context(), auth.Config{Meta: w.store, Seal: box, Log: slog.New(slog.DiscardHandler)}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := w.auth.Close(); err != nil {
			t.Error(err)
		}
	})
	cfg := Config{
		Auth: w.auth, Meta: w.store, Seal: box, External: home,
		Egress: &egress.Dialer{Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}},
		Base:   func(*http.Request) string { return home },
	}
	for _, f := range configure {
		f(&cfg)
	}
	if w.Service, err = New(cfg); err != nil {
		t.Fatal(err)
	}
	return w
}

func (w *world) change(f func(ctx context.Context, tx *meta.Tx) error) {
	w.t.Helper()
	err := w.store.Update(w.t.Context(), meta.Options{Durable: true, Unaudited: true}, func(ctx context.Context, tx *meta.Tx) error {
		if err := f(ctx, tx); err != nil {
			return err
		}
		return tx.TouchAccess(ctx)
	})
	if err != nil {
		w.t.Fatal(err)
	}
	if err := w.auth.Refresh(w.t.Context()); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) trust(r meta.Trust) {
	w.t.Helper()
	if r.Issuer == "" {
		r.Issuer = w.issuer.URL
	}
	if r.Role == "" {
		r.Role = "publisher"
	}
	w.change(func(ctx context.Context, tx *meta.Tx) error {
		_, err := tx.AddTrust(ctx, r)
		return err
	})
}

const secretWord = "correct horse battery staple"

// addUser makes a local user with that password.
func (w *world) addUser(name string) int64 {
	w.t.Helper()
	salt := []byte("0123456789abcdef")
	key := argon2.IDKey([]byte(secretWord), salt, 2, 19<<10, 1, 32)
	phc := fmt.Sprintf("$argon2id$v=19$m=%d,t=2,p=1$%s$%s", 19<<10, base64.RawStdEncoding.EncodeToString(salt), base64.RawStdEncoding.EncodeToString(key))
	var id int64
	w.change(func(ctx context.Context, tx *meta.Tx) (err error) {
		id, err = tx.AddPrincipal(ctx, meta.Principal{Kind: meta.KindUser, Name: name, Source: meta.SourceLocal, Password: phc})
		return err
	})
	return id
}

// caller is the context of a request.
func (w *world) caller() context.Context {
	return registry.WithCaller(w.t.Context(), &registry.Caller{
		Principal: "anonymous", Address: "192.0.2.7", Client: "npm/11.0", Identity: &auth.Identity{Kind: auth.Anonymous},
	})
}

// answer is what comes back beside a body.
type answer struct {
	StatusCode int
	Header     http.Header
}

// do sends a request to the handlers.
func (w *world) do(r *http.Request) (answer, string) {
	w.t.Helper()
	rec := httptest.NewRecorder()
	w.ServeHTTP(rec, r.WithContext(w.caller()))
	return answer{rec.Code, rec.Header()}, rec.Body.String()
}

func (w *world) request(method, to, body string) *http.Request {
	return httptest.NewRequestWithContext(w.t.Context(), method, to, strings.NewReader(body))
}

func (w *world) post(path, contentType, body string) (answer, string) {
	w.t.Helper()
	r := w.request(http.MethodPost, path, body)
	r.Header.Set("Content-Type", contentType)
	return w.do(r)
}

type payload map[string]any

// with is o with other values; nil takes one away.
func (o payload) with(pairs ...any) payload {
	c := payload{}
	maps.Copy(c, o)
	for i := 0; i < len(pairs); i += 2 {
		name := pairs[i].(string)
		if c[name] = pairs[i+1]; pairs[i+1] == nil {
			delete(c, name)
		}
	}
	return c
}

// github are the claims of a job of GitHub Actions.
func (w *world) github() payload {
	now := w.clock.now().Unix()
	return payload{
		"iss": w.issuer.URL, "sub": "repo:acme/widget:ref:refs/tags/v1.2.3", "aud": audience, "exp": now + 300, "iat": now, "nbf": now - 60, "jti": "3c0b",
		"repository": "acme/widget", "repository_id": "74", "repository_owner": "acme", "repository_owner_id": "65", "ref": "refs/tags/v1.2.3", "ref_type": "tag", "ref_protected": "true",
		"event_name": "push", "workflow_ref": "acme/widget/.github/workflows/release.yml@refs/tags/v1.2.3", "environment": "release", "run_id": "30433642", "runner_environment": "github-hosted",
	}
}

// githubRule is the rule for that job.
var githubRule = meta.Trust{
	Name: "widget", Repositories: "acme/npm/widget", Claims: map[string]string{"repository_id": "74", "repository_owner_id": "65", "ref": "refs/tags/v*"},
}

// sign makes a token; the key is whatever jose takes, with its id.
func sign(t *testing.T, alg jose.SignatureAlgorithm, key any, kid string, c payload, header ...any) string {
	t.Helper()
	o := (&jose.SignerOptions{}).WithType("JWT")
	for i := 0; i < len(header); i += 2 {
		o = o.WithHeader(jose.HeaderKey(header[i].(string)), header[i+1])
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: alg, Key: jose.JSONWebKey{Key: key, KeyID: kid}}, o)
	if err != nil {
		t.Fatal(err)
	}
	jws, err := signer.Sign(must(json.Marshal(c)))
	if err != nil {
		t.Fatal(err)
	}
	return must(jws.CompactSerialize())
}

// token is one signed by the issuer.
func token(t *testing.T, c payload) string {
	t.Helper()
	return sign(t, jose.RS256, rsaKey(), "rsa", c)
}

// raw puts a token together by hand, signed by RS256.
func raw(header, payload string) string {
	part := base64.RawURLEncoding.EncodeToString
	signed := part([]byte(header)) + "." + part([]byte(payload))
	h := crypto.SHA256.New()
	h.Write([]byte(signed))
	return signed + "." + part(must(rsa.SignPKCS1v15(rand.Reader, rsaKey(), crypto.SHA256, h.Sum(nil))))
}
