//go:build scale

package engine

import (
	"context"
	"database/sql"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib" // the driver "pgx"

	"github.com/packhouse/packhouse/registry"
	"github.com/packhouse/packhouse/storage/meta/metatest"
)

var scale = flag.Int("scale", 200_000, "manifests in the database of TestCollectionAtScale, of five blobs each; a pass over so many is to take 60 s at most")

// scaleRows fills a database by itself: $1 manifests, of which each tenth is
// past the trash window; half as many blobs more, unreferenced for long. Row
// triggers are off meanwhile, so it keeps the counts of the namespace, too.
const scaleRows = `SET session_replication_role = replica;
INSERT INTO namespaces (id, name, created_at) VALUES (1, 'scale', 0);
INSERT INTO repositories (id, namespace_id, name, created_at) SELECT g, 1, 'scale/r' || g, 0 FROM generate_series(1, 1000) g;
INSERT INTO manifests (id, digest, media_type, artifact_type, depth, raw, created_at)
	SELECT g, 'sha256:' || lpad(to_hex(g), 64, '0'), 'application/vnd.oci.image.manifest.v1+json', '', 0, convert_to(repeat('x', 500), 'UTF8'), 0 FROM generate_series(1, $1) g;
INSERT INTO blobs (id, digest, size, state, unreferenced_since, created_at)
	SELECT g, 'sha256:' || lpad(to_hex(1000000000 + g), 64, '0'), 100, 0, CASE WHEN g > 5 * $1 THEN g % 1000 END, 0 FROM generate_series(1, 5 * $1 + $1 / 2) g;
INSERT INTO objects (blob_id, position, key, size) SELECT g, 0, '/objects/00/' || lpad(to_hex(g), 32, '0') || '-00', 100 FROM generate_series(1, 5 * $1 + $1 / 2) g;
INSERT INTO manifest_blobs (manifest_id, blob_id) SELECT (g - 1) / 5 + 1, g FROM generate_series(1, 5 * $1) g;
INSERT INTO repository_blobs (repository_id, blob_id) SELECT g / 5 % 1000 + 1, g FROM generate_series(1, 5 * $1 + $1 / 2) g;
INSERT INTO memberships (id, repository_id, manifest_id, digest, from_gen, from_at, until_gen, until_at)
	SELECT g, g % 1000 + 1, g, 'sha256:' || lpad(to_hex(g), 64, '0'), 1, 0, CASE WHEN g % 10 = 0 THEN 2 END, CASE WHEN g % 10 = 0 THEN 1 END FROM generate_series(1, $1) g;
INSERT INTO tags (id, repository_id, name, manifest_id, from_gen, from_at, until_gen, until_at)
	SELECT g, g % 1000 + 1, 'v' || g, g, 1, 0, CASE WHEN g % 10 = 0 THEN 2 END, CASE WHEN g % 10 = 0 THEN 1 END FROM generate_series(1, $1) g;
INSERT INTO namespace_blobs (namespace_id, blob_id, refs) SELECT 1, g, 1 FROM generate_series(1, 5 * $1 + $1 / 2) g;
INSERT INTO namespace_manifests (namespace_id, manifest_id, refs) SELECT 1, g, 1 FROM generate_series(1, $1) g;
INSERT INTO namespace_usage (namespace_id, bytes, manifests) VALUES (1, 100::bigint * (5 * $1 + $1 / 2) + 500 * $1, $1);
SET session_replication_role = origin;
ANALYZE`

