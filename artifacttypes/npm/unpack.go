package npm

import (
	"bufio"
	"compress/gzip"
	"context"
	"errors"
	"io"

	"github.com/packhouse/packhouse/artifacttypes"
)

const (
	maxUnpacked  = 20 << 30 // bytes that a tarball may unpack to
	freeUnpacked = 64 << 20 // bytes up to which the ratio does not matter
	maxRatio     = 100
)

// file is the packed bytes. It counts what was read, and keeps the error of
// the storage apart from what is wrong with the content.
type file struct {
	r   io.Reader
	n   int64
	err error
}

func (f *file) Read(p []byte) (int, error) {
	n, err := f.r.Read(p)
	f.n += int64(n)
	if err != nil && !errors.Is(err, io.EOF) {
		f.err = err
	}
	return n, err
}

// flow is the unpacked bytes, as many as are reasonable.
type flow struct {
	ctx    context.Context //nolint:containedctx // a reader's, whose interface has no place for it
	file   *file
	packed *bufio.Reader
	gzip   *gzip.Reader
	n      int64
	err    error // but for io.EOF
}

func (f *flow) Read(p []byte) (n int, err error) {
	if f.err != nil {
		return 0, f.err
	}
	if f.err = f.ctx.Err(); f.err != nil {
		return 0, f.err
	}
	if f.gzip == nil {
		if f.gzip, err = gzip.NewReader(f.packed); err != nil {
			f.err = artifacttypes.Invalid("the file is not a tarball: want a tar archive compressed by gzip")
			return 0, f.err
		}
	}
	n, err = f.gzip.Read(p)
	f.n += int64(n)
	switch {
	case f.n > maxUnpacked:
		f.err = artifacttypes.Invalid("the tarball unpacks to more than %d GiB", maxUnpacked>>30)
	case f.n > freeUnpacked && f.n/maxRatio > f.file.n:
		f.err = artifacttypes.Invalid("the tarball unpacks to more than %d times its size", maxRatio)
	case err != nil && !errors.Is(err, io.EOF):
		f.err = err
	default:
		return n, err
	}
	return 0, f.err
}
