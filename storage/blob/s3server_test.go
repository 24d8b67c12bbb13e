package blob

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go/aws"
	"github.com/aws/aws-sdk-go/aws/credentials"
	"github.com/aws/aws-sdk-go/aws/session"
	awss3 "github.com/aws/aws-sdk-go/service/s3"

	"github.com/packhouse/packhouse/storage/blob/s3"
)

const (
	s3Bucket = "packhouse-test"
	s3Key    = "packhouse"
	s3Secret = "packhouse-secret"
)

// s3Server is one versitygw or MinIO for all tests of the process.
type s3Server struct {
	url string
	err error // why there is none
	cmd *exec.Cmd
	dir string
}

var theS3Server = sync.OnceValue(startS3Server) //nolint:gochecknoglobals // one process for all tests

func TestMain(m *testing.M) {
	// With it, the SDK changes the HTTP client that all of the process shares
	// whenever a driver is opened; tests open many at once.
	if err := os.Unsetenv("AWS_CA_BUNDLE"); err != nil {
		panic(err)
	}
	code := m.Run()
	theS3Server().stop()
	os.Exit(code)
}

// s3Program finds versitygw or minio: $PACKHOUSE_S3_SERVER, else in PATH.
func s3Program() (string, error) {
	if p := os.Getenv("PACKHOUSE_S3_SERVER"); p != "" {
		return p, nil
	}
	for _, name := range []string{"versitygw", "minio"} {
		if p, err := exec.LookPath(name); err == nil {
			return p, nil
		}
	}
	return "", errors.New("no S3 server: set PACKHOUSE_S3_SERVER to the path of versitygw or minio, or put one into PATH")
}

func startS3Server() *s3Server {
	s := &s3Server{}
	s.err = s.start()
	return s
}

func (s *s3Server) start() error {
	program, err := s3Program()
	if err != nil {
		return err
	}
	if s.dir, err = os.MkdirTemp("", "packhouse-s3-"); err != nil { //nolint:usetesting // it outlives the test that needs it first
		return err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // loopback
	if err != nil {
		return err
	}
	addr := l.Addr().String()
	if err := l.Close(); err != nil {
		return err
	}
	args := []string{"--port", addr, "--quiet", "posix", s.dir}
	if strings.HasPrefix(filepath.Base(program), "minio") {
		args = []string{"server", "--quiet", "--address", addr, s.dir}
	}
	s.cmd = exec.CommandContext(context.Background(), program, args...) //nolint:gosec // the tester's own program
	s.cmd.Env = append(os.Environ(), "ROOT_ACCESS_KEY="+s3Key, "ROOT_SECRET_KEY="+s3Secret, "MINIO_ROOT_USER="+s3Key, "MINIO_ROOT_PASSWORD="+s3Secret)
	if err := s.cmd.Start(); err != nil {
		return err
	}
	s.url = "http://" + addr
	deadline := time.Now().Add(30 * time.Second)
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		_, err := s3Client(s.url).CreateBucket(&awss3.CreateBucketInput{Bucket: aws.String(s3Bucket)})
		if err == nil {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("%s does not answer: %w", program, err)
		}
		<-tick.C
	}
}

func (s *s3Server) stop() {
	if s.cmd != nil && s.cmd.Process != nil {
		_ = s.cmd.Process.Kill()
		_ = s.cmd.Wait()
	}
	if s.dir != "" {
		_ = os.RemoveAll(s.dir)
	}
}

func s3Client(endpoint string) *awss3.S3 {
	return awss3.New(session.Must(session.NewSession(aws.NewConfig().WithEndpoint(endpoint).WithRegion("us-east-1").
		WithS3ForcePathStyle(true).WithDisableSSL(true).WithMaxRetries(0).WithCredentials(credentials.NewStaticCredentials(s3Key, s3Secret, "")))))
}

// s3URL returns the address of the server, or skips.
func s3URL(tb testing.TB) string {
	tb.Helper()
	s := theS3Server()
	if s.err != nil {
		tb.Skip(s.err)
	}
	return s.url
}

func s3Params(endpoint, root string) map[string]any {
	return map[string]any{
		"accesskey": s3Key, "secretkey": s3Secret, "region": "us-east-1", "regionendpoint": endpoint, "bucket": s3Bucket,
		"secure": false, "forcepathstyle": true, "rootdirectory": "/" + root,
	}
}

