package audit

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/packhouse/packhouse/registry"
	"github.com/packhouse/packhouse/storage/meta"
)

// The mutations that turn this red: leave any field out of AuditRow.Sum, or
// any comparison out of verification.chain.
func TestTamperingIsFound(t *testing.T) {
	t.Parallel()
	f := setUp(t)
	f.fill(1000, 20)
	x := f.sql()
	restore := x.save()
	if r := f.verify(); !r.OK() || r.Records != 1000 || r.Chains != 20 || r.Uncovered != 1000 {
		t.Fatalf("before: %+v", r)
	}
	random := rand.New(rand.NewPCG(1, 2))
	row := func() (chain string, seq int64, id int) {
		id = 1 + random.IntN(1000)
		x.scan([]any{&chain, &seq}, `SELECT chain, seq FROM audit WHERE id = ?`, id)
		return chain, seq, id
	}
	type tampering func() (chain string, firstBad int64)
	column := func(name, to string) tampering {
		return func() (string, int64) {
			chain, seq, id := row()
			x.exec(`UPDATE audit SET `+name+` = `+to+` WHERE id = ?`, id)
			return chain, seq
		}
	}
	tests := map[string]tampering{
		"delete": func() (string, int64) {
			chain, seq, id := row()
			x.exec(`DELETE FROM audit WHERE id = ?`, id)
			return chain, seq
		},
		"delete and close the gap": func() (string, int64) {
			chain, seq, id := row()
			x.exec(`DELETE FROM audit WHERE id = ?`, id)
			x.exec(`UPDATE audit SET seq = -seq WHERE chain = ? AND seq > ?`, chain, seq)
			x.exec(`UPDATE audit SET seq = -seq - 1 WHERE chain = ? AND seq < 0`, chain)
			return chain, seq // for the last of a chain, what the head tells of
		},
		"swap positions": func() (string, int64) {
			chain, seq, id := row()
			other := 1 + seq%50 // any other of the fifty
			x.exec(`UPDATE audit SET seq = -1 WHERE id = ?`, id)
			x.exec(`UPDATE audit SET seq = ? WHERE chain = ? AND seq = ?`, seq, chain, other)
			x.exec(`UPDATE audit SET seq = ? WHERE id = ?`, other, id)
			return chain, min(seq, other)
		},
		"swap ids": func() (string, int64) {
			chain, seq, id := row()
			other := 1 + seq%50
			var otherID int
			x.scan([]any{&otherID}, `SELECT id FROM audit WHERE chain = ? AND seq = ?`, chain, other)
			x.exec(`UPDATE audit SET id = -1 WHERE id = ?`, id)
			x.exec(`UPDATE audit SET id = ? WHERE id = ?`, id, otherID)
			x.exec(`UPDATE audit SET id = ? WHERE id = -1`, otherID)
			return chain, min(seq, other)
		},
		"truncate": func() (string, int64) {
			chain, seq, _ := row()
			x.exec(`DELETE FROM audit WHERE chain = ? AND seq >= ?`, chain, seq)
			return chain, seq
		},
		"roll back the head": func() (string, int64) {
			chain, seq, _ := row()
			seq = min(seq, 49)
			x.exec(`UPDATE audit_heads SET seq = ?, hash = (SELECT hash FROM audit WHERE chain = ?2 AND seq = ?1) WHERE chain = ?2`, seq, chain)
			return chain, seq + 1
		},
		"another hash in the head": func() (string, int64) {
			chain, _, _ := row()
			x.exec(`UPDATE audit_heads SET hash = x'00' WHERE chain = ?`, chain)
			return chain, 50
		},
		"no head": func() (string, int64) {
			chain, _, _ := row()
			x.exec(`DELETE FROM audit_heads WHERE chain = ?`, chain)
			return chain, 1
		},
		"a head of another type": func() (string, int64) {
			chain, _, _ := row()
			x.exec(`UPDATE audit_heads SET seq = 'x' WHERE chain = ?`, chain)
			return chain, 1
		},
		"cut the beginning off as retention does": func() (string, int64) {
			chain, seq, _ := row()
			x.exec(`UPDATE audit_heads SET trimmed_seq = ?1, trimmed_hash = (SELECT hash FROM audit WHERE chain = ?2 AND seq = ?1) WHERE chain = ?2`, seq, chain)
			x.exec(`DELETE FROM audit WHERE chain = ? AND seq <= ?`, chain, seq)
			return chain, 1
		},
		"put one in": func() (string, int64) {
			chain, seq, id := row()
			x.exec(`UPDATE audit SET seq = -seq WHERE chain = ? AND seq >= ?`, chain, seq)
			x.exec(`UPDATE audit SET seq = -seq + 1 WHERE chain = ? AND seq < 0`, chain)
			x.exec(`INSERT INTO audit SELECT 2000, chain, ?, at, action, 'user:bob', token, subject, address, client, route, request_id,
				repository_id, repository, namespace, tag, digest, digest_before, detail, hash FROM audit WHERE id = ?`, seq, id)
			return chain, seq
		},
		"edit and rehash one": func() (string, int64) {
			chain, seq, id := row()
			x.exec(`UPDATE audit SET principal = 'user:bob' WHERE id = ?`, id)
			list, err := f.meta.Audit(t.Context(), meta.AuditFilter{Order: meta.AuditCommitted, After: int64(id) - 1, Limit: 1})
			if err != nil {
				t.Fatal(err)
			}
			var before []byte
			if seq > 1 {
				x.scan([]any{&before}, `SELECT hash FROM audit WHERE chain = ? AND seq = ?`, chain, seq-1)
			}
			x.exec(`UPDATE audit SET hash = ? WHERE id = ?`, list[0].Sum(before), id)
			if seq == 50 {
				return chain, seq // the head's hash
			}
			return chain, seq + 1
		},
		"edit to another type": column("at", "'yesterday'"),
		"edit id":              column("id", "id + 5000"),
		"edit at":              column("at", "at - 1"),
		"edit repository_id":   column("repository_id", "repository_id + 1"),
		"edit hash":            column("hash", "zeroblob(32)"),
	}
	for _, c := range []string{"action", "principal", "token", "subject", "address", "client", "route", "request_id", "repository", "namespace", "tag", "digest", "digest_before", "detail"} {
		tests["edit "+c] = column(c, c+" || 'x'")
		tests["empty "+c] = column(c, "''")
	}
	for name, tamper := range tests {
		chain, seq := tamper()
		r := f.verify()
		want := []Problem{{Chain: chain, Seq: seq}}
		if diff := cmp.Diff(want, r.Problems, cmpopts.IgnoreFields(Problem{}, "ID", "Message")); diff != "" {
			t.Errorf("%s: problems (-want +got):\n%s%+v", name, diff, r.Problems)
		}
		restore(chain)
	}
	// A record moved to another chain is missing in the one, too much in the other.
	x.exec(`UPDATE audit SET chain = 'r9', seq = 51 WHERE id = 500`)
	if r := f.verify(); len(r.Problems) != 2 {
		t.Errorf("moved to another chain: %+v", r)
	}
	restore("")
	if r := f.verify(); !r.OK() {
		t.Errorf("after: %+v", r)
	}
}

