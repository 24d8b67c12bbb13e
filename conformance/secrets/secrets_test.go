package secrets

import (
	"crypto/rand"
	"slices"
	"strings"
	"testing"

	"github.com/packhouse/packhouse/conformance/packhouse"
	"github.com/packhouse/packhouse/conformance/rig"
)

// TestSecretsStayInside sends secrets wherever there is a place for one, and finds none of them again.
func TestSecretsStayInside(t *testing.T) {
	t.Parallel()
	for _, format := range []string{"text", "json"} {
		t.Run(format, func(t *testing.T) {
			t.Parallel()
			s := start(t, format)
			s.logIns(t)
			s.accounts(t)
			s.browse(t)
			s.raw(t)
			s.commands(t)
			// What these places are meant to show shows that the search looks at them.
			meant := canaries{}
			name := func(what string) string { return meant.keep(what, strings.ToLower(rand.Text())) }
			s.command(t, "user", "create", name("a user"))
			s.send(t, exchange{"a repository that is not there", "GET", "/v2/" + name("a repository") + "/tags/list", basic("hilda", htpasswdPassword), "", 404})
			sources := s.everything(t)
			database := "file packhouse.db"
			if s.Place != nil {
				database = "dump of PostgreSQL"
			}
			control(t, meant, sources, "a user", "packhouse [user list --json]", "packhouse [audit export]", database)
			control(t, meant, sources, "a repository", "log")
			if len(s.canaries) < 30 {
				t.Errorf("%d secrets were sent, want 30 or more", len(s.canaries))
			}
			for _, leak := range s.leaks(sources) {
				t.Error(leak)
			}
			t.Logf("%d secrets, %d places of %d bytes", len(s.canaries), len(sources), size(sources))
		})
	}
}

// control checks that a value is found where it is meant to be.
func control(t *testing.T, meant canaries, sources []source, what string, places ...string) {
	t.Helper()
	found := strings.Join(canaries{what: meant[what]}.leaks(sources), "\n")
	for _, place := range places {
		if !strings.Contains("\n"+found, "\n"+place) {
			t.Errorf("%s was not found in %s, where it must be: the search does not look there", what, place)
		}
	}
}

func size(sources []source) (n int) {
	for _, s := range sources {
		n += len(s.content)
	}
	return n
}

// commands gives secrets to the commands, where they belong and where they do not.
func (s *server) commands(t *testing.T) {
	t.Helper()
	s.stdin(t, s.password("a second password of alice"), "user", "password", "alice", "--password-stdin")
	s.alice = s.canaries["a second password of alice"]
	path := s.File(t, "token", []byte(s.word("a wrong token in a file")+"\n"))
	s.refused(t, nil, "user", "list", "--server", s.URL, "--token-file", path)
	s.refused(t, []string{"PACKHOUSE_TOKEN=" + s.word("a wrong PACKHOUSE_TOKEN")}, "user", "list", "--server", s.URL)
	s.refused(t, nil, "token", "show", s.canaries["a token for accounts"][:52]+"0", "--data", s.Data)
}

// TestConfiguration: neither print nor an error of check shows what may be a secret.
func TestConfiguration(t *testing.T) {
	t.Parallel()
	binary, err := packhouse.Binary(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	c := canaries{}
	home := &rig.Registry{Home: t.TempDir()}
	home.Env = rig.Environment(t, home.Home)
	for _, tt := range []struct {
		name, config string
		env          []string
		print        bool // it is valid
	}{
		{"storage parameters", "storage: {driver: s3aws, params: {bucket: b, region: r, accesskey: " + c.word("accesskey") + ", secretkey: " + c.word("secretkey") + ", sessiontoken: " + c.word("sessiontoken") + "}}", nil, true},
		{"azure", "storage: {driver: azure, params: {accountname: a, container: c, accountkey: " + c.word("accountkey") + ", credentials: {type: client_secret, secret: " + c.word("nested secret") + "}}}", nil, true},
		{"oidc", "external_url: https://x.example\noidc: {issuer: https://i.example, client_id: c, client_secret: " + c.word("client_secret") + "}", nil, true},
		{"environment", "", []string{"PACKHOUSE_STORAGE__PARAMS__SECRETKEY=" + c.word("secretkey of the environment"), "PACKHOUSE_STORAGE__DRIVER=s3aws", "PACKHOUSE_STORAGE__PARAMS__BUCKET=b", "PACKHOUSE_STORAGE__PARAMS__REGION=r"}, true},
		{"a file", "oidc: {client_secret: x}", []string{"PACKHOUSE_OIDC__CLIENT_SECRET_FILE=" + home.File(t, "secret", []byte(c.word("client_secret of a file")))}, true},
		{"a key that is none", "secrets: {key: " + c.word("a key that is none") + "}", nil, false},
		{"a previous key that is none", "secrets: {previous: " + c.word("a previous key that is none") + "}", nil, false},
		{"a list", "oidc: {client_secret: [" + c.word("client_secret in a list") + "]}", nil, false},
		{"a section", "oidc: {client_secret: {value: " + c.word("client_secret in a section") + "}}", nil, false},
		{"a section that is a secret", "secrets: " + c.word("secrets as a value"), nil, false},
		{"parameters that are a secret", "storage: {driver: s3aws, params: " + c.word("params as a value") + "}", nil, false},
		{"no YAML", "oidc:\n\tclient_secret: " + c.word("client_secret after a tab"), nil, false},
		{"an open quote", "oidc: {client_secret: \"" + c.word("client_secret in an open quote"), nil, false},
		{"twice", "oidc:\n  client_secret: " + c.word("first client_secret") + "\n  client_secret: " + c.word("second client_secret"), nil, false},
		{"a key of the environment", "", []string{"PACKHOUSE_SECRETS__KEY=" + c.word("a key of the environment that is none")}, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := &rig.Registry{Home: home.Home, Env: append(slices.Clone(home.Env), tt.env...)}
			path := r.File(t, "packhouse.yaml", []byte(tt.config+"\n"))
			var shown []source
			for _, command := range []string{"check", "print"} {
				_, both, err := rig.Command(t, r.Home, r.Env, binary, "config", command, "--config", path)
				if (err == nil) != tt.print {
					t.Errorf("config %s: %v, valid is %v\n%s", command, err, tt.print, both)
				}
				if tt.print && command == "print" && !strings.Contains(both, "REDACTED") {
					t.Errorf("config print shows no REDACTED:\n%s", both)
				}
				shown = append(shown, source{"config " + command, []byte(both)})
			}
			for _, leak := range c.leaks(shown) {
				t.Error(leak)
			}
		})
	}
}
