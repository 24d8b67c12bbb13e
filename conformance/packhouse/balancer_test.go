package packhouse

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"
)

// behind puts a balancer before handlers and returns its address.
func behind(t *testing.T, pair *keyPair, handlers ...http.HandlerFunc) *balancer {
	t.Helper()
	b, err := listen(t.Context(), "127.0.0.1:0", pair)
	if err != nil {
		t.Fatal(err)
	}
	var hosts []string
	for _, h := range handlers {
		s := httptest.NewServer(h)
		t.Cleanup(s.Close)
		hosts = append(hosts, s.Listener.Addr().String())
	}
	b.serve(hosts)
	t.Cleanup(func() { _ = b.close() })
	return b
}

func (b *balancer) url() string { return "http://" + b.listener.Addr().String() }

func named(name string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, name) }
}

// talk sends bytes and returns all that comes back until the other side ends.
func talk(t *testing.T, b *balancer, text string) string {
	t.Helper()
	c, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", b.listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	if _, err := io.WriteString(c, text); err != nil {
		t.Fatal(err)
	}
	_ = c.SetReadDeadline(time.Now().Add(10 * time.Second))
	out, _ := io.ReadAll(c)
	return string(out)
}

func fetch(t *testing.T, client *http.Client, req *http.Request) (*http.Response, string) {
	t.Helper()
	res, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res, string(body)
}

func request(t *testing.T, method, url string, body io.Reader) *http.Request {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, body)
	if err != nil {
		t.Fatal(err)
	}
	return req
}

func TestEveryRequestGoesToTheNextReplica(t *testing.T) {
	t.Parallel()
	b := behind(t, nil, named("a"), named("b"), named("c"))
	// All over one connection.
	client := &http.Client{Transport: &http.Transport{MaxConnsPerHost: 1}}
	var got strings.Builder
	for range 7 {
		_, body := fetch(t, client, request(t, http.MethodGet, b.url(), nil))
		got.WriteString(body)
	}
	if got.String() != "abcabca" {
		t.Errorf("answers of %s, want abcabca", got.String())
	}
}

func TestReplicasThatAreDownArePassedOver(t *testing.T) {
	t.Parallel()
	var hosts []string
	var down [2]func()
	up := func(i int, name string, l net.Listener) {
		s := &http.Server{Handler: named(name), ReadHeaderTimeout: time.Minute}
		go func() { _ = s.Serve(l) }()
		down[i] = func() { _ = s.Close() }
	}
	open := func(addr string) net.Listener {
		l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		return l
	}
	for i, name := range []string{"a", "b"} {
		l := open("127.0.0.1:0")
		hosts = append(hosts, l.Addr().String())
		up(i, name, l)
	}
	b, err := listen(t.Context(), "127.0.0.1:0", nil)
	if err != nil {
		t.Fatal(err)
	}
	b.serve(hosts)
	t.Cleanup(func() { down[0](); down[1](); _ = b.close() })
	client := &http.Client{Transport: &http.Transport{MaxConnsPerHost: 1}}
	expect := func(want ...string) {
		t.Helper()
		for _, w := range want {
			if _, got := fetch(t, client, request(t, http.MethodGet, b.url(), nil)); got != w {
				t.Errorf("an answer of %s, want %s", got, w)
			}
		}
	}
	expect("a", "b")
	down[0]()
	expect("b", "b", "b")
	down[1]()
	if res, err := client.Do(request(t, http.MethodGet, b.url(), nil)); err == nil {
		_ = res.Body.Close()
		t.Errorf("%s without a replica", res.Status)
	}
	up(0, "a", open(hosts[0]))
	expect("a", "a")
	up(1, "b", open(hosts[1]))
	var got strings.Builder
	for range 4 {
		_, body := fetch(t, client, request(t, http.MethodGet, b.url(), nil))
		got.WriteString(body)
	}
	if got.String() != "abab" && got.String() != "baba" {
		t.Errorf("answers of %s, want them to alternate", got.String())
	}
}

func TestBodiesPassBothWays(t *testing.T) {
	t.Parallel()
	b := behind(t, nil, func(w http.ResponseWriter, r *http.Request) {
		_ = http.NewResponseController(w).EnableFullDuplex()
		w.Header().Set("Trailer", "X-After")
		_, _ = io.Copy(w, r.Body)
		w.Header().Set("X-After", r.Trailer.Get("X-Sent"))
	})
	content := make([]byte, 3<<20+17)
	_, _ = rand.Read(content)
	for _, chunks := range []bool{false, true} {
		for _, expect := range []string{"", "100-continue"} {
			req := request(t, http.MethodPut, b.url(), bytes.NewReader(content))
			if chunks {
				req.ContentLength, req.Trailer = -1, http.Header{"X-Sent": {"afterwards"}}
			}
			req.Header.Set("Expect", expect)
			client := &http.Client{Transport: &http.Transport{ExpectContinueTimeout: time.Minute}}
			res, got := fetch(t, client, req)
			if got != string(content) {
				t.Errorf("chunks %t, expect %q: got %d bytes, want those %d", chunks, expect, len(got), len(content))
			}
			if want := req.Trailer.Get("X-Sent"); res.Trailer.Get("X-After") != want {
				t.Errorf("chunks %t: trailer %q, want %q", chunks, res.Trailer.Get("X-After"), want)
			}
		}
	}
}

