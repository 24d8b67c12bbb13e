package consistency

import (
	"net/http"
	"strings"
	"testing"
	"time"
)

// TestStaleReads lets replicas answer from memory while PostgreSQL is away. Such an answer is the last one that was
// validated and says that it is stale; what memory does not have, and every change, is 503.
func TestStaleReads(t *testing.T) {
	d := deploy(t, setup{env: []string{"PACKHOUSE_DATABASE__STALE_READS=1m"}})
	if d.services == nil {
		t.Skip("one process over SQLite has no PostgreSQL")
	}
	c := newClient(time.Minute)
	defer c.close()
	images := d.stock(t, c, 5)
	known, unread := images[:4], images[4]
	read := func(via *replica, one pushed) *answer {
		t.Helper()
		a, err := c.do(t.Context(), http.MethodGet, manifestURL(via.url, one.repo, one.tag), accept(), nil)
		if err != nil {
			t.Fatal(err)
		}
		if a.ok() && digestOf(a.body) != one.digest {
			t.Errorf("%s: %s, want %s", a.to, digestOf(a.body), one.digest)
		}
		return a
	}
	for _, via := range d.replicas {
		for _, one := range known {
			if a := read(via, one); !a.ok() || a.header.Get("Warning") != "" {
				t.Errorf("when all is well: Warning %q, %s", a.header.Get("Warning"), a)
			}
		}
	}
	if err := d.services.Postgres.Stop(); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		for _, via := range d.replicas {
			for _, one := range known {
				if a := read(via, one); !a.ok() || !strings.HasPrefix(a.header.Get("Warning"), "110 ") || a.took > answerTime {
					t.Errorf("while PostgreSQL is away: Warning %q after %s, %s", a.header.Get("Warning"), a.took, a)
				}
			}
			for _, a := range []*answer{read(via, unread), write(t, c, via, known[0])} {
				if err := unavailable(a); err != nil {
					t.Error(err)
				}
			}
		}
	}
	if err := d.startPostgres(t.Context()); err != nil {
		t.Fatal(err)
	}
	d.recovers(t, c)
	for _, via := range d.replicas {
		for _, one := range images {
			if a := read(via, one); !a.ok() || a.header.Get("Warning") != "" {
				t.Errorf("when PostgreSQL is back: Warning %q, %s", a.header.Get("Warning"), a)
			}
		}
	}
}

func write(t *testing.T, c *client, via *replica, one pushed) *answer {
	t.Helper()
	a, err := c.putManifest(t.Context(), via.url, one.repo, "other", one.manifest, nil)
	if err != nil {
		t.Fatal(err)
	}
	return a
}
