package consistency

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// client sends requests to the replicas that its paths are joined to. It follows no redirect and asks no proxy.
type client struct{ http *http.Client }

// newClient returns a client that gives up after patience: a replica may stand still, and a client that waits for it
// would see nothing else.
func newClient(patience time.Duration) *client {
	return &client{&http.Client{
		Timeout: patience,
		Transport: &http.Transport{
			MaxIdleConnsPerHost: 128, DisableCompression: true,
			DialContext: (&net.Dialer{Timeout: patience}).DialContext,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

func (c *client) close() { c.http.CloseIdleConnections() }

// answer is one whose body was read.
type answer struct {
	to     string // method and URL of the request
	status int
	header http.Header
	body   []byte
	took   time.Duration
}

// errNotSent marks requests that reached nobody: they have no effect.
var errNotSent = errors.New("not sent")

// do sends one request and reads the whole answer. Without an answer, or with half of one, it returns an error.
func (c *client) do(ctx context.Context, method, target string, header http.Header, body []byte) (*answer, error) {
	var content io.Reader
	if body != nil {
		content = bytes.NewReader(body)
	}
	req, err := http.NewRequestWithContext(ctx, method, target, content)
	if err != nil {
		return nil, err
	}
	maps.Copy(req.Header, header)
	begin := time.Now()
	res, err := c.http.Do(req)
	if op, ok := errors.AsType[*net.OpError](err); ok && op.Op == "dial" {
		return nil, fmt.Errorf("%w: %w", errNotSent, err)
	}
	if err != nil {
		return nil, err
	}
	defer func() { _ = res.Body.Close() }() // read to its end, or given up
	a := &answer{to: method + " " + target, status: res.StatusCode, header: res.Header}
	if a.body, err = io.ReadAll(res.Body); err != nil {
		return nil, fmt.Errorf("%s: the answer %d was cut: %w", a.to, a.status, err)
	}
	a.took = time.Since(begin)
	return a, nil
}

func (a *answer) String() string {
	return fmt.Sprintf("%.160s: %d %.400s", a.to, a.status, strings.TrimSpace(string(a.body)))
}

// ok tells whether the answer is a success.
func (a *answer) ok() bool { return a.status/100 == 2 }

// ociError is what the tests read of an OCI error.
type ociError struct {
	Code, Message string
	Detail        json.RawMessage
}

// oci reads the answer as an OCI error; the zero value stands for anything else.
func (a *answer) oci() ociError {
	var body struct{ Errors []ociError }
	if json.Unmarshal(a.body, &body) != nil || len(body.Errors) == 0 {
		return ociError{}
	}
	return body.Errors[0]
}

// uncertain tells whether an error says that the request may have been carried out.
func (a *answer) uncertain() bool { return bytes.Contains(a.oci().Detail, []byte(`"uncertain"`)) }

// busy checks a refusal of a registry that has lost what it needs: 503, or 507 for space, with a Retry-After.
func (a *answer) busy() error {
	if a.status != http.StatusServiceUnavailable {
		return fmt.Errorf("unexpected answer: %s", a)
	}
	if a.header.Get("Retry-After") == "" {
		return fmt.Errorf("no Retry-After: %s", a)
	}
	return nil
}

// putBlob uploads content in one request.
func (c *client) putBlob(ctx context.Context, base, repo string, content []byte) (*answer, error) {
	return c.do(ctx, http.MethodPost, base+"/v2/"+repo+"/blobs/uploads/?digest="+digestOf(content), octets(), content)
}

func (c *client) putManifest(ctx context.Context, base, repo, ref string, m manifest, condition http.Header) (*answer, error) {
	h := http.Header{"Content-Type": {imageType}}
	maps.Copy(h, condition)
	return c.do(ctx, http.MethodPut, manifestURL(base, repo, ref), h, m.raw)
}

func manifestURL(base, repo, ref string) string { return base + "/v2/" + repo + "/manifests/" + ref }
func blobURL(base, repo, digest string) string  { return base + "/v2/" + repo + "/blobs/" + digest }

func octets() http.Header { return http.Header{"Content-Type": {"application/octet-stream"}} }
func accept() http.Header { return http.Header{"Accept": {imageType}} }

func digestOf(content []byte) string { return "sha256:" + sum(content) }

func sum(content []byte) string {
	s := sha256.Sum256(content)
	return hex.EncodeToString(s[:])
}

// withDigest adds the digest that ends an upload to its Location.
func withDigest(location, digest string) string {
	u, err := url.Parse(location)
	if err != nil {
		return location
	}
	q := u.Query()
	q.Set("digest", digest)
	u.RawQuery = q.Encode()
	return u.String()
}
