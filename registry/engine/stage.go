package engine

import (
	"bytes"
	"context"
	"crypto/md5"  //nolint:gosec // Maven's and others' checksum, not a signature
	"crypto/sha1" //nolint:gosec // as md5
	"crypto/sha256"
	"crypto/sha512"
	"encoding/hex"
	"fmt"
	"hash"
	"io"
	"slices"
	"sync"

	"github.com/opencontainers/go-digest"

	"github.com/packhouse/packhouse/registry"
	"github.com/packhouse/packhouse/storage/meta"
)

// sums hashes by several algorithms at once.
type sums map[string]hash.Hash

func newSums(names []string) (sums, []io.Writer) {
	s, writers := sums{}, make([]io.Writer, 0, len(names))
	for _, name := range names {
		switch name {
		case "md5":
			s[name] = md5.New() //nolint:gosec // see the import
		case "sha1":
			s[name] = sha1.New() //nolint:gosec // see the import
		case "sha256":
			s[name] = sha256.New()
		case "sha512":
			s[name] = sha512.New()
		default:
			continue
		}
		writers = append(writers, s[name])
	}
	return s, writers
}

func (s sums) hex() map[string]string {
	if len(s) == 0 {
		return nil
	}
	m := make(map[string]string, len(s))
	for name, h := range s {
		m[name] = hex.EncodeToString(h.Sum(nil))
	}
	return m
}

// staged is content under a key of its own that no row names. Until it is
// published a crash leaves it to the sweep of reserved keys.
type staged struct {
	e      *Engine
	object meta.Object
	desc   registry.Descriptor
	sums   map[string]string
	kept   bool // published, or not ours to discard
	reused bool // a blob that is there: object is none
	reader *segmentReader
}

var _ registry.Staged = (*staged)(nil)

// Stage stores body for a later [Engine.Publish] into feed, hashing it by
// sha256, by the checksums that the format asks for, and into also. It returns
// TOO_LARGE.
func (e *Engine) Stage(ctx context.Context, feed registry.Feed, body io.Reader, also ...hash.Hash) (registry.Staged, error) {
	const op = "engine.Stage"
	if err := e.canSome(ctx, registry.Create, feed); err != nil {
		return nil, err
	}
	if err := e.room(ctx, op, registry.Repo(feed.Name()+"/.")); err != nil {
		return nil, err
	}
	var names []string
	if f := e.formats[feed.Format]; f != nil {
		names = f.Sums
	}
	s, writers := newSums(names)
	for _, h := range also {
		writers = append(writers, h)
	}
	h := sha256.New()
	head := make([]byte, inlineSize+1)
	n, err := io.ReadFull(cut{body}, head)
	if ended(err) == nil && err != nil && int64(n) <= e.cfg.Limits.File { // all of it
		_, _ = (&teeHash{h, writers}).Write(head[:n]) // a hash's Write never fails
		return e.inMemory(ctx, slices.Clip(head[:n]), s.hex()), nil
	}
	// What else went wrong is met again.
	o, bodyErr, err := e.store(ctx, io.MultiReader(bytes.NewReader(head[:n]), &failing{cut{body}, err}), &teeHash{h, writers}, e.cfg.Limits.File)
	if err != nil {
		return nil, storeError(op, "a file of a package (limits.package)", e.cfg.Limits.File, err)
	}
	if bodyErr != nil {
		e.discardObjects(ctx, o)
		return nil, brokenBody(op, bodyErr)
	}
	st := &staged{e: e, object: o, desc: registry.Descriptor{Digest: digest.NewDigest(digest.SHA256, h), Size: o.Size}, sums: s.hex()}
	st.reader = e.segments(context.WithoutCancel(ctx), []meta.Object{o})
	return st, nil
}

// inlineSize is up to how many bytes of a package's file, or of what the
// registry makes itself, lie in the database.
const inlineSize = 16 << 10

// inMemory is staged content that the database will hold.
func (e *Engine) inMemory(ctx context.Context, content []byte, sums map[string]string) *staged {
	d := digestOf(content)
	o := meta.Inline(d, content)
	st := &staged{e: e, object: o, desc: registry.Descriptor{Digest: d, Size: o.Size}, sums: sums, kept: true}
	st.reader = e.segments(context.WithoutCancel(ctx), []meta.Object{o})
	return st
}

// failing gives the error that was met before, if there was one.
type failing struct {
	io.Reader
	err error
}

