package oidc

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/google/go-cmp/cmp"

	"github.com/packhouse/packhouse/registry"
	"github.com/packhouse/packhouse/registry/auth"
	"github.com/packhouse/packhouse/storage/meta"
)

func removeTrust(w *world, name string) func(ctx context.Context, tx *meta.Tx) error {
	return func(ctx context.Context, tx *meta.Tx) error {
		r, err := tx.Trust(ctx, name)
		if err != nil {
			return err
		}
		return tx.RemoveTrust(ctx, r.ID)
	}
}

// gitlab are the claims of a job of GitLab.
func (w *world) gitlab() payload {
	now := w.clock.now().Unix()
	return payload{
		"iss": w.issuer.URL, "sub": "project_path:acme/widget:ref_type:branch:ref:main", "aud": audience, "exp": now + 3600, "iat": now, "nbf": now - 5, "jti": "6e3a",
		"namespace_id": "72", "namespace_path": "acme", "project_id": "20", "project_path": "acme/widget", "user_id": "1", "user_login": "alice", "pipeline_source": "push",
		"ref": "main", "ref_type": "branch", "ref_path": "refs/heads/main", "ref_protected": "true", "environment": "production", "deployment_tier": "production",
	}
}

func TestRules(t *testing.T) {
	t.Parallel()
	type claimed = map[string]string
	tests := []struct {
		name  string
		rules []meta.Trust
		job   func(w *world) payload
		want  Want
		rule  string // that the token is of; "" for none
		scope string // repositories that it is for
		code  registry.Code
	}{
		{"GitHub", []meta.Trust{githubRule}, (*world).github, Want{}, "widget", "acme/npm/widget", ""},
		{"GitHub, named", []meta.Trust{githubRule}, (*world).github, Want{Repository: "acme/npm/widget"}, "widget", "acme/npm/widget", ""},
		{"GitHub, another named", []meta.Trust{githubRule}, (*world).github, Want{Repository: "acme/npm/gadget"}, "", "", registry.Denied},
		{"GitHub, one below named", []meta.Trust{githubRule}, (*world).github, Want{Repository: "acme/npm/widget/x"}, "", "", registry.Denied},
		{
			"GitLab",
			[]meta.Trust{{Name: "lab", Repositories: "acme/**", Claims: claimed{"project_id": "20", "namespace_id": "72", "ref_protected": "true"}}},
			(*world).gitlab,
			Want{},
			"lab", "acme/**", "",
		},
		{
			"narrowed to what is named",
			[]meta.Trust{{Name: "lab", Repositories: "acme/**", Claims: claimed{"project_id": "20"}}},
			(*world).gitlab,
			Want{Repository: "acme/pypi/widget"},
			"lab", "acme/pypi/widget", "",
		},
		{
			"outside of what the rule names",
			[]meta.Trust{{Name: "lab", Repositories: "acme/**", Claims: claimed{"project_id": "20"}}},
			(*world).gitlab,
			Want{Repository: "acmes/pypi/widget"},
			"", "", registry.Denied,
		},
		{
			"a boolean",
			[]meta.Trust{{Name: "b", Repositories: "**", Claims: claimed{"email_verified": "true"}}},
			func(w *world) payload { return w.github().with("email_verified", true) },
			Want{},
			"b", "**", "",
		},
		{
			"another boolean",
			[]meta.Trust{{Name: "b", Repositories: "**", Claims: claimed{"email_verified": "true"}}},
			func(w *world) payload { return w.github().with("email_verified", false) },
			Want{},
			"", "", registry.Denied,
		},
		{
			"subject with wildcards",
			[]meta.Trust{{Name: "s", Repositories: "a/b", Claims: claimed{"sub": "repo:acme/*:ref:refs/tags/*"}}},
			(*world).github,
			Want{},
			"s", "a/b", "",
		},
		{
			"subject of another owner",
			[]meta.Trust{{Name: "s", Repositories: "a/b", Claims: claimed{"sub": "repo:acme/*:ref:refs/tags/*"}}},
			func(w *world) payload { return w.github().with("sub", "repo:acme-evil/x:ref:refs/tags/v1") },
			Want{},
			"", "", registry.Denied,
		},
		{
			"subject that tries to leave its part",
			[]meta.Trust{{Name: "s", Repositories: "a/b", Claims: claimed{"sub": "repo:acme/*:ref:refs/tags/*"}}},
			func(w *world) payload { return w.github().with("sub", "repo:acme/x:environment:y:ref:refs/tags/v1") },
			Want{},
			"", "", registry.Denied,
		},
		{"a rule without claims", []meta.Trust{{Name: "open", Repositories: "**", Claims: claimed{}}}, (*world).github, Want{}, "", "", registry.Denied},
		{
			"the audience of the rule",
			[]meta.Trust{{Name: "a", Repositories: "**", Audience: "other", Claims: claimed{"repository_id": "74"}}},
			func(w *world) payload { return w.github().with("aud", "other") },
			Want{},
			"a", "**", "",
		},
		{
			"ours where the rule has its own",
			[]meta.Trust{{Name: "a", Repositories: "**", Audience: "other", Claims: claimed{"repository_id": "74"}}},
			(*world).github,
			Want{},
			"", "", registry.Unauthorized,
		},
		{"a list of one audience", []meta.Trust{githubRule}, func(w *world) payload { return w.github().with("aud", []string{audience}) }, Want{}, "widget", "acme/npm/widget", ""},
		{
			"npm's audience",
			[]meta.Trust{githubRule},
			func(w *world) payload { return w.github().with("aud", "npm:"+audience) },
			Want{Repository: "acme/npm/widget", Audiences: []string{"npm:" + audience}},
			"widget", "acme/npm/widget", "",
		},
		{"npm's audience elsewhere", []meta.Trust{githubRule}, func(w *world) payload { return w.github().with("aud", "npm:"+audience) }, Want{}, "", "", registry.Unauthorized},
		{
			"an audience that the request makes up",
			[]meta.Trust{githubRule},
			func(w *world) payload { return w.github().with("aud", "npm:other.example") },
			Want{Audiences: []string{"npm:other.example", "other.example"}},
			"", "", registry.Unauthorized,
		},
		{"our azp", []meta.Trust{githubRule}, func(w *world) payload { return w.github().with("azp", audience) }, Want{}, "widget", "acme/npm/widget", ""},
		{
			"an azp that the rule names",
			[]meta.Trust{{Name: "z", Repositories: "a", Claims: claimed{"azp": "10423"}}},
			func(w *world) payload { return w.github().with("azp", "10423") },
			Want{},
			"z", "a", "",
		},
		{
			"several that fit",
			[]meta.Trust{githubRule, {Name: "two", Repositories: "acme/pypi/widget", Claims: claimed{"repository_id": "74"}}},
			(*world).github,
			Want{},
			"", "", registry.ParameterInvalid,
		},
		{
			"the one of several that covers",
			[]meta.Trust{githubRule, {Name: "two", Repositories: "acme/pypi/widget", Claims: claimed{"repository_id": "74"}}},
			(*world).github,
			Want{Repository: "acme/pypi/widget"},
			"two", "acme/pypi/widget", "",
		},
		{
			"the one of several that may most", []meta.Trust{
				{Name: "reads", Role: "reader", Repositories: "**", Claims: claimed{"repository_id": "74"}},
				{Name: "maintains", Role: "maintainer", Repositories: "acme/**", Claims: claimed{"repository_id": "74"}},
				githubRule,
			}, (*world).github, Want{Repository: "acme/npm/widget"}, "maintains", "acme/npm/widget", "",
		},
		{"no nbf", []meta.Trust{githubRule}, func(w *world) payload { return w.github().with("nbf", nil) }, Want{}, "widget", "acme/npm/widget", ""},
		{"a clock that is ahead", []meta.Trust{githubRule}, func(w *world) payload {
			return w.github().with("iat", w.clock.now().Unix()+30, "nbf", w.clock.now().Unix()+30)
		}, Want{}, "widget", "acme/npm/widget", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			for _, r := range tt.rules {
				w.trust(r)
			}
			job := tt.job(w)
			m, err := w.Exchange(w.caller(), token(t, job), tt.want, "192.0.2.7")
			if tt.rule == "" {
				if !errors.Is(err, tt.code) || m.Secret != "" {
					t.Errorf("Exchange: %v, want %s", err, tt.code)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			hash, ok := auth.ParseTokenText(m.Secret)
			if !ok {
				t.Fatalf("%q is no token", m.Secret)
			}
			row, err := w.store.TokenByHash(t.Context(), hash[:])
			if err != nil {
				t.Fatal(err)
			}
			rule, err := w.store.TrustByID(t.Context(), row.Trust)
			if err != nil {
				t.Fatal(err)
			}
			type minted struct{ Rule, Scope, Subject string }
			want := minted{tt.rule, `[{"repositories":"` + tt.scope + `","role":"` + rule.Role + `"}]`, w.issuer.URL + " " + job["sub"].(string)}
			if diff := cmp.Diff(want, minted{rule.Name, row.Scope, row.Subject}); diff != "" {
				t.Errorf("token (-want +got):\n%s", diff)
			}
			if life := m.Expires.Sub(w.clock.now()); life <= 0 || life > 15*time.Minute {
				t.Errorf("it lasts %s, want 15 minutes at most", life)
			}
			id, err := w.auth.Authenticate(t.Context(), auth.Credential{Secret: m.Secret, Bare: true}, "192.0.2.7")
			if err != nil || id.Kind != auth.Workload || id.Name != tt.rule {
				t.Fatalf("the token is of %v, %v", id, err)
			}
			if !w.auth.Policy().May(id, registry.Read, registry.Repo(strings.TrimSuffix(tt.scope, "/**"))) && tt.scope != "**" {
				t.Errorf("the token may not read %s", tt.scope)
			}
			if w.auth.Policy().May(id, registry.Create, "elsewhere/npm/widget") != (tt.scope == "**") {
				t.Error("the token may publish elsewhere")
			}
		})
	}
}

// TestAlgorithms signs with each kind of key.
func TestAlgorithms(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.trust(githubRule)
	for _, tt := range []struct {
		alg jose.SignatureAlgorithm
		key any
		kid string
	}{{jose.RS256, rsaKey(), "rsa"}, {jose.ES256, ecKey(), "ec"}, {jose.EdDSA, edwardsKey(), "ed"}, {jose.ES256, ecKey(), ""}, {jose.EdDSA, edwardsKey(), ""}} {
		if _, err := w.Exchange(w.caller(), sign(t, tt.alg, tt.key, tt.kid, w.github()), Want{}, ""); err != nil {
			t.Errorf("%s, kid %q: %v", tt.alg, tt.kid, err)
		}
	}
}

// TestReplay: the same ID token is exchanged again while it is valid, and not
// after.
func TestReplay(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.trust(githubRule)
	id := token(t, w.github())
	first, err := w.Exchange(w.caller(), id, Want{}, "")
	if err != nil {
		t.Fatal(err)
	}
	w.clock.pass(4 * time.Minute)
	second, err := w.Exchange(w.caller(), id, Want{}, "")
	if err != nil || second.Secret == first.Secret {
		t.Errorf("second exchange: %v, the same token %v", err, second.Secret == first.Secret)
	}
	w.clock.pass(time.Minute)
	if _, err := w.Exchange(w.caller(), id, Want{}, ""); !errors.Is(err, registry.Unauthorized) {
		t.Errorf("exchange of an expired token: %v", err)
	}
}

func TestNoAudience(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(c *Config) { c.External = "" })
	w.trust(githubRule)
	_, err := w.Exchange(w.caller(), token(t, w.github()), Want{Audiences: []string{audience, "npm:" + audience}}, "")
	if !errors.Is(err, registry.Unauthorized) || !strings.Contains(err.Error(), "external_url") {
		t.Errorf("Exchange without a name: %v", err)
	}
	w.change(removeTrust(w, githubRule.Name))
	rule := githubRule
	rule.Audience = "mine"
	w.trust(rule)
	if _, err := w.Exchange(w.caller(), token(t, w.github().with("aud", "mine")), Want{}, ""); err != nil {
		t.Errorf("Exchange for the rule's audience: %v", err)
	}
}

