package auth

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/packhouse/packhouse/registry"
	"github.com/packhouse/packhouse/registry/seal"
	"github.com/packhouse/packhouse/storage/meta"
)

// Config is all that a service needs. Meta, Seal and Log are required.
type Config struct {
	Meta *meta.Store
	Seal *seal.Box // of the server's own keys
	Log  *slog.Logger

	Now  func() time.Time // default Meta's
	Poll time.Duration    // how soon others' changes are in force here; default 1 s

	TokenTTL    time.Duration // of a token when nothing else is asked for; default 90 days
	TokenMaxTTL time.Duration // the longest; default 366 days
	RotateGrace time.Duration // how long a rotated token goes on; default 24 h

	Issuer   string      // of tokens of Docker's protocol; default "packhouse"
	Htpasswd string      // file of further users; "" for none
	LDAP     LDAPConfig  // directory of further users; its zero value is none
	Limits   LoginLimits // nil for none

	// Lookup tells what bears a name now, see [GateConfig].
	Lookup func(ctx context.Context, r registry.Repo) (Incarnation, error)
	// Open tells whether everybody may do everything; nil for never.
	Open func(*Policy) bool
	// Denied is told of each refusal of an attempt; nil for nobody.
	Denied func(ctx context.Context, v registry.Verb, r registry.Repo)
}

const day = 24 * time.Hour

func (c *Config) fill() error {
	if c.Meta == nil || c.Seal == nil || c.Log == nil {
		return errors.New("auth: Meta, Seal and Log are required")
	}
	if c.Now == nil {
		c.Now = c.Meta.Now
	}
	for _, d := range []struct {
		value *time.Duration
		or    time.Duration
	}{{&c.Poll, time.Second}, {&c.TokenTTL, 90 * day}, {&c.TokenMaxTTL, max(366*day, c.TokenTTL)}, {&c.RotateGrace, day}} {
		if *d.value == 0 {
			*d.value = d.or
		}
		if *d.value < 0 {
			return fmt.Errorf("auth: %s is no duration for Poll, TokenTTL, TokenMaxTTL or RotateGrace", *d.value)
		}
	}
	if c.TokenTTL > c.TokenMaxTTL {
		return fmt.Errorf("auth: TokenTTL, %s, is longer than TokenMaxTTL, %s", c.TokenTTL, c.TokenMaxTTL)
	}
	return nil
}

// Service knows who may log in and what they may do, and changes it. It is
// safe for concurrent use.
type Service struct {
	cfg    Config
	meta   *meta.Store
	log    *slog.Logger
	gate   registry.Gate
	login  *login
	policy atomic.Pointer[Policy]

	rules   meta.Rounds   // of [Service.Refresh], for who would be refused
	nudges  chan struct{} // to look for others' changes before the next poll
	failing atomic.Bool   // the last poll did
	loading sync.Mutex    // of a policy: those who wait for the same generation share one
	keys    sync.Map      // purpose → *serverKey
	making  sync.Mutex    // of a key
	uses    uses

	stop       context.CancelFunc
	background sync.WaitGroup
}

// New loads the policy and the keys. [Service.Close] ends its background work;
// the store stays the caller's to close.
func New(ctx context.Context, cfg Config) (*Service, error) {
	if err := cfg.fill(); err != nil {
		return nil, err
	}
	s := &Service{cfg: cfg, meta: cfg.Meta, log: cfg.Log, nudges: make(chan struct{}, 1)}
	s.rules.Query = s.refreshSoon
	if err := s.Refresh(ctx); err != nil {
		return nil, err
	}
	gate := GateConfig{Policy: s.Policy, Lookup: cfg.Lookup, Denied: cfg.Denied}
	if cfg.Meta.Shared() {
		gate.Newer = s.newer
	}
	s.gate = NewGate(gate)
	var err error
	if s.login, err = newLogin(ctx, s); err != nil {
		return nil, err
	}
	background, stop := context.WithCancel(context.WithoutCancel(ctx))
	s.stop = stop
	s.background.Go(func() { s.follow(background) })
	s.background.Go(func() { s.keepHouse(background) })
	return s, nil
}

// Close notes what was used last, ends background work and waits for it.
func (s *Service) Close() error {
	s.stop()
	s.background.Wait()
	s.rules.Close()
	return s.flushUses(context.Background())
}

func (s *Service) now() time.Time { return s.cfg.Now() }

// Policy is what everybody may do now.
func (s *Service) Policy() *Policy { return s.policy.Load() }

// Gate decides by the policy of the moment.
func (s *Service) Gate() registry.Gate { return s.gate }

// Open tells whether everybody may do everything now.
func (s *Service) Open() bool { return s.cfg.Open != nil && s.cfg.Open(s.Policy()) }

// Refresh makes all changes that were committed before the call be in force
// when it returns.
func (s *Service) Refresh(ctx context.Context) error {
	const op = "auth.Refresh"
	generation, err := s.meta.AccessGeneration(ctx)
	if err != nil {
		return wrap(op, err)
	}
	if p := s.policy.Load(); p != nil && p.generation >= generation {
		return nil
	}
	s.loading.Lock()
	defer s.loading.Unlock()
	before := s.policy.Load()
	if before != nil && before.generation >= generation {
		return nil
	}
	rows, err := s.meta.AccessRows(ctx)
	if err != nil {
		return wrap(op, err)
	}
	p, err := NewPolicy(rows)
	if err != nil {
		return wrap(op, err)
	}
	s.policy.Store(p)
	if s.cfg.Open != nil && before != nil && s.cfg.Open(before) && !s.cfg.Open(p) {
		s.log.InfoContext(ctx, "there are accounts: from now on everybody is asked for credentials")
	}
	if problems := p.Problems(); len(problems) > 0 && (before == nil || len(before.problems) != len(problems)) {
		s.log.WarnContext(ctx, "access rows are not understood", "count", len(problems), "first", problems[0])
	}
	return nil
}

