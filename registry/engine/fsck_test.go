package engine

import (
	"bytes"
	"context"
	"database/sql"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"

	"github.com/packhouse/packhouse/registry"
	"github.com/packhouse/packhouse/registry/registrytest"
	"github.com/packhouse/packhouse/storage/meta"
)

func fsck(t *testing.T, e *Engine, repair bool) Report {
	t.Helper()
	r, err := e.Check(t.Context(), CheckOptions{Repair: repair})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// objectFile is where the one object of a blob lies.
func objectFile(t *testing.T, e *Engine, dir string, d registry.Digest) string {
	t.Helper()
	b, err := e.meta.BlobRow(t.Context(), d)
	if err != nil || len(b.Objects) != 1 {
		t.Fatalf("%s has objects %v, %v", d, b.Objects, err)
	}
	return filepath.Join(dir, b.Objects[0].Key)
}

// spoil rewrites a file.
func spoil(t *testing.T, file string, change func([]byte) []byte) {
	t.Helper()
	content, err := os.ReadFile(file)
	if err == nil {
		err = os.WriteFile(file, change(content), 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func kinds(r Report) map[registry.Digest]ProblemKind {
	found := map[registry.Digest]ProblemKind{}
	for _, p := range r.Problems {
		found[p.Digest] = p.Kind
	}
	return found
}

func TestCheckFindsWhatIsWrongAndNothingElse(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	e := openAt(t, dir)
	want := map[registry.Digest]ProblemKind{}
	for i := range 20 {
		seed := fmt.Sprint(i)
		pushImage(t, e, seed, registry.Tag("v"+seed))
		layer := digest.FromString("layer " + seed)
		file := objectFile(t, e, dir, layer)
		switch i {
		case 3, 9, 17:
			spoil(t, file, func(b []byte) []byte { b[i%len(b)] ^= 1 << (i % 8); return b })
			want[layer] = ProblemDamaged
		case 5:
			spoil(t, file, func(b []byte) []byte { return b[:len(b)-1] })
			want[layer] = ProblemSize
		case 8:
			spoil(t, file, func(b []byte) []byte { return append(b, '!') })
			want[layer] = ProblemSize
		case 11:
			if err := os.Remove(file); err != nil {
				t.Fatal(err)
			}
			want[layer] = ProblemMissing
		}
	}
	got := fsck(t, e, false)
	if diff := cmp.Diff(want, kinds(got)); diff != "" || got.Found != int64(len(want)) {
		t.Errorf("found %d (-want +got):\n%s", got.Found, diff)
	}
	if got.Blobs != 40 || got.Manifests != 20 || got.Objects != 39 || got.Orphans != 0 {
		t.Errorf("looked at %+v", got)
	}
	for _, p := range got.Problems {
		n := strings.TrimPrefix(string(p.Digest), "sha256:")
		if len(p.NeededBy) != 1 || p.NeededBy[0].Repository != repo || !strings.Contains(p.Message, n) {
			t.Errorf("problem names too little: %+v", p)
		}
		if hidden := p.Kind != ProblemSize || !strings.Contains(p.Message, "although"); hidden != strings.Contains(p.Message, "push the same content again") {
			t.Errorf("wrong advice: %s", p.Message)
		}
	}
	if _, err := e.StatBlob(t.Context(), repo, digest.FromString("layer 3")); err != nil {
		t.Errorf("without repair a blob was hidden: %v", err)
	}
}

func TestCheckRepairsByPush(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	e := openAt(t, dir)
	pushImage(t, e, "good", "good")
	pushImage(t, e, "bad", "bad")
	pushImage(t, e, "restored", "restored")
	bad, restored := digest.FromString("layer bad"), digest.FromString("layer restored")
	for _, d := range []registry.Digest{bad, restored} {
		if _, err := e.StatBlob(t.Context(), repo, d); err != nil { // caches it
			t.Fatal(err)
		}
		spoil(t, objectFile(t, e, dir, d), func(b []byte) []byte { b[0] ^= 1; return b })
	}

	if r := fsck(t, e, true); r.Found != 2 {
		t.Fatalf("%+v", r)
	}
	_, err := e.StatBlob(t.Context(), repo, bad)
	wantCode(t, err, registry.BlobUnknown)
	if r := fsck(t, e, true); r.Found != 2 || r.Problems[0].Kind != ProblemQuarantined || r.Problems[0].Repaired {
		t.Errorf("hidden blobs must be reported until they are right: %+v", r)
	}

	pushBlob(t, e, repo, "layer bad")
	spoil(t, objectFile(t, e, dir, restored), func(b []byte) []byte { b[0] ^= 1; return b }) // as from a backup
	if r := fsck(t, e, true); r.Found != 1 || r.Problems[0].Digest != restored || !r.Problems[0].Repaired {
		t.Errorf("%+v", r)
	}
	if r := fsck(t, e, false); r.Found != 0 || r.Orphans != 0 {
		t.Errorf("after the push: %+v", r)
	}
	for _, d := range []registry.Digest{bad, restored, digest.FromString("layer good")} {
		if _, err := e.StatBlob(t.Context(), repo, d); err != nil {
			t.Errorf("%s: %v", d, err)
		}
	}
}

// sqlite changes the database behind the engine's back.
func sqlite(t *testing.T, dir, statement string, args ...any) {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+filepath.Join(dir, "packhouse.db")+"?_pragma=busy_timeout(10000)")
	if err != nil {
		t.Fatal(err)
	}
	res, err := db.ExecContext(t.Context(), statement, args...)
	if err != nil {
		t.Fatal(err)
	}
	if n, err := res.RowsAffected(); err != nil || n == 0 {
		t.Fatalf("%s changed %d rows, %v", statement, n, err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestCheckFollowsReferences(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		harm string // an SQL statement; ?1 is the child image's digest
		want []ProblemKind
	}{
		{"whole", `UPDATE repositories SET generation = generation`, nil},
		{"blob unlinked", `DELETE FROM repository_blobs WHERE blob_id = (SELECT min(blob_id) FROM repository_blobs)`, []ProblemKind{ProblemReference}},
		{"child gone", `UPDATE memberships SET until_gen = 1, until_at = 1 WHERE digest = ?1`, []ProblemKind{ProblemReference}},
		{"bytes altered", `DROP TRIGGER manifests_stay; UPDATE manifests SET raw = CAST(CAST(raw AS TEXT) || ' ' AS BLOB) WHERE digest = ?1`, []ProblemKind{ProblemUsage, ProblemManifest}},
		{"reference forgotten", `DELETE FROM manifest_blobs WHERE manifest_id = (SELECT id FROM manifests WHERE digest = ?1)`, []ProblemKind{ProblemManifest}},
		{"deleted repository", `UPDATE repositories SET deleted_at = 1 WHERE EXISTS (SELECT 1 FROM repository_blobs)`, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			e := openAt(t, dir)
			child := pushImage(t, e, "child")
			index := registrytest.Index(nil, child)
			if _, err := e.PutManifest(t.Context(), repo, index, registry.PutOptions{Tags: []registry.Tag{"all"}}); err != nil {
				t.Fatal(err)
			}
			if strings.Contains(tt.harm, "?1") {
				sqlite(t, dir, tt.harm, child.Digest.String())
			} else {
				sqlite(t, dir, tt.harm)
			}
			var got []ProblemKind
			for _, p := range fsck(t, e, false).Problems {
				got = append(got, p.Kind)
				if p.Kind != ProblemUsage && (len(p.NeededBy) == 0 || p.NeededBy[0].Repository != repo) {
					t.Errorf("names no repository: %+v", p)
				}
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestCheckAllowsSparseManifestsWhereTheyAreConfigured(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	e, stop := start(t, dir, time.Now, func(c *Config) { c.Sparse = true })
	if _, err := e.PutManifest(t.Context(), repo, registrytest.Image(nil, []byte("config"), []byte("layer")), registry.PutOptions{}); err != nil {
		t.Fatal(err)
	}
	if r := fsck(t, e, false); r.Found != 0 {
		t.Errorf("%+v", r)
	}
	stop()
	if r := fsck(t, openAt(t, dir), false); r.Found != 2 {
		t.Errorf("with the setting off: %+v, want both blobs", r)
	}
}

func TestCheckDeletesOnlyOrphans(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	e, stop := start(t, dir, time.Now)
	pushImage(t, e, "kept", "1.0")
	before := objects(t, dir)
	stop()
	e = openAt(t, dir)
	waitSwept(t, e) // now no reserved token protects the image's objects
	write := func(key string) string {
		file := filepath.Join(dir, key)
		if err := os.WriteFile(file, []byte("orphan"), 0o600); err != nil {
			t.Fatal(err)
		}
		return file
	}
	orphan := write(meta.ObjectKey(newToken(), 7))
	foreign := write("/objects/00/README.md")
	inFlight := newToken()
	flying := write(meta.ObjectKey(inFlight, 0))
	if err := e.meta.Update(t.Context(), keeping, func(ctx context.Context, tx *meta.Tx) error { return tx.ReserveBlock(ctx, inFlight, e.replica) }); err != nil {
		t.Fatal(err)
	}
	for _, repair := range []bool{false, true} {
		if r := fsck(t, e, repair); r.Orphans != 1 || r.OrphanBytes != 6 || r.Found != 1 || r.Problems[0].Kind != ProblemForeign {
			t.Errorf("repair %t: %+v", repair, r)
		}
	}
	if _, err := os.Stat(orphan); !os.IsNotExist(err) {
		t.Errorf("orphan: %v", err)
	}
	for _, file := range []string{foreign, flying} {
		if _, err := os.Stat(file); err != nil {
			t.Error(err)
		}
	}
	if got := objects(t, dir); got != before+2 {
		t.Errorf("%d objects, want %d", got, before+2)
	}
}

func TestCheckGoesOnBesidePushes(t *testing.T) {
	t.Parallel()
	e := open(t)
	big := bytes.Repeat([]byte("0123456789abcdef"), 1<<16)
	for i := range 8 {
		pushBlob(t, e, repo, fmt.Sprint(i, string(big)))
	}
	var steps []int64
	r, err := e.Check(t.Context(), CheckOptions{Repair: true, Progress: func(done, total int64) {
		steps = append(steps, done)
		pushImage(t, e, fmt.Sprint("during ", done), "latest")
		if _, err := e.Check(t.Context(), CheckOptions{}); err == nil {
			t.Error("two checks ran at once")
		}
		if done > total {
			t.Errorf("%d of %d", done, total)
		}
	}})
	if err != nil || r.Found != 0 || r.Orphans != 0 {
		t.Errorf("%+v, %v", r, err)
	}
	if len(steps) < 8 || !slices.IsSorted(steps) {
		t.Errorf("progress %v", steps)
	}
	if r := fsck(t, e, false); r.Found != 0 {
		t.Errorf("%+v", r)
	}
}
