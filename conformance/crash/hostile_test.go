package crash

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/packhouse/packhouse/conformance/packhouse"
)

const (
	hostileRepo   = "hostile/repo"
	manifestLimit = 4 << 20
	blobLimit     = 8 << 20
	// growth is how much memory a server may take for all of this.
	growth = 192 << 20
)

// TestHostile sends requests that break off, stall, never end or lie, in
// parallel. Each is answered with a clear error or cut off by the server's own
// limits, nothing of it is kept, and memory stays bounded.
//
// Seen red: with the bytes of refused uploads kept, without the limit on a
// body's silence, without the limit on a manifest's size, and with nothing that
// bounds all manifests being received together.
func TestHostile(t *testing.T) {
	t.Parallel()
	n := mustStart(t, filepath.Join(t.TempDir(), "data"), packhouse.Options{Env: []string{
		"PACKHOUSE_LIMITS__IDLE_BODY=1s", "PACKHOUSE_LIMITS__HEADER_READ=1s", fmt.Sprintf("PACKHOUSE_LIMITS__BLOB=%d", blobLimit),
	}})
	c := newClient(n.url)
	defer c.close()
	withConfig(t, c, "friendly/repo")
	if r, err := c.putBlob(t.Context(), "friendly/repo", slow); err != nil || r.status != http.StatusCreated {
		t.Fatalf("%v %v", r, err)
	}
	kept := objects(t, n.data)
	before, err := n.resident()
	if err != nil {
		t.Fatal(err)
	}
	t.Run("requests", func(t *testing.T) {
		t.Run("bodies", func(t *testing.T) { t.Parallel(); hostileBodies(t, n) })
		t.Run("silence", func(t *testing.T) { t.Parallel(); hostileSilence(t, n) })
		t.Run("content", func(t *testing.T) { t.Parallel(); hostileContent(t, n, c) })
		t.Run("names", func(t *testing.T) { t.Parallel(); hostileNames(t, n) })
	})
	// On its own: while it lasts, other large manifests are told to come again.
	t.Run("hoard", func(t *testing.T) { hoardManifests(t, n) })
	eventually(t, fmt.Sprintf("%d stored objects, as before", kept), func() bool { return objects(t, n.data) == kept })
	a := newAudit(n.url)
	if err := a.walk(t.Context(), nil); err != nil || a.report() != "" {
		t.Errorf("something was kept: %v %s", err, a.report())
	}
	after, err := n.resident()
	if err != nil {
		t.Fatal(err)
	}
	if after-before > growth {
		t.Errorf("the server's memory grew by %d MiB, the bound is %d MiB", (after-before)>>20, growth>>20)
	}
	t.Logf("peak memory %d MiB, %d MiB of it for hostile requests", after>>20, (after-before)>>20)
}

// hostileBodies sends bodies that are too short, too long or without an end.
func hostileBodies(t *testing.T, n *node) {
	body := randomBytes(dice(300), 1<<20)
	digest := digestOf(body)
	for _, target := range []string{
		uploadPath(hostileRepo) + "?digest=" + digest,
		manifestPath(hostileRepo, "v1"),
	} {
		// The connection closes half way.
		w := dial(t, n)
		method := http.MethodPost
		if strings.Contains(target, "manifests") {
			method = http.MethodPut
		}
		w.head(t, method, target, "Content-Type: "+imageType, fmt.Sprintf("Content-Length: %d", len(body)))
		if _, err := w.Write(body[:len(body)/2]); err != nil {
			t.Error(err)
		}
		_ = w.Close()
		// A body longer than it says: what is over is no request.
		w = dial(t, n)
		w.head(t, method, target, "Content-Type: "+imageType, "Content-Length: 1000")
		_, _ = w.Write(body) // may be reset half way
		r, err := w.answer()
		if err != nil || r != nil && r.status/100 != 4 {
			t.Errorf("over-long body to %s: %v %v", target, r, err)
		}
		// Two lengths that contradict each other.
		w = dial(t, n)
		w.head(t, method, target, "Content-Length: 10", "Content-Length: 20")
		wantStatus(t, w, "two lengths", http.StatusBadRequest)
	}
	var all sync.WaitGroup
	for range 8 {
		for target, limit := range map[string]int64{
			manifestPath(hostileRepo, "v1"):                      manifestLimit,
			uploadPath(hostileRepo) + "?digest=" + digestOf(nil): blobLimit,
		} {
			all.Go(func() {
				method := http.MethodPost
				if limit == manifestLimit {
					method = http.MethodPut
				}
				w := dial(t, n)
				w.head(t, method, target, "Content-Type: "+imageType, "Transfer-Encoding: chunked")
				const ample = 64 << 20
				if sent := w.endless(ample); sent == ample {
					t.Errorf("%s %s: the server took %d bytes of an endless body, its limit is %d", method, target, sent, limit)
				}
				wantStatus(t, w, "endless body", http.StatusRequestEntityTooLarge)
			})
		}
	}
	all.Wait()
}

