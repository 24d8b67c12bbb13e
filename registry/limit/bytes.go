package limit

import (
	"sync"

	"github.com/packhouse/packhouse/registry"
)

// inFlight counts bytes by principal, while there are any.
type inFlight struct {
	most int64
	mu   sync.Mutex
	of   map[string]int64
}

// Bytes admits a request body of n bytes of principal, until release is called;
// calling it again does nothing. A body that is the only one is always admitted,
// or one larger than the limit never could be. It returns TOOMANYREQUESTS.
func (l *Limiter) Bytes(principal string, n int64) (release func(), err error) {
	f := &l.bytes
	if f.most <= 0 || n <= 0 || principal == "" {
		return func() {}, nil
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	now := f.of[principal]
	if now > 0 && n > f.most-now {
		return nil, registry.E("limit.Bytes", registry.TooManyRequests, nil,
			"you are sending %d bytes, and may send %d at once: send less at the same time", now, f.most)
	}
	f.of[principal] = now + n
	return sync.OnceFunc(func() { f.end(principal, n) }), nil
}

func (f *inFlight) end(principal string, n int64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.of[principal] -= n; f.of[principal] <= 0 {
		delete(f.of, principal)
	}
}
