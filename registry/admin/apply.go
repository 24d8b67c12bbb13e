package admin

import (
	"context"
	"errors"

	"github.com/packhouse/packhouse/registry"
	"github.com/packhouse/packhouse/registry/auth"
	"github.com/packhouse/packhouse/storage/meta"
)

// accessExport writes the present state as a file. It is what apply makes of
// that file again.
func accessExport(ctx context.Context, env *Env, _ None, _ Report) (AccessFile, error) {
	have, err := presentAccess(ctx, env)
	if err != nil {
		return AccessFile{}, err
	}
	return have.state.file(), nil
}

// accessApply makes access what a file says. It is no single transaction: each
// step is one, is audited by itself, and is not there any more for a second
// run, which goes on where a failed one stopped.
func accessApply(ctx context.Context, env *Env, p AccessApplyParams, progress Report) (_ Applied, err error) {
	env.applying.Lock() // two at once would undo each other's half
	defer env.applying.Unlock()
	have, err := presentAccess(ctx, env)
	if err != nil {
		return Applied{}, err
	}
	want, err := wanted(p.Access, have.known)
	if err != nil {
		return Applied{}, err
	}
	plan := planOf(have.state, want, p.Prune, registry.CallerOf(ctx).Principal, func(namespace string) bool { return have.repositories[namespace] == 0 })
	done := Applied{Changes: []Change{}, Kept: plan.kept}
	defer func() { err = errors.Join(err, env.Auth.Refresh(context.WithoutCancel(ctx))) }()
	ctx = auth.Deferred(ctx)
	steps := plan.steps()
	for i, s := range steps {
		if !p.DryRun {
			if err := s.do(ctx, env); err != nil {
				return done, at(err, "%s %s", s.Effect, s.What)
			}
			progress(Progress{Phase: "apply", Done: int64(i + 1), Total: int64(len(steps)), Unit: "changes"})
		}
		done.Changes = append(done.Changes, s.Change)
	}
	return done, nil
}

// grantGone removes a grant that may have gone with its subject.
func grantGone(ctx context.Context, env *Env, p GrantParams, r Report) (None, error) {
	_, err := grantRemove(ctx, env, p, r)
	if errors.Is(err, registry.NameUnknown) {
		err = nil
	}
	return None{}, err
}

// present is what there is.
type present struct {
	state        *accessState
	others       map[subject]bool // accounts that another system vouches for
	repositories map[string]int   // of each namespace
}

func (p *present) known(s subject) bool {
	is := p.others[s]
	switch s.kind {
	case kindUser:
		if _, local := p.state.users[s.name]; local {
			is = true
		}
	case kindService:
		_, is = p.state.services[s.name]
	case kindGroup:
		_, is = p.state.groups[s.name]
	}
	return is
}

func presentAccess(ctx context.Context, env *Env) (*present, error) {
	p := &present{state: newAccessState(), others: map[subject]bool{}, repositories: map[string]int{}}
	for _, read := range []func(context.Context, *Env) error{p.namespaces, p.users, p.services, p.groups, p.grants, p.trusts} {
		if err := read(ctx, env); err != nil {
			return nil, err
		}
	}
	return p, nil
}

func (p *present) namespaces(ctx context.Context, env *Env) error {
	list, err := env.Engine.Namespaces(ctx)
	if err != nil {
		return err
	}
	for _, n := range list {
		if !n.Deleted.IsZero() {
			continue
		}
		f := NamespaceFile{Name: shownNamespace(n.Name), Visibility: n.Visibility, FirstPush: n.FirstPush}
		u, err := env.Engine.Quota(ctx, n.Name)
		if err != nil {
			return err
		}
		if u.Bytes != nil || u.Manifests != nil {
			f.Quota = &Quota{Bytes: u.Bytes, Manifests: u.Manifests}
		}
		p.state.namespaces[f.Name] = f
		p.repositories[f.Name] = n.Repositories
	}
	return nil
}

// every calls do for each element of a list, page after page.
func every[T any](list func(after string) ([]T, error), key func(T) string, do func(T) error) error {
	for after := ""; ; {
		page, err := list(after)
		if err != nil || len(page) == 0 {
			return err
		}
		for _, t := range page {
			if err := do(t); err != nil {
				return err
			}
		}
		after = key(page[len(page)-1])
	}
}

