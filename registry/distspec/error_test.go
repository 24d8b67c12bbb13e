package distspec_test

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/packhouse/packhouse/registry"
	"github.com/packhouse/packhouse/registry/distspec"
	"github.com/packhouse/packhouse/registry/registrytest"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// TestErrorBodies: what a client gets for each code, and for what Parse refuses.
func TestErrorBodies(t *testing.T) {
	t.Parallel()
	e := func(c registry.Code) *registry.Error {
		return registry.E("engine.Op", c, errors.New("secret cause"), "What was wrong, <b> & what to do.")
	}
	parse := func(method, target string) error {
		u, err := url.Parse(target)
		if err != nil {
			t.Fatal(err)
		}
		_, err = distspec.Parse(method, u)
		return err
	}
	type golden struct {
		name string
		err  error
	}
	var cases []golden
	for _, c := range []registry.Code{
		registry.BlobUnknown, registry.BlobUploadInvalid, registry.BlobUploadUnknown, registry.DigestInvalid,
		registry.ManifestBlobUnknown, registry.ManifestInvalid, registry.ManifestUnknown, registry.NameInvalid,
		registry.NameUnknown, registry.SizeInvalid, registry.Unauthorized, registry.Denied, registry.Unsupported,
		registry.TooManyRequests, registry.Internal, registry.PreconditionFailed, registry.Referenced,
		registry.RangeInvalid, registry.TooLarge, registry.NoSpace, registry.Unavailable, registry.Timeout, registry.QuotaExceeded, "NEVER_HEARD_OF",
	} {
		cases = append(cases, golden{string(c) + " with message", e(c)}, golden{string(c) + " bare", c})
	}
	cases = append(cases,
		golden{"foreign", &fs.PathError{Op: "open", Path: "/secret", Err: fs.ErrPermission}},
		golden{"wrapped", fmt.Errorf("outer: %w", e(registry.BlobUnknown))},
		golden{"deadline", fmt.Errorf("query: %w", context.DeadlineExceeded)},
		golden{"canceled, but not by this client", fmt.Errorf("query: %w", context.Canceled)},
		golden{"detail list", e(registry.ManifestBlobUnknown).WithDetail([]string{"sha256:a", "sha256:b"})},
		golden{"detail object with reason", e(registry.Referenced).WithDetail(map[string]any{"manifest": "sha256:a"})},
		golden{"detail text with reason", e(registry.PreconditionFailed).WithDetail("sha256:a")},
		golden{"denied with a reason of its own", e(registry.Denied).WithDetail(map[string]any{"reason": "VERSION_EXISTS"})},
		golden{"time to wait", e(registry.TooManyRequests).WithDetail(registry.RetryIn(2001 * time.Millisecond))},
		golden{"detail that is no JSON", e(registry.Denied).WithDetail(func() {})},
		golden{"no such endpoint", parse(get, "/v2/acme/app")},
		golden{"method", parse(post, "/v2/acme/app/manifests/x")},
		golden{"method of an upload", parse(post, "/v2/acme/app/blobs/uploads/x")},
		golden{"repository name", parse(get, "/v2/Acme/manifests/x")},
		golden{"encoded repository name", parse(get, "/v2/acme%2fapp/manifests/x")},
		golden{"tag", parse(get, "/v2/acme/app/manifests/-x")},
		golden{"digest", parse(get, "/v2/acme/app/blobs/sha256:x")},
		golden{"session", parse(get, "/v2/acme/app/blobs/uploads/a.b")},
		golden{"no digest", parse(put, "/v2/acme/app/blobs/uploads/x")},
		golden{"count", parse(get, "/v2/acme/app/tags/list?n=-1")},
		golden{"query", parse(get, "/v2/acme/app/tags/list?n=%zz")},
		golden{"twice", parse(get, "/v2/acme/app/tags/list?n=1&n=1")},
		golden{"too many tags", parse(put, "/v2/acme/app/manifests/x?"+strings.Repeat("&tag=x", 101))},
	)
	h := distspec.New(&registrytest.Memory{}, distspec.Options{})
	var got bytes.Buffer
	for _, c := range cases {
		r := httptest.NewRequestWithContext(registry.WithCaller(t.Context(), &registry.Caller{RequestID: "req-1"}), get, "/v2/", nil)
		w := httptest.NewRecorder()
		h.WriteError(w, r, c.err)
		fmt.Fprintf(&got, "-- %s --\n%d\n", c.name, w.Code)
		for _, name := range []string{"Allow", "Retry-After"} {
			if v := w.Header().Get(name); v != "" {
				fmt.Fprintf(&got, "%s: %s\n", name, v)
			}
		}
		fmt.Fprintln(&got, w.Body)
	}
	const file = "testdata/errors.golden"
	if *update {
		if err := os.WriteFile(file, got.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got.String()); diff != "" {
		t.Errorf("error bodies (-want +got), see -update:\n%s", diff)
	}
	if strings.Contains(got.String(), "secret") {
		t.Error("a cause was sent to the client")
	}
}

func TestErrorToNobody(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var log bytes.Buffer
	h := distspec.New(&registrytest.Memory{}, distspec.Options{Log: slog.New(slog.NewTextHandler(&log, nil))})
	w := httptest.NewRecorder()
	h.WriteError(w, httptest.NewRequestWithContext(ctx, get, "/v2/", nil), fmt.Errorf("query: %w", context.Canceled))
	if w.Code < 400 || w.Body.Len() > 0 || log.Len() > 0 {
		t.Errorf("status %d, body %q, log %q; want an error, without body or log", w.Code, w.Body, log.String())
	}
}

func TestErrorLog(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		err  error
		want string // "" for nothing
	}{
		{errors.New("disk on fire"), "level=ERROR"},
		{registry.E("engine.Op", registry.NoSpace, errors.New("disk on fire"), "full"), "level=ERROR"},
		{registry.E("engine.Op", registry.Unavailable, errors.New("disk on fire"), "later"), "level=WARN"},
		{registry.E("engine.Op", registry.BlobUnknown, errors.New("disk on fire"), "no"), ""},
	} {
		var log bytes.Buffer
		h := distspec.New(&registrytest.Memory{}, distspec.Options{Log: slog.New(slog.NewTextHandler(&log, nil))})
		h.WriteError(httptest.NewRecorder(), httptest.NewRequestWithContext(t.Context(), get, "/v2/", nil), tt.err)
		lines := strings.Count(log.String(), "\n")
		switch {
		case tt.want == "" && lines != 0:
			t.Errorf("%v is logged: %s", tt.err, log.String())
		case tt.want != "" && (lines != 1 || !strings.Contains(log.String(), tt.want) || !strings.Contains(log.String(), "disk on fire")):
			t.Errorf("log of %v is %q, want one line with %s and the cause", tt.err, log.String(), tt.want)
		}
	}
}

func TestErrorOfHead(t *testing.T) {
	t.Parallel()
	h := distspec.New(&registrytest.Memory{}, distspec.Options{})
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), head, "/v2/acme/app/manifests/x", nil))
	if w.Code != http.StatusNotFound || w.Body.Len() > 0 {
		t.Errorf("status %d, body %q", w.Code, w.Body)
	}
}
