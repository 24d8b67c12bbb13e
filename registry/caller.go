package registry

import "context"

// Caller is who asks and how: what the gate decides by and what the logs and
// the audit tell. A request's server fills it in before anything else sees it.
type Caller struct {
	Principal string // "user:alice", "service:ci", "workload:release", "anonymous", "operator"
	Token     string // public id of the token that was used, "" for none
	Subject   string // of the OIDC token behind it: issuer, space, subject
	Address   string // the client's, without its port
	Client    string // its User-Agent
	Route     string // kind of request: "manifest_put", "npm_publish", "user.create"
	RequestID string // what the client sees in X-Request-Id
	Base      string // URL by which it reached the server's own pages and API, without a trailing slash
	// Asking callers only want to know what they may do: a refusal is no attempt
	// that the audit would tell.
	Asking bool
	// Reads is the request's view of names, nil for none.
	Reads *Reads
	// Identity is what the gate knows the caller by; nil is nobody, who may do
	// nothing.
	Identity any
}

// Anonymous is the principal of everybody who is not known.
const Anonymous = "anonymous"

type contextKey int

const callerKey contextKey = iota

// WithCaller returns ctx carrying c.
func WithCaller(ctx context.Context, c *Caller) context.Context {
	return context.WithValue(ctx, callerKey, c)
}

// Asking returns ctx whose caller only asks what it may do.
func Asking(ctx context.Context) context.Context {
	c := *CallerOf(ctx)
	c.Asking = true
	return WithCaller(ctx, &c)
}

// CallerOf returns the caller in ctx, or one that is nobody.
func CallerOf(ctx context.Context) *Caller {
	if c, ok := ctx.Value(callerKey).(*Caller); ok {
		return c
	}
	return &Caller{}
}

// RequestID returns the id of the request that ctx belongs to, or "".
func RequestID(ctx context.Context) string { return CallerOf(ctx).RequestID }
