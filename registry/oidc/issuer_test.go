package oidc

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/packhouse/packhouse/registry"
	"github.com/packhouse/packhouse/registry/egress"
	"github.com/packhouse/packhouse/storage/meta"
)

// TestHostileIssuers: an issuer that does not answer as it should vouches for
// nobody, and leads the server nowhere.
func TestHostileIssuers(t *testing.T) {
	t.Parallel()
	const discovery = "/.well-known/openid-configuration"
	tests := []struct {
		name string
		set  func(i, elsewhere *issuerServer)
	}{
		{"discovery redirects elsewhere", func(i, elsewhere *issuerServer) {
			i.on(discovery, func(w http.ResponseWriter, r *http.Request) {
				http.Redirect(w, r, elsewhere.URL+discovery, http.StatusFound)
			})
		}},
		{"discovery redirects to itself", func(i, _ *issuerServer) {
			i.on("/moved", func(w http.ResponseWriter, _ *http.Request) { writeDocument(w, i.usual()) })
			i.on(discovery, func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/moved", http.StatusFound) })
		}},
		{"discovery names another issuer", func(i, elsewhere *issuerServer) {
			i.document = func() any { return with(i.usual(), "issuer", elsewhere.URL) }
		}},
		{"discovery names the issuer with a slash", func(i, _ *issuerServer) {
			i.document = func() any { return with(i.usual(), "issuer", i.URL+"/") }
		}},
		{"discovery names none", func(i, _ *issuerServer) { i.document = func() any { return with(i.usual(), "issuer", nil) } }},
		{"discovery is long", func(i, _ *issuerServer) {
			i.document = func() any { return with(i.usual(), "x", strings.Repeat("x", 10<<20)) }
		}},
		{"discovery is no JSON", func(i, _ *issuerServer) {
			i.on(discovery, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "<html>") })
		}},
		{"discovery is not there", func(i, _ *issuerServer) { i.on(discovery, http.NotFound) }},
		{"discovery is cut", func(i, _ *issuerServer) {
			i.on(discovery, func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
		}},
		{"keys without a URL", func(i, _ *issuerServer) { i.document = func() any { return with(i.usual(), "jwks_uri", nil) } }},
		{"keys in a file", func(i, _ *issuerServer) {
			i.document = func() any { return with(i.usual(), "jwks_uri", "file:///etc/passwd") }
		}},
		{"keys by http", func(i, _ *issuerServer) {
			i.document = func() any { return with(i.usual(), "jwks_uri", "http://keys.example.com/keys") }
		}},
		{"keys at a private address", func(i, _ *issuerServer) {
			i.document = func() any { return with(i.usual(), "jwks_uri", "https://169.254.169.254/latest/meta-data") }
		}},
		{"keys with a user name", func(i, elsewhere *issuerServer) {
			i.document = func() any {
				return with(i.usual(), "jwks_uri", "http://x:y@"+elsewhere.Listener.Addr().String()+"/keys")
			}
		}},
		{"keys redirect", func(i, elsewhere *issuerServer) {
			i.on("/keys", func(w http.ResponseWriter, r *http.Request) {
				http.Redirect(w, r, elsewhere.URL+"/keys", http.StatusFound)
			})
		}},
		{"keys are long", func(i, _ *issuerServer) {
			i.on("/keys", func(w http.ResponseWriter, _ *http.Request) {
				_, _ = fmt.Fprintf(w, `{"keys":[],"x":"%s"}`, strings.Repeat("x", 10<<20))
			})
		}},
		{"keys are many", func(i, _ *issuerServer) {
			var keys []jose.JSONWebKey
			for n := range 150 {
				keys = append(keys, jose.JSONWebKey{Key: rsaKey().Public(), KeyID: fmt.Sprint(n)})
			}
			i.set(append(keys, jose.JSONWebKey{Key: rsaKey().Public(), KeyID: "rsa"})...)
		}},
		{"no keys", func(i, _ *issuerServer) { i.set() }},
		{"keys are null", func(i, _ *issuerServer) {
			i.on("/keys", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, `{"keys":null}`) })
		}},
		{"keys are private", func(i, _ *issuerServer) { i.set(jose.JSONWebKey{Key: rsaKey(), KeyID: "rsa"}) }},
		{"keys are secrets", func(i, _ *issuerServer) { i.set(jose.JSONWebKey{Key: []byte("secret"), KeyID: "rsa"}) }},
		{"keys fail", func(i, _ *issuerServer) {
			i.on("/keys", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusInternalServerError) })
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.trust(githubRule)
			elsewhere := newIssuerServer(t)
			tt.set(w.issuer, elsewhere)
			id := token(t, w.github())
			_, err := w.Exchange(w.caller(), id, Want{}, "")
			if !errors.Is(err, registry.Unavailable) {
				t.Errorf("Exchange: %v, want UNAVAILABLE", err)
			}
			if m := registry.Public(err).Message; strings.Contains(m, w.issuer.URL) || strings.Contains(m, "127.0.0.1") {
				t.Errorf("the client is told where the server went: %s", m)
			}
			if n := elsewhere.asked(); n > 0 {
				t.Errorf("another server was asked: %v", elsewhere.requests)
			}
			// It is not asked for each token that comes along.
			asked := w.issuer.asked()
			for range 10 {
				_, _ = w.Exchange(w.caller(), id, Want{}, "")
			}
			if n := w.issuer.asked(); n > asked {
				t.Errorf("it was asked %d times more", n-asked)
			}
		})
	}
}

func with(o map[string]any, name string, value any) map[string]any {
	return payload(o).with(name, value)
}

func writeDocument(w http.ResponseWriter, v any) {
	writeJSON(w, new(http.Request), 200, v)
}

