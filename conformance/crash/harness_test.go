package crash

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"

	"github.com/packhouse/packhouse/conformance/packhouse"
)

// TestHarnessSeesBrokenData breaks a data directory behind the server's back:
// the read-back must notice each time.
func TestHarnessSeesBrokenData(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name   string
		damage func(path string) error
	}{
		{"file removed", os.Remove},
		{"file emptied", func(path string) error { return os.Truncate(path, 0) }},
		{"file shortened", func(path string) error { return os.Truncate(path, 1<<10) }},
		{"byte changed", func(path string) error {
			b, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			b[len(b)/2] ^= 1
			return os.WriteFile(path, b, 0o600)
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			data := filepath.Join(t.TempDir(), "data")
			n := mustStart(t, data, packhouse.Options{})
			w := team(1, []int{4 << 10}, func(err error) { t.Error(err) })[0]
			w.c = newClient(n.url)
			for range 20 {
				w.step()
			}
			body := w.body(w.repos[0])
			w.push(w.repos[0], body)
			readAll(t, n, []*worker{w}, "before")
			if err := n.kill(); err != nil {
				t.Fatal(err)
			}
			if err := tc.damage(fileOf(t, data, digestOf(body))); err != nil {
				t.Fatal(err)
			}
			n = mustStart(t, data, packhouse.Options{})
			a := newAudit(n.url)
			a.journals(t.Context(), []snapshot{w.l.snapshot()}, true)
			if !strings.Contains(a.report(), digestOf(body)) {
				t.Errorf("blob %s was damaged, the read-back reports %q", digestOf(body), a.report())
			}
		})
	}
}

// fileOf finds the stored file with this content.
func fileOf(t *testing.T, data, digest string) string {
	t.Helper()
	found := errors.New("found")
	var path string
	err := filepath.WalkDir(data, func(p string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		b, err := os.ReadFile(p)
		if err == nil && digestOf(b) == digest {
			path, err = p, found
		}
		return err
	})
	if !errors.Is(err, found) {
		t.Fatalf("no file holds %s: %v", digest, err)
	}
	return path
}

// TestHarnessSeesWrongJournal tells the read-back of operations that were not:
// each must be reported as what it would be.
func TestHarnessSeesWrongJournal(t *testing.T) {
	t.Parallel()
	n := mustStart(t, filepath.Join(t.TempDir(), "data"), packhouse.Options{})
	w := team(1, []int{4 << 10}, func(err error) { t.Error(err) })[0]
	w.c = newClient(n.url)
	repo := w.repos[0]
	w.pushWhole(repo)
	for !strings.Contains(fmt.Sprint(w.l.snapshot().known), "{tag") {
		w.pushTagged(repo)
	}
	readAll(t, n, []*worker{w}, "before")
	tag, _ := w.l.some(tags, repo, nil)
	blob, _ := w.l.some(blobs, repo, nil)
	absent := name{manifests, repo, digestOf([]byte("absent"))}
	for _, tc := range []struct {
		class         string
		known, flying map[name]string
	}{
		{"lost", map[name]string{absent: absent.ref}, nil},
		{"lost", map[name]string{{tags, repo, "nobody"}: absent.ref}, nil},
		{"revived", map[name]string{tag: ""}, nil},
		{"revived", map[name]string{blob: ""}, nil},
		{"altered", map[name]string{tag: absent.ref}, nil},
		{"torn", map[name]string{absent: absent.ref}, map[name]string{tag: "", absent: ""}},
		{"torn", map[name]string{tag: ""}, map[name]string{tag: w.l.state(tag), absent: absent.ref}},
	} {
		s := w.l.snapshot()
		for n, state := range tc.known {
			s.known[n] = state
		}
		s.flying = tc.flying
		a := newAudit(n.url)
		a.journals(t.Context(), []snapshot{s}, true)
		if !strings.Contains(a.report(), tc.class+": ") {
			t.Errorf("want a fault of class %s, got %q", tc.class, a.report())
		}
	}
}

