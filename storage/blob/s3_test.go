package blob

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go/aws"
	awss3 "github.com/aws/aws-sdk-go/service/s3"
	"github.com/google/go-cmp/cmp"

	"github.com/packhouse/packhouse/storage/blob/s3"
)

// bytesOf makes n bytes that tell where they are.
func bytesOf(n int) []byte {
	b := make([]byte, n)
	r := rand.NewChaCha8([32]byte{byte(n), byte(n >> 8), byte(n >> 16)})
	_, _ = r.Read(b) // never fails
	return b
}

// write streams content in pieces as the engine does.
func write(ctx context.Context, s *Store, key string, content []byte) error {
	w, err := s.Create(ctx, key)
	if err != nil {
		return err
	}
	for len(content) > 0 {
		n := min(256<<10, len(content))
		if _, err := w.Write(content[:n]); err != nil {
			return errors.Join(err, w.Abort(ctx))
		}
		content = content[n:]
	}
	return w.Commit(ctx)
}

func readBack(ctx context.Context, s *Store, key string, size int) ([]byte, error) {
	rc, err := s.Read(ctx, []Segment{{key, int64(size)}}, 0, -1)
	if err != nil {
		return nil, err
	}
	got, err := io.ReadAll(rc)
	return got, errors.Join(err, rc.Close())
}

// TestS3Sizes: below, at and above every border of blocks and parts.
func TestS3Sizes(t *testing.T) {
	t.Parallel()
	const part = 5 << 20
	s := openS3(t, "")
	for _, size := range []int{0, 1, 256<<10 - 1, 256 << 10, part - 1, part, part + 1, 2 * part, 2*part + 300_000, 6*part + 7} {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			t.Parallel()
			key := fmt.Sprintf("/objects/ab/%d", size)
			want := bytesOf(size)
			if err := write(t.Context(), s, key, want); err != nil {
				t.Fatal(err)
			}
			if got, err := readBack(t.Context(), s, key, size); err != nil || !bytes.Equal(got, want) {
				t.Errorf("got %d bytes, %v", len(got), err)
			}
			if size < 2 {
				return
			}
			if got := read(t, s, int64(size/3), int64(size/2), Segment{key, int64(size)}); got != string(want[size/3:size/3+size/2]) {
				t.Errorf("a part: got %d other bytes", len(got))
			}
		})
	}
}

// TestS3Faults: each kind of harm is survived when it passes, at each request.
//
// Red when: a writer asks nothing after an error, or a reader ends at a cut.
func TestS3Faults(t *testing.T) {
	t.Parallel()
	small, large := bytesOf(100_000), bytesOf(11<<20)
	tests := []struct {
		name    string
		content []byte
		at      func(r *http.Request) bool
		fault   fault
	}{
		{"reply to PutObject lost", small, isPut, lostReply},
		{"PutObject reset", small, isPut, reset},
		{"PutObject slowed down", small, isPut, slowDown},
		{"reply to creation lost", large, isCreate, lostReply},
		{"creation slowed down", large, isCreate, slowDown},
		{"reply to a part lost", large, isPart, lostReply},
		{"part reset", large, isPart, reset},
		{"part slowed down", large, isPart, slowDown},
		{"reply to completion lost", large, isComplete, lostReply},
		{"completion reset", large, isComplete, reset},
		{"completion slowed down", large, isComplete, slowDown},
		{"reply to completion cut", large, isComplete, cutReply},
		{"read cut", large, isGet, cutReply},
		{"read reset", large, isGet, reset},
		{"read slowed down", large, isGet, slowDown},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var seen atomic.Int64
			p := newS3Proxy(t, func(r *http.Request) fault {
				if tt.at(r) && seen.Add(1) == 1 {
					return tt.fault
				}
				return noFault
			})
			s := openS3(t, p.URL)
			if err := write(t.Context(), s, faultKey, tt.content); err != nil {
				t.Fatal(err)
			}
			if got, err := readBack(t.Context(), s, faultKey, len(tt.content)); err != nil || !bytes.Equal(got, tt.content) {
				t.Errorf("got %d bytes of %d, %v", len(got), len(tt.content), err)
			}
			if p.harmed.Load() != 1 {
				t.Errorf("%d requests were harmed", p.harmed.Load())
			}
			if left := s3Uploads(t, s3Root(t)+faultKey); len(left) > 0 {
				t.Errorf("open uploads: %v", left)
			}
		})
	}
}

func isGet(r *http.Request) bool { return r.Method == http.MethodGet }

