package auth

import (
	"context"
	"sync"
	"time"

	"github.com/packhouse/packhouse/storage/meta"
)

// uses remembers who and what was used since they were last written down. It
// is for people to look at: what does not fit is not remembered.
type uses struct {
	mu         sync.Mutex
	tokens     map[string]time.Time
	principals map[int64]time.Time
}

const (
	maxUses     = 10_000
	flushEvery  = time.Minute
	expireEvery = time.Hour
	// keepExpired is how long a token is listed after it expired.
	keepExpired = 30 * day
	expireBatch = 500
)

// used notes that a principal, or, for a token of a trust rule, just the token
// was used now.
func (s *Service) used(token string, principal int64) {
	now := s.now()
	s.uses.mu.Lock()
	defer s.uses.mu.Unlock()
	if s.uses.tokens == nil {
		s.uses.tokens, s.uses.principals = map[string]time.Time{}, map[int64]time.Time{}
	}
	if token != "" && len(s.uses.tokens) < maxUses {
		s.uses.tokens[token] = now
	}
	if principal != 0 && len(s.uses.principals) < maxUses {
		s.uses.principals[principal] = now
	}
}

func (s *Service) flushUses(ctx context.Context) error {
	s.uses.mu.Lock()
	tokens, principals := s.uses.tokens, s.uses.principals
	s.uses.tokens, s.uses.principals = nil, nil
	s.uses.mu.Unlock()
	if len(tokens)+len(principals) == 0 {
		return nil
	}
	return s.meta.Update(ctx, meta.Options{}, func(ctx context.Context, tx *meta.Tx) error {
		if err := tx.UseTokens(ctx, tokens); err != nil {
			return err
		}
		return tx.UsePrincipals(ctx, principals)
	})
}

// removeExpired forgets tokens that expired long ago.
func (s *Service) removeExpired(ctx context.Context) error {
	for {
		var n int64
		err := s.meta.Update(ctx, meta.Options{}, func(ctx context.Context, tx *meta.Tx) (err error) {
			n, err = tx.RemoveExpiredTokens(ctx, s.now().Add(-keepExpired), expireBatch)
			return err
		})
		if err != nil || n < expireBatch {
			return err
		}
	}
}

// keepHouse writes down uses and forgets what expired. A lost use is no loss,
// so what fails is tried again with the next.
func (s *Service) keepHouse(ctx context.Context) {
	flush, expire := time.NewTicker(flushEvery), time.NewTicker(expireEvery)
	defer flush.Stop()
	defer expire.Stop()
	for {
		var err error
		select {
		case <-ctx.Done():
			return
		case <-flush.C:
			err = s.flushUses(ctx)
		case <-expire.C:
			err = s.removeExpired(ctx)
		}
		if err != nil && ctx.Err() == nil {
			s.log.WarnContext(ctx, "last uses of tokens are not written down", "error", err)
		}
	}
}
