package oidc

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/packhouse/packhouse/registry"
	"github.com/packhouse/packhouse/registry/auth"
	"github.com/packhouse/packhouse/storage/meta"
)

// owner says whose a token is.
func (w *world) owner(secret string) string {
	w.t.Helper()
	id, err := w.auth.Authenticate(w.t.Context(), auth.Credential{Secret: secret, Bare: true}, "192.0.2.7")
	if err != nil {
		w.t.Fatal(err)
	}
	return id.String()
}

func TestPasswordLogin(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.addUser("alice")
	p := w.begin()
	if got := w.state(p); got != "waiting" {
		t.Errorf("before: %s", got)
	}
	b := w.browser()
	form := url.Values{"token": {b.open(p.ID)}, "user": {"alice"}, "password": {secretWord}}
	res, body := b.send(http.MethodPost, "/-/login/"+p.ID, form)
	if res.StatusCode != http.StatusOK {
		t.Fatalf("%d: %s", res.StatusCode, body)
	}
	golden(t, "done.html", body)
	if res, _ := b.send(http.MethodPost, "/-/login/"+p.ID, form); res.StatusCode != http.StatusForbidden {
		t.Errorf("sent again: %d", res.StatusCode)
	}
	for _, secret := range []string{"", "x", p.Secret + "x", p.Secret[1:], strings.ToLower(p.Secret), p.ID, string(hash(p.Secret))} {
		if got := w.stateBy(p.ID, secret); got != "over" {
			t.Errorf("with the secret %q: %s", secret, got)
		}
	}
	if got := w.stateBy("none", p.Secret); got != "over" {
		t.Errorf("with another id: %s", got)
	}
	if got := w.state(p); got != "user:alice" {
		t.Errorf("after: %s", got)
	}
	if got := w.state(p); got != "over" {
		t.Errorf("a second time: %s", got)
	}
}

// TestLoginEnds: what was approved is good for as long as it is nobody else's.
func TestLoginEnds(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(w *world, id int64){
		"expired": func(w *world, _ int64) { w.clock.pass(pendingTTL) },
		"disabled": func(w *world, id int64) {
			w.change(func(ctx context.Context, tx *meta.Tx) error { return tx.SetDisabled(ctx, id, true) })
		},
		"deleted": func(w *world, id int64) {
			w.change(func(ctx context.Context, tx *meta.Tx) error { return tx.DeletePrincipal(ctx, id) })
		},
		"new epoch": func(w *world, id int64) {
			w.change(func(ctx context.Context, tx *meta.Tx) error { return tx.SetPassword(ctx, id, "", false) })
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			id := w.addUser("alice")
			p := w.begin()
			b := w.browser()
			res, _ := b.send(http.MethodPost, "/-/login/"+p.ID, url.Values{"token": {b.open(p.ID)}, "user": {"alice"}, "password": {secretWord}})
			if res.StatusCode != http.StatusOK {
				t.Fatal(res.StatusCode)
			}
			change(w, id)
			if got := w.state(p); got != "over" {
				t.Errorf("state: %s", got)
			}
		})
	}
}

