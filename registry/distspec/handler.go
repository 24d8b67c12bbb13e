package distspec

import (
	"log/slog"
	"net/http"
	"strconv"

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
}

// Handler answers requests out of a [registry.Registry]. It is safe for
// concurrent use.
type Handler struct {
	reg         registry.Registry
	maxManifest int64
	pageSize    int
	log         *slog.Logger
	baseURL     func(*http.Request) string
}

// New returns a Handler over reg.
func New(reg registry.Registry, o Options) *Handler {
	h := &Handler{reg: reg, maxManifest: o.MaxManifest, pageSize: o.PageSize, log: o.Log, baseURL: o.BaseURL}
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
		setCommon(w.Header())
		writeJSON(w, http.StatusOK, jsonType, []byte("{}"))
		return nil
	}
	return unknownPath()
}

// Header values that never change are made once. A response's header map gets
// them by assignment: its keys are in canonical form already.
var (
	apiVersion  = []string{"registry/2.0"}
	nosniff     = []string{"nosniff"}
	jsonType    = []string{"application/json"}
	octetStream = []string{"application/octet-stream"}
	acceptBytes = []string{"bytes"}
	zero        = []string{"0"}
	// What a digest names never changes, but only who may read may keep it.
	immutable = []string{"private, max-age=31536000, immutable"}
	noCache   = []string{"no-cache"}
)

// setCommon sets what every response has. Docker looks for the version.
func setCommon(h http.Header) {
	h["Docker-Distribution-Api-Version"] = apiVersion
	h["X-Content-Type-Options"] = nosniff
}

// setDigest sets Docker-Content-Digest and ETag to d, and returns the entity tag.
func setDigest(h http.Header, d registry.Digest) string {
	etag := `"` + string(d) + `"`
	values := []string{etag[1 : len(etag)-1], etag}
	h["Docker-Content-Digest"] = values[0:1:1]
	h["Etag"] = values[1:2:2]
	return etag
}

func setLength(h http.Header, n int64) {
	h["Content-Length"] = []string{strconv.FormatInt(n, 10)}
}

// writeJSON writes a whole body. Failing to write means that the client is
// gone, of which net/http takes care.
func writeJSON(w http.ResponseWriter, status int, contentType []string, body []byte) {
	header := w.Header()
	header["Content-Type"] = contentType
	setLength(header, int64(len(body)))
	w.WriteHeader(status)
	_, _ = w.Write(body)
}

// writeEmpty writes a status without body.
func writeEmpty(w http.ResponseWriter, status int) {
	header := w.Header()
	setCommon(header)
	if status != http.StatusNoContent {
		header["Content-Length"] = zero
	}
	w.WriteHeader(status)
}

// setLocation sets Location to the path made of parts.
func (h *Handler) setLocation(w http.ResponseWriter, r *http.Request, repo registry.Repo, endpoint, last string) {
	w.Header()["Location"] = []string{h.baseURL(r) + "/v2/" + string(repo) + endpoint + last}
}
