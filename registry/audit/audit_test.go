package audit

import (
	"context"
	"crypto/ed25519"
	"database/sql"
	"fmt"
	"log/slog"
	"path/filepath"
	"testing"
	"time"

	"github.com/packhouse/packhouse/registry"
	"github.com/packhouse/packhouse/storage/meta"
)

// fixture is an audit with its database and directory. Its trail has no loops
// but those that a test starts.
type fixture struct {
	*Trail
	t   *testing.T
	dir string // of the database
	now time.Time
}

// testKey is the same in each test.
func testKey(n byte) ed25519.PrivateKey {
	seed := make([]byte, ed25519.SeedSize)
	seed[0] = n
	return ed25519.NewKeyFromSeed(seed)
}

func testSigner(context.Context) (string, ed25519.PrivateKey, error) { return "k1", testKey(1), nil }

func everybody(context.Context, registry.Verb, registry.Repo) error { return nil }

func setUp(t *testing.T) *fixture {
	t.Helper()
	f := &fixture{t: t, dir: t.TempDir(), now: time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)}
	m, err := meta.Open(t.Context(), meta.Config{Dir: f.dir, Now: func() time.Time { return f.now }})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := m.Close(); err != nil {
			t.Error(err)
		}
	})
	f.Trail = f.trail(m, registry.GateFunc(everybody))
	return f
}

// trail is one without loops.
func (f *fixture) trail(m *meta.Store, gate registry.Gate) *Trail {
	cfg := Config{Meta: m, Gate: gate, Log: slog.New(slog.DiscardHandler), Checkpoints: filepath.Join(f.dir, "audit"), Key: testSigner}
	return &Trail{
		cfg: cfg, meta: m, log: cfg.Log, denials: &Denials{now: m.Now},
		checkpoints: checkpoints{dir: cfg.Checkpoints, key: cfg.Key, meta: m, log: cfg.Log},
	}
}

// again is f as it is after a restart.
func (f *fixture) again() *fixture {
	g := *f
	g.Trail = f.trail(f.meta, f.cfg.Gate)
	return &g
}

func (f *fixture) record(principal string, a ...meta.AuditRecord) {
	f.t.Helper()
	ctx := registry.WithCaller(f.t.Context(), &registry.Caller{
		Principal: principal, Token: "0123456789ab", Subject: "s", Address: "192.0.2.7", Client: "docker/29", Route: "manifest_put", RequestID: "r",
	})
	err := f.meta.Update(ctx, meta.Options{Durable: true}, func(ctx context.Context, tx *meta.Tx) error {
		for _, a := range a {
			if err := tx.Record(ctx, a); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		f.t.Fatal(err)
	}
}

// fill records n changes of some repositories, a minute apart.
func (f *fixture) fill(n, repositories int) {
	f.t.Helper()
	for i := range n {
		f.now = f.now.Add(time.Minute)
		r := 1 + i%repositories
		f.record("user:alice", meta.AuditRecord{
			Action: "manifest.put", Repo: registry.Repo(fmt.Sprintf("acme/app%d", r)), RepoID: int64(r), Namespace: "acme", Tag: "v1",
			Digest: "sha256:new", Before: "sha256:old", Detail: map[string]string{"i": fmt.Sprint(i)},
		})
	}
}

func (f *fixture) writeCheckpoint() {
	f.t.Helper()
	if err := f.checkpoints.write(f.t.Context()); err != nil {
		f.t.Fatal(err)
	}
}

func (f *fixture) verify(keys ...ed25519.PublicKey) Report {
	f.t.Helper()
	r, err := f.Verify(f.t.Context(), VerifyOptions{Keys: keys})
	if err != nil {
		f.t.Fatal(err)
	}
	return r
}

// sql is what whoever has the database file can do.
func (f *fixture) sql() *tamperer {
	f.t.Helper()
	db, err := sql.Open("sqlite", "file:"+filepath.Join(f.dir, "packhouse.db")+"?_pragma=busy_timeout(10000)&_pragma=synchronous(0)")
	if err != nil {
		f.t.Fatal(err)
	}
	db.SetMaxOpenConns(1) // so that BEGIN and COMMIT meet
	f.t.Cleanup(func() { _ = db.Close() })
	return &tamperer{f.t, db}
}

type tamperer struct {
	t  *testing.T
	db *sql.DB
}

func (x *tamperer) exec(query string, args ...any) {
	x.t.Helper()
	if _, err := x.db.ExecContext(x.t.Context(), query, args...); err != nil {
		x.t.Fatalf("%s: %v", query, err)
	}
}

func (x *tamperer) scan(dest []any, query string, args ...any) {
	x.t.Helper()
	if err := x.db.QueryRowContext(x.t.Context(), query, args...).Scan(dest...); err != nil {
		x.t.Fatalf("%s: %v", query, err)
	}
}

// save returns what undoes all that is done afterwards to one chain; "" to all.
func (x *tamperer) save() (restore func(chain string)) {
	x.exec(`CREATE TABLE saved AS SELECT * FROM audit`)
	x.exec(`CREATE TABLE saved_heads AS SELECT * FROM audit_heads`)
	return func(chain string) {
		x.t.Helper()
		where, args := "", []any{}
		if chain != "" {
			where, args = " WHERE chain = ?", []any{chain}
		}
		x.exec(`BEGIN`)
		for table, saved := range map[string]string{"audit": "saved", "audit_heads": "saved_heads"} {
			x.exec(`DELETE FROM `+table+where, args...)
			x.exec(`INSERT INTO `+table+` SELECT * FROM `+saved+where, args...)
		}
		x.exec(`COMMIT`)
	}
}

// rewrite computes all hashes and heads of a chain anew.
func (f *fixture) rewrite(x *tamperer, chain string) {
	f.t.Helper()
	var before []byte
	var rows []*meta.AuditRow
	err := f.meta.AuditChain(f.t.Context(), chain, func(h meta.AuditHead) error { before = h.TrimmedHash; return nil }, func(r *meta.AuditRow) error {
		rows = append(rows, r)
		return nil
	})
	if err != nil {
		f.t.Fatal(err)
	}
	for _, r := range rows {
		before = r.Sum(before)
		x.exec(`UPDATE audit SET hash = ? WHERE id = ?`, before, r.ID)
	}
	x.exec(`UPDATE audit_heads SET hash = ?, seq = ? WHERE chain = ?`, before, rows[len(rows)-1].Seq, chain)
}
