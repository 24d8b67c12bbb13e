package secrets

import (
	"bytes"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/packhouse/packhouse/conformance/rig"
)

// exchange is one request that holds secrets.
type exchange struct {
	what, method, path string
	header             http.Header
	body               string
	want               int
}

// send makes it. The body of a refusal must not repeat a secret; that of a success may give one.
func (s *server) send(t *testing.T, x exchange) []byte {
	t.Helper()
	if x.header == nil {
		x.header = http.Header{}
	}
	x.header.Set("User-Agent", "canary-keeper")
	res, body := s.Do(t, x.method, x.path, x.header, []byte(x.body))
	if res.StatusCode != x.want {
		t.Errorf("%s: %s, want %d: %s", x.what, res.Status, x.want, body)
	}
	if res.StatusCode >= 400 {
		s.show("answer to "+x.what, body)
	}
	var header bytes.Buffer
	_ = res.Header.Write(&header) // a buffer takes all
	s.show("header of the answer to "+x.what, header.Bytes())
	return body
}

func basic(user, secret string) http.Header {
	h := http.Header{}
	r := http.Request{Header: h}
	r.SetBasicAuth(user, secret)
	return h
}

func authorization(value string) http.Header { return http.Header{"Authorization": {value}} }

func with(h http.Header, key, value string) http.Header {
	h.Set(key, value)
	return h
}

func form() http.Header { return http.Header{"Content-Type": {"application/x-www-form-urlencoded"}} }

func object() http.Header { return http.Header{"Content-Type": {"application/json"}} }

func quote(s string) string {
	b, _ := json.Marshal(s) // a string always does
	return string(b)
}

