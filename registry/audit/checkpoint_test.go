package audit

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/packhouse/packhouse/registry"
	"github.com/packhouse/packhouse/storage/meta"
)

func (f *fixture) files() []string {
	f.t.Helper()
	names, err := checkpointNames(f.cfg.Checkpoints)
	if err != nil {
		f.t.Fatal(err)
	}
	return names
}

func (f *fixture) read(name string) Checkpoint {
	f.t.Helper()
	b, err := readBounded(f.cfg.Checkpoints, name)
	if err != nil {
		f.t.Fatal(err)
	}
	c, _, err := open(b, nil)
	if err != nil {
		f.t.Fatal(err)
	}
	return c
}

func TestCheckpointsTellWhatMoved(t *testing.T) {
	t.Parallel()
	f := setUp(t)
	f.writeCheckpoint() // of nothing
	if got := f.files(); len(got) != 0 {
		t.Fatalf("files of nothing: %v", got)
	}
	f.fill(10, 2)
	f.writeCheckpoint()
	f.writeCheckpoint() // nothing moved
	f.record("user:bob", meta.AuditRecord{Action: "tag.delete", RepoID: 2})
	f = f.again()
	f.writeCheckpoint()
	names := f.files()
	want := []string{"20261124T121000.000Z.json", "20261124T121000.001Z.json"}
	if diff := cmp.Diff(want, names); diff != "" {
		t.Fatalf("files (-want +got):\n%s", diff)
	}
	b, err := readBounded(f.cfg.Checkpoints, names[0])
	if err != nil {
		t.Fatal(err)
	}
	second := f.read(names[1])
	hashes := map[string]int{}
	for i := range second.Heads {
		hashes[second.Heads[i].Hash]++
		second.Heads[i].Hash = ""
	}
	wantSecond := Checkpoint{Version: 1, Number: 2, Time: f.now, Through: 11, Previous: hashHex(b), Heads: []Head{{Chain: "r2", Seq: 6}}}
	if diff := cmp.Diff(wantSecond, second); diff != "" || len(hashes) != 1 {
		t.Errorf("second checkpoint (-want +got):\n%s", diff)
	}
	if r := f.verify(); !r.OK() || r.Checkpoints != 2 || r.First != 1 || r.Uncovered != 0 || !r.Through.Equal(f.now) || !cmp.Equal(r.Signers, []string{"k1"}) {
		t.Errorf("verify: %+v", r)
	}
}

func TestManyHeadsMakeManyFiles(t *testing.T) {
	t.Parallel()
	f := setUp(t)
	var many []meta.AuditRecord
	for i := range maxHeads + 10 {
		many = append(many, meta.AuditRecord{Action: "manifest.put", RepoID: int64(1 + i)})
	}
	f.record("user:alice", many...)
	f.writeCheckpoint()
	names := f.files()
	if len(names) != 2 || len(f.read(names[0]).Heads) != maxHeads || len(f.read(names[1]).Heads) != 10 {
		t.Errorf("got %v", names)
	}
	if r, err := Offline(t.Context(), f.cfg.Checkpoints, nil); err != nil || !r.OK() || r.Checkpoints != 2 {
		t.Errorf("offline: %+v, %v", r, err)
	}
}

