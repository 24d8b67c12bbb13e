package crash

import (
	"maps"
	"sync"
)

// kind is what a name names.
type kind string

const (
	blobs     kind = "blob"
	manifests kind = "manifest"
	tags      kind = "tag"
)

// name is one thing of a registry that is there or not. A tag's state is the
// digest it points to, a blob's or manifest's its own; "" is absent.
type name struct {
	kind kind
	repo string
	ref  string // tag or digest
}

// ledger is what one client knows of the names that it alone changes. A
// client has at most one operation in flight.
type ledger struct {
	mu      sync.Mutex
	known   map[name]string
	flying  map[name]string // states that the operation in flight would bring about
	changed map[name]bool   // since the last read-back
	acked   int             // operations
}

func newLedger() *ledger {
	return &ledger{known: map[name]string{}, changed: map[name]bool{}}
}

// begin notes an operation before its first byte is sent.
func (l *ledger) begin(effects map[name]string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.flying = effects
	for n := range effects {
		l.changed[n] = true
	}
}

// end notes the answer: done or refused. Without an answer nothing is called,
// and the operation stays in flight.
func (l *ledger) end(done bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.decide(done)
	if done {
		l.acked++
	}
}

// settle takes over what a read-back found out about the operation in flight.
func (l *ledger) settle(done bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.decide(done)
	clear(l.changed)
}

// decide ends the operation in flight. What a refused one would have brought
// about is known not to be, and read back as that.
func (l *ledger) decide(done bool) {
	for n, state := range l.flying {
		if done {
			l.known[n] = state
		} else if _, known := l.known[n]; !known {
			l.known[n] = ""
		}
	}
	l.flying = nil
}

// snapshot is a ledger at one instant.
type snapshot struct {
	known, flying map[name]string
	changed       map[name]bool
	acked         int
}

func (l *ledger) snapshot() snapshot {
	l.mu.Lock()
	defer l.mu.Unlock()
	return snapshot{
		known: maps.Clone(l.known), flying: maps.Clone(l.flying), changed: maps.Clone(l.changed), acked: l.acked,
	}
}

// some returns a name that is there and fits, in no particular order.
func (l *ledger) some(k kind, repo string, fits func(name) bool) (name, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for n, state := range l.known {
		if n.kind == k && n.repo == repo && state != "" && (fits == nil || fits(n)) {
			return n, true
		}
	}
	return name{}, false
}

func (l *ledger) state(n name) string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.known[n]
}

// pointing returns the tags of repo that point to digest.
func (l *ledger) pointing(repo, digest string) []name {
	l.mu.Lock()
	defer l.mu.Unlock()
	var list []name
	for n, state := range l.known {
		if n.kind == tags && n.repo == repo && state == digest {
			list = append(list, n)
		}
	}
	return list
}
