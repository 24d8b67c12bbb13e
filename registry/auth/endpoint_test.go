package auth

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/packhouse/packhouse/registry"
	"github.com/packhouse/packhouse/storage/meta"
)

// tokenHost is a token endpoint with people, repositories and rights.
type tokenHost struct {
	*entrance
	handler     http.Handler
	alice, bob  meta.Principal
	plain, slim string // alice's tokens
}

func newTokenHost(t *testing.T, change ...func(*Config)) *tokenHost {
	t.Helper()
	lookup := func(_ context.Context, r registry.Repo) (Incarnation, error) {
		if r == "acme/app" {
			return Incarnation{Namespace: "7.1", Repository: 1234}, nil
		}
		return Incarnation{Namespace: "7.1"}, nil
	}
	h := &tokenHost{entrance: newEntrance(t, append([]func(*Config){func(c *Config) { c.Lookup = lookup }}, change...)...)}
	h.handler = h.TokenEndpoint(func(*http.Request) string { return "https://h" }, func(*http.Request) string { return "h" })
	h.alice, h.bob = h.user("alice", "secret"), h.user("bob", "hush")
	h.grant(meta.Grant{Principal: h.alice.ID, Role: "publisher", Repositories: "acme/**"})
	h.grant(meta.Grant{Principal: h.bob.ID, Role: "reader", Repositories: "acme/app"})
	h.grant(meta.Grant{Role: "reader", Repositories: "public/**"})
	h.plain = h.token(meta.Token{ID: "aaaaaaaaaaaa", Principal: h.alice.ID})
	h.slim = h.token(meta.Token{ID: "bbbbbbbbbbbb", Principal: h.alice.ID, Scope: `[{"repositories":"acme/app","role":"reader"}]`, Expires: h.now().Add(90 * time.Second)})
	return h
}

// ask sends a request and reads the answer.
func (h *tokenHost) ask(r *http.Request) (*httptest.ResponseRecorder, tokenResponse) {
	h.t.Helper()
	w := httptest.NewRecorder()
	h.handler.ServeHTTP(w, r.WithContext(callerContext(r.Context())))
	if got := w.Header().Get("Cache-Control"); got != "no-store" {
		h.t.Errorf("Cache-Control is %q", got)
	}
	var a tokenResponse
	if w.Body.Len() > 0 {
		if err := json.Unmarshal(w.Body.Bytes(), &a); err != nil {
			h.t.Fatalf("%s: %v", w.Body, err)
		}
	}
	return w, a
}

func (h *tokenHost) get(query, authorization string) (*httptest.ResponseRecorder, tokenResponse) {
	h.t.Helper()
	r := httptest.NewRequestWithContext(h.t.Context(), http.MethodGet, "/token?"+query, nil)
	if authorization != "" {
		r.Header.Set("Authorization", authorization)
	}
	return h.ask(r)
}

