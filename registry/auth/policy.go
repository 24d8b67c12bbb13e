package auth

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/packhouse/packhouse/storage/meta"
)

// Policy is what everybody may do, at one generation of the rows it was made
// from. It never changes and is safe for concurrent use.
type Policy struct {
	generation int64
	configured bool
	problems   []string

	principals map[int64]meta.Principal
	named      map[account]int64
	groups     map[int64]meta.Group
	groupNamed map[string]int64
	groupsOf   map[int64][]meta.Group // by name
	trusts     map[int64]meta.Trust
	trustNamed map[string]int64

	anonymous *party
	parties   map[int64]*party // of enabled principals
	workloads map[int64]*party // of trusts

	rules   []*rule // in the order of grants' ids
	index   index
	visible visibility

	decided  *cache[question, Verbs]
	compiled *cache[Scope, *rule]
}

type account struct{ kind, name string }

// subject is whom a rule is about: a principal's id, a group's negated, or
// everybody.
type subject int64

const everybody subject = 0

// rule is one grant, trust or entry of a scope, compiled.
type rule struct {
	grant   meta.Grant // of a grant
	subject subject
	deny    bool
	verbs   Verbs
	glob    Glob
}

// party is whose rules a decision goes by.
type party struct {
	kind     Kind // as its identities have them
	name     string
	subjects []subject
	trust    *rule // of a workload
	// shared is what it takes of what everybody is granted: a workload may
	// change what its trust rule says and nothing else.
	shared Verbs
}

// How many decisions and compiled scopes are remembered at most.
const (
	maxDecided  = 1 << 16
	maxCompiled = 1 << 10
)

// NewPolicy compiles rows. A row that does not parse (its role or glob is not
// legal, or it is bound to a namespace that it reaches out of) takes rights
// only: as an allow or a trust it is nothing, as a deny it denies all that it
// could mean; [Policy.Problems] tells of it. Rows that are no snapshot of the
// tables are an error.
func NewPolicy(r meta.AccessRows) (*Policy, error) {
	p := &Policy{
		generation: r.Generation,
		configured: len(r.Principals) > 0 || r.Tokens > 0,
		principals: make(map[int64]meta.Principal, len(r.Principals)),
		named:      make(map[account]int64, len(r.Principals)),
		groups:     make(map[int64]meta.Group, len(r.Groups)),
		groupNamed: make(map[string]int64, len(r.Groups)),
		groupsOf:   map[int64][]meta.Group{},
		trusts:     make(map[int64]meta.Trust, len(r.Trusts)),
		trustNamed: make(map[string]int64, len(r.Trusts)),
		anonymous:  &party{kind: Anonymous, subjects: []subject{everybody}, shared: allVerbs},
		parties:    make(map[int64]*party, len(r.Principals)),
		workloads:  make(map[int64]*party, len(r.Trusts)),
		visible:    newVisibility(r.Visible),
		decided:    newCache[question, Verbs](maxDecided),
		compiled:   newCache[Scope, *rule](maxCompiled),
	}
	if err := p.identify(r); err != nil {
		return nil, err
	}
	p.join(r.Members)
	c := compiler{globs: map[string]Glob{}, policy: p}
	c.grants(r.Grants)
	c.trusts(r.Trusts)
	p.index = newIndex(p.rules)
	for id, row := range p.principals {
		if !row.Disabled.IsZero() {
			continue
		}
		who := &party{name: row.Name, subjects: []subject{subject(id)}, shared: allVerbs}
		switch row.Kind {
		case User.String():
			who.kind = User
		case ServiceAccount.String():
			who.kind = ServiceAccount
		}
		for _, g := range p.groupsOf[id] {
			who.subjects = append(who.subjects, -subject(g.ID))
		}
		who.subjects = append(who.subjects, everybody)
		p.parties[id] = who
	}
	return p, nil
}

// identify takes in who and what there is.
func (p *Policy) identify(r meta.AccessRows) error {
	for _, row := range r.Principals {
		if _, twice := p.principals[row.ID]; twice || row.ID < 1 {
			return fmt.Errorf("access rows: principal %s %q has the id %d, which is none or another's: run `packhouse fsck`", row.Kind, row.Name, row.ID)
		}
		p.principals[row.ID], p.named[account{row.Kind, row.Name}] = row, row.ID
	}
	for _, row := range r.Groups {
		if _, twice := p.groups[row.ID]; twice || row.ID < 1 {
			return fmt.Errorf("access rows: group %q has the id %d, which is none or another's: run `packhouse fsck`", row.Name, row.ID)
		}
		p.groups[row.ID], p.groupNamed[row.Name] = row, row.ID
	}
	for _, row := range r.Trusts {
		if _, twice := p.trusts[row.ID]; twice || row.ID < 1 {
			return fmt.Errorf("access rows: trust rule %q has the id %d, which is none or another's: run `packhouse fsck`", row.Name, row.ID)
		}
		p.trusts[row.ID], p.trustNamed[row.Name] = row, row.ID
	}
	return nil
}

// join lists the groups of each principal, once each: a membership can have
// several sources.
func (p *Policy) join(members []meta.Member) {
	for _, m := range members {
		if g, ok := p.groups[m.Group]; ok {
			p.groupsOf[m.Principal] = append(p.groupsOf[m.Principal], g)
		}
	}
	for id, list := range p.groupsOf {
		slices.SortFunc(list, func(a, b meta.Group) int {
			return cmp.Or(strings.Compare(a.Name, b.Name), cmp.Compare(a.ID, b.ID))
		})
		p.groupsOf[id] = slices.CompactFunc(list, func(a, b meta.Group) bool { return a.ID == b.ID })
	}
}

// Generation is that of the rows.
func (p *Policy) Generation() int64 { return p.generation }

// Configured tells whether there is anybody who could log in.
func (p *Policy) Configured() bool { return p.configured }

// Problems says of each row that does not parse what is wrong with it.
func (p *Policy) Problems() []string { return slices.Clone(p.problems) }

// Principal returns the user or service account with an id, disabled or not.
func (p *Policy) Principal(id int64) (meta.Principal, bool) {
	row, ok := p.principals[id]
	return row, ok
}

// PrincipalNamed returns the "user" or "service" of a name.
func (p *Policy) PrincipalNamed(kind, name string) (meta.Principal, bool) {
	return p.Principal(p.named[account{kind, name}])
}

// Group returns the group with an id.
func (p *Policy) Group(id int64) (meta.Group, bool) {
	row, ok := p.groups[id]
	return row, ok
}

// GroupNamed returns the group of a name.
func (p *Policy) GroupNamed(name string) (meta.Group, bool) { return p.Group(p.groupNamed[name]) }

// GroupsOf lists the groups that a principal is in, by name.
func (p *Policy) GroupsOf(id int64) []meta.Group { return slices.Clone(p.groupsOf[id]) }

// Trust returns the trust rule with an id.
func (p *Policy) Trust(id int64) (meta.Trust, bool) {
	row, ok := p.trusts[id]
	return row, ok
}

// TrustNamed returns the trust rule of a name.
func (p *Policy) TrustNamed(name string) (meta.Trust, bool) { return p.Trust(p.trustNamed[name]) }

// Trusts lists the trust rules, by name.
func (p *Policy) Trusts() []meta.Trust {
	return slices.SortedFunc(maps.Values(p.trusts), func(a, b meta.Trust) int { return strings.Compare(a.Name, b.Name) })
}
