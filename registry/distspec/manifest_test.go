package distspec_test

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/packhouse/packhouse/registry"
	"github.com/packhouse/packhouse/registry/distspec"
	"github.com/packhouse/packhouse/registry/registrytest"
)

func TestBase(t *testing.T) {
	t.Parallel()
	c := serve(t, distspec.Options{})
	for _, path := range []string{"/v2", "/v2/"} {
		r := c.do(get, path, "")
		r.want(t, http.StatusOK, headers{
			"Content-Type": "application/json", "Docker-Distribution-Api-Version": "registry/2.0", "X-Content-Type-Options": "nosniff",
		})
		r.wantBody(t, "{}")
		c.do(head, path, "").want(t, http.StatusOK, headers{"Content-Length": "2"})
	}
}

func TestManifestGet(t *testing.T) {
	t.Parallel()
	c := serve(t, distspec.Options{})
	m := c.image("a", "latest")
	d, size := m.Digest.String(), fmt.Sprint(m.Size)
	byDigest := "private, max-age=31536000, immutable"
	const never = "" // a header that must not be there
	for path, caching := range map[string]string{
		"/v2/acme/app/manifests/latest":                               "no-cache",
		"/v2/acme/app/manifests/" + d:                                 byDigest,
		"/v2/acme/app/manifests/" + strings.Replace(d, ":", "%3A", 1): byDigest,
	} {
		for _, method := range []string{get, head} {
			r := c.do(method, path, "", "Accept", "text/plain")
			r.want(t, http.StatusOK, headers{
				"Content-Type": ocispec.MediaTypeImageManifest, "Content-Length": size, "Docker-Content-Digest": d,
				"Etag": `"` + d + `"`, "Cache-Control": caching, "X-Content-Type-Options": "nosniff",
			})
			if method == get {
				r.wantBody(t, string(m.Raw))
			}
			for _, match := range []string{`"` + d + `"`, `"sha256:0", W/"` + d + `"`, "*"} {
				r := c.do(method, path, "", "If-None-Match", match)
				r.want(t, http.StatusNotModified, headers{
					"Etag": `"` + d + `"`, "Cache-Control": caching, "Content-Type": never, "Content-Length": never,
				})
				r.wantBody(t, "")
			}
			c.do(method, path, "", "If-None-Match", `"sha256:0"`).want(t, http.StatusOK, headers{"Content-Length": size})
		}
	}
	absent := sha256OfNothing.String()
	for path, code := range map[string]registry.Code{
		"/v2/acme/app/manifests/absent":      registry.ManifestUnknown,
		"/v2/acme/app/manifests/" + absent:   registry.ManifestUnknown,
		"/v2/acme/other/manifests/latest":    registry.NameUnknown,
		"/v2/acme/other/manifests/" + absent: registry.NameUnknown,
	} {
		r := c.do(get, path, "")
		r.wantError(t, http.StatusNotFound, code)
		r.want(t, http.StatusNotFound, headers{"Cache-Control": never, "Etag": never})
		r = c.do(head, path, "")
		r.want(t, http.StatusNotFound, headers{"Content-Type": never})
		r.wantBody(t, "")
	}
}

func TestManifestTypes(t *testing.T) {
	t.Parallel()
	c := serve(t, distspec.Options{})
	c.blob("c")
	for _, mediaType := range []string{ocispec.MediaTypeImageManifest, registry.MediaTypeDockerManifest} {
		m := registrytest.Image(func(m *ocispec.Manifest) { m.MediaType = mediaType }, []byte("c"))
		for _, sent := range []string{mediaType, mediaType + "; charset=utf-8", ""} {
			c.do(put, "/v2/acme/app/manifests/v1", string(m.Raw), "Content-Type", sent).want(t, http.StatusCreated, nil)
			c.do(get, "/v2/acme/app/manifests/v1", "").want(t, http.StatusOK, headers{"Content-Type": mediaType})
		}
	}
	retired := `{"mediaType":"` + registry.MediaTypeArtifactManifest + `","artifactType":"a/b","blobs":[]}`
	c.do(put, "/v2/acme/app/manifests/v2", retired, "Content-Type", registry.MediaTypeArtifactManifest).want(t, http.StatusCreated, nil)
	c.do(get, "/v2/acme/app/manifests/v2", "").want(t, http.StatusOK, headers{"Content-Type": registry.MediaTypeArtifactManifest})
}

