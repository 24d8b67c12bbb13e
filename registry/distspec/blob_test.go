package distspec_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/opencontainers/go-digest"

	"github.com/packhouse/packhouse/registry"
	"github.com/packhouse/packhouse/registry/distspec"
	"github.com/packhouse/packhouse/registry/registrytest"
)

func TestBlobGet(t *testing.T) {
	t.Parallel()
	c := serve(t, distspec.Options{})
	const content = "0123456789"
	d := c.blob(content)
	path, etag := "/v2/acme/app/blobs/"+d.String(), `"`+d.String()+`"`
	common := headers{
		"Docker-Content-Digest": d.String(), "Etag": etag, "Accept-Ranges": "bytes", "X-Content-Type-Options": "nosniff",
		"Cache-Control": "private, max-age=31536000, immutable",
	}
	with := func(more headers) headers {
		for k, v := range common {
			if _, ok := more[k]; !ok {
				more[k] = v
			}
		}
		return more
	}
	whole := with(headers{"Content-Type": "application/octet-stream", "Content-Length": "10", "Content-Range": ""})
	tests := []struct {
		name    string
		headers []string
		status  int
		want    headers
		body    string
	}{
		{"whole", nil, 200, whole, content},
		{"range", []string{"Range", "bytes=2-4"}, 206, with(headers{"Content-Length": "3", "Content-Range": "bytes 2-4/10"}), "234"},
		{"open range", []string{"Range", "bytes=8-"}, 206, with(headers{"Content-Length": "2", "Content-Range": "bytes 8-9/10"}), "89"},
		{"suffix", []string{"Range", "bytes=-3"}, 206, with(headers{"Content-Length": "3", "Content-Range": "bytes 7-9/10"}), "789"},
		{"more than there is", []string{"Range", "bytes=2-99"}, 206, with(headers{"Content-Range": "bytes 2-9/10"}), "23456789"},
		{"several ranges", []string{"Range", "bytes=0-1,3-4"}, 200, whole, content},
		{"two headers", []string{"Range", "bytes=0-1", "Range", "bytes=3-4"}, 200, whole, content},
		{"other unit", []string{"Range", "lines=0-1"}, 200, whole, content},
		{"if it is this", []string{"Range", "bytes=2-4", "If-Range", etag}, 206, with(headers{"Content-Length": "3"}), "234"},
		{"if it is another", []string{"Range", "bytes=2-4", "If-Range", `"x"`}, 200, whole, content},
		{"if it is weakly this", []string{"Range", "bytes=2-4", "If-Range", "W/" + etag}, 200, whole, content},
		{"if of a date", []string{"Range", "bytes=2-4", "If-Range", "Sun, 06 Nov 1994 08:49:37 GMT"}, 200, whole, content},
		{"client has it", []string{"If-None-Match", etag}, 304, headers{"Etag": etag, "Content-Length": "", "Content-Type": ""}, ""},
		{"client has it, asks a range", []string{"If-None-Match", etag, "Range", "bytes=2-4"}, 304, headers{"Content-Range": ""}, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r := c.do(get, path, "", tt.headers...)
			r.want(t, tt.status, tt.want)
			r.wantBody(t, tt.body)
		})
	}
	for _, bad := range []string{"bytes=10-", "bytes=5-2", "bytes=x"} {
		r := c.do(get, path, "", "Range", bad)
		r.wantError(t, http.StatusRequestedRangeNotSatisfiable, registry.SizeInvalid)
		r.want(t, http.StatusRequestedRangeNotSatisfiable, headers{"Content-Range": "bytes */10", "Etag": "", "Cache-Control": ""})
	}
	r := c.do(head, path, "", "Range", "bytes=2-4")
	r.want(t, http.StatusOK, whole)
	r.wantBody(t, "")
	empty := c.blob("")
	c.do(get, "/v2/acme/app/blobs/"+empty.String(), "").want(t, http.StatusOK, headers{"Content-Length": "0"})

	absent := digest.FromString("absent").String()
	c.do(get, "/v2/acme/app/blobs/"+absent, "").wantError(t, 404, registry.BlobUnknown)
	c.do(get, "/v2/acme/other/blobs/"+absent, "").wantError(t, 404, registry.NameUnknown)
	c.do(head, "/v2/acme/app/blobs/"+absent, "").want(t, 404, headers{"Docker-Content-Digest": ""})
}

