package limit

import (
	"hash/maphash"
	"math"
	"time"

	"golang.org/x/time/rate"

	"github.com/packhouse/packhouse/registry"
)

// Rate is how often something may happen. The zero Rate is no limit.
type Rate struct {
	PerSecond float64
	Burst     int // how many at once, after a rest; at least 1
}

func (r Rate) limits() bool { return r.PerSecond > 0 }

// Config says what is limited; what is zero is not.
type Config struct {
	Principal Rate // requests of one principal
	Address   Rate // requests from one address; one IPv6 network of 64 bits is one address
	// FailedLogins are those from one address. Where more of them hit one
	// account, from wherever, each address has to wait after its first.
	FailedLogins Rate
	// BytesInFlight of request bodies of one principal.
	BytesInFlight int64
	// Entries bound what each table remembers. Default 64 Ki.
	Entries int
}

// Default is what holds where nothing is configured.
func Default() Config {
	return Config{FailedLogins: Rate{PerSecond: 10. / 60, Burst: 20}}
}

// Limiter counts. Its methods may be called at the same time.
type Limiter struct {
	cfg        Config
	keys       keys
	principals *buckets
	addresses  *buckets
	failures   *buckets // failed log-ins by address
	attacked   *buckets // failed log-ins by account
	backoffs   *table[backoff]
	bytes      inFlight
}

// New returns a limiter that has seen nothing yet.
func New(cfg Config) *Limiter {
	if cfg.Entries <= 0 {
		cfg.Entries = 64 << 10
	}
	return &Limiter{
		cfg:        cfg,
		keys:       keys{maphash.MakeSeed()},
		principals: newBuckets(cfg.Principal, cfg.Entries),
		addresses:  newBuckets(cfg.Address, cfg.Entries),
		failures:   newBuckets(cfg.FailedLogins, cfg.Entries),
		attacked:   newBuckets(cfg.FailedLogins, cfg.Entries),
		backoffs:   newTable(cfg.Entries, backoff.past, backoff.heir),
		bytes:      inFlight{most: cfg.BytesInFlight, of: map[string]int64{}},
	}
}

// Request counts one request of principal, unless it is exempt, and from
// address; "" is counted nowhere. Callers that are nobody in particular are
// counted by address alone. It returns TOOMANYREQUESTS.
func (l *Limiter) Request(principal, address string, exempt bool) error {
	if address != "" && l.cfg.Address.limits() {
		if wait := l.addresses.take(l.keys.address(address)); wait > 0 {
			return tooMany("limit.Request", wait, "your address sends more than %g requests per second: wait %s, then send them more slowly", l.cfg.Address.PerSecond)
		}
	}
	if named(principal) && !exempt && l.cfg.Principal.limits() {
		if wait := l.principals.take(l.keys.name(principal)); wait > 0 {
			return tooMany("limit.Request", wait, "you send more than %g requests per second: wait %s, then send them more slowly", l.cfg.Principal.PerSecond)
		}
	}
	return nil
}

// named tells whether principal stands for one caller; see registry.Caller.
func named(principal string) bool {
	return principal != "" && principal != "anonymous" && principal != "operator"
}

// tooMany builds the error of who must wait. format takes perSecond and the time.
func tooMany(op string, wait time.Duration, format string, perSecond float64) error {
	in := registry.RetryIn(wait)
	return registry.E(op, registry.TooManyRequests, nil, format, perSecond, time.Duration(in.Seconds())*time.Second).WithDetail(in)
}

// buckets is a table of token buckets of one Rate.
type buckets struct {
	rate  Rate
	table *table[bucket]
}

// bucket is a pointer, since a rate.Limiter is not to be copied; nil is a full one.
type bucket struct{ *rate.Limiter }

func newBuckets(r Rate, entries int) *buckets {
	r.Burst = max(1, r.Burst)
	full := func(b bucket, now time.Time) bool {
		return b.Limiter == nil || b.TokensAt(now) >= float64(r.Burst)
	}
	return &buckets{r, newTable(entries, full, func(b bucket, now time.Time) bucket { return b.heir(r, now) })}
}

// heir is a bucket that holds no more than b.
func (b bucket) heir(r Rate, now time.Time) bucket {
	h := rate.NewLimiter(rate.Limit(r.PerSecond), r.Burst)
	if b.Limiter != nil {
		if missing := float64(r.Burst) - b.TokensAt(now); missing > 0 {
			h.AllowN(now, min(r.Burst, int(math.Ceil(missing))))
		}
	}
	return bucket{h}
}

// take removes one token, or returns how long until there is one.
func (b *buckets) take(key uint64) time.Duration {
	now := time.Now()
	s, state := b.table.hold(key, now)
	defer s.mu.Unlock()
	if state.AllowN(now, 1) {
		return 0
	}
	return b.until(*state, now)
}

// wait returns how long until there is a token, and removes none.
func (b *buckets) wait(key uint64, now time.Time) time.Duration {
	s, state := b.table.look(key)
	defer s.mu.Unlock()
	if state.Limiter == nil {
		return 0
	}
	return b.until(*state, now)
}

func (b *buckets) until(state bucket, now time.Time) time.Duration {
	missing := 1 - state.TokensAt(now)
	if missing <= 0 {
		return 0
	}
	return max(1, time.Duration(missing/b.rate.PerSecond*float64(time.Second)))
}
