package crash

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// client speaks the OCI distribution API as far as the tests need it.
type client struct {
	base string
	http *http.Client
}

func newClient(base string) *client {
	return &client{base: base, http: &http.Client{
		// An answer must come at some time: silence would hang a test, not fail it.
		Timeout:   time.Minute,
		Transport: &http.Transport{MaxIdleConnsPerHost: 128, DisableCompression: true},
	}}
}

func (c *client) close() { c.http.CloseIdleConnections() }

// reply is an answer whose body was read.
type reply struct {
	to     string // method and target of the request
	status int
	header http.Header
	body   []byte
}

// most bounds a body that is kept in memory.
const most = 8 << 20

// do sends one request. target is a path or a Location. A reply without an
// error is complete; a reply with one has its status line, and its body is cut.
func (c *client) do(ctx context.Context, method, target string, header http.Header, body io.Reader) (*reply, error) {
	res, err := c.send(ctx, method, target, header, body)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	r := &reply{to: method + " " + target, status: res.StatusCode, header: res.Header}
	r.body, err = io.ReadAll(io.LimitReader(res.Body, most))
	return r, err
}

func (c *client) send(ctx context.Context, method, target string, header http.Header, body io.Reader) (*http.Response, error) {
	if !strings.HasPrefix(target, "http://") {
		target = c.base + target
	}
	req, err := http.NewRequestWithContext(ctx, method, target, body)
	if err != nil {
		return nil, err
	}
	for k, v := range header {
		req.Header[k] = v
	}
	return c.http.Do(req)
}

// content is what a GET by name or digest brought.
type content struct {
	status int
	digest string // sha256 of the body
	header http.Header
	body   []byte // kept only for manifests
}

func (c *client) manifest(ctx context.Context, repo, ref string) (content, error) {
	r, err := c.do(ctx, http.MethodGet, manifestPath(repo, ref), accept(), nil)
	if err != nil {
		return content{}, err
	}
	return content{status: r.status, digest: digestOf(r.body), header: r.header, body: r.body}, nil
}

// blob reads a blob and hashes it as it comes.
func (c *client) blob(ctx context.Context, repo, digest string) (content, error) {
	res, err := c.send(ctx, http.MethodGet, blobPath(repo, digest), nil, nil)
	if err != nil {
		return content{}, err
	}
	defer res.Body.Close()
	h := sha256.New()
	if _, err := io.Copy(h, res.Body); err != nil {
		return content{}, err
	}
	return content{status: res.StatusCode, digest: sum(h), header: res.Header}, nil
}

// putBlob uploads content in one body, as a POST, or where a registry does not
// take that, as a PUT after it.
func (c *client) putBlob(ctx context.Context, repo string, body []byte) (*reply, error) {
	digest := digestOf(body)
	r, err := c.do(ctx, http.MethodPost, uploadPath(repo)+"?digest="+digest, octets(), bytes.NewReader(body))
	if r == nil || r.status != http.StatusAccepted {
		return r, err
	}
	return c.do(ctx, http.MethodPut, withDigest(r.header.Get("Location"), digest), octets(), bytes.NewReader(body))
}

func (c *client) putManifest(ctx context.Context, repo, ref string, m manifest, header http.Header) (*reply, error) {
	h := http.Header{"Content-Type": {m.mediaType}}
	for k, v := range header {
		h[k] = v
	}
	return c.do(ctx, http.MethodPut, manifestPath(repo, ref), h, bytes.NewReader(m.raw))
}

// list reads all pages of a list and hands each page's body to add.
func (c *client) list(ctx context.Context, path string, add func(body []byte) error) error {
	for path != "" {
		r, err := c.do(ctx, http.MethodGet, path, nil, nil)
		if err != nil {
			return err
		}
		if r.status == http.StatusNotFound {
			return nil
		}
		if r.status != http.StatusOK {
			return fmt.Errorf("unexpected answer: %s", r)
		}
		if err := add(r.body); err != nil {
			return fmt.Errorf("GET %s: %w", path, err)
		}
		path = nextPage(r.header.Get("Link"))
	}
	return nil
}

func nextPage(link string) string {
	target, rel, found := strings.Cut(link, ">")
	if !found || !strings.Contains(rel, `rel="next"`) {
		return ""
	}
	return strings.TrimPrefix(target, "<")
}

func (r *reply) String() string {
	return fmt.Sprintf("%.120s: %d %.300s", r.to, r.status, strings.TrimSpace(string(r.body)))
}

// ociError checks that r is an OCI error with a sentence and returns its code.
func (r *reply) ociError() (string, error) {
	var body struct {
		Errors []struct{ Code, Message string }
	}
	if err := json.Unmarshal(r.body, &body); err != nil {
		return "", fmt.Errorf("the body is no OCI error: %w: %s", err, r)
	}
	if len(body.Errors) == 0 || body.Errors[0].Code == "" {
		return "", errors.New("no error code: " + r.String())
	}
	if len(strings.Fields(body.Errors[0].Message)) < 2 {
		return "", errors.New("the message is no sentence: " + r.String())
	}
	return body.Errors[0].Code, nil
}

func manifestPath(repo, ref string) string { return "/v2/" + repo + "/manifests/" + ref }
func blobPath(repo, digest string) string  { return "/v2/" + repo + "/blobs/" + digest }
func uploadPath(repo string) string        { return "/v2/" + repo + "/blobs/uploads/" }

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

func octets() http.Header { return http.Header{"Content-Type": {"application/octet-stream"}} }
func accept() http.Header { return http.Header{"Accept": {imageType, indexType}} }

func digestOf(b []byte) string {
	h := sha256.Sum256(b)
	return "sha256:" + hex.EncodeToString(h[:])
}

func sum(h hash.Hash) string { return "sha256:" + hex.EncodeToString(h.Sum(nil)) }

// randomBytes are the same for the same r.
func randomBytes(r *rand.Rand, n int) []byte {
	b := make([]byte, n)
	for i := 0; i < n; i += 8 {
		v := r.Uint64()
		for j := i; j < min(n, i+8); j++ {
			b[j] = byte(v)
			v >>= 8
		}
	}
	return b
}
