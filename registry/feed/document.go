package feed

import (
	"bytes"
	"context"
	"encoding/hex"
	"io"
	"iter"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/packhouse/packhouse/artifacttypes"
	"github.com/packhouse/packhouse/registry"
	"github.com/packhouse/packhouse/registry/engine"
	"github.com/packhouse/packhouse/registry/transfer"
)

// document is one document, ready to be sent in any encoding.
type document struct {
	parts
	plain   []byte // the document itself where it is small, else nil
	etag    string // of the document as it is, not quoted
	updated time.Time
}

// keepPlain is up to how many bytes a document is kept as it is, too: most
// clients take compressed ones, and those that do not wait for large ones.
const keepPlain = 64 << 10

// compression of documents: a large one is compressed again with each publish.
const compression = 4

// Document implements artifacttypes.View.
func (v *view) Document(w http.ResponseWriter, r *http.Request, pkg, name string) error {
	h := w.Header()
	h.Add("Vary", "Accept-Encoding")
	d, err := v.document(r.Context(), pkg, name)
	if err != nil {
		return err
	}
	zipped := acceptsGzip(r.Header)
	etag := d.entityTag(zipped)
	h.Set("ETag", etag)
	setDefault(h, "Cache-Control", "no-cache")
	h.Set("X-Content-Type-Options", "nosniff")
	if !d.updated.IsZero() {
		h.Set("Last-Modified", d.updated.Format(http.TimeFormat))
	}
	if transfer.Unchanged(r.Header, etag) {
		w.WriteHeader(http.StatusNotModified)
		return nil
	}
	size := d.size()
	if zipped {
		h.Set("Content-Encoding", "gzip")
		size = d.zippedSize()
	}
	setDefault(h, "Content-Type", v.documentInfo(name).Type)
	h.Set("Content-Length", strconv.FormatInt(size, 10))
	w.WriteHeader(http.StatusOK)
	if r.Method == http.MethodHead {
		return nil
	}
	if err := d.write(w, zipped); err != nil {
		panic(http.ErrAbortHandler) // the status line is out
	}
	return nil
}

// entityTag tells the two encodings apart.
func (d *document) entityTag(zipped bool) string {
	if zipped {
		return `"` + d.etag + `-gzip"`
	}
	return `"` + d.etag + `"`
}

func (d *document) write(w io.Writer, zipped bool) error {
	switch {
	case zipped:
		return d.writeZipped(w)
	case d.plain != nil:
		_, err := w.Write(d.plain)
		return err
	}
	return d.writePlain(w)
}

func (v *view) documentInfo(name string) artifacttypes.Document {
	i := slices.IndexFunc(v.f.info.Documents, func(d artifacttypes.Document) bool { return d.Name == name })
	if i < 0 {
		return artifacttypes.Document{}
	}
	return v.f.info.Documents[i]
}

// acceptsGzip reads Accept-Encoding; a weight of zero refuses.
func acceptsGzip(h http.Header) bool {
	for _, field := range h["Accept-Encoding"] {
		for one := range strings.SplitSeq(field, ",") {
			name, q, _ := strings.Cut(one, ";")
			if strings.TrimSpace(name) == "gzip" {
				_, weight, found := strings.Cut(q, "=")
				return !found || strings.Trim(weight, " 0.") != ""
			}
		}
	}
	return false
}

func (v *view) document(ctx context.Context, pkg, name string) (*document, error) {
	if v.documentInfo(name).Feed {
		return v.feedDocument(ctx, name)
	}
	r, err := v.repo(ctx, pkg)
	if err != nil {
		return nil, err
	}
	p, err := v.h.engine.Package(ctx, r) // decides whether it is there, and asks the gate
	if err != nil {
		return nil, err
	}
	got, err := v.h.engine.Rendered(ctx, r, "document "+name+" "+v.base, documentCodec, func(ctx context.Context) (any, int, error) {
		for try := 0; ; try++ {
			d, err := v.compose(ctx, p, name)
			if err != nil {
				return nil, 0, err
			}
			now, err := v.h.engine.Generation(ctx, r)
			if err != nil || now == p.Generation || try == composeTries {
				return d, d.weight(), err
			}
			// Something changed between its reads: what was read is of two times.
			if p, err = v.h.engine.PackageNow(ctx, r); err != nil {
				return nil, 0, err
			}
		}
	})
	if err != nil {
		return nil, err
	}
	return got.(*document), nil
}

// weight is how many bytes d takes, but for parts that are kept by themselves.
func (d *document) weight() int {
	weight := 100 + 16*len(d.parts) + len(d.plain)
	if len(d.parts) == 1 {
		weight += len(d.parts[0].deflated)
	}
	return weight
}

// composeTries bounds how often a document is composed while its package keeps
// changing; then its names may be older than its versions by one change.
const composeTries = 5

// compose renders a package's document, compressing it on the way.
func (v *view) compose(ctx context.Context, p *registry.Package, name string) (*document, error) {
	w := newPartWriter()
	defer w.release()
	small := &head{}
	base := &based{w: io.MultiWriter(w, small), base: []byte(v.base)}
	if err := v.f.Compose(name, p, stored{ctx, v, p.Repo}, base); err != nil {
		return nil, err
	}
	one, err := w.part()
	if err != nil {
		return nil, err
	}
	d := &document{parts: parts{one}, etag: tagOf(one.sum[:]), updated: p.Updated}
	if one.size <= keepPlain {
		d.plain = slices.Clip(small.text)
	}
	return d, nil
}

// tagDigits is how much of a hash an ETag has.
const tagDigits = 40

func tagOf(sum []byte) string { return hex.EncodeToString(sum)[:tagDigits] }

// head keeps the beginning of what is written to it.
type head struct{ text []byte }

func (h *head) Write(p []byte) (int, error) {
	h.text = append(h.text, p[:min(len(p), keepPlain-len(h.text))]...)
	return len(p), nil
}

// based puts the feed's URL where [artifacttypes.Base] is.
type based struct {
	w    io.Writer
	base []byte
}

func (b *based) Write(p []byte) (int, error) {
	n := 0
	for len(p) > 0 {
		i := bytes.IndexByte(p, artifacttypes.Base[0])
		if i < 0 {
			i = len(p)
		}
		m, err := b.w.Write(p[:i])
		n += m
		if err != nil || i == len(p) {
			return n, err
		}
		if _, err := b.w.Write(b.base); err != nil {
			return n, err
		}
		n++
		p = p[i+1:]
	}
	return n, nil
}

// stored are a package's fragments as the engine keeps them.
type stored struct {
	ctx  context.Context //nolint:containedctx // lives for one Compose
	v    *view
	repo registry.Repo
}

func (s stored) All(kind string) iter.Seq2[artifacttypes.Fragment, error] {
	return func(yield func(artifacttypes.Fragment, error) bool) {
		for f, err := range s.v.h.engine.Fragments(s.ctx, s.repo, kind) {
			if !yield(fragment(f), err) {
				return
			}
		}
	}
}

func (s stored) One(kind, version string) ([]byte, error) {
	return s.v.h.engine.Fragment(s.ctx, s.repo, kind, version)
}

func fragment(f engine.StoredFragment) artifacttypes.Fragment {
	return artifacttypes.Fragment{Version: f.Version, Published: f.Published, Body: f.Body}
}
