package distspec_test

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

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/packhouse/packhouse/registry"
	"github.com/packhouse/packhouse/registry/distspec"
	"github.com/packhouse/packhouse/registry/registrytest"
)

// raw sends bytes that no HTTP client would, says that no more will come, and
// reads the response.
func raw(t *testing.T, server, request string) response {
	t.Helper()
	conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", strings.TrimPrefix(server, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }() // all was read
	if _, err := io.WriteString(conn, request); err != nil {
		t.Fatal(err)
	}
	if err := conn.(*net.TCPConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	return read(t, conn)
}

func read(t *testing.T, conn net.Conn) response {
	t.Helper()
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }() // read to its end below
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response{resp.StatusCode, resp.Header, string(body)}
}

func TestHostilePaths(t *testing.T) {
	t.Parallel()
	c := serve(t, distspec.Options{})
	m := c.image("a", "v1")
	for _, target := range []string{
		"/v2/../../../../etc/passwd",
		"/v2/../v2/acme/app/manifests/v1",
		"/v2/acme/../acme/app/manifests/v1",
		"/v2/acme/./app/manifests/v1",
		"/v2//acme/app/manifests/v1",
		"//v2/acme/app/manifests/v1",
		"/v2/acme//app/manifests/v1",
		"/v2/acme/app//manifests/v1",
		"/v2/acme/app/manifests//v1",
		"/v2/acme/app/manifests/v1/",
		"/v2/acme/app/manifests/v1/..",
		"/v2/acme/app/manifests/%2e%2e",
		"/v2/acme%2fapp/manifests/v1",
		"/v2/acme%2Fapp/manifests/v1",
		"/v2/acme%5capp/manifests/v1",
		"/v2/acme/%2e%2e/acme/app/manifests/v1",
		"/v2/acme/%61pp/manifests/v1",
		"/v2/acme/APP/manifests/v1",
		"/v2/acme/app;x=y/manifests/v1",
		"/v2/acme/app%3bx/manifests/v1",
		"/v2/acme/app%00/manifests/v1",
		"/v2/acme/app/manifests/v1%00",
		"/v2/acme/app/manifests/v1%0a",
		"/v2/acme/app/%6d%61nifests/v1",
		"/v2/acme/app/Manifests/v1",
		"/%76%32/acme/app/manifests/v1",
		"/v2%2facme/app/manifests/v1",
		"/v2/acme/app/blobs/..%2f..%2fmanifests%2fv1",
		"/v2/acme/app/blobs/" + strings.ToUpper(m.Digest.String()),
		"/v2/acme/app/manifests/" + m.Digest.String() + "%20",
		"/v2/" + strings.Repeat("a/", 4000) + "manifests/v1",
		"/v2/acme/app/manifests/" + strings.Repeat("v", 8000),
	} {
		r := raw(t, c.url, "GET "+target+" HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
		if r.status != 400 && r.status != 404 || !strings.HasPrefix(r.body, `{"errors":[{"code":"`) {
			t.Errorf("GET %.60s: status %d, body %.200s", target, r.status, r.body)
		}
	}
	// The spelling that is right.
	raw(t, c.url, "GET http://x/v2/acme/app/manifests/%761 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").
		want(t, http.StatusOK, headers{"Docker-Content-Digest": m.Digest.String()})
}

// TestTruncatedBodies: what the client did not send whole is not kept as if it were.
func TestTruncatedBodies(t *testing.T) {
	t.Parallel()
	const half = "0123456789"
	manifest := string(registrytest.Image(nil, []byte("c")).Raw)
	d := digest.FromString(half).String()
	for name, framing := range map[string]string{
		"length":  "Content-Length: 1000\r\n\r\n%s",
		"chunked": "Transfer-Encoding: chunked\r\n\r\n3e8\r\n%s",
		"garbled": "Transfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\nxyz\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := serve(t, distspec.Options{})
			c.blob("c")
			send := func(method, path, body string) response {
				t.Helper()
				framed := fmt.Sprintf(framing, body)
				if strings.Contains(framing, "%x") {
					framed = fmt.Sprintf(framing, len(body), body)
				}
				return raw(t, c.url, method+" "+path+" HTTP/1.1\r\nHost: x\r\nContent-Type: "+ocispec.MediaTypeImageManifest+"\r\n"+framed)
			}
			send(put, "/v2/acme/app/manifests/v1", manifest).wantError(t, 400, registry.SizeInvalid)
			send(post, "/v2/acme/app/blobs/uploads/?digest="+d, half).wantError(t, 400, registry.SizeInvalid)
			for _, path := range []string{"/v2/acme/app/manifests/v1", "/v2/acme/app/manifests/" + digest.FromString(manifest).String(), "/v2/acme/app/blobs/" + d} {
				c.do(head, path, "").want(t, http.StatusNotFound, nil)
			}
			at := c.do(post, "/v2/acme/app/blobs/uploads/", "").header.Get("Location")
			send(patch, at, half).wantError(t, 400, registry.SizeInvalid)
			// A chunk can be resumed where it broke off.
			c.do(get, at, "").want(t, http.StatusNoContent, headers{"Range": "0-9"})
			send(put, at+"?digest="+digest.FromString(half+half).String(), half).wantError(t, 400, registry.SizeInvalid)
			c.do(head, "/v2/acme/app/blobs/"+digest.FromString(half+half).String(), "").want(t, http.StatusNotFound, nil)
		})
	}
}

