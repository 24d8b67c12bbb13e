package packhouse

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"net"
	"strconv"
	"strings"
)

// exchange is one client's connection: request after request, each with a replica of its own.
type exchange struct {
	b      *balancer
	client net.Conn
	in     *bufio.Reader
	ups    map[int]*upstream // idle ones, by replica
}

func newExchange(b *balancer, c net.Conn) *exchange {
	return &exchange{b: b, client: c, in: bufio.NewReader(c), ups: map[int]*upstream{}}
}

// run serves the connection until either side ends it.
func (x *exchange) run() {
	defer func() {
		for _, u := range x.ups {
			x.hangUp(u)
		}
	}()
	for {
		raw, err := readHead(x.in)
		if len(raw) == 0 {
			return
		}
		h, ok := parseHead(raw)
		if err != nil || !ok || h.framing == unclear {
			x.tunnel(raw)
			return
		}
		if !x.pass(h) {
			return
		}
	}
}

// pass has a replica answer one request and tells whether the connection goes on.
func (x *exchange) pass(h head) bool {
	u, i, err := x.connect(false)
	if err != nil {
		return false
	}
	x.b.served[i].Add(1)
	if _, err := u.Write(x.forwarded(h)); err != nil {
		x.hangUp(u)
		return false
	}
	sent := make(chan error, 1)
	if h.framing == nothing {
		sent <- nil
	} else {
		go func() { sent <- copyBody(u, x.in, h.framing, h.length) }()
	}
	again := x.answer(u, h)
	if !again {
		// The replica wants no more of the body; what the client still sends is not read as a request.
		select {
		case err := <-sent:
			if err == nil {
				x.hangUp(u)
				closeWrite(x.client)
				return false
			}
		default:
		}
		linger(x.client)
		x.hangUp(u)
		_ = x.client.Close()
		return false
	}
	if err := <-sent; err != nil || h.closes {
		x.hangUp(u)
		return false
	}
	x.ups[i] = u
	return true
}

// connect returns a connection to the next replica that takes one.
func (x *exchange) connect(fresh bool) (u *upstream, i int, err error) {
	n := len(x.b.replicas)
	first := int(x.b.turn.Add(1)-1) % n
	for k := range n {
		i = (first + k) % n
		if u = x.ups[i]; u != nil && !fresh {
			delete(x.ups, i)
			if u.idle() {
				return u, i, nil
			}
			x.hangUp(u)
		}
		if u, err = x.b.dial(i); err == nil {
			return u, i, nil
		}
	}
	return nil, 0, err
}

func (x *exchange) hangUp(u *upstream) {
	x.b.track(u.Conn, false)
	_ = u.Close()
}

// forwarded is a request's head with what a proxy adds.
func (x *exchange) forwarded(h head) []byte {
	var b bytes.Buffer
	b.WriteString(h.start)
	if x.b.secure {
		b.WriteString("X-Forwarded-Proto: https\r\n")
	}
	b.Write(h.fields)
	if host, _, err := net.SplitHostPort(x.client.RemoteAddr().String()); err == nil {
		b.WriteString("X-Forwarded-For: " + host + "\r\n")
	}
	b.WriteString("\r\n")
	return b.Bytes()
}

// answer passes on interim answers and the final one, and tells whether both connections go on after it.
func (x *exchange) answer(u *upstream, request head) bool {
	for {
		raw, err := readHead(u.in)
		if _, werr := x.client.Write(raw); err != nil || werr != nil {
			return false
		}
		h, ok := parseHead(raw)
		status, _ := strconv.Atoi(h.words(1))
		if !ok || status < 100 {
			_, _ = io.Copy(x.client, u.in)
			return false
		}
		if status < 200 {
			continue
		}
		framing := h.framing
		switch {
		case request.words(0) == "HEAD", status == 204, status == 304:
			framing = nothing
		case framing == unclear || framing == nothing && !h.sized:
			_, _ = io.Copy(x.client, u.in) // until the replica ends it
			return false
		}
		return copyBody(x.client, u.in, framing, h.length) == nil && !h.closes
	}
}

// tunnel gives a replica what was read and everything after it.
func (x *exchange) tunnel(raw []byte) {
	u, i, err := x.connect(true)
	if err != nil {
		return
	}
	defer x.hangUp(u)
	x.b.served[i].Add(1)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		if _, err := u.Write(raw); err == nil {
			_, _ = io.Copy(u, x.in)
		}
		closeWrite(u.Conn)
	}()
	_, _ = io.Copy(x.client, u.in)
	linger(x.client)
	_ = x.client.Close()
	<-ended
}

// framing is how the end of a body is known (RFC 9112 section 6).
type framing int

