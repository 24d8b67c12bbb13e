package services

import (
	"context"
	"io"
	"log"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httputil"
	"strings"
	"sync"
	"time"
)

// S3Faults say what a store's answers suffer. Shares are from 0 to 1.
type S3Faults struct {
	SlowDown  float64       // share of requests that are answered 503 SlowDown and not passed on
	Reset     float64       // share of requests whose connection is cut before they are passed on
	LoseReply float64       // share of requests that are done, and whose connection is cut instead of an answer
	Only      string        // "complete": only CompleteMultipartUpload; "write": only PUT and POST; "": all
	Delay     time.Duration // each answer waits for so long
}

// S3Proxy stands before a store, understands its requests and spoils some.
type S3Proxy struct {
	Addr string // HOST:PORT that clients connect to

	server *http.Server
	mu     sync.Mutex
	faults S3Faults
	counts map[string]int
}

// StartS3Proxy puts a proxy before the store at upstream.
func StartS3Proxy(ctx context.Context, upstream string) (*S3Proxy, error) {
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	p := &S3Proxy{Addr: l.Addr().String(), counts: map[string]int{}}
	quiet := log.New(io.Discard, "", 0)
	pass := &httputil.ReverseProxy{
		// The client signed the host that it sees, and the store checks that signature.
		Rewrite: func(r *httputil.ProxyRequest) {
			r.Out.URL.Scheme, r.Out.URL.Host, r.Out.Host = "http", upstream, r.In.Host
		},
		Transport:     &http.Transport{MaxIdleConnsPerHost: 64, DisableCompression: true, ExpectContinueTimeout: time.Minute},
		FlushInterval: -1, ErrorLog: quiet,
	}
	p.server = &http.Server{Handler: p.spoil(pass), ReadHeaderTimeout: time.Minute, ErrorLog: quiet}
	go func() { _ = p.server.Serve(l) }()
	return p, nil
}

// Set replaces the faults from now on; S3Faults{} heals.
func (p *S3Proxy) Set(f S3Faults) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.faults = f
}

// Counts tells how many requests suffered what: slowdown, reset, lost; and how many passed.
func (p *S3Proxy) Counts() (slowDown, reset, lost, passed int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.counts["slowdown"], p.counts["reset"], p.counts["lost"], p.counts["passed"]
}

// Close ends the proxy and its connections.
func (p *S3Proxy) Close() error { return p.server.Close() }

func (p *S3Proxy) spoil(pass http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fate, delay := p.draw(r)
		if delay > 0 {
			select {
			case <-time.After(delay):
			case <-r.Context().Done():
			}
		}
		switch fate {
		case "slowdown":
			w.Header().Set("Content-Type", "application/xml")
			w.WriteHeader(http.StatusServiceUnavailable)
			_, _ = io.WriteString(w, "<Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>")
		case "reset":
			panic(http.ErrAbortHandler)
		case "lost":
			pass.ServeHTTP(&discard{header: http.Header{}}, r)
			panic(http.ErrAbortHandler)
		default:
			pass.ServeHTTP(w, r)
		}
	})
}

// draw decides what happens to a request.
func (p *S3Proxy) draw(r *http.Request) (fate string, delay time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	fate = "passed"
	defer func() { p.counts[fate]++ }()
	f := p.faults
	write := r.Method == http.MethodPut || r.Method == http.MethodPost
	complete := r.Method == http.MethodPost && strings.Contains(r.URL.RawQuery, "uploadId=")
	if f.Only == "complete" && !complete || f.Only == "write" && !write {
		return fate, f.Delay
	}
	switch x := rand.Float64(); { //nolint:gosec // no secret
	case x < f.SlowDown:
		fate = "slowdown"
	case x < f.SlowDown+f.Reset:
		fate = "reset"
	case x < f.SlowDown+f.Reset+f.LoseReply:
		fate = "lost"
	}
	return fate, f.Delay
}

// discard is an answer that nobody reads.
type discard struct{ header http.Header }

func (d *discard) Header() http.Header         { return d.header }
func (d *discard) Write(b []byte) (int, error) { return len(b), nil }
func (d *discard) WriteHeader(int)             {}
