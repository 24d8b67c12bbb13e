package auth

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/packhouse/packhouse/registry"
	"github.com/packhouse/packhouse/storage/meta"
)

// compiler turns rows into rules of a policy.
type compiler struct {
	policy *Policy
	globs  map[string]Glob // by pattern: many rows share one
}

func (c *compiler) problem(format string, a ...any) {
	c.policy.problems = append(c.policy.problems, fmt.Sprintf(format, a...))
}

func (c *compiler) glob(pattern string) (Glob, error) {
	if g, ok := c.globs[pattern]; ok {
		return g, nil
	}
	g, err := CompileGlob(pattern)
	if err == nil {
		c.globs[pattern] = g
	}
	return g, err
}

// widest is all that a row's glob could mean.
func (c *compiler) widest(namespaceID int64, namespace string) Glob {
	pattern := "**"
	if namespaceID != 0 {
		pattern = namespaceGlob(namespace)
	}
	g, err := c.glob(pattern)
	if err != nil { // no legal namespace
		g, _ = c.glob("**")
	}
	return g
}

// bound compiles what a row says it is about: a role over a glob that lies
// inside the row's namespace. What does not parse comes back as all that it
// could mean.
func (c *compiler) bound(role, pattern string, namespaceID int64, namespace string) (Verbs, Glob, error) {
	verbs, roleErr := ParseRole(role)
	if roleErr != nil {
		verbs = allVerbs
	}
	widest := c.widest(namespaceID, namespace)
	glob, err := c.glob(pattern)
	switch {
	case err != nil:
		glob = widest
	case namespaceID != 0 && !widest.Includes(glob):
		// The glob as it stands: a deny must not shrink.
		err = registry.E("auth.NewPolicy", registry.ParameterInvalid, nil, "%q reaches out of the namespace %q", clip(pattern), namespace)
	}
	return verbs, glob, cmp.Or(roleErr, err)
}

func (c *compiler) grants(rows []meta.Grant) {
	rows = slices.SortedFunc(slices.Values(rows), func(a, b meta.Grant) int { return cmp.Compare(a.ID, b.ID) })
	for _, row := range rows {
		verbs, glob, err := c.bound(row.Role, row.Repositories, row.NamespaceID, row.Namespace)
		if row.Principal != 0 && row.Group != 0 || row.Principal < 0 || row.Group < 0 {
			err = cmp.Or(err, error(registry.E("auth.NewPolicy", registry.ParameterInvalid, nil, "it is to principal %d and group %d at once", row.Principal, row.Group)))
		}
		r := rule{grant: row, deny: row.Deny, verbs: verbs, glob: glob}
		subjects := []subject{everybody}
		switch {
		case row.Principal > 0 && row.Group > 0:
			subjects = []subject{subject(row.Principal), -subject(row.Group)}
		case row.Principal > 0:
			subjects = []subject{subject(row.Principal)}
		case row.Group > 0:
			subjects = []subject{-subject(row.Group)}
		}
		switch {
		case err == nil:
		case row.Deny:
			c.problem("grant %d is not understood, so it denies %s over %s: %s", row.ID, verbs, glob, registry.Public(err).Message)
		default:
			c.problem("grant %d is not understood, so it gives nothing: %s", row.ID, registry.Public(err).Message)
			r.verbs = 0
		}
		for _, s := range subjects {
			r := r
			r.subject = s
			c.policy.rules = append(c.policy.rules, &r)
		}
	}
}

func (c *compiler) trusts(rows []meta.Trust) {
	for _, row := range rows {
		verbs, glob, err := c.bound(row.Role, row.Repositories, row.NamespaceID, row.Namespace)
		if err != nil {
			c.problem("trust rule %q is not understood, so it gives nothing: %s", row.Name, registry.Public(err).Message)
			verbs = 0
		}
		c.policy.workloads[row.ID] = &party{
			kind:     Workload,
			name:     row.Name,
			subjects: []subject{everybody},
			trust:    &rule{verbs: verbs, glob: glob},
			shared:   reading,
		}
	}
}
