package meta

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/packhouse/packhouse/registry"
)

func records(t *testing.T, s *Store, f AuditFilter) []AuditRow {
	t.Helper()
	f.Limit = max(f.Limit, 1)
	list, err := s.Audit(t.Context(), f)
	if err != nil {
		t.Fatal(err)
	}
	return list
}

func TestARecordTellsWhoWhereAndWhat(t *testing.T) {
	t.Parallel()
	for _, at := range places() {
		t.Run(at.name, func(t *testing.T) {
			t.Parallel()
			at := at.fresh(t)
			now := time.Date(2026, 11, 24, 12, 0, 0, 5e6, time.UTC)
			s, err := Open(t.Context(), at.with(func() time.Time { return now }))
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = s.Close() })
			ctx := registry.WithCaller(t.Context(), &registry.Caller{
				Principal: "user:alice", Token: "0123456789ab", Subject: "issuer repo:a", Address: "192.0.2.7",
				Client: strings.Repeat("ü", 150), Route: "manifest_put", RequestID: "req-1",
			})
			var repo Repository
			err = s.Update(ctx, Options{Durable: true}, func(ctx context.Context, tx *Tx) (err error) {
				if repo, err = tx.EnsureRepository(ctx, "acme/app"); err != nil {
					return err
				}
				return tx.Record(ctx, AuditRecord{
					Action: "manifest.put", Repo: repo.Name, RepoID: repo.ID, Namespace: "acme", Tag: "v1", Digest: "sha256:new", Before: "sha256:old",
					Detail: map[string]string{"b": "<&>", "a": strings.Repeat("x", 2000)},
				})
			})
			if err != nil {
				t.Fatal(err)
			}
			got := records(t, s, AuditFilter{})
			want := []AuditRow{{
				ID: 1, Chain: fmt.Sprintf("r%d", repo.ID), Seq: 1, At: now, Action: "manifest.put",
				Principal: "user:alice", Token: "0123456789ab", Subject: "issuer repo:a", Address: "192.0.2.7",
				Client: strings.Repeat("ü", 100), Route: "manifest_put", RequestID: "req-1",
				RepoID: repo.ID, Repo: "acme/app", Namespace: "acme", Tag: "v1", Digest: "sha256:new", Before: "sha256:old",
				Detail: `{"a":"` + strings.Repeat("x", maxAuditDetail) + `","b":"<&>"}`,
			}}
			want[0].Hash = want[0].Sum(nil)
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("records (-want +got):\n%s", diff)
			}
		})
	}
}

func TestChains(t *testing.T) {
	t.Parallel()
	for _, at := range places() {
		t.Run(at.name, func(t *testing.T) {
			t.Parallel()
			at := at.fresh(t)
			s := at.open(t)
			update(t, s, func(ctx context.Context, tx *Tx) error {
				r, err := tx.EnsureRepository(ctx, "acme/app") // repository 1, namespace 1
				for _, a := range []AuditRecord{
					{Action: "a.a", RepoID: r.ID, Namespace: "acme"},
					{Action: "a.b", Namespace: "acme"},
					{Action: "a.c", Namespace: "unknown"},
					{Action: "a.d"},
					{Action: "a.e", RepoID: r.ID},
				} {
					err = errors.Join(err, tx.Record(ctx, a))
				}
				return errors.Join(err, tx.RecordDenial(ctx, &registry.Caller{Principal: "user:eve"}, AuditRecord{Action: "a.f"}))
			})
			var got []string
			for _, r := range records(t, s, AuditFilter{Limit: 10}) {
				got = append(got, fmt.Sprintf("%d %s %s %d %s", r.ID, r.Action, r.Chain, r.Seq, r.Principal))
			}
			want := []string{
				"1 a.a r1 1 server", "2 a.b n1 1 server", "3 a.c access 1 server", "4 a.d access 2 server", "5 a.e r1 2 server", "6 a.f denials 1 user:eve",
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("records (-want +got):\n%s", diff)
			}
		})
	}
}

