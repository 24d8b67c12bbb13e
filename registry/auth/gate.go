package auth

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/packhouse/packhouse/registry"
)

// GateConfig is what a gate needs. Policy is required.
type GateConfig struct {
	// Policy returns the policy of the moment.
	Policy func() *Policy
	// Newer returns p, or the policy that another process put in its place by
	// the time of the call: it is asked before p refuses an attempt. nil where
	// there is no other process.
	Newer func(ctx context.Context, p *Policy) *Policy
	// Lookup tells what bears a name now; it is asked only about what the
	// policy allowed. Without it nobody with claims may do anything. Its
	// registry.Error is the gate's.
	Lookup func(ctx context.Context, r registry.Repo) (Incarnation, error)
	// Denied is told of each refusal of an attempt (see [registry.Caller]);
	// nil for nobody.
	Denied func(ctx context.Context, v registry.Verb, r registry.Repo)
}

// gate is a [Policy] asked about the identity in a context.
type gate struct{ cfg GateConfig }

var _ registry.Gate = (*gate)(nil)

// NewGate returns the gate over the policies that cfg.Policy returns.
func NewGate(cfg GateConfig) registry.Gate {
	return &gate{cfg}
}

const gateOp = "auth.Gate"

// identityOf returns who asks; nil for nobody.
func identityOf(ctx context.Context) *Identity {
	id, _ := registry.CallerOf(ctx).Identity.(*Identity)
	return id
}

func (g *gate) denied(ctx context.Context, v registry.Verb, r registry.Repo) {
	if g.cfg.Denied != nil && !registry.CallerOf(ctx).Asking {
		g.cfg.Denied(ctx, v, r)
	}
}

// newer is the policy by which an attempt is refused that p refuses.
func (g *gate) newer(ctx context.Context, p *Policy) *Policy {
	if g.cfg.Newer == nil || registry.CallerOf(ctx).Asking {
		return p
	}
	return g.cfg.Newer(ctx, p)
}

// Can implements [registry.Gate].
func (g *gate) Can(ctx context.Context, v registry.Verb, r registry.Repo) error {
	id, p := identityOf(ctx), g.cfg.Policy()
	if !p.May(id, v, r) {
		if p = g.newer(ctx, p); !p.May(id, v, r) {
			return g.refuse(ctx, p, id, v, r, exactly)
		}
	}
	if v == registry.Enter || id.Claims == nil || id.Kind == Operator || id.Kind == Open {
		return nil
	}
	same, err := g.same(ctx, id, v, r)
	if err != nil {
		return err
	}
	if !same {
		g.denied(ctx, v, r)
		return registry.E(gateOp, registry.Unauthorized, nil, "the token was made for another repository %s than the one that is there now: get a new token", r)
	}
	return nil
}

// Some implements [registry.Gate]. What claims name is looked up once a name
// is asked about exactly.
func (g *gate) Some(ctx context.Context, v registry.Verb, r registry.Repo) error {
	id, p := identityOf(ctx), g.cfg.Policy()
	if !p.MaySome(id, v, r) {
		if p = g.newer(ctx, p); !p.MaySome(id, v, r) {
			return g.refuse(ctx, p, id, v, r, some)
		}
	}
	return nil
}

// All implements [registry.Gate].
func (g *gate) All(ctx context.Context, v registry.Verb, r registry.Repo) bool {
	return g.cfg.Policy().MayAll(identityOf(ctx), v, r)
}

// Class implements [registry.Gate]: whose rules hold, of which generation, and
// what narrows them.
func (g *gate) Class(ctx context.Context) string {
	id, p := identityOf(ctx), g.cfg.Policy()
	switch {
	case id == nil || id.Kind != Operator && id.Kind != Open && p.party(id) == nil:
		return "none"
	case id.Kind == Operator, id.Kind == Open:
		return ""
	}
	class := fmt.Sprintf("%d %s %d", p.Generation(), id, id.ID)
	if id.Scope == nil && id.Claims == nil {
		return class
	}
	narrowed, err := json.Marshal(struct {
		Scope  []Scope
		Claims *Claims
	}{id.Scope, id.Claims})
	if err != nil { // strings and numbers alone
		return class + " " + id.Token
	}
	sum := sha256.Sum256(narrowed)
	return class + " " + hex.EncodeToString(sum[:])
}

// same tells whether what a claim on r with v was made for is there still.
// What was not there when it was made may have been made since by the same
// principal: docker pushes with one token, and its first blob makes the
// repository.
func (g *gate) same(ctx context.Context, id *Identity, v registry.Verb, r registry.Repo) (bool, error) {
	var made []Incarnation
	for _, c := range id.Claims.Access {
		switch {
		case !c.Verbs.Has(v):
		case c.Repo == "" && v == registry.List:
			return true, nil // the catalog's: it lists what there is
		case c.Repo == r:
			made = append(made, c.Incarnation)
		}
	}
	if g.cfg.Lookup == nil {
		return false, nil
	}
	now, err := g.cfg.Lookup(ctx, r)
	if err != nil {
		return false, lookupError(err)
	}
	return slices.ContainsFunc(made, func(m Incarnation) bool {
		return (m.Namespace == "" || m.Namespace == now.Namespace) &&
			(m.Repository == now.Repository || m.Repository == 0 && now.Creator == id.String())
	}), nil
}
