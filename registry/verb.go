package registry

import "context"

// Verb is one thing a principal may do to a repository.
type Verb uint8

// The verbs. The zero Verb is no verb: nothing grants it.
const (
	_ Verb = iota
	Read
	List
	Create
	Overwrite
	Label
	Withdraw
	Delete
	Admin
	// Enter is what everybody may do, logged in or not: ask whether the server
	// lives, log in, hand in a token for another. It is never granted.
	Enter
)

var verbNames = [...]string{"none", "read", "list", "create", "overwrite", "label", "withdraw", "delete", "admin", "enter"}

func (v Verb) String() string {
	if int(v) < len(verbNames) {
		return verbNames[v]
	}
	return "none"
}

// Grantable lists the verbs that a role can hold, from the least.
func Grantable() []Verb { return []Verb{Read, List, Create, Overwrite, Label, Withdraw, Delete, Admin} }

// Gate decides what the caller in ctx (see [CallerOf]) may do, from names
// alone, before any lookup. A name may be a repository's, a feed's or a
// namespace's; "" is the whole registry.
//
// Its refusals are UNAUTHORIZED for who is not logged in (or whose token could
// be exchanged for one that may), NAME_UNKNOWN for who may not even know
// whether r exists, DENIED for the rest.
type Gate interface {
	// Can decides whether the caller may do v to exactly r.
	Can(ctx context.Context, v Verb, r Repo) error
	// Some decides whether there may be anything at r or below it that the
	// caller may do v to: what is asked before the name is known in full.
	Some(ctx context.Context, v Verb, r Repo) error
	// All tells whether the caller may do v to r and to all that is below it,
	// so that a listing needs no filter.
	All(ctx context.Context, v Verb, r Repo) bool
	// Class names what the caller may see: callers of one class see the same.
	Class(ctx context.Context) string
}

// GateFunc is a Gate that decides about r as about all below it.
type GateFunc func(ctx context.Context, v Verb, r Repo) error

// Can implements [Gate].
func (f GateFunc) Can(ctx context.Context, v Verb, r Repo) error { return f(ctx, v, r) }

// Some implements [Gate].
func (f GateFunc) Some(ctx context.Context, v Verb, r Repo) error { return f(ctx, v, r) }

// All implements [Gate].
func (f GateFunc) All(ctx context.Context, v Verb, r Repo) bool { return f(ctx, v, r) == nil }

// Class implements [Gate].
func (f GateFunc) Class(context.Context) string { return "" }
