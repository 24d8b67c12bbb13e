package cachetest

import (
	"net"
	"sync"
	"testing"
)

// Proxy passes connections on to a server, or lets them hang.
type Proxy struct {
	Addr string

	listener net.Listener
	to       string
	work     sync.WaitGroup

	mu      sync.Mutex
	flowing *sync.Cond
	stalled bool
	closed  bool
	conns   map[net.Conn]bool
}

// NewProxy starts a proxy that ends with the test.
func NewProxy(tb testing.TB, to string) *Proxy {
	tb.Helper()
	l, err := (&net.ListenConfig{}).Listen(tb.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	p := &Proxy{Addr: l.Addr().String(), listener: l, to: to, conns: map[net.Conn]bool{}}
	p.flowing = sync.NewCond(&p.mu)
	p.work.Go(p.accept)
	tb.Cleanup(p.close)
	return p
}

// Stall makes no byte pass any more, in either direction, until Flow.
func (p *Proxy) Stall() { p.set(true) }

// Flow undoes Stall: what waited passes.
func (p *Proxy) Flow() { p.set(false) }

func (p *Proxy) set(stalled bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.stalled = stalled
	p.flowing.Broadcast()
}

func (p *Proxy) accept() {
	for {
		client, err := p.listener.Accept()
		if err != nil {
			return
		}
		server, err := net.Dial("tcp", p.to) //nolint:noctx // loopback
		if err != nil {
			_ = client.Close()
			continue
		}
		if !p.keep(client, server) {
			return
		}
		p.work.Go(func() { p.pass(server, client) })
		p.work.Go(func() { p.pass(client, server) })
	}
}

func (p *Proxy) keep(conns ...net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range conns {
		if p.closed {
			_ = c.Close()
			continue
		}
		p.conns[c] = true
	}
	return !p.closed
}

// pass ends both connections when either does.
func (p *Proxy) pass(to, from net.Conn) {
	defer func() {
		_ = to.Close()
		_ = from.Close()
	}()
	buf := make([]byte, 32<<10)
	for {
		n, err := from.Read(buf)
		p.wait()
		if n > 0 {
			if _, err := to.Write(buf[:n]); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}

func (p *Proxy) wait() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for p.stalled && !p.closed {
		p.flowing.Wait()
	}
}

func (p *Proxy) close() {
	p.mu.Lock()
	p.closed = true
	p.flowing.Broadcast()
	for c := range p.conns {
		_ = c.Close()
	}
	p.mu.Unlock()
	_ = p.listener.Close()
	p.work.Wait()
}
