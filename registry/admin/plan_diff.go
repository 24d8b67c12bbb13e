package admin

import (
	"context"
	"strings"

	"github.com/packhouse/packhouse/registry"
	"github.com/packhouse/packhouse/registry/auth"
	"github.com/packhouse/packhouse/registry/engine"
)

const adminVerb = registry.Admin

// planOf is how to get from have to want. With prune, what want does not name
// goes, too, but not self, nor its last way to administer the registry; empty
// tells of a namespace that it may go.
func planOf(have, want *accessState, prune bool, self string, empty func(namespace string) bool) *plan {
	p := &plan{}
	if prune {
		p.keepSelf(have, want, self)
	}
	p.namespaces(have, want, prune, empty)
	p.users(have, want, prune)
	p.services(have, want, prune)
	p.groups(have, want, prune)
	p.members(have, want, prune)
	p.grants(have, want, prune)
	p.trusts(have, want, prune)
	return p
}

// keepSelf adds to want what pruning must not take from whoever asks for it.
func (p *plan) keepSelf(have, want *accessState, self string) {
	kind, name, _ := strings.Cut(self, ":")
	switch kind {
	case kindUser:
		if u, is := have.users[name]; is {
			if _, stays := want.users[name]; !stays {
				want.users[name] = u
				p.kept = append(p.kept, self+": it is you")
			}
		}
	case kindService:
		if s, is := have.services[name]; is {
			if _, stays := want.services[name]; !stays {
				want.services[name] = s
				p.kept = append(p.kept, self+": it is you")
			}
		}
	}
	ways := have.adminWays(self)
	if len(ways) == 0 || len(have.pruned(want).adminWays(self)) > 0 {
		return
	}
	way := ways[0]
	want.grants[way.grant] = have.grants[way.grant]
	p.kept = append(p.kept, way.grant.String()+": you administer the registry by it alone")
	if way.group != "" {
		if _, stays := want.groups[way.group]; !stays {
			want.groups[way.group] = have.groups[way.group]
		}
		want.members[membership{way.group, self}] = true
	}
}

func (p *plan) namespaces(have, want *accessState, prune bool, empty func(string) bool) {
	for _, name := range sorted(want.namespaces) {
		w, params := want.namespaces[name], NamespaceParams{Namespace: name}
		h, is := have.namespaces[name]
		if !is {
			p.added(call(namespaceCreate, NamespaceCreateParams{NamespaceParams: params, Visibility: w.Visibility, FirstPush: w.FirstPush}),
				"namespace %s%s", name, attributes("visibility", w.Visibility, "first_push", w.FirstPush))
			h = NamespaceFile{Name: name, Visibility: w.Visibility, FirstPush: w.FirstPush}
		}
		if h.Visibility != w.Visibility {
			p.changed(call(namespaceVisibility, NamespaceVisibilityParams{params, w.Visibility}),
				"namespace %s: visibility %s → %s", name, orNone(h.Visibility), orNone(w.Visibility))
		}
		if h.FirstPush != w.FirstPush {
			p.changed(call(namespaceFirstPush, NamespaceFirstPushParams{params, w.FirstPush}),
				"namespace %s: first_push %s → %s", name, orNone(h.FirstPush), orNone(w.FirstPush))
		}
		if quotaText(h.Quota) != quotaText(w.Quota) {
			params := NamespaceQuotaParams{NamespaceParams: params}
			if w.Quota != nil {
				params.Quota = *w.Quota
			}
			p.changed(call(namespaceQuota, params), "namespace %s: quota %s → %s", name, quotaText(h.Quota), quotaText(w.Quota))
		}
	}
	for _, name := range missing(have.namespaces, want.namespaces, prune) {
		if name == Root || !empty(name) {
			p.kept = append(p.kept, "namespace "+name+": it has repositories")
			continue
		}
		p.removed(call(onNamespace((*engine.Engine).DeleteNamespace), NamespaceParams{Namespace: name}), "namespace %s", name)
	}
}

// missing lists, if they are to be pruned, the names that are and shall not be.
func missing[V any](have, want map[string]V, prune bool) (names []string) {
	if !prune {
		return nil
	}
	for _, name := range sorted(have) {
		if _, stays := want[name]; !stays {
			names = append(names, name)
		}
	}
	return names
}

func (p *plan) users(have, want *accessState, prune bool) {
	for _, name := range sorted(want.users) {
		w, params := want.users[name], UserParams{User: name}
		h, is := have.users[name]
		if !is {
			p.added(call(userCreate, UserCreateParams{UserParams: params, FullName: w.FullName, Email: w.Email}),
				"user %s%s", name, attributes("full_name", w.FullName, "email", w.Email))
			h = UserFile{Name: name, FullName: w.FullName, Email: w.Email}
		}
		if h.FullName != w.FullName || h.Email != w.Email {
			p.changed(call(userUpdate, UserUpdateParams{params, &w.FullName, &w.Email}), "user %s%s", name,
				differences("full_name", h.FullName, w.FullName, "email", h.Email, w.Email))
		}
		if h.Disabled != w.Disabled {
			p.able(kindUser, name, w.Disabled, call(onUser((*auth.Service).DisableUser), params), call(onUser((*auth.Service).EnableUser), params))
		}
	}
	for _, name := range missing(have.users, want.users, prune) {
		p.removed(call(onUser((*auth.Service).DeleteUser), UserParams{User: name}), "user %s", name)
	}
}

