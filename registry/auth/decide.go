package auth

import (
	"strings"

	"github.com/packhouse/packhouse/registry"
)

// extent is how much of the names at and below one a question is about.
type extent uint8

const (
	exactly extent = iota
	some           // at least one of them: true too often rather than false
	all            // each of them: false too often rather than true
)

// question is what the rules alone answer, without an identity's scope and
// claims, for all verbs at once.
type question struct {
	who    *party
	name   string
	extent extent
}

// May tells whether id may do v to exactly r.
func (p *Policy) May(id *Identity, v registry.Verb, r registry.Repo) bool {
	return p.may(id, v, r, exactly)
}

// MaySome tells whether there may be a name at or below r that id may do v to.
// It is never false if there is one.
func (p *Policy) MaySome(id *Identity, v registry.Verb, r registry.Repo) bool {
	return p.may(id, v, r, some)
}

// MayAll tells whether id may do v to r and to everything below it. It is never
// true if there is a name below that id may not do v to.
func (p *Policy) MayAll(id *Identity, v registry.Verb, r registry.Repo) bool {
	return p.may(id, v, r, all)
}

func (p *Policy) may(id *Identity, v registry.Verb, r registry.Repo, x extent) bool {
	return p.unclaimed(id, v, r, x) && p.claimed(id, v, r, x)
}

// unclaimed decides without the identity's claims.
func (p *Policy) unclaimed(id *Identity, v registry.Verb, r registry.Repo, x extent) bool {
	switch {
	case v == registry.Enter:
		return true
	case bit(v) == 0, id == nil:
		return false
	case id.Kind == Operator, id.Kind == Open:
		return true
	}
	who := p.party(id)
	return who != nil && p.verbs(who, string(r), x).Has(v) && p.scoped(id, v, string(r), x)
}

// party finds whose rules hold for id; nil for somebody who is disabled or is
// no more. A row's id alone does not tell who it is: they are used again.
func (p *Policy) party(id *Identity) *party {
	var who *party
	switch id.Kind {
	case Anonymous:
		return p.anonymous
	case User, ServiceAccount:
		who = p.parties[id.ID]
	case Workload:
		who = p.workloads[id.ID]
	case Operator, Open: // by no rules
	}
	if who == nil || who.kind != id.Kind || who.name != id.Name {
		return nil
	}
	return who
}

// verbs remembers what decide decided.
func (p *Policy) verbs(who *party, name string, x extent) Verbs {
	q := question{who, name, x}
	if v, ok := p.decided.get(q); ok {
		return v
	}
	v := p.decide(q)
	q.name = strings.Clone(name) // a part of a longer string, perhaps
	p.decided.put(q, v)
	return v
}

// decide goes through the rules: what is allowed or public, less what is
// denied. For some, a deny counts if it covers all of them; for all, an allow
// counts if it does, and a deny if it meets one.
func (p *Policy) decide(q question) Verbs {
	allows, denies, public := Glob.Match, Glob.Match, p.visible.public
	switch q.extent {
	case exactly:
	case some:
		allows, denies, public = Glob.Overlaps, Glob.Covers, p.visible.some
	case all:
		allows, denies, public = Glob.Covers, Glob.Overlaps, p.visible.all
	}
	var allowed, denied Verbs
	if public(q.name) {
		allowed = reading
	}
	if t := q.who.trust; t != nil && allows(t.glob, q.name) {
		allowed |= t.verbs
	}
	weigh := func(rules []*rule) {
		for _, r := range rules {
			switch {
			case r.deny:
				if r.verbs&^denied != 0 && denies(r.glob, q.name) {
					denied |= r.verbs
				}
			case r.verbs&^allowed != 0 && allows(r.glob, q.name):
				if r.subject == everybody {
					allowed |= r.verbs & q.who.shared
				} else {
					allowed |= r.verbs
				}
			}
		}
	}
	at := func(name string) {
		if bySubject := p.index.at[name]; bySubject != nil {
			for _, s := range q.who.subjects {
				weigh(bySubject[s])
			}
		}
	}
	for name := range above(q.name) {
		at(name)
	}
	if q.extent != exactly {
		for _, name := range below(p.index.keys, q.name) {
			at(name)
		}
	}
	return allowed &^ denied
}

// scoped tells whether an entry of id's scope has v there; one entry alone for
// all.
func (p *Policy) scoped(id *Identity, v registry.Verb, name string, x extent) bool {
	if id.Scope == nil {
		return true
	}
	for _, s := range id.Scope {
		if r := p.entry(s); r.verbs.Has(v) && r.reaches(name, x) {
			return true
		}
	}
	return false
}

// entry compiles an entry of a scope; one that does not parse has no verbs.
func (p *Policy) entry(s Scope) *rule {
	if r, ok := p.compiled.get(s); ok {
		return r
	}
	r := &rule{}
	verbs, roleErr := ParseRole(s.Role)
	glob, err := CompileGlob(s.Repositories)
	if roleErr == nil && err == nil {
		r.verbs, r.glob = verbs, glob
	}
	p.compiled.put(s, r)
	return r
}

func (r *rule) reaches(name string, x extent) bool {
	switch x {
	case exactly:
		return r.glob.Match(name)
	case some:
		return r.glob.Overlaps(name)
	case all:
		return r.glob.Covers(name)
	}
	return false
}

// claimed tells whether id's claims list v there. They name repositories
// exactly, so never all below one; but the catalog is a list of all.
func (p *Policy) claimed(id *Identity, v registry.Verb, r registry.Repo, x extent) bool {
	if v == registry.Enter || id == nil || id.Claims == nil || id.Kind == Operator || id.Kind == Open {
		return true
	}
	for _, c := range id.Claims.Access {
		switch {
		case !c.Verbs.Has(v):
		case c.Repo == "":
			if v == registry.List {
				return true
			}
		case x == exactly && c.Repo == r:
			return true
		case x == some && within(string(c.Repo), string(r)) && p.unclaimed(id, v, c.Repo, exactly):
			return true
		}
	}
	return false
}
