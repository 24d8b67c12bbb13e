package main

import (
	"compress/gzip"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// TestConnTakesAnyServer: one that closes after each answer, and one that does not know the size of its answer before.
func TestConnTakesAnyServer(t *testing.T) {
	t.Parallel()
	text := strings.Repeat("x", 100_000)
	for _, tt := range []struct {
		name   string
		answer func(w http.ResponseWriter)
	}{
		{"closes", func(w http.ResponseWriter) {
			w.Header().Set("Connection", "close")
			w.Header().Set("Content-Length", "100000")
			_, _ = w.Write([]byte(text))
		}},
		{"chunks", func(w http.ResponseWriter) {
			_, _ = w.Write([]byte(text[:10]))
			_ = http.NewResponseController(w).Flush()
			_, _ = w.Write([]byte(text[10:]))
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { tt.answer(w) }))
			t.Cleanup(s.Close)
			_, err := each(t.Context(), s.Listener.Addr().String(), 1, 3, func(c *conn, i int) error {
				n, err := c.drop(request{method: http.MethodGet, target: "/", want: http.StatusOK})
				if n != int64(len(text)) {
					t.Errorf("answer %d has %d bytes", i, n)
				}
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
		})
	}
}

func TestFetch(t *testing.T) {
	t.Parallel()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("ETag", `"one"`)
		if r.Header.Get("If-None-Match") == `"one"` {
			w.WriteHeader(http.StatusNotModified)
			return
		}
		w.Header().Set("Content-Encoding", "gzip")
		z := gzip.NewWriter(w)
		_, _ = z.Write([]byte(strings.Repeat("y", 10_000)))
		_ = z.Close()
	}))
	t.Cleanup(s.Close)
	got, err := fetch(t.Context(), &peer{addr: s.Listener.Addr().String()}, "/", []string{acceptGzip})
	if err != nil || len(got.text) != 10_000 || got.sent >= 1000 || got.etag != `"one"` {
		t.Errorf("got %d bytes, %d sent, tag %s, %v", len(got.text), got.sent, got.etag, err)
	}
}

func TestMembers(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ list, want, sets string }{
		{"", "", ""},
		{"packages", "npm,pypi,versions,feeds,uploads", "packages"},
		{"blobs,npm", "blobs,npm", "oci,packages"},
		{"nothing", "nothing", ""},
	} {
		got := members(tt.list)
		if sets := strings.Join(setsOf(strings.Split(got, ",")), ","); got != tt.want || sets != tt.sets {
			t.Errorf("members(%q) = %q of %q, want %q of %q", tt.list, got, sets, tt.want, tt.sets)
		}
	}
}

func TestCosts(t *testing.T) {
	t.Parallel()
	at := func(rate float64) row {
		return row{runs: map[string][]measurement{packhouseName: {{work: rate, took: time.Second, p50: time.Millisecond}}}}
	}
	for _, tt := range []struct {
		dear, cheap float64
		want        string
	}{
		{100, 150, "| met |"},
		{100, 151, "| **not met** |"},
	} {
		b := &bench{report: new(report)}
		b.costs("x", at(tt.dear), at(tt.cheap))
		if got := b.report.verdicts[0]; !strings.HasSuffix(got, tt.want) {
			t.Errorf("%g beside %g: %q, want %q", tt.dear, tt.cheap, got, tt.want)
		}
	}
}
