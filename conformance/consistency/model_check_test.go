package consistency

import (
	"math"
	"strings"
	"testing"

	"github.com/anishathalye/porcupine"
)

// TestHarnessSeesWrongOrder gives the checker histories of registries with a bug each.
func TestHarnessSeesWrongOrder(t *testing.T) {
	t.Parallel()
	const a, b, c = "sha256:aaaaaaaa", "sha256:bbbbbbbb", "sha256:cccccccc"
	never := int64(math.MaxInt64)
	is := func(s string) *string { return &s }
	puts := func(value string, match *string) step { return step{"t", put, value, match} }
	gets, lists, deletes := step{tag: "t", verb: get}, step{tag: "t", verb: list}, step{tag: "t", verb: del}
	ok, lost := outcome{fate: done}, outcome{fate: unknown}
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
		{"in order", []op{{puts(a, nil), ok, 0, 1}, {gets, outcome{value: a}, 2, 3}, {lists, outcome{there: true}, 4, 5}, {deletes, ok, 6, 7}, {gets, outcome{}, 8, 9}}, porcupine.Ok},
		{"unknown put that happened", []op{{puts(a, nil), lost, 0, never}, {gets, outcome{value: a}, 2, 3}}, porcupine.Ok},
		{"unknown put that did not", []op{{puts(a, nil), lost, 0, never}, {gets, outcome{}, 2, 3}}, porcupine.Ok},
		{"unknown put that happens late", []op{{puts(a, nil), lost, 0, never}, {gets, outcome{}, 2, 3}, {gets, outcome{value: a}, 4, 5}}, porcupine.Ok},
		{"unknown put that happened twice", []op{
			{puts(a, nil), lost, 0, never}, {gets, outcome{value: a}, 2, 3}, {puts(b, nil), ok, 4, 5}, {gets, outcome{value: a}, 6, 7},
		}, porcupine.Illegal},
		{"unknown put whose condition did not hold", []op{{puts(a, is(b)), lost, 0, never}, {gets, outcome{value: a}, 2, 3}}, porcupine.Illegal},
		{"stale read", []op{{puts(a, nil), ok, 0, 1}, {puts(b, nil), ok, 2, 3}, {gets, outcome{value: a}, 4, 5}}, porcupine.Illegal},
		{"new, then old", []op{{puts(a, nil), ok, 0, 1}, {puts(b, nil), ok, 2, 9}, {gets, outcome{value: b}, 3, 4}, {gets, outcome{value: a}, 5, 6}}, porcupine.Illegal},
		{"two winners", []op{{puts(a, is("")), ok, 0, 5}, {puts(b, is("")), ok, 1, 6}}, porcupine.Illegal},
		{"lost update", []op{{puts(a, nil), ok, 0, 1}, {puts(b, is(a)), ok, 2, 6}, {puts(c, is(a)), ok, 3, 7}}, porcupine.Illegal},
		{"refused without cause", []op{{puts(a, nil), ok, 0, 1}, {puts(b, is(a)), outcome{fate: refused}, 2, 3}}, porcupine.Illegal},
		{"refused put is visible", []op{{puts(a, nil), ok, 0, 1}, {puts(b, is(c)), outcome{fate: refused}, 2, 3}, {gets, outcome{value: b}, 4, 5}}, porcupine.Illegal},
		{"deleted tag is back", []op{{puts(a, nil), ok, 0, 1}, {deletes, ok, 2, 3}, {gets, outcome{value: a}, 4, 5}}, porcupine.Illegal},
		{"deleted tag is listed", []op{{puts(a, nil), ok, 0, 1}, {deletes, ok, 2, 3}, {lists, outcome{there: true}, 4, 5}}, porcupine.Illegal},
		{"tag is not listed", []op{{puts(a, nil), ok, 0, 1}, {lists, outcome{}, 2, 3}}, porcupine.Illegal},
		{"deleted twice", []op{{puts(a, nil), ok, 0, 1}, {deletes, ok, 2, 3}, {deletes, ok, 4, 5}}, porcupine.Illegal},
		{"delete found nothing", []op{{puts(a, nil), ok, 0, 1}, {deletes, outcome{fate: absent}, 2, 3}}, porcupine.Illegal},
	} {
		h := newHistory()
		for i, o := range tc.ops {
			h.operations = append(h.operations, porcupine.Operation{ClientId: i, Input: o.in, Output: o.out, Call: o.from, Return: o.to, Metadata: 0})
		}
		found, err := h.check()
		if err != nil || (len(found) > 0) != (tc.want == porcupine.Illegal) {
			t.Errorf("%s: %d violations, %v, want %s", tc.name, len(found), err, tc.want)
		}
		for _, v := range found {
			if text := v.text(h); !strings.Contains(text, "no order explains the first") {
				t.Errorf("%s: %s", tc.name, text)
			}
		}
	}
}