// TestForbiddenIssuer: what a rule names is still not to be reached if it is
// on a network that egress forbids.
func TestForbiddenIssuer(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(c *Config) { c.Egress = &egress.Dialer{} })
	w.trust(githubRule)
	if _, err := w.Exchange(w.caller(), token(t, w.github()), Want{}, ""); !errors.Is(err, registry.Unavailable) {
		t.Errorf("Exchange: %v, want UNAVAILABLE", err)
	}
	if n := w.issuer.asked(); n > 0 {
		t.Errorf("it was asked %d times", n)
	}
}

// TestPlainIssuer: http is for this machine alone.
func TestPlainIssuer(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]bool{
		"https://issuer.example.com": true, "https://issuer.example.com/realms/x": true, "http://127.0.0.1:8080": true, "http://localhost/x": true, "http://[::1]:80": true,
		"http://issuer.example.com": false, "http://127.0.0.1.example.com": false, "http://10.0.0.1": false, "ftp://127.0.0.1": false, "https://": false, "issuer.example.com": false,
		"https://a:b@issuer.example.com": false, "https://issuer.example.com/#x": false, "": false, "http://localhost.example.com": false, "://": false,
	} {
		if err := checkEndpoint("issuer", text); (err == nil) != want {
			t.Errorf("checkEndpoint(%q): %v", text, err)
		}
	}
}

// TestKeysChange follows an issuer that changes its keys.
func TestKeysChange(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.trust(githubRule)
	fresh := func(key any, kid string) string { return sign(t, jose.RS256, key, kid, w.github()) }
	try := func(what, token string, want error) {
		t.Helper()
		if _, err := w.Exchange(w.caller(), token, Want{}, ""); !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", what, err, want)
		}
	}
	asked := func(what string, want int) {
		t.Helper()
		if n := w.issuer.asked(); n != want {
			t.Errorf("%s: the issuer was asked %d times, want %d", what, n, want)
		}
	}
	w.issuer.set(jose.JSONWebKey{Key: rsaKey().Public(), KeyID: "a"})
	try("first key", fresh(rsaKey(), "a"), nil)
	asked("first key", 2)

	// Another key under the same name is not the key that we know.
	w.issuer.set(jose.JSONWebKey{Key: otherKey().Public(), KeyID: "a"})
	try("swapped key", fresh(otherKey(), "a"), registry.Unauthorized)
	asked("swapped key", 2)

	// A new name is asked for, not more than twice a minute.
	w.issuer.set(jose.JSONWebKey{Key: rsaKey().Public(), KeyID: "a"}, jose.JSONWebKey{Key: otherKey().Public(), KeyID: "b"})
	try("too soon", fresh(otherKey(), "b"), registry.Unauthorized)
	asked("too soon", 2)
	w.clock.pass(minInterval)
	try("second key", fresh(otherKey(), "b"), nil)
	asked("second key", 4)
	for n := range 20 {
		try("a key that never was", fresh(weakKey(), fmt.Sprint("x", n)), registry.Unauthorized)
	}
	asked("keys that never were", 4)

	// While it is away, what is known holds for a while, and not for ever.
	w.issuer.on("/keys", http.NotFound)
	w.clock.pass(minInterval)
	try("unknown while away", fresh(weakKey(), "y"), registry.Unauthorized)
	asked("unknown while away", 6)
	try("known while away", fresh(rsaKey(), "a"), nil)
	w.clock.pass(maxAge)
	try("known, but old", fresh(rsaKey(), "a"), registry.Unavailable)
	w.issuer.on("/keys", nil)
	w.issuer.set(jose.JSONWebKey{Key: otherKey().Public(), KeyID: "b"})
	w.clock.pass(minInterval)
	try("withdrawn", fresh(rsaKey(), "a"), registry.Unauthorized)
	try("still there", fresh(otherKey(), "b"), nil)
}

// TestOneFetch: tokens that come together share one look at the issuer, and
// one that gives up does not spoil it for the others.
func TestOneFetch(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.trust(githubRule)
	release, arrived := make(chan struct{}), make(chan struct{}, 1)
	w.issuer.on("/keys", func(rw http.ResponseWriter, r *http.Request) {
		arrived <- struct{}{}
		<-release
		w.issuer.on("/keys", nil)
		w.issuer.ServeHTTP(rw, r)
	})
	id := token(t, w.github())
	first, leave := context.WithCancel(w.caller())
	var wg sync.WaitGroup
	wg.Go(func() { _, _ = w.Exchange(first, id, Want{}, "") })
	<-arrived
	var good atomic.Int64
	for range 20 {
		wg.Go(func() {
			if _, err := w.Exchange(w.caller(), id, Want{}, ""); err == nil {
				good.Add(1)
			} else {
				t.Error(err)
			}
		})
	}
	leave()
	close(release)
	wg.Wait()
	if n := w.issuer.asked(); n != 3 || good.Load() != 20 { // the keys' handler calls the server once more
		t.Errorf("the issuer was asked %d times, %d exchanges", n, good.Load())
	}
}

func TestNewRefuses(t *testing.T) {
	t.Parallel()
	for name, cfg := range map[string]Config{
		"no URL":       {External: "packages"},
		"no client":    {External: home, People: Provider{Issuer: "https://id.example.com"}},
		"no way back":  {People: Provider{Issuer: "https://id.example.com", ClientID: "x"}},
		"plain issuer": {External: home, People: Provider{Issuer: "http://id.example.com", ClientID: "x"}},
	} {
		cfg.Egress, cfg.Meta, cfg.Now = &egress.Dialer{}, new(meta.Store), time.Now
		if _, err := New(cfg); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
}
