package consistency

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

const taggers = 16

// TestNames records what concurrent clients see while they read, list, move, delete and compare-and-set tags by two
// replicas, with everything around them breaking, and checks that there is one order of all operations on each tag that
// explains it.
//
// Seen red: with each of the five seeded bugs, see TestHarnessFindsSeededBugs.
func TestNames(t *testing.T) {
	rounds, length := size(2, 20), span(10*time.Second, 30*time.Second)
	for round := range rounds {
		d := deploy(t, setup{})
		h := d.record(t, round, length, d.troubles(t))
		found, err := h.check()
		if err != nil {
			t.Errorf("round %d: %v", round, err)
		}
		for _, v := range found {
			t.Errorf("round %d, seed %d: %s\nkept in %s", round, *seed, v.text(h), v.keep(t, h, fmt.Sprintf("names-%d", round)))
		}
		t.Logf("round %d: %d operations, %s; %d disturbances: %d violations", round, len(h.operations), h.summary(), len(h.marks), len(found))
	}
}

// record runs clients for a time, with one disturbance after the other, and returns what they saw.
func (d *deployment) record(t *testing.T, round int, length time.Duration, troubles []trouble) *history {
	t.Helper()
	d.prepareNames(t)
	h := newHistory()
	ctx, cancel := context.WithTimeout(t.Context(), length)
	defer cancel()
	c := newClient(patience)
	defer c.close()
	var all sync.WaitGroup
	for i := range taggers {
		g := &tagger{id: i, h: h, c: c, r: dice(1000*round + i), d: d, last: map[string]string{}}
		all.Go(func() { g.run(ctx) })
	}
	d.disturb(ctx, t, h, dice(1000*round+taggers), troubles)
	all.Wait()
	if err := d.settle(t.Context()); err != nil {
		t.Errorf("round %d: %v", round, err)
	}
	last := &tagger{id: taggers, h: h, c: c, r: dice(0), d: d, last: map[string]string{}}
	for _, tag := range h.tags() { // what is left in the end belongs to the history, on every replica
		for _, via := range d.replicas {
			if !last.read(t.Context(), via, step{tag: tag, verb: get}) {
				t.Errorf("round %d: replica %d does not answer when all is well again", round, via.number)
			}
		}
	}
	for _, err := range h.faults {
		t.Errorf("round %d: %v", round, err)
	}
	return h
}

// prepareNames pushes what the manifests refer to.
func (d *deployment) prepareNames(t *testing.T) {
	t.Helper()
	c := newClient(time.Minute)
	defer c.close()
	for i := range repos {
		a, err := c.putBlob(t.Context(), d.replicas[0].url, repoOf(fmt.Sprint("t", i)), config)
		if err != nil || a.status != http.StatusCreated {
			t.Fatalf("push the config: %v %v", a, err)
		}
	}
}

// tags are all that occur in a history.
func (h *history) tags() []string {
	seen := map[string]bool{}
	for _, op := range h.operations {
		seen[op.Input.(step).tag] = true
	}
	return slices.Sorted(maps.Keys(seen))
}

func (h *history) summary() string {
	var b strings.Builder
	for i, what := range slices.Sorted(maps.Keys(h.counts)) {
		if i > 0 {
			b.WriteString(", ")
		}
		fmt.Fprintf(&b, "%s %d", what, h.counts[what])
	}
	return b.String()
}