func TestManifestPut(t *testing.T) {
	t.Parallel()
	c := serve(t, distspec.Options{})
	c.blob("c")
	m := registrytest.Image(nil, []byte("c"))
	d := m.Digest.String()
	long := digest.SHA512.FromBytes(m.Raw)
	withSubject := registrytest.Image(func(m *ocispec.Manifest) {
		m.Subject = &ocispec.Descriptor{MediaType: ocispec.MediaTypeImageManifest, Digest: sha256OfNothing, Size: 1}
	}, []byte("c"))
	tests := []struct {
		name, path string
		m          registry.Manifest
		want       headers
	}{
		{"by tag", "v1", m, headers{
			"Location": "/v2/acme/app/manifests/" + d, "Docker-Content-Digest": d, "Etag": `"` + d + `"`,
			"Content-Length": "0", "Oci-Tag": "", "Oci-Subject": "",
		}},
		{"by digest", d, m, headers{"Location": "/v2/acme/app/manifests/" + d, "Docker-Content-Digest": d, "Oci-Tag": ""}},
		{"by sha512", long.String(), m, headers{"Location": "/v2/acme/app/manifests/" + long.String(), "Docker-Content-Digest": long.String()}},
		{"by digest with tags", d + "?tag=1.2&tag=1&tag=1.2&tag=latest", m, headers{"Docker-Content-Digest": d, "Oci-Tag": "1 | 1.2 | latest"}},
		{"by tag with tags", "b?tag=a", m, headers{"Docker-Content-Digest": d, "Oci-Tag": "a | b"}},
		{"with subject", "v2", withSubject, headers{"Oci-Subject": sha256OfNothing.String()}},
	}
	for _, tt := range tests {
		t.Log(tt.name)
		c.do(put, "/v2/acme/app/manifests/"+tt.path, string(tt.m.Raw), "Content-Type", tt.m.MediaType).want(t, http.StatusCreated, tt.want)
		c.do(get, "/v2/acme/app/manifests/"+tt.m.Digest.String(), "").wantBody(t, string(tt.m.Raw))
	}
	for _, tag := range []string{"v1", "v2", "1.2", "1", "latest", "a", "b"} {
		c.do(head, "/v2/acme/app/manifests/"+tag, "").want(t, http.StatusOK, nil)
	}
	c.do(get, "/v2/acme/app/manifests/"+long.String(), "").wantBody(t, string(m.Raw))
}

func TestManifestPutRefuses(t *testing.T) {
	t.Parallel()
	c := serve(t, distspec.Options{MaxManifest: 1000})
	c.blob("c")
	good := string(registrytest.Image(nil, []byte("c")).Raw)
	missing := string(registrytest.Image(nil, []byte("c"), []byte("absent")).Raw)
	wrong := sha256OfNothing.String()
	tests := []struct {
		name, path, contentType, body string
		status                        int
		code                          registry.Code
	}{
		{"other digest", wrong, ocispec.MediaTypeImageManifest, good, 400, registry.DigestInvalid},
		{"empty", "v1", ocispec.MediaTypeImageManifest, "", 400, registry.ManifestInvalid},
		{"not JSON", "v1", ocispec.MediaTypeImageManifest, "hello", 400, registry.ManifestInvalid},
		{"other type", "v1", ocispec.MediaTypeImageIndex, good, 400, registry.ManifestInvalid},
		{"unknown type", "v1", "application/json", good, 400, registry.ManifestInvalid},
		{"missing layer", "v1", ocispec.MediaTypeImageManifest, missing, 400, registry.ManifestBlobUnknown},
		{"too large", "v1", ocispec.MediaTypeImageManifest, good + strings.Repeat(" ", 1000), 413, registry.SizeInvalid},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c.do(put, "/v2/acme/app/manifests/"+tt.path, tt.body, "Content-Type", tt.contentType).wantError(t, tt.status, tt.code)
			// The same of unknown length.
			c.send(put, "/v2/acme/app/manifests/"+tt.path, struct{ *bytes.Buffer }{bytes.NewBufferString(tt.body)}, "Content-Type", tt.contentType).
				wantError(t, tt.status, tt.code)
			c.do(get, "/v2/acme/app/manifests/v1", "").wantError(t, 404, registry.ManifestUnknown)
		})
	}
}