// TestTokenEndpoint covers the ways of asking, and what is answered.
func TestTokenEndpoint(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.trust(githubRule)
	id := token(t, w.github())
	for _, tt := range []struct {
		name, contentType, body, bearer string
		status                          int
		message                         string // "" for a token
	}{
		{"JSON", "application/json", `{"token":"` + id + `"}`, "", 200, ""},
		{"JSON with a repository", "application/json", `{"token":"` + id + `","repository":"acme/npm/widget"}`, "", 200, ""},
		{"form", "application/x-www-form-urlencoded", "token=" + id + "&repository=acme%2Fnpm%2Fwidget", "", 200, ""},
		{"Bearer", "", "", id, 200, ""},
		{"Bearer and JSON", "application/json", `{"repository":"acme/npm/widget"}`, id, 200, ""},
		{"another repository", "application/json", `{"token":"` + id + `","repository":"acme/npm/gadget"}`, "", 403, "no trust rule lets this job use acme/npm/gadget"},
		{"no repository name", "application/json", `{"token":"` + id + `","repository":"Acme//"}`, "", 400, "repository name"},
		{"nothing", "", "", "", 400, "no ID token was sent"},
		{"no JSON", "application/json", `token`, "", 400, "cannot be read"},
		{"no token", "application/json", `{"token":"x"}`, "", 401, "the ID token is not valid"},
		{"long", "application/json", `{"token":"` + strings.Repeat("x", 70<<10) + `"}`, "", 413, "longer than 64 KiB"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r := w.request(http.MethodPost, "/-/oidc/token", tt.body)
			r.Header.Set("Content-Type", tt.contentType)
			if tt.bearer != "" {
				r.Header.Set("Authorization", "Bearer "+tt.bearer)
			}
			res, body := w.do(r)
			if res.StatusCode != tt.status || res.Header.Get("Cache-Control") != "no-store" {
				t.Errorf("%d, Cache-Control %q, want %d: %s", res.StatusCode, res.Header.Get("Cache-Control"), tt.status, body)
			}
			var got struct {
				Token   string    `json:"token"`
				Expires time.Time `json:"expires_at"`
				Message string    `json:"message"`
			}
			if err := json.Unmarshal([]byte(body), &got); err != nil {
				t.Fatal(err)
			}
			if tt.message == "" && (!strings.HasPrefix(got.Token, auth.TokenPrefix) || !got.Expires.After(w.clock.now())) || !strings.Contains(got.Message, tt.message) {
				t.Errorf("got %s, want %q", body, tt.message)
			}
		})
	}
}