func TestARecordGoesWithItsChange(t *testing.T) {
	t.Parallel()
	for _, at := range places() {
		t.Run(at.name, func(t *testing.T) {
			t.Parallel()
			at := at.fresh(t)
			s := at.open(t)
			refused := errors.New("refused")
			put := func(o Options, result error) error {
				return s.Update(t.Context(), o, func(ctx context.Context, tx *Tx) error {
					return errors.Join(tx.Record(ctx, AuditRecord{Action: "a.b"}), result)
				})
			}
			if err := put(Options{Durable: true}, refused); !errors.Is(err, refused) {
				t.Errorf("got %v", err)
			}
			if err := put(Options{}, nil); err == nil {
				t.Error("a record may vanish in a power cut")
			}
			if err := put(Options{Durable: true}, nil); err != nil {
				t.Error(err)
			}
			if got := records(t, s, AuditFilter{Limit: 10}); len(got) != 1 || got[0].ID != 1 || got[0].Seq != 1 {
				t.Errorf("got %+v, want the one record of the change that was made", got)
			}
		})
	}
}

func TestADurableChangeMustSayWhatItDid(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name     string
		o        Options
		recorded bool
		ok       bool
	}{
		{"recorded", Options{Durable: true}, true, true},
		{"silent", Options{Durable: true}, false, false},
		{"housekeeping", Options{Durable: true, Unaudited: true}, false, true},
		{"not durable", Options{}, false, true},
		{"recorded, not durable", Options{}, true, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			err := (&pending{Options: c.o}).audited(&Tx{recorded: c.recorded})
			if (err == nil) != c.ok {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestAChangeSeesItsCallerButNotTheirLeaving(t *testing.T) {
	t.Parallel()
	for _, at := range places() {
		t.Run(at.name, func(t *testing.T) {
			t.Parallel()
			at := at.fresh(t)
			s := at.open(t)
			ctx, leave := context.WithCancel(registry.WithCaller(t.Context(), &registry.Caller{Principal: "user:alice"}))
			err := s.Update(ctx, Options{}, func(ctx context.Context, _ *Tx) error {
				leave()
				if got := registry.CallerOf(ctx).Principal; got != "user:alice" {
					t.Errorf("the change sees %q", got)
				}
				return ctx.Err()
			})
			if err != nil {
				t.Errorf("a client that left tears the commit: %v", err)
			}
		})
	}
}

func TestListAudit(t *testing.T) {
	t.Parallel()
	for _, at := range places() {
		t.Run(at.name, func(t *testing.T) {
			t.Parallel()
			at := at.fresh(t)
			start := time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
			now := start
			s, err := Open(t.Context(), at.with(func() time.Time { return now }))
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = s.Close() })
			for i, c := range []struct {
				minute                             int
				principal, action, repo, namespace string
			}{
				{0, "user:alice", "manifest.put", "acme/app", "acme"},
				{1, "user:bob", "manifest.delete", "acme", ""},
				{2, "user:alice", "tag.delete", "acme/app/web", "acme"},
				{3, "user:alice", "manifests.put", "acme0", ""},
				{2, "user:bob", "grant.add", "", "acme"}, // the clock was set back
				{5, "user:alice", "manifest.put", "acme-x/app", "acme-x"},
			} {
				now = start.Add(time.Duration(c.minute) * time.Minute)
				ctx := registry.WithCaller(t.Context(), &registry.Caller{Principal: c.principal})
				if err := s.Update(ctx, Options{Durable: true}, func(ctx context.Context, tx *Tx) error {
					return tx.Record(ctx, AuditRecord{Action: c.action, Repo: registry.Repo(c.repo), RepoID: int64(i + 1), Namespace: c.namespace})
				}); err != nil {
					t.Fatal(err)
				}
			}
			minute := func(n int) time.Time { return start.Add(time.Duration(n) * time.Minute) }
			for _, c := range []struct {
				name string
				f    AuditFilter
				want []int64
			}{
				{"all", AuditFilter{}, []int64{1, 2, 3, 5, 4, 6}},
				{"newest", AuditFilter{Order: AuditNewest}, []int64{6, 4, 5, 3, 2, 1}},
				{"committed", AuditFilter{Order: AuditCommitted}, []int64{1, 2, 3, 4, 5, 6}},
				{"limit", AuditFilter{Limit: 2}, []int64{1, 2}},
				{"after", AuditFilter{After: 3}, []int64{5, 4, 6}},
				{"after, newest", AuditFilter{After: 5, Order: AuditNewest}, []int64{3, 2, 1}},
				{"after, committed", AuditFilter{After: 4, Order: AuditCommitted}, []int64{5, 6}},
				{"principal", AuditFilter{Principal: "user:bob"}, []int64{2, 5}},
				{"repository", AuditFilter{Repo: "acme"}, []int64{2}},
				{"below", AuditFilter{Below: "acme"}, []int64{1, 2, 3}},
				{"namespace", AuditFilter{Namespace: "acme"}, []int64{1, 3, 5}},
				{"action", AuditFilter{Action: "manifest.put"}, []int64{1, 6}},
				{"noun", AuditFilter{Action: "manifest"}, []int64{1, 2, 6}},
				{"since", AuditFilter{Since: minute(3)}, []int64{4, 6}},
				{"until", AuditFilter{Until: minute(2)}, []int64{1, 2}},
				{
					"everything",
					AuditFilter{Principal: "user:alice", Repo: "acme/app", Below: "acme", Namespace: "acme", Action: "manifest", Since: minute(0), Until: minute(9), Order: AuditNewest, After: 6},
					[]int64{1},
				},
			} {
				t.Run(c.name, func(t *testing.T) {
					t.Parallel()
					if c.f.Limit == 0 {
						c.f.Limit = 10
					}
					var got []int64
					for _, r := range records(t, s, c.f) {
						got = append(got, r.ID)
					}
					if diff := cmp.Diff(c.want, got); diff != "" {
						t.Errorf("ids (-want +got):\n%s", diff)
					}
				})
			}
			if _, err := s.Audit(t.Context(), AuditFilter{After: 99, Limit: 1}); !errors.Is(err, ErrNotFound) {
				t.Errorf("after a record that is not there: got %v, want ErrNotFound", err)
			}
			if id, err := s.FirstAudit(t.Context(), minute(2)); id != 3 || err != nil {
				t.Errorf("the first since minute 2: got %d, %v", id, err)
			}
			if _, err := s.FirstAudit(t.Context(), minute(6)); !errors.Is(err, ErrNotFound) {
				t.Errorf("the first since minute 6: got %v, want ErrNotFound", err)
			}
		})
	}
}

// A listing must not read the whole table for what an index knows.
func TestAuditListingsUseIndexes(t *testing.T) {
	t.Parallel()
	s := open(t, t.TempDir())
	for _, c := range []struct {
		f    AuditFilter
		want string
	}{
		{AuditFilter{Since: time.Now()}, "USING INDEX audit_at"},
		{AuditFilter{Order: AuditNewest}, "USING INDEX audit_at"},
		{AuditFilter{Principal: "user:alice", Order: AuditNewest}, "USING INDEX audit_principal"},
		{AuditFilter{Repo: "acme/app", Order: AuditNewest}, "USING INDEX audit_repository"},
		{AuditFilter{Order: AuditCommitted, After: 5}, "USING INTEGER PRIMARY KEY"},
	} {
		query, args, err := s.auditQuery(t.Context(), c.f)
		if err != nil {
			t.Fatal(err)
		}
		var plan string
		var ignored any
		if err := s.one(t.Context(), "EXPLAIN QUERY PLAN "+query, append(args, 10), &ignored, &ignored, &ignored, &plan); err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(plan, c.want) {
			t.Errorf("%+v: %s, want %s", c.f, plan, c.want)
		}
	}
}

func TestTrimAudit(t *testing.T) {
	t.Parallel()
	for _, at := range places() {
		t.Run(at.name, func(t *testing.T) {
			t.Parallel()
			at := at.fresh(t)
			start := time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
			now := start
			s, err := Open(t.Context(), at.with(func() time.Time { return now }))
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = s.Close() })
			for i := range 10 { // chain r1: ids 1 3 5 7 9, r2: 2 4 6 8 10
				now = start.Add(time.Duration(i) * time.Hour)
				update(t, s, func(ctx context.Context, tx *Tx) error {
					return tx.Record(ctx, AuditRecord{Action: "a.b", RepoID: int64(1 + i%2)})
				})
			}
			hash := func(chain string, seq int64) []byte {
				h, err := s.AuditHash(t.Context(), chain, seq)
				if err != nil {
					t.Fatal(err)
				}
				return h
			}
			last1, last2 := hash("r1", 2), hash("r2", 1)
			trim := func(before time.Time, limit int, want int64) {
				t.Helper()
				err := s.Update(t.Context(), Options{Durable: true, Unaudited: true}, func(ctx context.Context, tx *Tx) error {
					n, err := tx.TrimAudit(ctx, before, limit)
					if n != want {
						t.Errorf("removed %d, want %d", n, want)
					}
					return err
				})
				if err != nil {
					t.Fatal(err)
				}
			}
			trim(start.Add(3*time.Hour), 2, 2)
			trim(start.Add(3*time.Hour), 2, 1)
			trim(start.Add(3*time.Hour), 2, 0)
			for chain, want := range map[string]AuditHead{
				"r1": {Chain: "r1", Seq: 5, Hash: hash("r1", 5), TrimmedSeq: 2, TrimmedHash: last1},
				"r2": {Chain: "r2", Seq: 5, Hash: hash("r2", 5), TrimmedSeq: 1, TrimmedHash: last2},
			} {
				got, err := s.AuditHead(t.Context(), chain)
				if diff := cmp.Diff(want, got); diff != "" || err != nil {
					t.Errorf("head (-want +got):\n%s%v", diff, err)
				}
			}
			trim(now.Add(time.Hour), 100, 6) // ids 4 to 9
			update(t, s, func(ctx context.Context, tx *Tx) error { return tx.Record(ctx, AuditRecord{Action: "a.b", RepoID: 1}) })
			got := records(t, s, AuditFilter{Order: AuditCommitted, Limit: 10})
			if len(got) != 2 || got[0].ID != 10 || got[1].ID != 11 || got[1].Seq != 6 || !bytes.Equal(got[1].Hash, got[1].Sum(headHash(t, s, "r1"))) {
				t.Errorf("after everything was trimmed: %+v", got)
			}
		})
	}
}

