package server

import (
	"crypto/sha256"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"testing"

	_ "github.com/distribution/distribution/v3/registry/storage/driver/middleware/redirect" // "redirect"
	"github.com/google/go-cmp/cmp"

	"github.com/packhouse/packhouse/registry"
	"github.com/packhouse/packhouse/registry/config"
)

// redirecting is a server whose blobs of ten bytes and more are on a content
// delivery network, but for those of kept/**.
func redirecting(t *testing.T) (*Backend, *running, string) {
	t.Helper()
	b, r, admin := guarded(t, func(c *config.Config) {
		c.Storage.Redirect = config.Redirect{Enabled: true, Except: []string{"kept/**"}, MinSize: 10}
		c.Storage.Middleware = config.Middleware{Name: "redirect", Params: config.Params{"baseurl": "https://cdn.example"}}
	})
	r.client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return b, r, "admin:" + admin
}

func (r *running) pushBlob(t *testing.T, credentials, repo, content string) (path string) {
	t.Helper()
	d := fmt.Sprintf("sha256:%x", sha256.Sum256([]byte(content)))
	if res, body := r.send(t, "POST", "/v2/"+repo+"/blobs/uploads/?digest="+d, credentials, content); res.StatusCode != http.StatusCreated {
		t.Fatalf("push: %d %s", res.StatusCode, body)
	}
	return "/v2/" + repo + "/blobs/" + d
}

func TestRedirect(t *testing.T) {
	t.Parallel()
	_, r, admin := redirecting(t)
	large, small := strings.Repeat("x", 10), "small"
	for _, tt := range []struct {
		name, repo, content, method string
		header                      string // one more, "Name: value"
		want                        int
	}{
		{"GET", "acme/app", large, "GET", "", http.StatusTemporaryRedirect},
		{"range", "acme/app", large, "GET", "Range: bytes=0-1", http.StatusTemporaryRedirect},
		{"HEAD", "acme/app", large, "HEAD", "", http.StatusOK},
		{"small", "acme/app", small, "GET", "", http.StatusOK},
		{"exception", "kept/app", large, "GET", "", http.StatusOK},
		{"known", "acme/app", large, "GET", "If-None-Match: *", http.StatusNotModified},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			path := r.pushBlob(t, admin, tt.repo, tt.content)
			req, err := http.NewRequestWithContext(t.Context(), tt.method, r.URL()+path, http.NoBody)
			if err != nil {
				t.Fatal(err)
			}
			user, password, _ := strings.Cut(admin, ":")
			req.SetBasicAuth(user, password)
			if name, value, ok := strings.Cut(tt.header, ": "); ok {
				req.Header.Set(name, value)
			}
			res, err := r.client.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			_ = res.Body.Close()
			h := res.Header
			if redirected := strings.HasPrefix(h.Get("Location"), "https://cdn.example/objects/"); res.StatusCode != tt.want || redirected != (tt.want == http.StatusTemporaryRedirect) {
				t.Errorf("got %d, %v", res.StatusCode, h)
			}
			if tt.want == http.StatusTemporaryRedirect && (h.Get("Cache-Control") != "no-store" || h.Get("ETag") != "" || h.Get("Docker-Content-Digest") == "" || h.Get("Content-Length") != "0") {
				t.Errorf("headers: %v", h)
			}
		})
	}
	// Who may not read is not sent anywhere either.
	path := r.pushBlob(t, admin, "acme/secret", large)
	if res, _ := r.send(t, "GET", path, "", ""); res.StatusCode != http.StatusUnauthorized || res.Header.Get("Location") != "" {
		t.Errorf("anonymous: %d, %v", res.StatusCode, res.Header)
	}
}

func TestRedirectGlobs(t *testing.T) {
	t.Parallel()
	x, err := newRedirects(config.Redirect{Enabled: true, Repositories: []string{"acme/**"}, Except: []string{"acme/small/*"}, MinSize: 10}, "", slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	x.sign = func(_ *http.Request, r registry.Repo, _ registry.Digest) (string, error) {
		if r == "acme/broken" {
			return "", registry.Unavailable
		}
		return "to", nil
	}
	got := map[string]string{}
	for _, repo := range []string{"acme/app", "acme/small/app", "acme/small", "other/app", "acme/broken"} {
		got[repo] = x.url(&http.Request{}, registry.Repo(repo), registry.Descriptor{Size: 10})
	}
	want := map[string]string{"acme/app": "to", "acme/small/app": "", "acme/small": "to", "other/app": "", "acme/broken": ""}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if _, err := newRedirects(config.Redirect{Enabled: true, Except: []string{"a***"}}, "", nil); err == nil || !strings.Contains(err.Error(), "storage.redirect.except") {
		t.Errorf("a glob that is none: %v", err)
	}
}

func TestKeepsCredentials(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		host, external, to string
		credentials        bool
		want               bool
	}{
		{"packages.example:5000", "", "https://s3.example/x", true, false},
		{"packages.example:5000", "", "https://packages.example:9000/x", true, true},
		{"packages.example:5000", "", "https://S3.Packages.example/x", true, true},
		{"packages.example:5000", "", "https://packages.example:9000/x", false, false},
		{"packages.example:5000", "", "https://otherpackages.example/x", true, false},
		{"10.0.0.1:5000", "example.org", "https://s3.example.org/x", true, true},
		{"[::1]:5000", "", "http://[::1]:9000/x", true, true},
		{"packages.example", "", "://", true, true},
	} {
		r := (&http.Request{Host: tt.host, Header: http.Header{}}).WithContext(t.Context())
		if tt.credentials {
			r.Header.Set("Authorization", "Bearer x")
		}
		if got := (&redirects{external: tt.external}).keepsCredentials(r, tt.to); got != tt.want {
			t.Errorf("%s to %s: got %v", tt.host, tt.to, got)
		}
	}
}

// Shared caches may keep what everybody may read, and nothing else.
func TestCacheControl(t *testing.T) {
	t.Parallel()
	b, r, admin := guarded(t, nil)
	path := r.pushBlob(t, "admin:"+admin, "acme/app", "hello")
	for _, step := range []struct{ visibility, want string }{
		{"private", "private, max-age=31536000, immutable"},
		{"public", "public, max-age=31536000, s-maxage=86400, immutable"},
		{"private", "private, max-age=31536000, immutable"},
	} {
		if _, err := b.Auth.SetVisibility(asOperator(t), "repository", "acme/app", step.visibility); err != nil {
			t.Fatal(err)
		}
		for _, method := range []string{"GET", "HEAD"} {
			res, _ := r.send(t, method, path, "admin:"+admin, "")
			if got := res.Header.Get("Cache-Control"); got != step.want || res.Header.Get("ETag") == "" {
				t.Errorf("%s of a %s repository: %d, %q, want %q", method, step.visibility, res.StatusCode, got, step.want)
			}
		}
	}
}
