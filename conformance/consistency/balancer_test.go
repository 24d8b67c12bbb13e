package consistency

import (
	"context"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// balancer sends each request to the next replica that says it is ready, as those of Kubernetes and clouds do: it asks
// again and again.
type balancer struct {
	url   string
	mu    sync.Mutex
	ready []*replica
	turn  atomic.Uint64
}

// probes is how often the balancer asks; a replica that stops must say so for longer before it takes no requests.
const probes = 50 * time.Millisecond

func balance(t *testing.T, d *deployment) *balancer {
	t.Helper()
	b := &balancer{}
	pass := &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			target, err := url.Parse(b.next().url)
			if err == nil {
				r.SetURL(target)
			}
			r.Out.Host = r.Out.URL.Host
		},
		Transport: &http.Transport{MaxIdleConnsPerHost: 64, DisableCompression: true},
		ErrorLog:  log.New(io.Discard, "", 0), // clients see it
	}
	s := httptest.NewServer(pass)
	t.Cleanup(s.Close)
	b.url = s.URL
	ctx, stop := context.WithCancel(t.Context())
	t.Cleanup(stop)
	b.probe(ctx, d)
	go func() {
		tick := time.NewTicker(probes)
		defer tick.Stop()
		for ctx.Err() == nil {
			b.probe(ctx, d)
			select {
			case <-ctx.Done():
			case <-tick.C:
			}
		}
	}()
	return b
}

func (b *balancer) probe(ctx context.Context, d *deployment) {
	c := newClient(time.Second)
	defer c.close()
	var ready []*replica
	for _, r := range d.replicas {
		if a, err := c.do(ctx, http.MethodGet, r.url+"/-/ready", nil, nil); err == nil && a.ok() {
			ready = append(ready, r)
		}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(ready) > 0 {
		b.ready = ready
	}
}

func (b *balancer) next() *replica {
	n := b.turn.Add(1)
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.ready[n%uint64(len(b.ready))]
}
