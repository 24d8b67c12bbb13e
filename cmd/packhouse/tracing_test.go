package main

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"
	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	otlp "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"

	"github.com/packhouse/packhouse/storage/cache/cachetest"
	"github.com/packhouse/packhouse/storage/meta/metatest"
)

// receiver is an OTLP collector: https://opentelemetry.io/docs/specs/otlp/#otlphttp.
type receiver struct {
	url string

	mu    sync.Mutex
	posts int
	spans map[string][]*otlp.Span // by trace id
	raw   bytes.Buffer            // all that came
	who   map[string]string       // the resource's attributes
}

func newReceiver(t *testing.T) *receiver {
	t.Helper()
	r := &receiver{spans: map[string][]*otlp.Span{}, who: map[string]string{}}
	s := httptest.NewServer(r)
	t.Cleanup(s.Close)
	r.url = s.URL
	return r
}

func (r *receiver) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.posts++
	body := io.Reader(req.Body)
	if req.Header.Get("Content-Encoding") == "gzip" {
		z, err := gzip.NewReader(req.Body)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		body = z
	}
	content, err := io.ReadAll(body)
	var sent collector.ExportTraceServiceRequest
	if err == nil {
		err = proto.Unmarshal(content, &sent)
	}
	if err != nil || req.URL.Path != "/v1/traces" {
		http.Error(w, fmt.Sprint(req.URL.Path, err), http.StatusBadRequest)
		return
	}
	_, _ = r.raw.Write(content) // a buffer takes all
	for _, of := range sent.ResourceSpans {
		for _, a := range of.Resource.Attributes {
			r.who[a.Key] = a.Value.GetStringValue()
		}
		for _, scope := range of.ScopeSpans {
			for _, s := range scope.Spans {
				id := hex.EncodeToString(s.TraceId)
				r.spans[id] = append(r.spans[id], s)
			}
		}
	}
}

// tree writes a trace as the paths of names from its root, each once and
// sorted; the callers' own span is above the root.
func (r *receiver) tree(trace string) []string {
	by := map[string]*otlp.Span{}
	for _, s := range r.spans[trace] {
		by[string(s.SpanId)] = s
	}
	lines := map[string]bool{}
	for _, s := range r.spans[trace] {
		path := s.Name
		for up := by[string(s.ParentSpanId)]; up != nil; up = by[string(up.ParentSpanId)] {
			path = up.Name + " > " + path
		}
		lines[path] = true
	}
	return slices.Sorted(maps.Keys(lines))
}

// traceServer is the real program with what OTEL_* variables it is given.
type traceServer struct {
	url, metrics string
	log          string // file
	stop         func()
}

func startTraced(t *testing.T, env ...string) *traceServer {
	t.Helper()
	dir := t.TempDir()
	s := &traceServer{log: filepath.Join(dir, "log")}
	log, err := os.Create(s.log)
	if err != nil {
		t.Fatal(err)
	}
	data := filepath.Join(dir, "data")
	cmd := exec.CommandContext(context.WithoutCancel(t.Context()), "packhouse", "serve", "--data", data, "--addr", "127.0.0.1:0", "--metrics-addr", "127.0.0.1:0")
	cmd.Env = append(os.Environ(), env...)
	cmd.Stderr = log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	s.stop = sync.OnceFunc(func() {
		if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
			t.Error(err)
		}
		if err := cmd.Wait(); err != nil {
			text, _ := os.ReadFile(s.log) // the failure says enough without it
			t.Errorf("serve: %v\n%s", err, text)
		}
	})
	t.Cleanup(s.stop)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.After(30 * time.Second); ; {
		if text, err := os.ReadFile(filepath.Join(data, "addr")); err == nil && strings.Count(string(text), "\n") >= 2 {
			lines := strings.Split(string(text), "\n")
			s.url, s.metrics = lines[0], lines[1]
			return s
		}
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatal("the server did not start")
		}
	}
}

// ask sends a request that belongs to the caller's trace and returns its body.
func (s *traceServer) ask(t *testing.T, trace, method, path, contentType string, body []byte, want int) []byte {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, s.url+path, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if trace != "" {
		req.Header.Set("Traceparent", "00-"+trace+"-"+callerSpan+"-01")
	}
	req.Header.Set("Content-Type", contentType)
	req.Header.Set("Baggage", "customer=canary-baggage")
	res, err := http.DefaultClient.Do(req) //nolint:forbidigo // loopback
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	answer, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	if res.StatusCode != want {
		t.Fatalf("%s %s: %d %s", method, path, res.StatusCode, answer)
	}
	return answer
}

