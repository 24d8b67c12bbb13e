package access

import (
	"encoding/base64"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"github.com/packhouse/packhouse/conformance/packhouse"
	"github.com/packhouse/packhouse/conformance/rig"
)

// Namespaces of the story: each user's own, and one that nobody has.
const (
	own     = "acme"
	foreign = "secret"
	nowhere = "nowhere"
)

const (
	password = "correct-horse-battery-staple"
	guess    = "not-the-password"
)

// actor is a home in which a client runs for somebody.
type actor struct {
	*rig.Registry

	user, secret string // "" for nobody
}

// command is one run of a client.
type command struct {
	argv  []string
	stdin string
	dir   string // below the home
}

// client is a client, and how it is used.
type client struct {
	name, version string
	// byToken clients show a token, which is revoked in the end; the others show the user's password, and the user is
	// disabled.
	byToken bool
	// setUp writes configuration, with the credentials where no command takes them.
	setUp func(t *testing.T, a actor)
	// logIn is nil for clients that only have a configuration. With deaf, it asks nobody whether the secret is right.
	logIn func(t *testing.T, a actor) command
	deaf  bool
	// noise are lines that come in another order each time.
	noise *regexp.Regexp
	// publish and read prepare and return what does it in a namespace.
	publish, read func(t *testing.T, a actor, namespace, version string) command
}

// server is a registry with alice, who maintains acme, and bob, who maintains secret. Both namespaces are private.
type server struct {
	*rig.Registry

	binary string
}

