package oidc

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/go-jose/go-jose/v4"
	"github.com/google/go-cmp/cmp"

	"github.com/packhouse/packhouse/registry/auth"
	"github.com/packhouse/packhouse/storage/meta"
)

const clientID = "packhouse"

// provider is the issuer as people log in by it. It checks what a strict one
// checks.
type provider struct {
	w        *world
	mu       sync.Mutex
	asked    url.Values // of the last authorization request
	who      payload    // claims of the ID token; iss, aud, exp, iat and nonce are added
	info     payload    // of the user info
	sign     func(c payload) string
	problems []string
}

func newPeople(t *testing.T, configure ...func(*Config)) (*world, *provider) {
	t.Helper()
	p := &provider{who: payload{"sub": "248289761001", "preferred_username": "jane", "name": "Jane Doe", "email": "jane@example.com", "groups": []string{"devs", "ops"}}}
	p.sign = func(c payload) string { return token(t, c) }
	var i *issuerServer
	w := newWorld(t, append([]func(*Config){func(c *Config) {
		i = newIssuerServer(t)
		c.People = Provider{Issuer: i.URL, ClientID: clientID, ClientSecret: "hush", GroupsClaim: "groups"}
	}}, configure...)...)
	w.issuer, p.w = i, w
	i.on("/token", p.token)
	i.on("/userinfo", func(w http.ResponseWriter, r *http.Request) {
		if p.info == nil || r.Header.Get("Authorization") != "Bearer access" {
			http.NotFound(w, r)
			return
		}
		writeDocument(w, p.info)
	})
	return w, p
}

func (p *provider) token(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	defer p.mu.Unlock()
	_ = r.ParseForm()
	id, secret, _ := r.BasicAuth()
	sum := sha256.Sum256([]byte(r.PostForm.Get("code_verifier")))
	for what, bad := range map[string]bool{
		"client":       id != clientID || secret != "hush",
		"code":         r.PostForm.Get("code") != "code",
		"grant":        r.PostForm.Get("grant_type") != "authorization_code",
		"redirect_uri": r.PostForm.Get("redirect_uri") != home+"/-/login/callback",
		"verifier":     base64.RawURLEncoding.EncodeToString(sum[:]) != p.asked.Get("code_challenge"),
	} {
		if bad {
			p.problems = append(p.problems, what)
		}
	}
	if len(p.problems) > 0 {
		w.WriteHeader(http.StatusBadRequest)
		_, _ = w.Write([]byte(`{"error":"invalid_grant"}`))
		return
	}
	now := p.w.clock.now().Unix()
	claims := payload{"iss": p.w.issuer.URL, "aud": clientID, "exp": now + 300, "iat": now, "nonce": p.asked.Get("nonce")}
	maps.Copy(claims, p.who)
	writeDocument(w, map[string]any{"access_token": "access", "token_type": "Bearer", "id_token": p.sign(claims)})
}

