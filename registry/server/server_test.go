package server

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/packhouse/packhouse/registry"
	"github.com/packhouse/packhouse/registry/config"
	"github.com/packhouse/packhouse/registry/obs"
	"github.com/packhouse/packhouse/registry/registrytest"
)

// running is a server over an in-memory registry, or another one.
type running struct {
	*Server
	stop   context.CancelFunc
	done   chan error
	log    *bytes.Buffer // complete once done
	client *http.Client
}

func start(t *testing.T, change func(*Options)) *running {
	t.Helper()
	c := config.Default()
	c.Addr, c.MetricsAddr, c.Data = "127.0.0.1:0", "127.0.0.1:0", t.TempDir()
	dir, err := OpenDir(c.Data)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = dir.Close() })
	r := &running{log: new(bytes.Buffer), done: make(chan error, 1)}
	out := obs.NewOutput(r.log)
	o := Options{
		Config: c, Dir: dir, Registry: &registrytest.Memory{}, Gate: registry.GateFunc(func(context.Context, registry.Verb, registry.Repo) error { return nil }), Log: obs.NewLogger(out, slog.LevelInfo, "text"),
		Access: obs.NewAccess(out, "text"), Metrics: obs.NewMetrics(obs.Build{}), Version: "test",
	}
	if change != nil {
		change(&o)
	}
	ctx, stop := context.WithCancel(t.Context())
	if r.Server, err = Listen(ctx, o); err != nil {
		stop()
		t.Fatal(err)
	}
	transport := &http.Transport{ForceAttemptHTTP2: true}
	if r.cert != nil {
		roots := x509.NewCertPool()
		pem, err := os.ReadFile(o.Config.TLS.Cert)
		if err != nil || !roots.AppendCertsFromPEM(pem) {
			t.Fatalf("certificate not usable: %v", err)
		}
		transport.TLSClientConfig = &tls.Config{RootCAs: roots}
	}
	r.client = &http.Client{Transport: transport}
	r.stop = func() { transport.CloseIdleConnections(); stop() }
	go func() {
		err := r.Serve(ctx)
		r.done <- errors.Join(err, out.Close())
	}()
	t.Cleanup(func() {
		r.stop()
		_ = r.ended(t) // a test that cares has looked
	})
	return r
}

// ended waits for the end of a stopped server.
func (r *running) ended(t *testing.T) error {
	t.Helper()
	err := <-r.done
	r.done <- nil // for the clean-up
	return err
}

// answer is a response whose body has been read.
type answer struct {
	StatusCode    int
	Status, Proto string
	Header        http.Header
}

// do asks the clients' listener, or, with a whole URL for path, that URL.
func (r *running) do(t *testing.T, method, path string, header http.Header) (answer, string) {
	t.Helper()
	if strings.HasPrefix(path, "/") {
		path = r.URL() + path
	}
	req, err := http.NewRequestWithContext(t.Context(), method, path, nil)
	if err != nil {
		t.Fatal(err)
	}
	maps.Copy(req.Header, header)
	if host := header.Get("Host"); host != "" {
		req.Host = host
	}
	res, err := r.client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer{res.StatusCode, res.Status, res.Proto, res.Header}, string(body)
}