func TestCheckpointFilesVouchForEachOther(t *testing.T) {
	t.Parallel()
	three := func(t *testing.T) (*fixture, []string) {
		t.Helper()
		f := setUp(t)
		for range 3 {
			f.fill(10, 2)
			f.writeCheckpoint()
		}
		return f, f.files()
	}
	edit := func(t *testing.T, f *fixture, name string, old, replacement string) {
		t.Helper()
		path := filepath.Join(f.cfg.Checkpoints, name)
		b, err := os.ReadFile(path)
		if err != nil || !bytes.Contains(b, []byte(old)) {
			t.Fatalf("no %s in %s: %v", old, name, err)
		}
		if err := os.WriteFile(path, bytes.Replace(b, []byte(old), []byte(replacement), 1), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	remove := func(t *testing.T, f *fixture, name string) {
		t.Helper()
		if err := os.Remove(filepath.Join(f.cfg.Checkpoints, name)); err != nil {
			t.Fatal(err)
		}
	}
	own, other := testKey(1).Public().(ed25519.PublicKey), testKey(2).Public().(ed25519.PublicKey)
	for _, c := range []struct {
		name   string
		tamper func(*testing.T, *fixture, []string)
		keys   []ed25519.PublicKey
		bad    []int  // files with a problem
		say    string // in the first one
	}{
		{"nothing", func(*testing.T, *fixture, []string) {}, nil, nil, ""},
		{"pinned", func(*testing.T, *fixture, []string) {}, []ed25519.PublicKey{other, own}, nil, ""},
		{"another's key", func(*testing.T, *fixture, []string) {}, []ed25519.PublicKey{other}, []int{0, 1, 2}, "another key"},
		{"edited", func(t *testing.T, f *fixture, n []string) { edit(t, f, n[1], `"seq":10`, `"seq":11`) }, nil, []int{1, 2}, "signature is wrong"},
		{"not JSON", func(t *testing.T, f *fixture, n []string) { edit(t, f, n[2], `{`, `[`) }, nil, []int{2}, "cannot be read"},
		{"more in it", func(t *testing.T, f *fixture, n []string) { edit(t, f, n[2], `{`, `{"x":1,`) }, nil, []int{2}, "cannot be read"},
		{"no key", func(t *testing.T, f *fixture, n []string) { edit(t, f, n[2], `"public_key":"MC`, `"public_key":"AA`) }, nil, []int{2}, "none of Ed25519"},
		{"removed", func(t *testing.T, f *fixture, n []string) { remove(t, f, n[1]) }, nil, []int{2}, "missing or was changed"},
		{"signed anew", func(t *testing.T, f *fixture, n []string) {
			c := f.read(n[1])
			c.Time = c.Time.Add(time.Second)
			b, err := sign(c, "k1", testKey(1))
			if err == nil {
				err = os.WriteFile(filepath.Join(f.cfg.Checkpoints, n[1]), b, 0o600)
			}
			if err != nil {
				t.Fatal(err)
			}
		}, nil, []int{2}, "missing or was changed"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			f, names := three(t)
			c.tamper(t, f, names)
			want := []string{}
			for _, i := range c.bad {
				want = append(want, names[i])
			}
			offline, err := Offline(t.Context(), f.cfg.Checkpoints, c.keys)
			if err != nil {
				t.Fatal(err)
			}
			for _, r := range []Report{offline, f.verify(c.keys...)} {
				got := []string{}
				for _, p := range r.Problems {
					got = append(got, p.Checkpoint)
				}
				if diff := cmp.Diff(want, got); diff != "" {
					t.Errorf("bad files (-want +got):\n%s", diff)
				}
				if len(r.Problems) > 0 && !strings.Contains(r.Problems[0].Message, c.say) {
					t.Errorf("got %q, want %q in it", r.Problems[0].Message, c.say)
				}
			}
		})
	}
}

func TestOlderCheckpointsMayBeElsewhere(t *testing.T) {
	t.Parallel()
	f := setUp(t)
	for range 3 {
		f.fill(10, 2)
		f.writeCheckpoint()
	}
	if err := os.Remove(filepath.Join(f.cfg.Checkpoints, f.files()[0])); err != nil {
		t.Fatal(err)
	}
	if r := f.verify(); !r.OK() || r.First != 2 {
		t.Errorf("got %+v, want that the first is number 2", r)
	}
	if _, err := Offline(t.Context(), t.TempDir(), nil); !errors.Is(err, registry.ParameterInvalid) {
		t.Errorf("no checkpoints at all: %v", err)
	}
}

// A crash between any two steps of writing leaves what the next run goes on
// from: a temporary file, or the file whose writer did not learn that it is
// there.
func TestACrashWhileACheckpointIsWritten(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name  string
		crash func(t *testing.T, f *fixture)
		files int
	}{
		{"half a temporary file", func(t *testing.T, f *fixture) {
			t.Helper()
			if err := os.WriteFile(filepath.Join(f.cfg.Checkpoints, tempPrefix+"1"), []byte(`{"checkpoint":{"ver`), 0o600); err != nil {
				t.Fatal(err)
			}
		}, 2},
		{"renamed, not noted", func(t *testing.T, f *fixture) {
			t.Helper()
			f.again().writeCheckpoint()
		}, 2},
		{"renamed, and more came", func(t *testing.T, f *fixture) {
			t.Helper()
			f.again().writeCheckpoint()
			f.fill(5, 5)
		}, 3},
		{"the directory's fsync failed", func(t *testing.T, f *fixture) {
			t.Helper()
			f.again().writeCheckpoint()
			f.checkpoints.loaded = false // as put leaves it
		}, 2},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			f := setUp(t)
			f.fill(10, 2)
			f.writeCheckpoint()
			f.fill(10, 2)
			c.crash(t, f)
			f = f.again()
			f.writeCheckpoint()
			if r := f.verify(); !r.OK() || r.Checkpoints != int64(c.files) || r.Uncovered != 0 {
				t.Errorf("after the crash: %+v", r)
			}
			if left, err := filepath.Glob(filepath.Join(f.cfg.Checkpoints, tempPrefix+"*")); len(left) != 0 || err != nil {
				t.Errorf("left: %v, %v", left, err)
			}
		})
	}
}