// openS3 opens a store in a part of the bucket that the test alone uses, at
// endpoint, "" for the server's own.
func openS3(tb testing.TB, endpoint string) *Store {
	tb.Helper()
	own := s3URL(tb)
	if endpoint == "" {
		endpoint = own
	}
	d, err := s3.Open(tb.Context(), s3Params(endpoint, s3Root(tb)))
	if err != nil {
		tb.Fatal(err)
	}
	return New(d)
}

func s3Root(tb testing.TB) string {
	return strings.NewReplacer("/", "-", " ", "-", "#", "-", ",", "").Replace(tb.Name())
}

// s3Uploads lists the keys of the multipart uploads that are open below prefix.
func s3Uploads(t *testing.T, prefix string) (keys []string) {
	t.Helper()
	out, err := s3Client(s3URL(t)).ListMultipartUploads(&awss3.ListMultipartUploadsInput{Bucket: aws.String(s3Bucket), Prefix: aws.String(prefix)})
	if err != nil {
		t.Fatal(err)
	}
	for _, u := range out.Uploads {
		keys = append(keys, *u.Key)
	}
	return keys
}

// fault is what s3Proxy does to a request.
type fault int

const (
	noFault   fault = iota
	slowDown        // 503 SlowDown, and the server does not see it
	reset           // the connection breaks in the request's body, and the server does not see it
	lostReply       // the server does it, and the connection breaks instead of its answer
	cutReply        // the connection breaks in the middle of the answer's body
)

// s3Proxy stands before the server and harms the requests that a test picks.
// The request's Host stays, which the signature covers.
type s3Proxy struct {
	URL    string
	harm   func(r *http.Request) fault
	harmed atomic.Int64
}

func newS3Proxy(t *testing.T, harm func(r *http.Request) fault) *s3Proxy {
	t.Helper()
	target, err := url.Parse(s3URL(t))
	if err != nil {
		t.Fatal(err)
	}
	p := &s3Proxy{harm: harm}
	forward := &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.Out.URL.Scheme, r.Out.URL.Host, r.Out.Host = target.Scheme, target.Host, r.In.Host
		},
		ErrorHandler: func(http.ResponseWriter, *http.Request, error) { panic(http.ErrAbortHandler) },
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		f := p.harm(r)
		if f != noFault {
			p.harmed.Add(1)
		}
		switch f {
		case noFault:
			forward.ServeHTTP(w, r)
		case slowDown:
			w.Header().Set("Content-Type", "application/xml")
			w.WriteHeader(http.StatusServiceUnavailable)
			_, _ = w.Write([]byte(`<?xml version="1.0" encoding="UTF-8"?><Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>`))
		case reset:
			_, _ = r.Body.Read(make([]byte, 1024))
			panic(http.ErrAbortHandler)
		case lostReply:
			forward.ServeHTTP(httptest.NewRecorder(), r)
			panic(http.ErrAbortHandler)
		case cutReply:
			got := httptest.NewRecorder()
			forward.ServeHTTP(got, r)
			for k, v := range got.Header() {
				w.Header()[k] = v
			}
			w.WriteHeader(got.Code)
			_, _ = w.Write(got.Body.Bytes()[:got.Body.Len()/2])
			panic(http.ErrAbortHandler)
		}
	}))
	server.Config.ErrorLog = nil
	t.Cleanup(server.Close)
	p.URL = server.URL
	return p
}

// isComplete tells CompleteMultipartUpload.
func isComplete(r *http.Request) bool {
	return r.Method == http.MethodPost && r.URL.Query().Has("uploadId")
}

// isCreate tells CreateMultipartUpload.
func isCreate(r *http.Request) bool {
	return r.Method == http.MethodPost && r.URL.Query().Has("uploads")
}

// isPart tells UploadPart.
func isPart(r *http.Request) bool {
	return r.Method == http.MethodPut && r.URL.Query().Has("partNumber")
}

// isPut tells PutObject.
func isPut(r *http.Request) bool {
	return r.Method == http.MethodPut && !r.URL.Query().Has("partNumber")
}
