package server

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/packhouse/packhouse/registry/config"
	"github.com/packhouse/packhouse/registry/registrytest"
)

// impatient permits next to no silence, so that tests need not wait.
func impatient(o *Options) {
	o.Config.Limits.IdleBody = config.Duration(250 * time.Millisecond)
	o.Config.Limits.HeaderRead = config.Duration(250 * time.Millisecond)
}

func dial(t *testing.T, s *running) net.Conn {
	t.Helper()
	var d net.Dialer
	c, err := d.DialContext(t.Context(), "tcp", s.clients.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func TestSilentBodyIsAnswered(t *testing.T) {
	t.Parallel()
	s := start(t, impatient)
	for name, path := range map[string]string{
		"read by the handler":       "POST /v2/app/blobs/uploads/?digest=sha256:4355a46b19d348dc2f57c046f8ef63d4538ebb936000f3c9ee954a27460dd865",
		"left unread by the server": "POST /nowhere",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := dial(t, s)
			if _, err := fmt.Fprintf(c, "%s HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\nabc", path); err != nil {
				t.Fatal(err)
			}
			res, err := http.ReadResponse(bufio.NewReader(c), nil)
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = res.Body.Close() }()
			body, err := io.ReadAll(res.Body)
			if err != nil {
				t.Fatal(err)
			}
			switch {
			case strings.HasSuffix(path, "/nowhere") && res.StatusCode == http.StatusNotFound:
			case res.StatusCode == http.StatusRequestTimeout && strings.Contains(string(body), "the connection was silent for 250ms before the body was complete"):
			default:
				t.Errorf("%s %s", res.Status, body)
			}
		})
	}
}

func TestSilentHeaderIsGivenUp(t *testing.T) {
	t.Parallel()
	s := start(t, impatient)
	c := dial(t, s)
	if _, err := io.WriteString(c, "GET /v2/ HTTP/1.1\r\nHost: loc"); err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(c); err != nil || len(got) != 0 && !strings.HasPrefix(string(got), "HTTP/1.1 408") {
		t.Errorf("got %q, %v", got, err)
	}
}

// A client that takes nothing must not hold a request for ever: the drain,
// which waits for it, ends.
func TestSilentClientIsGivenUp(t *testing.T) {
	t.Parallel()
	m := &registrytest.Memory{}
	// More than the socket's buffers take.
	d, err := m.PutBlob(t.Context(), "app", strings.NewReader(strings.Repeat("x", 32<<20)), "")
	if err != nil {
		t.Fatal(err)
	}
	s := start(t, func(o *Options) {
		impatient(o)
		o.Registry = m
	})
	c := dial(t, s)
	if _, err := fmt.Fprintf(c, "GET /v2/app/blobs/%s HTTP/1.1\r\nHost: localhost\r\n\r\n", d.Digest); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(c, make([]byte, 1)); err != nil { // the answer began
		t.Fatal(err)
	}
	s.stop()
	if err := s.ended(t); err != nil {
		t.Error(err)
	}
	if !strings.Contains(s.log.String(), "kind=blob_get repo=app status=200") {
		t.Errorf("not logged:\n%s", s.log)
	}
}

func TestHeaderLimit(t *testing.T) {
	t.Parallel()
	s := start(t, nil)
	res, _ := s.do(t, "GET", "/v2/", http.Header{"X-Long": {strings.Repeat("x", 40<<10)}})
	if res.StatusCode != http.StatusRequestHeaderFieldsTooLarge {
		t.Errorf("40 KiB of header: %s", res.Status)
	}
	res, _ = s.do(t, "GET", "/v2/", http.Header{"X-Long": {strings.Repeat("x", 30<<10)}})
	if res.StatusCode != http.StatusOK {
		t.Errorf("30 KiB of header: %s", res.Status)
	}
}
