package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"syscall"
)

// discardSize is how much one call drops at most. Nothing is written to the buffer: only its size counts.
const discardSize = 1 << 20

// conn is one keep-alive connection to a registry: the least a client can do for a request. It starts no goroutine per
// request, a file is sent by sendfile, and the body of a large answer never leaves the kernel. Not for concurrent use.
type conn struct {
	tcp     *net.TCPConn
	answers *bufio.Reader
	host    string
	scratch []byte // one request's header and small body
	dropped []byte
	release func() bool
	open    func() error // connects, again after the server closed
	ended   bool         // the server closes after the last answer
}

// request has a body of either raw bytes or size bytes of a stream, or none.
type request struct {
	method, target string
	header         string // whole lines, each with \r\n
	raw            []byte
	stream         io.Reader // an *os.File is sent by sendfile
	size           int64
	want           int // status
}

// dial connects; the connection breaks when ctx ends.
func dial(ctx context.Context, addr string) (*conn, error) {
	c := &conn{host: addr, dropped: make([]byte, discardSize)}
	c.open = func() error {
		var dialer net.Dialer
		tcp, err := dialer.DialContext(ctx, "tcp", addr)
		if err != nil {
			return err
		}
		var ok bool
		if c.tcp, ok = tcp.(*net.TCPConn); !ok {
			return errors.Join(fmt.Errorf("%T is not TCP", tcp), tcp.Close())
		}
		c.answers, c.ended = bufio.NewReaderSize(c.tcp, 64<<10), false
		c.release = context.AfterFunc(ctx, func() { _ = tcp.Close() })
		return nil
	}
	return c, c.open()
}

func (c *conn) close() {
	c.release()
	_ = c.tcp.Close()
}

// do makes one exchange and returns the answer's header and body; an unexpected status is an error.
func (c *conn) do(r request) (http.Header, []byte, error) {
	res, err := c.send(r)
	if err != nil {
		return nil, nil, err
	}
	body, err := io.ReadAll(res.Body)
	if err := errors.Join(err, res.Body.Close()); err != nil {
		return nil, nil, fmt.Errorf("%s %s: %w", r.method, r.target, err)
	}
	return res.Header, body, r.check(res, body)
}

// drop makes one exchange and throws the body away; it returns the body's size.
func (c *conn) drop(r request) (int64, error) {
	res, err := c.send(r)
	if err != nil {
		return 0, err
	}
	if res.StatusCode != r.want {
		body, _ := io.ReadAll(io.LimitReader(res.Body, 1024))
		return 0, r.check(res, body)
	}
	if res.ContentLength < 0 { // made while it is sent
		n, err := io.Copy(io.Discard, res.Body)
		return n, errors.Join(err, res.Body.Close())
	}
	left := res.ContentLength
	n, err := c.answers.Discard(int(min(left, int64(c.answers.Buffered()))))
	if err != nil {
		return 0, err
	}
	return res.ContentLength, c.discard(left - int64(n))
}

// discard lets the kernel throw away what arrives (MSG_TRUNC, see tcp(7)), so that the cost of reading is nobody's figure.
func (c *conn) discard(left int64) error {
	raw, err := c.tcp.SyscallConn()
	if err != nil {
		return err
	}
	for left > 0 {
		var n int
		var failed error
		err := raw.Read(func(fd uintptr) bool {
			n, _, failed = syscall.Recvfrom(int(fd), c.dropped[:min(left, discardSize)], syscall.MSG_TRUNC)
			return !errors.Is(failed, syscall.EAGAIN)
		})
		if err := errors.Join(err, failed); err != nil {
			return err
		}
		if n == 0 {
			return io.ErrUnexpectedEOF
		}
		left -= int64(n)
	}
	return nil
}

func (c *conn) send(r request) (*http.Response, error) {
	size := r.size
	if r.raw != nil {
		size = int64(len(r.raw))
	}
	head := fmt.Appendf(c.scratch[:0], "%s %s HTTP/1.1\r\nHost: %s\r\nUser-Agent: bench\r\n%s", r.method, r.target, c.host, r.header)
	if r.method != http.MethodGet && r.method != http.MethodHead {
		head = fmt.Appendf(head, "Content-Length: %d\r\n", size)
	}
	head = append(append(head, "\r\n"...), r.raw...)
	c.scratch = head
	if c.ended { // some servers close after each answer, and clients pay for it
		c.close()
		if err := c.open(); err != nil {
			return nil, err
		}
	}
	if _, err := c.tcp.Write(head); err != nil {
		return nil, fmt.Errorf("%s %s: %w", r.method, r.target, err)
	}
	if r.stream != nil {
		n, err := c.tcp.ReadFrom(io.LimitReader(r.stream, size))
		if err == nil && n < size {
			err = io.ErrUnexpectedEOF
		}
		if err != nil {
			return nil, fmt.Errorf("%s %s after %d bytes: %w", r.method, r.target, n, err)
		}
	}
	res, err := http.ReadResponse(c.answers, &http.Request{Method: r.method})
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w", r.method, r.target, err)
	}
	c.ended = res.Close
	return res, nil
}

func (r request) check(res *http.Response, body []byte) error {
	if res.StatusCode == r.want {
		return nil
	}
	return fmt.Errorf("%s %s: %s, not %d: %s", r.method, r.target, res.Status, r.want, body[:min(len(body), 1024)])
}

// location is where an upload continues, as a request target; digest closes it.
func location(answer http.Header, digest string) (string, error) {
	u, err := url.Parse(answer.Get("Location"))
	if err != nil {
		return "", err
	}
	target := u.RequestURI()
	switch {
	case digest == "":
		return target, nil
	case strings.Contains(target, "?"):
		return target + "&digest=" + url.QueryEscape(digest), nil
	}
	return target + "?digest=" + url.QueryEscape(digest), nil
}
