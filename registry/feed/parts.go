package feed

import (
	"bytes"
	"compress/flate"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"hash"
	"hash/crc32"
	"io"
	"iter"
	"runtime"
	"sync"

	"golang.org/x/sync/errgroup"

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

func (p *part) weight() int { return 100 + len(p.deflated) }

// partWriter makes a part of what is written to it.
type partWriter struct {
	out  bytes.Buffer
	zip  *flate.Writer
	size int64
	crc  uint32
	sum  hash.Hash
}

// Compressors are large, and made for each part.
var compressors = sync.Pool{New: func() any {
	w, _ := flate.NewWriter(io.Discard, compression) // fails for a wrong level only
	return w
}}

func newPartWriter() *partWriter {
	w := &partWriter{zip: compressors.Get().(*flate.Writer), sum: sha256.New()}
	w.zip.Reset(&w.out)
	return w
}

func (w *partWriter) Write(p []byte) (int, error) {
	w.size += int64(len(p))
	w.crc = crc32.Update(w.crc, crc32.IEEETable, p)
	_, _ = w.sum.Write(p) // never fails
	return w.zip.Write(p)
}

func (w *partWriter) part() (*part, error) {
	if err := w.zip.Flush(); err != nil { // not Close: that would end the stream
		return nil, err
	}
	p := &part{deflated: bytes.Clone(w.out.Bytes()), size: w.size, crc: w.crc}
	w.sum.Sum(p.sum[:0])
	return p, nil
}

func (w *partWriter) release() { compressors.Put(w.zip) }

func newPart(text []byte) (*part, error) {
	w := newPartWriter()
	defer w.release()
	if _, err := w.Write(text); err != nil {
		return nil, err
	}
	return w.part()
}

// parts are a document in order.
type parts []*part

// RFC 1952: no name, no time, unknown system, so that the same parts are the
// same bytes. An empty last block ends the stream.
var (
	gzipHeader = []byte{0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255}
	lastBlock  = []byte{0x03, 0x00}
)

func (list parts) size() (n int64) {
	for _, p := range list {
		n += p.size
	}
	return n
}

func (list parts) zippedSize() int64 {
	n := int64(len(gzipHeader) + len(lastBlock) + 8)
	for _, p := range list {
		n += int64(len(p.deflated))
	}
	return n
}

// writeZipped writes one gzip stream.
func (list parts) writeZipped(w io.Writer) error {
	pieces := [][]byte{gzipHeader}
	var crc uint32
	for _, p := range list {
		pieces = append(pieces, p.deflated)
		crc = combineCRC(crc, p.crc, p.size)
	}
	tail := binary.LittleEndian.AppendUint32(bytes.Clone(lastBlock), crc)
	tail = binary.LittleEndian.AppendUint32(tail, uint32(list.size())) // modulo 2^32, RFC 1952
	for _, b := range append(pieces, tail) {
		if _, err := w.Write(b); err != nil {
			return err
		}
	}
	return nil
}

// writePlain writes the document as it is.
func (list parts) writePlain(w io.Writer) error {
	readers := make([]io.Reader, 0, len(list)+1)
	for _, p := range list {
		readers = append(readers, bytes.NewReader(p.deflated))
	}
	r := flate.NewReader(io.MultiReader(append(readers, bytes.NewReader(lastBlock))...))
	_, err := io.Copy(w, r) //nolint:gosec // our own parts, of known size
	return errors.Join(err, r.Close())
}

// feedDocument is the concatenation of its head, one part for each bucket of
// packages that has any, and its tail.
func (v *view) feedDocument(ctx context.Context, name string) (*document, error) {
	seen, err := v.h.engine.Filter(ctx, v.feed)
	if err != nil {
		return nil, err
	}
	got, err := v.h.engine.Rendered(ctx, registry.Repo(v.feed.Name()), derivedName(name, seen), documentCodec, func(ctx context.Context) (any, int, error) {
		list, err := v.feedParts(ctx, name, seen)
		if err != nil {
			return nil, 0, err
		}
		h := sha256.New()
		for _, p := range list {
			_, _ = h.Write(p.sum[:]) // never fails
		}
		d := &document{parts: list, etag: tagOf(h.Sum(nil))}
		if list.size() <= joinBelow {
			if d.parts, err = joined(list); err != nil {
				return nil, 0, err
			}
		}
		return d, d.weight(), nil
	})
	if err != nil {
		return nil, err
	}
	return got.(*document), nil
}

// derivedName is what a document, or a part of one, is kept under.
func derivedName(name string, seen engine.Filter) string {
	return "document " + name + " " + seen.Class
}

// joinBelow is up to how many bytes a feed's document is compressed as one:
// its parts are small then, and hardly get smaller alone.
const joinBelow = 1 << 20

func joined(list parts) (parts, error) {
	w := newPartWriter()
	defer w.release()
	if err := list.writePlain(w); err != nil {
		return nil, err
	}
	one, err := w.part()
	return parts{one}, err
}

func (v *view) feedParts(ctx context.Context, name string, seen engine.Filter) (parts, error) {
	info := v.documentInfo(name)
	list, err := v.fixedParts(info.Head)
	if err != nil {
		return nil, err
	}
	separator, err := v.fixedParts(info.Separator)
	if err != nil {
		return nil, err
	}
	first := true
	buckets, err := v.buckets(ctx, name, seen)
	if err != nil {
		return nil, err
	}
	for _, p := range buckets {
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
	return append(list, tail...), err
}

func (v *view) fixedParts(text string) (parts, error) {
	if text == "" {
		return nil, nil
	}
	p, err := newPart([]byte(text))
	return parts{p}, err
}

// buckets are the parts of all packages. Most come from the cache; after a
// start all are composed, on all processors.
func (v *view) buckets(ctx context.Context, name string, seen engine.Filter) (parts, error) {
	if v.feed.ID == 0 {
		return nil, nil
	}
	list := make(parts, engine.Buckets)
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(runtime.GOMAXPROCS(0))
	for b := range list {
		g.Go(func() (err error) {
			list[b], err = v.bucket(ctx, name, b, seen)
			return err
		})
	}
	return list, g.Wait()
}

// bucket composes the part of all packages in one bucket.
func (v *view) bucket(ctx context.Context, name string, bucket int, seen engine.Filter) (*part, error) {
	got, err := v.h.engine.Rendered(ctx, engine.BucketKey(v.feed, bucket), derivedName(name, seen), partCodec, func(ctx context.Context) (any, int, error) {
		text, err := v.composeBucket(ctx, name, bucket, seen)
		if err != nil {
			return nil, 0, err
		}
		p, err := newPart(text)
		if err != nil {
			return nil, 0, err
		}
		return p, p.weight(), nil
	})
	if err != nil {
		return nil, err
	}
	return got.(*part), nil
}

func (v *view) composeBucket(ctx context.Context, name string, bucket int, seen engine.Filter) ([]byte, error) {
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
	for f, err := range v.h.engine.BucketFragments(ctx, v.feed, bucket, info.Fragments) {
		if err != nil {
			return nil, err
		}
		if seen.Sees != nil && !seen.Sees(f.Repository) {
			continue
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