func TestADamagedLastCheckpointEndsNothing(t *testing.T) {
	t.Parallel()
	f := setUp(t)
	f.fill(10, 2)
	f.writeCheckpoint()
	if err := os.WriteFile(filepath.Join(f.cfg.Checkpoints, f.files()[0]), []byte("rotten"), 0o600); err != nil {
		t.Fatal(err)
	}
	f = f.again()
	f.writeCheckpoint()
	if got := f.read(f.files()[1]); len(got.Heads) != 2 || got.Previous != hashHex([]byte("rotten")) {
		t.Errorf("the next tells of %+v, want all heads", got)
	}
	if r := f.verify(); len(r.Problems) != 1 || r.Problems[0].Checkpoint != f.files()[0] {
		t.Errorf("verify: %+v", r)
	}
}

func TestARestoredDatabaseShows(t *testing.T) {
	t.Parallel()
	f := setUp(t)
	f.fill(10, 2)
	x := f.sql()
	restore := x.save()
	f.fill(10, 2)
	f.writeCheckpoint()
	restore("")
	f = f.again()
	f.writeCheckpoint()
	if got := f.read(f.files()[1]); len(got.Heads) != 2 || got.Through != 10 {
		t.Errorf("the next tells of %+v, want all heads that are there", got)
	}
	r := f.verify()
	if len(r.Problems) != 2 || !strings.Contains(r.Problems[0].Message, "restored from a backup") {
		t.Errorf("verify: %+v", r)
	}
}

