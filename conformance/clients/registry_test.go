package clients

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/packhouse/packhouse/conformance/packhouse"
)

// registry is one running server as one test over one transport sees it.
type registry struct {
	*packhouse.Server
	home string   // $HOME and working directory of the clients
	env  []string // their environment
}

// overHTTPAndTLS runs test against two servers at once and names the client for the support matrix.
func overHTTPAndTLS(t *testing.T, client, version string, test func(t *testing.T, r *registry)) {
	t.Helper()
	t.Attr("client", client)
	t.Attr("version", version)
	for _, transport := range []string{"HTTP", "TLS"} {
		t.Run(transport, func(t *testing.T) {
			t.Parallel()
			test(t, start(t, transport == "TLS"))
		})
	}
}

func start(t *testing.T, tls bool) *registry {
	t.Helper()
	s, err := packhouse.Start(t.Context(), packhouse.Options{Data: filepath.Join(t.TempDir(), "data"), TLS: tls})
	if err != nil {
		t.Fatal(err)
	}
	r := &registry{Server: s, home: t.TempDir()}
	r.env = []string{
		"HOME=" + r.home, "PATH=" + os.Getenv("PATH"), "TMPDIR=" + t.TempDir(), "XDG_RUNTIME_DIR=" + t.TempDir(),
		"HTTP_PROXY=http://127.0.0.1:1", "HTTPS_PROXY=http://127.0.0.1:1", "NO_PROXY=127.0.0.1,localhost",
	}
	if tls {
		r.env = append(r.env, "SSL_CERT_FILE="+s.CACert)
	}
	t.Cleanup(func() {
		if err := s.Stop(); err != nil {
			t.Errorf("stop: %v", err)
		}
		if t.Failed() {
			t.Logf("end of the server's log:\n%s", tail(s.Logs()))
		}
	})
	return r
}

// tail keeps of a log what fits on a screen.
func tail(log string) string {
	lines := strings.SplitAfter(log, "\n")
	return strings.Join(lines[max(0, len(lines)-40):], "")
}

func (r *registry) tls() bool { return r.CACert != "" }

// run runs a client in r.home and returns its standard output; everything it printed is in the test's log.
func (r *registry) run(t *testing.T, argv ...string) string {
	t.Helper()
	out, err := r.try(t, argv...)
	if err != nil {
		t.Fatalf("%s: %v", filepath.Base(argv[0]), err)
	}
	return out
}

// refuse runs a client that must fail and returns what it printed.
func (r *registry) refuse(t *testing.T, argv ...string) string {
	t.Helper()
	out, err := r.try(t, argv...)
	if err == nil {
		t.Fatalf("%s: succeeded, want a failure", strings.Join(argv, " "))
	}
	return out
}

func (r *registry) try(t *testing.T, argv ...string) (string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Dir, cmd.Env = r.home, r.env
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = 5 * time.Second
	var stdout bytes.Buffer
	both := new(transcript)
	cmd.Stdout, cmd.Stderr = io.MultiWriter(&stdout, both), both
	err := cmd.Run()
	t.Logf("$ %s %s\n%s", filepath.Base(argv[0]), strings.Join(argv[1:], " "), both.text.Bytes())
	return stdout.String(), err
}

// transcript holds what a client printed, in the order in which it came, from both of its outputs.
type transcript struct {
	sync.Mutex
	text bytes.Buffer
}

func (w *transcript) Write(p []byte) (int, error) {
	w.Lock()
	defer w.Unlock()
	return w.text.Write(p)
}

