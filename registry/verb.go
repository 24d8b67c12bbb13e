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
)

var verbNames = [...]string{"none", "read", "list", "create", "overwrite", "label", "withdraw", "delete", "admin"}

func (v Verb) String() string {
	if int(v) < len(verbNames) {
		return verbNames[v]
	}
	return "none"
}

// Gate decides whether the principal in ctx may do v to r. It returns nil,
// UNAUTHORIZED or DENIED, from the name alone, before any lookup.
type Gate func(ctx context.Context, v Verb, r Repo) error

type contextKey int

const requestIDKey contextKey = iota

// WithRequestID returns ctx carrying the id that the client sees in
// X-Request-Id and the log beside each line about this request.
func WithRequestID(ctx context.Context, id string) context.Context {
	return context.WithValue(ctx, requestIDKey, id)
}

// RequestID returns the id in ctx, or "".
func RequestID(ctx context.Context) string {
	id, _ := ctx.Value(requestIDKey).(string)
	return id
}
