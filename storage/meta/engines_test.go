package meta

import (
	"context"
	"testing"
	"time"

	"github.com/packhouse/packhouse/storage/meta/metatest"
)

// place is where a test's database is.
type place struct {
	name   string
	config Config
	truth  string // a literal of type boolean
}

func (p place) postgres() bool { return p.name == "PostgreSQL" }

// open opens it, once more if it was before.
func (p place) open(t *testing.T) *Store {
	t.Helper()
	s, err := Open(t.Context(), p.config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// fresh is p with an empty database.
func (p place) fresh(t *testing.T) place {
	t.Helper()
	if p.postgres() {
		p.config.URL = newPostgres(t)
	} else {
		p.config.Dir = t.TempDir()
	}
	return p
}

// with is its configuration with another clock.
func (p place) with(now func() time.Time) Config {
	c := p.config
	c.Now = now
	return c
}

// places are one of each kind; fresh makes a database there.
func places() []place {
	return []place{{name: "SQLite", truth: "1"}, {name: "PostgreSQL", truth: "true", config: Config{Connections: 4}}}
}

// newPostgres is the URL of a database with the present schema and no rows.
func newPostgres(tb testing.TB) string {
	tb.Helper()
	return metatest.Prepared(tb, func(url string) error {
		s, err := Open(context.Background(), Config{URL: url})
		if err != nil {
			return err
		}
		return s.Close()
	})
}