// file writes a file into r.home and returns its path.
func (r *registry) file(t *testing.T, name string, content []byte) string {
	t.Helper()
	path := filepath.Join(r.home, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, content, 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

// certDir returns a directory with the authority's certificate under the name that the containers tools look for.
func (r *registry) certDir(t *testing.T) string {
	t.Helper()
	pem, err := os.ReadFile(r.CACert)
	if err != nil {
		t.Fatal(err)
	}
	return filepath.Dir(r.file(t, "certs/ca.crt", pem))
}

// do sends one request with plain net/http and returns the answer and its whole body.
func (r *registry) do(t *testing.T, method, path string, header http.Header, body []byte) (*http.Response, []byte) {
	t.Helper()
	target := path
	if strings.HasPrefix(path, "/") {
		target = r.URL + path
	}
	req, err := http.NewRequestWithContext(t.Context(), method, target, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if header != nil {
		req.Header = header
	}
	client := r.Client()
	defer client.CloseIdleConnections()
	res, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	content, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatalf("%s %s: %v", method, path, err)
	}
	return res, content
}

// content fetches bytes and checks them against the digest that the answer names.
func (r *registry) content(t *testing.T, path string) ([]byte, *http.Response) {
	t.Helper()
	accept := http.Header{"Accept": {"application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json, " +
		"application/vnd.docker.distribution.manifest.list.v2+json, application/vnd.docker.distribution.manifest.v2+json, */*"}}
	res, body := r.do(t, http.MethodGet, path, accept, nil)
	if res.StatusCode != http.StatusOK {
		t.Fatalf("GET %s: %s: %s", path, res.Status, body)
	}
	if got, want := digest.FromBytes(body).String(), res.Header.Get("Docker-Content-Digest"); got != want {
		t.Fatalf("GET %s: the body has digest %s, the header says %s", path, got, want)
	}
	return body, res
}

// manifest is what the tests look at in any manifest or index.
type manifest struct {
	MediaType    string       `json:"mediaType"`
	ArtifactType string       `json:"artifactType"`
	Config       descriptor   `json:"config"`
	Layers       []descriptor `json:"layers"`
	Manifests    []descriptor `json:"manifests"`
	Subject      *descriptor  `json:"subject"`

	digest string
}

type descriptor struct {
	MediaType    string            `json:"mediaType"`
	ArtifactType string            `json:"artifactType,omitempty"`
	Digest       string            `json:"digest"`
	Size         int64             `json:"size"`
	Annotations  map[string]string `json:"annotations,omitempty"`
	Platform     *platform         `json:"platform,omitempty"`
}

type platform struct {
	OS           string `json:"os"`
	Architecture string `json:"architecture"`
}

// whole reads a manifest by tag or digest, and all it refers to, and checks every size and digest on the way.
func (r *registry) whole(t *testing.T, repo, reference string) manifest {
	t.Helper()
	body, res := r.content(t, "/v2/"+repo+"/manifests/"+reference)
	m := manifest{digest: digest.FromBytes(body).String()}
	if err := json.Unmarshal(body, &m); err != nil {
		t.Fatal(err)
	}
	if got := res.Header.Get("Content-Type"); m.MediaType != "" && got != m.MediaType {
		t.Errorf("%s:%s: Content-Type = %q, its mediaType is %q", repo, reference, got, m.MediaType)
	}
	for _, child := range m.Manifests {
		r.whole(t, repo, child.Digest)
	}
	blobs := m.Layers
	if m.Config.Digest != "" {
		blobs = append([]descriptor{m.Config}, blobs...)
	}
	for _, b := range blobs {
		r.blob(t, repo, b)
	}
	return m
}

func (r *registry) blob(t *testing.T, repo string, d descriptor) []byte {
	t.Helper()
	body, _ := r.content(t, "/v2/"+repo+"/blobs/"+d.Digest)
	if int64(len(body)) != d.Size || digest.FromBytes(body).String() != d.Digest {
		t.Fatalf("blob of %s: got %d bytes with digest %s, want %d and %s", repo, len(body), digest.FromBytes(body), d.Size, d.Digest)
	}
	return body
}

// gone checks that a path answers 404.
func (r *registry) gone(t *testing.T, path string) {
	t.Helper()
	if res, body := r.do(t, http.MethodGet, path, nil, nil); res.StatusCode != http.StatusNotFound {
		t.Errorf("GET %s: %s, want 404: %s", path, res.Status, body)
	}
}

func decode[T any](t *testing.T, text string) T {
	t.Helper()
	var v T
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		t.Fatalf("%v in %s", err, text)
	}
	return v
}

func contains(t *testing.T, got string, wants ...string) {
	t.Helper()
	for _, want := range wants {
		if !strings.Contains(got, want) {
			t.Errorf("got\n%s\nwant %q in it", got, want)
		}
	}
}

func equal[T comparable](t *testing.T, what string, got, want T) {
	t.Helper()
	if got != want {
		t.Errorf("%s: got %v, want %v", what, got, want)
	}
}
