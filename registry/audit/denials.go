package audit

import (
	"context"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/packhouse/packhouse/registry"
	"github.com/packhouse/packhouse/storage/meta"
)

// maxDenials bounds what is told apart in one minute; the rest is one row.
const maxDenials = 2000

// The actions of what was refused.
const (
	actionDenied = "access.denied"
	actionLogin  = "login.failed"
)

// Denials sums up what was refused, so that nobody can make the registry write
// by asking. It is safe for use by many goroutines.
type Denials struct {
	now func() time.Time

	mu     sync.Mutex
	seen   map[denialKey]*denial
	others *denial // beyond maxDenials
}

// denialKey is what refusals of one minute are summed up by.
type denialKey struct{ action, principal, address, route string }

type denial struct {
	action      string
	who         registry.Caller // of the first
	verb        registry.Verb
	repo        registry.Repo
	code        registry.Code
	account     string
	count       int64
	first, last time.Time
}

// Note counts one refusal of the gate to the caller in ctx. That somebody
// without credentials is asked for some is none.
func (d *Denials) Note(ctx context.Context, v registry.Verb, r registry.Repo, code registry.Code) {
	c := registry.CallerOf(ctx)
	if code == registry.Unauthorized && c.Token == "" && (c.Principal == "" || c.Principal == anonymous) {
		return
	}
	d.note(denial{action: actionDenied, who: *c, verb: v, repo: r, code: code})
}

// LoginFailed counts one log-in that failed, of whoever called themselves
// account.
func (d *Denials) LoginFailed(ctx context.Context, account string) {
	d.note(denial{action: actionLogin, who: *registry.CallerOf(ctx), verb: registry.Enter, code: registry.Unauthorized, account: account})
}

const anonymous = "anonymous"

func (d *Denials) note(n denial) {
	if n.who.Principal == "" {
		n.who.Principal = anonymous
	}
	key := denialKey{n.action, n.who.Principal, n.who.Address, n.who.Route}
	now := d.now()
	d.mu.Lock()
	defer d.mu.Unlock()
	e := d.seen[key]
	switch {
	case e != nil:
	case len(d.seen) < maxDenials:
		if d.seen == nil {
			d.seen = map[denialKey]*denial{}
		}
		kept := n
		kept.who.Identity, kept.first = nil, now // what is kept keeps nothing large alive
		kept.account = strings.Clone(n.account[:min(len(n.account), 100)])
		e = &kept
		d.seen[key] = e
	default:
		if d.others == nil {
			d.others = &denial{action: actionDenied, who: registry.Caller{Principal: "others"}, verb: n.verb, repo: n.repo, code: n.code, first: now}
		}
		e = d.others
	}
	e.count++
	e.last = now
}

// take empties d; what comes first was refused first.
func (d *Denials) take() []*denial {
	d.mu.Lock()
	seen, others := d.seen, d.others
	d.seen, d.others = nil, nil
	d.mu.Unlock()
	list := make([]*denial, 0, len(seen)+1)
	for _, e := range seen {
		list = append(list, e)
	}
	slices.SortFunc(list, func(a, b *denial) int { return a.first.Compare(b.first) })
	if others != nil {
		list = append(list, others)
	}
	return list
}

func (e *denial) record() meta.AuditRecord {
	detail := map[string]string{
		"verb": e.verb.String(), "code": string(e.code), "count": strconv.FormatInt(e.count, 10),
		"first": e.first.UTC().Format(time.RFC3339), "last": e.last.UTC().Format(time.RFC3339),
	}
	if e.account != "" {
		detail["account"] = e.account
	}
	return meta.AuditRecord{Action: e.action, Repo: e.repo, Detail: detail}
}

// flush writes what was refused since the last time. What cannot be written is
// dropped: refusals must not fill a disk or a memory.
func (t *Trail) flush(ctx context.Context) {
	list := t.denials.take()
	if len(list) == 0 {
		return
	}
	err := t.meta.Update(ctx, meta.Options{Durable: true}, func(ctx context.Context, tx *meta.Tx) error {
		for _, e := range list {
			if err := tx.RecordDenial(ctx, &e.who, e.record()); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		var count int64
		for _, e := range list {
			count += e.count
		}
		t.log.WarnContext(ctx, "refusals missing in the audit", "count", count, "error", err)
	}
}