func TestOverlongBody(t *testing.T) {
	t.Parallel()
	c := serve(t, distspec.Options{})
	// The first 10 bytes are the body. What follows is no request.
	d := digest.FromString("0123456789abcdef").String()
	raw(t, c.url, "POST /v2/acme/app/blobs/uploads/?digest="+d+" HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n0123456789abcdef").
		wantError(t, 400, registry.DigestInvalid)
	if got := c.do(get, "/v2/_catalog", "").body; got != `{"repositories":[]}` {
		t.Errorf("catalog is %s", got)
	}
}

// endless never stops sending.
type endless struct{ sent int64 }

func (e *endless) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = ' '
	}
	e.sent += int64(len(p))
	return len(p), nil
}

func TestLargeManifests(t *testing.T) {
	t.Parallel()
	const limit = 4 << 20
	c := serve(t, distspec.Options{})
	c.blob("c")
	of := func(size int) string {
		m := registrytest.Image(func(m *ocispec.Manifest) { m.Annotations = map[string]string{"a": ""} }, []byte("c"))
		return strings.Replace(string(m.Raw), `"a":""`, `"a":"`+strings.Repeat("x", size-len(m.Raw))+`"`, 1)
	}
	path := "/v2/acme/app/manifests/v1"
	c.do(put, path, of(limit)).want(t, http.StatusCreated, nil)
	c.do(get, path, "").wantBody(t, of(limit))
	c.do(put, path, of(limit+1)).wantError(t, http.StatusRequestEntityTooLarge, registry.SizeInvalid)
	c.do(put, path, of(5<<20)).wantError(t, http.StatusRequestEntityTooLarge, registry.SizeInvalid)
	// The length alone is enough to say no.
	raw(t, c.url, "PUT "+path+" HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999\r\n\r\n").
		wantError(t, http.StatusRequestEntityTooLarge, registry.SizeInvalid)

	h := distspec.New(c.Registry, distspec.Options{})
	var body endless
	w := httptest.NewRecorder()
	r := httptest.NewRequestWithContext(t.Context(), put, path, &body)
	r.ContentLength = -1
	h.ServeHTTP(w, r)
	if w.Code != http.StatusRequestEntityTooLarge || body.sent > 3*limit {
		t.Errorf("status is %d after %d bytes", w.Code, body.sent)
	}
}

func TestHostileManifests(t *testing.T) {
	t.Parallel()
	c := serve(t, distspec.Options{})
	const start = `{"schemaVersion":2,"mediaType":"` + ocispec.MediaTypeImageIndex + `","manifests":[],"x":`
	for name, body := range map[string]string{
		"deep objects":    start + strings.Repeat(`{"a":`, 500_000),
		"deep arrays":     start + strings.Repeat("[", 1_000_000) + strings.Repeat("]", 1_000_000) + "}",
		"duplicate keys":  start + `{"a":1,"a":2}}`,
		"many keys":       start + `{` + strings.Repeat(`"a":1,`, 500_000) + `"b":1}}`,
		"bad UTF-8":       start + "\"\xff\"}",
		"trailing data":   start + "1}{}",
		"unterminated":    start + `"` + strings.Repeat("x", 1_000_000),
		"NUL":             start + "\x00}",
		"escaped nothing": start + `"` + strings.Repeat(`\`, 1_000_001) + `"}`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c.do(put, "/v2/acme/app/manifests/v1", body, "Content-Type", ocispec.MediaTypeImageIndex).wantError(t, 400, registry.ManifestInvalid)
		})
	}
}

// TestSlowBody: a client that goes silent learns so, when the server's
// deadline for reading passes.
func TestSlowBody(t *testing.T) {
	t.Parallel()
	server := httptest.NewUnstartedServer(distspec.New(&registrytest.Memory{}, distspec.Options{}))
	server.Config.ReadTimeout = 20 * time.Millisecond
	server.Start()
	t.Cleanup(server.Close)
	for _, request := range []string{
		"PUT /v2/acme/app/manifests/v1",
		"POST /v2/acme/app/blobs/uploads/?digest=" + sha256OfNothing.String(),
	} {
		conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", server.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(conn, request+" HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n0123456789"); err != nil {
			t.Fatal(err)
		}
		r := read(t, conn)
		r.wantError(t, http.StatusRequestTimeout, registry.BlobUploadInvalid)
		if !strings.Contains(r.body, `"reason":"TIMEOUT"`) {
			t.Errorf("body is %s", r.body)
		}
		if err := conn.Close(); err != nil {
			t.Error(err)
		}
	}
}
