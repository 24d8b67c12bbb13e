package admin

import (
	"cmp"
	"context"
	"reflect"

	"github.com/packhouse/packhouse/registry"
	"github.com/packhouse/packhouse/registry/auth"
)

// Access says who may run an operation: see [Needs], [SignedIn] and [Anyone].
// The zero Access is none of them, and no table may hold it.
type Access struct {
	kind   accessKind
	verb   registry.Verb
	params reflect.Type // that target takes
	target func(params any) (registry.Repo, error)
}

type accessKind uint8

const (
	_ accessKind = iota
	anyone
	signedIn
	needs
)

// Anyone is whoever asks, known or not: the operation itself shows each caller
// what that one may see.
func Anyone() Access { return Access{kind: anyone} }

// SignedIn is everybody whom the registry knows: the operation is about the
// caller, or its target is found by looking it up and asked about then.
func SignedIn() Access { return Access{kind: signedIn} }

// Needs is who may do v to what target says: a repository, a namespace, or ""
// for the whole registry.
func Needs[P any](v registry.Verb, target func(P) (registry.Repo, error)) Access {
	return Access{kind: needs, verb: v, params: reflect.TypeFor[P](), target: func(params any) (registry.Repo, error) {
		return target(params.(P))
	}}
}

// everything is the target of what concerns the whole registry.
func everything[P any](P) (registry.Repo, error) { return "", nil }

// Verb is what the operation needs of its target; ok is false for [Anyone] and
// [SignedIn].
func (a Access) Verb() (v registry.Verb, ok bool) { return a.verb, a.kind == needs }

func (a Access) String() string {
	switch a.kind {
	case anyone:
		return "anyone"
	case signedIn:
		return "signed in"
	case needs:
		return a.verb.String()
	}
	return "none"
}

// check decides for the caller in ctx. It returns UNAUTHORIZED, NAME_UNKNOWN,
// DENIED, and what the target's name has wrong.
func (a Access) check(ctx context.Context, gate registry.Gate, params any) error {
	const op = "admin.Access"
	switch a.kind {
	case anyone:
		return nil
	case signedIn:
		id, ok := registry.CallerOf(ctx).Identity.(*auth.Identity)
		if !ok || id == nil || id.Kind == auth.Anonymous {
			return registry.E(op, registry.Unauthorized, nil, "log in to do this")
		}
		return nil
	case needs:
		if gate == nil {
			break
		}
		target, err := a.target(params)
		if err != nil {
			return cmp.Or(gate.Some(ctx, a.verb, ""), err) // what is wrong is for those who may do it somewhere
		}
		return gate.Can(ctx, a.verb, target)
	}
	return registry.E(op, registry.Denied, nil, "nobody may do this")
}

// asOperator is ctx of whoever has the data directory.
func asOperator(ctx context.Context, name string) context.Context {
	return registry.WithCaller(ctx, &registry.Caller{
		Principal: auth.Operator.String(), Address: "local", Route: name,
		RequestID: registry.RequestID(ctx), Identity: &auth.Identity{Kind: auth.Operator},
	})
}