// logIns are all the ways to show a credential, with right ones and wrong ones.
func (s *server) logIns(t *testing.T) {
	t.Helper()
	_, token := s.token(t, "alice", "a token")
	revoked, ended := s.token(t, "alice", "a token that was revoked")
	s.command(t, "token", "revoke", revoked)
	claims := rig.Decode[struct{ Token string }](t, string(s.send(t, exchange{"the token endpoint", http.MethodGet, "/token?service=" + url.QueryEscape(s.Host) + "&scope=repository:acme/app:pull", basic("alice", s.alice), "", 200})))
	jwt := s.jwt("a JWT", claims.Token)
	forged := s.jwt("a forged JWT", jwt[:strings.LastIndexByte(jwt, '.')+1]+s.word("a signature")+strings.Repeat("A", 58))
	const v2 = "/v2/"
	for _, x := range []exchange{
		{"the right password", "GET", v2, basic("alice", s.alice), "", 200},
		{"a wrong password", "GET", v2, basic("alice", s.password("a wrong password")), "", 401},
		{"an unknown user's password", "GET", v2, basic("nobody", s.password("an unknown user's password")), "", 401},
		{"an htpasswd user's password", "GET", v2, basic("hilda", htpasswdPassword), "", 200},
		{"a wrong one of htpasswd", "GET", v2, basic("hilda", s.word("a wrong password of htpasswd")), "", 401},
		{"an LDAP user's password", "GET", v2, basic("lou", s.canaries["password of LDAP"]), "", 200},
		{"a wrong one of LDAP", "GET", v2, basic("lou", s.word("a wrong password of LDAP")), "", 401},
		{"a token as a password", "GET", v2, basic("alice", token), "", 200},
		{"a token as the user", "GET", v2, basic(token, ""), "", 200},
		{"a token as the user of a password", "GET", v2, basic(token, s.password("a password of a token")), "", 401},
		{"a revoked token as the user", "GET", v2, basic(ended, ""), "", 401},
		{"a revoked token as the user of a password", "GET", v2, basic(ended, "x"), "", 401},
		{"a revoked token", "GET", v2, basic("alice", ended), "", 401},
		{"Bearer token", "GET", v2, authorization("Bearer " + token), "", 200},
		{"Bearer nonsense", "GET", v2, authorization("Bearer " + s.word("a wrong Bearer token")), "", 401},
		{"Bearer mistyped", "GET", v2, authorization("Bearer " + s.keep("a mistyped token", token[:len(token)-4]+"0000")), "", 401},
		{"Bearer JWT", "GET", v2, authorization("Bearer " + jwt), "", 200},
		{"Bearer forged JWT", "GET", v2, authorization("Bearer " + forged), "", 401},
		{"a JWT as a password", "GET", v2, basic("alice", jwt), "", 401},
		{"X-NuGet-ApiKey", "GET", v2, http.Header{"X-Nuget-Apikey": {token}}, "", 200},
		{"a wrong X-NuGet-ApiKey", "GET", v2, http.Header{"X-Nuget-Apikey": {s.word("a wrong API key")}}, "", 401},
		{"two that differ", "GET", v2, with(authorization("Bearer "+token), "X-Nuget-Apikey", s.word("another API key")), "", 401},
		{"a token alone", "GET", v2, authorization(token), "", 200},
		{"nonsense alone", "GET", v2, authorization(s.word("a wrong bare token")), "", 401},
		{"another scheme", "GET", v2, authorization("Digest username=alice response=" + s.word("a digest")), "", 401},
		{"Basic that is none", "GET", v2, authorization("Basic " + s.word("no base64") + "!"), "", 401},
		{"a password with a line break", "GET", v2, basic("alice", s.word("a password with a line break")+"\n"), "", 401},
		{"Proxy-Authorization", "GET", v2, http.Header{"Proxy-Authorization": {"Bearer " + s.word("for a proxy")}}, "", 401},
		{"a cookie", "GET", v2, http.Header{"Cookie": {"session=" + s.word("a cookie")}}, "", 401},
		{"Referer", "GET", v2, http.Header{"Referer": {"https://ci.example.com/?token=" + s.word("a token of Referer")}}, "", 401},
		{"token and password in a query", "GET", "/v2/acme/app/tags/list?token=" + s.word("token in a query") + "&password=" + url.QueryEscape(s.password("password in a query")), nil, "", 401},
		{"access_token in a query", "GET", "/v2/acme/app/tags/list?n=1&access_token=" + s.word("access_token in a query"), nil, "", 401},
		{"refused with a token", "DELETE", "/v2/other/app/manifests/latest", authorization("Bearer " + token), "", 403},
		{"pulled with a JWT", "GET", "/v2/acme/app/manifests/latest", authorization("Bearer " + jwt), "", 404},
		{"more than the JWT's claims", "POST", "/v2/acme/app/blobs/uploads/", authorization("Bearer " + jwt), "", 401},

		{"/token, a wrong password", "GET", "/token?service=" + s.Host, basic("alice", s.password("a wrong password at /token")), "", 401},
		{"/token, secrets in the query", "GET", "/token?account=alice&password=" + s.word("password in /token's query") + "&refresh_token=" + s.word("refresh_token in /token's query"), nil, "", 200},
		{"/token, another service", "GET", "/token?service=x&password=" + s.word("password for another service"), basic("alice", s.alice), "", 400},
		{"/token, password grant", "POST", "/token", form(), url.Values{"grant_type": {"password"}, "username": {"alice"}, "password": {s.alice}, "service": {s.Host}}.Encode(), 200},
		{"/token, wrong password grant", "POST", "/token", form(), url.Values{"grant_type": {"password"}, "username": {"alice"}, "password": {s.password("a wrong password grant")}}.Encode(), 401},
		{"/token, refresh", "POST", "/token", form(), url.Values{"grant_type": {"refresh_token"}, "refresh_token": {token}}.Encode(), 200},
		{"/token, wrong refresh", "POST", "/token", form(), url.Values{"grant_type": {"refresh_token"}, "refresh_token": {s.word("a wrong refresh token")}}.Encode(), 401},
		{"/token, a broken body", "POST", "/token", form(), "grant_type=password&username=alice&password=" + s.word("password in a broken body") + "%zz", 400},
		{"/token, a secret twice", "POST", "/token", form(), "grant_type=password&password=" + s.word("password that is there twice") + "&password=x", 400},
		{"/token, JSON", "POST", "/token", object(), `{"password":` + quote(s.word("password in JSON")) + `}`, 400},
	} {
		s.send(t, x)
	}
}

