package transfer

import (
	"math"
	"strconv"
	"strings"

	"github.com/packhouse/packhouse/registry"
)

// Span is N bytes from Off.
type Span struct{ Off, N int64 }

// ParseRange reads a Range header for content of the given size. whole means
// that the header does not apply: it is in another unit, or asks for several
// ranges, which RFC 9110 allows a server to answer with everything. It returns
// RANGE_INVALID for what is not well-formed or not there.
func ParseRange(header string, size int64) (s Span, whole bool, err error) {
	const unit = "bytes="
	if len(header) < len(unit) || !strings.EqualFold(header[:len(unit)], unit) {
		return Span{}, true, nil
	}
	header = strings.Trim(header[len(unit):], " \t")
	if strings.Contains(header, ",") {
		return Span{}, true, nil
	}
	first, last, found := strings.Cut(header, "-")
	off, hasFirst := decimal(first)
	end, hasLast := decimal(last)
	switch {
	case !found, first != "" && !hasFirst, last != "" && !hasLast, first == "" && last == "":
		return Span{}, false, registry.E("transfer.ParseRange", registry.RangeInvalid, nil, "range %q is not well-formed", clip(header))
	case first == "": // the last so many bytes
		off, end = size-min(end, size), size-1
	case last == "", end >= size:
		end = size - 1
	}
	if off > end {
		return Span{}, false, registry.E("transfer.ParseRange", registry.RangeInvalid, nil, "range %q is not within the %d bytes there are", clip(header), size)
	}
	return Span{off, end - off + 1}, false, nil
}

// ParseContentRange reads the Content-Range of an upload, which matches
// ^[0-9]+-[0-9]+$ and is inclusive. It returns BLOB_UPLOAD_INVALID.
func ParseContentRange(header string) (Span, error) {
	first, last, _ := strings.Cut(header, "-")
	off, ok := decimal(first)
	end, ok2 := decimal(last)
	if !ok || !ok2 || off > end || end == math.MaxInt64 {
		return Span{}, registry.E("transfer.ParseContentRange", registry.BlobUploadInvalid, nil,
			"Content-Range %q is not well-formed: want the first and the last byte, such as 0-1023", clip(header))
	}
	return Span{off, end - off + 1}, nil
}

// decimal reads digits and nothing else. A number too large counts as the largest.
func decimal(s string) (int64, bool) {
	if s == "" {
		return 0, false
	}
	var n int64
	for i := range len(s) {
		c := int64(s[i]) - '0'
		if c < 0 || c > 9 {
			return 0, false
		}
		if n > (math.MaxInt64-c)/10 {
			n = math.MaxInt64
			continue
		}
		n = n*10 + c
	}
	return n, true
}

// contentRange is the Content-Range of a part of content of the given size.
func contentRange(s Span, size int64) string {
	b := append(make([]byte, 0, 64), "bytes "...)
	b = strconv.AppendInt(b, s.Off, 10)
	b = append(b, '-')
	b = strconv.AppendInt(b, s.Off+s.N-1, 10)
	b = append(b, '/')
	return string(strconv.AppendInt(b, size, 10))
}

func clip(s string) string {
	const longest = 80
	if len(s) > longest {
		return s[:longest] + "…"
	}
	return s
}