// TestS3Away: while the storage refuses, the answer is ErrUnavailable within a
// bounded time, nothing is left, and the same works again afterwards.
func TestS3Away(t *testing.T) {
	t.Parallel()
	for name, at := range map[string]func(r *http.Request) bool{
		"everything": func(*http.Request) bool { return true },
		"parts":      isPart,
		"completion": isComplete,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var away atomic.Bool
			away.Store(true)
			p := newS3Proxy(t, func(r *http.Request) fault {
				if away.Load() && at(r) {
					return slowDown
				}
				return noFault
			})
			s := openS3(t, p.URL)
			began := time.Now()
			content := bytesOf(6 << 20)
			wantError(t, "write", write(t.Context(), s, faultKey, content), ErrUnavailable)
			if name == "everything" {
				wantError(t, "put", s.Put(t.Context(), "/objects/ab/y", []byte("x")), ErrUnavailable)
				_, err := s.Stat(t.Context(), faultKey)
				wantError(t, "stat", err, ErrUnavailable)
			}
			if took := time.Since(began); took > 2*time.Minute {
				t.Errorf("it took %s", took)
			}
			away.Store(false)
			if left := s3Uploads(t, s3Root(t)+faultKey); len(left) > 0 {
				t.Errorf("open uploads: %v", left)
			}
			_, err := s.Stat(t.Context(), faultKey)
			wantError(t, "stat", err, ErrNotFound)
			if err := write(t.Context(), s, "/objects/ab/z", content); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestS3FaultsMixed: many uploads at once, every fourth request harmed in some
// way. What was acknowledged is there byte by byte, what was not is not, and no
// upload is left open.
func TestS3FaultsMixed(t *testing.T) {
	t.Parallel()
	const uploads = 60
	var mu sync.Mutex
	random := rand.New(rand.NewPCG(1, 2)) //nolint:gosec // the same each time
	p := newS3Proxy(t, func(r *http.Request) fault {
		mu.Lock()
		defer mu.Unlock()
		switch random.IntN(16) {
		case 0:
			return slowDown
		case 1:
			return reset
		case 2:
			return lostReply
		case 3:
			if isGet(r) {
				return cutReply
			}
			return lostReply
		}
		return noFault
	})
	s := openS3(t, p.URL)
	direct := openS3(t, "")
	var group sync.WaitGroup
	places := make(chan struct{}, 6)
	var failed atomic.Int64
	for i := range uploads {
		group.Go(func() {
			places <- struct{}{}
			defer func() { <-places }()
			key := fmt.Sprintf("/objects/%02x/%d", i, i)
			content := bytesOf([]int{100, 300_000, 6 << 20}[i%3] + i)
			if err := write(t.Context(), s, key, content); err != nil {
				failed.Add(1)
				wantError(t, "write", err, ErrUnavailable)
				_, err = direct.Stat(t.Context(), key)
				wantError(t, "stat of what was refused", err, ErrNotFound)
				return
			}
			if got, err := readBack(t.Context(), direct, key, len(content)); err != nil || !bytes.Equal(got, content) {
				t.Errorf("%s is not what was written: %d bytes of %d, %v", key, len(got), len(content), err)
			}
			if got, err := readBack(t.Context(), s, key, len(content)); err == nil && !bytes.Equal(got, content) {
				t.Errorf("%s was read short or wrong: %d bytes of %d", key, len(got), len(content))
			}
		})
	}
	group.Wait()
	t.Logf("%d requests harmed, %d of %d uploads refused", p.harmed.Load(), failed.Load(), uploads)
	if failed.Load() > uploads/10 {
		t.Errorf("%d of %d uploads were refused", failed.Load(), uploads)
	}
	for i := range uploads {
		if left := s3Uploads(t, fmt.Sprintf("%s/objects/%02x/%d", s3Root(t), i, i)); len(left) > 0 {
			t.Errorf("open uploads: %v", left)
		}
	}
}

// TestS3Cancelled: a client that leaves frees its writer, which leaves nothing.
func TestS3Cancelled(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	p := newS3Proxy(t, func(r *http.Request) fault {
		if isPart(r) {
			cancel()
			return reset
		}
		return noFault
	})
	s := openS3(t, p.URL)
	wantError(t, "write", write(ctx, s, faultKey, bytesOf(40<<20)), context.Canceled)
	if left := s3Uploads(t, s3Root(t)+faultKey); len(left) > 0 {
		t.Errorf("open uploads: %v", left)
	}
}

// TestS3Stale: what a process left behind that died is aborted once it is old,
// and only that.
func TestS3Stale(t *testing.T) {
	t.Parallel()
	s := openS3(t, "")
	if strings.HasPrefix(filepath.Base(theS3Server().cmd.Path), "minio") {
		t.Skip("MinIO does not list uploads by directory; it drops them by itself")
	}
	client := s3Client(s3URL(t))
	key := s3Root(t) + faultKey
	up, err := client.CreateMultipartUpload(&awss3.CreateMultipartUploadInput{Bucket: aws.String(s3Bucket), Key: &key})
	if err != nil {
		t.Fatal(err)
	}
	_, err = client.UploadPart(&awss3.UploadPartInput{Bucket: aws.String(s3Bucket), Key: &key, UploadId: up.UploadId, PartNumber: aws.Int64(1), Body: strings.NewReader("x")})
	if err != nil {
		t.Fatal(err)
	}
	for _, step := range []struct {
		before time.Time
		want   int
	}{{time.Now().Add(-time.Hour), 0}, {time.Now().Add(time.Hour), 1}, {time.Now().Add(time.Hour), 0}} {
		if n, err := s.AbortStale(t.Context(), step.before); n != step.want || err != nil {
			t.Errorf("aborted %d, %v, want %d", n, err, step.want)
		}
	}
	if left := s3Uploads(t, key); len(left) > 0 {
		t.Errorf("open uploads: %v", left)
	}
}

// TestS3RedirectURL: a signed URL reads the object and ranges of it with no
// credentials, and nothing else.
func TestS3RedirectURL(t *testing.T) {
	t.Parallel()
	s := openS3(t, "")
	put(t, s, faultKey, "hello world")
	get := httpRequest(t, http.MethodGet, "http://packhouse.example/v2/")
	seg := Segment{faultKey, 11}
	to, err := s.RedirectURL(get, []Segment{seg})
	if err != nil || to == "" {
		t.Fatalf("got %q, %v", to, err)
	}
	r := httpRequest(t, http.MethodGet, to)
	r.Header.Set("Range", "bytes=6-10")
	resp, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(resp.Body)
	if err := errors.Join(err, resp.Body.Close()); err != nil || resp.StatusCode != http.StatusPartialContent || string(got) != "world" {
		t.Errorf("got %d %q, %v", resp.StatusCode, got, err)
	}
	for name, none := range map[string]struct {
		r    *http.Request
		segs []Segment
	}{
		"HEAD":            {httpRequest(t, http.MethodHead, "http://packhouse.example/v2/"), []Segment{seg}},
		"several objects": {get, []Segment{seg, seg}},
		"no object":       {get, nil},
	} {
		if to, err := s.RedirectURL(none.r, none.segs); to != "" || err != nil {
			t.Errorf("%s: got %q, %v", name, to, err)
		}
	}
}

func httpRequest(t *testing.T, method, to string) *http.Request {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, to, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// TestS3Check: what is wrong with the parameters is said in so many words.
func TestS3Check(t *testing.T) {
	t.Parallel()
	endpoint := s3URL(t)
	tests := []struct {
		name   string
		change map[string]any
		want   string // "" for none
	}{
		{"right", nil, ""},
		{"bucket", map[string]any{"bucket": "no-such-bucket"}, `there is no bucket "no-such-bucket" at ` + endpoint},
		{"access key", map[string]any{"accesskey": "nobody"}, "does not know this accesskey"},
		{"secret key", map[string]any{"secretkey": "wrong"}, "the secretkey does not belong to this accesskey"},
		{"address", map[string]any{"regionendpoint": "http://127.0.0.1:1"}, "http://127.0.0.1:1 cannot be reached"},
		{"another server", map[string]any{"regionendpoint": newS3Proxy(t, func(*http.Request) fault { return slowDown }).URL}, "is there but answers 503"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			params := s3Params(endpoint, s3Root(t))
			for k, v := range tt.change {
				params[k] = v
			}
			d, err := s3.Open(t.Context(), params)
			if err != nil {
				t.Fatal(err)
			}
			err = New(d).Check(t.Context(), "test")
			if tt.want == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want %q in it", err, tt.want)
			}
		})
	}
}

// TestS3ShortObject: an object that lost its end is an error before any byte.
func TestS3ShortObject(t *testing.T) {
	t.Parallel()
	s := openS3(t, "")
	put(t, s, faultKey, "hello")
	for _, off := range []int64{0, 3, 5, 7} {
		_, err := s.Read(t.Context(), []Segment{{faultKey, 10}}, off, -1)
		wantError(t, fmt.Sprint("from ", off), err, io.ErrUnexpectedEOF)
		if errors.Is(err, ErrUnavailable) {
			t.Errorf("from %d: it looks like an outage: %v", off, err)
		}
	}
}

// TestS3Requests counts what an object costs: a short one is one request, a
// long one its parts and two, a delete and a look one each.
func TestS3Requests(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	var got []string
	p := newS3Proxy(t, func(r *http.Request) fault {
		mu.Lock()
		defer mu.Unlock()
		q := r.URL.Query()
		what := r.Method
		for _, k := range []string{"uploads", "uploadId", "list-type", "delete"} {
			if q.Has(k) {
				what += " " + k
			}
		}
		got = append(got, what)
		return noFault
	})
	s := openS3(t, p.URL)
	for _, step := range []struct {
		name string
		do   func() error
		want []string
	}{
		{"short", func() error { return write(t.Context(), s, faultKey, bytesOf(1<<20)) }, []string{"PUT"}},
		{"long", func() error { return write(t.Context(), s, "/objects/ab/y", bytesOf(6<<20)) }, []string{"POST uploads", "PUT uploadId", "PUT uploadId", "POST uploadId"}},
		{"look", func() error { _, err := s.Stat(t.Context(), faultKey); return err }, []string{"HEAD"}},
		{"delete", func() error { return s.Delete(t.Context(), faultKey) }, []string{"DELETE"}},
		{"delete again", func() error { return s.Delete(t.Context(), faultKey) }, []string{"DELETE"}},
	} {
		got = nil
		if err := step.do(); err != nil {
			t.Fatalf("%s: %v", step.name, err)
		}
		if diff := cmp.Diff(step.want, got); diff != "" {
			t.Errorf("%s: %s", step.name, diff)
		}
	}
}