func TestRoutes(t *testing.T) {
	t.Parallel()
	s := start(t, nil)
	for _, tc := range []struct {
		method, path string
		status       int
		body         string
	}{
		{"GET", "/v2/", 200, "{}"},
		{"GET", "/v2", 200, "{}"},
		{"GET", "/-/healthy", 200, "ok\n"},
		{"GET", "/-/ready", 200, "ok\n"},
		{"HEAD", "/livez", 200, ""},
		{"GET", "/readyz", 200, "ok\n"},
		{"GET", "/healthz", 200, "ok\n"},
		{"POST", "/healthz", 405, "a probe takes GET or HEAD\n"},
		{"GET", "/", 200, "Packhouse test, an OCI-native artifact registry."},
		{"GET", "/nowhere", 404, "nothing is here: the OCI API is at /v2/, a package feed at /NAMESPACE/FORMAT/\n"},
		{"GET", "/%76%32/", 404, "nothing is here"},
		{"GET", "/v2x", 404, "nothing is here"},
		{"GET", "/v2/app/manifests/latest", 404, `"NAME_UNKNOWN"`},
		{"GET", "/v2/app/unknown/x", 404, ""},
		{"GET", "/-/metrics", 404, "nothing is here"},
		{"GET", "/v2/" + strings.Repeat("a", 8<<10), 414, "the URL is longer than 8KiB: shorten it\n"},
	} {
		res, body := s.do(t, tc.method, tc.path, nil)
		if res.StatusCode != tc.status || !strings.Contains(body, tc.body) {
			t.Errorf("%s %.40s = %d %q, want %d %q", tc.method, tc.path, res.StatusCode, body, tc.status, tc.body)
		}
		if len(res.Header.Get("X-Request-Id")) != 16 {
			t.Errorf("%s %.40s: X-Request-Id %q", tc.method, tc.path, res.Header.Get("X-Request-Id"))
		}
	}
}

// An open registry must not be reachable by a name that somebody else
// controls, nor by another site's pages.
func TestOpenGuard(t *testing.T) {
	t.Parallel()
	guarded := start(t, nil)
	open := start(t, func(o *Options) { o.Config.InsecureOpen = true })
	header := func(pairs ...string) http.Header {
		h := http.Header{}
		for i := 0; i < len(pairs); i += 2 {
			h.Set(pairs[i], pairs[i+1])
		}
		return h
	}
	for _, tc := range []struct {
		name             string
		method           string
		path             string
		header           http.Header
		guarded, anyHost int
	}{
		{"loopback", "GET", "/v2/", nil, 200, 200},
		{"localhost", "GET", "/v2/", header("Host", "localhost:5000"), 200, 200},
		{"below localhost", "GET", "/v2/", header("Host", "a.localhost"), 200, 200},
		{"IPv6", "GET", "/v2/", header("Host", "[::1]:5000"), 200, 200},
		{"foreign name", "GET", "/v2/", header("Host", "evil.example"), 403, 200},
		{"loopback as a label", "GET", "/v2/", header("Host", "127.0.0.1.evil.example"), 403, 200},
		{"foreign name, page", "GET", "/", header("Host", "evil.example"), 403, 200},
		{"probe by pod address", "GET", "/livez", header("Host", "10.0.0.7:5000"), 200, 200},
		{"refused before it is parsed", "GET", "/v2/UPPER/tags/list", header("Host", "evil.example"), 403, 400},
		{"cross-site fetch", "GET", "/v2/", header("Sec-Fetch-Site", "cross-site", "Sec-Fetch-Mode", "cors"), 403, 403},
		{"same-site fetch", "GET", "/v2/", header("Sec-Fetch-Site", "same-site", "Sec-Fetch-Mode", "no-cors"), 403, 403},
		{"link followed", "GET", "/", header("Sec-Fetch-Site", "cross-site", "Sec-Fetch-Mode", "navigate"), 200, 200},
		{"own page", "GET", "/v2/", header("Sec-Fetch-Site", "same-origin", "Sec-Fetch-Mode", "cors"), 200, 200},
		{"cross-site form", "POST", "/v2/app/blobs/uploads/", header("Sec-Fetch-Site", "cross-site", "Sec-Fetch-Mode", "navigate"), 403, 403},
		{"foreign origin", "POST", "/v2/app/blobs/uploads/", header("Origin", "https://evil.example"), 403, 403},
		{"null origin", "DELETE", "/v2/app/manifests/latest", header("Origin", "null"), 403, 403},
		{"client without origin", "POST", "/v2/app/blobs/uploads/", nil, 202, 202},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			for s, want := range map[*running]int{guarded: tc.guarded, open: tc.anyHost} {
				if res, body := s.do(t, tc.method, tc.path, tc.header); res.StatusCode != want {
					t.Errorf("insecure_open=%v: %d %s, want %d", s == open, res.StatusCode, body, want)
				}
			}
		})
	}
}

