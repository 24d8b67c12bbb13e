package egress

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"
)

const (
	handshakeTimeout = 5 * time.Second
	headerTimeout    = 15 * time.Second
	totalTimeout     = 60 * time.Second
	idleTimeout      = 60 * time.Second
	maxHeader        = 64 << 10
	maxRedirects     = 3
)

// ErrTooLarge means that an answer's body is longer than was agreed to.
var ErrTooLarge = errors.New("the answer is longer than its limit")

// Client makes an HTTP client that connects through d: no proxy of the
// environment, no more than three redirects, none from https to http, 15
// seconds until an answer begins and 60 until it has ended. A body of more
// than limit bytes, after decompression, ends in [ErrTooLarge].
func (d *Dialer) Client(limit int64) *http.Client {
	var next http.RoundTripper = &http.Transport{
		DialContext:            d.DialContext,
		ForceAttemptHTTP2:      true,
		TLSHandshakeTimeout:    handshakeTimeout,
		ResponseHeaderTimeout:  headerTimeout,
		IdleConnTimeout:        idleTimeout,
		MaxIdleConns:           16,
		MaxIdleConnsPerHost:    2,
		MaxResponseHeaderBytes: maxHeader,
	}
	if d.Wrap != nil {
		next = d.Wrap(next)
	}
	return &http.Client{
		Transport:     &capped{limit: limit, next: next},
		CheckRedirect: checkRedirect,
		Timeout:       totalTimeout,
	}
}

func checkRedirect(next *http.Request, via []*http.Request) error {
	if len(via) > maxRedirects {
		return fmt.Errorf("more than %d redirects", maxRedirects)
	}
	last := via[len(via)-1].URL
	if last.Scheme == "https" && next.URL.Scheme != "https" {
		return errors.New("a redirect leads from https to " + next.URL.Scheme)
	}
	// What was meant for the first origin goes to no other, nor back to it on
	// another's word.
	for _, r := range append(via[1:len(via):len(via)], next) {
		if sameOrigin(via[0].URL, r.URL) {
			continue
		}
		if next.Body != nil && next.Body != http.NoBody {
			return errors.New("a redirect would send a request's body to another origin")
		}
		// net/http keeps them for another port and for subdomains.
		next.Header.Del("Authorization")
		next.Header.Del("Cookie")
	}
	return nil
}

func sameOrigin(a, b *url.URL) bool {
	return a.Scheme == b.Scheme && a.Hostname() == b.Hostname() && port(a) == port(b)
}

func port(u *url.URL) string {
	if p := u.Port(); p != "" {
		return p
	}
	return map[string]string{"http": "80", "https": "443"}[u.Scheme]
}

// capped bounds the bodies of answers.
type capped struct {
	next  http.RoundTripper
	limit int64
}

// RoundTrip implements [http.RoundTripper].
func (c *capped) RoundTrip(r *http.Request) (*http.Response, error) {
	if err := checkURL(r.URL); err != nil {
		if r.Body != nil {
			_ = r.Body.Close() // as the interface asks
		}
		return nil, err
	}
	res, err := c.next.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	if res.ContentLength > c.limit {
		_ = res.Body.Close() // the answer is refused whatever that says
		return nil, ErrTooLarge
	}
	res.Body = &cappedBody{ReadCloser: res.Body, left: c.limit}
	return res, nil
}

func checkURL(u *url.URL) error {
	if u.Scheme != "http" && u.Scheme != "https" {
		return fmt.Errorf("%q is not a scheme that is used: use https", u.Scheme)
	}
	if u.User != nil {
		return errors.New("a URL with a user name in it is not followed")
	}
	return nil
}

type cappedBody struct {
	io.ReadCloser
	left int64
}

func (b *cappedBody) Read(p []byte) (int, error) {
	// One byte more than is left tells a body that ends there from a longer one.
	if int64(len(p)) > b.left+1 {
		p = p[:b.left+1]
	}
	n, err := b.ReadCloser.Read(p)
	if int64(n) > b.left {
		n = int(b.left)
		err = ErrTooLarge
	}
	b.left -= int64(n)
	return n, err
}
