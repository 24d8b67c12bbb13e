package blob

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// TestReadAnyRange: whatever the segments, a range is that part of their
// concatenation, by Read, by WriteTo and by one after the other.
func TestReadAnyRange(t *testing.T) {
	t.Parallel()
	for _, driver := range []string{"filesystem", "inmemory"} {
		t.Run(driver, func(t *testing.T) {
			t.Parallel()
			s := open(t, driver)
			// One object of each size, all with different bytes.
			var objects []Segment
			contents := map[Segment]string{}
			for size := range 16 {
				content := make([]byte, size)
				for i := range content {
					content[i] = byte(size*(size-1)/2 + i)
				}
				seg := Segment{fmt.Sprintf("/objects/ab/%d", size), int64(size)}
				put(t, s, seg.Key, string(content))
				objects, contents[seg] = append(objects, seg), string(content)
			}
			rapid.Check(t, func(rt *rapid.T) {
				segs := rapid.SliceOfN(rapid.SampledFrom(objects), 0, 5).Draw(rt, "segments")
				whole := ""
				for _, seg := range segs {
					whole += contents[seg]
				}
				off := rapid.IntRange(0, len(whole)).Draw(rt, "off")
				n := rapid.IntRange(0, len(whole)-off).Draw(rt, "n")
				rc, err := s.Read(t.Context(), segs, int64(off), int64(n))
				if err != nil {
					rt.Fatal(err)
				}
				got := make([]byte, rapid.IntRange(0, n).Draw(rt, "by Read"))
				if _, err := io.ReadFull(iotest.HalfReader(rc), got); err != nil {
					rt.Fatal(err)
				}
				var rest bytes.Buffer
				if m, err := rc.(io.WriterTo).WriteTo(&rest); err != nil || m != int64(n-len(got)) {
					rt.Fatalf("write to: %d, %v", m, err)
				}
				if diff := cmp.Diff(whole[off:off+n], string(got)+rest.String()); diff != "" {
					rt.Fatal(diff)
				}
				if m, err := rc.Read(make([]byte, 1)); m != 0 || err != io.EOF { // itself, by io.Reader's contract
					rt.Fatalf("after the end: %d, %v", m, err)
				}
				if err := rc.Close(); err != nil {
					rt.Fatal(err)
				}
			})
		})
	}
}

// TestReadOpensWhatItNeeds: segments beside the range, and empty ones, are not
// opened, so it does not matter that they are gone.
func TestReadOpensWhatItNeeds(t *testing.T) {
	t.Parallel()
	s := open(t, "filesystem")
	put(t, s, "/objects/ab/a", "hello")
	put(t, s, "/objects/ab/b", "world")
	gone := func(size int64) Segment { return Segment{"/objects/ab/gone", size} }
	segs := []Segment{gone(3), gone(0), {"/objects/ab/a", 5}, gone(0), {"/objects/ab/b", 5}, gone(3)}
	for r, want := range map[[2]int64]string{{3, 10}: "helloworld", {8, 5}: "world", {3, 5}: "hello", {0, 0}: "", {16, 0}: ""} {
		if got := read(t, s, r[0], r[1], segs...); got != want {
			t.Errorf("%v: got %q, want %q", r, got, want)
		}
	}
}

func TestReadOutside(t *testing.T) {
	t.Parallel()
	s := open(t, "inmemory")
	put(t, s, "/objects/ab/x", "hello")
	for _, r := range [][2]int64{{-1, 1}, {0, 6}, {6, 0}, {6, -1}, {5, 1}, {1 << 62, 1 << 62}} {
		if _, err := s.Read(t.Context(), []Segment{{"/objects/ab/x", 5}}, r[0], r[1]); err == nil {
			t.Errorf("%v: no error", r)
		}
	}
}

// drain reads all by one of the two ways.
func drain(rc io.ReadCloser, writeTo bool) (string, error) {
	var b strings.Builder
	var src io.Reader = rc
	if !writeTo {
		src = struct{ io.Reader }{rc}
	}
	_, err := io.Copy(&b, src)
	_, again := rc.Read(make([]byte, 1))
	if again == nil || (err != nil && errors.Is(again, io.EOF)) {
		err = fmt.Errorf("a second Read gave %w after %w", again, err)
	}
	return b.String(), errors.Join(err, rc.Close())
}

