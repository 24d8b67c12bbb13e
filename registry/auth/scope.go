package auth

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/packhouse/packhouse/registry"
)

// granted is what of the asked scopes id may be given now. What is not
// understood and what may not be had is left out: the client learns of it
// when it tries (distribution, "Token Scope Documentation").
func (e *tokenEndpoint) granted(ctx context.Context, id *Identity, scopes []string) ([]jwtAccess, error) {
	asked := parseScopes(scopes)
	if len(asked) > maxScopes {
		return nil, registry.E(endpointOp, registry.ParameterInvalid, nil, "%d scopes are asked for, the limit is %d", len(asked), maxScopes)
	}
	p := e.Policy()
	access := make([]jwtAccess, 0, len(asked))
	for _, a := range asked {
		if a.Type == registryType {
			if id.Kind == Open || p.MaySome(id, registry.List, "") {
				access = append(access, a)
			}
			continue
		}
		r := registry.Repo(a.Name)
		a.Actions = grantedActions(a.Actions, p.allowed(id, r))
		if len(a.Actions) == 0 {
			continue
		}
		if e.cfg.Lookup != nil {
			now, err := e.cfg.Lookup(ctx, r)
			if err != nil {
				return nil, fmt.Errorf("look up %s: %w", r, err)
			}
			a.Namespace, a.Repository = now.Namespace, now.Repository
		}
		access = append(access, a)
	}
	return access, nil
}

// allowed is all that id may do to r.
func (p *Policy) allowed(id *Identity, r registry.Repo) (set Verbs) {
	for _, v := range registry.Grantable() {
		if id.Kind == Open || p.May(id, v, r) {
			set = set.With(v)
		}
	}
	return set
}

// grantedActions is what of the asked actions comes to something within
// allowed: who may create but not overwrite is given push, and the gate asks
// for each verb.
func grantedActions(asked []string, allowed Verbs) []string {
	possible := ScopeActions(allowed)
	if slices.Contains(asked, "*") {
		return possible
	}
	var granted []string
	for _, name := range asked {
		if slices.Contains(possible, name) {
			granted = append(granted, name)
		}
	}
	return granted
}

// parseScopes reads scopes, each several with spaces between, and takes those
// of one resource together.
func parseScopes(texts []string) (list []jwtAccess) {
	for _, text := range texts {
		for scope := range strings.FieldsSeq(text) {
			a, ok := parseScope(scope)
			if !ok {
				continue
			}
			i := slices.IndexFunc(list, func(b jwtAccess) bool { return b.Type == a.Type && b.Name == a.Name })
			if i < 0 {
				list = append(list, a)
				continue
			}
			for _, action := range a.Actions {
				if !slices.Contains(list[i].Actions, action) {
					list[i].Actions = append(list[i].Actions, action)
				}
			}
		}
	}
	return list
}

// parseScope reads TYPE[(CLASS)]:NAME:ACTION[,ACTION…] of the types that mean
// something here: repository, and registry:catalog:*. A name can have colons.
func parseScope(text string) (jwtAccess, bool) {
	kind, rest, ok := strings.Cut(text, ":")
	last := strings.LastIndexByte(rest, ':')
	if !ok || last < 0 {
		return jwtAccess{}, false
	}
	a := jwtAccess{Type: kind, Name: rest[:last]}
	for action := range strings.SplitSeq(rest[last+1:], ",") {
		if action != "" && !slices.Contains(a.Actions, action) {
			a.Actions = append(a.Actions, action)
		}
	}
	if class := strings.IndexByte(kind, '('); class > 0 && strings.HasSuffix(kind, ")") {
		a.Type = kind[:class]
	}
	switch a.Type {
	case repositoryType:
		_, err := registry.ParseRepo(a.Name)
		return a, err == nil
	case registryType:
		return a, a.Name == catalogName && slices.Contains(a.Actions, "*")
	}
	return jwtAccess{}, false
}

// scopeText is what was granted, as it is asked for.
func scopeText(access []jwtAccess) string {
	list := make([]string, 0, len(access))
	for _, a := range access {
		list = append(list, a.Type+":"+a.Name+":"+strings.Join(a.Actions, ","))
	}
	return strings.Join(list, " ")
}
