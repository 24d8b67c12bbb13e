package access

import (
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/packhouse/packhouse/conformance/rig"
)

// TestNPMLogin is what npm does with accounts: log in by a password, show, make and revoke tokens, ask about access, log
// out.
func TestNPMLogin(t *testing.T) {
	t.Parallel()
	node, _ := rig.Tool(t, "node")
	npm, version := rig.Tool(t, "npm")
	s := start(t)
	c := client{name: "npm login", version: version, setUp: setNode}
	script := newTranscript(c)
	alice := c.actor(t, s, "", "") // no token yet
	run := func(args ...string) command {
		return command{argv: append(append([]string{node, npm}, args...), "--registry="+npmFeed(alice, own))}
	}
	login := func(password string) (string, error) {
		return alice.talk(t, run("login", "--auth-type=legacy"), types("Username:", "alice"), types("Password:", password))
	}
	use := func(what string, f func(t *testing.T)) {
		t.Run(what, func(t *testing.T) {
			t.Attr("client", "npm")
			t.Attr("version", version)
			t.Attr("use", what)
			f(t)
		})
	}
	token := ""
	use("login by a password", func(t *testing.T) {
		out, err := login(guess)
		if err == nil {
			t.Error("a wrong password logs in")
		}
		script.record(alice, "log in with a wrong password: refused", run("login", "--auth-type=legacy"), out)
		script.refused(t, alice, "whoami without an account", run("whoami"))
		if out, err = login(password); err != nil {
			t.Fatalf("login: %v", err)
		}
		script.record(alice, "log in", run("login", "--auth-type=legacy"), out)
		rig.Equal(t, "whoami", strings.TrimSpace(alice.must(t, run("whoami"))), "alice")
		npmPackage(t, alice, "made", "@acme/tool", "1.0.0")
		publish := run("publish")
		publish.dir = "made"
		alice.must(t, publish)
	})
	use("token list, create and revoke", func(t *testing.T) {
		script.refused(t, alice, "make a token with a wrong password", run("token", "create", "--name=ci", "--password="+guess))
		script.refused(t, alice, "make a token for an address", run("token", "create", "--name=ci", "--cidr=10.0.0.0/8", "--password="+password))
		made := rig.Decode[struct{ Token string }](t, alice.must(t, run("token", "create", "--name=ci", "--packages=@acme/tool", "--password="+password, "--json")))
		ci := c.actor(t, s, "ci", made.Token)
		rig.Equal(t, "whoami by the token", strings.TrimSpace(ci.must(t, run("whoami"))), "alice")
		list := rig.Decode[[]struct{ Key, Name string }](t, alice.must(t, run("token", "list", "--json")))
		key := ""
		for _, one := range list {
			if one.Name == "ci" {
				key = one.Key
			}
		}
		if len(list) != 2 || key == "" {
			t.Fatalf("tokens are %+v, want that of the log-in and one called ci", list)
		}
		s.know(t, "alice", made.Token)
		alice.must(t, run("token", "revoke", key))
		s.forget(t, "alice", made.Token)
		script.refused(t, ci, "whoami by a token that was revoked", run("whoami"))
	})
	use("access list and set", func(t *testing.T) {
		rig.Contains(t, alice.must(t, run("access", "get", "status", "@acme/tool")), "private")
		rig.Contains(t, alice.must(t, run("access", "list", "collaborators", "@acme/tool")), "alice: read-write")
		rig.Contains(t, alice.must(t, run("access", "list", "packages", "alice")), "@acme/tool: read-write")
		script.refused(t, alice, "make a package public without administering it", run("access", "set", "status=public", "@acme/tool"))
		s.administer(t, "", "grant", "add", "user:alice", "admin", own)
		alice.must(t, run("access", "set", "status=public", "@acme/tool"))
		rig.Contains(t, alice.must(t, run("access", "get", "status", "@acme/tool")), "public")
		nobody := c.actor(t, s, "", "")
		rig.Equal(t, "what nobody sees", strings.TrimSpace(nobody.must(t, run("view", "@acme/tool", "version"))), "1.0.0")
	})
	use("logout", func(t *testing.T) {
		kept := c.actor(t, s, "", "")
		kept.File(t, ".npmrc", alice.Read(t, ".npmrc"))
		token = tokenText.FindString(string(alice.Read(t, ".npmrc")))
		s.know(t, "alice", token)
		alice.must(t, run("logout"))
		s.forget(t, "alice", token)
		script.refused(t, kept, "whoami by the token of a log-in that was ended", run("whoami"))
		script.refused(t, alice, "publish after logout", command{dir: "made", argv: run("publish").argv})
	})
	s.keeps(t, guess, password, token)
	if !t.Failed() {
		script.compare(t)
	}
}

var tokenText = regexp.MustCompile(`pkh_[0-9A-Za-z]+`)

// TestNPMWebLogin logs in at the page that npm shows.
func TestNPMWebLogin(t *testing.T) {
	t.Parallel()
	node, _ := rig.Tool(t, "node")
	npm, version := rig.Tool(t, "npm")
	s := start(t)
	c := client{name: "npm web login", version: version, setUp: setNode}
	alice := c.actor(t, s, "", "")
	login := command{argv: []string{node, npm, "login", "--auth-type=web", "--registry=" + npmFeed(alice, own)}}
	t.Run("login in a browser", func(t *testing.T) {
		t.Parallel()
		t.Attr("client", "npm")
		t.Attr("version", version)
		t.Attr("use", "login in a browser")
		out, err := alice.talk(t, login, reply{page, func(printed string) string {
			browse(t, alice, strings.TrimSpace(page.FindString(printed)))
			return ""
		}})
		if err != nil {
			t.Fatalf("login: %v", err)
		}
		script := newTranscript(c)
		script.record(alice, "log in", login, page.ReplaceAllString(out, "PAGE\n"))
		whoami := command{argv: []string{node, npm, "whoami", "--registry=" + npmFeed(alice, own)}}
		rig.Equal(t, "whoami", strings.TrimSpace(alice.must(t, whoami)), "alice")
		s.keeps(t, password, tokenText.FindString(string(alice.Read(t, ".npmrc"))))
		if !t.Failed() {
			script.compare(t)
		}
	})
}

var (
	page      = regexp.MustCompile(`http://\S+/-/login/\S+\n`)
	formToken = regexp.MustCompile(`name="token" value="([^"]+)"`)
)

// browse logs alice in at a page.
func browse(t *testing.T, a actor, page string) {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	browser := a.Client()
	browser.Jar = jar
	send := func(method string, form url.Values) string {
		r, err := http.NewRequestWithContext(t.Context(), method, page, strings.NewReader(form.Encode()))
		if err != nil {
			t.Error(err)
			return ""
		}
		r.Header.Set("Sec-Fetch-Site", "same-origin")
		if form != nil {
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			r.Header.Set("Origin", a.URL)
		}
		res, err := browser.Do(r)
		if err != nil {
			t.Error(err)
			return ""
		}
		defer func() { _ = res.Body.Close() }() // it is read to its end
		body, err := io.ReadAll(res.Body)
		if err != nil || res.StatusCode != http.StatusOK {
			t.Errorf("%s %s: %s %s, %v", method, page, res.Status, body, err)
		}
		return string(body)
	}
	token := formToken.FindStringSubmatch(send(http.MethodGet, nil))
	if token == nil {
		t.Errorf("%s has no form", page)
		return
	}
	send(http.MethodPost, url.Values{"token": {token[1]}, "user": {"alice"}, "password": {password}})
}