// hoardManifests makes the server hold as many almost complete manifests as a
// hundred clients can send, and never sends their last byte.
func hoardManifests(t *testing.T, n *node) {
	body := bytes.Repeat([]byte(" "), manifestLimit-1)
	var all sync.WaitGroup
	for range 100 {
		all.Go(func() {
			w := dial(t, n)
			w.head(t, http.MethodPut, manifestPath(hostileRepo, "v1"), "Content-Type: "+imageType, fmt.Sprintf("Content-Length: %d", manifestLimit))
			_, _ = w.Write(body) // the server may refuse it first
			if r, err := w.answer(); err != nil || r != nil && r.status/100 == 2 {
				t.Errorf("manifest without its last byte: %v %v", r, err)
			}
		})
	}
	all.Wait()
}

// wantStatus reads an answer with an OCI error. A connection that was reset
// while the client was still sending may have lost it.
func wantStatus(t *testing.T, w *wire, what string, statuses ...int) {
	t.Helper()
	r, err := w.answer()
	if err != nil {
		t.Errorf("%s: %v", what, err)
	}
	if r == nil {
		return
	}
	for _, s := range statuses {
		if r.status == s {
			return
		}
	}
	t.Errorf("%s: %s, want status %v", what, r, statuses)
}

// hostileSilence stalls at each point of a request; a slow client that does
// send is served.
func hostileSilence(t *testing.T, n *node) {
	body := randomBytes(dice(301), 64<<10)
	digest := digestOf(body)
	var all sync.WaitGroup
	for range 64 { // headers that never end, a byte now and then
		all.Go(func() {
			w := dial(t, n)
			_, _ = io.WriteString(w, "GET /v2/ HTTP/1.1\r\nHost: x\r\nX-Slow: ")
			tick := time.NewTicker(100 * time.Millisecond)
			defer tick.Stop()
			over := time.After(patience)
			for {
				select {
				case <-tick.C:
					if _, err := w.Write([]byte("a")); err != nil {
						return
					}
				case <-over:
					t.Error("a header may grow for ever")
					return
				}
			}
		})
	}
	for what, send := range map[string]func(w *wire){
		"monolithic upload": func(w *wire) {
			w.head(t, http.MethodPost, uploadPath(hostileRepo)+"?digest="+digest, fmt.Sprintf("Content-Length: %d", len(body)))
			_, _ = w.Write(body[:1000])
		},
		"manifest": func(w *wire) {
			w.head(t, http.MethodPut, manifestPath(hostileRepo, "v1"), "Content-Type: "+imageType, "Content-Length: 1000")
			_, _ = w.Write([]byte(`{"schemaVersion":`))
		},
		"chunked manifest": func(w *wire) {
			w.head(t, http.MethodPut, manifestPath(hostileRepo, "v1"), "Content-Type: "+imageType, "Transfer-Encoding: chunked")
			_, _ = io.WriteString(w, "5\r\n{\"a\":\r\n")
		},
	} {
		for range 8 {
			all.Go(func() {
				w := dial(t, n)
				send(w)
				r, err := w.answer()
				if err != nil || r != nil && r.status/100 == 2 {
					t.Errorf("stalled %s: %v %v", what, r, err)
				}
			})
		}
	}
	all.Go(func() { stallChunk(t, n, body) })
	all.Go(func() { crawl(t, n) })
	all.Wait()
}

