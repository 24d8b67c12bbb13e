package maven

import (
	"bufio"
	"bytes"
	"compress/flate"
	"encoding/binary"
	"errors"
	"io"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/packhouse/packhouse/artifacttypes"
)

// A jar's directory is walked entry by entry: archive/zip holds all entries at
// once, however many a hostile archive has. APPNOTE.TXT 4.3.

const (
	maxEntries  = 100_000
	maxUnpacked = 20 << 30 // bytes, as the directory says
	freeRatio   = 64 << 20 // bytes unpacked up to which the ratio does not matter
	maxRatio    = 100
	maxEntry    = 10 << 20 // bytes of an entry that is read

	endLength    = 22
	end64Length  = 56
	entryLength  = 46
	localLength  = 30
	maxComment   = 1<<16 - 1
	signEnd      = "PK\x05\x06"
	signEnd64    = "PK\x06\x06"
	signLocate64 = "PK\x06\x07"
	signEntry    = "PK\x01\x02"
	signLocal    = "PK\x03\x04"
)

// archive is a jar.
type archive struct {
	r    io.ReaderAt
	size int64
	name string // of the file, for the client
	base int64  // where offsets count from: a script may come before the archive
}

// entry is one entry that is worth reading.
type entry struct {
	name             string
	offset           int64
	packed, unpacked uint64
	method           uint16
	encrypted        bool
	symlink          bool
}

func (a *archive) invalid(format string, args ...any) error {
	return artifacttypes.Invalid("%s is not a sound archive: "+format, append([]any{a.name}, args...)...)
}

// walk calls visit with each entry whose name wanted accepts, and holds the
// whole to the limits. It returns MANIFEST_INVALID.
func (a *archive) walk(wanted func(name []byte) bool, visit func(entry) error) error {
	start, length, err := a.directory()
	if err != nil {
		return err
	}
	if err := a.notTar(); err != nil {
		return err
	}
	r := bufio.NewReader(io.NewSectionReader(a.r, start, length))
	var unpacked uint64
	var header [entryLength]byte
	var name, extra []byte
	for count := 0; length > 0; count++ {
		if count == maxEntries {
			return a.invalid("it has more than %d entries", maxEntries)
		}
		if _, err := io.ReadFull(r, header[:]); err != nil || string(header[:4]) != signEntry {
			return a.broken(err)
		}
		le := binary.LittleEndian
		nameLen, extraLen, commentLen := int(le.Uint16(header[28:])), int(le.Uint16(header[30:])), int(le.Uint16(header[32:]))
		if length -= int64(entryLength + nameLen + extraLen + commentLen); length < 0 {
			return a.broken(nil)
		}
		name, extra = slices.Grow(name[:0], nameLen)[:nameLen], slices.Grow(extra[:0], extraLen)[:extraLen]
		if _, err := io.ReadFull(r, name); err != nil {
			return a.broken(err)
		}
		if _, err := io.ReadFull(r, extra); err != nil {
			return a.broken(err)
		}
		if _, err := r.Discard(commentLen); err != nil {
			return a.broken(err)
		}
		e := entry{
			packed: uint64(le.Uint32(header[20:])), unpacked: uint64(le.Uint32(header[24:])), offset: int64(le.Uint32(header[42:])),
			method: le.Uint16(header[10:]), encrypted: header[8]&1 != 0,
		}
		const unix, fileType, symlink = 3, 0o170000, 0o120000
		e.symlink = header[5] == unix && le.Uint32(header[38:])>>16&fileType == symlink
		if !e.zip64(extra) {
			return a.broken(nil)
		}
		if escapes(name) {
			return a.invalid("the entry %q leads out of it", clip(strings.ToValidUTF8(string(name), "?")))
		}
		if unpacked += e.unpacked; unpacked > maxUnpacked || e.unpacked > maxUnpacked {
			return a.invalid("it unpacks to more than %d GiB", maxUnpacked>>30)
		}
		if wanted(name) {
			if !utf8.Valid(name) {
				return a.invalid("the name of an entry is not UTF-8")
			}
			e.name = string(name)
			if err := visit(e); err != nil {
				return err
			}
		}
	}
	if unpacked > freeRatio && unpacked/maxRatio > uint64(a.size) {
		return a.invalid("it unpacks to more than %d times its size", maxRatio)
	}
	return nil
}

func (a *archive) broken(err error) error {
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return err // storage
	}
	return a.invalid("its directory is broken")
}