func TestBlobDelete(t *testing.T) {
	t.Parallel()
	c := serve(t, distspec.Options{})
	d := c.blob("x").String()
	used := c.image("used")
	path := "/v2/acme/app/blobs/" + d
	c.do(del, path, "", "If-Match", `"x"`).wantError(t, 412, registry.Denied)
	c.do(del, path, "", "If-None-Match", "*").wantError(t, 412, registry.Denied)
	c.do(del, path, "", "If-Match", "x").wantError(t, 400, registry.Unsupported)
	c.do(del, path, "", "If-Match", `"`+d+`"`).want(t, http.StatusAccepted, headers{"Content-Length": "0"})
	c.do(del, path, "", "If-Match", "*").wantError(t, 404, registry.BlobUnknown)
	c.do(del, path, "").wantError(t, 404, registry.BlobUnknown)
	r := c.do(del, "/v2/acme/app/blobs/"+digest.FromString("used").String(), "")
	r.wantError(t, http.StatusMethodNotAllowed, registry.Denied)
	if !strings.Contains(r.body, used.Digest.String()) {
		t.Errorf("body is %s, want it to name %s", r.body, used.Digest)
	}
}

// ending serves every blob from a reader of its own making.
type ending struct {
	registry.Registry
	size int64
	body func() io.Reader
}

func (e ending) StatBlob(_ context.Context, _ registry.Repo, d registry.Digest) (registry.Descriptor, error) {
	return registry.Descriptor{Digest: d, Size: e.size}, nil
}

func (e ending) Blob(context.Context, registry.Repo, registry.Digest, int64, int64) (io.ReadCloser, error) {
	return io.NopCloser(e.body()), nil
}

// TestBlobBreaksOff: a body that cannot be completed never looks complete.
func TestBlobBreaksOff(t *testing.T) {
	t.Parallel()
	const size = 1 << 20
	part := bytes.Repeat([]byte("x"), size/2)
	for name, body := range map[string]func() io.Reader{
		"error":     func() io.Reader { return io.MultiReader(bytes.NewReader(part), iotest.ErrReader(errors.New("disk"))) },
		"early end": func() io.Reader { return bytes.NewReader(part) },
		"at once":   func() io.Reader { return iotest.ErrReader(errors.New("disk")) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			reg := ending{&registrytest.Memory{}, size, body}
			wantAbort(t, reg)
			c := serveRegistry(t, reg, distspec.Options{})
			r, err := http.NewRequestWithContext(t.Context(), get, c.url+"/v2/acme/app/blobs/"+sha256OfNothing.String(), nil)
			if err != nil {
				t.Fatal(err)
			}
			resp, err := http.DefaultTransport.RoundTrip(r)
			if err != nil {
				return // not even the head arrived
			}
			defer func() { _ = resp.Body.Close() }() // it breaks off anyway
			if n, err := io.Copy(io.Discard, resp.Body); err == nil {
				t.Errorf("body of %d bytes ends cleanly after %d", resp.ContentLength, n)
			}
		})
	}
}

// wantAbort checks that it is not left to net/http, which compares lengths
// only if there is one, to notice.
func wantAbort(t *testing.T, reg registry.Registry) {
	t.Helper()
	defer func() {
		if err, _ := recover().(error); !errors.Is(err, http.ErrAbortHandler) {
			t.Errorf("the handler ends with %v, want %v", err, http.ErrAbortHandler)
		}
	}()
	distspec.New(reg, distspec.Options{}).ServeHTTP(httptest.NewRecorder(),
		httptest.NewRequestWithContext(t.Context(), get, "/v2/acme/app/blobs/"+sha256OfNothing.String(), nil))
}