// TestRefusedForms: another site, another browser, another log-in, a wrong
// password, a token.
func TestRefusedForms(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	alice := w.addUser("alice")
	minted, err := w.auth.Mint(w.caller(), auth.MintParams{Principal: alice, Name: "narrow", Scope: []auth.Scope{{Repositories: "acme/x", Role: "reader"}}})
	if err != nil {
		t.Fatal(err)
	}
	other := w.begin()
	tests := []struct {
		name   string
		change func(b *browser, form url.Values)
		status int
		words  string
	}{
		{"wrong password", func(_ *browser, f url.Values) { f.Set("password", "wrong") }, 403, "is wrong"},
		{"unknown user", func(_ *browser, f url.Values) { f.Set("user", "bob") }, 403, "is wrong"},
		{"no password", func(_ *browser, f url.Values) { f.Del("password") }, 403, ""},
		{"a token as the password", func(_ *browser, f url.Values) { f.Set("password", minted.Secret) }, 403, "a token is not taken here"},
		{"a token as the user", func(_ *browser, f url.Values) { f.Set("user", minted.Secret); f.Set("password", "") }, 403, ""},
		{"no form token", func(_ *browser, f url.Values) { f.Del("token") }, 403, "was not sent by the page"},
		{"form token of another log-in", func(b *browser, f url.Values) { f.Set("token", b.open(other.ID)) }, 403, "was not sent by the page"},
		{"form token of another browser", func(b *browser, f url.Values) { f.Set("token", b.w.browser().open(other.ID)) }, 403, "was not sent by the page"},
		{"no cookie", func(b *browser, _ url.Values) { clear(b.cookies) }, 403, "was not sent by the page"},
		{"empty cookie", func(b *browser, _ url.Values) { b.cookies[secureCookie] = "" }, 403, "was not sent by the page"},
		{"cookie by its other name", func(b *browser, _ url.Values) { b.cookies = map[string]string{plainCookie: b.cookies[secureCookie]} }, 403, "was not sent by the page"},
		{"cross-site", func(b *browser, _ url.Values) { b.header.Set("Sec-Fetch-Site", "cross-site") }, 403, "was not sent by the page"},
		{"same-site", func(b *browser, _ url.Values) { b.header.Set("Sec-Fetch-Site", "same-site") }, 403, "was not sent by the page"},
		{"another origin", func(b *browser, _ url.Values) { b.header.Set("Origin", "https://evil.example") }, 403, "was not sent by the page"},
		{"origin null", func(b *browser, _ url.Values) { b.header.Set("Origin", "null") }, 403, "was not sent by the page"},
		{"origin longer", func(b *browser, _ url.Values) { b.header.Set("Origin", home+".evil.example") }, 403, "was not sent by the page"},
		{"form too long", func(_ *browser, f url.Values) { f.Set("x", strings.Repeat("x", 70<<10)) }, 400, "cannot be read"},
	}
	for _, tt := range tests {
		p := w.begin()
		b := w.browser()
		form := url.Values{"token": {b.open(p.ID)}, "user": {"alice"}, "password": {secretWord}}
		tt.change(b, form)
		res, body := b.send(http.MethodPost, "/-/login/"+p.ID, form)
		if res.StatusCode != tt.status || !strings.Contains(body, tt.words) {
			t.Errorf("%s: %d, want %d and %q:\n%s", tt.name, res.StatusCode, tt.status, tt.words, body)
		}
		if strings.Contains(body, secretWord) || strings.Contains(body, minted.Secret) {
			t.Errorf("%s: the page shows the secret that was typed", tt.name)
		}
		if got := w.state(p); got != "waiting" {
			t.Errorf("%s: the log-in is %s", tt.name, got)
		}
		if err := w.store.Update(t.Context(), meta.Options{Unaudited: true}, func(ctx context.Context, tx *meta.Tx) error { return tx.RemoveLogin(ctx, p.ID) }); err != nil {
			t.Fatal(err)
		}
	}
}

// TestPage fixes what the page is and what a browser lets it do.
func TestPage(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(c *Config) {
		c.People = Provider{Issuer: "https://id.example.com/realms/acme", ClientID: "packhouse"}
	})
	p, err := w.Begin(t.Context(), `<script>alert(1)</script>"'&`+"\x00\n\u202e"+strings.Repeat("x", 200), "192.0.2.7")
	if err != nil {
		t.Fatal(err)
	}
	b := w.browser()
	res, body := b.get("/-/login/" + p.ID)
	shown := strings.ReplaceAll(body, p.ID, "LOGIN")
	shown = regexp.MustCompile(`[0-9a-f]{64}`).ReplaceAllString(shown, "TOKEN")
	golden(t, "page.html", shown)
	style := regexp.MustCompile(`(?s)<style>(.*)</style>`).FindStringSubmatch(body)
	if style == nil {
		t.Fatal("no style")
	}
	sum := sha256.Sum256([]byte(style[1]))
	want := http.Header{
		"Content-Security-Policy": {"default-src 'none'; style-src 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"},
		"X-Frame-Options":         {"DENY"}, "X-Content-Type-Options": {"nosniff"}, "Referrer-Policy": {"same-origin"}, "Cache-Control": {"no-store"},
		"Content-Type": {"text/html; charset=utf-8"},
	}
	for name, values := range want {
		if got := res.Header.Get(name); got != values[0] {
			t.Errorf("%s: %s, want %s", name, got, values[0])
		}
	}
	cookie := res.Header.Get("Set-Cookie")
	for _, part := range []string{"__Host-packhouse-login=", "; Path=/;", "; HttpOnly", "; Secure", "; SameSite=Lax", "; Max-Age=600"} {
		if !strings.Contains(cookie, part) {
			t.Errorf("cookie %s has no %q", cookie, part)
		}
	}
	for _, what := range []string{"<script", "javascript:", "onload", "style=\"", "\u202e"} {
		if strings.Contains(body, what) {
			t.Errorf("the page has %q", what)
		}
	}
	if res, _ := b.get("/-/login/" + p.ID); res.Header.Get("Set-Cookie") != "" {
		t.Error("a browser that has a cookie got another")
	}
	res, body = b.get("/-/login/" + random(16))
	if res.StatusCode != http.StatusForbidden {
		t.Errorf("unknown log-in: %d", res.StatusCode)
	}
	golden(t, "over.html", body)
	if res, body := w.do(w.request(http.MethodHead, "/-/login/"+p.ID, "")); res.StatusCode != http.StatusOK || body != "" {
		t.Errorf("HEAD: %d", res.StatusCode)
	}
}

