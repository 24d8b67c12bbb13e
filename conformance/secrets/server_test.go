package secrets

import (
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/packhouse/packhouse/conformance/packhouse"
	"github.com/packhouse/packhouse/conformance/rig"
)

// A user of the htpasswd file.
const (
	htpasswdPassword = "Cn-htpasswd-7Qm2xVh4"
	htpasswdHash     = "$2y$08$Packhouse1Canary2SaltuGXPKOPP.0CPbAAbH.ZtqXFyu6S4zKv2"
)

// server is a registry that takes secrets of every kind, with alice, who maintains acme.
type server struct {
	*rig.Registry
	canaries

	issuer *issuer
	binary string
	config string
	alice  string // her password
	shown  []source
}

func start(t *testing.T, format string) *server {
	t.Helper()
	s := &server{canaries: canaries{}, issuer: newIssuer(t)}
	var err error
	if s.binary, err = packhouse.Binary(t.Context()); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	home := rig.Registry{Home: dir}
	key := make([]byte, 32)
	_, _ = rand.Read(key) // it never fails
	s.keep("secrets.key, as bytes", string(key))
	keyFile := home.File(t, "key", []byte(s.keep("secrets.key", base64.StdEncoding.EncodeToString(key))+"\n"))
	users := home.File(t, "htpasswd", []byte("hilda:"+s.keep("hash of htpasswd", htpasswdHash)+"\n"))
	s.keep("password of htpasswd", htpasswdPassword)
	addr := freeAddr(t)
	s.config = home.File(t, "packhouse.yaml", fmt.Appendf(nil, `auth: on
external_url: http://%s
secrets: {key: %q}
htpasswd: %s
ldap: {url: "ldap://%s", bind_dn: "uid=%%s,o=x"}
egress: {allow: [127.0.0.0/8]}
oidc: {issuer: %q, client_id: packhouse}
rates: {failed_logins: 10000, failed_burst: 10000}
log: {level: debug, format: %s}
`, addr, "overridden by the environment", users, newDirectory(t, s.word("password of LDAP")), s.issuer.URL, format))
	// Two secrets come from the environment, one of them by a file; the file that they override has no key at all.
	env := []string{"PACKHOUSE_SECRETS__KEY_FILE=" + keyFile, "PACKHOUSE_OIDC__CLIENT_SECRET=" + s.word("oidc.client_secret")}
	s.Registry = rig.Start(t, packhouse.Options{Data: filepath.Join(t.TempDir(), "data"), Addr: addr, Args: []string{"--config", s.config}, Env: env})
	s.Env = append(s.Env, env...)
	s.alice = s.password("password of alice")
	s.stdin(t, s.alice, "user", "create", "alice", "--password-stdin")
	s.command(t, "namespace", "create", "acme")
	s.command(t, "grant", "add", "user:alice", "maintainer", "acme")
	s.command(t, "feed", "create", "acme/npm")
	s.command(t, "trust", "add", "jobs", "acme", "--issuer", s.issuer.URL, "--claim", "project=tool", "--repositories", "acme/generic/tool")
	return s
}

func freeAddr(t *testing.T) string {
	t.Helper()
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	return addr
}

// command runs one of the operator's commands on the server.
func (s *server) command(t *testing.T, args ...string) string {
	t.Helper()
	return s.Run(t, append(append([]string{s.binary}, args...), "--data", s.Data)...)
}

// stdin is command with a line of standard input.
func (s *server) stdin(t *testing.T, line string, args ...string) {
	t.Helper()
	path := s.File(t, "stdin", []byte(line+"\n"))
	argv := append([]string{"/bin/sh", "-c", `f=$1; shift; "$@" <"$f"`, "sh", path, s.binary}, args...)
	s.show("what "+args[0]+" "+args[1]+" prints", []byte(s.Run(t, append(argv, "--data", s.Data)...)))
}

// refused runs a command that must fail, and keeps what it says.
func (s *server) refused(t *testing.T, env []string, args ...string) {
	t.Helper()
	r := &rig.Registry{Home: s.Home, Env: append(append([]string{}, s.Env...), env...)}
	s.show(fmt.Sprintf("error of %q", args[0]+" "+args[1]), []byte(r.Refuse(t, append([]string{s.binary}, args...)...)))
}

