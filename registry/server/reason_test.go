package server

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/packhouse/packhouse/artifacttypes"
)

// TestReason reads the status line from the wire, while the client is still
// sending its body.
func TestReason(t *testing.T) {
	t.Parallel()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		x := new(exchange)
		x.begin(w, r, time.Minute, time.Now())
		artifacttypes.SetReason(x, "File a.whl already\r\nexists: ü")
		x.Header().Set("Content-Length", "4")
		x.WriteHeader(http.StatusConflict)
		_, _ = io.WriteString(x, "body")
		if x.spoken == nil {
			t.Error("the connection was not taken over")
			return
		}
		x.spoken.end()
	}))
	defer s.Close()
	var d net.Dialer
	c, err := d.DialContext(t.Context(), "tcp", s.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	fmt.Fprintf(c, "PUT / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100000\r\n\r\n%s", strings.Repeat("x", 50_000))
	res, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(res.Body)
	if got, want := res.Status, "409 File a.whl already  exists:  "; strings.TrimRight(got, " ") != strings.TrimRight(want, " ") || string(body) != "body" || err != nil {
		t.Errorf("got %q with body %q, %v, want %q", got, body, err, want)
	}
	if res.Header.Get(artifacttypes.ReasonHeader) != "" || !res.Close {
		t.Errorf("header %v, close %v", res.Header, res.Close)
	}
}