func (h *tokenHost) post(form url.Values) (*httptest.ResponseRecorder, tokenResponse) {
	h.t.Helper()
	r := httptest.NewRequestWithContext(h.t.Context(), http.MethodPost, "/token", strings.NewReader(form.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return h.ask(r)
}

// granted is what a token's claims list.
func granted(id *Identity) string {
	if id == nil || id.Claims == nil {
		return "none"
	}
	var list []string
	for _, a := range id.Claims.Access {
		list = append(list, fmt.Sprintf("%s:%s:%s:%d", a.Repo, strings.Join(ScopeActions(a.Verbs), ","), a.Incarnation.Namespace, a.Incarnation.Repository))
	}
	return strings.Join(list, " ")
}

func TestTokenEndpointGet(t *testing.T) {
	t.Parallel()
	h := newTokenHost(t)
	tests := []struct {
		name, query, authorization string
		who, granted               string
		life                       int64
	}{
		{"nobody, nothing", "service=h", "", "anonymous", "", 300},
		{"nobody, private", "service=h&scope=repository:acme/app:pull", "", "anonymous", "", 300},
		{"nobody, public", "service=h&scope=repository:public/app:pull,push", "", "anonymous", "public/app:pull:7.1:0", 300},
		{"password", "service=h&account=alice&scope=repository:acme/app:pull,push", basic("alice:secret"), "user:alice", "acme/app:pull,push:7.1:1234", 300},
		{"no more than asked", "scope=repository:acme/app:pull", basic("alice:secret"), "user:alice", "acme/app:pull:7.1:1234", 300},
		{"no more than allowed", "scope=repository:acme/app:pull,push,delete", basic("bob:hush"), "user:bob", "acme/app:pull:7.1:1234", 300},
		{"everything", "scope=repository:acme/app:*", basic("alice:secret"), "user:alice", "acme/app:pull,push:7.1:1234", 300},
		{"two scopes", "scope=repository:acme/app:pull&scope=repository:acme/new:push", basic("alice:secret"), "user:alice", "acme/app:pull:7.1:1234 acme/new:push:7.1:0", 300},
		{"two in one", "scope=repository:acme/app:pull+repository:other/x:pull", basic("alice:secret"), "user:alice", "acme/app:pull:7.1:1234", 300},
		{"catalog", "scope=registry:catalog:*", basic("bob:hush"), "user:bob", ":pull::0", 300},
		{"unknown scopes", "scope=repository:Acme:pull&scope=x&scope=namespace:a:b&scope=repository:acme/app:fly", basic("alice:secret"), "user:alice", "", 300},
		{"token", "scope=repository:acme/app:pull,push", basic("x:" + h.plain), "user:alice", "acme/app:pull,push:7.1:1234", 300},
		{"token, bare", "scope=repository:acme/app:pull", "Bearer " + h.plain, "user:alice", "acme/app:pull:7.1:1234", 300},
		{"narrow token that ends soon", "scope=repository:acme/app:pull,push&scope=repository:acme/new:pull", basic("x:" + h.slim), "user:alice", "acme/app:pull:7.1:1234", 90},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w, a := h.get(tt.query, tt.authorization)
			if w.Code != http.StatusOK {
				t.Fatalf("status %d: %s", w.Code, w.Body)
			}
			id, err := h.bare(a.Token)
			if err != nil {
				t.Fatal(err)
			}
			if id.String() != tt.who || granted(id) != tt.granted {
				t.Errorf("token of %s for %q, want %s and %q", id, granted(id), tt.who, tt.granted)
			}
			want := tokenResponse{Token: a.Token, AccessToken: a.Token, ExpiresIn: tt.life, IssuedAt: "2031-05-01T12:00:00Z"}
			if diff := cmp.Diff(want, a); diff != "" {
				t.Errorf("answer (-want +got):\n%s", diff)
			}
			if tt.name == "narrow token that ends soon" {
				if diff := cmp.Diff([]Scope{{"acme/app", "reader"}}, id.Scope); diff != "" || id.Token != "bbbbbbbbbbbb" {
					t.Errorf("token %q, scope (-want +got):\n%s", id.Token, diff)
				}
			}
		})
	}
}