// stallChunk stalls in a PATCH: what arrived may be kept for the client to go
// on, until it cancels the upload.
func stallChunk(t *testing.T, n *node, body []byte) {
	c := newClient(n.url)
	defer c.close()
	r, err := c.do(t.Context(), http.MethodPost, uploadPath(hostileRepo), nil, nil)
	if err != nil || r.status != http.StatusAccepted {
		t.Errorf("begin: %v %v", r, err)
		return
	}
	location := local(r.header.Get("Location"))
	w := dial(t, n)
	w.head(t, http.MethodPatch, location, "Content-Type: application/octet-stream", fmt.Sprintf("Content-Length: %d", len(body)))
	_, _ = w.Write(body[:5000])
	if r, err := w.answer(); err != nil || r != nil && r.status/100 == 2 {
		t.Errorf("stalled PATCH: %v %v", r, err)
	}
	if r, err := c.do(t.Context(), http.MethodGet, location, nil, nil); err != nil || r.status != http.StatusNoContent && r.status != http.StatusNotFound {
		t.Errorf("status of a stalled upload: %v %v", r, err)
	} else if at := r.header.Get("Range"); r.status == http.StatusNoContent && at != "0-4999" && at != "0-0" {
		t.Errorf("5000 bytes were sent, the upload has %s", at)
	}
	if r, err := c.do(t.Context(), http.MethodDelete, location, nil, nil); err != nil || r.status != http.StatusNoContent && r.status != http.StatusNotFound {
		t.Errorf("cancel: %v %v", r, err)
	}
}

// slow is content that the registry has already, so that an upload of it
// leaves no further object.
var slow = []byte("a body that comes slowly")

// crawl uploads for a longer time than the limit on silence.
func crawl(t *testing.T, n *node) {
	body := slow
	w := dial(t, n)
	w.head(t, http.MethodPost, uploadPath("slow/repo")+"?digest="+digestOf(body), fmt.Sprintf("Content-Length: %d", len(body)))
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for _, b := range body {
		<-tick.C
		if _, err := w.Write([]byte{b}); err != nil {
			t.Errorf("slow upload: %v", err)
			return
		}
	}
	if r, err := w.answer(); err != nil || r == nil || r.status != http.StatusCreated {
		t.Errorf("slow upload: %v %v", r, err)
	}
}