func (p *plan) able(kind, name string, disabled bool, disable, enable func(context.Context, *Env) error) {
	if disabled {
		p.changed(disable, "%s %s: disabled", kind, name)
		return
	}
	p.changed(enable, "%s %s: enabled", kind, name)
}

func (p *plan) services(have, want *accessState, prune bool) {
	for _, name := range sorted(want.services) {
		w, params := want.services[name], ServiceParams{Service: name}
		h, is := have.services[name]
		if !is {
			p.added(call(saCreate, ServiceCreateParams{params, w.Description, w.Exempt}),
				"service %s%s", name, attributes("description", w.Description, "exempt", isTrue(w.Exempt)))
			h = ServiceFile{Name: name, Description: w.Description, Exempt: w.Exempt}
		}
		if h.Description != w.Description || h.Exempt != w.Exempt {
			p.changed(call(saUpdate, ServiceUpdateParams{params, &w.Description, &w.Exempt}), "service %s%s", name,
				differences("description", h.Description, w.Description, "exempt", isTrue(h.Exempt), isTrue(w.Exempt)))
		}
		if h.Disabled != w.Disabled {
			p.able(kindService, name, w.Disabled, call(onService((*auth.Service).DisableService), params), call(onService((*auth.Service).EnableService), params))
		}
	}
	for _, name := range missing(have.services, want.services, prune) {
		p.removed(call(onService((*auth.Service).DeleteService), ServiceParams{Service: name}), "service %s", name)
	}
}

func (p *plan) groups(have, want *accessState, prune bool) {
	for _, name := range sorted(want.groups) {
		w, params := want.groups[name], GroupParams{Group: name}
		h, is := have.groups[name]
		switch {
		case !is:
			p.added(call(groupCreate, GroupCreateParams{params, w.Description}), "group %s%s", name, attributes("description", w.Description))
		case h.Description != w.Description:
			p.changed(call(groupUpdate, GroupUpdateParams{params, w.Description}), "group %s%s", name,
				differences("description", h.Description, w.Description))
		}
	}
	for _, name := range missing(have.groups, want.groups, prune) {
		p.removed(call(groupDelete, GroupParams{Group: name}), "group %s", name)
	}
}

func (p *plan) members(have, want *accessState, prune bool) {
	for _, m := range sortedBy(want.members, membership.String) {
		if !have.members[m] {
			p.added(call(groupAdd, m.params()), "%s", m)
		}
	}
	if !prune {
		return
	}
	for _, m := range sortedBy(have.members, membership.String) {
		_, groupStays := want.groups[m.group]
		if !want.members[m] && groupStays && want.has(m.member, have) {
			p.taken(call(groupRemove, m.params()), "%s", m)
		}
	}
}

func (m membership) String() string { return m.member + " in group " + m.group }

func (m membership) params() MemberParams {
	return MemberParams{GroupParams{m.group}, m.member}
}

// has tells whether somebody stays when have is pruned to s; who is nobody's
// to prune (another system vouches for them) stays.
func (s *accessState) has(who string, have *accessState) bool {
	kind, name, _ := strings.Cut(who, ":")
	var stays, is bool
	switch kind {
	case kindUser:
		_, stays = s.users[name]
		_, is = have.users[name]
	case kindService:
		_, stays = s.services[name]
		_, is = have.services[name]
	case kindGroup:
		_, stays = s.groups[name]
		_, is = have.groups[name]
	}
	return stays || !is
}

func (p *plan) grants(have, want *accessState, prune bool) {
	for _, g := range sortedBy(want.grants, grantKey.order) {
		if _, is := have.grants[g]; !is {
			p.added(call(grantAdd, GrantAddParams{Subject: g.subject, Role: g.role, Namespace: g.namespace, Repositories: g.repositories, Deny: g.deny}), "%s", g)
		}
	}
	if !prune {
		return
	}
	for _, g := range sortedBy(have.grants, grantKey.order) {
		if _, stays := want.grants[g]; !stays {
			p.taken(call(grantGone, GrantParams{Grant: have.grants[g]}), "%s", g)
		}
	}
}

// order puts denials first: nobody gets for a moment what is denied to them.
func (g grantKey) order() string {
	first := "1"
	if g.deny {
		first = "0"
	}
	return first + g.namespace + " " + g.subject + " " + g.repositories + " " + g.role
}

func (p *plan) trusts(have, want *accessState, prune bool) {
	for _, name := range sorted(want.trusts) {
		w := want.trusts[name]
		h, is := have.trusts[name]
		add := call(trustAdd, w.params(name))
		switch {
		case !is:
			p.added(add, "trust rule %s: %s", name, w)
		case h != w:
			p.changed(func(ctx context.Context, env *Env) error {
				if err := call(trustRemove, TrustParams{Trust: name})(ctx, env); err != nil {
					return err
				}
				return add(ctx, env)
			}, "trust rule %s: %s → %s", name, h, w)
		}
	}
	for _, name := range missing(have.trusts, want.trusts, prune) {
		p.taken(call(trustRemove, TrustParams{Trust: name}), "trust rule %s", name)
	}
}