// TestPyPI has the answers that twine and uv read.
func TestPyPI(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.trust(githubRule)
	res, got := w.do(w.request(http.MethodGet, "/_/oidc/audience", ""))
	if res.StatusCode != 200 || got != `{"audience":"packages.example.com"}`+"\n" {
		t.Errorf("audience: %d %s", res.StatusCode, got)
	}
	res, body := w.post("/_/oidc/mint-token", "application/json", `{"token":"`+token(t, w.github())+`"}`)
	var minted struct {
		Success bool   `json:"success"`
		Token   string `json:"token"`
		Expires int64  `json:"expires"`
	}
	if err := json.Unmarshal([]byte(body), &minted); err != nil || res.StatusCode != 200 {
		t.Fatalf("%d %v: %s", res.StatusCode, err, body)
	}
	if !minted.Success || !strings.HasPrefix(minted.Token, auth.TokenPrefix) || minted.Expires != w.clock.now().Add(15*time.Minute).Unix() {
		t.Errorf("minted: %s", body)
	}
	for _, tt := range []struct{ name, body, want string }{
		{"payload", `{}`, `{"message":"Token request failed","errors":[{"code":"invalid-payload","description":"the request body is not {\"token\":\"…\"}"}]}`},
		{"no JSON", `x`, `{"message":"Token request failed","errors":[{"code":"invalid-payload","description":"the request body is not {\"token\":\"…\"}"}]}`},
		{"a number", `{"token":1}`, `{"message":"Token request failed","errors":[{"code":"invalid-payload","description":"the request body is not {\"token\":\"…\"}"}]}`},
		{"token", `{"token":"x"}`, `{"message":"Token request failed","errors":[{"code":"invalid-token","description":"the ID token is not valid: it is not a JSON Web Token"}]}`},
		{
			"publisher", `{"token":"` + token(t, w.github().with("repository_id", "1")) + `"}`,
			`{"message":"Token request failed","errors":[{"code":"invalid-publisher","description":"no trust rule fits the claims of this ID token, whose subject is \"repo:acme/widget:ref:refs/tags/v1.2.3\": compare them with the rule's"}]}`,
		},
	} {
		res, body := w.post("/_/oidc/mint-token", "application/json", tt.body)
		if diff := cmp.Diff(tt.want+"\n", body); diff != "" || res.StatusCode != http.StatusUnprocessableEntity {
			t.Errorf("%s: %d (-want +got):\n%s", tt.name, res.StatusCode, diff)
		}
	}
}