// TestNeverCleanlyShort: objects that are shorter than the database says, or
// gone, end a read with an error.
func TestNeverCleanlyShort(t *testing.T) {
	t.Parallel()
	const a, b = "/objects/ab/a", "/objects/ab/b"
	tests := []struct {
		name   string
		segs   []Segment
		off    int64
		got    string
		err    error
		atOnce bool // the filesystem tells before the first byte
	}{
		{"short", []Segment{{a, 6}}, 0, "hello", io.ErrUnexpectedEOF, true},
		{"short before the offset", []Segment{{a, 9}}, 7, "", io.ErrUnexpectedEOF, true},
		{"short in the middle", []Segment{{a, 6}, {b, 5}}, 0, "hello", io.ErrUnexpectedEOF, true},
		{"second short", []Segment{{a, 5}, {b, 6}}, 0, "helloworld", io.ErrUnexpectedEOF, false},
		{"second gone", []Segment{{a, 5}, {"/objects/ab/gone", 5}}, 0, "hello", ErrNotFound, false},
	}
	for _, driver := range []string{"filesystem", "inmemory"} {
		s := open(t, driver)
		put(t, s, a, "hello")
		put(t, s, b, "world")
		for _, tt := range tests {
			for _, writeTo := range []bool{false, true} {
				t.Run(fmt.Sprintf("%s/%s/writeTo=%t", driver, tt.name, writeTo), func(t *testing.T) {
					t.Parallel()
					rc, err := s.Read(t.Context(), tt.segs, tt.off, -1)
					if tt.atOnce && driver == "filesystem" {
						wantError(t, "read", err, tt.err)
						return
					}
					if err != nil {
						t.Fatal(err)
					}
					got, err := drain(rc, writeTo)
					wantError(t, "drain", err, tt.err)
					if !strings.HasPrefix(tt.got, got) {
						t.Errorf("got %q, want %q", got, tt.got)
					}
				})
			}
		}
	}
}

// TestTruncatedUnderway: the file shrinks after it was opened.
func TestTruncatedUnderway(t *testing.T) {
	t.Parallel()
	for _, writeTo := range []bool{false, true} {
		s := open(t, "filesystem")
		put(t, s, "/objects/ab/x", "hello")
		rc, err := s.Read(t.Context(), []Segment{{"/objects/ab/x", 5}}, 0, 5)
		if err != nil {
			t.Fatal(err)
		}
		root, _ := s.Local()
		if err := os.Truncate(filepath.Join(root, "objects/ab/x"), 2); err != nil {
			t.Fatal(err)
		}
		got, err := drain(rc, writeTo)
		if got != "he" {
			t.Errorf("got %q", got)
		}
		wantError(t, "drain", err, io.ErrUnexpectedEOF)
	}
}

func TestReadAfterClose(t *testing.T) {
	t.Parallel()
	s := open(t, "filesystem")
	put(t, s, "/objects/ab/x", "hello")
	rc, err := s.Read(t.Context(), []Segment{{"/objects/ab/x", 5}, {"/objects/ab/x", 5}}, 0, -1)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(rc.Close(), rc.Close()); err != nil {
		t.Fatal(err)
	}
	_, err = rc.Read(make([]byte, 1))
	wantError(t, "read", err, os.ErrClosed)
	_, err = rc.(io.WriterTo).WriteTo(io.Discard)
	wantError(t, "write to", err, os.ErrClosed)
}

// socket records what it is asked to read from, as net.TCPConn is.
type socket struct {
	bytes.Buffer
	sources []string
}

func (s *socket) ReadFrom(r io.Reader) (int64, error) {
	source := fmt.Sprintf("%T", r)
	if l, ok := r.(*io.LimitedReader); ok {
		source = fmt.Sprintf("%d bytes of %T", l.N, l.R)
	}
	s.sources = append(s.sources, source)
	return s.Buffer.ReadFrom(r)
}

// TestSendfile: a socket is given the files themselves, each with its limit,
// which is the only shape that net.TCPConn turns into sendfile.
func TestSendfile(t *testing.T) {
	t.Parallel()
	s := open(t, "filesystem")
	put(t, s, "/objects/ab/a", "hello")
	put(t, s, "/objects/cd/b", "world")
	rc, err := s.Read(t.Context(), []Segment{{"/objects/ab/a", 5}, {"/objects/cd/b", 5}}, 1, 7)
	if err != nil {
		t.Fatal(err)
	}
	var to socket
	if n, err := io.Copy(&to, rc); n != 7 || err != nil {
		t.Fatalf("copied %d, %v", n, err)
	}
	if diff := cmp.Diff("ellowor", to.String()); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"4 bytes of *os.File", "3 bytes of *os.File"}, to.sources); diff != "" {
		t.Error(diff)
	}
}

// TestReadOverHTTP: the same through net/http's own ResponseWriter.
func TestReadOverHTTP(t *testing.T) {
	t.Parallel()
	s := open(t, "filesystem")
	content := strings.Repeat("0123456789", 100_000)
	put(t, s, "/objects/ab/a", content)
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		rc, err := s.Read(r.Context(), []Segment{{"/objects/ab/a", 1_000_000}}, 5, 900_000)
		if err != nil {
			t.Error(err)
			return
		}
		w.Header().Set("Content-Length", "900000")
		w.Header().Set("Content-Type", "application/octet-stream")
		if _, err := io.Copy(w, rc); err != nil {
			t.Error(err)
		}
		if err := rc.Close(); err != nil {
			t.Error(err)
		}
	}))
	defer srv.Close()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, srv.URL, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := srv.Client().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(resp.Body)
	if err := errors.Join(err, resp.Body.Close()); err != nil || string(got) != content[5:900_005] {
		t.Errorf("got %d bytes, %v", len(got), err)
	}
}
