package feed

import (
	"bytes"
	"encoding/binary"
	"errors"
	"time"

	"github.com/packhouse/packhouse/registry/engine"
)

// Parts and documents as other replicas get them. A part is
//
//	8 bytes   size, big endian
//	4 bytes   CRC-32, big endian
//	32 bytes  SHA-256
//	the rest  DEFLATE blocks
//
// and a document of one part
//
//	8 bytes   when it was updated, Unix milliseconds, 0 for unknown
//	1 byte    1 where it is kept as it is, too
//	40 bytes  ETag
//	the rest  its part
//
// A document of several parts is made of these again.
var (
	partCodec     = engine.Codec{Encode: encodePart, Decode: decodePart}
	documentCodec = engine.Codec{Encode: encodeDocument, Decode: decodeDocument}
)

// errCoded says that a body is none that the functions here make.
var errCoded = errors.New("this is no part and no document")

func encodePart(v any) []byte { return v.(*part).append(nil) }

func (p *part) append(b []byte) []byte {
	b = binary.BigEndian.AppendUint64(b, uint64(p.size))
	b = binary.BigEndian.AppendUint32(b, p.crc)
	b = append(b, p.sum[:]...)
	return append(b, p.deflated...)
}

func decodePart(b []byte) (any, int, error) {
	p, err := partOf(b)
	if err != nil {
		return nil, 0, err
	}
	return p, p.weight(), nil
}

func partOf(b []byte) (*part, error) {
	p := &part{}
	head := 8 + 4 + len(p.sum)
	if len(b) < head {
		return nil, errCoded
	}
	p.size, p.crc = int64(binary.BigEndian.Uint64(b)), binary.BigEndian.Uint32(b[8:])
	copy(p.sum[:], b[8+4:])
	p.deflated = b[head:]
	return p, nil
}

func encodeDocument(v any) []byte {
	d := v.(*document)
	if len(d.parts) != 1 {
		return nil
	}
	var b []byte
	var updated int64
	if !d.updated.IsZero() {
		updated = d.updated.UnixMilli()
	}
	b = binary.BigEndian.AppendUint64(b, uint64(updated))
	kept := byte(0)
	if d.plain != nil {
		kept = 1
	}
	b = append(append(b, kept), d.etag...)
	return d.parts[0].append(b)
}

func decodeDocument(b []byte) (any, int, error) {
	const head = 8 + 1 + tagDigits
	if len(b) < head {
		return nil, 0, errCoded
	}
	one, err := partOf(b[head:])
	if err != nil {
		return nil, 0, err
	}
	d := &document{parts: parts{one}, etag: string(b[8+1 : head])}
	if updated := int64(binary.BigEndian.Uint64(b)); updated != 0 {
		d.updated = time.UnixMilli(updated).UTC()
	}
	if b[8] == 1 {
		var plain bytes.Buffer
		if err := d.writePlain(&plain); err != nil {
			return nil, 0, err
		}
		d.plain = plain.Bytes()
	}
	return d, d.weight(), nil
}