func (f *failing) Read(p []byte) (int, error) {
	if f.err != nil {
		return 0, f.err
	}
	return f.Reader.Read(p)
}

// Reuse is Stage for a file that package r has.
func (e *Engine) Reuse(ctx context.Context, r registry.Repo, f registry.File) (registry.Staged, error) {
	const op = "engine.Reuse"
	if err := e.can(ctx, registry.Read, r); err != nil {
		return nil, err
	}
	b, err := e.blob(ctx, op, r, f.Digest)
	if err != nil {
		return nil, err
	}
	return &staged{
		e: e, kept: true, reused: true, desc: registry.Descriptor{Digest: f.Digest, Size: f.Size}, sums: f.Facts.Sums,
		reader: e.segments(context.WithoutCancel(ctx), b.Objects),
	}, nil
}

// place makes r show the content, inside the transaction, and returns the
// keys that nothing needs now.
func (s *staged) place(ctx context.Context, tx *meta.Tx, r meta.Repository) (spare []string, err error) {
	if !s.reused {
		return tx.AddBlob(ctx, r, s.desc.Digest, s.desc.Size, []meta.Object{s.object})
	}
	row, err := tx.BlobRow(ctx, s.desc.Digest)
	if err != nil {
		return nil, err
	}
	if row.State != meta.Live {
		return nil, missingContent("engine.Publish", r.Name, []registry.Digest{s.desc.Digest})
	}
	if err := tx.RenewBlob(ctx, row.ID); err != nil {
		return nil, err
	}
	return nil, tx.LinkBlob(ctx, r, row.ID)
}

// teeHash hashes into others, too.
type teeHash struct {
	hash.Hash
	also []io.Writer
}

func (t *teeHash) Write(p []byte) (int, error) {
	for _, w := range t.also {
		_, _ = w.Write(p) // a hash's Write never fails
	}
	return t.Hash.Write(p)
}

func (s *staged) Descriptor() registry.Descriptor { return s.desc }
func (s *staged) Sums() map[string]string         { return s.sums }

func (s *staged) ReadAt(p []byte, off int64) (int, error) { return s.reader.ReadAt(p, off) }

// Discard implements registry.Staged.
func (s *staged) Discard() {
	if !s.kept {
		s.kept = true
		s.e.discardObjects(context.Background(), s.object)
	}
}

// segmentReader reads stored objects at any place. It keeps the last blocks
// that it read, since archives are read by small pieces.
type segmentReader struct {
	e       *Engine
	ctx     context.Context //nolint:containedctx // io.ReaderAt has none; the reader lives within one request
	objects []meta.Object
	size    int64

	mu     sync.Mutex
	blocks [readBlocks]readBlock
	turn   int
}

const (
	readBlockSize = 128 << 10
	readBlocks    = 4
)

type readBlock struct {
	off  int64
	data []byte
}

func (e *Engine) segments(ctx context.Context, objects []meta.Object) *segmentReader {
	r := &segmentReader{e: e, ctx: ctx, objects: objects}
	for _, o := range objects {
		r.size += o.Size
	}
	return r
}

// ReadAt implements io.ReaderAt.
func (r *segmentReader) ReadAt(p []byte, off int64) (n int, err error) {
	if off < 0 {
		return 0, fmt.Errorf("read at %d", off)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for n < len(p) && off < r.size {
		block, err := r.block(off / readBlockSize * readBlockSize)
		if err != nil {
			return n, err
		}
		m := copy(p[n:], block.data[off-block.off:])
		n += m
		off += int64(m)
	}
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

func (r *segmentReader) block(off int64) (*readBlock, error) {
	for i := range r.blocks {
		if b := &r.blocks[i]; b.data != nil && b.off == off {
			return b, nil
		}
	}
	b := &r.blocks[r.turn]
	r.turn = (r.turn + 1) % readBlocks
	if cap(b.data) == 0 {
		b.data = make([]byte, 0, min(readBlockSize, r.size))
	}
	want := min(readBlockSize, r.size-off)
	body, err := r.e.read(r.ctx, r.objects, off, want)
	if err != nil {
		b.data = nil
		return nil, err
	}
	b.off, b.data = off, b.data[:want]
	_, err = io.ReadFull(body, b.data)
	if closeErr := body.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		b.data = nil
		return nil, err
	}
	return b, nil
}
