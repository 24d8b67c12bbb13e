package pypi

import (
	"bytes"
	"encoding/binary"
	"io"
	"slices"
)

// The records of PKWARE's APPNOTE.TXT: lengths without what varies.
const (
	localLength   = 30 // 4.3.7
	centralLength = 46 // 4.3.12
	endLength     = 22 // 4.3.16
	locatorLength = 20 // 4.3.15
	end64Length   = 56 // 4.3.14

	localMark   = 0x04034b50
	centralMark = 0x02014b50
	endMark     = 0x06054b50
	locatorMark = 0x07064b50
	end64Mark   = 0x06064b50

	inExtra32 = 0xffffffff // the value is in the zip64 extra field
	inExtra16 = 0xffff

	zip64Field       = 0x0001
	unicodePathField = 0x7075
)

// directoryEnd is where the central directory is.
type directoryEnd struct {
	entries      int64
	offset, size int64
}

// findEnd reads the end of a zip archive. Its directory must reach to its end
// record, and that, with its comment, to the end of the file.
func findEnd(r io.ReaderAt, size int64) (directoryEnd, error) {
	const longest = endLength + 1<<16 - 1
	tail := make([]byte, min(size, longest+locatorLength+end64Length))
	base := size - int64(len(tail))
	if err := readAt(r, tail, base); err != nil {
		return directoryEnd{}, err
	}
	at := len(tail) - endLength
	for at >= 0 && le32(tail[at:]) != endMark {
		at--
	}
	// The last mark must be the one whose comment ends the file: some readers
	// would take one inside of a comment.
	if at < 0 || at+endLength+int(le16(tail[at+20:])) != len(tail) {
		return directoryEnd{}, badZip("it has no end record")
	}
	record := tail[at:]
	end := directoryEnd{entries: int64(le16(record[10:])), size: int64(le32(record[12:])), offset: int64(le32(record[16:]))}
	if le16(record[4:]) != le16(record[6:]) || le16(record[8:]) != le16(record[10:]) {
		return directoryEnd{}, badZip("it is one of several disks")
	}
	limit := base + int64(at)
	if end.entries == inExtra16 || end.size == inExtra32 || end.offset == inExtra32 {
		if at < locatorLength+end64Length || le32(tail[at-locatorLength:]) != locatorMark {
			return directoryEnd{}, badZip("it has no zip64 end record")
		}
		limit -= locatorLength + end64Length
		record = tail[at-locatorLength-end64Length:]
		if le32(record) != end64Mark || le64(tail[at-locatorLength+8:]) != limit || le64(record[24:]) != le64(record[32:]) {
			return directoryEnd{}, badZip("its zip64 end record is not where it says")
		}
		end = directoryEnd{entries: le64(record[32:]), size: le64(record[40:]), offset: le64(record[48:])}
	}
	switch {
	case end.offset < 0 || end.size < 0 || end.offset > limit || end.offset+end.size != limit:
		return directoryEnd{}, badZip("its directory does not end where its end record begins")
	case end.entries < 0 || end.entries > maxEntries:
		return directoryEnd{}, badZip("it has more than %d entries", maxEntries)
	case end.size > maxDirectory:
		return directoryEnd{}, badZip("its directory is larger than %d MiB", maxDirectory>>20)
	case end.entries*centralLength > end.size:
		return directoryEnd{}, badZip("its directory has fewer entries than it says")
	}
	return end, nil
}

