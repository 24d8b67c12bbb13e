package s3

import (
	"context"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go/aws"
	"github.com/aws/aws-sdk-go/aws/client"
	"github.com/aws/aws-sdk-go/aws/request"
	"github.com/aws/aws-sdk-go/service/s3"
)

const (
	dialTimeout = 5 * time.Second
	// silence is how long a connection may move nothing, and how long the head
	// of an answer may take.
	silence = 30 * time.Second
	// completeTimeout is for the answer to CompleteMultipartUpload, before which
	// some servers copy all parts.
	completeTimeout = 10 * time.Minute
	// repeatFor bounds the time in which a request is begun again.
	repeatFor = 30 * time.Second
	repeats   = 5
	// longestPause is the most that is waited before a repetition.
	longestPause = 5 * time.Second
	maxIdle      = 128 // connections kept
)

// tune gives distribution's client time limits, connections enough and patience.
func tune(c *s3.S3) {
	c.Config.HTTPClient = newHTTPClient(c.Config.HTTPClient, silence)
	// The signature covers each body's SHA-256; an MD5 beside it would cost
	// more than all the rest. Over TLS, which sees to it that bytes arrive as
	// they were sent, the body is left out of the signature.
	c.Config.S3DisableContentMD5Validation = aws.Bool(true)
	if strings.HasPrefix(c.Endpoint, "https://") {
		c.Handlers.Sign.PushFront(func(r *request.Request) {
			if r.Body != nil && !r.IsPresigned() && (r.Operation.Name == "PutObject" || r.Operation.Name == "UploadPart") {
				r.HTTPRequest.Header.Set("X-Amz-Content-Sha256", "UNSIGNED-PAYLOAD")
			}
		})
	}
	c.Retryer = retryer{client.DefaultRetryer{
		NumMaxRetries: repeats,
		MinRetryDelay: 50 * time.Millisecond, MaxRetryDelay: 2 * time.Second,
		MinThrottleDelay: 200 * time.Millisecond, MaxThrottleDelay: 2 * time.Second,
	}}
}

// newHTTPClient makes a client with of's trust in certificates, if of has one
// of its own. head is how long a response's head may take.
func newHTTPClient(of *http.Client, head time.Duration) *http.Client {
	var t *http.Transport
	if of != nil {
		t, _ = of.Transport.(*http.Transport)
	}
	if t == nil {
		t = http.DefaultTransport.(*http.Transport)
	}
	t = t.Clone()
	dialer := net.Dialer{Timeout: dialTimeout}
	t.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
		c, err := dialer.DialContext(ctx, network, addr)
		if err != nil {
			return nil, err
		}
		return &watched{c, max(head, silence)}, nil
	}
	t.ForceAttemptHTTP2 = false // S3 has none, and one connection is slower than many
	t.MaxIdleConns, t.MaxIdleConnsPerHost = maxIdle, maxIdle
	t.ResponseHeaderTimeout = head
	t.WriteBufferSize, t.ReadBufferSize = 64<<10, 64<<10
	return &http.Client{Transport: t}
}

// watched is a connection that breaks when nothing moves.
type watched struct {
	net.Conn
	silence time.Duration
}

func (c *watched) Read(p []byte) (int, error) {
	if err := c.SetReadDeadline(time.Now().Add(c.silence)); err != nil {
		return 0, err
	}
	return c.Conn.Read(p)
}

func (c *watched) Write(p []byte) (int, error) {
	if err := c.SetWriteDeadline(time.Now().Add(c.silence)); err != nil {
		return 0, err
	}
	return c.Conn.Write(p)
}

// retryer repeats what a broken connection may have hidden, too: an object is
// written once and each part has its number, so doing it twice does no harm.
type retryer struct{ client.DefaultRetryer }

// ShouldRetry implements request.Retryer.
func (p retryer) ShouldRetry(r *request.Request) bool {
	if time.Since(r.Time) > repeatFor || r.Context().Err() != nil {
		return false
	}
	switch code(r.Error) {
	case request.ErrCodeRequestError, request.ErrCodeRead, request.ErrCodeResponseTimeout:
		return true
	case request.ErrCodeSerialization: // an answer that broke off, or a proxy's page
		return r.Operation.Name != opComplete
	}
	// Two requests met: here a store said so, or one that keeps objects as
	// files removed the directory of a deleted object under a new one.
	if r.HTTPResponse != nil && r.HTTPResponse.StatusCode == http.StatusConflict && r.Operation.Name != opComplete {
		return true
	}
	return p.DefaultRetryer.ShouldRetry(r)
}

// RetryRules implements request.Retryer: it is how long to wait, which a
// server's Retry-After must not make hours of.
func (p retryer) RetryRules(r *request.Request) time.Duration {
	return min(p.DefaultRetryer.RetryRules(r), longestPause)
}

const opComplete = "CompleteMultipartUpload"