// The traces of the callers, and the span in them that asks.
const (
	pushBlob     = "0af7651916cd43dd8448eb211c80319c"
	pushManifest = "1af7651916cd43dd8448eb211c80319c"
	pullManifest = "2af7651916cd43dd8448eb211c80319c"
	pullBlob     = "3af7651916cd43dd8448eb211c80319c"
	callerSpan   = "b7ad6b7169203331"
)

// exercise pushes an image with a blob that lies in an object, and pulls it.
func (s *traceServer) exercise(t *testing.T) {
	t.Helper()
	const manifestType = "application/vnd.oci.image.manifest.v1+json"
	blob := make([]byte, 300<<10)
	_, _ = rand.Read(blob) // never fails
	d := digest.FromBytes(blob)
	s.ask(t, pushBlob, "POST", "/v2/secret-project/app/blobs/uploads/?digest="+d.String()+"&signature=canary-query", "application/octet-stream", blob, http.StatusCreated)
	manifest := fmt.Appendf(nil, `{"schemaVersion":2,"mediaType":%q,"config":{"mediaType":"application/vnd.oci.image.config.v1+json","digest":%q,"size":%d},"layers":[]}`, manifestType, d, len(blob))
	s.ask(t, pushManifest, "PUT", "/v2/secret-project/app/manifests/canary-tag", manifestType, manifest, http.StatusCreated)
	if got := s.ask(t, pullManifest, "GET", "/v2/secret-project/app/manifests/canary-tag", "", nil, http.StatusOK); !bytes.Equal(got, manifest) {
		t.Error("another manifest came back")
	}
	if got := s.ask(t, pullBlob, "GET", "/v2/secret-project/app/blobs/"+d.String(), "", nil, http.StatusOK); !bytes.Equal(got, blob) {
		t.Error("another blob came back")
	}
	s.ask(t, "", "GET", "/-/healthy", "", nil, http.StatusOK)
}

func TestTraces(t *testing.T) {
	t.Parallel()
	key := base64.StdEncoding.EncodeToString(make([]byte, 32))
	for _, tt := range []struct {
		name string
		env  func(t *testing.T) []string
		want map[string][]string // paths that a trace must have
		none string              // part of a name that no span may have
	}{
		{
			name: "sqlite",
			env:  func(*testing.T) []string { return nil },
			want: map[string][]string{
				pushBlob:     {"POST upload_start", "POST upload_start > object commit", "POST upload_start > update > commit", "POST upload_start > update > INSERT blobs"},
				pushManifest: {"PUT manifest_put", "PUT manifest_put > update > INSERT manifests", "PUT manifest_put > update > commit"},
				pullManifest: {"GET manifest_get", "GET manifest_get > SELECT manifests"},
				pullBlob:     {"GET blob_get", "GET blob_get > SELECT blobs", "GET blob_get > object read"},
			},
			none: "redis",
		},
		{
			name: "postgres and redis",
			env: func(t *testing.T) []string {
				t.Helper()
				return []string{
					"PACKHOUSE_DATABASE__URL=" + metatest.Postgres(t),
					"PACKHOUSE_REDIS__ADDRS=" + cachetest.Redis(t).Client().Options().Addr, patientRedis,
					"PACKHOUSE_SECRETS__KEY=" + key,
				}
			},
			want: map[string][]string{
				pushBlob:     {"POST upload_start", "POST upload_start > object commit", "POST upload_start > update > commit", "POST upload_start > update > INSERT blobs"},
				pushManifest: {"PUT manifest_put", "PUT manifest_put > update > INSERT manifests", "PUT manifest_put > update > commit"},
				pullManifest: {"GET manifest_get", "GET manifest_get > SELECT manifests", "GET manifest_get > redis get"},
				pullBlob:     {"GET blob_get", "GET blob_get > SELECT blobs", "GET blob_get > object read"},
			},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r := newReceiver(t)
			// The schedule is an hour: what comes comes because the server stops.
			s := startTraced(t, append(tt.env(t), "OTEL_EXPORTER_OTLP_ENDPOINT="+r.url, "OTEL_BSP_SCHEDULE_DELAY=3600000", "OTEL_RESOURCE_ATTRIBUTES=deployment.environment.name=test")...)
			s.exercise(t)
			s.stop()
			r.mu.Lock()
			defer r.mu.Unlock()
			for trace, want := range tt.want {
				got := r.tree(trace)
				for _, path := range want {
					if !slices.Contains(got, path) {
						t.Errorf("trace %s: no %q in\n%s", trace, path, strings.Join(got, "\n"))
					}
				}
				for _, span := range r.spans[trace] {
					switch {
					case span.Kind == otlp.Span_SPAN_KIND_SERVER && hex.EncodeToString(span.ParentSpanId) != callerSpan:
						t.Errorf("%s is not below the caller's span", span.Name)
					case strings.Contains(span.Name, "secret-project"), strings.Contains(span.Name, "sha256"), strings.Contains(span.Name, "canary"):
						t.Errorf("span %q is named by what a client wrote", span.Name)
					case tt.none != "" && strings.Contains(span.Name, tt.none):
						t.Errorf("span %q", span.Name)
					}
				}
			}
			r.check(t)
			access, err := os.ReadFile(s.log)
			if err != nil {
				t.Fatal(err)
			}
			for _, trace := range []string{pushBlob, pullBlob} {
				if !bytes.Contains(access, []byte("trace_id="+trace)) {
					t.Errorf("the access log does not name trace %s", trace)
				}
			}
		})
	}
}