// parseMember reads the first record of a central directory and returns the rest.
func parseMember(b []byte) (m member, rest []byte, err error) {
	if len(b) < centralLength || le32(b) != centralMark {
		return member{}, nil, badZip("its directory has fewer entries than it says")
	}
	name, extra, comment := int(le16(b[28:])), int(le16(b[30:])), int(le16(b[32:]))
	if len(b) < centralLength+name+extra+comment {
		return member{}, nil, badZip("its directory ends early")
	}
	const (
		typeMask     = 0o170000
		symbolicLink = 0o120000
	)
	m = member{
		name: string(b[centralLength : centralLength+name]), flags: le16(b[8:]), method: le16(b[10:]), crc: le32(b[16:]),
		packed: int64(le32(b[20:])), size: int64(le32(b[24:])), offset: int64(le32(b[42:])),
		link: le32(b[38:])>>16&typeMask == symbolicLink,
	}
	// A field that says nothing has all bits set; the extra field has, in this
	// order, those that do.
	if err := zip64(b[centralLength+name:centralLength+name+extra], &m.size, &m.packed, &m.offset); err != nil {
		return member{}, nil, err
	}
	return m, b[centralLength+name+extra+comment:], nil
}

// zip64 replaces those values that are 0xffffffff by what the extra field of a
// header has, APPNOTE 4.5.3.
func zip64(extra []byte, values ...*int64) error {
	const head = 4
	for len(extra) >= head {
		id, n := le16(extra), int(le16(extra[2:]))
		if n > len(extra)-head {
			break // some writers leave a few bytes that are no field
		}
		field := extra[head : head+n]
		extra = extra[head+n:]
		switch id {
		case unicodePathField:
			return badZip("a member has a second name in an extra field")
		case zip64Field:
			for _, v := range values {
				if *v != inExtra32 {
					continue
				}
				if len(field) < 8 {
					return badZip("a zip64 extra field is too short")
				}
				if *v = le64(field); *v < 0 {
					return badZip("a member is too large")
				}
				field = field[8:]
			}
			return nil
		}
	}
	return nil
}

// window reads headers that lie close together with one read. What it returns
// holds until the next call.
type window struct {
	r   io.ReaderAt
	end int64 // where headers end
	at  int64
	buf []byte
}

func (w *window) bytes(off int64, n int) ([]byte, error) {
	const width = 32 << 10
	if off < w.at || off+int64(n) > w.at+int64(len(w.buf)) {
		if off+int64(n) > w.end {
			return nil, badZip("a member is not where its directory says")
		}
		length := int(min(max(int64(n), width), w.end-off))
		w.buf, w.at = slices.Grow(w.buf[:0], length)[:length], off
		if err := readAt(w.r, w.buf, off); err != nil {
			return nil, err
		}
	}
	return w.buf[off-w.at : off-w.at+int64(n)], nil
}

// local reads the local header of m, finds its content and compares the two
// headers.
func (w *window) local(m *member) error {
	b, err := w.bytes(m.offset, localLength)
	if err != nil {
		return err
	}
	if le32(b) != localMark {
		return badZip("%q is not where the directory says", clip(m.name))
	}
	name, extra := int(le16(b[26:])), int(le16(b[28:]))
	if b, err = w.bytes(m.offset, localLength+name+extra); err != nil {
		return err
	}
	m.data = m.offset + int64(localLength+name+extra)
	crc, packed, size := le32(b[14:]), int64(le32(b[18:])), int64(le32(b[22:]))
	if err := zip64(b[localLength+name:], &size, &packed); err != nil {
		return err
	}
	same := crc == m.crc && packed == m.packed && size == m.size
	if m.flags&descriptor != 0 {
		unset := func(v int64) bool { return v == 0 || v == inExtra32 }
		same = (crc == 0 || crc == m.crc) && (unset(packed) || packed == m.packed) && (unset(size) || size == m.size)
	}
	if !same || le16(b[6:]) != m.flags || le16(b[8:]) != m.method || !bytes.Equal(b[localLength:localLength+name], []byte(m.name)) {
		return badZip("%q is not what the directory says", clip(m.name))
	}
	return nil
}

func le16(b []byte) uint16 { return binary.LittleEndian.Uint16(b) }
func le32(b []byte) uint32 { return binary.LittleEndian.Uint32(b) }
func le64(b []byte) int64  { return int64(binary.LittleEndian.Uint64(b)) }