// headHash is where what retention left of a chain begins.
func headHash(t *testing.T, s *Store, chain string) []byte {
	t.Helper()
	h, err := s.AuditHead(t.Context(), chain)
	if err != nil {
		t.Fatal(err)
	}
	return h.TrimmedHash
}

func BenchmarkRecord(b *testing.B) {
	s, err := Open(b.Context(), Config{Dir: b.TempDir()})
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	ctx := registry.WithCaller(b.Context(), &registry.Caller{
		Principal: "user:alice", Token: "0123456789ab", Address: "192.0.2.7", Client: "docker/29.0.1 go/go1.26 os/linux arch/amd64", Route: "manifest_put", RequestID: "0a1b2c3d4e5f6071",
	})
	i := 0
	record := func(o Options, n int) {
		err := s.Update(ctx, o, func(ctx context.Context, tx *Tx) error {
			for range n {
				i++
				if err := tx.Record(ctx, AuditRecord{
					Action: "manifest.put", Repo: registry.Repo(fmt.Sprintf("acme/app%d", i%1000)), RepoID: int64(1 + i%1000), Namespace: "acme", Tag: "v1.2.3",
					Digest: "sha256:0f343b0931126a20f133d67c2b018a3b5bc3e6a1b1d0b0f3a54d0f1c8e4c9a5d", Before: "sha256:4f53cda18c2baa0c0354bb5f9a3ecbe5ed12ab4d8e11ba873c2f11161202b945",
				}); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			b.Fatal(err)
		}
	}
	record(Options{Durable: true}, 20000)
	for b.Loop() { // 100 to a transaction: what is left is the cost of a record itself
		record(Options{Durable: true}, 100)
	}
	b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N*100), "µs/record")
}