// TestCollectionAtScale measures a pass over many rows and fails when a query
// of it reads a large table from end to end. It takes minutes:
//
//	go test -tags scale -run AtScale -v ./registry/engine [-scale N]
func TestCollectionAtScale(t *testing.T) { //nolint:paralleltest // it measures
	p := newPlace(t, metatest.Postgres(t))
	e, _ := p.engine(t, func(c *Config) {
		c.Collection = Collection{Untagged: time.Hour, Referrers: time.Hour}
		c.CacheBytes = 64 << 20
	})
	db, err := sql.Open("pgx", p.url)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	db.SetMaxOpenConns(1)
	for statement := range strings.SplitSeq(scaleRows, ";\n") {
		if _, err := db.ExecContext(t.Context(), strings.ReplaceAll(statement, "$1", fmt.Sprint(*scale))); err != nil {
			t.Fatalf("%s: %v", statement, err)
		}
	}
	idle := pulls(t, e, 2*time.Second)
	before := scanned(t, db)
	began := time.Now()
	done := make(chan struct{})
	var busy []time.Duration
	go func() {
		defer close(done)
		busy = pulls(t, e, 5*time.Second)
	}()
	got := collect(t, e)
	took := time.Since(began)
	<-done
	t.Logf("a pass over %d manifests and %d blobs took %s: %d periods, %d manifests, %d blobs; most memory of the process %s",
		*scale, *scale*11/2, took.Round(time.Millisecond), got.Periods, got.Manifests, got.Blobs, peak())
	t.Logf("reads of tags from the database, p99: %s idle, %s meanwhile", percentile(idle, 99), percentile(busy, 99))
	for table, rows := range scanned(t, db) {
		if n := rows - before[table]; n > int64(*scale)*2 {
			t.Errorf("%d rows of %s were read by scans of the whole table", n, table)
		}
	}
	if want := int64(*scale / 10); got.Manifests != want || got.Periods != 2*want || got.Blobs != 5*want {
		t.Errorf("got %+v", got)
	}
	began = time.Now()
	if again := collect(t, e); !again.nothing() {
		t.Errorf("the next pass: %+v", again)
	}
	t.Logf("a pass that finds nothing took %s", time.Since(began).Round(time.Millisecond))
	began = time.Now()
	said := forecastOf(t, e)
	t.Logf("a dry run took %s and said %+v", time.Since(began).Round(time.Millisecond), said.Reasons)
}

// pulls reads tags in random order for a while, past the cache.
func pulls(t *testing.T, e *Engine, d time.Duration) (took []time.Duration) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	defer cancel()
	random := rand.New(rand.NewPCG(1, 2))
	for ctx.Err() == nil {
		g := random.IntN(*scale/10-1)*10 + 1 // not one of those that are deleted
		began := time.Now()
		_, err := e.meta.Tagged(context.WithoutCancel(ctx), registry.Repo(fmt.Sprintf("scale/r%d", g%1000+1)), registry.Tag(fmt.Sprintf("v%d", g)))
		if err != nil {
			t.Errorf("v%d: %v", g, err)
			return took
		}
		took = append(took, time.Since(began))
		pause(ctx, time.Millisecond)
	}
	return took
}

func percentile(list []time.Duration, p int) time.Duration {
	if len(list) == 0 {
		return 0
	}
	slices.Sort(list)
	return list[len(list)*p/100].Round(time.Microsecond)
}

// scanned is how many rows of each large table sequential scans have read.
func scanned(t *testing.T, db *sql.DB) map[string]int64 {
	t.Helper()
	rows, err := db.QueryContext(t.Context(), `SELECT relname, seq_tup_read FROM pg_stat_user_tables
		WHERE relname IN ('blobs', 'objects', 'manifests', 'manifest_blobs', 'repository_blobs', 'memberships', 'tags', 'namespace_blobs')`)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = rows.Close() }()
	read := map[string]int64{}
	for rows.Next() {
		var table string
		var n int64
		if err := rows.Scan(&table, &n); err != nil {
			t.Fatal(err)
		}
		read[table] = n
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return read
}

// peak is the process's high-water mark of resident memory.
func peak() string {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return "unknown"
	}
	_, rest, _ := strings.Cut(string(status), "VmHWM:")
	line, _, _ := strings.Cut(rest, "\n")
	return strings.TrimSpace(line)
}
