package auth

import (
	"context"
	"time"

	"github.com/packhouse/packhouse/registry"
)

// Nudge makes the service look at once for what other processes changed. It
// does not wait.
func (s *Service) Nudge() {
	select {
	case s.nudges <- struct{}{}:
	default: // it will look anyway
	}
}

// refreshWithin bounds how long a refusal waits for the rules.
const refreshWithin = time.Second

func (s *Service) refreshSoon(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, refreshWithin)
	defer cancel()
	return s.Refresh(ctx)
}

// newer returns the policy by which somebody is refused whom p refuses: one
// that was committed on any replica before the call is in it. What is asked of
// the database is the same whatever was asked of us, once for a request, and
// one at a time for all. While the database is away p has the last word.
func (s *Service) newer(ctx context.Context, p *Policy) *Policy {
	if s.failing.Load() {
		return p
	}
	if reads := registry.ReadsOf(ctx); reads != nil && reads.Ruled.Swap(true) {
		return s.Policy()
	}
	if s.rules.Wait(ctx) != nil {
		return p
	}
	return s.Policy()
}
