package oidc

import (
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"strings"
	"testing"

	"github.com/go-jose/go-jose/v4"

	"github.com/packhouse/packhouse/registry"
	"github.com/packhouse/packhouse/storage/meta"
)

// TestForged shows tokens that are nearly good. None is exchanged, and none
// makes the server ask anybody but the issuer that the rule names.
func TestForged(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.trust(githubRule)
	elsewhere := newIssuerServer(t) // whoever is asked here was led astray
	good := w.github()
	now := w.clock.now().Unix()
	plain := func(c payload) string { return string(must(json.Marshal(c))) }
	public := must(x509.MarshalPKIXPublicKey(rsaKey().Public()))
	publicPEM := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: public})
	publicJWK := jose.JSONWebKey{Key: otherKey().Public(), KeyID: "rsa", Algorithm: "RS256"}
	part := base64.RawURLEncoding.EncodeToString
	bare := func(header string, c payload) string {
		return part([]byte(header)) + "." + part([]byte(plain(c))) + "."
	}
	rs := func(pairs ...any) string { return token(t, good.with(pairs...)) }
	valid := rs()
	pieces := strings.Split(valid, ".")

	tests := []struct {
		name, token string
		code        registry.Code
	}{
		// Signatures.
		{"alg none", bare(`{"alg":"none"}`, good), registry.Unauthorized},
		{"alg None", bare(`{"alg":"None"}`, good), registry.Unauthorized},
		{"alg nOnE with a kid", bare(`{"alg":"nOnE","kid":"rsa"}`, good), registry.Unauthorized},
		{"no alg", bare(`{"typ":"JWT"}`, good), registry.Unauthorized},
		{"alg a number", bare(`{"alg":1}`, good), registry.Unauthorized},
		{"alg empty", bare(`{"alg":""}`, good), registry.Unauthorized},
		{"HS256 with the public key, DER", sign(t, jose.HS256, public, "rsa", good), registry.Unauthorized},
		{"HS256 with the public key, PEM", sign(t, jose.HS256, publicPEM, "rsa", good), registry.Unauthorized},
		{"HS512 with the key's id", sign(t, jose.HS512, []byte(strings.Repeat("rsa", 30)), "rsa", good), registry.Unauthorized},
		{"HS256 with an empty-ish key", sign(t, jose.HS256, make([]byte, 32), "rsa", good), registry.Unauthorized},
		{"another key under the kid", sign(t, jose.RS256, otherKey(), "rsa", good), registry.Unauthorized},
		{"another key, kid unknown", sign(t, jose.RS256, otherKey(), "nobody", good), registry.Unauthorized},
		{"the right key, kid unknown", sign(t, jose.RS256, rsaKey(), "nobody", good), registry.Unauthorized},
		{"the right key, kid of another", sign(t, jose.RS256, rsaKey(), "ec", good), registry.Unauthorized},
		{"the right key, alg it is not for", sign(t, jose.RS512, rsaKey(), "rsa", good), registry.Unauthorized},
		{"the right key, PSS", sign(t, jose.PS256, rsaKey(), "rsa", good), registry.Unauthorized},
		{"key for encryption", sign(t, jose.RS256, otherKey(), "encryption", good), registry.Unauthorized},
		{"key too short", sign(t, jose.RS256, weakKey(), "weak", good), registry.Unauthorized},
		{"kid a path", sign(t, jose.RS256, otherKey(), "../../../../dev/null", good), registry.Unauthorized},
		{"kid SQL", sign(t, jose.RS256, otherKey(), "x' UNION SELECT 'rsa", good), registry.Unauthorized},
		{"no signature", pieces[0] + "." + pieces[1] + ".", registry.Unauthorized},
		{"signature cut", valid[:len(valid)-4], registry.Unauthorized},
		{"signature of another token", pieces[0] + "." + pieces[1] + "." + strings.Split(rs("jti", "other"), ".")[2], registry.Unauthorized},
		{"payload changed", pieces[0] + "." + part([]byte(plain(good.with("repository_id", "74", "x", "y")))) + "." + pieces[2], registry.Unauthorized},
		{"padding", pieces[0] + "=." + pieces[1] + "." + pieces[2], registry.Unauthorized},
		// Headers that bring their own key.
		{"jwk", sign(t, jose.RS256, otherKey(), "rsa", good, "jwk", publicJWK), registry.Unauthorized},
		{"jku", sign(t, jose.RS256, otherKey(), "rsa", good, "jku", elsewhere.URL+"/keys"), registry.Unauthorized},
		{"jku of the issuer", sign(t, jose.RS256, rsaKey(), "rsa", good, "jku", w.issuer.URL+"/keys"), registry.Unauthorized},
		{"x5u", sign(t, jose.RS256, otherKey(), "rsa", good, "x5u", elsewhere.URL+"/cert"), registry.Unauthorized},
		{"x5c", raw(`{"alg":"RS256","kid":"rsa","x5c":["MIIB"]}`, plain(good)), registry.Unauthorized},
		{"crit", raw(`{"alg":"RS256","kid":"rsa","crit":["b64"],"b64":false}`, plain(good)), registry.Unauthorized},
		{"alg twice", raw(`{"alg":"RS256","kid":"rsa","alg":"none"}`, plain(good)), registry.Unauthorized},
		{"header no object", raw(`["RS256"]`, plain(good)), registry.Unauthorized},
		// Not tokens.
		{"empty", "", registry.Unauthorized},
		{"dots", strings.Repeat(".", 1<<20), registry.Unauthorized},
		{"two dots", "..", registry.Unauthorized},
		{"four parts", valid + ".x", registry.Unauthorized},
		{"five parts", "a.b.c.d.e", registry.Unauthorized},
		{"JSON serialization", `{"payload":"` + pieces[1] + `","protected":"` + pieces[0] + `","signature":"` + pieces[2] + `"}`, registry.Unauthorized},
		{"too long", rs("x", strings.Repeat("x", 16<<10)), registry.Unauthorized},
		{"payload no object", raw(`{"alg":"RS256","kid":"rsa"}`, `"x"`), registry.Unauthorized},
		{"payload null", raw(`{"alg":"RS256","kid":"rsa"}`, `null`), registry.Unauthorized},
		{"more after the payload", raw(`{"alg":"RS256","kid":"rsa"}`, plain(good)+"{}"), registry.Unauthorized},
		{"deep", raw(`{"alg":"RS256","kid":"rsa"}`, `{"iss":`+strings.Repeat("[", 9000)), registry.Unauthorized},
		{"a token of ours", "pkh_" + strings.Repeat("0", 49), registry.Unauthorized},
		// Issuers.
		{"iss with a slash", rs("iss", w.issuer.URL+"/"), registry.Unauthorized},
		{"iss in capitals", rs("iss", strings.ToUpper(w.issuer.URL)), registry.Unauthorized},
		{"iss without a scheme", rs("iss", strings.TrimPrefix(w.issuer.URL, "http://")), registry.Unauthorized},
		{"iss by https", rs("iss", "https"+strings.TrimPrefix(w.issuer.URL, "http")), registry.Unauthorized},
		{"iss with a user", rs("iss", strings.Replace(w.issuer.URL, "//", "//"+"x@", 1)), registry.Unauthorized},
		{"iss longer", rs("iss", w.issuer.URL+".example.com"), registry.Unauthorized},
		{"iss with a query", rs("iss", w.issuer.URL+"?"), registry.Unauthorized},
		{"iss with a space", rs("iss", w.issuer.URL+" "), registry.Unauthorized},
		{"iss elsewhere", rs("iss", elsewhere.URL), registry.Unauthorized},
		{"iss a list", rs("iss", []string{w.issuer.URL}), registry.Unauthorized},
		{"iss null", raw(`{"alg":"RS256","kid":"rsa"}`, strings.Replace(plain(good), `"iss":"`+w.issuer.URL+`"`, `"iss":null`, 1)), registry.Unauthorized},
		{"no iss", rs("iss", nil), registry.Unauthorized},
		{"ISS", rs("iss", nil, "ISS", w.issuer.URL), registry.Unauthorized},
		{"iss twice", raw(`{"alg":"RS256","kid":"rsa"}`, `{"iss":"`+elsewhere.URL+`",`+plain(good)[1:]), registry.Unauthorized},
		// Audiences.
		{"aud longer", rs("aud", audience+".evil.example"), registry.Unauthorized},
		{"aud shorter", rs("aud", "example.com"), registry.Unauthorized},
		{"aud a URL", rs("aud", home), registry.Unauthorized},
		{"aud in capitals", rs("aud", strings.ToUpper(audience)), registry.Unauthorized},
		{"aud empty", rs("aud", ""), registry.Unauthorized},
		{"aud empty list", rs("aud", []string{}), registry.Unauthorized},
		{"aud with another", rs("aud", []string{audience, "other.example"}), registry.Unauthorized},
		{"aud with an empty one", rs("aud", []string{audience, ""}), registry.Unauthorized},
		{"aud an object", rs("aud", payload{audience: true}), registry.Unauthorized},
		{"aud list with a number", rs("aud", []any{audience, 1}), registry.Unauthorized},
		{"aud with spaces", rs("aud", audience+" other.example"), registry.Unauthorized},
		{"no aud", rs("aud", nil), registry.Unauthorized},
		{"aud another's npm", rs("aud", "npm:registry.example.org"), registry.Unauthorized},
		{"azp another", rs("azp", "other.example"), registry.Unauthorized},
		{"azp a number", rs("azp", 1), registry.Unauthorized},
		{"azp a list", rs("azp", []string{audience}), registry.Unauthorized},
		// Times.
		{"expired", rs("exp", now), registry.Unauthorized},
		{"expired long ago", rs("exp", now-3600, "iat", now-7200), registry.Unauthorized},
		{"no exp", rs("exp", nil), registry.Unauthorized},
		{"exp a string", rs("exp", "9999999999"), registry.Unauthorized},
		{"exp null", raw(`{"alg":"RS256","kid":"rsa"}`, `{"exp":null,`+plain(good.with("exp", nil))[1:]), registry.Unauthorized},
		{"exp huge", rs("exp", 1e300), registry.Unauthorized},
		{"exp negative", rs("exp", -1), registry.Unauthorized},
		{"no iat", rs("iat", nil), registry.Unauthorized},
		{"iat to come", rs("iat", now+120), registry.Unauthorized},
		{"iat a string", rs("iat", "1"), registry.Unauthorized},
		{"iat after exp", rs("iat", now+30, "exp", now+10), registry.Unauthorized},
		{"nbf to come", rs("nbf", now+120), registry.Unauthorized},
		{"nbf a string", rs("nbf", "1"), registry.Unauthorized},
		// Subjects.
		{"no sub", rs("sub", nil), registry.Unauthorized},
		{"sub empty", rs("sub", ""), registry.Unauthorized},
		{"sub blank", rs("sub", "  "), registry.Unauthorized},
		{"sub a number", rs("sub", 74), registry.Unauthorized},
		{"sub long", rs("sub", strings.Repeat("x", 2000)), registry.Unauthorized},
		// Claims.
		{"id another", rs("repository_id", "75"), registry.Denied},
		{"id a number", rs("repository_id", 74), registry.Denied},
		{"id longer", rs("repository_id", "740"), registry.Denied},
		{"id with a zero", rs("repository_id", "074"), registry.Denied},
		{"id with a space", rs("repository_id", "74 "), registry.Denied},
		{"id with a NUL", rs("repository_id", "74\x00"), registry.Denied},
		{"id a list", rs("repository_id", []string{"74"}), registry.Denied},
		{"id an object", rs("repository_id", payload{"": "74"}), registry.Denied},
		{"id null", raw(`{"alg":"RS256","kid":"rsa"}`, `{"repository_id":null,`+plain(good.with("repository_id", nil))[1:]), registry.Denied},
		{"id in other digits", rs("repository_id", "７４"), registry.Denied},
		{"id a wildcard", rs("repository_id", "*"), registry.Denied},
		{"no id", rs("repository_id", nil), registry.Denied},
		{"ID", rs("repository_id", nil, "Repository_id", "74"), registry.Denied},
		{"id twice", raw(`{"alg":"RS256","kid":"rsa"}`, `{"repository_id":"75",`+plain(good)[1:]), registry.Unauthorized},
		{"owner another", rs("repository_owner_id", "66"), registry.Denied},
		{"ref of a branch", rs("ref", "refs/heads/main"), registry.Denied},
		{"ref a branch that looks like a tag", rs("ref", "refs/heads/refs/tags/v1"), registry.Denied},
		{"ref deeper", rs("ref", "refs/tags/v1/x"), registry.Denied},
		{"ref in capitals", rs("ref", "refs/tags/V1"), registry.Denied},
		{"ref shorter", rs("ref", "refs/tags/"), registry.Denied},
		{"ref long", rs("ref", "refs/tags/v"+strings.Repeat("1", 4000)), registry.Denied},
		{"sub alone is right", rs("repository_id", "1", "repository_owner_id", "2"), registry.Denied},
	}
	if len(tests) < 80 {
		t.Errorf("%d tokens, want 80 at least", len(tests))
	}
	// One that is good first, so that later ones find warm keys.
	if m, err := w.Exchange(w.caller(), valid, Want{}, "192.0.2.7"); err != nil || m.Secret == "" {
		t.Fatalf("the token that the others are made from: %v", err)
	}
	for _, tt := range tests {
		if m, err := w.Exchange(w.caller(), tt.token, Want{}, "192.0.2.7"); !errors.Is(err, tt.code) || m.Secret != "" {
			t.Errorf("%s: %v, want %s", tt.name, err, tt.code)
		}
	}
	if n := elsewhere.asked(); n > 0 {
		t.Errorf("another server was asked %d times: %v", n, elsewhere.requests)
	}
	// Keys that are not there are not asked for again and again.
	if n := w.issuer.asked(); n != 2 {
		t.Errorf("the issuer was asked %d times, want 2", n)
	}
	if n := w.issuers.size(); n != 1 {
		t.Errorf("%d issuers are remembered, want 1", n)
	}
}