// TestBurn: a job's token ends when it says so, and nobody else's does.
func TestBurn(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.trust(githubRule)
	job, err := w.Exchange(w.caller(), token(t, w.github()), Want{}, "")
	if err != nil {
		t.Fatal(err)
	}
	person, err := w.auth.Mint(w.caller(), auth.MintParams{Principal: w.addUser("alice"), Name: "laptop"})
	if err != nil {
		t.Fatal(err)
	}
	good := func(secret string) bool {
		_, err := w.auth.Authenticate(t.Context(), auth.Credential{Secret: secret, Bare: true}, "")
		return err == nil
	}
	for _, text := range []string{"", "x", job.ID, person.Secret, auth.NewTokenText(), job.Secret[:len(job.Secret)-1]} {
		if res, body := w.post("/_/oidc/burn-token", "application/json", `{"token":"`+text+`"}`); res.StatusCode != http.StatusAccepted || body != `{"message":"Accepted"}`+"\n" {
			t.Errorf("%q: %d %s", text, res.StatusCode, body)
		}
	}
	if !good(job.Secret) || !good(person.Secret) {
		t.Error("a token ended that nobody burnt")
	}
	for range 2 {
		if res, body := w.post("/_/oidc/burn-token", "application/json", `{"token":"`+job.Secret+`"}`); res.StatusCode != http.StatusAccepted {
			t.Errorf("%d %s", res.StatusCode, body)
		}
	}
	if good(job.Secret) || !good(person.Secret) {
		t.Error("the job's token goes on, or the person's does not")
	}
	rows := auditRows(t, w)
	if last := rows[len(rows)-1]; last.Action != "token.revoke" || last.Principal != "workload:widget" {
		t.Errorf("audit: %s by %s", last.Action, last.Principal)
	}
	if res, _ := w.post("/_/oidc/burn-token", "application/json", `x`); res.StatusCode != http.StatusBadRequest {
		t.Errorf("no JSON: %d", res.StatusCode)
	}
}

// TestPaths: what is spelled otherwise is not there.
func TestPaths(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, path := range []string{
		"/-/login//x", "/-//oidc/token", "/-/oidc/token/", "/-/oidc/./token", "/-/oidc/x/../token", "/-/oidc/%74oken", "/-/login/%2e%2e/oidc/token", "/-/LOGIN", "/_/oidc/mint-token%00", "/-/login/a/b/c", "/-/login/a;b/",
	} {
		for _, method := range []string{http.MethodGet, http.MethodPost} {
			r := w.request(method, "/", "")
			r.URL = must(url.Parse(path))
			if res, _ := w.do(r); res.StatusCode != http.StatusNotFound {
				t.Errorf("%s %s: %d, want 404", method, path, res.StatusCode)
			}
		}
	}
	for _, path := range []string{"/-/oidc/token", "/_/oidc/mint-token"} {
		if res, _ := w.do(w.request(http.MethodGet, path, "")); res.StatusCode != http.StatusMethodNotAllowed || res.Header.Get("Allow") != "POST" {
			t.Errorf("GET %s: %d, Allow %q", path, res.StatusCode, res.Header.Get("Allow"))
		}
	}
}
