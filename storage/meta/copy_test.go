package meta

import (
	"context"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/packhouse/packhouse/registry"
	"github.com/packhouse/packhouse/storage/meta/metatest"
)

// TestCopy fills an SQLite database with a bit of everything, copies it while
// it is open, and goes on in PostgreSQL.
func TestCopy(t *testing.T) {
	t.Parallel()
	dir, url := t.TempDir(), metatest.Postgres(t)
	from := place{config: Config{Dir: dir}}.open(t)
	fill := func(ctx context.Context, tx *Tx) error {
		err := errors.Join(tx.push(ctx, "acme/app", "1", "one"), tx.push(ctx, "acme/app", "1", "two"), tx.push(ctx, "alpine", "latest", "one"),
			tx.SetQuota(ctx, "acme", Quota{Manifests: new(int64(3))}))
		if err != nil {
			return err
		}
		if _, err := tx.AddPrincipal(ctx, Principal{Kind: KindUser, Name: "alice", Source: SourceLocal}); err != nil {
			return err
		}
		if _, err := tx.Bootstrap(ctx); err != nil {
			return err
		}
		return errors.Join(tx.TouchAccess(ctx), tx.Record(ctx, AuditRecord{Action: "a.b", RepoID: 1}), tx.Record(ctx, AuditRecord{Action: "a.c", RepoID: 1}))
	}
	if err := from.Update(t.Context(), Options{Durable: true}, fill); err != nil {
		t.Fatal(err)
	}
	dry, err := Copy(t.Context(), dir, url, true, nil)
	if err != nil {
		t.Fatal(err)
	}
	var last [2]int64
	copied, err := Copy(t.Context(), dir, url, false, func(done, total int64) { last = [2]int64{done, total} })
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(dry, copied); diff != "" {
		t.Errorf("the dry run told something else (-dry +copied):\n%s", diff)
	}
	if last[0] != last[1] || last[0] < 20 {
		t.Errorf("progress ended at %v", last)
	}
	if _, err := Copy(t.Context(), dir, url, false, nil); !errors.Is(err, ErrNotEmpty) {
		t.Errorf("a second copy: %v", err)
	}
	to := place{config: Config{URL: url}}.open(t)
	if diff := cmp.Diff(usage(t, from, "acme"), usage(t, to, "acme")); diff != "" {
		t.Errorf("usage (-from +to):\n%s", diff)
	}
	if diff := cmp.Diff(rows(t, from), rows(t, to)); diff != "" {
		t.Errorf("access (-from +to):\n%s", diff)
	}
	wantChains(t, to, 2)
	wantNoDrift(t, to)
	must(t, to, func(ctx context.Context, tx *Tx) error { return tx.push(ctx, "acme/app", "3", "three") }) // ids go on
	if err := change(t, to, func(ctx context.Context, tx *Tx) error { return tx.push(ctx, "acme/new", "4", "four") }); !errors.Is(err, ErrQuota) {
		t.Errorf("the triggers are off: %v", err)
	}
	ids := [2]string{}
	for i, s := range []*Store{from, to} {
		if ids[i], err = s.Identity(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if ids[0] == ids[1] {
		t.Error("two databases have one identity")
	}
}

// A record whose bytes PostgreSQL cannot hold would break its chain.
func TestCopyKeepsRecordsAsTheyAre(t *testing.T) {
	t.Parallel()
	dir, url := t.TempDir(), metatest.Postgres(t)
	from := place{config: Config{Dir: dir}}.open(t)
	must(t, from, func(ctx context.Context, tx *Tx) error {
		_, err := tx.EnsureRepository(ctx, registry.Repo("acme/app"))
		if err == nil {
			_, err = tx.exec(ctx, `INSERT INTO audit (id, chain, seq, at, action, principal, token, subject, address, client, route, request_id,
				repository_id, repository, namespace, tag, digest, digest_before, detail, hash)
				VALUES (1, 'access', 1, 0, '', '', '', '', '', char(97, 0), '', '', 0, '', '', '', '', '', '', x'00')`)
		}
		return err
	})
	if _, err := Copy(t.Context(), dir, url, false, nil); err == nil {
		t.Error("it was copied")
	}
	to := place{config: Config{URL: url}}.open(t)
	if names, err := to.RepositoryNames(t.Context(), "", 10); err != nil || len(names) != 0 {
		t.Errorf("what failed left %v, %v", names, err)
	}
}

func TestSchemaVersions(t *testing.T) {
	t.Parallel()
	for _, at := range places() {
		t.Run(at.name, func(t *testing.T) {
			t.Parallel()
			c := Config{Dir: t.TempDir()}
			if at.postgres() {
				c = Config{URL: metatest.Postgres(t)}
			}
			before, err := SchemaVersions(t.Context(), c)
			if err != nil || before.Current != 0 || before.Target < 7 {
				t.Errorf("empty: %+v, %v", before, err)
			}
			if err := Migrate(t.Context(), c); err != nil {
				t.Fatal(err)
			}
			if v, err := SchemaVersions(t.Context(), c); err != nil || v.Current != before.Target || v.Target != before.Target {
				t.Errorf("after: %+v, %v", v, err)
			}
		})
	}
}