// failing panics or fails where a test says so.
type failing struct {
	registry.Registry
	tagged func(context.Context) (registry.Manifest, error)
}

func (f failing) Tagged(ctx context.Context, _ registry.Repo, _ registry.Tag) (registry.Manifest, error) {
	return f.tagged(ctx)
}

func TestPanicIsAnswered(t *testing.T) {
	t.Parallel()
	s := start(t, func(o *Options) {
		o.Registry = failing{o.Registry, func(context.Context) (registry.Manifest, error) { panic("boom") }}
	})
	res, body := s.do(t, "GET", "/v2/app/manifests/latest", nil)
	id := res.Header.Get("X-Request-Id")
	want := `{"errors":[{"code":"UNKNOWN","message":"internal error (request ` + id + `)"}]}`
	if diff := cmp.Diff(want, body); res.StatusCode != 500 || diff != "" {
		t.Errorf("%d (-want +got):\n%s", res.StatusCode, diff)
	}
	s.stop()
	if err := s.ended(t); err != nil {
		t.Error(err)
	}
	for _, want := range []string{"panic: boom", "server_test.go", "request_id=" + id, "kind=manifest_get repo=app status=500"} {
		if !strings.Contains(s.log.String(), want) {
			t.Errorf("no %q in the log:\n%s", want, s.log)
		}
	}
	if strings.Count(s.log.String(), "level=ERROR") != 1 {
		t.Errorf("not reported exactly once:\n%s", s.log)
	}
}

func TestAbortBreaksTheConnection(t *testing.T) {
	t.Parallel()
	s := start(t, func(o *Options) {
		o.Registry = failing{o.Registry, func(context.Context) (registry.Manifest, error) { panic(http.ErrAbortHandler) }}
	})
	req, err := http.NewRequestWithContext(t.Context(), "GET", s.URL()+"/v2/app/manifests/latest", nil)
	if err != nil {
		t.Fatal(err)
	}
	if res, err := s.client.Do(req); err == nil {
		_ = res.Body.Close()
		t.Errorf("answered %s", res.Status)
	}
}

func TestRequestIDOfTrustedProxies(t *testing.T) {
	t.Parallel()
	var loopback config.Network
	if err := loopback.UnmarshalText([]byte("127.0.0.0/8")); err != nil {
		t.Fatal(err)
	}
	trusting := start(t, func(o *Options) { o.Config.TrustedProxies = []config.Network{loopback} })
	distrusting := start(t, nil)
	var elsewhere config.Network
	if err := elsewhere.UnmarshalText([]byte("10.0.0.0/8")); err != nil {
		t.Fatal(err)
	}
	trustingOthers := start(t, func(o *Options) { o.Config.TrustedProxies = []config.Network{elsewhere} })
	for _, tc := range []struct {
		s     *running
		given string
		taken bool
	}{
		{trusting, "Root=1-abc.DEF", true},
		{trusting, "two words", false},
		{trusting, strings.Repeat("x", 129), false},
		{distrusting, "abc", false},
		{trustingOthers, "abc", false},
	} {
		res, _ := tc.s.do(t, "GET", "/v2/", http.Header{"X-Request-Id": {tc.given}, "X-Forwarded-For": {"9.9.9.9, 203.0.113.7, 127.0.0.2"}})
		if got := res.Header.Get("X-Request-Id"); (got == tc.given) != tc.taken {
			t.Errorf("X-Request-Id %q answered %q", tc.given, got)
		}
	}
	for s, client := range map[*running]string{trusting: "client=203.0.113.7 ", distrusting: "client=127.0.0.1 ", trustingOthers: "client=127.0.0.1 "} {
		s.stop()
		if err := s.ended(t); err != nil || !strings.Contains(s.log.String(), client) {
			t.Errorf("err %v, no %q in:\n%s", err, client, s.log)
		}
	}
}

