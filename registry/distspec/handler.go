package distspec

import (
	"context"
	"log/slog"
	"net/http"

	"golang.org/x/sync/semaphore"

	"github.com/packhouse/packhouse/registry"
)

// Options of a [Handler]. The zero value is usable.
type Options struct {
	// MaxManifest is the largest manifest accepted, in bytes; 0 means 4 MiB,
	// which is the least that clients may expect.
	MaxManifest int64
	// PageSize is the most entries in one page of a list; 0 means 1000.
	PageSize int
	Log      *slog.Logger
	// BaseURL returns what goes before the path in Location and Link, such as
	// "https://registry.example.org". nil, or "", leaves them relative.
	BaseURL func(*http.Request) string
	// Redirect returns a URL to which a GET of blob d is sent instead of being
	// answered, or "" for none; nil for never. The caller may read d.
	Redirect func(r *http.Request, repo registry.Repo, d registry.Descriptor) string
	// Public tells whether everybody may read repo, so that shared caches may
	// keep its blobs; nil for never.
	Public func(ctx context.Context, repo registry.Repo) bool
}

// Handler answers requests out of a [registry.Registry]. It is safe for
// concurrent use.
type Handler struct {
	reg         registry.Registry
	maxManifest int64
	pageSize    int
	log         *slog.Logger
	baseURL     func(*http.Request) string
	redirect    func(r *http.Request, repo registry.Repo, d registry.Descriptor) string
	public      func(ctx context.Context, repo registry.Repo) bool
	fixed       fixedValues
	large       *semaphore.Weighted // bytes of large manifests in memory
}

// New returns a Handler over reg.
func New(reg registry.Registry, o Options) *Handler {
	h := &Handler{
		reg: reg, maxManifest: o.MaxManifest, pageSize: o.PageSize, log: o.Log, baseURL: o.BaseURL, redirect: o.Redirect, public: o.Public,
		fixed: newFixedValues(), large: semaphore.NewWeighted(largeManifests),
	}
	if h.maxManifest <= 0 {
		h.maxManifest = 4 << 20
	}
	if h.pageSize <= 0 {
		h.pageSize = 1000
	}
	if h.log == nil {
		h.log = slog.New(slog.DiscardHandler)
	}
	if h.baseURL == nil {
		h.baseURL = func(*http.Request) string { return "" }
	}
	return h
}

// ServeHTTP is [Parse] and [Handler.Serve], for servers that have nothing to
// do between them.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	q, err := Parse(r.Method, r.URL)
	if err != nil {
		h.WriteError(w, r, err)
		return
	}
	h.Serve(w, r, q)
}

// Serve answers r, which [Parse] made q of. When a response cannot be
// completed it panics with [http.ErrAbortHandler], by which net/http breaks
// the connection.
func (h *Handler) Serve(w http.ResponseWriter, r *http.Request, q Request) {
	if err := h.serve(w, r, q); err != nil {
		h.WriteError(w, r, err)
	}
}

func (h *Handler) serve(w http.ResponseWriter, r *http.Request, q Request) error {
	switch q.Kind {
	case ManifestGet, ManifestHead:
		return h.manifestGet(w, r, q)
	case ManifestPut:
		return h.manifestPut(w, r, q)
	case ManifestDelete:
		return h.manifestDelete(w, r, q)
	case BlobGet, BlobHead:
		return h.blobGet(w, r, q)
	case BlobDelete:
		return h.blobDelete(w, r, q)
	case UploadStart:
		return h.uploadStart(w, r, q)
	case UploadStatus:
		return h.uploadStatus(w, r, q)
	case UploadChunk:
		return h.uploadChunk(w, r, q)
	case UploadFinish:
		return h.uploadFinish(w, r, q)
	case UploadCancel:
		return h.uploadCancel(w, r, q)
	case Tags:
		return h.tags(w, r, q)
	case Referrers:
		return h.referrers(w, r, q)
	case Catalog:
		return h.catalog(w, r, q)
	case Base:
		h.writeJSON(w, http.StatusOK, h.fixed.json, []byte("{}"))
		return nil
	}
	return unknownPath()
}
