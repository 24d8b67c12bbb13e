package crash

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// patience is how long a server may take for what it must do at all: far
// beyond each limit that the tests set.
const patience = 30 * time.Second

// wire is a raw connection, for requests that an HTTP client would not send.
type wire struct {
	net.Conn
	r *bufio.Reader
}

func dial(t *testing.T, n *node) *wire {
	t.Helper()
	c, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", strings.TrimPrefix(n.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	if err := c.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	return &wire{Conn: c, r: bufio.NewReader(c)}
}

// head sends a request line and a header; lines are further header lines.
func (w *wire) head(t *testing.T, method, target string, lines ...string) {
	t.Helper()
	text := method + " " + target + " HTTP/1.1\r\nHost: " + w.RemoteAddr().String() + "\r\n"
	for _, l := range lines {
		text += l + "\r\n"
	}
	if _, err := io.WriteString(w, text+"\r\n"); err != nil {
		t.Fatal(err)
	}
}

// answer reads what the server says; nil when it only closed the connection.
func (w *wire) answer() (*reply, error) {
	res, err := http.ReadResponse(w.r, nil)
	if err != nil {
		if timeout := net.Error(nil); errors.As(err, &timeout) && timeout.Timeout() {
			return nil, fmt.Errorf("the server was silent for %s", patience)
		}
		return nil, nil //nolint:nilerr // closed: by EOF or by reset
	}
	defer res.Body.Close()
	r := &reply{to: "raw request", status: res.StatusCode, header: res.Header}
	r.body, _ = io.ReadAll(io.LimitReader(res.Body, most)) // a reset may follow an early answer
	return r, nil
}

// endless writes chunks until the server stops taking them, and returns how
// many bytes it took.
func (w *wire) endless(atMost int64) (sent int64) {
	chunk := []byte(fmt.Sprintf("%x\r\n%s\r\n", 64<<10, strings.Repeat("A", 64<<10)))
	for sent < atMost {
		n, err := w.Write(chunk)
		sent += int64(n)
		if err != nil {
			break
		}
	}
	return sent
}

// objects counts the files of stored content in a data directory.
func objects(t *testing.T, data string) (n int) {
	t.Helper()
	err := filepath.WalkDir(filepath.Join(data, "objects"), func(_ string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil // removed while we looked
		}
		if err == nil && d.Type().IsRegular() {
			n++
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// eventually tries until the condition holds.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	deadline := time.After(patience)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !holds() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Errorf("still not after %s: %s", patience, what)
			return
		}
	}
}
