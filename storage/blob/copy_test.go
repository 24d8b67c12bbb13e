package blob

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// TestCopy: a blob of several objects arrives at every driver, what is there is
// not read again unless that is asked for, and what broke off is replaced.
func TestCopy(t *testing.T) {
	t.Parallel()
	contents := [][]byte{bytesOf(100), bytesOf(6 << 20), bytesOf(0), bytesOf(300_000)}
	whole := bytes.Join(contents, nil)
	for _, driver := range []string{"filesystem", "inmemory", "s3aws"} {
		t.Run(driver, func(t *testing.T) {
			t.Parallel()
			from, to := open(t, "filesystem"), open(t, driver)
			var segs []Segment
			for i, c := range contents {
				key := fmt.Sprintf("/objects/ab/%d", i)
				if err := write(t.Context(), from, key, c); err != nil {
					t.Fatal(err)
				}
				segs = append(segs, Segment{key, int64(len(c))})
			}
			for _, step := range []struct {
				name    string
				before  func()
				again   bool
				written int
				read    bool
			}{
				{"first", func() {}, false, 4, true},
				{"second", func() {}, false, 0, false},
				{"again", func() {}, true, 0, true},
				{"broken off", func() {
					if err := to.Delete(t.Context(), segs[3].Key); err != nil {
						t.Fatal(err)
					}
					put(t, to, segs[3].Key, "short")
				}, false, 1, true},
			} {
				step.before()
				var got bytes.Buffer
				moved := int64(0)
				c, err := from.Copy(t.Context(), to, segs, CopyOptions{Into: &got, Again: step.again, Moved: func(n int64) { moved += n }})
				if err != nil {
					t.Fatalf("%s: %v", step.name, err)
				}
				if len(c.Written) != step.written || c.Read != step.read {
					t.Errorf("%s: got %+v", step.name, c)
				}
				if step.read && (!bytes.Equal(got.Bytes(), whole) || moved != int64(len(whole))) {
					t.Errorf("%s: got %d bytes, told of %d, want %d", step.name, got.Len(), moved, len(whole))
				}
			}
			if got := read(t, to, 0, -1, segs...); got != string(whole) {
				t.Errorf("the copy has %d other bytes", len(got))
			}
		})
	}
}

// TestCopyOfShortObject leaves nothing: neither store has the object whole.
func TestCopyOfShortObject(t *testing.T) {
	t.Parallel()
	from, to := open(t, "filesystem"), open(t, "inmemory")
	put(t, from, faultKey, "hello")
	_, err := from.Copy(t.Context(), to, []Segment{{faultKey, 10}}, CopyOptions{})
	wantError(t, "copy", err, io.ErrUnexpectedEOF)
	_, err = to.Stat(t.Context(), faultKey)
	wantError(t, "stat", err, ErrNotFound)
}

func TestSame(t *testing.T) {
	t.Parallel()
	s, other := open(t, "inmemory"), open(t, "inmemory")
	for _, tt := range []struct {
		to   *Store
		want bool
	}{{s, true}, {other, false}} {
		if got, err := s.Same(t.Context(), tt.to, "test"); got != tt.want || err != nil {
			t.Errorf("got %v, %v, want %v", got, err, tt.want)
		}
		if _, err := s.Stat(t.Context(), probe+"test"); err == nil {
			t.Error("the probe is still there")
		}
	}
}

// observed counts what an Observer is told.
type observed map[string]int64

func (o observed) Begin(ctx context.Context, _ string) context.Context { return ctx }

func (o observed) End(_ context.Context, op, outcome string, _ time.Time, n int64) {
	o[op+" "+outcome]++
	o["bytes stored"] += n
}

func (o observed) Read(n int64) { o["bytes read"] += n }

func TestObserve(t *testing.T) {
	t.Parallel()
	s := open(t, "inmemory")
	got := observed{}
	s.Observe(got)
	put(t, s, faultKey, "hello")
	stream(t, s, "/objects/ab/y", "world")
	_ = read(t, s, 1, 8, Segment{faultKey, 5}, Segment{"/objects/ab/y", 5})
	if err := s.Delete(t.Context(), faultKey); err != nil {
		t.Fatal(err)
	}
	_, err := s.Stat(t.Context(), faultKey)
	wantError(t, "stat", err, ErrNotFound)
	want := observed{"put ok": 1, "create ok": 1, "commit ok": 1, "read ok": 2, "delete ok": 1, "stat absent": 1, "bytes stored": 10, "bytes read": 8}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}
