package auth

import (
	"crypto/ed25519"
	"crypto/x509"
	"log/slog"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/packhouse/packhouse/registry"
	"github.com/packhouse/packhouse/registry/seal"
	"github.com/packhouse/packhouse/storage/meta"
)

// twin is another service over the same store, as another process has.
func (e *entrance) twin() *Service {
	e.t.Helper()
	s, err := New(e.t.Context(), e.cfg)
	if err != nil {
		e.t.Fatal(err)
	}
	e.t.Cleanup(func() {
		if err := s.Close(); err != nil {
			e.t.Error(err)
		}
	})
	return s
}

// The mutation that turns this red: take the token out of the transaction that
// asks Tx.Bootstrap and whether there is an administrator.
func TestTwoThatStartAtOnceMakeOneAdministrator(t *testing.T) {
	t.Parallel()
	const rounds = 50
	box, err := seal.New(seal.GenerateKey())
	if err != nil {
		t.Fatal(err)
	}
	start := func(dir string, n int) (*meta.Store, []*Service) {
		store, err := meta.Open(t.Context(), meta.Config{Dir: dir})
		if err != nil {
			t.Fatal(err)
		}
		list := make([]*Service, n)
		for i := range list {
			if list[i], err = New(t.Context(), Config{Meta: store, Seal: box, Log: slog.New(slog.DiscardHandler), Poll: time.Hour}); err != nil {
				t.Fatal(err)
			}
		}
		return store, list
	}
	stop := func(store *meta.Store, list []*Service) {
		for _, s := range list {
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		}
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	}
	empty := t.TempDir() // made once: the schema takes its time
	stop(start(empty, 1))
	for range rounds {
		dir := t.TempDir()
		if err := os.CopyFS(dir, os.DirFS(empty)); err != nil {
			t.Fatal(err)
		}
		store, both := start(dir, 2)
		var secrets [2]string
		var wg sync.WaitGroup
		for i, s := range both {
			wg.Go(func() {
				secret, made, err := s.Bootstrap(t.Context())
				if err != nil || made != (secret != "") {
					t.Errorf("got %v, %v", made, err)
				}
				secrets[i] = secret
			})
		}
		wg.Wait()
		if secrets[0] != "" && secrets[1] != "" || secrets[0]+secrets[1] == "" {
			t.Fatalf("secrets were made: %v, %v", secrets[0] != "", secrets[1] != "")
		}
		rows, err := store.AccessRows(t.Context())
		if err != nil || len(rows.Principals) != 1 || len(rows.Grants) != 1 || rows.Tokens != 1 {
			t.Fatalf("left %+v, %v", rows, err)
		}
		stop(store, both)
	}
}

func TestBootstrap(t *testing.T) {
	t.Parallel()
	e := newEntrance(t)
	secret, made, err := e.Bootstrap(t.Context())
	if err != nil || !made {
		t.Fatalf("got %v, %v", made, err)
	}
	id := e.by(secret)
	if id.String() != "user:admin" || e.gate.Can(e.as(id), registry.Admin, "") != nil {
		t.Errorf("%s may not administer", id)
	}
	k, err := e.Token(e.as(id), id.Token)
	if err != nil || k.Name != "bootstrap" || !k.Expires.Equal(e.now().Add(90*day)) {
		t.Errorf("token %+v, %v", k, err)
	}
	for _, password := range []string{"", "admin", "password"} {
		if _, err := e.password("admin", password); err == nil {
			t.Errorf("the first administrator logs in with %q", password)
		}
	}
	e.must(e.admin("root").Err())
	e.must(e.DeleteUser(e.operator(), "admin"))
	if secret, made, err := e.Bootstrap(t.Context()); err != nil || made || secret != "" {
		t.Errorf("again: %v, %v", made, err)
	}
}

func TestBootstrapWhereThereIsSomebody(t *testing.T) {
	t.Parallel()
	e := newEntrance(t)
	e.admin("root")
	if _, made, err := e.Bootstrap(t.Context()); err != nil || made {
		t.Errorf("with an administrator: %v, %v", made, err)
	}
	e = newEntrance(t)
	e.must(e.CreateUser(e.operator(), Account{Name: "admin", Password: "correct horse"}))
	secret, made, err := e.Bootstrap(t.Context())
	if err != nil || !made {
		t.Fatalf("with a user admin: %v, %v", made, err)
	}
	if id := e.by(secret); id.Name != "admin-2" {
		t.Errorf("the administrator is %s", id)
	}
	if err := e.gate.Can(e.asUser("admin"), registry.Admin, ""); err == nil {
		t.Error("a user became administrator by its name")
	}
}

func TestSigningKey(t *testing.T) {
	t.Parallel()
	e := newEntrance(t)
	var ids [16]string
	var wg sync.WaitGroup
	services := [2]*Service{e.Service, e.twin()}
	for i := range ids {
		wg.Go(func() {
			id, key, err := services[i%2].SigningKey(t.Context(), "checkpoint")
			if err != nil || !ed25519.Verify(key.Public().(ed25519.PublicKey), []byte("text"), ed25519.Sign(key, []byte("text"))) {
				t.Errorf("got %v", err)
			}
			ids[i] = id
		})
	}
	wg.Wait()
	for _, id := range ids {
		if id != ids[0] || id == "" {
			t.Fatalf("got keys %v", ids)
		}
	}
	list, err := e.PublicKeys(t.Context(), "checkpoint")
	if err != nil || len(list) != 1 || list[0].ID != ids[0] || list[0].Private != nil {
		t.Fatalf("public keys: %+v, %v", list, err)
	}
	public, err := x509.ParsePKIXPublicKey(list[0].Public)
	e.must(err)
	_, key, err := e.twin().SigningKey(t.Context(), "checkpoint")
	if err != nil || !key.Public().(ed25519.PublicKey).Equal(public) {
		t.Errorf("the key that was read again is another: %v", err)
	}
	if id, _, err := e.SigningKey(t.Context(), "other"); err != nil || id == ids[0] {
		t.Errorf("one key for two purposes: %v", err)
	}
}

func TestReseal(t *testing.T) {
	t.Parallel()
	first, second := seal.GenerateKey(), seal.GenerateKey()
	boxed := func(keys ...[]byte) *seal.Box {
		b, err := seal.New(keys...)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	store, err := meta.Open(t.Context(), meta.Config{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	})
	start := func(b *seal.Box) (*Service, error) {
		s, err := New(t.Context(), Config{Meta: store, Seal: b, Log: slog.New(slog.DiscardHandler), Poll: time.Hour})
		if err == nil {
			t.Cleanup(func() {
				if err := s.Close(); err != nil {
					t.Error(err)
				}
			})
		}
		return s, err
	}
	s, err := start(boxed(first))
	if err != nil {
		t.Fatal(err)
	}
	id, _, err := s.SigningKey(t.Context(), jwtPurpose)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := start(boxed(second)); err == nil {
		t.Error("a service started without the key")
	}
	if s, err = start(boxed(second, first)); err != nil {
		t.Fatal(err)
	}
	for _, want := range []int{1, 0} {
		if n, err := s.Reseal(t.Context()); err != nil || n != want {
			t.Errorf("sealed %d anew, %v, want %d", n, err, want)
		}
	}
	if s, err = start(boxed(second)); err != nil {
		t.Fatalf("after the change of keys: %v", err)
	}
	if now, _, err := s.SigningKey(t.Context(), jwtPurpose); err != nil || now != id {
		t.Errorf("key %s, %v, want %s", now, err, id)
	}
}
