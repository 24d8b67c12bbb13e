package feed

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"hash"
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

// document is one document in one encoding, ready to be sent.
type document struct {
	io.WriterTo
	size    int64
	etag    string // quoted
	updated time.Time
}

// body is a document that is held whole.
type body []byte

func (b body) WriteTo(w io.Writer) (int64, error) {
	n, err := w.Write(b)
	return int64(n), err
}

// compression of documents: a large one is compressed again with each publish.
const compression = 4

// Document implements artifacttypes.View.
func (v *view) Document(w http.ResponseWriter, r *http.Request, pkg, name string) error {
	h := w.Header()
	h.Add("Vary", "Accept-Encoding")
	zipped := acceptsGzip(r.Header)
	d, err := v.document(r.Context(), pkg, name, zipped)
	if err != nil {
		return err
	}
	h.Set("ETag", d.etag)
	setDefault(h, "Cache-Control", "no-cache")
	h.Set("X-Content-Type-Options", "nosniff")
	if !d.updated.IsZero() {
		h.Set("Last-Modified", d.updated.Format(http.TimeFormat))
	}
	if transfer.Unchanged(r.Header, d.etag) {
		w.WriteHeader(http.StatusNotModified)
		return nil
	}
	if zipped {
		h.Set("Content-Encoding", "gzip")
	}
	setDefault(h, "Content-Type", v.documentInfo(name).Type)
	h.Set("Content-Length", strconv.FormatInt(d.size, 10))
	w.WriteHeader(http.StatusOK)
	if r.Method == http.MethodHead {
		return nil
	}
	if _, err := d.WriteTo(w); err != nil {
		panic(http.ErrAbortHandler) // the status line is out
	}
	return nil
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
				q = strings.ReplaceAll(q, " ", "")
				return q != "q=0" && !strings.HasPrefix(q, "q=0.000")
			}
		}
	}
	return false
}

func (v *view) document(ctx context.Context, pkg, name string, zipped bool) (*document, error) {
	if v.documentInfo(name).Feed {
		return v.feedDocument(ctx, name, zipped)
	}
	r, err := v.repo(pkg)
	if err != nil {
		return nil, err
	}
	p, err := v.h.engine.Package(ctx, r) // decides whether it is there, and asks the gate
	if err != nil {
		return nil, err
	}
	key := "document " + name + " " + strconv.FormatBool(zipped) + " " + v.base
	got, err := v.h.engine.Derived(ctx, r, key, func(ctx context.Context) (any, int, error) {
		for {
			d, size, err := v.compose(ctx, p, name, zipped)
			if err != nil {
				return nil, 0, err
			}
			now, err := v.h.engine.Generation(ctx, r)
			if err != nil || now == p.Generation {
				return d, size, err
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

// compose renders a package's document, compressing it on the way.
func (v *view) compose(ctx context.Context, p *registry.Package, name string, zipped bool) (*document, int, error) {
	var out bytes.Buffer
	var dst io.Writer = &out
	var zip *gzip.Writer
	suffix := ""
	if zipped {
		zip, _ = gzip.NewWriterLevel(&out, compression) // fails for a wrong level only
		dst, suffix = zip, "-gzip"
	}
	sum := &summed{w: dst, h: sha256.New()}
	if err := v.f.Compose(name, p, stored{ctx, v, p.Repo}, &based{w: sum, base: []byte(v.base)}); err != nil {
		return nil, 0, err
	}
	if zip != nil {
		if err := zip.Close(); err != nil {
			return nil, 0, err
		}
	}
	content := slices.Clip(bytes.Clone(out.Bytes()))
	d := &document{body(content), int64(len(content)), quoteSum(sum.h, suffix), p.Updated}
	return d, len(content), nil
}

func quoteSum(h hash.Hash, suffix string) string {
	const digits = 40
	return `"` + hex.EncodeToString(h.Sum(nil))[:digits] + suffix + `"`
}

// summed hashes what is written through it.
type summed struct {
	w io.Writer
	h hash.Hash
}

func (s *summed) Write(p []byte) (int, error) {
	_, _ = s.h.Write(p) // never fails
	return s.w.Write(p)
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