// Whoever can compute hashes, too, is found out by what was signed before.
func TestRewritingIsFoundByTheCheckpoint(t *testing.T) {
	t.Parallel()
	f := setUp(t)
	f.fill(100, 5)
	f.writeCheckpoint()
	f.fill(100, 5)
	f.writeCheckpoint()
	x := f.sql()
	restore := x.save()
	for _, c := range []struct {
		name   string
		tamper func()
		want   []Problem
	}{
		{"nothing", func() {}, []Problem{}},
		{"edited", func() {
			x.exec(`UPDATE audit SET principal = 'user:bob' WHERE chain = 'r3' AND seq = 7`)
			f.rewrite(x, "r3")
		}, []Problem{{Chain: "r3", Seq: 20}}},
		{"edited after the first checkpoint", func() {
			x.exec(`UPDATE audit SET principal = 'user:bob' WHERE chain = 'r3' AND seq = 21`)
			f.rewrite(x, "r3")
		}, []Problem{{Chain: "r3", Seq: 40}}},
		{"cut off", func() {
			x.exec(`DELETE FROM audit WHERE chain = 'r2' AND seq > 30`)
			f.rewrite(x, "r2")
		}, []Problem{{Chain: "r2", Seq: 40}}},
		{"removed with its head", func() {
			x.exec(`DELETE FROM audit WHERE chain = 'r1'`)
			x.exec(`DELETE FROM audit_heads WHERE chain = 'r1'`)
		}, []Problem{{Chain: "r1", Seq: 20}}},
		{"all removed", func() {
			x.exec(`DELETE FROM audit`)
			x.exec(`DELETE FROM audit_heads`)
		}, []Problem{{Chain: "r1", Seq: 20}, {Chain: "r2", Seq: 20}, {Chain: "r3", Seq: 20}, {Chain: "r4", Seq: 20}, {Chain: "r5", Seq: 20}}},
	} {
		c.tamper()
		r := f.verify(testKey(1).Public().(ed25519.PublicKey))
		if diff := cmp.Diff(c.want, r.Problems, cmpopts.IgnoreFields(Problem{}, "ID", "Message", "Checkpoint")); diff != "" {
			t.Errorf("%s: problems (-want +got):\n%s", c.name, diff)
		}
		restore("")
	}
}

