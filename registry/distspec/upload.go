package distspec

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"strconv"

	"github.com/packhouse/packhouse/registry"
	"github.com/packhouse/packhouse/registry/transfer"
)

// uploadStart answers POST: a mount, a blob in one step, or a new session.
func (h *Handler) uploadStart(w http.ResponseWriter, r *http.Request, q Request) error {
	ctx := r.Context()
	if q.Mount != "" {
		d, err := h.reg.Mount(ctx, q.From, q.Repo, q.Mount)
		if err == nil {
			h.blobCreated(w, r, q.Repo, d.Digest)
			return nil
		}
		if !cannotMount(err) {
			return err
		}
	}
	if q.Digest != "" {
		content := body(r)
		if content == nil {
			content = bytes.NewReader(nil)
		}
		d, err := h.reg.PutBlob(ctx, q.Repo, content, q.Digest)
		if err != nil {
			return err
		}
		h.blobCreated(w, r, q.Repo, d.Digest)
		return nil
	}
	u, err := h.reg.BeginUpload(ctx, q.Repo, q.Algorithm)
	if err != nil {
		return err
	}
	h.writeProgress(w, r, q.Repo, u, http.StatusAccepted)
	return nil
}

// cannotMount tells whether err is about the source, of which the client is
// told nothing: it uploads instead. If it may not write here either, opening
// the session says so.
func cannotMount(err error) bool {
	for _, c := range []registry.Code{registry.BlobUnknown, registry.NameUnknown, registry.Denied, registry.Unauthorized} {
		if errors.Is(err, c) {
			return true
		}
	}
	return false
}

func (h *Handler) uploadStatus(w http.ResponseWriter, r *http.Request, q Request) error {
	u, err := h.reg.ResumeUpload(r.Context(), q.Repo, q.UploadID)
	if err != nil {
		return err
	}
	h.writeProgress(w, r, q.Repo, u, http.StatusNoContent)
	return nil
}

func (h *Handler) uploadChunk(w http.ResponseWriter, r *http.Request, q Request) error {
	return h.withUpload(w, r, q, func(ctx context.Context, u registry.Upload, content io.Reader, at int64) error {
		if content == nil {
			content = bytes.NewReader(nil)
		}
		if _, err := u.Append(ctx, content, at); err != nil {
			return err
		}
		h.writeProgress(w, r, q.Repo, u, http.StatusAccepted)
		return nil
	})
}

func (h *Handler) uploadFinish(w http.ResponseWriter, r *http.Request, q Request) error {
	return h.withUpload(w, r, q, func(ctx context.Context, u registry.Upload, content io.Reader, at int64) error {
		d, err := u.Commit(ctx, content, at, q.Digest)
		if err != nil {
			return err
		}
		h.blobCreated(w, r, q.Repo, d.Digest)
		return nil
	})
}

// uploadStep goes on with a session; see withUpload.
type uploadStep func(ctx context.Context, u registry.Upload, content io.Reader, at int64) error

// withUpload calls do with the session, the body and the offset that the
// client believes it is at, -1 if it did not say. After RANGE_INVALID it adds
// where the session is, so that the client can go on from there.
func (h *Handler) withUpload(w http.ResponseWriter, r *http.Request, q Request, do uploadStep) error {
	u, err := h.reg.ResumeUpload(r.Context(), q.Repo, q.UploadID)
	if err != nil {
		return err
	}
	content, at := body(r), int64(-1)
	if fields := r.Header["Content-Range"]; len(fields) > 0 {
		s, err := transfer.ParseContentRange(fields[0])
		switch {
		case err != nil:
			return err
		case r.ContentLength >= 0 && r.ContentLength != s.N:
			return registry.E("distspec.withUpload", registry.SizeInvalid, nil,
				"Content-Range says %d bytes, Content-Length %d: make them the same", s.N, r.ContentLength)
		case content != nil:
			content = exactly(content, s.N)
		}
		at = s.Off
	}
	err = do(r.Context(), u, content, at)
	if errors.Is(err, registry.RangeInvalid) {
		h.setProgress(w, r, q.Repo, u)
	}
	return err
}

// setProgress sets where the session is. The id is in the path, for clients
// that drop the query of a Location.
func (h *Handler) setProgress(w http.ResponseWriter, r *http.Request, repo registry.Repo, u registry.Upload) {
	header := w.Header()
	h.setLocation(w, r, repo, "/blobs/uploads/", u.ID())
	header["Docker-Upload-Uuid"] = []string{u.ID()}
	// The end is inclusive, so nothing at all cannot be said: clients take
	// 0-0 of a session just begun.
	header["Range"] = []string{"0-" + strconv.FormatInt(max(u.Size()-1, 0), 10)}
}

func (h *Handler) writeProgress(w http.ResponseWriter, r *http.Request, repo registry.Repo, u registry.Upload, status int) {
	h.setProgress(w, r, repo, u)
	h.writeEmpty(w, status)
}

func (h *Handler) uploadCancel(w http.ResponseWriter, r *http.Request, q Request) error {
	u, err := h.reg.ResumeUpload(r.Context(), q.Repo, q.UploadID)
	if err != nil {
		return err
	}
	if err := u.Abort(r.Context()); err != nil {
		return err
	}
	h.writeEmpty(w, http.StatusNoContent)
	return nil
}
