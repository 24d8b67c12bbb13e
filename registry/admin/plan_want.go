package admin

import (
	"fmt"

	"github.com/packhouse/packhouse/registry"
	"github.com/packhouse/packhouse/registry/auth"
	"github.com/packhouse/packhouse/storage/meta"
)

func newAccessState() *accessState {
	return &accessState{
		namespaces: map[string]NamespaceFile{}, users: map[string]UserFile{}, services: map[string]ServiceFile{}, groups: map[string]GroupFile{},
		members: map[membership]bool{}, grants: map[grantKey]int64{}, trusts: map[string]trustKey{},
	}
}

// reading turns a file into a state. Its errors begin with the place that is
// wrong: "namespaces[2].grants[0]: …".
type reading struct {
	want  *accessState
	known func(s subject) bool // somebody who is there already
}

// wanted reads a file; known tells who is there already.
func wanted(f AccessFile, known func(subject) bool) (*accessState, error) {
	r := &reading{want: newAccessState(), known: known}
	// People and groups first: the rest names them.
	for i, u := range f.Users {
		if err := enter(r.want.users, "users", i, u.Name, u); err != nil {
			return nil, err
		}
	}
	for i, s := range f.Services {
		if err := enter(r.want.services, "services", i, s.Name, s); err != nil {
			return nil, err
		}
	}
	for i, g := range f.Groups {
		if err := enter(r.want.groups, "groups", i, g.Name, GroupFile{Name: g.Name, Description: g.Description}); err != nil {
			return nil, err
		}
	}
	for i, g := range f.Groups {
		for j, m := range g.Members {
			s, err := r.subject(m, kindUser, kindService)
			if err != nil {
				return nil, at(err, "groups[%d].members[%d]", i, j)
			}
			r.want.members[membership{g.Name, s.String()}] = true
		}
	}
	for i, n := range f.Namespaces {
		place := fmt.Sprintf("namespaces[%d]", i)
		if err := r.namespace(place, i, n); err != nil {
			return nil, err
		}
		if err := r.rights(place+".", n.Name, n.Grants, n.Trusts); err != nil {
			return nil, err
		}
	}
	return r.want, r.rights("", "", f.Grants, f.Trusts)
}

// at puts a place before an error's message.
func at(err error, format string, a ...any) error {
	e := *registry.Public(err)
	e.Message = fmt.Sprintf(format, a...) + ": " + e.Message
	return &e
}

func enter[V any](list map[string]V, section string, i int, name string, v V) error {
	if name == "" {
		return at(badParameter(nil, "it has no name"), "%s[%d]", section, i)
	}
	if _, twice := list[name]; twice {
		return at(badParameter(nil, "%s is there twice", name), "%s[%d]", section, i)
	}
	list[name] = v
	return nil
}

func (r *reading) namespace(place string, i int, n NamespaceFile) error {
	if _, err := parseNamespace(n.Name); err != nil {
		return at(err, "%s", place)
	}
	switch {
	case n.Visibility != "" && n.Visibility != meta.Public && n.Visibility != meta.Private:
		return at(badParameter(nil, "visibility is %q: use public or private, or leave it out", n.Visibility), "%s", place)
	case n.FirstPush != "" && n.FirstPush != meta.FirstPushAdmin:
		return at(badParameter(nil, "first_push is %q: use admin, or leave it out", n.FirstPush), "%s", place)
	}
	if n.Quota != nil {
		if err := n.Quota.check(); err != nil {
			return at(err, "%s.quota", place)
		}
	}
	bare := n
	bare.Grants, bare.Trusts = nil, nil
	return enter(r.want.namespaces, "namespaces", i, n.Name, bare)
}

// rights reads the grants and trust rules of a namespace, "" for those of the
// whole registry.
func (r *reading) rights(place, namespace string, grants []GrantFile, trusts []TrustFile) error {
	for i, g := range grants {
		key, err := r.grant(namespace, g)
		if _, twice := r.want.grants[key]; err == nil && twice {
			err = badParameter(nil, "it is there twice")
		}
		if err != nil {
			return at(err, "%sgrants[%d]", place, i)
		}
		r.want.grants[key] = 0
	}
	for i, t := range trusts {
		err := r.trust(namespace, t)
		if err != nil {
			return at(err, "%strusts[%d]", place, i)
		}
	}
	return nil
}

func (r *reading) grant(namespace string, g GrantFile) (grantKey, error) {
	s, err := r.subject(g.Subject, kindUser, kindGroup, kindService, "")
	if err != nil {
		return grantKey{}, err
	}
	role, err := auth.ParseRole(g.Role)
	if err != nil {
		return grantKey{}, err
	}
	repositories, err := patternIn(namespace, g.Repositories)
	return grantKey{namespace, s.String(), role.String(), repositories, g.Deny}, err
}

func (r *reading) trust(namespace string, t TrustFile) error {
	role, err := auth.ParseRole(trustRole(t.Role))
	if err != nil {
		return err
	}
	t.Role = role.String()
	if t.Repositories, err = patternIn(namespace, t.Repositories); err != nil {
		return err
	}
	switch _, twice := r.want.trusts[t.Name]; {
	case t.Name == "":
		return badParameter(nil, "it has no name")
	case twice:
		return badParameter(nil, "%s is there twice", t.Name)
	case len(t.Claims) == 0:
		return badParameter(nil, "it has no claims: every job of the issuer would be trusted")
	}
	r.want.trusts[t.Name] = trustKeyOf(namespace, t)
	return nil
}

// trustRole is what a trust rule gives that does not say.
func trustRole(role string) string {
	if role == "" {
		return "publisher"
	}
	return role
}

// subject reads somebody whom the file or the registry knows.
func (r *reading) subject(text string, kinds ...string) (subject, error) {
	s, err := parseSubject(text, kinds...)
	if err != nil {
		return s, err
	}
	is := s.kind == ""
	switch s.kind {
	case kindUser:
		_, is = r.want.users[s.name]
	case kindService:
		_, is = r.want.services[s.name]
	case kindGroup:
		_, is = r.want.groups[s.name]
	}
	if !is && !r.known(s) {
		return s, registry.E("admin", registry.NameUnknown, nil, "there is no %s %s, neither here nor in the registry", s.kind, s.name)
	}
	return s, nil
}

// patternIn is a pattern of repositories in a namespace, or in the whole
// registry for "": all of it unless text says which.
func patternIn(namespace, text string) (string, error) {
	whole := "**"
	switch namespace {
	case "":
	case Root:
		whole = "*"
	default:
		whole = namespace + "/**"
	}
	if text == "" {
		return whole, nil
	}
	glob, err := auth.CompileGlob(text)
	if err != nil {
		return "", err
	}
	outer, err := auth.CompileGlob(whole)
	if err == nil && !outer.Includes(glob) {
		err = badParameter(nil, "%s reaches out of the namespace: it must lie inside %s", text, whole)
	}
	return text, err
}

func (q Quota) check() error {
	for _, limit := range []*int64{q.Bytes, q.Manifests} {
		if limit != nil && *limit < 0 {
			return badParameter(nil, "a limit of %d is less than 0", *limit)
		}
	}
	return nil
}
