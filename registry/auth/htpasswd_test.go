package auth

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/bcrypt"

	"github.com/packhouse/packhouse/registry"
	"github.com/packhouse/packhouse/storage/meta"
)

func bcrypted(tb testing.TB, password string) string {
	tb.Helper()
	h, err := bcrypt.GenerateFromPassword([]byte(password), bcrypt.MinCost)
	if err != nil {
		tb.Fatal(err)
	}
	return strings.Replace(string(h), "$2a$", "$2y$", 1) // as htpasswd writes it
}

func TestParseHtpasswd(t *testing.T) {
	t.Parallel()
	hash := bcrypted(t, "x")
	const tail = "abcdefghijklmnopqrstuuABCDEFGHIJKLMNOPQRSTUVWXYZabcde"
	tests := []struct{ name, text, want string }{
		{"empty", "", ""},
		{"users", "# people\n\nalice:" + hash + "\r\nbob:" + hash + "\n", ""},
		{"no hash", "alice\n", "line 1 is not USER:HASH"},
		{"apr1", "alice:" + hash + "\nbob:$apr1$abc$defghijklmnopqrstuvwx/\n", `line 2: the hash of "bob" is not bcrypt's: make it with htpasswd -B`},
		{"SHA-1", "bob:{SHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g=\n", `line 1: the hash of "bob" is not bcrypt's: make it with htpasswd -B`},
		{"plain", "bob:secret\n", `line 1: the hash of "bob" is not bcrypt's: make it with htpasswd -B`},
		{"cut", "bob:" + hash[:59] + "\n", `line 1: the hash of "bob" is not bcrypt's: make it with htpasswd -B`},
		{"dear", "bob:$2y$16$" + tail + "\n", `line 1: the hash of "bob" has cost 16, the limit is 15`},
		{"twice", "bob:" + hash + "\nbob:" + hash + "\n", `line 2: "bob" is there twice`},
		{"name", "Bob B:" + hash + "\n", `line 1: "Bob B" cannot be the name of a user here: use 1 to 64 of a-z, 0-9, '.', '_', '@', '+' and '-'`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, _, err := parseHtpasswd([]byte(tt.text))
			if got := ""; err != nil {
				if got = err.Error(); got != tt.want {
					t.Errorf("error %q, want %q", got, tt.want)
				}
			} else if tt.want != "" {
				t.Errorf("no error, want %q", tt.want)
			}
		})
	}
}

func TestHtpasswd(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "htpasswd")
	age := time.Now().Add(-time.Hour)
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		age = age.Add(time.Minute)
		if err := os.Chtimes(path, age, age); err != nil {
			t.Fatal(err)
		}
	}
	long := strings.Repeat("a", bcryptPassword)
	write("carol:" + bcrypted(t, "secret") + "\nalice:" + bcrypted(t, "other") + "\nlong:" + bcrypted(t, long) + "\n")
	e := newEntrance(t, func(c *Config) { c.Htpasswd = path })
	alice := e.user("alice", "secret")
	again := func() { // as if a second had passed
		e.login.htpasswd.mu.Lock()
		e.login.htpasswd.looked = time.Time{}
		e.login.htpasswd.mu.Unlock()
	}
	good := func(user, password string) *Identity {
		t.Helper()
		id, err := e.password(user, password)
		if err != nil {
			t.Fatalf("%s: %v", user, err)
		}
		return id
	}
	bad := func(user, password string) {
		t.Helper()
		if _, err := e.password(user, password); !errors.Is(err, registry.Unauthorized) {
			t.Errorf("%s: %v, want UNAUTHORIZED", user, err)
		}
	}
	bad("carol", "wrong")
	if _, err := e.store.Principal(t.Context(), meta.KindUser, "carol"); !errors.Is(err, meta.ErrNotFound) {
		t.Errorf("a wrong password made a user: %v", err)
	}
	id := good("carol", "secret")
	row, err := e.store.Principal(t.Context(), meta.KindUser, "carol")
	if err != nil || row.Source != sourceHtpasswd || row.Password != "" || row.ID != id.ID {
		t.Errorf("row %+v, %v", row, err)
	}
	good("long", long)
	bad("long", long+"b") // bcrypt does not look at the b
	bad("nobody", "secret")
	bad("alice", "other") // her name is here, so the file is not asked
	if got := good("alice", "secret"); got.ID != alice.ID {
		t.Errorf("alice is %d, want %d", got.ID, alice.ID)
	}

	// Another password in the file: the old one dies with the next change of
	// rights, or when it is forgotten.
	write("carol:" + bcrypted(t, "new") + "\n")
	again()
	good("carol", "new")
	e.user("dave", "x")
	bad("carol", "secret")
	// A file that does not parse changes nothing.
	write("carol\n")
	again()
	e.user("erin", "x")
	good("carol", "new")
	// Who is not in the file any more is out; disabled here is out, too.
	write("# empty\n")
	again()
	e.user("frank", "x")
	bad("carol", "new")
	write("carol:" + bcrypted(t, "new") + "\n")
	again()
	good("carol", "new")
	e.change(func(ctx context.Context, tx *meta.Tx) error { return tx.SetDisabled(ctx, row.ID, true) })
	bad("carol", "new")

	if _, err := newHtpasswd(filepath.Join(t.TempDir(), "none"), e.log); err == nil {
		t.Error("a file that is not there is taken")
	}
}

// TestUnknownCostsTheSame: whatever fails, one bcrypt and one argon2 hash were
// computed: who is where cannot be told by the clock.
func TestUnknownCostsTheSame(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "htpasswd")
	if err := os.WriteFile(path, []byte("carol:"+bcrypted(t, "secret")+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	e := newEntrance(t, func(c *Config) { c.Htpasswd = path })
	e.user("alice", "secret")
	e.add(meta.Principal{Kind: meta.KindUser, Name: "sso", Source: "oidc", External: "x"})
	for _, user := range []string{"alice", "carol", "nobody", "sso"} {
		before := e.login.hashes.ran.Load()
		if _, err := e.password(user, "wrong"); !errors.Is(err, registry.Unauthorized) {
			t.Errorf("%s: %v", user, err)
		}
		if got := e.login.hashes.ran.Load() - before; got != 2 {
			t.Errorf("%s: %d hashes, want 2", user, got)
		}
	}
}

// TestEnrolRace: a local user who is made while somebody logs in by another
// source keeps the name.
func TestEnrolRace(t *testing.T) {
	t.Parallel()
	e := newEntrance(t)
	e.user("alice", "secret")
	_, err := e.enrol(t.Context(), sourceHtpasswd, meta.Principal{}, "alice", nil)
	if !errors.Is(err, registry.Unauthorized) {
		t.Errorf("error is %v, want UNAUTHORIZED", err)
	}
}