// escapes tells whether an entry's name leads out of a directory it is
// unpacked to.
func escapes(name []byte) bool {
	if bytes.IndexByte(name, 0) >= 0 || len(name) > 0 && (name[0] == '/' || name[0] == '\\') || len(name) > 1 && name[1] == ':' {
		return true
	}
	for part := range bytes.FieldsFuncSeq(name, func(r rune) bool { return r == '/' || r == '\\' }) {
		if string(part) == ".." {
			return true
		}
	}
	return false
}

// zip64 takes from the extra field, 4.5.3, what does not fit the header.
func (e *entry) zip64(extra []byte) bool {
	const full = 1<<32 - 1
	le := binary.LittleEndian
	if e.unpacked != full && e.packed != full && e.offset != full {
		return true
	}
	for len(extra) >= 4 {
		id, n := le.Uint16(extra), int(le.Uint16(extra[2:]))
		if extra = extra[4:]; n > len(extra) {
			return false
		}
		if id != 1 {
			extra = extra[n:]
			continue
		}
		field := extra[:n]
		for _, target := range []*uint64{&e.unpacked, &e.packed} {
			if *target == full {
				if len(field) < 8 {
					return false
				}
				*target, field = le.Uint64(field), field[8:]
			}
		}
		if e.offset == full {
			if len(field) < 8 {
				return false
			}
			e.offset = int64(le.Uint64(field))
		}
		return true
	}
	return true // the sizes are what they say
}

// directory finds where the central directory starts, and its length.
func (a *archive) directory() (start, length int64, err error) {
	tail := make([]byte, min(a.size, endLength+maxComment))
	if _, err := a.r.ReadAt(tail, a.size-int64(len(tail))); err != nil && !errors.Is(err, io.EOF) {
		return 0, 0, err
	}
	end := bytes.LastIndex(tail, []byte(signEnd))
	if end < 0 || len(tail)-end < endLength {
		return 0, 0, artifacttypes.Invalid("%s is not a zip archive, or was cut off: it has no directory", a.name)
	}
	le := binary.LittleEndian
	record := tail[end:]
	records, size, offset := uint64(le.Uint16(record[10:])), uint64(le.Uint32(record[12:])), uint64(le.Uint32(record[16:]))
	at := a.size - int64(len(tail)) + int64(end) // where the directory ends
	const locatorLength = 20
	if locator := end - locatorLength; locator >= 0 && string(tail[locator:locator+4]) == signLocate64 {
		at64 := int64(le.Uint64(tail[locator+8:]))
		var record [end64Length]byte
		if at64 < 0 || at64 > at {
			return 0, 0, a.invalid("its directory is broken")
		}
		if _, err := a.r.ReadAt(record[:], at64); err != nil || string(record[:4]) != signEnd64 {
			return 0, 0, a.broken(err)
		}
		records, size, offset, at = le.Uint64(record[32:]), le.Uint64(record[40:]), le.Uint64(record[48:]), at64
	}
	if size > uint64(at) || offset > uint64(at)-size {
		return 0, 0, a.invalid("its directory is broken")
	}
	if records > maxEntries {
		return 0, 0, a.invalid("it has more than %d entries", maxEntries)
	}
	start = at - int64(size)
	a.base = start - int64(offset)
	return start, int64(size), nil
}

// notTar refuses what is a tar archive, too: different tools would see
// different content.
func (a *archive) notTar() error {
	var magic [5]byte
	const at = 257
	if _, err := a.r.ReadAt(magic[:], at); err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	if string(magic[:]) == "ustar" {
		return artifacttypes.Invalid("%s is both a zip and a tar archive", a.name)
	}
	return nil
}

// open opens an entry. The reader fails beyond the size that the directory
// tells. The entry must be under the same name in its own header.
func (a *archive) open(e entry) (io.Reader, error) {
	const stored, deflated = 0, 8
	if e.symlink || e.encrypted || e.unpacked > maxEntry || e.method != stored && e.method != deflated {
		return nil, a.invalid("%s must be a plain file of at most %d MiB", e.name, maxEntry>>20)
	}
	var header [localLength]byte
	at := a.base + e.offset
	if at < 0 {
		return nil, a.invalid("its directory is broken")
	}
	if _, err := a.r.ReadAt(header[:], at); err != nil || string(header[:4]) != signLocal {
		return nil, a.broken(err)
	}
	le := binary.LittleEndian
	name := make([]byte, le.Uint16(header[26:]))
	if _, err := a.r.ReadAt(name, at+localLength); err != nil || string(name) != e.name {
		return nil, a.broken(err)
	}
	data := io.NewSectionReader(a.r, at+localLength+int64(len(name))+int64(le.Uint16(header[28:])), int64(min(e.packed, uint64(a.size))))
	var r io.Reader = data
	if e.method == deflated {
		r = flate.NewReader(data)
	}
	return io.LimitReader(r, int64(e.unpacked)), nil
}