// follow brings in force what other processes change.
func (s *Service) follow(ctx context.Context) {
	tick := time.NewTicker(s.cfg.Poll)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		case <-s.nudges:
		}
		err := s.Refresh(ctx)
		failing := s.failing.Load()
		switch {
		case ctx.Err() != nil:
			return
		case err != nil && !failing: // once, not each second
			s.log.ErrorContext(ctx, "access rules cannot be read: the last ones stay in force", "error", err)
		case err == nil && failing:
			s.log.InfoContext(ctx, "access rules can be read again")
		}
		s.failing.Store(err != nil)
	}
}

var (
	durable = meta.Options{Durable: true}
	// restricting changes are taken on a full disk, too: revoking must work.
	restricting = meta.Options{Durable: true, Frees: true}
)

// errNothing ends a change that has nothing to do: all is as wanted.
var errNothing = errors.New("nothing to change")

type deferredKey struct{}

// Deferred returns a context whose changes are committed one by one, but are in
// force here only at the next [Service.Refresh], or poll: bringing each of
// thousands in force would compile the whole policy as often.
func Deferred(ctx context.Context) context.Context {
	return context.WithValue(ctx, deferredKey{}, true)
}

// change commits one change of what decides about access, and returns once it
// is in force here, or at once if that is [Deferred].
func (s *Service) change(ctx context.Context, op string, o meta.Options, f func(ctx context.Context, tx *meta.Tx) error) error {
	err := s.meta.Update(ctx, o, func(ctx context.Context, tx *meta.Tx) error {
		if err := f(ctx, tx); err != nil {
			return err
		}
		return tx.TouchAccess(ctx)
	})
	if errors.Is(err, errNothing) {
		return nil
	}
	if err != nil {
		return wrap(op, err)
	}
	if ctx.Value(deferredKey{}) != nil {
		return nil
	}
	if err := s.Refresh(context.WithoutCancel(ctx)); err != nil { // it is committed, whoever waits for it
		return registry.E(op, registry.Unavailable, err, "the change is stored, but could not be brought in force on this server yet")
	}
	return nil
}

// record writes an access change into the audit.
func record(ctx context.Context, tx *meta.Tx, action, namespace string, detail ...string) error {
	a := meta.AuditRecord{Action: action, Namespace: namespace, Detail: make(map[string]string, len(detail)/2)}
	for i := 0; i+1 < len(detail); i += 2 {
		if detail[i+1] != "" {
			a.Detail[detail[i]] = detail[i+1]
		}
	}
	return tx.Record(ctx, a)
}

// keepWayIn refuses a change after which nobody could administer the registry
// any more, if somebody could before.
func (s *Service) keepWayIn(ctx context.Context, tx *meta.Tx, op string) error {
	if err := s.Refresh(ctx); err != nil { // what is [Deferred] counts, too
		return err
	}
	if !s.Policy().administered() {
		return nil
	}
	rows, err := tx.AccessRows(ctx)
	if err != nil {
		return err
	}
	p, err := NewPolicy(rows)
	if err != nil {
		return err
	}
	if p.administered() {
		return nil
	}
	return registry.E(op, registry.Conflict, nil, "then nobody could administer the registry any more: grant somebody else the role admin on ** first")
}

// administered tells whether any enabled user or service account may
// administer the whole registry.
func (p *Policy) administered() bool {
	for _, row := range p.principals {
		if row.Disabled.IsZero() && p.May(&Identity{Kind: kindOf(row.Kind), Name: row.Name, ID: row.ID}, registry.Admin, "") {
			return true
		}
	}
	return false
}

// wrap turns a foreign error into one that a client may see. What it does not
// know stays foreign, which renders as an internal error.
func wrap(op string, err error) error {
	if err == nil {
		return nil
	}
	if _, ours := errors.AsType[*registry.Error](err); ours {
		return err
	}
	switch {
	case errors.Is(err, meta.ErrNoSpace):
		return registry.E(op, registry.NoSpace, err, "the registry's storage is full: delete something or ask its operator for space; reading goes on")
	case errors.Is(err, meta.ErrUnavailable):
		return registry.E(op, registry.Unavailable, err, "the registry's database does not answer in time: try again in a few seconds").WithDetail(registry.RetryIn(2 * time.Second))
	case errors.Is(err, meta.ErrUncertain):
		return registry.E(op, registry.Unavailable, err, "the registry's database failed while it stored the change, which may have been made: look before you try again").WithDetail(map[string]any{"uncertain": true})
	case errors.Is(err, meta.ErrReadOnly):
		return registry.E(op, registry.Unavailable, err, "the registry's database cannot be written now; reading goes on")
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return err
	}
	return &registry.Error{Code: registry.Internal, Op: op, Message: "internal error", Err: err}
}

type serverKey struct {
	id  string
	key ed25519.PrivateKey
}
