package auth

import (
	"context"
	"runtime"
	"sync/atomic"

	"github.com/packhouse/packhouse/registry"
)

// hashPool runs what is dear on purpose: a few at a time, a few more waiting,
// and no more than that, and with the processors that nobody else wants, so
// that a storm of log-ins takes neither the memory nor the time from those who
// are logged in.
type hashPool struct {
	admitted chan struct{} // running and waiting
	running  chan struct{}
	ran      atomic.Int64
}

func newHashPool() *hashPool {
	cores := runtime.GOMAXPROCS(0)
	run := max(1, cores/2) // the other half serves who is logged in
	return &hashPool{admitted: make(chan struct{}, run+2*cores), running: make(chan struct{}, run)}
}

// run calls f when it is its turn. It returns TOOMANYREQUESTS if too many are
// waiting, or ctx's error; then f was not called.
func (p *hashPool) run(ctx context.Context, f func()) error {
	select {
	case p.admitted <- struct{}{}:
	default:
		return registry.E("auth.hashPool", registry.TooManyRequests, nil, "too many log-ins by password at once: try again in a few seconds, or use a token")
	}
	defer func() { <-p.admitted }()
	select {
	case p.running <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { <-p.running }()
	p.ran.Add(1)
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // and never unlocked: the thread ends with its priority
		yieldToOthers()
		f()
	}()
	<-done
	return nil
}
