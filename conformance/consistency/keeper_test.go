package consistency

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"sync"
	"time"
)

// keeper is one client that alone changes its tags, so that it knows what each must be at any time, by whichever replica.
type keeper struct {
	id   int
	r    *rand.Rand
	c    *client
	d    *deployment
	log  *load
	tags []*kept
	made int
}

// kept is one tag as its keeper knows it.
type kept struct {
	repo, tag string
	now       string   // the digest that it points to; "" is absent
	maybe     []string // what operations of unknown fate would have made of it since
	moves     []string // digests that it was acknowledged to point to, in order
	never     []string // digests of puts that were refused without any effect
}

// load is what keepers and pullers of one test share.
type load struct {
	// refusal judges an answer that is no success: nil says that it may be given now.
	refusal func(a *answer) error

	mu     sync.Mutex
	faults []error
	phases []*phase
}

// phase is one part of a run, such as "Redis is gone".
type phase struct {
	name             string
	took             []time.Duration // of answers that are successes
	ok, busy, unsure int             // answers, by what they say
	cut              int             // requests without an answer
	slowest          time.Duration   // of all answers
	slowestRefusal   time.Duration
}

func newLoad(refusal func(*answer) error) *load {
	return &load{refusal: refusal, phases: []*phase{{name: "all is well"}}}
}

// begin starts a phase.
func (l *load) begin(name string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.phases = append(l.phases, &phase{name: name})
}

func (l *load) fault(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.faults) < 20 {
		l.faults = append(l.faults, fmt.Errorf("%s: %w", l.phases[len(l.phases)-1].name, err))
	}
}

// note records an answer, or that none came. It returns true for a success, or for a status that the caller expects.
func (l *load) note(a *answer, err error, expected ...int) bool {
	l.mu.Lock()
	p := l.phases[len(l.phases)-1]
	if err != nil {
		p.cut++
		l.mu.Unlock()
		l.fault(err)
		return false
	}
	p.slowest = max(p.slowest, a.took)
	if a.ok() || slices.Contains(expected, a.status) {
		p.ok++
		p.took = append(p.took, a.took)
		l.mu.Unlock()
		return true
	}
	if a.uncertain() {
		p.unsure++
	} else {
		p.busy++
	}
	p.slowestRefusal = max(p.slowestRefusal, a.took)
	l.mu.Unlock()
	if err := l.refusal(a); err != nil {
		l.fault(err)
	}
	return false
}

func (p *phase) String() string {
	slices.Sort(p.took)
	at := func(q float64) time.Duration {
		if len(p.took) == 0 {
			return 0
		}
		return p.took[int(q*float64(len(p.took)-1))].Round(10 * time.Microsecond)
	}
	text := fmt.Sprintf("%-42s %6d ok, p50 %s, p99 %s, slowest %s", p.name, p.ok, at(.5), at(.99), p.slowest.Round(time.Millisecond))
	if p.busy+p.unsure+p.cut > 0 {
		text += fmt.Sprintf("; %d refused (slowest %s), %d of unknown fate, %d without an answer", p.busy, p.slowestRefusal.Round(time.Millisecond), p.unsure, p.cut)
	}
	return text
}

const tagsKept = 4

// newKeepers returns n keepers that share two repositories.
func newKeepers(n int, c *client, d *deployment, log *load) []*keeper {
	list := make([]*keeper, n)
	for i := range list {
		k := &keeper{id: i, r: dice(i + 1), c: c, d: d, log: log}
		for j := range tagsKept {
			k.tags = append(k.tags, &kept{repo: fmt.Sprint("kept/r", j%2), tag: fmt.Sprintf("k%d-%d", i, j)})
		}
		list[i] = k
	}
	return list
}

func (k *keeper) replica() *replica { return k.d.at(k.r.IntN(len(k.d.replicas))) }

