package transfer

import (
	"errors"
	"fmt"
	"math"
	"testing"

	"github.com/packhouse/packhouse/registry"
)

func TestParseRange(t *testing.T) {
	t.Parallel()
	const refused = -1
	tests := []struct {
		header string
		size   int64
		off, n int64 // n refused means RANGE_INVALID, n 0 that the header does not apply
	}{
		{"bytes=0-0", 10, 0, 1},
		{"bytes=0-9", 10, 0, 10},
		{"bytes=2-5", 10, 2, 4},
		{"bytes=2-", 10, 2, 8},
		{"bytes=2-100", 10, 2, 8},
		{"bytes=-3", 10, 7, 3},
		{"bytes=-30", 10, 0, 10},
		{"BYTES= 2-5 ", 10, 2, 4},
		{"bytes=2-99999999999999999999999", 10, 2, 8},
		{"bytes=10-", 10, 0, refused},
		{"bytes=5-2", 10, 0, refused},
		{"bytes=-0", 10, 0, refused},
		{"bytes=0-", 0, 0, refused},
		{"bytes=-1", 0, 0, refused},
		{"bytes=99999999999999999999999-", 10, 0, refused},
		{"bytes=", 10, 0, refused},
		{"bytes=-", 10, 0, refused},
		{"bytes=5", 10, 0, refused},
		{"bytes=a-b", 10, 0, refused},
		{"bytes=--5", 10, 0, refused},
		{"bytes=1-2-3", 10, 0, refused},
		{"bytes=+1-2", 10, 0, refused},
		{"bytes=0-1,3-4", 10, 0, 0},
		{"items=0-1", 10, 0, 0},
		{"", 10, 0, 0},
	}
	for _, tt := range tests {
		t.Run(tt.header, func(t *testing.T) {
			t.Parallel()
			got, whole, err := ParseRange(tt.header, tt.size)
			switch {
			case tt.n == refused && !errors.Is(err, registry.RangeInvalid):
				t.Errorf("ParseRange = %+v, %v, want RANGE_INVALID", got, err)
			case tt.n != refused && (err != nil || whole != (tt.n == 0) || got != Span{tt.off, tt.n}):
				t.Errorf("ParseRange = %+v, %v, %v, want %d bytes from %d", got, whole, err, tt.n, tt.off)
			}
		})
	}
}

func TestParseContentRange(t *testing.T) {
	t.Parallel()
	for header, want := range map[string]Span{"0-0": {0, 1}, "10-19": {10, 10}, "007-8": {7, 2}} {
		if got, err := ParseContentRange(header); err != nil || got != want {
			t.Errorf("ParseContentRange(%q) = %+v, %v, want %+v", header, got, err, want)
		}
	}
	for _, header := range []string{
		"", "-", "1", "1-", "-1", "2-1", "a-b", " 0-1", "0-1 ", "bytes 0-1/2", "bytes=0-1", "0-1/2", "0--1", "0-1-2", "+0-1",
		"0-9223372036854775807", "0-99999999999999999999",
	} {
		if got, err := ParseContentRange(header); !errors.Is(err, registry.BlobUploadInvalid) {
			t.Errorf("ParseContentRange(%q) = %+v, %v, want BLOB_UPLOAD_INVALID", header, got, err)
		}
	}
}

// FuzzRange: what is accepted lies within the content, and says the same when
// it is written again.
func FuzzRange(f *testing.F) {
	for _, header := range []string{"bytes=0-1", "bytes=5-", "bytes=-5", "bytes=0-1,2-3", "0-99", "1-0", "bytes=9223372036854775807-"} {
		f.Add(header, int64(10))
	}
	f.Fuzz(func(t *testing.T, header string, size int64) {
		size = max(size, 0)
		if s, whole, err := ParseRange(header, size); err == nil && !whole {
			if s.Off < 0 || s.N < 1 || s.Off > size || s.N > size-s.Off {
				t.Fatalf("%q of %d bytes is %+v", header, size, s)
			}
			again, whole, err := ParseRange(fmt.Sprintf("bytes=%d-%d", s.Off, s.Off+s.N-1), size)
			if err != nil || whole || again != s {
				t.Errorf("%q is %+v, written again %+v, %v", header, s, again, err)
			}
		}
		if s, err := ParseContentRange(header); err == nil {
			if s.Off < 0 || s.N < 1 || s.Off > math.MaxInt64-s.N {
				t.Fatalf("%q is %+v", header, s)
			}
			if again, err := ParseContentRange(fmt.Sprintf("%d-%d", s.Off, s.Off+s.N-1)); err != nil || again != s {
				t.Errorf("%q is %+v, written again %+v, %v", header, s, again, err)
			}
		}
	})
}