func TestRetentionKeepsVerificationGreen(t *testing.T) {
	t.Parallel()
	f := setUp(t)
	start := f.now
	for range 10 {
		f.fill(50, 5)
		f.writeCheckpoint()
	}
	n, err := f.Trim(t.Context(), start.Add(251*time.Minute), 37)
	if n != 250 || err != nil {
		t.Fatalf("removed %d, %v, want 250", n, err)
	}
	if r := f.verify(); !r.OK() || r.Records != 251 || r.Uncovered != 1 {
		t.Errorf("after retention: %+v", r)
	}
	f.fill(50, 5)
	f.writeCheckpoint()
	if n, err = f.Trim(t.Context(), start.Add(251*time.Minute), 37); n != 0 || err != nil {
		t.Errorf("a second run removed %d, %v", n, err)
	}
	trims, err := f.List(t.Context(), Filter{Action: actionTrim})
	if len(trims) != 1 || err != nil || trims[0].Detail["before"] != "2026-11-24T16:11:00Z" {
		t.Errorf("records of retention: %+v, %v", trims, err)
	}
	if n, err = f.Trim(t.Context(), f.now.Add(time.Hour), 100); n != 301 || err != nil {
		t.Errorf("removed %d, %v, want all", n, err)
	}
	f.fill(10, 5)
	r := f.verify()
	if !r.OK() || r.Records != 11 {
		t.Errorf("after all was removed: %+v", r)
	}
}

// Cutting more off than retention did is found by checkpoints that are younger.
func TestRetentionIsNoExcuse(t *testing.T) {
	t.Parallel()
	f := setUp(t)
	start := f.now
	for range 10 {
		f.fill(50, 5)
		f.writeCheckpoint()
	}
	if _, err := f.Trim(t.Context(), start.Add(51*time.Minute), 100); err != nil {
		t.Fatal(err)
	}
	x := f.sql()
	x.exec(`UPDATE audit_heads SET trimmed_seq = 70, trimmed_hash = (SELECT hash FROM audit WHERE chain = 'r2' AND seq = 70) WHERE chain = 'r2'`)
	x.exec(`DELETE FROM audit WHERE chain = 'r2' AND seq <= 70`)
	r := f.verify()
	want := []Problem{{Chain: "r2", Seq: 20}} // of the first checkpoint after what retention may remove
	if diff := cmp.Diff(want, r.Problems, cmpopts.IgnoreFields(Problem{}, "ID", "Message", "Checkpoint")); diff != "" {
		t.Errorf("problems (-want +got):\n%s", diff)
	}
}

// Verify sees each chain at one moment, whatever goes on.
func TestVerifyWhileOthersWrite(t *testing.T) {
	t.Parallel()
	f := setUp(t)
	f.fill(500, 3)
	var wg sync.WaitGroup
	var stop atomic.Bool
	for i := range 4 {
		wg.Go(func() {
			for n := 0; n < 300 && !stop.Load(); n++ { // bounded: verifying must keep up
				f.record(fmt.Sprintf("user:u%d", i), meta.AuditRecord{Action: "manifest.put", RepoID: int64(1 + i%3)})
			}
		})
	}
	wg.Go(func() {
		for n := 0; n < 300 && !stop.Load(); n++ {
			if err := f.checkpoints.write(t.Context()); err != nil {
				t.Error(err)
			}
		}
	})
	wg.Go(func() {
		for m := 0; m < 400 && !stop.Load(); m += 10 {
			if _, err := f.Trim(t.Context(), time.Date(2026, 11, 24, 12, m, 0, 0, time.UTC), 7); err != nil {
				t.Error(err)
			}
		}
	})
	for range 20 {
		if r := f.verify(); !r.OK() {
			t.Errorf("a sound audit: %+v", r)
			break
		}
	}
	stop.Store(true)
	wg.Wait()
	if r := f.verify(); !r.OK() {
		t.Errorf("a sound audit: %+v", r)
	}
}

