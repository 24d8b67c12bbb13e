package helm

import (
	"archive/tar"
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"io"
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/packhouse/packhouse/artifacttypes"
	"github.com/packhouse/packhouse/registry"
)

// Limits of an archive.
const (
	maxUnpacked = 100 << 20 // bytes; Helm reads no more
	maxEntries  = 100_000
	maxRatio    = 100      // unpacked to packed,
	freeRatio   = 64 << 20 // once that many bytes are unpacked
)

// drivePath is a name that means another place on one system.
var drivePath = regexp.MustCompile(`^[a-zA-Z]:/`)

// readArchive reads a chart's archive to its end and returns those of the
// named files, relative to the chart's folder, that it has, each of at most
// limit bytes. Nothing else is held in memory. It returns MANIFEST_INVALID, or
// what reading r returns.
func readArchive(ctx context.Context, r io.Reader, size, limit int64, names ...string) (map[string][]byte, error) {
	source := &source{ctx: ctx, r: r}
	zipped, err := gzip.NewReader(bufio.NewReaderSize(source, 64<<10))
	if err != nil {
		return nil, source.or("it is not a gzip archive")
	}
	unpacked := &bounded{r: zipped, packed: size}
	archive := tar.NewReader(unpacked)
	found := map[string][]byte{}
	for entries := 1; ; entries++ {
		h, err := archive.Next()
		switch {
		case errors.Is(err, io.EOF):
			if err := unpacked.rest(); err != nil {
				return nil, source.orErr(err, "something follows the archive's end, or its end is missing")
			}
			return found, nil
		case err != nil:
			return nil, source.orErr(err, "it is not a tar archive, or is damaged")
		case entries > maxEntries:
			return nil, artifacttypes.Invalid("the archive has more than %d entries", maxEntries)
		}
		name, err := entryName(h, names)
		if err != nil {
			return nil, err
		}
		if unpacked.declared += h.Size; unpacked.declared > maxUnpacked || h.Size > maxUnpacked {
			return nil, tooLarge()
		}
		if name == "" || !slices.Contains(names, name) {
			continue
		}
		if _, twice := found[name]; twice {
			return nil, artifacttypes.Invalid("the archive has two files %s", name)
		}
		if h.Size > limit {
			return nil, artifacttypes.Invalid("%s has %d bytes, the limit is %d", name, h.Size, limit)
		}
		content, err := io.ReadAll(archive)
		if err != nil {
			return nil, source.orErr(err, "it ends within "+name)
		}
		found[name] = bytes.TrimPrefix(content, []byte("\ufeff"))
	}
}

// entryName is the name of a file relative to the chart's folder, "" for what
// is no file. It refuses an entry that leads out of the archive, and one that
// another tool could take for one of the wanted.
func entryName(h *tar.Header, wanted []string) (string, error) {
	if h.Typeflag == tar.TypeXGlobalHeader {
		return "", nil
	}
	full := h.Name
	if strings.Contains(full, `\`) { // packed on Windows
		full = strings.ReplaceAll(full, `\`, "/")
	}
	folder, name, _ := strings.Cut(full, "/")
	if folder == "" || slices.Contains(strings.Split(full, "/"), "..") || path.IsAbs(name) || drivePath.MatchString(name) || drivePath.MatchString(full) || strings.Contains(full, "\x00") {
		return "", artifacttypes.Invalid("the archive has an entry %.80q, which leads out of it", h.Name)
	}
	name = path.Clean(name)
	switch h.Typeflag {
	case tar.TypeDir:
		return "", nil
	case tar.TypeReg, tar.TypeGNUSparse:
	case tar.TypeSymlink, tar.TypeLink:
		target := path.Clean(strings.ReplaceAll(h.Linkname, `\`, "/"))
		if h.Typeflag == tar.TypeSymlink && !path.IsAbs(target) {
			target = path.Join(path.Dir(full), target)
		}
		if path.IsAbs(target) || drivePath.MatchString(target) || target == ".." || strings.HasPrefix(target, "../") {
			return "", artifacttypes.Invalid("the archive has a link %.80q, which leads out of it", h.Name)
		}
		if slices.Contains(wanted, name) {
			return "", artifacttypes.Invalid("%s is a link: pack the chart with `helm package`", name)
		}
	default:
		return "", artifacttypes.Invalid("the archive has an entry %.80q that is neither a file nor a folder", h.Name)
	}
	if name == "." {
		return "", artifacttypes.Invalid("the archive has a file %.80q outside of the chart's folder", h.Name)
	}
	for _, w := range wanted {
		if name != w && strings.EqualFold(name, w) {
			return "", artifacttypes.Invalid("the archive has a file %s, which some systems take for %s", name, w)
		}
	}
	return name, nil
}

func tooLarge() error {
	return artifacttypes.Invalid("the archive has more than %d MiB unpacked, or more than %d times its size", maxUnpacked>>20, maxRatio)
}

// bounded reads what is unpacked, and no more than the limits.
type bounded struct {
	r        io.Reader
	packed   int64
	n        int64 // bytes so far
	declared int64 // bytes that the entries so far say they have
}

func (b *bounded) Read(p []byte) (int, error) {
	n, err := b.r.Read(p)
	b.n += int64(n)
	if b.n > maxUnpacked+maxUnpacked/10 || b.n > freeRatio && b.n > maxRatio*b.packed {
		return n, tooLarge()
	}
	return n, err
}

// rest reads to the end, where nothing but padding may be.
func (b *bounded) rest() error {
	buffer := make([]byte, 32<<10)
	for {
		n, err := b.Read(buffer)
		if len(bytes.Trim(buffer[:n], "\x00")) > 0 {
			return errors.New("content after the end")
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// source tells apart what is wrong with the bytes and with reading them.
type source struct {
	ctx context.Context //nolint:containedctx // lives for one readArchive
	r   io.Reader
	err error
}

func (s *source) Read(p []byte) (int, error) {
	if s.err = s.ctx.Err(); s.err != nil {
		return 0, s.err
	}
	n, err := s.r.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		s.err = err
	}
	return n, err
}

// or is the error of reading, if there was one, else that the archive is as
// described.
func (s *source) or(problem string) error {
	if s.err != nil {
		return s.err
	}
	return artifacttypes.Invalid("the chart cannot be read: %s", problem)
}

func (s *source) orErr(err error, problem string) error {
	if e, ok := errors.AsType[*registry.Error](err); ok {
		return e
	}
	return s.or(problem)
}