// run changes and reads until ctx ends; who is refused waits a little.
func (k *keeper) run(ctx context.Context) {
	whole := context.WithoutCancel(ctx)
	for ctx.Err() == nil {
		t := k.tags[k.r.IntN(len(k.tags))]
		fine := true
		if k.r.IntN(3) == 0 {
			fine = k.change(whole, t)
			fine = k.read(whole, t, k.replica()) && fine // at once, when a copy may not be dropped yet
		} else {
			fine = k.read(whole, t, k.replica())
		}
		if !fine {
			select {
			case <-ctx.Done():
			case <-time.After(between(k.r, 20*time.Millisecond, 100*time.Millisecond)):
			}
		}
	}
}

// change moves or deletes a tag.
func (k *keeper) change(ctx context.Context, t *kept) bool {
	var a *answer
	var err error
	value := ""
	if t.now != "" && k.r.IntN(4) == 0 {
		a, err = k.c.do(ctx, http.MethodDelete, manifestURL(k.replica().url, t.repo, t.tag), nil, nil)
	} else {
		k.made++
		m := image(fmt.Sprintf("%d.%d.%d", *seed, k.id, k.made), config)
		value = m.digest
		a, err = k.c.putManifest(ctx, k.replica().url, t.repo, t.tag, m, nil)
	}
	settled := len(t.maybe) == 0
	switch {
	case !k.log.note(a, err, expectedOf(value, settled)...):
		if errors.Is(err, errNotSent) || err == nil && !a.uncertain() {
			t.never = append(t.never, value)
		} else {
			t.maybe = append(t.maybe, value)
		}
		return false
	case a.ok():
		t.now, t.maybe = value, nil
		if value != "" {
			t.moves = append(t.moves, value)
		}
	default: // a delete found nothing, since one of unknown fate had happened
		t.now, t.maybe = "", nil
	}
	return true
}

// expectedOf says whether a delete may find nothing.
func expectedOf(value string, settled bool) []int {
	if value == "" && !settled {
		return []int{http.StatusNotFound}
	}
	return nil
}

// read checks a tag: it is what was acknowledged last, or what an operation of unknown fate made of it, from then on.
func (k *keeper) read(ctx context.Context, t *kept, via *replica) bool {
	a, err := k.c.do(ctx, http.MethodGet, manifestURL(via.url, t.repo, t.tag), accept(), nil)
	if !k.log.note(a, err, http.StatusNotFound) {
		return false
	}
	got := ""
	if a.ok() {
		got = digestOf(a.body)
	}
	if got != t.now && !slices.Contains(t.maybe, got) {
		k.log.fault(fmt.Errorf("%s:%s is %s by replica %d, want %s or one of %v", t.repo, t.tag, short(got), via.number, short(t.now), t.maybe))
	}
	t.now, t.maybe = got, nil
	return true
}

// verify reads all tags by every replica.
func (k *keeper) verify(ctx context.Context) {
	for _, t := range k.tags {
		for _, via := range k.d.replicas {
			k.read(ctx, t, via)
		}
	}
}

// puller reads images that never change: every pull succeeds with the right bytes.
type puller struct {
	r      *rand.Rand
	c      *client
	d      *deployment
	log    *load
	images []pushed
}

func (p *puller) run(ctx context.Context) {
	whole := context.WithoutCancel(ctx)
	for ctx.Err() == nil {
		one := p.images[p.r.IntN(len(p.images))]
		ref := one.tag
		if p.r.IntN(2) == 0 {
			ref = one.digest
		}
		via := p.d.at(p.r.IntN(len(p.d.replicas)))
		if !p.get(whole, manifestURL(via.url, one.repo, ref), one.digest) {
			<-time.After(between(p.r, 20*time.Millisecond, 100*time.Millisecond))
			continue
		}
		for digest := range one.blobs {
			p.get(whole, blobURL(via.url, one.repo, digest), digest)
		}
	}
}

func (p *puller) get(ctx context.Context, url, want string) bool {
	a, err := p.c.do(ctx, http.MethodGet, url, accept(), nil)
	if !p.log.note(a, err) {
		return false
	}
	if got := digestOf(a.body); got != want {
		p.log.fault(fmt.Errorf("GET %s brought %s, want %s", url, got, want))
	}
	return true
}
