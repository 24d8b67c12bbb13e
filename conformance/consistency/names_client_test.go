package consistency

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strconv"
	"time"
)

// tagger is one client that reads, moves, deletes and lists a few tags at random, now by one replica, now by another.
type tagger struct {
	id   int
	h    *history
	c    *client
	r    *rand.Rand
	d    *deployment
	last map[string]string // what it saw last
	next string            // the tag that it changed just now
	made int
}

const (
	tagsAtOnce = 8
	repos      = 4
	// tagLife is how long a tag is in use: the more of unknown fate happened to a tag, the longer the search for an order.
	tagLife = 6 * time.Second
)

// tagAt returns the i-th tag that is in use at an instant.
func (h *history) tagAt(i int) string {
	return fmt.Sprintf("t%d-%d", time.Since(h.begin)/tagLife, i)
}

// repoOf spreads the tags over repositories: what is kept in memory of one is dropped when a name in it changes.
func repoOf(tag string) string {
	return "names/of-" + strconv.Itoa(int(tag[len(tag)-1]-'0')%repos)
}

// patience of these clients: shorter than replicas stand still.
const patience = 2 * time.Second

// run does random steps until ctx ends.
func (g *tagger) run(ctx context.Context) {
	for ctx.Err() == nil {
		if !g.step(ctx) {
			select { // who has lost a server does not hammer on the door
			case <-ctx.Done():
			case <-time.After(between(g.r, 10*time.Millisecond, 50*time.Millisecond)):
			}
		}
	}
}

// step does one random thing and reports whether the replica is fine. What it changed it often reads at once, elsewhere
// too, when a copy in memory may not be dropped yet.
func (g *tagger) step(ctx context.Context) bool {
	via := g.d.replicas[g.r.IntN(len(g.d.replicas))]
	s := step{tag: g.h.tagAt(g.r.IntN(tagsAtOnce)), verb: get}
	if g.next != "" && g.r.IntN(10) < 7 {
		s.tag, g.next = g.next, ""
		return g.read(ctx, via, s)
	}
	switch p := g.r.IntN(100); {
	case p < 55:
		return g.read(ctx, via, s)
	case p < 65:
		return g.list(ctx, via, repoOf(s.tag))
	case p < 90:
		s.verb = put
	default:
		s.verb = del
	}
	if seen, ok := g.last[s.tag]; ok && g.r.IntN(2) == 0 && (seen != "" || s.verb == put) {
		s.match = &seen
	}
	g.next = s.tag
	return g.change(ctx, via, s)
}

func (g *tagger) read(ctx context.Context, via *replica, s step) bool {
	method := http.MethodGet
	if g.r.IntN(3) == 0 {
		method = http.MethodHead
	}
	call := g.h.now()
	a, err := g.c.do(context.WithoutCancel(ctx), method, manifestURL(via.url, repoOf(s.tag), s.tag), accept(), nil)
	if err != nil {
		g.h.count("reads without an answer")
		return false
	}
	out := outcome{}
	switch a.status {
	case http.StatusOK:
		out.value = a.header.Get("Docker-Content-Digest")
		if got := digestOf(a.body); method == http.MethodGet && got != out.value {
			g.h.fault(fmt.Errorf("GET of %s: the header says %s, the bytes are %s", s.tag, out.value, got))
		}
	case http.StatusNotFound:
	default:
		return g.unable(a)
	}
	g.h.add(g.id, via.number, call, out, s)
	g.h.count("reads")
	g.last[s.tag] = out.value
	return true
}

// list reads the tags of a repository: it says of each tag whether it is there.
func (g *tagger) list(ctx context.Context, via *replica, repo string) bool {
	var tags []string // before the call: what comes into use later may be there or not
	for i := range tagsAtOnce {
		if tag := g.h.tagAt(i); repoOf(tag) == repo {
			tags = append(tags, tag)
		}
	}
	call := g.h.now()
	a, err := g.c.do(context.WithoutCancel(ctx), http.MethodGet, via.url+"/v2/"+repo+"/tags/list?n=1000", nil, nil)
	if err != nil {
		g.h.count("reads without an answer")
		return false
	}
	var body struct{ Tags []string }
	switch {
	case a.status != http.StatusOK:
		return g.unable(a)
	case json.Unmarshal(a.body, &body) != nil:
		g.h.fault(fmt.Errorf("no list of tags: %s", a))
	}
	for _, tag := range tags {
		g.h.add(g.id, via.number, call, outcome{there: slices.Contains(body.Tags, tag)}, step{tag: tag, verb: list})
	}
	g.h.count("lists")
	return true
}

func (g *tagger) change(ctx context.Context, via *replica, s step) bool {
	condition := http.Header{}
	switch {
	case s.match == nil:
	case *s.match == "":
		condition.Set("If-None-Match", "*")
	default:
		condition.Set("If-Match", `"`+*s.match+`"`)
	}
	var m manifest
	if s.verb == put {
		g.made++
		m = image(fmt.Sprintf("%d.%d.%d", *seed, g.id, g.made), config)
		s.value = m.digest
	}
	call := g.h.now()
	var a *answer
	var err error
	if s.verb == put {
		a, err = g.c.putManifest(context.WithoutCancel(ctx), via.url, repoOf(s.tag), s.tag, m, condition)
	} else {
		a, err = g.c.do(context.WithoutCancel(ctx), http.MethodDelete, manifestURL(via.url, repoOf(s.tag), s.tag), condition, nil)
	}
	out := outcome{fate: done}
	switch {
	case errors.Is(err, errNotSent):
		return false
	case err != nil, a.uncertain():
		out.fate = unknown
	case a.status == http.StatusPreconditionFailed:
		out.fate = refused
	case a.status == http.StatusNotFound && s.verb == del:
		out.fate = absent
	case a.status == http.StatusCreated, a.status == http.StatusAccepted:
	default:
		return g.unable(a)
	}
	g.h.add(g.id, via.number, call, out, s)
	g.h.count("changes " + string(out.fate))
	if out.fate == done {
		g.last[s.tag] = s.value
	}
	return out.fate != unknown
}

// unable judges an answer that is no success: it says that nothing happened.
func (g *tagger) unable(a *answer) bool {
	if a.to[:4] == http.MethodHead && a.status == http.StatusServiceUnavailable {
		g.h.count("503")
		return false // without a body
	}
	if err := a.busy(); err != nil {
		g.h.fault(err)
	}
	g.h.count(strconv.Itoa(a.status))
	return false
}
