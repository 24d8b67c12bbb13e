package packhouse

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

const (
	mostHead    = 1 << 20                // what is longer is passed on unread
	dialTimeout = 5 * time.Second        // of a replica
	lingering   = 500 * time.Millisecond // for the rest of a body that nobody wants
)

// balancer is one address in front of replicas. It passes every request on to the next of them, byte for byte: reason
// phrases, chunks, trailers and interim answers arrive as they were sent. Bytes that are no request that it understands
// go to a replica with all that follows on the connection, so that the replica judges them.
//
// It speaks HTTP/1.1 and ends TLS. To what a client sent it adds the headers that a proxy adds (X-Forwarded-For, and
// X-Forwarded-Proto after TLS). A replica that refuses connections is passed over; a connection whose replica ends in the
// middle of an answer is closed.
type balancer struct {
	listener net.Listener
	replicas []string // HOST:PORT
	secure   bool
	turn     atomic.Uint64
	served   []atomic.Int64 // requests, by replica

	mu    sync.Mutex
	conns map[net.Conn]bool // nil once closed
	busy  sync.WaitGroup
}

// listen makes a balancer that takes connections and does not serve them yet.
func listen(ctx context.Context, addr string, pair *keyPair) (*balancer, error) {
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	b := &balancer{listener: l, conns: map[net.Conn]bool{}}
	if pair != nil {
		cert, err := tls.LoadX509KeyPair(pair.cert, pair.key)
		if err != nil {
			return nil, errors.Join(err, l.Close())
		}
		b.secure = true
		b.listener = tls.NewListener(l, &tls.Config{Certificates: []tls.Certificate{cert}, NextProtos: []string{"http/1.1"}, MinVersion: tls.VersionTLS12})
	}
	return b, nil
}

// serve passes requests on to replicas until close.
func (b *balancer) serve(replicas []string) {
	b.replicas, b.served = replicas, make([]atomic.Int64, len(replicas))
	b.busy.Go(func() {
		for {
			c, err := b.listener.Accept()
			if err != nil {
				return
			}
			if !b.track(c, true) {
				_ = c.Close()
				return
			}
			b.busy.Go(func() {
				newExchange(b, c).run()
				b.track(c, false)
				_ = c.Close()
			})
		}
	})
}

// close ends all connections and waits for their ends.
func (b *balancer) close() error {
	err := b.listener.Close()
	b.mu.Lock()
	for c := range b.conns {
		_ = c.Close()
	}
	b.conns = nil
	b.mu.Unlock()
	b.busy.Wait()
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}

// track notes a connection, or forgets it; false after close.
func (b *balancer) track(c net.Conn, open bool) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.conns == nil {
		return false
	}
	if open {
		b.conns[c] = true
	} else {
		delete(b.conns, c)
	}
	return true
}

// upstream is a connection to one replica, for the requests of one client.
type upstream struct {
	net.Conn
	in *bufio.Reader
}

// dial connects to a replica.
func (b *balancer) dial(i int) (*upstream, error) {
	c, err := net.DialTimeout("tcp", b.replicas[i], dialTimeout)
	if err != nil {
		return nil, err
	}
	if !b.track(c, true) {
		_ = c.Close()
		return nil, net.ErrClosed
	}
	return &upstream{c, bufio.NewReader(c)}, nil
}

// idle tells whether nothing has come over a connection since its last answer, not even its end.
func (u *upstream) idle() bool {
	if u.in.Buffered() > 0 {
		return false
	}
	conn, ok := u.Conn.(*net.TCPConn)
	if !ok {
		return false
	}
	raw, err := conn.SyscallConn()
	if err != nil {
		return false
	}
	var peeked error
	err = raw.Read(func(fd uintptr) bool {
		_, _, peeked = syscall.Recvfrom(int(fd), make([]byte, 1), syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
		return true
	})
	return err == nil && errors.Is(peeked, syscall.EAGAIN)
}

// closeWrite says that no more will be sent.
func closeWrite(c net.Conn) {
	if half, ok := c.(interface{ CloseWrite() error }); ok {
		_ = half.CloseWrite()
	}
}

// linger lets a client read an answer before its connection is reset for what it still sends.
func linger(c net.Conn) {
	closeWrite(c)
	_ = c.SetReadDeadline(time.Now().Add(lingering))
	_, _ = io.Copy(io.Discard, c)
}