func TestManifestConditions(t *testing.T) {
	t.Parallel()
	c := serve(t, distspec.Options{})
	a, b := c.image("a"), c.image("b")
	quoted := func(m registry.Manifest) string { return `"` + m.Digest.String() + `"` }
	const tag, created = "/v2/acme/app/manifests/v1", http.StatusCreated
	steps := []struct {
		name, method, path string
		m                  registry.Manifest
		header, value      string
		status             int
	}{
		{"move what is not there", put, tag, a, "If-Match", "*", 412},
		{"create", put, tag, a, "If-None-Match", "*", created},
		{"create again", put, tag, a, "If-None-Match", "*", 412},
		{"weak tags do not match", put, tag, b, "If-Match", "W/" + quoted(a), 412},
		{"a quoted star is no wildcard", put, tag, b, "If-Match", `"*"`, 412},
		{"move from another", put, tag, b, "If-Match", quoted(b), 412},
		{"unless it is this", put, tag, b, "If-None-Match", quoted(b) + "," + quoted(a), 412},
		{"move from this", put, tag, b, "If-Match", `"sha256:x" , ` + quoted(a), created},
		{"one of the tags", put, "/v2/acme/app/manifests/" + a.Digest.String() + "?tag=v1&tag=new", a, "If-None-Match", "*", 412},
		{"digest that is there", put, "/v2/acme/app/manifests/" + a.Digest.String(), a, "If-None-Match", "*", 412},
		{"not quoted", put, tag, b, "If-Match", a.Digest.String(), 400},
		{"not closed", put, tag, b, "If-Match", `"x`, 400},
		{"nothing", put, tag, b, "If-None-Match", "", 400},
		{"no comma", put, tag, b, "If-None-Match", `"x" "y"`, 400},
		{"delete another", del, tag, b, "If-Match", quoted(a), 412},
		{"delete this", del, tag, b, "If-Match", quoted(b), 202},
		{"delete another manifest", del, "/v2/acme/app/manifests/" + a.Digest.String(), a, "If-Match", quoted(b), 412},
		{"delete this manifest", del, "/v2/acme/app/manifests/" + a.Digest.String(), a, "If-Match", quoted(a), 202},
		{"malformed on delete", del, tag, a, "If-Match", "x", 400},
	}
	for _, s := range steps {
		body := ""
		if s.method == put {
			body = string(s.m.Raw)
		}
		r := c.do(s.method, s.path, body, "Content-Type", s.m.MediaType, s.header, s.value)
		if r.status != s.status {
			t.Fatalf("%s: status is %d, want %d; body %s", s.name, r.status, s.status, r.body)
		}
		if s.status == 412 && !strings.Contains(r.body, `"code":"DENIED"`) || s.status == 412 && !strings.Contains(r.body, `"reason":"PRECONDITION_FAILED"`) {
			t.Errorf("%s: body is %s", s.name, r.body)
		}
	}
	c.do(get, "/v2/acme/app/manifests/new", "").wantError(t, 404, registry.ManifestUnknown)
}

// TestManifestRace: of 64 clients that create one tag, one does.
func TestManifestRace(t *testing.T) {
	t.Parallel()
	c := serve(t, distspec.Options{})
	const clients = 64
	images := make([]registry.Manifest, clients)
	for i := range images {
		images[i] = c.image(fmt.Sprint(i))
	}
	var created, refused atomic.Int32
	var all sync.WaitGroup
	for _, m := range images {
		all.Go(func() {
			switch r := c.do(put, "/v2/acme/app/manifests/v1", string(m.Raw), "Content-Type", m.MediaType, "If-None-Match", "*"); r.status {
			case http.StatusCreated:
				created.Add(1)
			case http.StatusPreconditionFailed:
				refused.Add(1)
			}
		})
	}
	all.Wait()
	if created.Load() != 1 || refused.Load() != clients-1 {
		t.Errorf("%d created, %d refused, want 1 and %d", created.Load(), refused.Load(), clients-1)
	}
}