func TestReadingNeedsAdmin(t *testing.T) {
	t.Parallel()
	f := setUp(t)
	f.fill(10, 2)
	refused := registry.E("gate", registry.Denied, nil, "no")
	gate := scopedGate{func(v registry.Verb, r registry.Repo) error {
		if v == registry.Admin && (r == "acme/app1" || r == "team" || r == "team/x" || r == "half") {
			return nil
		}
		return refused
	}}
	f.Trail = f.trail(f.meta, gate)
	for _, c := range []struct {
		f  Filter
		ok bool
	}{
		{Filter{}, false},
		{Filter{Repo: "/**"}, false},
		{Filter{Repo: "acme/app1"}, true},
		{Filter{Repo: "acme/app2"}, false},
		{Filter{Repo: "acme/app1/**"}, false},
		{Filter{Namespace: "acme"}, false},
		{Filter{Namespace: "team"}, true},
		{Filter{Namespace: "half"}, false},
		{Filter{Repo: "team/**"}, true},
		{Filter{Repo: "acme/app2", Namespace: "team"}, false},
		{Filter{Repo: "acme/app1", Principal: "user:alice", Action: "manifest"}, true},
	} {
		if _, err := f.List(t.Context(), c.f); (err == nil) != c.ok || err != nil && !errors.Is(err, registry.Denied) {
			t.Errorf("list %+v: %v", c.f, err)
		}
		if _, err := f.Export(t.Context(), c.f, failingWriter{}); !c.ok && !errors.Is(err, registry.Denied) {
			t.Errorf("export %+v: %v", c.f, err)
		}
	}
	if _, err := f.Verify(t.Context(), VerifyOptions{}); !errors.Is(err, registry.Denied) {
		t.Errorf("verify: %v", err)
	}
}

// scopedGate decides about names alone; team alone is allowed as a whole.
type scopedGate struct {
	can func(registry.Verb, registry.Repo) error
}

func (g scopedGate) Can(_ context.Context, v registry.Verb, r registry.Repo) error {
	return g.can(v, r)
}

func (g scopedGate) Some(_ context.Context, v registry.Verb, r registry.Repo) error {
	return g.can(v, r)
}

func (g scopedGate) All(_ context.Context, _ registry.Verb, r registry.Repo) bool { return r == "team" }

func (g scopedGate) Class(context.Context) string { return "" }

type failingWriter struct{}

var errWrite = errors.New("the receiver is gone")

func (failingWriter) Write([]byte) (int, error) { return 0, errWrite }

func BenchmarkVerify(b *testing.B) {
	for _, c := range []struct {
		name          string
		rows, perRepo int
	}{{"a chain of 50,000 records", 50_000, 50_000}, {"10,000 chains of 2", 20_000, 2}} {
		b.Run(c.name, func(b *testing.B) {
			m, err := meta.Open(b.Context(), meta.Config{Dir: b.TempDir()})
			if err != nil {
				b.Fatal(err)
			}
			defer func() { _ = m.Close() }()
			err = m.Update(b.Context(), meta.Options{Durable: true}, func(ctx context.Context, tx *meta.Tx) error {
				for i := range c.rows {
					if err := tx.Record(ctx, meta.AuditRecord{Action: "manifest.put", RepoID: int64(1 + i/c.perRepo), Repo: "acme/app", Namespace: "acme", Tag: "v1"}); err != nil {
						return err
					}
				}
				return nil
			})
			if err != nil {
				b.Fatal(err)
			}
			trail := &Trail{meta: m, cfg: Config{Gate: registry.GateFunc(everybody)}}
			for b.Loop() {
				if r, err := trail.Verify(b.Context(), VerifyOptions{}); !r.OK() || r.Records != int64(c.rows) || err != nil {
					b.Fatal(r, err)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N*c.rows), "µs/record")
		})
	}
}