// check looks at what holds for all spans.
func (r *receiver) check(t *testing.T) {
	t.Helper()
	if r.who["service.name"] != "packhouse" || r.who["deployment.environment.name"] != "test" {
		t.Errorf("resource %v", r.who)
	}
	for _, canary := range []string{"canary-query", "canary-baggage", "canary-tag", "postgres://"} {
		if bytes.Contains(r.raw.Bytes(), []byte(canary)) {
			t.Errorf("%q was sent away", canary)
		}
	}
	var attributes map[string]string
	for _, spans := range r.spans {
		for _, s := range spans {
			if strings.Contains(s.Name, "probe") {
				t.Errorf("a probe was traced: %s", s.Name)
			}
			if s.Name != "GET manifest_get" {
				continue
			}
			attributes = map[string]string{}
			for _, a := range s.Attributes {
				attributes[a.Key] = a.Value.GetStringValue()
				if attributes[a.Key] == "" {
					attributes[a.Key] = fmt.Sprint(a.Value.GetIntValue())
				}
			}
		}
	}
	delete(attributes, "packhouse.request_id")
	delete(attributes, "http.response.body.size")
	want := map[string]string{
		"http.request.method": "GET", "http.route": "/v2/{name}/manifests/{reference}", "http.response.status_code": "200", "url.scheme": "http",
		"client.address": "127.0.0.1", "user_agent.original": "Go-http-client/1.1", "http.request.body.size": "0",
		"packhouse.format": "oci", "packhouse.kind": "manifest_get", "packhouse.repo": "secret-project/app",
	}
	if diff := cmp.Diff(want, attributes); diff != "" {
		t.Errorf("attributes of a pull (-want +got):\n%s", diff)
	}
}

// Without a sampler's yes nothing is sent, whatever callers ask for.
func TestTracesOff(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		env  string
	}{
		{"sampler", "OTEL_TRACES_SAMPLER=always_off"},
		{"exporter", "OTEL_TRACES_EXPORTER=none"},
		{"all of it", "OTEL_SDK_DISABLED=true"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r := newReceiver(t)
			s := startTraced(t, "OTEL_EXPORTER_OTLP_ENDPOINT="+r.url, tt.env)
			s.exercise(t)
			s.stop()
			r.mu.Lock()
			defer r.mu.Unlock()
			if r.posts != 0 {
				t.Errorf("%d requests to the collector", r.posts)
			}
		})
	}
}

func TestTracingWrongVariable(t *testing.T) {
	t.Parallel()
	cmd := exec.CommandContext(t.Context(), "packhouse", "serve", "--data", t.TempDir(), "--addr", "127.0.0.1:0")
	cmd.Env = append(os.Environ(), "OTEL_TRACES_EXPORTER=carrier-pigeon")
	out, err := cmd.CombinedOutput()
	if err == nil || !strings.Contains(string(out), "OTEL_") {
		t.Errorf("err = %v, said %s", err, out)
	}
}
