package admin

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/packhouse/packhouse/registry/auth"
)

// accessState is access as it is, or as it is to be, in one form: subjects with
// their kind, roles and patterns written out.
type accessState struct {
	namespaces map[string]NamespaceFile // without grants and trusts, as all below
	users      map[string]UserFile
	services   map[string]ServiceFile
	groups     map[string]GroupFile
	members    map[membership]bool
	grants     map[grantKey]int64 // → number; 0 for one that is to be
	trusts     map[string]trustKey
}

type membership struct{ group, member string }

type grantKey struct {
	namespace, subject, role, repositories string // namespace "" is the whole registry
	deny                                   bool
}

// trustKey can be compared; claims are written as one text.
type trustKey struct {
	namespace, issuer, audience, claims, role, repositories string
}

func (g grantKey) String() string {
	text := "grant"
	if g.deny {
		text = "denial"
	}
	text += fmt.Sprintf(" of %s on %s to %s", g.role, g.repositories, g.subject)
	if g.namespace != "" {
		text += " in " + g.namespace
	}
	return text
}

// step is one change of a plan.
type step struct {
	Change
	do func(ctx context.Context, env *Env) error
}

// plan is how to get from one state to another. Its order leaves nobody
// without a right that both states give: what gives comes before what takes.
type plan struct {
	add    []step
	take   []step // rights
	remove []step // those who had them
	kept   []string
}

func (p *plan) steps() []step { return slices.Concat(p.add, p.take, p.remove) }

func (p *plan) added(do func(context.Context, *Env) error, format string, a ...any) {
	p.add = append(p.add, step{Change{"+", fmt.Sprintf(format, a...)}, do})
}

func (p *plan) changed(do func(context.Context, *Env) error, format string, a ...any) {
	p.add = append(p.add, step{Change{"~", fmt.Sprintf(format, a...)}, do})
}

func (p *plan) taken(do func(context.Context, *Env) error, format string, a ...any) {
	p.take = append(p.take, step{Change{"-", fmt.Sprintf(format, a...)}, do})
}

func (p *plan) removed(do func(context.Context, *Env) error, format string, a ...any) {
	p.remove = append(p.remove, step{Change{"-", fmt.Sprintf(format, a...)}, do})
}

// call is a step that runs an operation.
func call[P, R any](run func(context.Context, *Env, P, Report) (R, error), p P) func(context.Context, *Env) error {
	return func(ctx context.Context, env *Env) error {
		_, err := run(ctx, env, p, func(Progress) {})
		return err
	}
}

// sorted ranges over a map in the order of its keys.
func sorted[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

// adminWay is how somebody administers the whole registry: by a grant, of its
// own or of a group.
type adminWay struct {
	grant grantKey
	group string // "" for a grant of its own, or of everybody
}

// adminWays lists those of who in s.
func (s *accessState) adminWays(who string) (ways []adminWay) {
	for g := range s.grants {
		role, err := auth.ParseRole(g.role)
		glob, globErr := auth.CompileGlob(g.repositories)
		if err != nil || globErr != nil || g.deny || g.namespace != "" || !role.Has(adminVerb) || !glob.Match("") {
			continue
		}
		group, isGroup := strings.CutPrefix(g.subject, kindGroup+":")
		switch {
		case g.subject == who, g.subject == everybody:
			ways = append(ways, adminWay{grant: g})
		case isGroup && s.members[membership{group, who}]:
			ways = append(ways, adminWay{g, group})
		}
	}
	slices.SortFunc(ways, func(a, b adminWay) int { return strings.Compare(a.grant.String(), b.grant.String()) })
	return ways
}

// pruned is s without what pruning removes: all that want does not have.
func (s *accessState) pruned(want *accessState) *accessState {
	left := &accessState{grants: maps.Clone(want.grants), members: maps.Clone(want.members)}
	for g := range s.grants {
		if _, stays := want.grants[g]; stays {
			left.grants[g] = s.grants[g]
		}
	}
	return left
}