func TestRequestIDsDoNotRepeat(t *testing.T) {
	t.Parallel()
	var g requestIDs
	g.seed()
	seen := map[string]bool{}
	for range 100_000 {
		id := g.next()
		if seen[id] || !saneID(id) {
			t.Fatalf("id %q", id)
		}
		seen[id] = true
	}
}

func TestHostOf(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"127.0.0.1:5000": "127.0.0.1", "127.0.0.1": "127.0.0.1", "[::1]:5000": "::1", "[::1]": "::1", "::1": "::1",
		"localhost": "localhost", "localhost:1": "localhost", "": "", ":1": "",
	} {
		if got := hostOf(in); got != want {
			t.Errorf("hostOf(%q) = %q, want %q", in, got, want)
		}
	}
}

func TestSecondListener(t *testing.T) {
	t.Parallel()
	s := start(t, nil)
	s.do(t, "GET", "/v2/app/manifests/latest", nil)
	const empty = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
	s.do(t, "POST", "/v2/app/blobs/uploads/?digest="+empty, nil)
	s.do(t, "POST", "/v2/app/blobs/uploads/", nil)
	second := "http://" + s.second.Addr().String()
	for path, want := range map[string]string{
		"/-/metrics?pushes":    `packhouse_pushes_total{format="oci",object="blob",outcome="ok"} 1`,
		"/-/metrics":           `packhouse_http_requests_total{format="oci",kind="manifest_get",status="4xx"} 1`,
		"/-/ready":             "ok",
		"/debug/pprof/cmdline": "server.test",
	} {
		if res, body := s.do(t, "GET", second+path, nil); res.StatusCode != 200 || !strings.Contains(body, want) {
			t.Errorf("%s = %s, no %q in:\n%.2000s", path, res.Status, want, body)
		}
	}
	res, _ := s.do(t, "GET", second+"/debug/pprof/", http.Header{"Host": {"evil.example"}})
	if res.StatusCode != 403 {
		t.Errorf("profiles for another host: %s", res.Status)
	}
}

func TestAddressFile(t *testing.T) {
	t.Parallel()
	s := start(t, nil)
	file := filepath.Join(s.o.Dir.Path(), "addr")
	got, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if want := s.URL() + "\nhttp://" + s.second.Addr().String() + "\n"; string(got) != want {
		t.Errorf("got %q, want %q", got, want)
	}
	s.stop()
	if err := s.ended(t); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(file); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("left behind: %v", err)
	}
}

func TestListenReportsTheKey(t *testing.T) {
	t.Parallel()
	taken, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // a test
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = taken.Close() }()
	dir, err := OpenDir(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = dir.Close() }()
	c := config.Default()
	c.Addr, c.MetricsAddr = "127.0.0.1:0", taken.Addr().String()
	_, err = Listen(t.Context(), Options{Config: c, Dir: dir})
	if err == nil || !strings.HasPrefix(err.Error(), "metrics_addr: listen tcp "+c.MetricsAddr) {
		t.Errorf("err = %v", err)
	}
}

func TestDirIsOneProcess(t *testing.T) {
	t.Parallel()
	path := t.TempDir()
	first, err := OpenDir(path)
	if err != nil {
		t.Fatal(err)
	}
	_, err = OpenDir(path)
	locked, ok := errors.AsType[*LockedError](err)
	if !ok || locked.Path != path || locked.PID == "" {
		t.Errorf("second open: %v", err)
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	second, err := OpenDir(path)
	if err != nil {
		t.Fatal(err)
	}
	_ = second.Close()
}