func TestUpload(t *testing.T) {
	t.Parallel()
	c := serve(t, distspec.Options{})
	const uploads = "/v2/acme/app/blobs/uploads/"
	// begin opens a session, and returns its URL without query.
	begin := func(t *testing.T, query string) string {
		t.Helper()
		r := c.do(post, uploads+query, "")
		location := r.header.Get("Location")
		r.want(t, http.StatusAccepted, headers{
			"Location": location, "Docker-Upload-Uuid": strings.TrimPrefix(location, uploads), "Range": "0-0", "Content-Length": "0",
		})
		if u, err := url.Parse(location); err != nil || u.RawQuery != "" || !strings.HasPrefix(location, uploads) {
			t.Fatalf("Location is %q, want a path below %s", location, uploads)
		}
		return location
	}
	created := func(d registry.Digest) headers {
		return headers{"Location": "/v2/acme/app/blobs/" + d.String(), "Docker-Content-Digest": d.String(), "Content-Length": "0"}
	}
	stored := func(t *testing.T, d registry.Digest, content string) {
		t.Helper()
		r := c.do(get, "/v2/acme/app/blobs/"+d.String(), "")
		r.want(t, http.StatusOK, nil)
		r.wantBody(t, content)
	}
	for _, a := range []digest.Algorithm{digest.SHA256, digest.SHA512} {
		t.Run("single POST "+a.String(), func(t *testing.T) {
			t.Parallel()
			for _, content := range []string{"single", ""} {
				d := a.FromString(content)
				c.do(post, uploads+"?digest="+d.String(), content).want(t, http.StatusCreated, created(d))
				stored(t, d, content)
			}
		})
		t.Run("POST, PUT "+a.String(), func(t *testing.T) {
			t.Parallel()
			for _, query := range []string{"", "?digest-algorithm=" + a.String()} {
				for _, content := range []string{"post put", ""} {
					d := a.FromString(content + query)
					c.do(put, begin(t, query)+"?digest="+url.QueryEscape(d.String()), content+query).want(t, http.StatusCreated, created(d))
					stored(t, d, content+query)
				}
			}
		})
		t.Run("chunks "+a.String(), func(t *testing.T) {
			t.Parallel()
			at, d := begin(t, ""), a.FromString("one two three")
			c.do(patch, at, "one ", "Content-Range", "0-3").want(t, http.StatusAccepted, headers{"Location": at, "Range": "0-3", "Content-Length": "0"})
			c.do(patch, at, "two ", "Content-Range", "4-7").want(t, http.StatusAccepted, headers{"Range": "0-7"})
			for _, method := range []string{get, head} {
				c.do(method, at, "").want(t, http.StatusNoContent, headers{"Location": at, "Range": "0-7", "Content-Length": ""})
			}
			c.do(put, at+"?digest="+d.String(), "three", "Content-Range", "8-12").want(t, http.StatusCreated, created(d))
			stored(t, d, "one two three")
			c.do(get, at, "").wantError(t, 404, registry.BlobUploadUnknown)
		})
		t.Run("stream "+a.String(), func(t *testing.T) {
			t.Parallel()
			at, d := begin(t, ""), a.FromString("stream")
			c.send(patch, at, struct{ io.Reader }{strings.NewReader("stream")}).want(t, http.StatusAccepted, headers{"Range": "0-5"})
			c.do(put, at+"?digest="+d.String(), "").want(t, http.StatusCreated, created(d))
			stored(t, d, "stream")
		})
	}
	t.Run("out of order", func(t *testing.T) {
		t.Parallel()
		at, d := begin(t, ""), digest.FromString("abcd")
		c.do(patch, at, "x", "Content-Range", "1-1").want(t, http.StatusRequestedRangeNotSatisfiable, headers{"Location": at, "Range": "0-0"})
		c.do(patch, at, "ab", "Content-Range", "0-1").want(t, http.StatusAccepted, nil)
		for _, bad := range []string{"0-0", "1-1", "3-3", "99-99"} {
			for _, call := range [][2]string{{patch, at}, {put, at + "?digest=" + d.String()}} {
				r := c.do(call[0], call[1], "x", "Content-Range", bad)
				r.wantError(t, http.StatusRequestedRangeNotSatisfiable, registry.SizeInvalid)
				r.want(t, http.StatusRequestedRangeNotSatisfiable, headers{"Location": at, "Range": "0-1"})
			}
		}
		c.do(put, at+"?digest="+d.String(), "cd", "Content-Range", "2-3").want(t, http.StatusCreated, created(d))
	})
	t.Run("bad range", func(t *testing.T) {
		t.Parallel()
		at := begin(t, "")
		for _, bad := range []string{"", "0", "bytes 0-0/1", "1-0", "0-x"} {
			c.do(patch, at, "x", "Content-Range", bad).wantError(t, 400, registry.BlobUploadInvalid)
		}
		c.do(patch, at, "abc", "Content-Range", "0-3").wantError(t, 400, registry.SizeInvalid)
		c.do(patch, at, "", "Content-Range", "0-0").wantError(t, 400, registry.SizeInvalid)
		c.do(get, at, "").want(t, http.StatusNoContent, headers{"Range": "0-0"})
		// A chunked body shows only at its end that it is shorter or longer.
		c.send(patch, at, struct{ io.Reader }{strings.NewReader("abc")}, "Content-Range", "0-3").wantError(t, 400, registry.SizeInvalid)
		c.send(patch, begin(t, ""), struct{ io.Reader }{strings.NewReader("abc")}, "Content-Range", "0-1").wantError(t, 400, registry.SizeInvalid)
		at = begin(t, "")
		c.send(patch, at, struct{ io.Reader }{strings.NewReader("abc")}, "Content-Range", "0-2").want(t, http.StatusAccepted, headers{"Range": "0-2"})
	})
	t.Run("wrong digest", func(t *testing.T) {
		t.Parallel()
		d, at := digest.FromString("other").String(), begin(t, "")
		c.do(put, at+"?digest="+d, "x").wantError(t, 400, registry.DigestInvalid)
		c.do(get, at, "").wantError(t, 404, registry.BlobUploadUnknown)
		c.do(post, uploads+"?digest="+d, "x").wantError(t, 400, registry.DigestInvalid)
		c.do(get, "/v2/acme/app/blobs/"+d, "").wantError(t, 404, registry.BlobUnknown)
	})
	t.Run("cancel", func(t *testing.T) {
		t.Parallel()
		at := begin(t, "")
		c.do(del, at, "").want(t, http.StatusNoContent, headers{"Content-Length": ""})
		c.do(del, at, "").wantError(t, 404, registry.BlobUploadUnknown)
		c.do(patch, at, "x").wantError(t, 404, registry.BlobUploadUnknown)
		c.do(put, at+"?digest="+sha256OfNothing.String(), "").wantError(t, 404, registry.BlobUploadUnknown)
	})
	t.Run("of another repository", func(t *testing.T) {
		t.Parallel()
		c.do(patch, strings.Replace(begin(t, ""), "acme/app", "acme/other", 1), "x").wantError(t, 404, registry.BlobUploadUnknown)
	})
}

func TestMount(t *testing.T) {
	t.Parallel()
	c := serve(t, distspec.Options{})
	d := c.blob("x")
	absent := digest.FromString("absent").String()
	for _, query := range []string{"?from=acme%2Fapp&mount=" + d.String(), "?mount=" + d.String()} {
		c.do(post, "/v2/acme/new/blobs/uploads/"+query, "").want(t, http.StatusCreated, headers{
			"Location": "/v2/acme/new/blobs/" + d.String(), "Docker-Content-Digest": d.String(),
		})
	}
	for _, query := range []string{
		"?from=acme%2Fapp&mount=" + absent, "?mount=" + absent, "?from=no%2Fsuch&mount=" + d.String(), "?from=..&mount=" + d.String(),
	} {
		r := c.do(post, "/v2/acme/newer/blobs/uploads/"+query, "")
		r.want(t, http.StatusAccepted, headers{"Range": "0-0"})
		if !strings.HasPrefix(r.header.Get("Location"), "/v2/acme/newer/blobs/uploads/") {
			t.Errorf("Location is %q", r.header.Get("Location"))
		}
	}
}