// TestUnknownIssuers proves that nobody is asked on the word of a token.
func TestUnknownIssuers(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for range 3 { // no rule at all
		if _, err := w.Exchange(w.caller(), token(t, w.github()), Want{}, ""); !errors.Is(err, registry.Unauthorized) {
			t.Errorf("Exchange: %v", err)
		}
	}
	w.trust(meta.Trust{Name: "other", Issuer: "https://issuer.example.com", Repositories: "**", Claims: map[string]string{"sub": "**"}})
	if _, err := w.Exchange(w.caller(), token(t, w.github()), Want{}, ""); !errors.Is(err, registry.Unauthorized) {
		t.Errorf("Exchange: %v", err)
	}
	if n := w.issuer.asked(); n > 0 {
		t.Errorf("the issuer was asked %d times", n)
	}
	w.trust(githubRule) // and now it is
	if _, err := w.Exchange(w.caller(), token(t, w.github()), Want{}, ""); err != nil {
		t.Errorf("Exchange: %v", err)
	}
	if n := w.issuer.asked(); n == 0 {
		t.Error("the issuer was not asked")
	}
	w.change(removeTrust(w, "widget"))
	if _, err := w.Exchange(w.caller(), token(t, w.github()), Want{}, ""); !errors.Is(err, registry.Unauthorized) {
		t.Errorf("Exchange after the rule was removed: %v", err)
	}
	if n := w.issuers.size(); n != 0 {
		t.Errorf("%d issuers are remembered, want none", n)
	}
}
