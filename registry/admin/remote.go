package admin

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/packhouse/packhouse/registry"
)

// Remote runs operations in a server: that of a data directory ([Dial]), or
// one at an address ([Connect]).
type Remote struct {
	base      string // URL without a trailing slash
	whose     string // for errors: "the running server"
	authorize func(*http.Request)
	client    *http.Client
}

// Dial finds the server of a data directory. ok is false when none runs.
func Dial(ctx context.Context, dir string) (r *Remote, ok bool, err error) {
	c, err := dial(ctx, dir)
	switch {
	case errors.Is(err, errNotRunning):
		return nil, false, nil
	case err != nil:
		return nil, false, fmt.Errorf("admin socket: %w", err)
	}
	_ = c.Close() // it only showed that somebody answers
	return &Remote{
		base: "http://localhost", whose: "the running server", authorize: func(*http.Request) {},
		client: &http.Client{Transport: &http.Transport{
			DisableKeepAlives: true,
			DialContext:       func(ctx context.Context, _, _ string) (net.Conn, error) { return dial(ctx, dir) },
		}},
	}, true, nil
}

// Credentials are what a [Remote] shows: a token, or a user's name and
// password. The zero Credentials are none.
type Credentials struct{ Token, User, Password string }

func (c Credentials) authorize(r *http.Request) {
	switch {
	case c.Token != "":
		r.Header.Set("Authorization", "Bearer "+c.Token)
	case c.User != "":
		r.SetBasicAuth(c.User, c.Password)
	}
}

// Connect is the server at an address, such as "https://packages.example.com".
// Credentials are sent over TLS or within this machine, unless insecure allows
// them on any wire. Nothing is sent yet.
func Connect(server string, c Credentials, insecure bool) (*Remote, error) {
	base, err := ServerURL(server)
	if err != nil {
		return nil, err
	}
	if u, _ := url.Parse(base); u.Scheme == "http" && !insecure && !loopback(u.Hostname()) { // it was parsed before
		return nil, fmt.Errorf("%s is not encrypted: whoever is on the way could read the credentials; use https://, or pass --insecure", base)
	}
	return &Remote{
		base: base, whose: base, authorize: c.authorize,
		client: &http.Client{
			Transport: &http.Transport{
				Proxy: http.ProxyFromEnvironment, ForceAttemptHTTP2: true,
				DialContext:         (&net.Dialer{Timeout: 10 * time.Second}).DialContext,
				TLSHandshakeTimeout: 10 * time.Second,
			},
			// Credentials go to the address that was named and to no other.
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}, nil
}

// ServerURL is the one way to write a server's address.
func ServerURL(server string) (string, error) {
	u, err := url.Parse(server)
	if err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return "", fmt.Errorf("%q is not the URL of a server, such as https://packages.example.com", server)
	}
	return u.Scheme + "://" + strings.ToLower(u.Host) + strings.TrimRight(u.EscapedPath(), "/"), nil
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

func (r *Remote) call(ctx context.Context, op *Operation, params json.RawMessage, progress Report) (json.RawMessage, error) {
	path, query, body, err := op.spread(params)
	if err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, op.Method, r.base+path, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.URL.RawQuery = query.Encode()
	if len(body) > 0 {
		req.Header.Set("Content-Type", jsonType)
	}
	req.Header.Set("Accept", jsonType)
	if op.Long {
		req.Header.Set("Accept", linesType+", "+jsonType)
	}
	r.authorize(req)
	res, err := r.client.Do(req)
	if err != nil {
		return nil, fmt.Errorf("ask %s: %w", r.whose, err)
	}
	defer func() { _ = res.Body.Close() }() // read to its end, or given up
	return r.read(res, progress)
}

// maxAnswer is more than any page of a list takes.
const maxAnswer = 64 << 20

func (r *Remote) read(res *http.Response, progress Report) (json.RawMessage, error) {
	media, _, _ := mime.ParseMediaType(res.Header.Get("Content-Type"))
	switch {
	case res.StatusCode == http.StatusNoContent:
		return json.RawMessage("{}"), nil
	case media == linesType && res.StatusCode == http.StatusOK:
		return r.readLines(res.Body, progress)
	case media != jsonType:
		return nil, fmt.Errorf("%s answered %s: it is no Packhouse server, or something before it answers", r.whose, res.Status)
	}
	body, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer))
	if err != nil {
		return nil, fmt.Errorf("read the answer of %s: %w", r.whose, err)
	}
	if res.StatusCode < http.StatusMultipleChoices {
		return body, nil
	}
	var p Problem
	if err := json.Unmarshal(body, &p); err != nil || p.Code == "" {
		return nil, fmt.Errorf("%s answered %s", r.whose, res.Status)
	}
	return nil, p.error()
}

func (p *Problem) error() error {
	return &registry.Error{Code: p.Code, Message: p.Message, Detail: p.Detail}
}

func (r *Remote) readLines(body io.Reader, progress Report) (json.RawMessage, error) {
	for dec := json.NewDecoder(body); ; {
		var l line
		switch err := dec.Decode(&l); {
		case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
			return nil, errors.New("the server stopped before the operation was finished: start it and try again")
		case err != nil:
			return nil, fmt.Errorf("read the answer of %s: %w", r.whose, err)
		case l.Error != nil:
			return nil, l.Error.error()
		case l.Progress != nil:
			progress(*l.Progress)
		case l.Result != nil:
			return l.Result, nil
		}
	}
}
