package distspec

import (
	"io"
	"net/http"

	"github.com/packhouse/packhouse/registry"
	"github.com/packhouse/packhouse/registry/transfer"
)

// blobGet answers GET and HEAD, whole or one range.
func (h *Handler) blobGet(w http.ResponseWriter, r *http.Request, q Request) error {
	ctx := r.Context()
	desc, err := h.reg.StatBlob(ctx, q.Repo, q.Digest)
	if err != nil {
		return err
	}
	header := w.Header()
	h.setCommon(header)
	header["Cache-Control"] = h.fixed.immutable
	if h.public != nil && h.public(ctx, q.Repo) {
		header["Cache-Control"] = h.fixed.public
	}
	header["Content-Type"] = h.fixed.octetStream
	c := transfer.Content{
		ETag: setDigest(header, q.Digest), Size: desc.Size,
		Open: func(off, n int64) (io.ReadCloser, error) { return h.reg.Blob(ctx, q.Repo, q.Digest, off, n) },
	}
	if h.redirect != nil {
		c.Redirect = func() string { return h.redirect(r, q.Repo, desc) }
	}
	return transfer.Serve(w, r, h.log, c)
}

// blobDelete checks conditions itself: what a digest names cannot change in between.
func (h *Handler) blobDelete(w http.ResponseWriter, r *http.Request, q Request) error {
	cond, err := condition(r.Header)
	if err != nil {
		return err
	}
	if len(cond.Match) > 0 || len(cond.NoneMatch) > 0 {
		if _, err := h.reg.StatBlob(r.Context(), q.Repo, q.Digest); err != nil {
			return err
		}
		if err := cond.Check("distspec.blobDelete", q.Digest.String(), q.Digest); err != nil {
			return err
		}
	}
	if err := h.reg.DeleteBlob(r.Context(), q.Repo, q.Digest); err != nil {
		return err
	}
	h.writeEmpty(w, http.StatusAccepted)
	return nil
}

func (h *Handler) blobCreated(w http.ResponseWriter, r *http.Request, repo registry.Repo, d registry.Digest) {
	w.Header()["Docker-Content-Digest"] = []string{string(d)}
	h.setLocation(w, r, repo, "/blobs/", string(d))
	h.writeEmpty(w, http.StatusCreated)
}
