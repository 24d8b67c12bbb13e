package limit

import (
	"time"

	"github.com/packhouse/packhouse/registry"
)

const (
	freeFailures = 5                // of one account from one address, before it must wait
	firstWait    = time.Second      // then, doubled with each further failure
	longestWait  = time.Minute      // up to this
	forgetAfter  = 10 * time.Minute // since the last failure
)

// backoff is what is known of one account from one address.
type backoff struct {
	failures int
	last     time.Time
	until    time.Time // no check before
}

func (b backoff) past(now time.Time) bool {
	return b.failures == 0 || now.Sub(b.last) >= forgetAfter
}

func (b backoff) heir(now time.Time) backoff {
	if b.past(now) {
		return backoff{}
	}
	return b
}

// Login is asked before a secret of account is checked, "" for one that names
// no account. It returns TOOMANYREQUESTS after too many failures from address,
// or while this account must wait there; failures from other addresses never
// refuse.
func (l *Limiter) Login(address, account string) error {
	if !l.cfg.FailedLogins.limits() {
		return nil
	}
	now := time.Now()
	wait := l.failures.wait(l.keys.address(address), now)
	if account != "" {
		s, b := l.backoffs.look(l.keys.pair(address, account))
		if !b.past(now) {
			wait = max(wait, b.until.Sub(now))
		}
		s.mu.Unlock()
	}
	if wait <= 0 {
		return nil
	}
	in := registry.RetryIn(wait)
	return registry.E("limit.Login", registry.TooManyRequests, nil,
		"too many failed log-ins from your address: wait %s, then try again with the right password or token", time.Duration(in.Seconds())*time.Second).WithDetail(in)
}

// LoginFailed counts a wrong secret. Checks that run at the same moment may
// pass the limit by as many as there are.
func (l *Limiter) LoginFailed(address, account string) {
	if !l.cfg.FailedLogins.limits() {
		return
	}
	l.failures.take(l.keys.address(address))
	if account == "" {
		return
	}
	free := freeFailures
	if l.attacked.take(l.keys.name(account)) > 0 {
		free = 0 // guessed at from many addresses
	}
	now := time.Now()
	s, b := l.backoffs.hold(l.keys.pair(address, account), now)
	defer s.mu.Unlock()
	if b.past(now) {
		*b = backoff{}
	}
	b.failures++
	b.last = now
	if n := b.failures - free; n > 0 {
		b.until = now.Add(min(longestWait, firstWait<<min(n-1, 6)))
	}
}

// LoginSucceeded forgets account's failures from address. Those of the address
// remain: who guesses at many accounts may own one.
func (l *Limiter) LoginSucceeded(address, account string) {
	if account != "" && l.cfg.FailedLogins.limits() {
		l.backoffs.drop(l.keys.pair(address, account))
	}
}