// hostileContent sends what is complete and wrong.
func hostileContent(t *testing.T, n *node, c *client) {
	small := image("hostile", nil, blobDescriptor(config))
	other := digestOf([]byte("other"))
	deep := func(inner string) []byte {
		const depth = 100_000
		return []byte(strings.Replace(string(small.raw), `"annotations":`, inner+strings.Repeat("[", depth)+strings.Repeat("]", depth)+`,"annotations":`, 1))
	}
	big := append(small.raw[:len(small.raw)-1:len(small.raw)-1], []byte(`,"x":"`+strings.Repeat("x", 5<<20)+`"}`)...)
	for _, tc := range []struct {
		name, method, target string
		body                 []byte
		status               []int
		code                 string
	}{
		{"5 MiB manifest", http.MethodPut, manifestPath(hostileRepo, "v1"), big, []int{413}, ""},
		{"missing blob", http.MethodPut, manifestPath(hostileRepo, "v1"), small.raw, []int{404, 400}, "MANIFEST_BLOB_UNKNOWN"},
		{"deep nesting", http.MethodPut, manifestPath(hostileRepo, "v1"), deep(`"x":`), []int{400}, "MANIFEST_INVALID"},
		{"deep nesting in a known place", http.MethodPut, manifestPath(hostileRepo, "v1"), deep(`"subject":`), []int{400}, "MANIFEST_INVALID"},
		{"no JSON", http.MethodPut, manifestPath(hostileRepo, "v1"), []byte("\x00\xff{"), []int{400}, "MANIFEST_INVALID"},
		{"empty manifest", http.MethodPut, manifestPath(hostileRepo, "v1"), nil, []int{400}, "MANIFEST_INVALID"},
		{"manifest of another digest", http.MethodPut, manifestPath(hostileRepo, other), small.raw, []int{400}, "DIGEST_INVALID"},
		{"blob of another digest", http.MethodPost, uploadPath(hostileRepo) + "?digest=" + other, []byte("content"), []int{400}, "DIGEST_INVALID"},
		{"unknown algorithm", http.MethodPost, uploadPath(hostileRepo) + "?digest=md5:d41d8cd98f00b204e9800998ecf8427e", []byte("content"), []int{400}, "DIGEST_INVALID"},
		{"upper-case digest", http.MethodPost, uploadPath(hostileRepo) + "?digest=" + strings.ToUpper(other), []byte("content"), []int{400}, "DIGEST_INVALID"},
		{"short digest", http.MethodPost, uploadPath(hostileRepo) + "?digest=sha256:abc", []byte("content"), []int{400}, "DIGEST_INVALID"},
		{"blob over the limit", http.MethodPost, uploadPath(hostileRepo) + "?digest=" + other, make([]byte, blobLimit+1), []int{413}, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			r, err := c.do(t.Context(), tc.method, tc.target, http.Header{"Content-Type": {imageType}}, bytes.NewReader(tc.body))
			if r == nil {
				if tc.status[0] == 413 {
					return // refused and closed while the client was sending
				}
				t.Fatal(err)
			}
			code, err := r.ociError()
			if err != nil {
				t.Fatal(err)
			}
			ok := tc.code == "" || code == tc.code
			for _, s := range tc.status {
				if r.status == s && ok {
					return
				}
			}
			t.Errorf("%s, want %v %s", r, tc.status, tc.code)
		})
	}
}

// hostileNames sends request lines that lead nowhere.
func hostileNames(t *testing.T, n *node) {
	long := strings.Repeat("a", 300)
	for _, target := range []string{
		"/v2/../../../../etc/passwd", "/v2/%2e%2e/%2e%2e/etc/passwd", "/v2/a/../b/tags/list", "/v2/a/%2e%2e/manifests/latest",
		"/v2/a%2fb/manifests/..%2f..%2fx", "/v2//manifests/latest", "/v2/a//b/tags/list", "/v2/a/blobs/sha256:..%2f..%2fpackhouse.db",
		"/v2/a/blobs/../../packhouse.db", "/v2/A/tags/list", "/v2/a%00b/tags/list", "/v2/" + long + "/tags/list", "/v2/a/manifests/" + long,
		"/v2/a/manifests/.hidden", "/v2/a/blobs/sha256:" + long, "/v2/a/blobs/uploads/..%2f..%2fx", "/v2/" + strings.Repeat("a/", 3000) + "tags/list",
		"/v2/a/tags/list?n=-1", "/v2/a/tags/list?n=99999999999999999999", "/v2/a/tags/list?last=%ff%fe", "/v2/a/referrers/x", "/v2/" + strings.Repeat("%61", 9000),
	} {
		w := dial(t, n)
		w.head(t, http.MethodGet, target)
		r, err := w.answer()
		if err != nil || r == nil || r.status/100 != 4 {
			t.Errorf("GET %.80s: %v %v, want 4xx", target, r, err)
		}
	}
	w := dial(t, n)
	_, _ = io.WriteString(w, "GET /v2/ HTTP/1.1\r\nHost: x\r\nX-Big: "+strings.Repeat("a", 1<<20)+"\r\n\r\n")
	wantStatus(t, w, "1 MiB of header", http.StatusRequestHeaderFieldsTooLarge)
}
