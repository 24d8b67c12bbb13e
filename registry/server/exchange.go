package server

import (
	"errors"
	"io"
	"net/http"
	"os"
	"sync"
	"syscall"
	"time"

	"github.com/packhouse/packhouse/registry"
	"github.com/packhouse/packhouse/registry/auth"
	"github.com/packhouse/packhouse/registry/obs"
)

const (
	// sendPiece is what one sendfile may move before the deadline does.
	sendPiece = 1 << 20
	// writePiece is the same for bytes that pass through this process. A TLS
	// record layer cannot resume after a time-out, so a piece must be small
	// enough for a slow client to take within one deadline.
	writePiece = 64 << 10
	// A deadline is moved once this fraction of the permitted silence is over,
	// not at each byte: silence is measured to an eighth.
	slack = 8
)

// deadlines is what net/http's response writers offer beside their methods;
// http.ResponseController would allocate for each use.
type deadlines interface {
	SetReadDeadline(time.Time) error
	SetWriteDeadline(time.Time) error
}

// exchange is one request's answer on its way out. It notes what the access
// line needs, moves deadlines as bytes move, and stays out of sendfile's way.
type exchange struct {
	http.ResponseWriter
	conn     deadlines // nil if the connection has none
	idle     time.Duration
	answerIn time.Duration // what the write deadline grants
	extended time.Time     // when it was last set
	encoded  bool          // TLS: the kernel cannot send a file
	body     idleBody
	piece    io.LimitedReader
	spoken   *spoken // once the answer is written past net/http

	reads   *registry.Reads
	request obs.Request // its Status is 0 until the header is written
	route   *obs.Route
	span    obs.ServerSpan
	path    pathTemplate // of the span
}

var (
	exchanges = sync.Pool{New: func() any { return new(exchange) }}
	buffers   = sync.Pool{New: func() any { b := make([]byte, writePiece); return &b }}
)

// basicChallenge is how clients log in to whatever has no way of its own.
var basicChallenge = []string{auth.Challenge("Basic", "packhouse", "", "", "")}

// begin prepares x for one exchange.
func (x *exchange) begin(w http.ResponseWriter, r *http.Request, idle time.Duration, now time.Time) {
	*x = exchange{ResponseWriter: w, idle: idle, answerIn: idle, encoded: r.TLS != nil}
	x.conn, _ = w.(deadlines)
	if r.Body == nil || r.Body == http.NoBody {
		return
	}
	// From here on: net/http reads what the handler leaves of a body, and
	// writes "100 Continue". It reads before it writes, so a client that is
	// silent in its body must not use up the time to answer it.
	x.answerIn = 2 * idle
	x.alive(now)
	x.body = idleBody{ReadCloser: r.Body, x: x}
	x.body.alive(now)
	r.Body = &x.body
}

func (x *exchange) alive(now time.Time) {
	if x.conn == nil || now.Sub(x.extended) < x.idle/slack {
		return
	}
	x.extended = now
	// It fails on a closed connection, which the write after it reports.
	_ = x.conn.SetWriteDeadline(now.Add(x.answerIn))
}

// Unwrap serves http.ResponseController.
func (x *exchange) Unwrap() http.ResponseWriter { return x.ResponseWriter }

// WriteHeader sends the status line.
func (x *exchange) WriteHeader(status int) {
	x.alive(time.Now())
	if x.spoken != nil {
		return
	}
	if x.request.Status == 0 && status >= http.StatusOK {
		x.request.Status = status
	}
	x.warn(status)
	if h := x.Header(); status == http.StatusUnauthorized && h["Www-Authenticate"] == nil {
		h["Www-Authenticate"] = basicChallenge // RFC 9110, section 15.5.2: each 401 says how
	}
	if !x.speak(status) {
		x.ResponseWriter.WriteHeader(status)
	}
}

func (x *exchange) Write(p []byte) (n int, err error) {
	if x.request.Status == 0 {
		x.request.Status = http.StatusOK
		x.warn(http.StatusOK)
	}
	if x.spoken != nil {
		n, err = x.spoken.buf.Write(p)
		x.request.BytesOut += int64(n)
		return n, err
	}
	for first := true; first || len(p) > 0; first = false {
		x.alive(time.Now())
		var m int
		m, err = x.ResponseWriter.Write(p[:min(len(p), writePiece)])
		n += m
		x.request.BytesOut += int64(m)
		if err != nil {
			return n, err
		}
		p = p[m:]
	}
	return n, nil
}

// Flush sends what net/http has buffered.
func (x *exchange) Flush() {
	x.alive(time.Now())
	if f, ok := x.ResponseWriter.(http.Flusher); ok {
		f.Flush()
	}
}

// ReadFrom sends src. A file, or an io.LimitedReader directly over one, goes
// to net/http in pieces of the same shape, which is what it takes for the
// kernel to copy them by sendfile.
func (x *exchange) ReadFrom(src io.Reader) (n int64, err error) {
	to, ok := x.ResponseWriter.(io.ReaderFrom)
	if !ok || x.encoded {
		return x.copy(src)
	}
	limited, ok := src.(*io.LimitedReader)
	if !ok {
		limited = &io.LimitedReader{R: src, N: 1<<63 - 1}
	}
	// What the net package asks for, too: an *os.File that io.Copy took from
	// its WriteTo comes in a wrapper.
	if _, isFile := limited.R.(syscall.Conn); !isFile {
		return x.copy(src)
	}
	if x.request.Status == 0 {
		x.request.Status = http.StatusOK
		x.warn(http.StatusOK)
	}
	for limited.N > 0 {
		x.alive(time.Now())
		want := min(limited.N, sendPiece)
		x.piece = io.LimitedReader{R: limited.R, N: want}
		m, err := to.ReadFrom(&x.piece)
		n += m
		limited.N -= m
		x.request.BytesOut += m
		switch {
		case err == nil && m == want:
		case m > 0 && errors.Is(err, os.ErrDeadlineExceeded):
			// Slow, not silent: the kernel took some of the piece.
		default:
			return n, err // err is nil if the file ended
		}
	}
	return n, nil
}

func (x *exchange) copy(src io.Reader) (int64, error) {
	buf := buffers.Get().(*[]byte)
	defer buffers.Put(buf)
	// The struct hides ReadFrom, which would end up here again.
	return io.CopyBuffer(struct{ io.Writer }{x}, src, *buf)
}

// idleBody is a request's body whose reader must not be kept waiting too long.
type idleBody struct {
	io.ReadCloser
	x        *exchange
	extended time.Time
}

func (b *idleBody) alive(now time.Time) {
	if b.x.conn == nil || now.Sub(b.extended) < b.x.idle/slack {
		return
	}
	b.extended = now
	_ = b.x.conn.SetReadDeadline(now.Add(b.x.idle)) // as in exchange.alive
}

func (b *idleBody) Read(p []byte) (int, error) {
	b.alive(time.Now())
	n, err := b.ReadCloser.Read(p)
	b.x.request.BytesIn += int64(n)
	if err != nil && errors.Is(err, os.ErrDeadlineExceeded) {
		err = registry.E("server", registry.Timeout, err,
			"the connection was silent for %s before the body was complete: send it again, or resume the upload where it stopped", b.x.idle)
	}
	return n, err
}
