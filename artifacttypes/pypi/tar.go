package pypi

import (
	"archive/tar"
	"compress/gzip"
	"context"
	"errors"
	"io"
	"path"
	"strings"

	"github.com/packhouse/packhouse/artifacttypes"
	"github.com/packhouse/packhouse/registry"
)

// tarball reads a compressed tar archive within the limits.
type tarball struct {
	*tar.Reader
	unpacked io.Reader
	total    expansion
	fault    error // of the storage
}

type readFunc func(p []byte) (int, error)

func (f readFunc) Read(p []byte) (int, error) { return f(p) }

func openTarball(ctx context.Context, r io.ReaderAt, size int64) (*tarball, error) {
	t := &tarball{}
	file := io.NewSectionReader(r, 0, size)
	packed, err := gzip.NewReader(readFunc(func(p []byte) (int, error) {
		if err := ctx.Err(); err != nil {
			t.fault = err
			return 0, err
		}
		n, err := file.Read(p)
		if err != nil && err != io.EOF {
			t.fault = err
		}
		t.total.packed += int64(n)
		return n, err
	}))
	if err != nil {
		return nil, t.broken(err)
	}
	t.unpacked = readFunc(func(p []byte) (int, error) {
		n, err := packed.Read(p)
		if limit := t.total.add(int64(n)); limit != nil {
			return 0, limit
		}
		return n, err
	})
	t.Reader = tar.NewReader(t.unpacked)
	return t, nil
}

// broken says what is wrong with the archive, or with the storage.
func (t *tarball) broken(err error) error {
	if t.fault != nil {
		return t.fault
	}
	if limit, ok := errors.AsType[*registry.Error](err); ok {
		return limit
	}
	return artifacttypes.Invalid("not a sound .tar.gz archive")
}

// next returns the next file, folder or link, nil at the end.
func (t *tarball) next() (*tar.Header, error) {
	for {
		h, err := t.Next()
		if errors.Is(err, io.EOF) {
			return nil, t.drain()
		}
		if err != nil {
			return nil, t.broken(err)
		}
		if h.Typeflag == tar.TypeXGlobalHeader {
			continue
		}
		if err := t.total.entry(); err != nil {
			return nil, err
		}
		if err := checkInside(h.Name); err != nil {
			return nil, err
		}
		switch h.Typeflag {
		case tar.TypeReg:
			if h.Size < 0 || h.Size > maxUnpacked { // a sparse file is larger than what it takes here
				return nil, artifacttypes.Invalid("the archive unpacks to more than %d GiB", maxUnpacked>>30)
			}
		case tar.TypeDir:
		case tar.TypeSymlink, tar.TypeLink:
			if err := checkLink(h); err != nil {
				return nil, err
			}
		default:
			return nil, badMember(h.Name, "is no file, folder or link")
		}
		return h, nil
	}
}

// checkLink refuses links out of the archive, as PEP 721 has installers do,
// and those that stand in for the folder that everything else is in.
func checkLink(h *tar.Header) error {
	target := h.Linkname
	if h.Typeflag == tar.TypeSymlink {
		if !strings.Contains(path.Clean(h.Name), "/") {
			return badMember(h.Name, "is a link at the root of the archive")
		}
		if !path.IsAbs(target) {
			target = path.Join(path.Dir(h.Name), target) //nolint:gosec // looked at, never opened
		}
	}
	if path.IsAbs(target) || strings.HasPrefix(path.Clean(target)+"/", "../") {
		return badMember(h.Name, "is a link out of the archive")
	}
	return nil
}

// drain reads what is behind the archive's end, where a second archive would
// be for readers that go on.
func (t *tarball) drain() error {
	const chunk = 32 << 10
	buf := make([]byte, chunk)
	for {
		n, err := t.unpacked.Read(buf)
		for _, c := range buf[:n] {
			if c != 0 {
				return artifacttypes.Invalid("the archive goes on behind its end")
			}
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return t.broken(err)
		}
	}
}

// tarInfo returns the PKG-INFO of a compressed archive. It reads all of it,
// since a second one may follow anywhere.
func tarInfo(ctx context.Context, file string, r io.ReaderAt, size int64) ([]byte, error) {
	if _, err := findEnd(r, size); err == nil {
		return nil, artifacttypes.Invalid("it is a zip archive, too")
	}
	t, err := openTarball(ctx, r, size)
	if err != nil {
		return nil, err
	}
	var text []byte
	found := false
	for {
		h, err := t.next()
		if err != nil {
			return nil, err
		}
		if h == nil {
			break
		}
		exact, folded := infoPath(h.Name)
		switch {
		case !folded:
			continue
		case !exact || found:
			return nil, errTwoInfos()
		case h.Typeflag != tar.TypeReg:
			return nil, badMember(h.Name, "is no file")
		case h.Size > maxMetadata:
			return nil, artifacttypes.Invalid("its PKG-INFO is larger than the %d MiB allowed", maxMetadata>>20)
		}
		found = true
		if text, err = io.ReadAll(t); err != nil {
			return nil, t.broken(err)
		}
	}
	if !found {
		return nil, noInfo(file)
	}
	return text, nil
}
