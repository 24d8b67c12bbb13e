package s3

import (
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
)

func params(endpoint string) map[string]any {
	return map[string]any{"accesskey": "a", "secretkey": "b", "region": "us-east-1", "regionendpoint": endpoint, "bucket": "bucket", "forcepathstyle": true}
}

// TestAdopt: distribution's driver still has what is taken over from it, with
// the values that its parameters say.
func TestAdopt(t *testing.T) {
	t.Parallel()
	p := params("https://s3.example.org")
	for k, v := range map[string]any{"encrypt": true, "keyid": "key", "storageclass": "NONE", "objectacl": "public-read", "chunksize": 6 << 20, "redirectendpoint": "https://cdn.example.org"} {
		p[k] = v
	}
	d, err := Open(t.Context(), p)
	if err != nil {
		t.Fatal(err)
	}
	if d.client == nil || d.Bucket != "bucket" || d.ChunkSize != 6<<20 || d.KeyID != "key" || *d.encryption() != "aws:kms" || d.class() != nil ||
		d.ObjectACL != "public-read" || d.RedirectEndpoint.Host != "cdn.example.org" {
		t.Errorf("got %+v", d.settings)
	}
	if d, err = Open(t.Context(), params("")); err != nil || d.ChunkSize != partSize || d.encryption() != nil || *d.class() != "STANDARD" {
		t.Errorf("by default: got %+v, %v", d.settings, err)
	}
	for _, bad := range []map[string]any{{}, {"region": "nowhere", "bucket": "b"}, {"region": "us-east-1"}} {
		if _, err := Open(t.Context(), bad); err == nil {
			t.Errorf("%v: no error", bad)
		}
	}
}

// TestSigning: a body's hash is signed where nothing else guards it on its way.
func TestSigning(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		start    func(http.Handler) *httptest.Server
		unsigned bool
	}{"http": {httptest.NewServer, false}, "https": {httptest.NewTLSServer, true}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			header := make(chan http.Header, 1)
			server := tt.start(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
				_, _ = io.Copy(io.Discard, r.Body)
				header <- r.Header
			}))
			defer server.Close()
			p := params(server.URL)
			p["skipverify"] = true
			d, err := Open(t.Context(), p)
			if err != nil {
				t.Fatal(err)
			}
			w, err := d.Writer(t.Context(), "/objects/ab/x", false)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := w.Write([]byte("hello")); err != nil {
				t.Fatal(err)
			}
			if err := w.Commit(t.Context()); err != nil {
				t.Fatal(err)
			}
			h := <-header
			if got := h.Get("X-Amz-Content-Sha256") == "UNSIGNED-PAYLOAD"; got != tt.unsigned || h.Get("Authorization") == "" || h.Get("Content-Md5") != "" {
				t.Errorf("got %v", h)
			}
		})
	}
}
