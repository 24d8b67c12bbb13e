package npm

import (
	"archive/tar"
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"io"
	"strings"
	"unicode/utf8"

	"github.com/packhouse/packhouse/artifacttypes"
	"github.com/packhouse/packhouse/registry"
)

const (
	maxEntries  = 100_000
	maxMetadata = 10 << 20 // bytes of package.json
	maxReadme   = 64 << 10 // bytes kept of the readme
	maxNames    = 4 << 20  // bytes kept of file names
	maxLinks    = 1000
)

// contents is what a tarball says: the facts of its file.
type contents struct {
	Package    json.RawMessage `json:"package"` // package.json in npm's normal form
	Files      int             `json:"fileCount"`
	Unpacked   int64           `json:"unpackedSize"`
	Shrinkwrap bool            `json:"shrinkwrap,omitempty"`
	Readme     string          `json:"readme,omitempty"`
	ReadmeName string          `json:"readmeFilename,omitempty"`
}

// Inspect reads a tarball: a gzipped tar archive of one folder, of any name,
// with package.json in it.
func (Format) Inspect(ctx context.Context, _, _ string, r io.ReaderAt, size int64) (json.RawMessage, error) {
	s := newSurvey(ctx, r, size)
	c, err := s.all()
	if err != nil {
		return nil, s.explain(err)
	}
	return encode(c), nil
}

// packageOf reads no more of a tarball than its package.json needs.
func packageOf(ctx context.Context, r io.ReaderAt, size int64) (object, error) {
	s := newSurvey(ctx, r, size)
	for s.metadata == nil {
		if err := s.next(); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return nil, s.explain(err)
		}
	}
	return s.parse()
}

// survey is one reading of a tarball.
type survey struct {
	file *file
	flow *flow
	text *bufio.Reader // the archive, unpacked
	tar  *tar.Reader

	entries  int
	unpacked int64
	files    int
	metadata []byte // package.json as it stands

	links           links
	gyp, shrinkwrap bool
	readme          []byte
	readmeName      string
	names           []string // of files, for directories.bin
	nameBytes       int
}

func newSurvey(ctx context.Context, r io.ReaderAt, size int64) *survey {
	const buffer = 64 << 10
	s := &survey{file: &file{r: io.NewSectionReader(r, 0, size)}, links: links{}}
	s.flow = &flow{ctx: ctx, file: s.file, packed: bufio.NewReaderSize(s.file, buffer)}
	s.text = bufio.NewReaderSize(s.flow, buffer)
	s.tar = tar.NewReader(s.text)
	return s
}

func (s *survey) all() (*contents, error) {
	for {
		if err := s.next(); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return nil, err
		}
	}
	if err := s.end(); err != nil {
		return nil, err
	}
	pkg, err := s.parse()
	if err != nil {
		return nil, err
	}
	c := &contents{Files: s.files, Unpacked: s.unpacked, Shrinkwrap: s.shrinkwrap, ReadmeName: s.readmeName}
	c.Readme = strings.ToValidUTF8(string(s.readme), "\uFFFD")
	s.complete(&pkg, c.Readme)
	c.Package = compact(pkg.raw())
	return c, nil
}

// parse is package.json in its normal form, but for what other files add to it.
func (s *survey) parse() (object, error) {
	if s.metadata == nil {
		return nil, artifacttypes.Invalid("the tarball has no package.json in its top folder")
	}
	doc := bytes.TrimPrefix(s.metadata, []byte("\xEF\xBB\xBF"))
	if err := checkJSON("package.json", doc); err != nil {
		return nil, err
	}
	pkg, ok := fields(doc)
	if !ok {
		return nil, artifacttypes.Invalid("package.json is not a JSON object")
	}
	return normal("package.json", pkg)
}

// next reads one entry. It returns io.EOF after the last.
func (s *survey) next() error {
	h, err := s.tar.Next()
	if err != nil {
		return err
	}
	if s.entries++; s.entries > maxEntries {
		return artifacttypes.Invalid("the tarball has more than %d entries", maxEntries)
	}
	e, err := parseEntry(h)
	if err != nil {
		return err
	}
	if err := s.links.cross(e.path); err != nil {
		return err
	}
	if e.link {
		return s.links.add(e.path)
	}
	if !e.file {
		return nil
	}
	s.files++
	s.unpacked += h.Size
	if s.nameBytes += len(e.path); s.nameBytes <= maxNames {
		s.names = append(s.names, e.path)
	}
	switch {
	case e.metadata:
		return s.readMetadata(h.Size)
	case e.path == "npm-shrinkwrap.json":
		s.shrinkwrap = true
	case strings.HasSuffix(e.path, ".gyp") && !strings.Contains(e.path, "/"):
		s.gyp = true
	case betterReadme(e.path, s.readmeName):
		return s.readReadme(e.path)
	}
	return nil
}

// end checks that nothing but padding follows the archive, as readers of
// archives disagree about where one ends.
func (s *survey) end() error {
	for {
		if _, err := s.text.Peek(1); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		b, _ := s.text.Peek(s.text.Buffered())
		if len(bytes.Trim(b, "\x00")) > 0 {
			return artifacttypes.Invalid("the tarball has something behind the end of its archive")
		}
		if _, err := s.text.Discard(len(b)); err != nil {
			return err
		}
	}
}

func (s *survey) readMetadata(size int64) (err error) {
	switch {
	case s.metadata != nil:
		return artifacttypes.Invalid("the tarball has two files that unpack to package.json")
	case size > maxMetadata:
		return artifacttypes.Invalid("package.json is %d bytes long, the limit is %d", size, maxMetadata)
	}
	s.metadata = make([]byte, size)
	_, err = io.ReadFull(s.tar, s.metadata)
	return err
}

// betterReadme tells whether the file at path is the package's readme rather
// than the one found before: Markdown goes before plain text.
func betterReadme(path, than string) bool {
	rank := func(path string) int {
		switch base, ext, _ := strings.Cut(strings.ToLower(path), "."); {
		case base != "readme":
			return 0
		case ext == "md", ext == "markdown", ext == "mkd":
			return 2
		case ext == "":
			return 1
		}
		return 0
	}
	r, before := rank(path), rank(than)
	return r > before || r > 0 && r == before && path < than
}

func (s *survey) readReadme(name string) error {
	text, err := io.ReadAll(io.LimitReader(s.tar, maxReadme))
	if err != nil {
		return err
	}
	for range utf8.UTFMax - 1 { // a character that the limit may have cut
		if r, n := utf8.DecodeLastRune(text); len(text) < maxReadme-utf8.UTFMax || r != utf8.RuneError || n != 1 {
			break
		}
		text = text[:len(text)-1]
	}
	s.readme, s.readmeName = text, name
	return nil
}

// explain makes a sentence of an error in reading.
func (s *survey) explain(err error) error {
	switch {
	case s.file.err != nil: // of the storage, not of the tarball
		return s.file.err
	case s.flow.err != nil:
		err = s.flow.err
	}
	if _, ok := errors.AsType[*registry.Error](err); ok {
		return err
	}
	switch {
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return err
	case errors.Is(err, gzip.ErrHeader):
		return artifacttypes.Invalid("the tarball has something behind its gzip stream")
	case errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.EOF):
		return artifacttypes.Invalid("the tarball ends in the middle")
	}
	return artifacttypes.Invalid("the tarball cannot be read: %v", err)
}