// TestHarnessCutsPower checks the disk under TestPowerCut: an image taken at
// an instant has what was fsynced and lacks what was only written.
func TestHarnessCutsPower(t *testing.T) {
	disk := mountExt4(t, 64, "commit=300")
	write := func(name string, sync bool) {
		f, err := os.Create(filepath.Join(disk.dir, name))
		if err != nil {
			t.Fatal(err)
		}
		if _, err = f.WriteString("content"); err == nil && sync {
			err = f.Sync()
		}
		if err := errors.Join(err, f.Close()); err != nil {
			t.Fatal(err)
		}
	}
	write("synced", true)
	write("written", false)
	image := filepath.Join(filepath.Dir(disk.image), "cut")
	for !disk.copy(t, image) {
	}
	cut := &volume{image: image}
	cut.mount(t, "")
	if b, err := os.ReadFile(filepath.Join(cut.dir, "synced")); err != nil || string(b) != "content" {
		t.Errorf("what was fsynced is %q, %v", b, err)
	}
	if b, err := os.ReadFile(filepath.Join(cut.dir, "written")); err == nil && string(b) == "content" {
		t.Error("what was not fsynced survived: this is no power cut")
	}
}

// TestHarnessSeesWrongOrder gives the checker histories of registries with a
// bug each.
func TestHarnessSeesWrongOrder(t *testing.T) {
	t.Parallel()
	is := func(s string) *string { return &s }
	put := func(v string, match *string) step { return step{"t", http.MethodPut, v, match} }
	get, del := step{tag: "t", method: http.MethodGet}, step{tag: "t", method: http.MethodDelete}
	type op struct {
		in       step
		out      outcome
		from, to int64
	}
	for _, tc := range []struct {
		name string
		ops  []op
		want porcupine.CheckResult
	}{
		{"in order", []op{{put("a", nil), outcome{}, 0, 1}, {get, outcome{value: "a"}, 2, 3}, {del, outcome{}, 4, 5}, {get, outcome{}, 6, 7}}, porcupine.Ok},
		{"unknown put that happened", []op{{put("a", nil), outcome{unknown: true}, 0, 1}, {get, outcome{value: "a"}, 2, 3}}, porcupine.Ok},
		{"unknown put that did not", []op{{put("a", nil), outcome{unknown: true}, 0, 1}, {get, outcome{}, 2, 3}}, porcupine.Ok},
		{"stale read", []op{{put("a", nil), outcome{}, 0, 1}, {put("b", nil), outcome{}, 2, 3}, {get, outcome{value: "a"}, 4, 5}}, porcupine.Illegal},
		{"new, then old", []op{{put("a", nil), outcome{}, 0, 1}, {put("b", nil), outcome{}, 2, 9}, {get, outcome{value: "b"}, 3, 4}, {get, outcome{value: "a"}, 5, 6}}, porcupine.Illegal},
		{"two winners", []op{{put("a", is("")), outcome{}, 0, 5}, {put("b", is("")), outcome{}, 1, 6}}, porcupine.Illegal},
		{"lost update", []op{{put("a", nil), outcome{}, 0, 1}, {put("b", is("a")), outcome{}, 2, 6}, {put("c", is("a")), outcome{}, 3, 7}}, porcupine.Illegal},
		{"refused put is visible", []op{{put("a", nil), outcome{}, 0, 1}, {put("b", is("x")), outcome{refused: true}, 2, 3}, {get, outcome{value: "b"}, 4, 5}}, porcupine.Illegal},
		{"deleted tag is back", []op{{put("a", nil), outcome{}, 0, 1}, {del, outcome{}, 2, 3}, {get, outcome{value: "a"}, 4, 5}}, porcupine.Illegal},
	} {
		var history []porcupine.Operation
		for i, o := range tc.ops {
			history = append(history, porcupine.Operation{ClientId: i, Input: o.in, Output: o.out, Call: o.from, Return: o.to})
		}
		if got := porcupine.CheckOperationsTimeout(register.ToModel(), history, time.Minute); got != tc.want {
			t.Errorf("%s: %s, want %s", tc.name, got, tc.want)
		}
	}
}

// TestHarnessGoesOn makes sure that workers without a server end.
func TestHarnessGoesOn(t *testing.T) {
	t.Parallel()
	crew := team(2, []int{1}, func(err error) { t.Error(err) })
	work(context.Background(), "http://127.0.0.1:1", crew)
	if n := acknowledged(crew); n != 0 {
		t.Errorf("%d operations acknowledged by nobody", n)
	}
}
