package pypi

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"strings"

	"github.com/packhouse/packhouse/artifacttypes"
)

// inspectWheel reads a wheel: the binary distribution format specification.
// text is its METADATA.
func inspectWheel(ctx context.Context, file string, r io.ReaderAt, size int64) (facts *fileFacts, text []byte, err error) {
	name, err := parseWheelName(file)
	if err != nil {
		return nil, nil, err
	}
	if isTar(r, size) {
		return nil, nil, artifacttypes.Invalid("%s is a tar archive, too: a wheel is a zip archive and nothing else", file)
	}
	a, err := openZip(ctx, r, size)
	if err != nil {
		return nil, nil, in(file, err)
	}
	folder, err := a.distInfo()
	if err != nil {
		return nil, nil, in(file, err)
	}
	if stem := strings.TrimSuffix(folder, distInfoSuffix); !sdistIs(stem, name.name, name.version) {
		return nil, nil, artifacttypes.Invalid("%s has the folder %s: build the wheel again instead of renaming it", file, clip(folder))
	}
	text, packed, err := a.file(folder+"/METADATA", maxMetadata)
	if err != nil {
		return nil, nil, in(file, err)
	}
	m, err := parseMetadata("METADATA", text)
	if err != nil {
		return nil, nil, in(file, err)
	}
	if err := agree(file, name.name, name.version, &m); err != nil {
		return nil, nil, err
	}
	if err := a.checkWheel(folder); err != nil {
		return nil, nil, in(file, err)
	}
	sum := sha256.Sum256(text)
	facts = &fileFacts{
		Kind: wheelKind, Name: name.name, Version: name.version, Python: name.python(), Metadata: &m, MetadataSHA256: hex.EncodeToString(sum[:]),
	}
	if len(text) <= maxKept && len(packed.Packed) <= maxKept {
		facts.Text = packed
	}
	return facts, text, nil
}

const distInfoSuffix = ".dist-info"

// distInfo returns the one folder that says what the wheel is.
func (a *archive) distInfo() (string, error) {
	var folder string
	lowered := map[string]bool{}
	for i := range a.members {
		name := a.members[i].name
		top, below, nested := strings.Cut(name, "/")
		if !nested || !strings.HasSuffix(strings.ToLower(top), distInfoSuffix) {
			continue
		}
		if folder != "" && top != folder {
			return "", artifacttypes.Invalid("it has the folders %s and %s: a wheel has one %s folder", clip(folder), clip(top), distInfoSuffix)
		}
		folder = top
		if low := strings.ToLower(below); lowered[low] {
			return "", artifacttypes.Invalid("it has %q twice, in other letters", clip(name))
		} else if low != "" {
			lowered[low] = true
		}
	}
	if folder == "" {
		return "", artifacttypes.Invalid("it has no %s folder", distInfoSuffix)
	}
	return folder, nil
}

// file reads one member by its path.
func (a *archive) file(path string, limit int64) (content []byte, packed *packedText, err error) {
	m, ok := a.find(path)
	if !ok {
		return nil, nil, artifacttypes.Invalid("it has no %s", clip(path))
	}
	return a.read(m, limit)
}

// checkWheel reads WHEEL, and looks whether RECORD is there, without which
// nobody installs the wheel.
func (a *archive) checkWheel(folder string) error {
	text, _, err := a.file(folder+"/WHEEL", maxWheelFile)
	if err != nil {
		return err
	}
	var format string
	if _, err := readFields(text, func(field, value string) error {
		if field == "wheel-version" {
			if format != "" {
				return artifacttypes.Invalid("its WHEEL has the field Wheel-Version twice")
			}
			format = value
		}
		return nil
	}); err != nil {
		return err
	}
	if major, _, _ := strings.Cut(format, "."); major != "1" {
		return artifacttypes.Invalid("its WHEEL has Wheel-Version %q: 1.x is understood", clip(format))
	}
	if _, ok := a.find(folder + "/RECORD"); !ok {
		return artifacttypes.Invalid("it has no %s/RECORD", clip(folder))
	}
	return nil
}

// isTar tells whether r has the mark of a tar header where one would be.
func isTar(r io.ReaderAt, size int64) bool {
	const at, mark = 257, "ustar"
	var b [len(mark)]byte
	if size < at+int64(len(b)) {
		return false
	}
	n, _ := r.ReadAt(b[:], at) // what cannot be read fails later
	return n == len(b) && string(b[:]) == mark
}