func TestARefusalComesBeforeTheBody(t *testing.T) {
	t.Parallel()
	b := behind(t, nil, func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, "too much", http.StatusRequestEntityTooLarge)
	})
	for _, head := range []string{"Expect: 100-continue\r\nContent-Length: 1000\r\n", "Content-Length: 100000000\r\n"} {
		if got := talk(t, b, "PUT / HTTP/1.1\r\nHost: x\r\n"+head+"\r\n"); !strings.HasPrefix(got, "HTTP/1.1 413 ") || !strings.HasSuffix(got, "too much\n") {
			t.Errorf("%q: got %q", head, got)
		}
	}
	endless := io.MultiReader(strings.NewReader("x"), zeros{})
	res, err := http.DefaultClient.Do(request(t, http.MethodPut, b.url(), endless))
	if err != nil {
		t.Fatal(err)
	}
	_ = res.Body.Close()
	if res.StatusCode != http.StatusRequestEntityTooLarge {
		t.Error(res.Status)
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { return len(p), nil }

func TestAnswersArriveAsTheyWereSent(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ name, request, answer string }{
		{"a reason phrase", "GET / HTTP/1.1\r\n\r\n", "HTTP/1.1 403 Say who you are\r\nContent-Length: 2\r\nConnection: close\r\n\r\nno"},
		{"HEAD", "HEAD / HTTP/1.1\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 2000\r\nConnection: close\r\n\r\n"},
		{"until the end", "GET / HTTP/1.1\r\n\r\n", "HTTP/1.1 200 OK\r\n\r\nanything"},
		{"interim answers", "GET / HTTP/1.1\r\n\r\n", "HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n"},
		{"a hello of TLS", "\x16\x03\x01\n", "HTTP/1.1 400 Bad Request\r\n\r\nwhat?"},
		{"no request", "nonsense\r\n\r\n", "HTTP/1.1 400 Bad Request\r\n\r\nwhat?"},
		{"two lengths", "GET / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", "HTTP/1.1 400 Bad Request\r\n\r\nwhat?"},
		{"a short answer", "GET / HTTP/1.1\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nshort"},
		{"chunks", "GET / HTTP/1.1\r\n\r\n", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n3;a=b\r\nabc\r\n0\r\nT: x\r\n\r\n"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got := talk(t, behindRaw(t, tt.answer), tt.request)
			if got != tt.answer {
				t.Errorf("got %q, want %q", got, tt.answer)
			}
		})
	}
}

// behindRaw puts a balancer before what answers the first bytes of a connection with text and ends it.
func behindRaw(t *testing.T, text string) *balancer {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			_, _ = bufio.NewReader(c).ReadString('\n')
			_, _ = io.WriteString(c, text)
			linger(c)
			_ = c.Close()
		}
	}()
	b, err := listen(t.Context(), "127.0.0.1:0", nil)
	if err != nil {
		t.Fatal(err)
	}
	b.serve([]string{l.Addr().String()})
	t.Cleanup(func() { _ = b.close() })
	return b
}

func TestReplicasLearnOfTheClient(t *testing.T) {
	t.Parallel()
	pair, err := certificates(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	pem, err := os.ReadFile(pair.authority)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pem)
	echo := func(w http.ResponseWriter, r *http.Request) {
		_, _ = fmt.Fprintf(w, "%s %q %q", r.Host, r.Header["X-Forwarded-For"], r.Header["X-Forwarded-Proto"])
	}
	plain, secure := behind(t, nil, echo), behind(t, &pair, echo)
	client := &http.Client{Transport: &http.Transport{ForceAttemptHTTP2: true, TLSClientConfig: &tls.Config{RootCAs: roots}}}
	for _, tt := range []struct{ url, want string }{
		{plain.url(), `"10.0.0.1" "127.0.0.1"] []`},
		{"https://" + secure.listener.Addr().String(), `"10.0.0.1" "127.0.0.1"] ["https"]`},
	} {
		req := request(t, http.MethodGet, tt.url, nil)
		req.Host = "packages.example.com"
		req.Header.Set("X-Forwarded-For", "10.0.0.1")
		if _, got := fetch(t, client, req); got != "packages.example.com ["+tt.want {
			t.Errorf("%s: got %s, want %s", tt.url, got, tt.want)
		}
	}
}

func TestAnEndInTheMiddleIsAnEnd(t *testing.T) {
	t.Parallel()
	b := behind(t, nil, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "1000")
		_, _ = io.WriteString(w, "begun")
		panic(http.ErrAbortHandler)
	})
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	res, err := http.DefaultClient.Do(request(t, http.MethodGet, b.url(), nil).WithContext(ctx))
	if err == nil {
		_, err = io.ReadAll(res.Body)
		_ = res.Body.Close()
	}
	if err == nil || ctx.Err() != nil {
		t.Errorf("err = %v, want an unexpected end", err)
	}
}
