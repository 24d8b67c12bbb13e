package pypi

import (
	"bytes"
	"cmp"
	"compress/flate"
	"context"
	"errors"
	"hash/crc32"
	"io"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/packhouse/packhouse/artifacttypes"
)

// archive is a zip file whose central directory and local headers say the
// same. Readers differ in which of the two they believe, so a file where they
// disagree would be one package to one and another to the other.
type archive struct {
	r       io.ReaderAt
	members []member // in the order of the central directory
}

// member is one file in an archive, PKWARE APPNOTE 4.3.12.
type member struct {
	name         string
	flags        uint16
	method       uint16
	crc          uint32
	packed, size int64
	offset       int64 // of the local header
	data         int64 // of the content
	link         bool
}

const (
	stored   = 0
	deflated = 8

	encrypted  = 1 << 0
	descriptor = 1 << 3 // sizes follow the content
)

// openZip reads the directory of a zip archive and checks it against the
// archive. Nothing is unpacked.
func openZip(ctx context.Context, r io.ReaderAt, size int64) (*archive, error) {
	end, err := findEnd(r, size)
	if err != nil {
		return nil, err
	}
	directory := make([]byte, end.size)
	if err := readAt(r, directory, end.offset); err != nil {
		return nil, err
	}
	a := &archive{r: r, members: make([]member, 0, end.entries)}
	seen := make(map[string]bool, end.entries)
	total := expansion{packed: size}
	for range end.entries {
		var m member
		if m, directory, err = parseMember(directory); err != nil {
			return nil, err
		}
		if seen[m.name] {
			return nil, artifacttypes.Invalid("the archive has %q twice", clip(m.name))
		}
		seen[m.name] = true
		if err := cmp.Or(m.check(), total.entry(), total.add(m.size)); err != nil {
			return nil, err
		}
		a.members = append(a.members, m)
	}
	if len(directory) > 0 {
		return nil, badZip("its directory has more entries than it says")
	}
	return a, a.checkLocals(ctx, end.offset)
}

// check refuses members that readers do not agree on or that leave the folder
// they are unpacked to.
func (m *member) check() error {
	switch {
	case m.flags&encrypted != 0:
		return badZip("%q is encrypted", clip(m.name))
	case m.method != stored && m.method != deflated:
		return badZip("%q is compressed by method %d: only stored and deflated members are taken", clip(m.name), m.method)
	case m.method == stored && m.packed != m.size:
		return badZip("%q is stored in %d bytes but has %d", clip(m.name), m.packed, m.size)
	}
	return checkPath(m.name)
}

// checkPath refuses names of members that readers spell in different ways or
// that are not below the archive's root.
func checkPath(name string) error {
	switch {
	case !utf8.ValidString(name):
		return badMember(name, "is not UTF-8")
	case strings.ContainsFunc(name, func(r rune) bool { return r < ' ' || r == '\\' || r == 0x7f }):
		return badMember(name, "contains a backslash or a control character")
	}
	return checkInside(name)
}

// checkInside refuses names that lead out of the folder they are unpacked to,
// on any system.
func checkInside(name string) error {
	switch {
	case name == "":
		return badMember(name, "has no name")
	case len(name) > maxPath:
		return badMember(name, "is too long")
	case name[0] == '/', name[0] == '\\', len(name) > 1 && name[1] == ':':
		return badMember(name, "is an absolute path")
	}
	for part := range strings.FieldsFuncSeq(name, func(r rune) bool { return r == '/' || r == '\\' }) {
		if part == ".." {
			return badMember(name, "leads out of the archive")
		}
	}
	return nil
}

func badMember(name, what string) error {
	return artifacttypes.Invalid("the archive has a member %q, which %s", clip(name), what)
}

// checkLocals reads each member's local header. The members must fill the
// archive from its first byte to the directory without a gap in which more
// could hide.
func (a *archive) checkLocals(ctx context.Context, directory int64) error {
	order := make([]int32, len(a.members))
	for i := range order {
		order[i] = int32(i)
	}
	slices.SortFunc(order, func(i, j int32) int { return cmp.Compare(a.members[i].offset, a.members[j].offset) })
	w := &window{r: a.r, end: directory}
	var at int64
	for i, n := range order {
		const now = 1024 // members between two looks at the context
		if i%now == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		m := &a.members[n]
		if m.offset != at {
			return badZip("%q does not follow the member before it", clip(m.name))
		}
		if err := w.local(m); err != nil {
			return err
		}
		at = m.data + m.packed
		next := directory
		if i+1 < len(order) {
			next = a.members[order[i+1]].offset
		}
		switch gap := next - at; {
		case gap < 0:
			return badZip("%q reaches into what follows it", clip(m.name))
		case gap > 0 && !descriptorLength(m, gap):
			return badZip("%d bytes behind %q belong to no member", gap, clip(m.name))
		}
		at = next
	}
	if at != directory {
		return badZip("there are %d bytes before its directory", directory-at)
	}
	return nil
}

// descriptorLength tells whether n bytes behind m can be its data descriptor,
// APPNOTE 4.3.9: three or four fields, sizes in four or eight bytes.
func descriptorLength(m *member, n int64) bool {
	return m.flags&descriptor != 0 && slices.Contains([]int64{12, 16, 20, 24}, n)
}

// find returns the member of that name.
func (a *archive) find(name string) (*member, bool) {
	i := slices.IndexFunc(a.members, func(m member) bool { return m.name == name })
	if i < 0 {
		return nil, false
	}
	return &a.members[i], true
}

// packedText is a member as its archive holds it.
type packedText struct {
	Method uint16 `json:"method"`
	Size   int64  `json:"size"` // unpacked
	Packed []byte `json:"packed"`
}

// read unpacks m, of at most limit bytes.
func (a *archive) read(m *member, limit int64) (content []byte, packed *packedText, err error) {
	if m.link {
		return nil, nil, artifacttypes.Invalid("%q is a symbolic link", clip(m.name))
	}
	if m.size > limit || m.packed > limit {
		return nil, nil, artifacttypes.Invalid("%q is larger than the %d KiB allowed", clip(m.name), limit>>10)
	}
	packed = &packedText{Method: m.method, Size: m.size, Packed: make([]byte, m.packed)}
	if err := readAt(a.r, packed.Packed, m.data); err != nil {
		return nil, nil, err
	}
	content, err = packed.unpack()
	if err != nil || crc32.ChecksumIEEE(content) != m.crc {
		return nil, nil, badZip("%q is damaged", clip(m.name))
	}
	return content, packed, nil
}

// unpack returns what p stands for, exactly p.Size bytes.
func (p *packedText) unpack() ([]byte, error) {
	if p.Method == stored {
		return p.Packed, nil
	}
	r := bytes.NewReader(p.Packed) // of which flate takes no byte too many
	content := make([]byte, p.Size, p.Size+1)
	n, err := io.ReadFull(flate.NewReader(r), content[:p.Size+1])
	if int64(n) != p.Size || err != io.EOF && err != io.ErrUnexpectedEOF || r.Len() > 0 {
		return nil, io.ErrUnexpectedEOF
	}
	return content, nil
}

func badZip(format string, a ...any) error {
	return artifacttypes.Invalid("not a sound zip archive: "+format, a...)
}

// readAt fills p, and tells an archive that ends early from storage that fails.
func readAt(r io.ReaderAt, p []byte, off int64) error {
	n, err := r.ReadAt(p, off)
	if n == len(p) {
		return nil
	}
	if err == nil || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return badZip("it ends early")
	}
	return err
}