// accounts are npm's log-ins, the administrative API, and jobs of CI systems.
func (s *server) accounts(t *testing.T) {
	t.Helper()
	const npm = "/acme/npm/-/"
	login := func(password string) string { return `{"name":"alice","password":` + quote(password) + `}` }
	made := rig.Decode[struct{ Token string }](t, string(s.send(t, exchange{"npm login", "PUT", npm + "user/org.couchdb.user:alice", object(), login(s.alice), 201})))
	s.keep("npm's token", made.Token)
	_, token := s.token(t, "alice", "a token for accounts")
	_, administrator := s.token(t, "admin", "an administrator's token")
	bearer := func() http.Header { return with(object(), "Authorization", "Bearer "+token) }
	admin := func() http.Header { return with(object(), "Authorization", "Bearer "+administrator) }
	right, audience := s.issuer.sign(t, s.Host, "job"), "elsewhere"
	s.jwt("an ID token", right)
	wrong := s.jwt("an ID token for somebody else", s.issuer.sign(t, audience, "job"))
	forged := s.keep("a forged ID token", right[:strings.LastIndexByte(right, '.')+1]+s.word("signature of an ID token")+strings.Repeat("A", 316))
	for _, x := range []exchange{
		{"npm login, a wrong password", "PUT", npm + "user/org.couchdb.user:alice", object(), login(s.password("a wrong password of npm")), 401},
		{"npm login, broken", "PUT", npm + "user/org.couchdb.user:alice", object(), `{"name":"alice","password":` + s.word("a password that is no JSON") + `}`, 400},
		{"npm login, a list", "PUT", npm + "user/org.couchdb.user:alice", object(), `{"name":"alice","password":[` + quote(s.word("a password in a list")) + `]}`, 400},
		{"npm logout", "DELETE", npm + "user/token/" + made.Token, authorization("Bearer " + made.Token), "", 200},
		{"npm logout, again", "DELETE", npm + "user/token/" + made.Token, authorization("Bearer " + made.Token), "", 401},
		{"npm logout of another's", "DELETE", npm + "user/token/" + s.word("a wrong token at npm's logout"), bearer(), "", 404},
		{"npm token rm", "DELETE", npm + "npm/v1/tokens/token/" + s.word("a wrong token at npm's token rm"), bearer(), "", 404},
		{"npm logout, spelled otherwise", "DELETE", npm + "user/token/" + strings.Replace(s.canaries["a token"], "_", "%5F", 1), bearer(), "", 200},
		{"a log-in that is not there", "GET", npm + "v1/done?id=x&secret=" + s.word("secret of a web log-in"), nil, "", 401},
		{"a callback without a log-in", "GET", "/-/login/callback?code=" + s.word("a code without a log-in") + "&state=" + s.word("a state without a log-in"), nil, "", 403},

		{"user.create, a list", "POST", "/-/api/v1/users", admin(), `{"user":"x","password":[` + quote(s.word("a new password in a list")) + `]}`, 400},
		{"user.create, no JSON", "POST", "/-/api/v1/users", admin(), `{"user":"x","password":` + s.word("a new password that is no JSON") + `}`, 400},
		{"user.create, refused", "POST", "/-/api/v1/users", bearer(), `{"user":"x","password":` + quote(s.password("a new password that is refused")) + `}`, 403},
		{"user.password, a wrong one", "PUT", "/-/api/v1/users/alice/password", bearer(), `{"current":` + quote(s.password("a wrong present password")) + `,"password":` + quote(s.password("a new password")) + `}`, 401},
		{"user.password, another member", "PUT", "/-/api/v1/users/alice/password", bearer(), `{"secret":` + quote(s.word("a password in another member")) + `}`, 400},
		{"user.password, in the query", "PUT", "/-/api/v1/users/alice/password?password=" + s.word("a new password in the query"), bearer(), `{}`, 400},
		{"token.revoke by its text", "DELETE", "/-/api/v1/tokens/" + s.canaries["a token that was revoked"], bearer(), "", 204},
		{"token.show by a text", "GET", "/-/api/v1/tokens/" + s.keep("a text that is nearly a token", "pkh_"+strings.Repeat("Qx7", 17)), bearer(), "", 404},

		{"a CI job", "POST", "/-/oidc/token", object(), `{"token":` + quote(right) + `}`, 200},
		{"a CI job by Bearer", "POST", "/-/oidc/token", authorization("Bearer " + right), "", 200},
		{"a CI job by Bearer, for somebody else", "POST", "/-/oidc/token", authorization("Bearer " + wrong), "", 401},
		{"a CI job, forged", "POST", "/-/oidc/token", object(), `{"token":` + quote(forged) + `}`, 401},
		{"a CI job, no JSON", "POST", "/-/oidc/token", object(), `{"token":` + s.word("an ID token that is no JSON") + `}`, 400},
		{"mint-token", "POST", "/_/oidc/mint-token", object(), `{"token":` + quote(right) + `}`, 200},
		{"mint-token, for somebody else", "POST", "/_/oidc/mint-token", object(), `{"token":` + quote(wrong) + `}`, 422},
		{"mint-token, nonsense", "POST", "/_/oidc/mint-token", object(), `{"token":` + quote(s.word("an ID token that is none")) + `}`, 422},
		{"npm's exchange", "POST", "/-/npm/v1/oidc/token/exchange/package/tool", authorization("Bearer " + wrong), "", 401},
		{"an ID token as a credential", "GET", "/v2/", authorization("Bearer " + right), "", 401},
	} {
		body := s.send(t, x)
		var given struct{ Token string }
		if x.want == 200 && json.Unmarshal(body, &given) == nil && given.Token != "" {
			s.keep("a token for "+x.what, given.Token)
		}
	}
}

