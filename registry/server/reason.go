package server

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/packhouse/packhouse/artifacttypes"
)

const (
	// After an answer that ends a connection, what the client still sends is
	// read for this long and this far: closing at once would make its system
	// drop the answer.
	lingerTime  = 500 * time.Millisecond
	lingerBytes = 256 << 10
)

// spoken is an answer with a reason phrase of its own, which net/http cannot
// write: some clients show their user nothing else. It is written to the
// connection itself, over HTTP/1 only, and ends it.
type spoken struct {
	conn net.Conn
	buf  *bufio.ReadWriter
}

// speak takes the connection over if the answer has a reason phrase and can
// have one. The header is written then.
func (x *exchange) speak(status int) bool {
	reason := x.Header().Get(artifacttypes.ReasonHeader)
	if reason == "" {
		return false
	}
	x.Header().Del(artifacttypes.ReasonHeader)
	h, ok := x.ResponseWriter.(http.Hijacker)
	if !ok || status < http.StatusBadRequest {
		return false
	}
	conn, buf, err := h.Hijack()
	if err != nil {
		return false // HTTP/2
	}
	x.spoken = &spoken{conn, buf}
	_ = conn.SetDeadline(time.Now().Add(x.answerIn)) // a closed connection shows at the next write
	header := x.Header().Clone()
	header.Set("Connection", "close")
	header.Set("Date", time.Now().UTC().Format(http.TimeFormat))
	fmt.Fprintf(buf, "HTTP/1.1 %d %s\r\n", status, phrase(reason))
	_ = header.Write(buf)
	_, _ = buf.WriteString("\r\n")
	return true
}

// phrase makes one line of visible ASCII.
func phrase(s string) string {
	const longest = 300
	s = strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return ' '
		}
		return r
	}, s)
	return s[:min(len(s), longest)]
}

// end sends what is buffered and closes the connection.
func (s *spoken) end() {
	_ = s.buf.Flush()
	_ = s.conn.SetReadDeadline(time.Now().Add(lingerTime))
	if half, ok := s.conn.(interface{ CloseWrite() error }); ok && half.CloseWrite() == nil {
		_, _ = io.CopyN(io.Discard, s.buf, lingerBytes)
	}
	_ = s.conn.Close()
}