func TestTokenEndpointPost(t *testing.T) {
	t.Parallel()
	h := newTokenHost(t)
	form := func(pairs ...string) url.Values {
		v := url.Values{"service": {"h"}, "client_id": {"docker"}}
		for i := 0; i < len(pairs); i += 2 {
			v.Add(pairs[i], pairs[i+1])
		}
		return v
	}
	tests := []struct {
		name    string
		form    url.Values
		granted string
		want    tokenResponse
	}{
		{
			"password", form("grant_type", "password", "username", "alice", "password", "secret", "scope", "repository:acme/app:pull,push,delete repository:other/x:pull"),
			"acme/app:pull,push:7.1:1234",
			tokenResponse{Scope: "repository:acme/app:pull,push"},
		},
		{
			"token as password", form("grant_type", "password", "username", "alice", "password", h.plain, "scope", "repository:acme/app:pull", "access_type", "offline"),
			"acme/app:pull:7.1:1234",
			tokenResponse{Scope: "repository:acme/app:pull", RefreshToken: h.plain},
		},
		{
			"token as user", form("grant_type", "password", "username", h.plain, "password", ""),
			"",
			tokenResponse{},
		},
		{
			"refresh", form("grant_type", "refresh_token", "refresh_token", h.plain, "scope", "repository:acme/app:pull"),
			"acme/app:pull:7.1:1234",
			tokenResponse{Scope: "repository:acme/app:pull"},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w, a := h.post(tt.form)
			if w.Code != http.StatusOK {
				t.Fatalf("status %d: %s", w.Code, w.Body)
			}
			id, err := h.bare(a.AccessToken)
			if err != nil || granted(id) != tt.granted {
				t.Errorf("token for %q, want %q: %v", granted(id), tt.granted, err)
			}
			tt.want.ExpiresIn, tt.want.IssuedAt, tt.want.TokenType = 300, "2031-05-01T12:00:00Z", "Bearer"
			if diff := cmp.Diff(tt.want, a, cmpopts.IgnoreFields(tokenResponse{}, "Token", "AccessToken")); diff != "" {
				t.Errorf("answer (-want +got):\n%s", diff)
			}
		})
	}
}

// TestTokenEndpointOffline: a password is answered by a token that can be had
// back, revoked, and that the short one dies with.
func TestTokenEndpointOffline(t *testing.T) {
	t.Parallel()
	h := newTokenHost(t)
	_, a := h.get("service=h&client_id=docker&offline_token=true&scope=repository:acme/app:pull", basic("alice:secret"))
	if _, ok := ParseTokenText(a.RefreshToken); !ok {
		t.Fatalf("refresh token %q", a.RefreshToken)
	}
	id, err := h.bare(a.RefreshToken)
	if err != nil || id.String() != "user:alice" || id.Token == "" {
		t.Fatalf("refresh token of %s, %v", id, err)
	}
	row, err := h.store.Token(t.Context(), id.Token)
	if err != nil || row.Name != "login docker" || !row.Expires.Equal(h.now().Add(90*24*time.Hour)) {
		t.Errorf("row %+v, %v", row, err)
	}
	if _, again := h.get("service=h&offline_token=true", basic("x:"+a.RefreshToken)); again.RefreshToken != a.RefreshToken {
		t.Errorf("refresh token for a token is %q, want the same", again.RefreshToken)
	}
	if _, err := h.bare(a.Token); err != nil {
		t.Fatal(err)
	}
	h.change(func(ctx context.Context, tx *meta.Tx) error { return tx.RevokeToken(ctx, id.Token, tx.Now()) })
	for name, text := range map[string]string{"refresh token": a.RefreshToken, "token": a.Token} {
		if _, err := h.bare(text); err == nil {
			t.Errorf("the %s works after it was revoked", name)
		}
	}
	// Nobody has nothing to come back with, and HEAD makes nothing.
	if _, a := h.get("service=h&offline_token=true", ""); a.RefreshToken != "" {
		t.Errorf("anonymous got a refresh token")
	}
	before, err := h.store.Tokens(t.Context(), h.bob.ID, "", 10)
	if err != nil {
		t.Fatal(err)
	}
	r := httptest.NewRequestWithContext(t.Context(), http.MethodHead, "/token?offline_token=true", nil)
	r.Header.Set("Authorization", basic("bob:hush"))
	w, _ := h.ask(r)
	after, err := h.store.Tokens(t.Context(), h.bob.ID, "", 10)
	if err != nil || len(after) != len(before) || w.Code != http.StatusOK || w.Body.Len() != 0 {
		t.Errorf("HEAD: status %d, %d bytes, %d tokens, %v", w.Code, w.Body.Len(), len(after), err)
	}
}

