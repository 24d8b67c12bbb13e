package distspec_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/opencontainers/go-digest"

	"github.com/packhouse/packhouse/registry"
	"github.com/packhouse/packhouse/registry/distspec"
	"github.com/packhouse/packhouse/registry/registrytest"
)

// client talks HTTP to a handler over a registry.
type client struct {
	t *testing.T
	registry.Registry
	url string
}

// response is one that was read to its end.
type response struct {
	status int
	header http.Header
	body   string
}

// serve starts a server over an empty model registry.
func serve(t *testing.T, o distspec.Options) *client {
	t.Helper()
	return serveRegistry(t, &registrytest.Memory{}, o)
}

func serveRegistry(t *testing.T, reg registry.Registry, o distspec.Options) *client {
	t.Helper()
	server := httptest.NewServer(distspec.New(reg, o))
	t.Cleanup(server.Close)
	return &client{t: t, Registry: reg, url: server.URL}
}

// do sends a request; headers are names and values by turns.
func (c *client) do(method, path, body string, headers ...string) response {
	c.t.Helper()
	return c.send(method, path, strings.NewReader(body), headers...)
}

func (c *client) send(method, path string, body io.Reader, headers ...string) response {
	c.t.Helper()
	target := path
	if strings.HasPrefix(path, "/") {
		target = c.url + path
	}
	r, err := http.NewRequestWithContext(c.t.Context(), method, target, body)
	if err != nil {
		c.t.Fatal(err)
	}
	for i := 0; i < len(headers); i += 2 {
		r.Header.Add(headers[i], headers[i+1])
	}
	resp, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		c.t.Fatalf("%s %s: %v", method, path, err)
	}
	defer func() { _ = resp.Body.Close() }() // read to its end below
	content, err := io.ReadAll(resp.Body)
	if err != nil {
		c.t.Fatalf("%s %s: %v", method, path, err)
	}
	return response{resp.StatusCode, resp.Header, string(content)}
}

// headers are those that a response must have; "" means that it must not.
type headers map[string]string

// want checks status and headers, and that an error has the body of the specification.
func (r response) want(t *testing.T, status int, want headers) {
	t.Helper()
	if r.status != status {
		t.Fatalf("status is %d, want %d; body %s", r.status, status, r.body)
	}
	got := headers{}
	for name := range want {
		got[name] = strings.Join(r.header.Values(name), " | ")
	}
	if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("headers (-want +got):\n%s", diff)
	}
}

// wantError checks the status and the code in the body.
func (r response) wantError(t *testing.T, status int, code registry.Code) {
	t.Helper()
	r.want(t, status, headers{"Content-Type": "application/json", "X-Content-Type-Options": "nosniff"})
	if !strings.HasPrefix(r.body, `{"errors":[{"code":"`+string(code)+`","message":"`) || !strings.HasSuffix(r.body, "}]}") {
		t.Errorf("body is %s, want an error with code %s", r.body, code)
	}
}

func (r response) wantBody(t *testing.T, want string) {
	t.Helper()
	if r.body != want {
		t.Errorf("body is %q, want %q", r.body, want)
	}
}

// blob pushes content to acme/app.
func (c *client) blob(content string) registry.Digest {
	c.t.Helper()
	d, err := c.PutBlob(c.t.Context(), "acme/app", strings.NewReader(content), digest.FromString(content))
	if err != nil {
		c.t.Fatal(err)
	}
	return d.Digest
}

// image pushes an image of its own to acme/app.
func (c *client) image(seed string, tags ...registry.Tag) registry.Manifest {
	c.t.Helper()
	c.blob(seed)
	return c.put(registrytest.Image(nil, []byte(seed)), tags...)
}

func (c *client) put(m registry.Manifest, tags ...registry.Tag) registry.Manifest {
	c.t.Helper()
	if _, err := c.PutManifest(c.t.Context(), "acme/app", m, registry.PutOptions{Tags: tags}); err != nil {
		c.t.Fatal(err)
	}
	return m
}
