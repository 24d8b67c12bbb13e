package consistency

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"regexp"
	"testing"
	"time"
)

// TestRollingRestart stops and starts one replica after the other while clients push and pull through a balancer that
// knows which replicas are ready. No request fails.
func TestRollingRestart(t *testing.T) {
	d := deploy(t, setup{env: []string{"PACKHOUSE_SHUTDOWN__DELAY=500ms", "PACKHOUSE_TRUSTED_PROXIES=127.0.0.1"}})
	if d.services == nil {
		t.Skip("one process over SQLite cannot be replaced")
	}
	b := balance(t, d)
	// The clients know one address alone.
	behind := &deployment{replicas: []*replica{{url: b.url}}}
	c := newClient(time.Minute)
	defer c.close()
	log := newLoad(never)
	var took []time.Duration
	behind.underLoad(t, c, log, func(context.Context) {
		for round := range size(2, 10) {
			for _, r := range d.replicas {
				log.begin(fmt.Sprintf("round %d, replica %d", round+1, r.number))
				begin := time.Now()
				if err := r.stop(); err != nil {
					t.Error(err)
				}
				took = append(took, time.Since(begin).Round(time.Millisecond))
				if err := r.start(t.Context()); err != nil {
					t.Fatal(err)
				}
				if err := d.settle(t.Context()); err != nil {
					t.Error(err)
				}
				<-time.After(2 * probes)
			}
		}
	})
	t.Logf("%d restarts; a replica stopped in %v, its %s of notice included", len(took), took, 500*time.Millisecond)
}

var tokenForm = regexp.MustCompile(`pkh_[A-Za-z0-9_]+`)

// guarded starts two replicas at once that ask for credentials, on an empty database, and returns the administrator's
// token that one of them printed.
func guarded(t *testing.T) (*deployment, string) {
	t.Helper()
	d := deploy(t, setup{args: []string{"--auth", "on"}})
	var found []string
	for _, r := range d.replicas {
		found = append(found, tokenForm.FindAllString(r.server.Logs(), -1)...)
	}
	if len(found) != 1 {
		t.Fatalf("the replicas printed %d tokens, want one", len(found))
	}
	return d, found[0]
}

// TestOneBootstrapToken starts two replicas at once on an empty database: one of them prints the administrator's token,
// and both take it.
func TestOneBootstrapToken(t *testing.T) {
	for range size(2, 10) {
		d, token := guarded(t)
		c := newClient(time.Minute)
		for _, via := range d.replicas {
			a, err := c.do(t.Context(), http.MethodGet, via.url+"/-/api/v1/whoami", bearer(token), nil)
			if err != nil || a.status != http.StatusOK {
				t.Errorf("replica %d does not take the token: %v %v", via.number, a, err)
			}
		}
		c.close()
	}
}

// revokeTime is within what a revoked token is refused everywhere.
const revokeTime = 5 * time.Second

// TestRevoke makes tokens by one replica, uses them by the other, takes them back by the first, and measures how long the
// other still takes them; likewise a right that is taken from a user.
func TestRevoke(t *testing.T) {
	d, admin := guarded(t)
	c := newClient(time.Minute)
	defer c.close()
	api := func(via *replica, method, path string, body any) *answer {
		t.Helper()
		content, err := json.Marshal(body)
		if err != nil {
			t.Fatal(err)
		}
		h := bearer(admin)
		h.Set("Content-Type", "application/json")
		if body == nil {
			content = nil
		}
		a, err := c.do(t.Context(), method, via.url+"/-/api/v1"+path, h, content)
		if err != nil || !a.ok() {
			t.Fatalf("%v %v", a, err)
		}
		return a
	}
	type object = map[string]any
	api(d.at(0), http.MethodPost, "/services", object{"service": "ci"})
	api(d.at(1), http.MethodPost, "/namespaces", object{"namespace": "acme", "visibility": "private"})
	var slowest time.Duration
	rounds := size(5, 50)
	for i := range rounds {
		by, other := d.at(i), d.at(i+1)
		var grant struct{ ID int64 }
		var token struct{ ID, Secret string }
		decode(t, api(by, http.MethodPost, "/grants", object{"subject": "service:ci", "role": "publisher", "namespace": "acme"}), &grant)
		decode(t, api(by, http.MethodPost, "/tokens", object{"owner": "service:ci", "name": fmt.Sprint("t", i), "ttl": "1d"}), &token)
		use := func(via *replica) int {
			a, err := c.do(t.Context(), http.MethodPost, via.url+"/v2/acme/app/blobs/uploads/?digest="+digestOf(config), with(bearer(token.Secret), octets()), config)
			if err != nil {
				t.Fatal(err)
			}
			return a.status
		}
		for range 3 { // until it is kept in memory, if it is
			if got := use(other); got != http.StatusCreated {
				t.Fatalf("a push with a token made by the other replica: %d", got)
			}
		}
		path, want := "/tokens/"+token.ID, http.StatusUnauthorized
		if i%2 == 1 {
			path, want = fmt.Sprint("/grants/", grant.ID), http.StatusForbidden
		}
		api(by, http.MethodDelete, path, nil)
		begin := time.Now()
		if err := eventually(t.Context(), revokeTime, func() error {
			for _, via := range d.replicas {
				if got := use(via); got != want {
					return fmt.Errorf("replica %d answers %d, want %d", via.number, got, want)
				}
			}
			return nil
		}); err != nil {
			t.Errorf("round %d: %v", i, err)
		}
		slowest = max(slowest, time.Since(begin))
		if want == http.StatusUnauthorized {
			api(by, http.MethodDelete, fmt.Sprint("/grants/", grant.ID), nil)
		}
	}
	t.Logf("%d tokens and grants taken back: refused by both replicas after %s at most", rounds, slowest.Round(time.Millisecond))
}

func decode(t *testing.T, a *answer, to any) {
	t.Helper()
	if err := json.Unmarshal(a.body, to); err != nil {
		t.Fatalf("%v: %s", err, a)
	}
}

func bearer(token string) http.Header { return http.Header{"Authorization": {"Bearer " + token}} }

// with adds the fields of more to h.
func with(h, more http.Header) http.Header {
	maps.Copy(h, more)
	return h
}
