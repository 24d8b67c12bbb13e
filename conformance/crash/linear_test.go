package crash

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"

	"github.com/packhouse/packhouse/conformance/packhouse"
)

// step is an operation on one tag, as the checker sees it: the tag is a
// register that holds a digest or nothing.
type step struct {
	tag    string
	method string // GET, PUT, DELETE
	value  string // digest that a PUT sets
	// match is what the register must hold: nil for any condition none, "" for absent.
	match *string
}

// outcome is what the client learnt of a step.
type outcome struct {
	unknown bool   // no answer: it may have happened or not
	refused bool   // the condition did not hold
	value   string // what a GET brought, "" for absent; "" also for a DELETE of nothing
	absent  bool   // a DELETE found nothing
}

// register is the sequential specification of a tag.
var register = porcupine.NondeterministicModel{
	Partition: func(history []porcupine.Operation) [][]porcupine.Operation {
		parts := map[string][]porcupine.Operation{}
		for _, op := range history {
			tag := op.Input.(step).tag
			parts[tag] = append(parts[tag], op)
		}
		var list [][]porcupine.Operation
		for _, p := range parts {
			list = append(list, p)
		}
		return list
	},
	Init: func() []any { return []any{""} },
	Step: func(state, input, output any) []any {
		held, in, out := state.(string), input.(step), output.(outcome)
		next := held
		holds := in.match == nil || *in.match == held
		switch in.method {
		case http.MethodPut:
			next = in.value
		case http.MethodDelete:
			next = ""
			holds = holds && held != ""
		}
		switch {
		case out.unknown && holds:
			return []any{held, next}
		case out.unknown:
			return []any{held}
		case in.method == http.MethodGet:
			if out.value != held {
				return nil
			}
		case out.absent:
			if held != "" {
				return nil
			}
			next = held
		case out.refused:
			if holds {
				return nil
			}
			next = held
		case !holds:
			return nil
		}
		return []any{next}
	},
	Equal:             func(a, b any) bool { return a == b },
	DescribeOperation: func(in, out any) string { return fmt.Sprintf("%+v -> %+v", in, out) },
}

// TestLinearizable records what concurrent clients see while they read, move,
// delete and compare-and-set a few tags, with the server killed and restarted
// in between, and checks that there is one order of all operations on each tag
// that explains it.
//
// Seen red: with the condition checked before the transaction, and with what
// is kept in memory dropped a millisecond after the answer.
func TestLinearizable(t *testing.T) {
	t.Parallel()
	const clients, tagCount = 12, 6
	seeds := size(1, 20)
	length := time.Duration(size(5, 30)) * time.Second
	for round := range seeds {
		data := filepath.Join(t.TempDir(), "data")
		n := mustStart(t, data, packhouse.Options{})
		c := newClient(n.url)
		for i := range tagCount {
			withConfig(t, c, repoOf(tagOf(i)))
		}
		c.close()
		h := &history{begin: time.Now()}
		kills := 0
		for end := time.Now().Add(length); time.Now().Before(end); {
			ctx, cancel := context.WithCancel(t.Context())
			var all sync.WaitGroup
			for i := range clients {
				all.Go(func() { h.client(ctx, n.url, i, tagCount, dice(1000*round+10*kills+i)) })
			}
			<-time.After(length / 4)
			if err := n.kill(); err != nil {
				t.Fatal(err)
			}
			cancel()
			all.Wait()
			kills++
			n = mustStart(t, data, packhouse.Options{})
		}
		for i := range tagCount { // what is left in the end belongs to the history
			h.run(newClient(n.url), clients, step{tag: tagOf(i), method: http.MethodGet}, manifest{})
		}
		if err := n.kill(); err != nil {
			t.Fatal(err)
		}
		for _, err := range h.errors {
			t.Error(err)
		}
		result := porcupine.CheckOperationsTimeout(register.ToModel(), h.operations, time.Minute)
		if result != porcupine.Ok {
			t.Fatalf("round %d, seed %d: the history of %d operations is %s", round, *seed, len(h.operations), result)
		}
		t.Logf("%d operations of %d clients on %d tags, %d kills: linearizable", len(h.operations), clients, tagCount, kills)
	}
}

