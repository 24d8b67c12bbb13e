package registry

import (
	"context"
	"sync/atomic"
)

// Reads is what one request's reads of names rely on. The server makes one for
// each request (see [Caller]); without one each read is validated by itself.
type Reads struct {
	// Lenient requests change nothing: while the database is away they may be
	// answered with what was right a while ago.
	Lenient bool

	// Validated is when names were last validated for this request, in
	// nanoseconds of the registry's own clock; 0 for not yet.
	Validated atomic.Int64
	// Stale notes that something was answered that could not be validated.
	Stale atomic.Bool
	// Ruled notes that the rules of access were read again for this request.
	Ruled atomic.Bool
}

// ReadsOf returns what the reads of ctx's request rely on, or nil.
func ReadsOf(ctx context.Context) *Reads { return CallerOf(ctx).Reads }
