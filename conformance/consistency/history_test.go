package consistency

import (
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"
)

// checkTime bounds the search for an order. One that is not found in it is no proof, and fails the test.
const checkTime = 3 * time.Minute

// history is what all clients saw. An operation whose fate is unknown never ends: a replica that stands still carries it
// out when it goes on.
type history struct {
	begin      time.Time
	mu         sync.Mutex
	operations []porcupine.Operation
	marks      []mark
	faults     []error
	counts     map[string]int
}

// mark is a disturbance.
type mark struct {
	at   int64
	what string
}

func newHistory() *history { return &history{begin: time.Now(), counts: map[string]int{}} }

func (h *history) now() int64 { return time.Since(h.begin).Nanoseconds() }

// add records operations that began at call and end now; via is the number of the replica that was asked.
func (h *history) add(id, via int, call int64, out outcome, steps ...step) {
	back := h.now()
	if out.fate == unknown {
		back = math.MaxInt64
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, s := range steps {
		h.operations = append(h.operations, porcupine.Operation{ClientId: id, Input: s, Call: call, Output: out, Return: back, Metadata: via})
	}
}

func (h *history) count(what string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.counts[what]++
}

func (h *history) mark(what string) {
	at := h.now()
	h.mu.Lock()
	defer h.mu.Unlock()
	h.marks = append(h.marks, mark{at, what})
}

// fault records an answer that no registry may give, whatever else happens.
func (h *history) fault(err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.faults = append(h.faults, err)
}

// violation is a history of one tag that no order explains.
type violation struct {
	tag        string
	operations []porcupine.Operation // up to the first one that cannot be explained
	whole      []porcupine.Operation
}

// check looks for an order of the operations on each tag.
func (h *history) check() ([]violation, error) {
	var found []violation
	var undecided []error
	for _, part := range byTag(h.operations) {
		switch linearizable(part) {
		case porcupine.Ok:
		case porcupine.Illegal:
			found = append(found, violation{part[0].Input.(step).tag, shortest(part), part})
		case porcupine.Unknown:
			undecided = append(undecided, fmt.Errorf("%d operations on tag %s: no order was found within %s", len(part), part[0].Input.(step).tag, checkTime))
		}
	}
	return found, errors.Join(undecided...)
}

func linearizable(part []porcupine.Operation) porcupine.CheckResult {
	m := register()
	return porcupine.CheckOperationsTimeout(m.ToModel(), part, checkTime)
}

// shortest is the shortest beginning of a history that has no order: that of a longer one has none either, so halving
// finds it.
func shortest(part []porcupine.Operation) []porcupine.Operation {
	var ends []int64
	for _, op := range part {
		if op.Return != math.MaxInt64 {
			ends = append(ends, op.Return)
		}
	}
	slices.Sort(ends)
	n, _ := slices.BinarySearchFunc(ends, true, func(end int64, _ bool) int {
		if linearizable(until(part, end)) == porcupine.Illegal {
			return 0
		}
		return -1
	})
	if n == len(ends) {
		return part
	}
	return until(part, ends[n])
}

// until is what was known of a history at an instant: what had not ended then may have happened.
func until(part []porcupine.Operation, end int64) []porcupine.Operation {
	var known []porcupine.Operation
	for _, op := range part {
		s := op.Input.(step)
		switch {
		case op.Return <= end:
			known = append(known, op)
		case op.Call <= end && (s.verb == put || s.verb == del):
			op.Output, op.Return = outcome{fate: unknown}, math.MaxInt64
			known = append(known, op)
		}
	}
	return known
}

// text shows the end of the shortest history without an order.
func (v violation) text(h *history) string {
	const most = 40
	sorted := slices.SortedFunc(slices.Values(v.operations), func(a, b porcupine.Operation) int { return int(a.Call - b.Call) })
	var b strings.Builder
	fmt.Fprintf(&b, "tag %s: no order explains the first %d operations; the last of them are\n", v.tag, len(sorted))
	tail := sorted[max(0, len(sorted)-most):]
	fmt.Fprintf(&b, "%13s %13s  %-9s %-9s %s\n", "from/ms", "to/ms", "client", "replica", "operation")
	var marks []mark
	for _, m := range h.marks {
		if m.at >= tail[0].Call {
			marks = append(marks, m)
		}
	}
	for _, op := range tail {
		for len(marks) > 0 && marks[0].at <= op.Call {
			fmt.Fprintf(&b, "%13.3f %13s  -- %s\n", millis(marks[0].at), "", marks[0].what)
			marks = marks[1:]
		}
		to := "?"
		if op.Return != math.MaxInt64 {
			to = fmt.Sprintf("%.3f", millis(op.Return))
		}
		s := op.Input.(step)
		fmt.Fprintf(&b, "%13.3f %13s  client %-2d replica %v %s → %s\n", millis(op.Call), to, op.ClientId, op.Metadata, s, op.Output.(outcome).of(s))
	}
	return b.String()
}

func millis(ns int64) float64 { return float64(ns) / 1e6 }

// keep writes what is wrong as text and as a page that shows the operations on a time line, and returns where.
func (v violation) keep(t *testing.T, h *history, name string) string {
	t.Helper()
	dir := *histories
	if dir == "" {
		dir = t.ArtifactDir()
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	base := filepath.Join(dir, name+"-"+v.tag)
	if err := os.WriteFile(base+".txt", []byte(v.text(h)), 0o600); err != nil {
		t.Fatal(err)
	}
	nondeterministic := register()
	m := nondeterministic.ToModel()
	shown := slices.Clone(v.operations)
	end := h.now()
	for i := range shown { // a page has no room for what never ends
		shown[i].Return = min(shown[i].Return, end)
	}
	_, info := porcupine.CheckOperationsVerbose(m, shown, checkTime)
	if err := porcupine.VisualizePath(m, info, base+".html"); err != nil {
		t.Fatal(err)
	}
	return base + ".txt"
}
