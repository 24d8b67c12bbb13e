package consistency

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/packhouse/packhouse/conformance/packhouse"
)

// seededBugs are those that a binary built for tests has on demand.
func seededBugs() map[string]string {
	return map[string]string{
		"skip-validation":  "a name is answered from memory without asking whether it changed",
		"cas-not-atomic":   "a condition is checked in a transaction before the one that moves the tag",
		"stale-fill":       "what was read before a change is kept in memory after it",
		"two-open-periods": "a tag that moves is not closed first",
		"revive-deleted":   "a deleted name comes back from a cache",
	}
}

// TestHarnessFindsSeededBugs runs the clients of TestNames against replicas with a bug each: a violation must be found
// every time.
func TestHarnessFindsSeededBugs(t *testing.T) {
	binary := faulty(t)
	const rounds = 4
	for bug, what := range seededBugs() {
		t.Run(bug, func(t *testing.T) {
			for round := range rounds {
				d := deploy(t, setup{binary: binary, env: []string{"PACKHOUSE_FAULT=" + bug}})
				h := d.record(t, round, span(6*time.Second, 15*time.Second), nil)
				found, err := h.check()
				if err != nil {
					t.Log(err)
				}
				if len(found) == 0 {
					continue
				}
				first := found[0]
				for _, v := range found {
					if len(v.operations) < len(first.operations) {
						first = v
					}
				}
				t.Logf("%s: found in round %d, on %d of %d tags, by %d operations\n%s\nkept in %s",
					what, round+1, len(found), len(h.tags()), len(h.operations), first.text(h), first.keep(t, h, bug))
				return
			}
			t.Errorf("%s: not found in %d rounds", what, rounds)
		})
	}
}

// faulty builds the server with the bugs in it.
func faulty(t *testing.T) string {
	t.Helper()
	root, err := packhouse.Root()
	if err != nil {
		t.Fatal(err)
	}
	binary := filepath.Join(t.TempDir(), "packhouse")
	cmd := exec.CommandContext(t.Context(), "go", "build", "-tags", "faults", "-o", binary, "./cmd/packhouse")
	cmd.Dir, cmd.Env = root, append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return binary
}
