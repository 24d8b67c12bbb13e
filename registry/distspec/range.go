package distspec

import (
	"math"
	"strings"

	"github.com/packhouse/packhouse/registry"
)

// span is n bytes from off.
type span struct{ off, n int64 }

// parseRange reads a Range header for content of the given size. whole means
// that the header does not apply: it is in another unit, or asks for several
// ranges, which RFC 9110 allows a server to answer with everything. It returns
// RANGE_INVALID for what is not well-formed or not there.
func parseRange(header string, size int64) (s span, whole bool, err error) {
	const unit = "bytes="
	if len(header) < len(unit) || !strings.EqualFold(header[:len(unit)], unit) {
		return span{}, true, nil
	}
	header = strings.Trim(header[len(unit):], " \t")
	if strings.Contains(header, ",") {
		return span{}, true, nil
	}
	first, last, found := strings.Cut(header, "-")
	off, hasFirst := decimal(first)
	end, hasLast := decimal(last)
	switch {
	case !found, first != "" && !hasFirst, last != "" && !hasLast, first == "" && last == "":
		return span{}, false, registry.E("distspec.parseRange", registry.RangeInvalid, nil, "range %q is not well-formed", shorten(header))
	case first == "": // the last so many bytes
		off, end = size-min(end, size), size-1
	case last == "", end >= size:
		end = size - 1
	}
	if off > end {
		return span{}, false, registry.E("distspec.parseRange", registry.RangeInvalid, nil, "range %q is not within the %d bytes there are", shorten(header), size)
	}
	return span{off, end - off + 1}, false, nil
}

// parseContentRange reads the Content-Range of an upload, which matches
// ^[0-9]+-[0-9]+$ and is inclusive. It returns BLOB_UPLOAD_INVALID.
func parseContentRange(header string) (span, error) {
	first, last, _ := strings.Cut(header, "-")
	off, ok := decimal(first)
	end, ok2 := decimal(last)
	if !ok || !ok2 || off > end || end == math.MaxInt64 {
		return span{}, registry.E("distspec.parseContentRange", registry.BlobUploadInvalid, nil,
			"Content-Range %q is not well-formed: want the first and the last byte, such as 0-1023", shorten(header))
	}
	return span{off, end - off + 1}, nil
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