func (p *present) users(ctx context.Context, env *Env) error {
	return every(func(after string) ([]meta.Principal, error) { return env.Auth.Users(ctx, after, pageSize) },
		func(u meta.Principal) string { return u.Name },
		func(u meta.Principal) error {
			if u.Source != meta.SourceLocal {
				p.others[subject{kindUser, u.Name}] = true
				return nil
			}
			p.state.users[u.Name] = UserFile{Name: u.Name, FullName: u.FullName, Email: u.Email, Disabled: !u.Disabled.IsZero()}
			return nil
		})
}

func (p *present) services(ctx context.Context, env *Env) error {
	return every(func(after string) ([]meta.Principal, error) { return env.Auth.Services(ctx, after, pageSize) },
		func(s meta.Principal) string { return s.Name },
		func(s meta.Principal) error {
			p.state.services[s.Name] = ServiceFile{Name: s.Name, Description: s.FullName, Exempt: s.Exempt, Disabled: !s.Disabled.IsZero()}
			return nil
		})
}

func (p *present) groups(ctx context.Context, env *Env) error {
	return every(func(after string) ([]meta.Group, error) { return env.Auth.Groups(ctx, after, pageSize) },
		func(g meta.Group) string { return g.Name },
		func(g meta.Group) error {
			p.state.groups[g.Name] = GroupFile{Name: g.Name, Description: g.Description}
			_, members, err := env.Auth.Group(ctx, g.Name)
			for _, m := range members {
				if m.Source == meta.SourceLocal {
					p.state.members[membership{g.Name, m.Subject}] = true
				}
			}
			return err
		})
}

func (p *present) grants(ctx context.Context, env *Env) error {
	return every(func(after string) ([]Grant, error) {
		return grantList(ctx, env, GrantListParams{Page: Page{After: after}})
	},
		Grant.key,
		func(g Grant) error {
			p.state.grants[grantKey{g.Namespace, g.Subject, canonicalRole(g.Role), g.Repositories, g.Deny}] = g.ID
			return nil
		})
}

func (p *present) trusts(ctx context.Context, env *Env) error {
	return every(func(after string) ([]auth.Trust, error) { return env.Auth.Trusts(ctx, "", after, pageSize) },
		func(t auth.Trust) string { return t.Name },
		func(t auth.Trust) error {
			p.state.trusts[t.Name] = trustKeyOf(t.Namespace, TrustFile{
				Name: t.Name, Issuer: t.Issuer, Audience: t.Audience, Claims: t.Claims, Role: canonicalRole(t.Role), Repositories: t.Repositories,
			})
			return nil
		})
}

// canonicalRole writes a role in the one form that sets of verbs have; what
// does not parse stays as it is.
func canonicalRole(text string) string {
	if verbs, err := auth.ParseRole(text); err == nil {
		return verbs.String()
	}
	return text
}

// file writes a state as a file, leaving out what is the default.
func (s *accessState) file() AccessFile {
	var f AccessFile
	grants, trusts := s.rights()
	for _, name := range sorted(s.namespaces) {
		n := s.namespaces[name]
		n.Grants, n.Trusts = grants[name], trusts[name]
		f.Namespaces = append(f.Namespaces, n)
	}
	for _, name := range sorted(s.users) {
		f.Users = append(f.Users, s.users[name])
	}
	for _, name := range sorted(s.services) {
		f.Services = append(f.Services, s.services[name])
	}
	for _, name := range sorted(s.groups) {
		g := s.groups[name]
		for _, m := range sortedBy(s.members, membership.String) {
			if m.group == name {
				g.Members = append(g.Members, m.member)
			}
		}
		f.Groups = append(f.Groups, g)
	}
	f.Grants, f.Trusts = grants[""], trusts[""]
	return f
}

// rights writes grants and trust rules by namespace.
func (s *accessState) rights() (map[string][]GrantFile, map[string][]TrustFile) {
	grants, trusts := map[string][]GrantFile{}, map[string][]TrustFile{}
	shown := func(namespace, pattern string) string {
		if whole, err := patternIn(namespace, ""); err == nil && whole == pattern {
			return ""
		}
		return pattern
	}
	for _, g := range sortedBy(s.grants, grantKey.order) {
		grants[g.namespace] = append(grants[g.namespace], GrantFile{
			Subject: g.subject, Role: g.role, Repositories: shown(g.namespace, g.repositories), Deny: g.deny,
		})
	}
	for _, name := range sorted(s.trusts) {
		t := s.trusts[name]
		trusts[t.namespace] = append(trusts[t.namespace], TrustFile{
			Name: name, Issuer: t.issuer, Audience: t.audience, Claims: t.claimMap(), Role: t.role, Repositories: shown(t.namespace, t.repositories),
		})
	}
	return grants, trusts
}