func TestPlainCookie(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(c *Config) { c.Base = func(*http.Request) string { return "http://127.0.0.1:5000" } })
	res, body := w.browser().get("/-/login/" + w.begin().ID)
	if c := res.Header.Get("Set-Cookie"); !strings.HasPrefix(c, "packhouse-login=") || strings.Contains(c, "Secure") {
		t.Errorf("cookie: %s", c)
	}
	if strings.Contains(body, "/provider") {
		t.Error("a button for a provider that is not there")
	}
	if res, _ := w.browser().get("/-/login/" + w.begin().ID + "/provider?token=x"); res.StatusCode != http.StatusNotFound {
		t.Errorf("no provider: %d", res.StatusCode)
	}
	if res, _ := w.browser().get("/-/login/callback?state=x&code=y"); res.StatusCode != http.StatusForbidden {
		t.Errorf("callback without a provider: %d", res.StatusCode)
	}
}

// TestClientLogin is what a client without a protocol of its own does.
func TestClientLogin(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.addUser("alice")
	res, body := w.post("/-/login", "application/json", `{"client":"packhouse 1.4"}`)
	var begun struct {
		Page    string    `json:"login_url"`
		Done    string    `json:"done_url"`
		Secret  string    `json:"secret"`
		Expires time.Time `json:"expires_at"`
	}
	if err := json.Unmarshal([]byte(body), &begun); err != nil || res.StatusCode != http.StatusCreated {
		t.Fatalf("%d %v: %s", res.StatusCode, err, body)
	}
	if begun.Done != begun.Page+"/done" || !strings.HasPrefix(begun.Page, home+"/-/login/") || !begun.Expires.Equal(w.clock.now().Add(10*time.Minute)) {
		t.Errorf("begun: %s", body)
	}
	done := func(secret string) (int, string) {
		res, body := w.post(strings.TrimPrefix(begun.Done, home), "application/json", `{"secret":"`+secret+`"}`)
		return res.StatusCode, body
	}
	if status, body := done(begun.Secret); status != http.StatusAccepted || body != "{}\n" {
		t.Errorf("waiting: %d %s", status, body)
	}
	if status, _ := done("x"); status != http.StatusUnauthorized {
		t.Errorf("another secret: %d", status)
	}
	b, path := w.browser(), strings.TrimPrefix(begun.Page, home)
	res, page := b.send(http.MethodPost, path, url.Values{"token": {b.open(strings.TrimPrefix(path, "/-/login/"))}, "user": {"alice"}, "password": {secretWord}})
	if res.StatusCode != http.StatusOK || !strings.Contains(page, "packhouse 1.4 at 192.0.2.7 may act as alice now") {
		t.Fatalf("%d\n%s", res.StatusCode, page)
	}
	status, body := done(begun.Secret)
	var got struct{ Token string }
	if err := json.Unmarshal([]byte(body), &got); err != nil || status != http.StatusOK || w.owner(got.Token) != "user:alice" {
		t.Errorf("done: %d %s", status, body)
	}
	if status, _ := done(begun.Secret); status != http.StatusUnauthorized {
		t.Errorf("done again: %d", status)
	}
}

// TestManyLogins: nobody can fill the table.
func TestManyLogins(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	begin := func(address string) error {
		_, err := w.Begin(t.Context(), "npm", address)
		return err
	}
	for range maxPendingAddress {
		if err := begin("192.0.2.1"); err != nil {
			t.Fatal(err)
		}
	}
	if err := begin("192.0.2.1"); !errors.Is(err, registry.TooManyRequests) {
		t.Errorf("one more: %v", err)
	}
	if err := begin("192.0.2.2"); err != nil {
		t.Errorf("from another address: %v", err)
	}
	w.clock.pass(pendingTTL)
	if err := begin("192.0.2.1"); err != nil {
		t.Errorf("after they expired: %v", err)
	}
}