// What is in a file can be checked with any tool: the shape is a promise.
func TestTheShapeOfACheckpoint(t *testing.T) {
	t.Parallel()
	b, err := sign(Checkpoint{
		Version: 1, Number: 2, Time: time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC), Through: 3, Previous: "ab", Heads: []Head{{Chain: "r1", Seq: 4, Hash: "cd"}},
	}, "k1", testKey(1))
	if err != nil {
		t.Fatal(err)
	}
	var got map[string]json.RawMessage
	if err := json.Unmarshal(b, &got); err != nil {
		t.Fatal(err)
	}
	want := map[string]json.RawMessage{
		"checkpoint": json.RawMessage(`{"version":1,"number":2,"time":"2026-11-24T12:00:00Z","through":3,"previous":"ab","heads":[{"chain":"r1","seq":4,"hash":"cd"}]}`),
		"key_id":     json.RawMessage(`"k1"`),
	}
	if diff := cmp.Diff(want, got, cmpopts.IgnoreMapEntries(func(k string, _ json.RawMessage) bool { return k == "public_key" || k == "signature" })); diff != "" {
		t.Errorf("file (-want +got):\n%s", diff)
	}
	var signature []byte
	if err := json.Unmarshal(got["signature"], &signature); err != nil {
		t.Fatal(err)
	}
	if !ed25519.Verify(testKey(1).Public().(ed25519.PublicKey), append([]byte("packhouse audit checkpoint 1\n"), got["checkpoint"]...), signature) {
		t.Error("the signature is not of the prefix and the checkpoint's bytes")
	}
}

// The loops: a checkpoint each five minutes if something changed, tried again
// after thirty seconds when it failed, refusals each minute, both at Close.
func TestLoops(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		m, err := meta.Open(t.Context(), meta.Config{Dir: dir})
		if err != nil {
			t.Fatal(err)
		}
		f := &fixture{t: t, dir: dir}
		f.Trail = f.trail(m, registry.GateFunc(everybody))
		cfg := f.cfg
		var locked atomic.Bool
		locked.Store(true)
		cfg.Key = func(ctx context.Context) (string, ed25519.PrivateKey, error) {
			if locked.Load() {
				return "", nil, errors.New("no key now")
			}
			return testSigner(ctx)
		}
		var log bytes.Buffer
		cfg.Log = slog.New(slog.NewTextHandler(&log, nil))
		cfg.Retention = 48 * time.Hour
		trail, err := New(t.Context(), cfg)
		if err != nil {
			t.Fatal(err)
		}
		f.Trail = trail
		counts := func(step string, files, records int) {
			t.Helper()
			synctest.Wait()
			last, err := m.LastAudit(t.Context())
			if got := len(f.files()); got != files || last != int64(records) || err != nil {
				t.Errorf("%s: %d files and %d records, %v, want %d and %d", step, got, last, err, files, records)
			}
		}
		pass := func(d time.Duration) { time.Sleep(d) } //nolint:forbidigo // in the bubble's time
		pass(time.Second)                               // off the ticks
		f.record("user:alice", meta.AuditRecord{Action: "manifest.put", RepoID: 1})
		pass(5 * time.Minute)
		counts("no key", 0, 1)
		if !strings.Contains(log.String(), "audit checkpoint not written") || !strings.Contains(log.String(), "no key now") {
			t.Errorf("the log says nothing of it: %s", log.String())
		}
		locked.Store(false)
		pass(30 * time.Second)
		counts("tried again", 1, 1)
		pass(time.Hour)
		counts("nothing changed", 1, 1)
		eve := registry.WithCaller(t.Context(), &registry.Caller{Principal: "user:eve"})
		trail.Denials().Note(eve, registry.Delete, "acme/app", registry.Denied)
		pass(time.Minute)
		counts("a refusal", 1, 2)
		pass(5 * time.Minute)
		counts("and its checkpoint", 2, 2)
		pass(72 * time.Hour)
		if got, err := trail.List(t.Context(), Filter{}); len(got) != 2 || got[0].Action != actionTrim || got[1].Action != actionTrim || err != nil {
			t.Errorf("after retention: %+v, %v", got, err)
		}
		counts("and those are changes, too", 4, 4)
		trail.Denials().Note(eve, registry.Delete, "acme/app", registry.Denied)
		if err := trail.Close(); err != nil {
			t.Error(err)
		}
		counts("at the end", 5, 5)
		if r := f.verify(); !r.OK() || r.Uncovered != 0 {
			t.Errorf("verify: %+v", r)
		}
		if err := m.Close(); err != nil {
			t.Error(err)
		}
	})
}