// visit goes to the provider and returns the URL that it sends the browser
// back to.
func (p *provider) visit(b *browser, login Pending) string {
	p.w.t.Helper()
	res, body := b.get("/-/login/" + login.ID + "/provider?token=" + b.open(login.ID))
	to, err := url.Parse(res.Header.Get("Location"))
	if res.StatusCode != http.StatusSeeOther || err != nil {
		p.w.t.Fatalf("%d %v\n%s", res.StatusCode, err, body)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.asked = to.Query()
	if got := to.Scheme + "://" + to.Host + to.Path; got != p.w.issuer.URL+"/authorize" {
		p.w.t.Errorf("the browser is sent to %s", got)
	}
	want := url.Values{"client_id": {clientID}, "response_type": {"code"}, "redirect_uri": {home + "/-/login/callback"}, "scope": {"openid profile email"}, "code_challenge_method": {"S256"}}
	got := url.Values{}
	for name := range want {
		got[name] = p.asked[name]
	}
	if diff := cmp.Diff(want, got); diff != "" || len(p.asked.Get("state")) < 43 || len(p.asked.Get("nonce")) < 43 {
		p.w.t.Errorf("authorization request (-want +got):\n%s%v", diff, p.asked)
	}
	return "/-/login/callback?" + url.Values{"code": {"code"}, "state": {p.asked.Get("state")}, "iss": {p.w.issuer.URL}}.Encode()
}

// login logs somebody in and says what came of it, or what the page said.
func (p *provider) login() string {
	p.w.t.Helper()
	login, b := p.w.begin(), p.w.browser()
	back := p.visit(b, login)
	b.header.Set("Sec-Fetch-Site", "cross-site") // as browsers say of that way back
	res, body := b.get(back)
	state := p.w.state(login)
	if res.StatusCode == http.StatusOK {
		return state
	}
	if state != "waiting" {
		p.w.t.Errorf("the page said %d, the log-in is %s", res.StatusCode, state)
	}
	_, said, _ := strings.Cut(body, `role="alert">`)
	said, _, _ = strings.Cut(said, "<")
	return fmt.Sprintf("%d %s", res.StatusCode, said)
}

// people shows the users and who is in which group.
func (w *world) people() []string {
	w.t.Helper()
	rows, err := w.store.AccessRows(w.t.Context())
	if err != nil {
		w.t.Fatal(err)
	}
	groups, list := map[int64]string{}, []string{}
	for _, g := range rows.Groups {
		groups[g.ID] = g.Name
	}
	for _, p := range rows.Principals {
		var in []string
		for _, m := range rows.Members {
			if m.Principal == p.ID {
				in = append(in, groups[m.Group]+"/"+m.Source)
			}
		}
		external := strings.Replace(p.External, w.issuer.URL, "ISSUER", 1)
		list = append(list, fmt.Sprintf("%s %s %q <%s> %s [%s]", p.Source, p.Name, p.FullName, p.Email, external, strings.Join(in, " ")))
	}
	return list
}

func TestProviderLogin(t *testing.T) {
	t.Parallel()
	w, p := newPeople(t)
	want := func(what, state string, people ...string) {
		t.Helper()
		if got := p.login(); got != state {
			t.Errorf("%s: %s, want %s", what, got, state)
		}
		if diff := cmp.Diff(people, w.people()); diff != "" {
			t.Errorf("%s: people (-want +got):\n%s", what, diff)
		}
		if len(p.problems) > 0 {
			t.Errorf("%s: the provider objects to %v", what, p.problems)
		}
	}
	generation := func() int64 { return must(w.store.AccessGeneration(t.Context())) }
	const jane = `oidc jane "Jane Doe" <jane@example.com> ISSUER 248289761001 [devs/oidc ops/oidc]`
	want("first", "user:jane", jane)
	before := generation()
	want("again", "user:jane", jane)
	if after := generation(); after != before {
		t.Errorf("nothing changed, but the generation went from %d to %d", before, after)
	}

	// A local membership is not the provider's to end, and one of its groups is.
	w.change(func(ctx context.Context, tx *meta.Tx) error {
		id, err := tx.AddGroup(ctx, "guests", "")
		if err != nil {
			return err
		}
		who, err := tx.Principal(ctx, meta.KindUser, "jane")
		if err != nil {
			return err
		}
		_, err = tx.AddMember(ctx, meta.Member{Group: id, Principal: who.ID, Source: meta.SourceLocal})
		return err
	})
	p.who["groups"] = []string{"ops", "Not A Name", "ops"}
	want("fewer groups", "user:jane", `oidc jane "Jane Doe" <jane@example.com> ISSUER 248289761001 [ops/oidc guests/local]`)
	p.who["groups"] = "devs"
	want("one group", "user:jane", `oidc jane "Jane Doe" <jane@example.com> ISSUER 248289761001 [devs/oidc guests/local]`)
	delete(p.who, "groups")
	p.info = payload{"sub": "248289761001", "groups": []string{"ops"}, "preferred_username": "mallory"}
	want("groups of the user info", "user:jane", `oidc jane "Jane Doe" <jane@example.com> ISSUER 248289761001 [ops/oidc guests/local]`)
	p.info = nil
	p.who["groups"] = []string{}
	want("no groups", "user:jane", `oidc jane "Jane Doe" <jane@example.com> ISSUER 248289761001 [guests/local]`)

	// The name follows while it is free.
	p.who["preferred_username"], p.who["email"] = "jane.roe", "roe@example.com"
	renamed := `oidc jane.roe "Jane Doe" <roe@example.com> ISSUER 248289761001 [guests/local]`
	want("renamed", "user:jane.roe", renamed)
	w.addUser("alice")
	alice := `local alice "" <>  []`
	p.who["preferred_username"] = "alice"
	want("renamed to somebody else's", "user:jane.roe", renamed, alice)
	p.who["preferred_username"] = "Not A Name"
	want("renamed to no name", "user:jane.roe", renamed, alice)

	// Somebody else with that name is somebody else.
	p.who["sub"], p.who["preferred_username"] = "other", "alice"
	want("the name of a local user", `403 The provider calls you &#34;alice&#34;, but that is the name of another user here: have the administrator delete that user, or have the provider give you another name.`, renamed, alice)
	p.who["preferred_username"] = "jane.roe"
	want("the name of another of the provider's", `403 The provider calls you &#34;jane.roe&#34;, but that is the name of another user here: have the administrator delete that user, or have the provider give you another name.`, renamed, alice)
	p.who["preferred_username"] = "anonymous"
	want("a name that means something else", `403 The provider calls you &#34;anonymous&#34; in the claim preferred_username, which cannot be a user&#39;s name here: have oidc.name_claim name another claim.`, renamed, alice)
	p.who["preferred_username"] = 7
	want("a name that is none", `403 The provider calls you &#34;&#34; in the claim preferred_username, which cannot be a user&#39;s name here: have oidc.name_claim name another claim.`, renamed, alice)
	p.who["preferred_username"], p.who["groups"] = "bob", payload{"a": 1}
	want("groups that are none", `403 The provider&#39;s claim groups is no list of groups: have oidc.groups_claim name another claim.`, renamed, alice)
	many := make([]string, 501)
	for i := range many {
		many[i] = fmt.Sprint("g", i)
	}
	p.who["groups"] = many
	want("groups without end", `403 The provider names 501 groups, more than the 500 that are kept: have it name fewer to this registry.`, renamed, alice)

	p.who = payload{"sub": "248289761001", "preferred_username": "jane.roe", "groups": []string{}}
	w.change(func(ctx context.Context, tx *meta.Tx) error {
		who, err := tx.Principal(ctx, meta.KindUser, "jane.roe")
		if err != nil {
			return err
		}
		return tx.SetDisabled(ctx, who.ID, true)
	})
	want("disabled", `403 User jane.roe is disabled: ask an administrator.`, renamed, alice)
}

// TestAudited: who was made and changed by the provider's word stands in the
// audit, with whose word it was.
func TestAudited(t *testing.T) {
	t.Parallel()
	w, p := newPeople(t)
	p.login()
	var got []string
	for _, r := range auditRows(t, w) {
		got = append(got, r.Action+" "+r.Principal+" "+strings.Replace(r.Subject, w.issuer.URL, "ISSUER", 1)+" "+r.Address+" "+r.Detail)
	}
	want := []string{
		`group.create user:jane ISSUER 248289761001 192.0.2.7 {"group":"devs","source":"oidc"}`,
		`group.create user:jane ISSUER 248289761001 192.0.2.7 {"group":"ops","source":"oidc"}`,
		`user.create user:jane ISSUER 248289761001 192.0.2.7 {"source":"oidc","user":"jane"}`,
	}
	if len(got) > 3 {
		got = got[:3] // the token's is not ours
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("audit (-want +got):\n%s", diff)
	}
}

// TestRefusedAnswers: what comes back from the provider must fit what was
// sent, and the browser that went.
func TestRefusedAnswers(t *testing.T) {
	t.Parallel()
	w, p := newPeople(t)
	edit := func(back string, name, value string) string {
		u := must(url.Parse(back))
		q := u.Query()
		if q.Set(name, value); value == "" {
			q.Del(name)
		}
		u.RawQuery = q.Encode()
		return u.String()
	}
	good := func(c payload) string { return token(t, c) }
	changed := func(pairs ...any) func(payload) string {
		return func(c payload) string { return token(t, c.with(pairs...)) }
	}
	tests := []struct {
		name  string
		sign  func(payload) string
		back  func(b *browser, back string) string
		words string
	}{
		{"good", nil, nil, ""},
		{"no state", nil, func(_ *browser, s string) string { return edit(s, "state", "") }, "is over"},
		{"another state", nil, func(_ *browser, s string) string { return edit(s, "state", random(32)) }, "is over"},
		{"no cookie", nil, func(b *browser, s string) string { clear(b.cookies); return s }, "not the browser"},
		{"another browser", nil, func(b *browser, s string) string { b.cookies[secureCookie] = random(32); return s }, "not the browser"},
		{"no code", nil, func(_ *browser, s string) string { return edit(s, "code", "") }, "does not take its own code"},
		{"another code", nil, func(_ *browser, s string) string { return edit(s, "code", "stolen") }, "does not take its own code"},
		{"another issuer", nil, func(_ *browser, s string) string { return edit(s, "iss", "https://other.example") }, "not of the provider"},
		{"an error", nil, func(_ *browser, s string) string { return edit(s, "error", "access_denied<script>") }, "access_denied&lt;script&gt;"},
		{"another verifier", nil, func(_ *browser, s string) string {
			p.asked.Set("code_challenge", random(32))
			return s
		}, "does not take its own code"},
		{"nonce of another", changed("nonce", random(32)), nil, "made for another log-in"},
		{"no nonce", changed("nonce", nil), nil, "made for another log-in"},
		{"nonce a number", changed("nonce", 1), nil, "malformed"},
		{"aud another", changed("aud", "other"), nil, "not for this registry"},
		{"aud several without azp", changed("aud", []string{clientID, "other"}), nil, "another party"},
		{"aud several", changed("aud", []string{clientID, "other"}, "azp", clientID), nil, ""},
		{"azp another", changed("azp", "other"), nil, "another party"},
		{"iss another", changed("iss", "https://other.example"), nil, "another issuer"},
		{"expired", changed("exp", 1, "iat", 0), nil, "expired"},
		{"no sub", changed("sub", nil), nil, "whom it is about"},
		{"another key", func(c payload) string { return sign(t, jose.RS256, otherKey(), "rsa", c) }, nil, "not signed by its issuer"},
		{"HS256 with the client's secret", func(c payload) string { return sign(t, jose.HS256, []byte(strings.Repeat("hush", 8)), "", c) }, nil, "not signed in a way"},
		{"no ID token", func(payload) string { return "" }, nil, "no ID token"},
	}
	for _, tt := range tests {
		p.sign, p.problems = good, nil
		if tt.sign != nil {
			p.sign = tt.sign
		}
		login, b := w.begin(), w.browser()
		back := p.visit(b, login)
		if tt.back != nil {
			back = tt.back(b, back)
		}
		res, body := b.get(back)
		state := w.state(login)
		if tt.words == "" {
			if res.StatusCode != http.StatusOK || state != "user:jane" {
				t.Errorf("%s: %d, the log-in is %s\n%s", tt.name, res.StatusCode, state, body)
			}
			continue
		}
		if res.StatusCode != http.StatusForbidden || !strings.Contains(body, tt.words) || state != "waiting" {
			t.Errorf("%s: %d, the log-in is %s, want 403 and %q\n%s", tt.name, res.StatusCode, state, tt.words, body)
		}
		// A state is good once, whatever came of it.
		b.cookies = map[string]string{secureCookie: b.cookies[secureCookie]}
		if res, _ := b.get(back); res.StatusCode != http.StatusForbidden {
			t.Errorf("%s: a second time: %d", tt.name, res.StatusCode)
		}
		if err := w.store.Update(t.Context(), meta.Options{Unaudited: true}, func(ctx context.Context, tx *meta.Tx) error { return tx.RemoveLogin(ctx, login.ID) }); err != nil {
			t.Fatal(err)
		}
	}
}

// TestUserInfo: it must be about the same person.
func TestUserInfo(t *testing.T) {
	t.Parallel()
	_, p := newPeople(t)
	p.who = payload{"sub": "1"}
	p.info = payload{"sub": "2", "preferred_username": "mallory"}
	if got := p.login(); !strings.Contains(got, "about somebody else") {
		t.Errorf("of another: %s", got)
	}
	p.info = payload{"sub": "1", "preferred_username": "jane"}
	if got := p.login(); got != "user:jane" {
		t.Errorf("of the same: %s", got)
	}
}

// TestProviderAway: a password still does, and the page says so.
func TestProviderAway(t *testing.T) {
	t.Parallel()
	w, _ := newPeople(t)
	w.issuer.on("/.well-known/openid-configuration", http.NotFound)
	w.addUser("alice")
	login, b := w.begin(), w.browser()
	form := b.open(login.ID)
	res, body := b.get("/-/login/" + login.ID + "/provider?token=" + form)
	if res.StatusCode != http.StatusServiceUnavailable || !strings.Contains(body, "use a password") || strings.Contains(body, "127.0.0.1") {
		t.Errorf("%d\n%s", res.StatusCode, body)
	}
	if res, _ := b.get("/-/login/" + login.ID + "/provider?token=x"); res.StatusCode != http.StatusForbidden {
		t.Errorf("without the page's token: %d", res.StatusCode)
	}
	if res, _ := b.send(http.MethodPost, "/-/login/"+login.ID, url.Values{"token": {form}, "user": {"alice"}, "password": {secretWord}}); res.StatusCode != http.StatusOK {
		t.Errorf("by password: %d", res.StatusCode)
	}
	if got := w.state(login); got != auth.User.String()+":alice" {
		t.Errorf("state: %s", got)
	}
}

// TestSealed: what lies in the row is of no use to who reads it.
func TestSealed(t *testing.T) {
	t.Parallel()
	w, p := newPeople(t)
	login, b := w.begin(), w.browser()
	p.visit(b, login)
	var sealed []byte
	err := w.store.Update(t.Context(), meta.Options{Unaudited: true}, func(ctx context.Context, tx *meta.Tx) (err error) {
		_, sealed, err = tx.TakeState(ctx, hash(p.asked.Get("state")))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, secret := range []string{p.asked.Get("nonce"), p.asked.Get("state"), b.cookies[secureCookie], "verifier"} {
		if strings.Contains(string(sealed), secret) || secret == "" {
			t.Errorf("%q can be read in the row", secret)
		}
	}
	plain, err := w.cfg.Seal.Open(sealPurpose, login.ID, sealed)
	var x sent
	if err != nil || json.Unmarshal(plain, &x) != nil || x.Nonce != p.asked.Get("nonce") {
		t.Errorf("opened: %v", err)
	}
	if _, err := w.cfg.Seal.Open(sealPurpose, w.begin().ID, sealed); err == nil {
		t.Error("it opens for another log-in")
	}
}

// auditRows are all records, the first one first.
func auditRows(t *testing.T, w *world) []meta.AuditRow {
	t.Helper()
	rows, err := w.store.Audit(t.Context(), meta.AuditFilter{Limit: 1000})
	if err != nil {
		t.Fatal(err)
	}
	slices.SortFunc(rows, func(a, b meta.AuditRow) int { return int(a.ID - b.ID) })
	return rows
}