func TestTokenEndpointRefuses(t *testing.T) {
	t.Parallel()
	h := newTokenHost(t)
	_, jwt := h.get("service=h", basic("alice:secret"))
	get := func(query string, header ...string) *http.Request {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/token", nil)
		r.URL.RawQuery = query
		for i := 0; i < len(header); i += 2 {
			r.Header.Add(header[i], header[i+1])
		}
		return r
	}
	post := func(kind, body string) *http.Request {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/token", strings.NewReader(body))
		r.Header.Set("Content-Type", kind)
		return r
	}
	const (
		form  = "application/x-www-form-urlencoded"
		wrong = "user name or password is wrong, or the token is not valid any more"
	)
	tooMany := make([]string, 0, maxScopes+1)
	for i := range maxScopes + 1 {
		tooMany = append(tooMany, fmt.Sprintf("repository:acme/r%d:pull", i))
	}
	long := make([]string, 0, maxScopes)
	for i := range maxScopes {
		long = append(long, fmt.Sprintf("repository:acme/%s%d:pull,push", strings.Repeat("a", 150), i))
	}
	tests := []struct {
		name     string
		r        *http.Request
		status   int
		code     registry.Code
		sentence string
	}{
		{"wrong password", get("service=h", "Authorization", basic("alice:wrong")), 401, registry.Unauthorized, wrong},
		{"wrong password, HEAD", func() *http.Request {
			r := get("", "Authorization", basic("alice:x"))
			r.Method = http.MethodHead
			return r
		}(), 401, "", ""},
		{"unknown user", get("service=h", "Authorization", basic("nobody:x")), 401, registry.Unauthorized, wrong},
		{"malformed", get("service=h", "Authorization", "Basic ="), 401, registry.Unauthorized, "the Authorization header is not Basic and user:password in base64"},
		{"its own token", get("service=h", "Authorization", "Bearer "+jwt.Token), 401, registry.Unauthorized, "a token of this endpoint cannot be exchanged for another: log in with a password or a token of your own"},
		{"its own token as refresh token", post(form, "grant_type=refresh_token&refresh_token="+jwt.Token), 401, registry.Unauthorized, wrong},
		{"unknown refresh token", post(form, "grant_type=refresh_token&refresh_token="+aToken), 401, registry.Unauthorized, wrong},
		{"password as refresh token", post(form, "grant_type=refresh_token&refresh_token=secret&username=alice"), 401, registry.Unauthorized, wrong},
		{"wrong password by POST", post(form, "grant_type=password&username=alice&password=x"), 401, registry.Unauthorized, wrong},
		{"nobody by POST", post(form, "grant_type=password"), 401, registry.Unauthorized, wrong},
		{"control characters", post(form, "grant_type=password&username=alice&password=%00"), 401, registry.Unauthorized, "user or password has control characters or no UTF-8 in it"},
		{"other grant", post(form, "grant_type=authorization_code&code=x"), 400, registry.ParameterInvalid, `grant_type is "authorization_code": use password or refresh_token`},
		{"no grant", post(form, ""), 400, registry.ParameterInvalid, `grant_type is "": use password or refresh_token`},
		{"twice", post(form, "grant_type=password&username=alice&password=secret&username=bob"), 400, registry.ParameterInvalid, `"username" is there 2 times: send it once`},
		{"JSON", post("application/json", "{}"), 400, registry.ParameterInvalid, "send the request as application/x-www-form-urlencoded"},
		{"bad form", post(form, "grant_type=%zz"), 400, registry.ParameterInvalid, "the body of the request cannot be read"},
		{"bad query", get("scope=%zz"), 400, registry.ParameterInvalid, "the query of the request cannot be read"},
		{"too large", post(form, "grant_type=password&x="+strings.Repeat("a", maxTokenBody)), 413, registry.TooLarge, "the request is larger than 65536 bytes"},
		{"another registry", get("service=evil.example"), 400, registry.ParameterInvalid, `this registry is h and makes no tokens for "evil.example": take the service from its own challenge`},
		{"too many scopes", get("scope=" + strings.Join(tooMany, "+")), 400, registry.ParameterInvalid, "101 scopes are asked for, the limit is 100"},
		{"too long a token", get("scope="+strings.Join(long, "+"), "Authorization", basic("alice:secret")), 400, registry.ParameterInvalid, "a token for so many repositories would be too long: ask for fewer scopes at once"},
		{"method", func() *http.Request { r := get(""); r.Method = http.MethodPut; return r }(), 405, registry.Unsupported, "tokens are had by GET or POST"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := httptest.NewRecorder()
			h.handler.ServeHTTP(w, tt.r.WithContext(callerContext(t.Context())))
			if w.Code != tt.status {
				t.Errorf("status %d, want %d: %s", w.Code, tt.status, w.Body)
			}
			want := ""
			if tt.status == http.StatusUnauthorized {
				want = `Basic realm="https://h",charset="UTF-8"`
			}
			if got := w.Header().Get("WWW-Authenticate"); got != want {
				t.Errorf("challenge %q, want %q", got, want)
			}
			if tt.code == "" {
				if w.Body.Len() != 0 {
					t.Errorf("body %s", w.Body)
				}
				return
			}
			var body struct {
				Errors []struct {
					Code    registry.Code
					Message string
				}
				Error            string
				ErrorDescription string `json:"error_description"`
			}
			if err := json.Unmarshal(w.Body.Bytes(), &body); err != nil || len(body.Errors) != 1 {
				t.Fatalf("%s: %v", w.Body, err)
			}
			if got := body.Errors[0]; got.Code != tt.code || got.Message != tt.sentence || body.ErrorDescription != tt.sentence || body.Error == "" {
				t.Errorf("body %s\nwant %s, %q", w.Body, tt.code, tt.sentence)
			}
		})
	}
}

