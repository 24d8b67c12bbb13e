package server

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/packhouse/packhouse/registry"
)

// wire is a response writer that notes how bytes reach net/http.
type wire struct {
	*httptest.ResponseRecorder
	pieces   []int64 // handed over as files
	writes   []int
	stall    int // after that many pieces one is cut short by a time-out
	deadline struct{ read, write []time.Time }
}

func (w *wire) SetReadDeadline(t time.Time) error {
	w.deadline.read = append(w.deadline.read, t)
	return nil
}

func (w *wire) SetWriteDeadline(t time.Time) error {
	w.deadline.write = append(w.deadline.write, t)
	return nil
}

func (w *wire) Write(p []byte) (int, error) {
	w.writes = append(w.writes, len(p))
	return w.ResponseRecorder.Write(p)
}

// ReadFrom takes what net.TCPConn sends by sendfile, and nothing else.
func (w *wire) ReadFrom(src io.Reader) (int64, error) {
	limited, ok := src.(*io.LimitedReader)
	if !ok {
		return 0, errors.New("not a LimitedReader")
	}
	if _, ok := limited.R.(syscall.Conn); !ok {
		return 0, errors.New("not over a file")
	}
	if w.stall > 0 && len(w.pieces) == w.stall {
		limited.N /= 2
		n, err := io.Copy(w.ResponseRecorder.Body, limited)
		w.pieces = append(w.pieces, n)
		return n, errors.Join(err, os.ErrDeadlineExceeded)
	}
	n, err := io.Copy(w.ResponseRecorder.Body, limited)
	w.pieces = append(w.pieces, n)
	return n, err
}

func begin(t *testing.T, w http.ResponseWriter, body io.Reader) (*exchange, *http.Request) {
	t.Helper()
	x := new(exchange)
	r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", body)
	x.begin(w, r, time.Minute, time.Now())
	return x, r
}

func file(t *testing.T, content []byte) *os.File {
	t.Helper()
	name := filepath.Join(t.TempDir(), "blob")
	if err := os.WriteFile(name, content, 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() })
	return f
}

func TestFilesGoOutInPiecesTheKernelCanSend(t *testing.T) {
	t.Parallel()
	content := bytes.Repeat([]byte("0123456789abcdef"), 160<<10) // 2.5 MiB
	const MiB = 1 << 20
	for _, tc := range []struct {
		name   string
		limit  int64 // of the reader over the file; 0 hands over the file itself
		stall  int
		want   int64
		pieces []int64
	}{
		{"whole file, limited", 5 * MiB / 2, 0, 5 * MiB / 2, []int64{MiB, MiB, MiB / 2}},
		{"part of the file", MiB + 1, 0, MiB + 1, []int64{MiB, 1}},
		{"bare file", 0, 0, 5 * MiB / 2, []int64{MiB, MiB, MiB / 2}},
		{"file shorter than promised", 4 * MiB, 0, 5 * MiB / 2, []int64{MiB, MiB, MiB / 2}},
		{"slow client", 5 * MiB / 2, 1, 5 * MiB / 2, []int64{MiB, MiB / 2, MiB}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			w := &wire{ResponseRecorder: httptest.NewRecorder(), stall: tc.stall}
			x, _ := begin(t, w, nil)
			var src io.Reader = file(t, content)
			if tc.limit > 0 {
				src = &io.LimitedReader{R: src, N: tc.limit}
			}
			x.WriteHeader(http.StatusPartialContent)
			n, err := io.Copy(x, src)
			if n != tc.want || err != nil {
				t.Errorf("copied %d, %v, want %d", n, err, tc.want)
			}
			if diff := cmp.Diff(tc.pieces, w.pieces); diff != "" {
				t.Errorf("pieces (-want +got):\n%s", diff)
			}
			if !bytes.Equal(w.Body.Bytes(), content[:tc.want]) {
				t.Error("other bytes than the file's")
			}
			if x.request.BytesOut != tc.want || x.request.Status != http.StatusPartialContent {
				t.Errorf("noted %d bytes, status %d", x.request.BytesOut, x.request.Status)
			}
			if len(w.writes) != 0 {
				t.Errorf("%d writes passed through this process", len(w.writes))
			}
		})
	}
}

// A client that takes nothing at all for the permitted time is given up.
func TestSilentReceiverIsGivenUp(t *testing.T) {
	t.Parallel()
	w := &silent{wire{ResponseRecorder: httptest.NewRecorder()}}
	x, _ := begin(t, w, nil)
	n, err := io.Copy(x, io.LimitReader(file(t, make([]byte, 100)), 100))
	if n != 0 || !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("n %d, err %v", n, err)
	}
}

type silent struct{ wire }

func (*silent) ReadFrom(io.Reader) (int64, error) { return 0, os.ErrDeadlineExceeded }

func TestOtherSourcesAreCopiedInPieces(t *testing.T) {
	t.Parallel()
	w := &wire{ResponseRecorder: httptest.NewRecorder()}
	x, _ := begin(t, w, nil)
	content := bytes.Repeat([]byte("x"), 3*writePiece+1)
	if n, err := io.Copy(x, struct{ io.Reader }{bytes.NewReader(content)}); n != int64(len(content)) || err != nil {
		t.Fatalf("copied %d, %v", n, err)
	}
	if n, err := x.Write(content); n != len(content) || err != nil {
		t.Fatalf("wrote %d, %v", n, err)
	}
	want := []int{writePiece, writePiece, writePiece, 1, writePiece, writePiece, writePiece, 1}
	if diff := cmp.Diff(want, w.writes); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if x.request.Status != http.StatusOK {
		t.Errorf("status %d", x.request.Status)
	}
}

func TestDeadlinesMoveWithBytes(t *testing.T) {
	t.Parallel()
	w := &wire{ResponseRecorder: httptest.NewRecorder()}
	x, _ := begin(t, w, nil)
	now := time.Now()
	x.alive(now)
	x.alive(now.Add(time.Second)) // too soon to cost a system call
	x.alive(now.Add(30 * time.Second))
	want := []time.Time{now.Add(time.Minute), now.Add(90 * time.Second)}
	if diff := cmp.Diff(want, w.deadline.write); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestBodyDeadlines(t *testing.T) {
	t.Parallel()
	// Without a body nothing is set: net/http reads ahead for the next request.
	w := &wire{ResponseRecorder: httptest.NewRecorder()}
	if _, r := begin(t, w, nil); r.Body != http.NoBody && r.Body != nil || len(w.deadline.read) != 0 {
		t.Errorf("without a body: %v", w.deadline.read)
	}
	// With one, also a handler that never reads it must not wait for ever.
	w = &wire{ResponseRecorder: httptest.NewRecorder()}
	x, r := begin(t, w, io.MultiReader(bytes.NewReader([]byte("abc")), timeout{}))
	if len(w.deadline.read) != 1 || len(w.deadline.write) != 1 {
		t.Errorf("deadlines at the start: %v", w.deadline)
	}
	got, err := io.ReadAll(r.Body)
	if string(got) != "abc" || !errors.Is(err, registry.Timeout) || x.request.BytesIn != 3 {
		t.Errorf("read %q, %v, noted %d", got, err, x.request.BytesIn)
	}
}

type timeout struct{}

func (timeout) Read([]byte) (int, error) { return 0, os.ErrDeadlineExceeded }
