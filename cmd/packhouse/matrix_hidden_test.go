package main

import (
	"fmt"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// look asks for each route of the table about what may be in priv, as those who
// may see none of it, and returns what each was told: the status, the whole
// header but what differs from answer to answer, and the body.
func (w *world) look(t *testing.T, tab accessTable, whose ...string) map[string]string {
	t.Helper()
	seen := map[string]string{}
	for _, r := range tab.routes {
		if r.grid == "rule" { // they are there or not by number
			continue
		}
		for _, row := range tab.grids[r.grid] {
			for _, who := range whose {
				column := who
				if who == "someone" { // who has even less
					column = "foreign"
				}
				cell := row.cells[slices.Index(tab.principals, column)]
				if !strings.HasPrefix(row.target.ns, "priv") || r.method != http.MethodGet && !refusal(cell) {
					continue
				}
				for _, method := range r.methods() {
					q := r.request(t, w, method, row.target, who)
					key := sessions.ReplaceAllString(q.path, "SESSION")
					seen[fmt.Sprintf("%d: %s: %s %s, %s", r.line, who, method, key, row.target.name)] = w.send(t, who, q).whole()
				}
			}
		}
	}
	return seen
}

// times are when npm's search was asked.
var times = regexp.MustCompile(`,"time":"[^"]*"`)

// whole is an answer as it is compared with another.
func (a answer) whole() string {
	h := a.header.Clone()
	for _, name := range []string{"Date", "X-Request-Id"} {
		h.Del(name)
	}
	var b strings.Builder
	_ = h.Write(&b) // a Builder takes all
	return fmt.Sprintf("%d\n%s\n%s", a.status, b.String(), times.ReplaceAllString(a.body, ""))
}

// TestPrivateLooksAbsent: the same request has the same answer, byte for byte,
// whether what it is about is there or not.
func TestPrivateLooksAbsent(t *testing.T) {
	t.Parallel()
	w, tab := emptyWorld(t), readTable(t)
	strangers := []string{anonymous, "someone", "foreign"}
	nothing := w.look(t, tab, strangers...)
	compare := func(what string, before, after map[string]string) {
		t.Helper()
		if diff := cmp.Diff(slices.Sorted(maps.Keys(before)), slices.Sorted(maps.Keys(after))); diff != "" {
			t.Fatal(diff)
		}
		t.Logf("%s: %d answers", what, len(before))
		for q, want := range before {
			if diff := cmp.Diff(want, after[q]); diff != "" {
				t.Errorf("%s: matrix.txt:%s:\n%s", what, q, diff)
			}
		}
	}
	w.people(t)
	compare("an empty namespace", nothing, w.look(t, tab, strangers...))
	w.neighbours(t)
	compare("another's packages", nothing, w.look(t, tab, strangers...))
	beside := w.look(t, tab, "neighbour")
	w.content(t)
	compare("packages and images", nothing, w.look(t, tab, strangers...))
	compare("packages beside one's own", beside, w.look(t, tab, "neighbour"))
}

// TestRefusalsAskNoStore: whoever is refused, is so without a look at what
// there is. With the stores closed every refusal is the same as before.
func TestRefusalsAskNoStore(t *testing.T) {
	t.Parallel()
	w, tab := newWorld(t), readTable(t)
	type asked struct {
		who  string
		line int
		ask
	}
	// What these are about is found by looking it up.
	looking := []string{"rule", "token", "token-revoke", "token-rotate", "wide", "scope", "listing", "content-there"}
	var cases []asked
	for _, r := range tab.routes {
		if slices.Contains(looking, r.grid) {
			continue
		}
		for _, row := range tab.grids[r.grid] {
			for i, who := range tab.principals {
				if !refusal(row.cells[i]) || who == "revoked" { // whether a token is good is looked up
					continue
				}
				for _, method := range r.methods() {
					cases = append(cases, asked{who, r.line, r.request(t, w, method, row.target, who)})
				}
			}
		}
	}
	before := make([]string, len(cases))
	for i, c := range cases {
		before[i] = w.send(t, c.who, c.ask).whole()
	}
	if err := w.close(); err != nil {
		t.Fatal(err)
	}
	control := w.send(t, "reader", ask{method: http.MethodGet, path: "/priv/npm/-/v1/search"})
	if control.status < http.StatusInternalServerError {
		t.Fatalf("what needs the store is answered without one: %d %s", control.status, control.body)
	}
	t.Logf("%d refusals", len(cases))
	for i, c := range cases {
		if diff := cmp.Diff(before[i], w.send(t, c.who, c.ask).whole()); diff != "" {
			t.Errorf("matrix.txt:%d: %s: %s %s needs the store to be refused:\n%s", c.line, c.who, c.method, c.path, diff)
		}
	}
}

// TestNarrowTokenStaysInside: a token that was narrowed to one namespace is a
// stranger's everywhere else, whoever made it.
func TestNarrowTokenStaysInside(t *testing.T) {
	t.Parallel()
	w, tab := newWorld(t), readTable(t)
	w.tokens["inside"], w.ids["inside"] = w.scoped(t, "admin", "pub/**", "admin")
	cases := 0
	for _, r := range tab.routes {
		for _, row := range tab.grids[r.grid] {
			cell := row.cells[slices.Index(tab.principals, "foreign")]
			if !strings.HasPrefix(row.target.ns, "priv") || !refusal(cell) {
				continue
			}
			want, err := r.want(cell)
			if err != nil {
				t.Fatal(err)
			}
			for _, method := range r.methods() {
				q := r.request(t, w, method, row.target, "narrow") // of the same owner
				cases++
				if a := w.send(t, "inside", q); a.status != want || strings.Contains(a.body, secretly) {
					t.Errorf("matrix.txt:%d: %s %s about %s: %d %s, want %d", r.line, method, q.path, row.target.name, a.status, a.body, want)
				}
			}
		}
	}
	if a := w.send(t, "inside", ask{method: http.MethodGet, path: "/pub/npm/app"}); a.status != http.StatusOK {
		t.Errorf("inside: %d %s", a.status, a.body)
	}
	t.Logf("%d cases", cases)
}