// TestTokenEndpointTells: the caller of the request becomes who logged in.
func TestTokenEndpointTells(t *testing.T) {
	t.Parallel()
	h := newTokenHost(t)
	ctx := callerContext(t.Context())
	r := httptest.NewRequestWithContext(ctx, http.MethodGet, "/token", nil)
	r.Header.Set("Authorization", basic("x:"+h.plain))
	h.handler.ServeHTTP(httptest.NewRecorder(), r)
	c := registry.CallerOf(ctx)
	if id, _ := c.Identity.(*Identity); c.Principal != "user:alice" || c.Token != "aaaaaaaaaaaa" || id == nil || id.Name != "alice" {
		t.Errorf("caller is %+v", c)
	}
}

// TestTokenEndpointWorkload: a CI job's token gets what its rule allows, for as
// long as its token lives.
func TestTokenEndpointWorkload(t *testing.T) {
	t.Parallel()
	h := newTokenHost(t)
	var trust int64
	h.change(func(ctx context.Context, tx *meta.Tx) (err error) {
		trust, err = tx.AddTrust(ctx, meta.Trust{Name: "release", Issuer: "https://ci.example", Claims: map[string]string{"repository_id": "1"}, Role: "publisher", Repositories: "acme/**"})
		return err
	})
	job := h.token(meta.Token{ID: "cccccccccccc", Trust: trust, Subject: "https://ci.example repo:acme/app", Expires: h.now().Add(15 * time.Minute)})
	_, a := h.get("service=h&offline_token=true&scope=repository:acme/app:pull,push&scope=repository:other/x:push", basic("x:"+job))
	id, err := h.bare(a.Token)
	if err != nil {
		t.Fatal(err)
	}
	if id.String() != "workload:release" || id.ID != trust || id.Token != "cccccccccccc" || id.Subject != "https://ci.example repo:acme/app" || granted(id) != "acme/app:pull,push:7.1:1234" {
		t.Errorf("token of %+v for %q", id, granted(id))
	}
	if a.RefreshToken != job {
		t.Errorf("refresh token %q, want the job's own", a.RefreshToken)
	}
	h.change(func(ctx context.Context, tx *meta.Tx) error { return tx.RemoveTrust(ctx, trust) })
	for name, text := range map[string]string{"token": job, "jwt": a.Token} {
		if _, err := h.bare(text); err == nil {
			t.Errorf("the %s works without its rule", name)
		}
	}
}