var providerLink = regexp.MustCompile(`href="(/-/login/[^"]*/provider\?token=([0-9a-f]+))"`)

// browse logs in with a browser by the issuer, which gives a code, and then says no.
func (s *server) browse(t *testing.T) {
	t.Helper()
	begun := rig.Decode[map[string]string](t, string(s.send(t, exchange{"a browser's log-in", "POST", "/-/login", object(), `{"client":"conformance"}`, 201})))
	s.keep("secret of a log-in", begun["secret"])
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	client := &http.Client{Jar: jar, Transport: s.Client().Transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	defer client.CloseIdleConnections()
	get := func(to string) (*http.Response, string) {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, to, nil)
		if err != nil {
			t.Fatal(err)
		}
		res, err := client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		body, err := io.ReadAll(res.Body)
		if err != nil {
			t.Fatal(err)
		}
		return res, string(body)
	}
	_, page := get(begun["login_url"])
	link := providerLink.FindStringSubmatch(page)
	if link == nil {
		t.Fatalf("the page of a log-in has no link to the provider:\n%s", page)
	}
	s.keep("token of a page", link[2])
	res, _ := get(s.URL + link[1])
	to, err := res.Location()
	if err != nil {
		t.Fatalf("the way to the provider: %s, %v", res.Status, err)
	}
	for _, c := range res.Cookies() {
		if len(c.Value) >= 16 {
			s.keep("cookie "+c.Name, c.Value)
		}
	}
	state := s.keep("state of a log-in", to.Query().Get("state"))
	res, page = get(s.URL + "/-/login/callback?code=" + s.word("code of a log-in") + "&state=" + url.QueryEscape(state))
	if res.StatusCode < 400 {
		t.Errorf("the issuer refused, and the registry says %s", res.Status)
	}
	s.show("the page after the issuer refused", []byte(page))
	s.send(t, exchange{"a log-in that is not done", "POST", strings.TrimPrefix(begun["done_url"], s.URL), object(), `{"secret":` + quote(begun["secret"]) + `}`, 202})
}

// raw sends what no client library would: secrets in the request line and in headers that cannot be read.
func (s *server) raw(t *testing.T) {
	t.Helper()
	for _, head := range []string{
		"GET http://alice:" + s.word("password in a request line") + "@" + s.Host + "/v2/ HTTP/1.1\r\nHost: " + s.Host,
		"GET /v2/ HTTP/1.1\r\nHost: " + s.Host + "\r\nAuthorization : Bearer " + s.word("token in a broken header"),
		"GET /v2/ HTTP/1.1\r\nHost: alice:" + s.word("password in Host") + "@" + s.Host,
		"GET /v2/?password=" + s.word("password in a broken request line") + " x HTTP/1.1\r\nHost: " + s.Host,
		"GET /v2/ HTTP/1.1\r\nHost: " + s.Host + "\r\nAuthorization: Bearer " + s.word("first of two tokens") + "\r\nAuthorization: Bearer " + s.word("second of two tokens"),
	} {
		c, err := new(net.Dialer).DialContext(t.Context(), "tcp", s.Host)
		if err != nil {
			t.Fatal(err)
		}
		if err := c.SetDeadline(time.Now().Add(time.Minute)); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(c, head+"\r\nConnection: close\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		answer, err := io.ReadAll(c)
		if err != nil || !bytes.HasPrefix(answer, []byte("HTTP/1.1 4")) {
			t.Errorf("%.40q: %q, %v, want a refusal", head, answer, err)
		}
		s.show("answer to a broken request", answer)
		_ = c.Close()
	}
}
