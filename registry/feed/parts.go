package feed

import (
	"bytes"
	"compress/flate"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io"
	"iter"
	"slices"
	"strconv"

	"github.com/packhouse/packhouse/artifacttypes"
	"github.com/packhouse/packhouse/registry"
	"github.com/packhouse/packhouse/registry/engine"
)

// part is a piece of a feed's document. It is kept compressed only: DEFLATE
// blocks that end at a byte and need nothing before them, so that any sequence
// of parts is one valid stream (RFC 1951, section 3.2.4).
type part struct {
	deflated []byte
	size     int64 // not compressed
	crc      uint32
	sum      [sha256.Size]byte
}

func newPart(text []byte) (*part, error) {
	var b bytes.Buffer
	w, err := flate.NewWriter(&b, compression)
	if err != nil {
		return nil, err
	}
	if _, err := w.Write(text); err != nil {
		return nil, err
	}
	if err := w.Flush(); err != nil { // not Close: that would end the stream
		return nil, err
	}
	return &part{slices.Clip(b.Bytes()), int64(len(text)), crc32.ChecksumIEEE(text), sha256.Sum256(text)}, nil
}

// parts are a feed's document in order.
type parts []*part

// RFC 1952: no name, no time, unknown system, so that the same parts are the
// same bytes. An empty last block ends the stream.
var (
	gzipHeader = []byte{0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255}
	lastBlock  = []byte{0x03, 0x00}
)

// zippedParts is a document sent compressed.
type zippedParts struct{ parts }

func (z zippedParts) size() int64 {
	n := int64(len(gzipHeader) + len(lastBlock) + 8)
	for _, p := range z.parts {
		n += int64(len(p.deflated))
	}
	return n
}

func (z zippedParts) WriteTo(w io.Writer) (n int64, err error) {
	write := func(b []byte) {
		if err == nil {
			var m int
			m, err = w.Write(b)
			n += int64(m)
		}
	}
	write(gzipHeader)
	var crc uint32
	var size int64
	for _, p := range z.parts {
		write(p.deflated)
		crc = combineCRC(crc, p.crc, p.size)
		size += p.size
	}
	write(lastBlock)
	tail := binary.LittleEndian.AppendUint32(nil, crc)
	write(binary.LittleEndian.AppendUint32(tail, uint32(size))) // modulo 2^32, RFC 1952
	return n, err
}

// plainParts is a document sent as it is.
type plainParts struct{ parts }

func (p plainParts) WriteTo(w io.Writer) (n int64, err error) {
	readers := make([]io.Reader, 0, len(p.parts)+1)
	for _, one := range p.parts {
		readers = append(readers, bytes.NewReader(one.deflated))
	}
	r := flate.NewReader(io.MultiReader(append(readers, bytes.NewReader(lastBlock))...))
	n, err = io.Copy(w, r) //nolint:gosec // our own parts, of known size
	return n, errors.Join(err, r.Close())
}

// feedDocument is the concatenation of its head, one part for each bucket of
// packages that has any, and its tail.
func (v *view) feedDocument(ctx context.Context, name string, zipped bool) (*document, error) {
	info := v.documentInfo(name)
	key := "document " + name + " " + strconv.FormatBool(zipped)
	if err := v.h.engine.MayList(ctx, v.feed); err != nil {
		return nil, err
	}
	got, err := v.h.engine.Derived(ctx, registry.Repo(v.feed.Name()), key, func(ctx context.Context) (any, int, error) {
		list, err := v.fixedParts(info.Head)
		if err != nil {
			return nil, 0, err
		}
		separator, err := v.fixedParts(info.Separator)
		if err != nil {
			return nil, 0, err
		}
		first := true
		for b := range engine.Buckets {
			if v.feed.ID == 0 {
				break
			}
			p, err := v.bucket(ctx, name, b)
			if err != nil {
				return nil, 0, err
			}
			if p.size == 0 {
				continue
			}
			if !first {
				list = append(list, separator...)
			}
			first = false
			list = append(list, p)
		}
		tail, err := v.fixedParts(info.Tail)
		if err != nil {
			return nil, 0, err
		}
		return join(append(list, tail...), zipped), 16 * len(list), nil
	})
	if err != nil {
		return nil, err
	}
	return got.(*document), nil
}

func join(list parts, zipped bool) *document {
	h := sha256.New()
	d := &document{}
	for _, p := range list {
		_, _ = h.Write(p.sum[:]) // never fails
		d.size += p.size
	}
	d.WriterTo, d.etag = plainParts{list}, quoteSum(h, "")
	if zipped {
		z := zippedParts{list}
		d.WriterTo, d.size, d.etag = z, z.size(), quoteSum(h, "-gzip")
	}
	return d
}

func (v *view) fixedParts(text string) (parts, error) {
	if text == "" {
		return nil, nil
	}
	p, err := newPart([]byte(text))
	return parts{p}, err
}

// bucket composes the part of all packages in one bucket.
func (v *view) bucket(ctx context.Context, name string, bucket int) (*part, error) {
	got, err := v.h.engine.Derived(ctx, engine.BucketKey(v.feed, bucket), "document "+name, func(ctx context.Context) (any, int, error) {
		text, err := v.composeBucket(ctx, name, bucket)
		if err != nil {
			return nil, 0, err
		}
		p, err := newPart(text)
		if err != nil {
			return nil, 0, err
		}
		return p, 100 + len(p.deflated), nil
	})
	if err != nil {
		return nil, err
	}
	return got.(*part), nil
}

func (v *view) composeBucket(ctx context.Context, name string, bucket int) ([]byte, error) {
	states, err := v.h.engine.BucketStates(ctx, v.feed, bucket)
	if err != nil {
		return nil, err
	}
	info := v.documentInfo(name)
	var out bytes.Buffer
	var p *registry.Package
	held := heldFragments{}
	flush := func() error {
		if p == nil {
			return nil
		}
		before := out.Len()
		if before > 0 {
			out.WriteString(info.Separator)
		}
		start := out.Len()
		err := v.f.Compose(name, p, held, &out)
		if out.Len() == start {
			out.Truncate(before)
		}
		clear(held)
		return err
	}
	for f, err := range v.h.engine.BucketFragments(ctx, v.feed, bucket) {
		if err != nil {
			return nil, err
		}
		if p == nil || p.Repo != f.Repository {
			if err := flush(); err != nil {
				return nil, err
			}
			p = &registry.Package{Name: f.Package, Repo: f.Repository, State: states[f.Repository]}
		}
		held[f.Kind] = append(held[f.Kind], fragment(f))
	}
	if err := flush(); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}

// heldFragments are one package's, by kind.
type heldFragments map[string][]artifacttypes.Fragment

func (h heldFragments) All(kind string) iter.Seq2[artifacttypes.Fragment, error] {
	return func(yield func(artifacttypes.Fragment, error) bool) {
		for _, f := range h[kind] {
			if !yield(f, nil) {
				return
			}
		}
	}
}

func (h heldFragments) One(kind, version string) ([]byte, error) {
	for _, f := range h[kind] {
		if f.Version == version {
			return f.Body, nil
		}
	}
	return nil, nil
}