func start(t *testing.T) server {
	t.Helper()
	binary, err := packhouse.Binary(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	s := server{rig.Start(t, packhouse.Options{Env: []string{"PACKHOUSE_AUTH=on"}}), binary}
	for user, namespace := range map[string]string{"alice": own, "bob": foreign} {
		s.File(t, "password", []byte(password+"\n"))
		s.administer(t, "password", "user", "create", user, "--password-stdin")
		s.administer(t, "", "namespace", "create", namespace)
		s.administer(t, "", "grant", "add", "user:"+user, "maintainer", namespace)
	}
	return s
}

// administer runs a command of packhouse on the server's data directory, its standard input being a file of the home.
func (s server) administer(t *testing.T, stdin string, args ...string) string {
	t.Helper()
	argv := append([]string{s.binary}, args...)
	argv = append(argv, "--data", s.Data)
	if stdin != "" {
		argv = append([]string{"/bin/sh", "-c", `f=$1; shift; "$@" <"$f"`, "sh", stdin}, argv...)
	}
	return s.Run(t, argv...)
}

// token makes a token for a user.
func (s server) token(t *testing.T, user string) (id, secret string) {
	t.Helper()
	made := rig.Decode[struct{ ID, Secret string }](t, s.administer(t, "", "token", "create", "--user", user, "--json"))
	if made.ID == "" || made.Secret == "" {
		t.Fatal("a token was made without an id or a secret")
	}
	return made.ID, made.Secret
}

// actor makes a home for a client that runs for user.
func (c client) actor(t *testing.T, s server, user, secret string) actor {
	t.Helper()
	a := actor{s.In(t), user, secret}
	if c.setUp != nil {
		c.setUp(t, a)
	}
	return a
}

// must runs a command that must succeed.
func (a actor) must(t *testing.T, c command) string {
	t.Helper()
	out, err := a.run(t, c)
	if err != nil {
		t.Fatalf("%s: %v", strings.Join(c.argv, " "), err)
	}
	return out
}

// tell tells the story of one client.
func tell(t *testing.T, c client) {
	t.Helper()
	t.Parallel()
	s := start(t)
	script := newTranscript(c)
	secrets := func(user string) (id, secret string) {
		if c.byToken {
			return s.token(t, user)
		}
		return "", password
	}
	_, secret := secrets("bob")
	bob := c.actor(t, s, "bob", secret)
	c.enter(t, bob)
	bob.must(t, c.publish(t, bob, foreign, "1.0.0"))

	nobody := c.actor(t, s, "", "")
	script.refused(t, nobody, "read without an account", c.read(t, nobody, foreign, "1.0.0"))
	script.refused(t, nobody, "publish without an account", c.publish(t, nobody, own, "1.0.0"))
	liar := c.actor(t, s, "alice", guess)
	if c.logIn != nil && !c.deaf {
		script.refused(t, liar, "log in with a wrong password", c.logIn(t, liar))
	} else {
		c.enter(t, liar)
		script.refused(t, liar, "read with a wrong password", c.read(t, liar, own, "1.0.0"))
	}

	id, secret := secrets("alice")
	alice := c.actor(t, s, "alice", secret)
	if c.logIn != nil {
		script.accepted(t, alice, "log in", c.logIn(t, alice))
	}
	use := func(what string, f func(t *testing.T)) {
		t.Run(what, func(t *testing.T) {
			t.Attr("client", c.name)
			t.Attr("version", c.version)
			t.Attr("use", what)
			f(t)
		})
	}
	use("log in, publish and read", func(t *testing.T) {
		alice.must(t, c.publish(t, alice, own, "1.0.0"))
		alice.must(t, c.read(t, alice, own, "1.0.0"))
	})
	use("refused in another namespace, where nothing is to be seen", func(t *testing.T) {
		write := c.publish(t, alice, foreign, "2.0.0")
		before := s.fingerprint(t)
		seen := script.refused(t, alice, "read in a namespace that is not one's own", c.read(t, alice, foreign, "1.0.0"))
		absent := script.quiet().refused(t, alice, "", c.read(t, alice, nowhere, "1.0.0"))
		if want := strings.ReplaceAll(absent, nowhere, foreign); seen != want {
			t.Errorf("what may not be read looks unlike what is not there:\n%s\nwant\n%s", seen, want)
		}
		script.refused(t, alice, "publish in a namespace that is not one's own", write)
		if after := s.fingerprint(t); after != before {
			t.Errorf("the other namespace changed from %s to %s", before, after)
		}
	})
	use("refused after the token was revoked or the user disabled", func(t *testing.T) {
		s.know(t, "alice", secret)
		how := "the user was disabled"
		if c.byToken {
			how = "the token was revoked"
			s.administer(t, "", "token", "revoke", id)
		} else {
			s.administer(t, "", "user", "disable", "alice")
		}
		s.forget(t, "alice", secret)
		script.refused(t, alice, "read after "+how, c.read(t, alice, own, "1.0.0"))
		script.refused(t, alice, "publish after "+how, c.publish(t, alice, own, "2.0.0"))
		if c.logIn != nil && !c.deaf {
			script.refused(t, alice, "log in after "+how, c.logIn(t, alice))
		}
	})
	s.keeps(t, liar.secret, alice.secret, bob.secret)
	if t.Failed() {
		return
	}
	script.compare(t)
}

// status is what a replica answers to a user name and secret.
func (s server) status(t *testing.T, replica *packhouse.Server, user, secret string) int {
	t.Helper()
	header := http.Header{"Authorization": {"Basic " + base64.StdEncoding.EncodeToString([]byte(user+":"+secret))}}
	res, _ := s.Do(t, http.MethodGet, replica.URL+"/v2/", header, nil)
	return res.StatusCode
}

// know has all replicas remember somebody.
func (s server) know(t *testing.T, user, secret string) {
	t.Helper()
	for _, r := range s.Replicas {
		rig.Equal(t, "log-in of "+user, s.status(t, r, user, secret), http.StatusOK)
	}
}

// forget waits, for five seconds at most, until all replicas refuse somebody whom they know and one of them was told to
// refuse. One process does at once.
func (s server) forget(t *testing.T, user, secret string) {
	t.Helper()
	for _, r := range s.Replicas {
		if !s.Soon(func() bool { return s.status(t, r, user, secret) == http.StatusUnauthorized }) {
			t.Errorf("replica %s still knows %s after five seconds", r.Host, user)
		}
	}
}

// keeps checks that no secret is in the server's log.
func (s server) keeps(t *testing.T, secrets ...string) {
	t.Helper()
	log := s.Logs()
	for _, secret := range secrets {
		for _, form := range []string{secret, base64.StdEncoding.EncodeToString([]byte("alice:" + secret))} {
			if secret == "" || strings.Contains(log, form) {
				t.Errorf("the secret %q is in the server's log, or none was used", form)
			}
		}
	}
}

// enter logs the client in, if it does.
func (c client) enter(t *testing.T, a actor) {
	t.Helper()
	if c.logIn != nil {
		a.must(t, c.logIn(t, a))
	}
}

// fingerprint is what the foreign namespace holds: its repositories' names and tags, as bob sees them.
func (s server) fingerprint(t *testing.T) string {
	t.Helper()
	ask := func(path string) []byte {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.URL, nil)
		if err != nil {
			t.Fatal(err)
		}
		r.SetBasicAuth("bob", password)
		res, body := s.Do(t, http.MethodGet, path, r.Header, nil)
		if res.StatusCode != http.StatusOK {
			t.Fatalf("GET %s as bob: %s %s", path, res.Status, body)
		}
		return body
	}
	catalog := rig.Decode[struct{ Repositories []string }](t, string(ask("/v2/_catalog")))
	var all strings.Builder
	for _, name := range catalog.Repositories {
		all.Write(ask("/v2/" + name + "/tags/list"))
	}
	if all.Len() == 0 {
		t.Fatal("bob has published nothing")
	}
	return all.String()
}