const (
	nothing framing = iota
	sized
	chunked
	unclear
)

// head is what is known of a request or an answer before its body.
type head struct {
	start   string // the first line, with its end
	fields  []byte // the others, without the empty one
	framing framing
	length  int64
	sized   bool // it has a Content-Length
	closes  bool // the connection ends after it
}

// words is the nth word of the first line.
func (h head) words(n int) string {
	words := strings.Fields(h.start)
	if n >= len(words) {
		return ""
	}
	return words[n]
}

// readHead reads to the end of the empty line; what was read comes with an error. A first line that is none, such as the
// hello of TLS, is not waited for any longer: the replica answers at once.
func readHead(in *bufio.Reader) ([]byte, error) {
	var raw []byte
	first := true
	for len(raw) < mostHead {
		line, err := in.ReadSlice('\n')
		raw = append(raw, line...)
		switch {
		case errors.Is(err, bufio.ErrBufferFull):
			continue
		case err != nil:
			return raw, err
		}
		if first && !bytes.Contains(raw, []byte("HTTP/1.")) {
			return raw, errors.New("the first line is not one of HTTP/1")
		}
		first = false
		if bytes.HasSuffix(raw, []byte("\n\r\n")) || bytes.HasSuffix(raw, []byte("\n\n")) {
			return raw, nil
		}
	}
	return raw, errors.New("the head is too long")
}

// parseHead reads a head; false means that it is none as clients and servers write them.
func parseHead(raw []byte) (h head, ok bool) {
	first, rest, _ := bytes.Cut(raw, []byte("\n"))
	h.start = string(first) + "\n"
	version := h.words(0)
	if !strings.HasPrefix(version, "HTTP/1.") {
		version = h.words(2)
	}
	if version != "HTTP/1.1" && version != "HTTP/1.0" {
		return h, false
	}
	h.fields = bytes.TrimSuffix(bytes.TrimSuffix(rest, []byte("\n")), []byte("\r"))
	h.closes = version == "HTTP/1.0"
	coded := false
	for line := range bytes.Lines(h.fields) {
		name, value, found := strings.Cut(string(line), ":")
		if !found || name == "" || strings.ContainsAny(name, " \t") {
			return h, false
		}
		value = strings.TrimSpace(value)
		switch strings.ToLower(name) {
		case "content-length":
			n, err := strconv.ParseUint(value, 10, 63)
			if err != nil || h.sized {
				return h, false
			}
			h.sized, h.length = true, int64(n) //nolint:gosec // of 63 bits
			if n > 0 {
				h.framing = sized
			}
		case "transfer-encoding":
			if coded || !strings.EqualFold(value, "chunked") {
				return h, false
			}
			coded = true
		case "connection":
			h.closes = strings.EqualFold(value, "close") || h.closes && !strings.EqualFold(value, "keep-alive")
		case "upgrade":
			h.framing = unclear
			return h, true
		}
	}
	switch {
	case coded && h.sized:
		h.framing = unclear
	case coded:
		h.framing = chunked
	}
	return h, true
}

// copyBody passes one body on as it comes. A chunked one that is malformed is passed on to the end of the connection.
func copyBody(to io.Writer, from *bufio.Reader, f framing, length int64) error {
	switch f {
	case sized:
		_, err := io.CopyN(to, from, length)
		return err
	case chunked:
		return copyChunks(to, from)
	case nothing, unclear:
	}
	return nil
}

// copyChunks passes on chunks and trailers (RFC 9112 section 7.1).
func copyChunks(to io.Writer, from *bufio.Reader) error {
	for {
		line, err := from.ReadSlice('\n')
		if _, werr := to.Write(line); err != nil || werr != nil {
			return errors.Join(err, werr)
		}
		text, _, _ := strings.Cut(strings.TrimSpace(string(line)), ";")
		n, err := strconv.ParseUint(strings.TrimSpace(text), 16, 62)
		if err != nil {
			_, _ = io.Copy(to, from)
			return errors.New("a chunk has no size")
		}
		if n == 0 {
			break
		}
		if _, err := io.CopyN(to, from, int64(n)); err != nil { //nolint:gosec // of 62 bits
			return err
		}
		// Every chunk ends with an empty line.
		line, err = from.ReadSlice('\n')
		if _, werr := to.Write(line); err != nil || werr != nil {
			return errors.Join(err, werr)
		}
	}
	for {
		line, err := from.ReadSlice('\n')
		if _, werr := to.Write(line); err != nil || werr != nil {
			return errors.Join(err, werr)
		}
		if len(bytes.TrimSpace(line)) == 0 {
			return nil
		}
	}
}