// token makes one for a user.
func (s *server) token(t *testing.T, user, what string) (id, text string) {
	t.Helper()
	made := rig.Decode[struct{ ID, Secret string }](t, s.command(t, "token", "create", "--user", user, "--json"))
	return made.ID, s.keep(what, made.Secret)
}

// show keeps what everybody could have read.
func (s *server) show(name string, content []byte) {
	s.shown = append(s.shown, source{name, content})
}

// get keeps what the operators' listener says.
func (s *server) get(t *testing.T, path string) {
	t.Helper()
	res, body := s.Do(t, http.MethodGet, s.MetricsURL+path, nil, nil)
	if res.StatusCode != http.StatusOK || len(body) == 0 {
		t.Errorf("GET %s: %s, %d bytes", path, res.Status, len(body))
	}
	s.show(path, body)
}

var bootstrapToken = regexp.MustCompile(`pkh_[0-9A-Za-z]{49}`)

// everything collects all that the server and its commands show.
func (s *server) everything(t *testing.T) []source {
	t.Helper()
	for _, path := range []string{"/-/metrics", "/debug/pprof/cmdline", "/debug/pprof/goroutine?debug=2", "/debug/pprof/goroutine?debug=1"} {
		s.get(t, path)
	}
	for _, args := range [][]string{
		{"audit", "export"}, {"audit", "list", "--json"}, {"audit", "verify"}, {"user", "list", "--json"}, {"user", "show", "alice", "--json"},
		{"token", "list", "--user", "alice", "--json"}, {"token", "list", "--user", "admin", "--json"}, {"sa", "list", "--json"}, {"group", "list", "--json"},
		{"grant", "list", "--json"}, {"trust", "list", "--json"}, {"namespace", "list", "--json"}, {"fsck"},
		{"config", "print", "--config", s.config},
	} {
		s.show(fmt.Sprint("packhouse ", args), []byte(s.command(t, args...)))
	}
	_, api := s.Do(t, http.MethodGet, "/-/api/v1/openapi.json", nil, nil)
	s.show("openapi.json", api)
	s.show("config schema", []byte(s.Run(t, s.binary, "config", "schema")))
	open := s.kept(t, "while it is open")
	if s.Place == nil && !slices.ContainsFunc(open, func(f source) bool { return strings.HasPrefix(f.name, "file packhouse.db-wal") && len(f.content) > 0 }) {
		t.Error("the database has no log: what is in it was not searched")
	}
	if err := s.Stop(); err != nil { // writes the last checkpoint, and all lines
		t.Errorf("stop: %v", err)
	}
	log := s.Logs()
	// The one secret that is meant to be shown, once: the administrator's first token.
	admin := bootstrapToken.FindAllString(log, -1)
	if len(admin) != 1 {
		t.Fatalf("%d tokens were printed, want that of the first start alone", len(admin))
	}
	log = bootstrapToken.ReplaceAllString(log, "")
	s.keep("the administrator's first token", admin[0])
	s.show("log", []byte(log))
	return slices.Concat(s.shown, open, s.kept(t, "after the end"))
}

// kept is what the server wrote: files, and what replicas share.
func (s *server) kept(t *testing.T, when string) []source {
	t.Helper()
	all := files(t, s.Data, when)
	for _, r := range s.Replicas {
		if r.Data != s.Data {
			all = append(all, files(t, r.Data, when+", of another replica")...)
		}
	}
	if s.Place == nil {
		return all
	}
	content, err := s.Place.Content(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range content {
		if len(text) == 0 {
			t.Errorf("%s is empty", name)
		}
		all = append(all, source{name + " " + when, text})
	}
	return all
}

// files are those of the data directory: the database and its log, the audit's checkpoints, content.
func files(t *testing.T, dir, when string) []source {
	t.Helper()
	var all []source
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || !e.Type().IsRegular() {
			return err
		}
		content, err := os.ReadFile(path)
		rel, _ := filepath.Rel(dir, path)
		all = append(all, source{"file " + rel + " " + when, content})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}
