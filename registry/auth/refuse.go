package auth

import (
	"context"
	"errors"
	"fmt"

	"github.com/packhouse/packhouse/registry"
)

// refuse says why id may not do v, without telling who may not read r whether
// there is one.
func (g *gate) refuse(ctx context.Context, p *Policy, id *Identity, v registry.Verb, r registry.Repo, x extent) error {
	g.denied(ctx, v, r)
	switch {
	case id == nil || id.Kind == Anonymous || bit(v) == 0:
		return refusal(id, v, r)
	case p.unclaimed(id, v, r, x):
		return registry.E(gateOp, registry.Unauthorized, nil, "the token was not made to %s, though %s may: get one with a scope that covers it", doing(v, r), id)
	case id.Scope != nil && !reading.Has(v) && p.unscoped(id, v, r, x):
		return registry.E(gateOp, registry.Denied, nil, "this token may not %s, though %s may: use one whose scope has at least the role %s there", doing(v, r), id, LeastRole(v))
	}
	return refusal(id, v, r)
}

// unscoped decides without what narrows the identity.
func (p *Policy) unscoped(id *Identity, v registry.Verb, r registry.Repo, x extent) bool {
	wide := *id
	wide.Scope = nil
	return p.unclaimed(&wide, v, r, x)
}

// refusal is what somebody is told who may not do v to r, by any token.
func refusal(id *Identity, v registry.Verb, r registry.Repo) error {
	switch {
	case id == nil || id.Kind == Anonymous:
		return registry.E(gateOp, registry.Unauthorized, nil, "it takes a log-in to %s: send a user name and password, or a token", doing(v, r))
	case bit(v) == 0:
		return registry.E(gateOp, registry.Denied, nil, "%s may not %s: nobody may", id, doing(v, r))
	case reading.Has(v) && r == "":
		return registry.E(gateOp, registry.NameUnknown, nil, "there is nothing here that %s may %s", id, v)
	case reading.Has(v):
		return registry.E(gateOp, registry.NameUnknown, nil, "there is no repository %s", r)
	}
	return registry.E(gateOp, registry.Denied, nil, "%s may not %s: that takes at least the role %s there", id, doing(v, r), LeastRole(v))
}

// doing is how sentences say what was asked for.
func doing(v registry.Verb, r registry.Repo) string {
	switch v {
	case registry.Create, registry.Overwrite, registry.Label:
		return v.String() + " in " + named(r)
	case registry.Withdraw, registry.Delete:
		return v.String() + " from " + named(r)
	case registry.Admin:
		return "administer " + named(r)
	case 0:
		return "do this to " + named(r)
	case registry.Read, registry.List, registry.Enter:
	}
	return v.String() + " " + named(r)
}

// named is how sentences call r.
func named(r registry.Repo) string {
	if r == "" {
		return "the whole registry"
	}
	return string(r)
}

// lookupError passes on what a Lookup says to a client, and hides the rest.
func lookupError(err error) error {
	if _, ok := errors.AsType[*registry.Error](err); ok {
		return err
	}
	return registry.E(gateOp, registry.Internal, fmt.Errorf("look up what a token was made for: %w", err), "internal error")
}