// history is what all clients saw. An operation without an answer ends when
// its connection does: a killed server has done all that it will do by then.
type history struct {
	begin      time.Time
	mu         sync.Mutex
	operations []porcupine.Operation
	errors     []error
}

func tagOf(i int) string { return "t" + strconv.Itoa(i) }

// repoOf spreads the tags over repositories: what is kept in memory of one is
// dropped when a name in it changes.
func repoOf(tag string) string { return "linear/of-" + tag }

// client does random steps until the server is gone. What it changed it often
// reads at once, when a copy in memory may not be dropped yet.
func (h *history) client(ctx context.Context, base string, id, tagCount int, r *rand.Rand) {
	c := newClient(base)
	defer c.close()
	last := map[string]string{} // what this client saw last
	changed := ""
	for count := 0; ctx.Err() == nil; count++ {
		s := step{tag: tagOf(r.IntN(tagCount)), method: http.MethodGet}
		var m manifest
		switch p := r.IntN(100); {
		case changed != "" && p < 70:
			s.tag = changed
		case p < 70:
		case p < 92:
			m = image(fmt.Sprintf("%d.%d.%d", id, count, r.Uint64()), nil, blobDescriptor(config))
			s.method, s.value = http.MethodPut, m.digest
		default:
			s.method = http.MethodDelete
		}
		if seen, ok := last[s.tag]; ok && s.method != http.MethodGet && r.IntN(2) == 0 && (seen != "" || s.method == http.MethodPut) {
			s.match = &seen
		}
		changed = ""
		if s.method != http.MethodGet {
			changed = s.tag
		}
		out := h.run(c, id, s, m)
		switch {
		case out.unknown:
			return
		case s.method == http.MethodGet:
			last[s.tag] = out.value
		case !out.refused:
			last[s.tag] = s.value
		}
	}
}

// run does one step and records it.
func (h *history) run(c *client, id int, s step, m manifest) outcome {
	condition, repo := http.Header{}, repoOf(s.tag)
	switch {
	case s.match == nil:
	case *s.match == "":
		condition.Set("If-None-Match", "*")
	default:
		condition.Set("If-Match", `"`+*s.match+`"`)
	}
	call := time.Since(h.begin).Nanoseconds()
	var r *reply
	var err error
	switch s.method {
	case http.MethodPut:
		r, err = c.putManifest(context.Background(), repo, s.tag, m, condition)
	case http.MethodDelete:
		r, err = c.do(context.Background(), http.MethodDelete, manifestPath(repo, s.tag), condition, nil)
	default:
		r, err = c.do(context.Background(), http.MethodGet, manifestPath(repo, s.tag), accept(), nil)
	}
	back := time.Since(h.begin).Nanoseconds()
	var out outcome
	switch {
	case r == nil || err != nil && s.method == http.MethodGet:
		out.unknown = true
	case r.status == http.StatusOK:
		out.value = digestOf(r.body)
	case r.status == http.StatusNotFound && s.method == http.MethodDelete:
		out.absent = true
	case r.status == http.StatusPreconditionFailed:
		out.refused = true
	case r.status == http.StatusCreated, r.status == http.StatusAccepted, r.status == http.StatusNotFound && s.method == http.MethodGet:
	default:
		out.unknown = true
		err = fmt.Errorf("unexpected answer: %s", r)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if r != nil && err != nil {
		h.errors = append(h.errors, err)
	}
	if out.unknown && s.method == http.MethodGet {
		return out // it says nothing
	}
	h.operations = append(h.operations, porcupine.Operation{ClientId: id, Input: s, Call: call, Output: out, Return: back})
	return out
}