func TestManifestDelete(t *testing.T) {
	t.Parallel()
	c := serve(t, distspec.Options{})
	child := c.image("a", "v1", "v2")
	index := c.put(registrytest.Index(nil, child), "all")
	c.do(del, "/v2/acme/app/manifests/v1", "").want(t, http.StatusAccepted, headers{"Content-Length": "0"})
	c.do(get, "/v2/acme/app/manifests/v1", "").wantError(t, 404, registry.ManifestUnknown)
	c.do(del, "/v2/acme/app/manifests/v1", "").wantError(t, 404, registry.ManifestUnknown)
	r := c.do(del, "/v2/acme/app/manifests/"+child.Digest.String(), "")
	r.wantError(t, http.StatusMethodNotAllowed, registry.Denied)
	r.want(t, http.StatusMethodNotAllowed, headers{"Allow": "GET, HEAD"})
	for _, says := range []string{`"reason":"REFERENCED"`, index.Digest.String()} {
		if !strings.Contains(r.body, says) {
			t.Errorf("body is %s, want it to say %s", r.body, says)
		}
	}
	for _, m := range []registry.Manifest{index, child} {
		c.do(del, "/v2/acme/app/manifests/"+m.Digest.String(), "").want(t, http.StatusAccepted, nil)
		c.do(get, "/v2/acme/app/manifests/"+m.Digest.String(), "").wantError(t, 404, registry.ManifestUnknown)
	}
	c.do(get, "/v2/acme/app/manifests/v2", "").wantError(t, 404, registry.ManifestUnknown)
	c.do(del, "/v2/acme/other/manifests/v1", "").wantError(t, 404, registry.NameUnknown)
}

func TestBaseURL(t *testing.T) {
	t.Parallel()
	c := serve(t, distspec.Options{BaseURL: func(r *http.Request) string { return "https://" + r.Header.Get("X-Forwarded-Host") }})
	m := c.image("a", "v1", "v2")
	const host, at = "X-Forwarded-Host", "https://registry.example.org"
	c.do(put, "/v2/acme/app/manifests/v1", string(m.Raw), host, "registry.example.org").
		want(t, http.StatusCreated, headers{"Location": at + "/v2/acme/app/manifests/" + m.Digest.String()})
	c.do(get, "/v2/acme/app/tags/list?n=1", "", host, "registry.example.org").
		want(t, http.StatusOK, headers{"Link": "<" + at + `/v2/acme/app/tags/list?last=v1&n=1>; rel="next"`})
	r := c.do(post, "/v2/acme/app/blobs/uploads/", "", host, "registry.example.org")
	if !strings.HasPrefix(r.header.Get("Location"), at+"/v2/acme/app/blobs/uploads/") {
		t.Errorf("Location is %q", r.header.Get("Location"))
	}
}

// seen keeps what the handler passed to PutManifest.
type seen struct {
	registry.Registry
	m registry.Manifest
	o registry.PutOptions
}

func (s *seen) PutManifest(_ context.Context, _ registry.Repo, m registry.Manifest, o registry.PutOptions) (registry.PutResult, error) {
	s.m, s.o = m, o
	return registry.PutResult{Descriptor: m.Descriptor}, nil
}

func TestManifestPutPasses(t *testing.T) {
	t.Parallel()
	s := &seen{Registry: &registrytest.Memory{}}
	c := serveRegistry(t, s, distspec.Options{})
	c.do(put, "/v2/acme/app/manifests/v1?tag=v0", "{}", "Content-Type", "a/b; c=d",
		"If-Match", `"x", W/"y"`, "If-Match", `"z"`, "If-None-Match", "*").want(t, http.StatusCreated, nil)
	want := seen{
		m: registry.Manifest{Raw: []byte("{}"), Descriptor: registry.Descriptor{MediaType: "a/b", Digest: digest.FromString("{}"), Size: 2}},
		o: registry.PutOptions{
			Tags: []registry.Tag{"v0", "v1"},
			If:   registry.Condition{Match: []string{"x", "W/y", "z"}, NoneMatch: []string{"*"}},
		},
	}
	if diff := cmp.Diff(want.m, s.m); diff != "" {
		t.Errorf("manifest (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(want.o, s.o); diff != "" {
		t.Errorf("options (-want +got):\n%s", diff)
	}
}
