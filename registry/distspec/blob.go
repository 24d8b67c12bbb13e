package distspec

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strconv"

	"github.com/packhouse/packhouse/registry"
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
	header["Accept-Ranges"] = h.fixed.bytes
	etag := setDigest(header, q.Digest)
	if unchanged(r.Header, etag) {
		w.WriteHeader(http.StatusNotModified)
		return nil
	}
	part, status := span{0, desc.Size}, http.StatusOK
	if ranges := r.Header["Range"]; len(ranges) == 1 && q.Kind == BlobGet && rangeHolds(r.Header, etag) {
		s, whole, err := parseRange(ranges[0], desc.Size)
		switch {
		case err != nil:
			header["Content-Range"] = []string{"bytes */" + strconv.FormatInt(desc.Size, 10)}
			return err
		case !whole:
			part, status = s, http.StatusPartialContent
		}
	}
	if q.Kind == BlobHead {
		header["Content-Type"] = h.fixed.octetStream
		setLength(header, desc.Size)
		w.WriteHeader(status)
		return nil
	}
	content, err := h.reg.Blob(ctx, q.Repo, q.Digest, part.off, part.n)
	if err != nil {
		return err
	}
	defer func() { _ = content.Close() }() // it was only read from
	if status == http.StatusPartialContent {
		header["Content-Range"] = []string{contentRange(part, desc.Size)}
	}
	header["Content-Type"] = h.fixed.octetStream
	setLength(header, part.n)
	w.WriteHeader(status)
	h.stream(ctx, w, content, part.n)
	return nil
}

// stream copies n bytes, by sendfile where both ends can. The status line is
// out, so all that can be done about an error is to break the connection.
func (h *Handler) stream(ctx context.Context, w io.Writer, content io.Reader, n int64) {
	copied, err := io.Copy(w, content)
	if err == nil && copied == n {
		return
	}
	if ctx.Err() == nil && !clientLeft(err) {
		h.log.LogAttrs(ctx, slog.LevelWarn, "response broke off",
			slog.Int64("sent", copied), slog.Int64("size", n), slog.Any("error", err))
	}
	panic(http.ErrAbortHandler)
}

// clientLeft tells whether err is of the connection to the client, which is
// only written to, and not of a connection to remote storage, which is read.
func clientLeft(err error) bool {
	op, ok := errors.AsType[*net.OpError](err)
	return ok && op.Op != "read"
}

// rangeHolds tells whether If-Range, if given, names what would be sent. By
// RFC 9110 neither a weak tag nor a date (no Last-Modified is sent) can.
func rangeHolds(h http.Header, etag string) bool {
	list := h["If-Range"]
	return len(list) == 0 || len(list) == 1 && list[0] == etag
}

func contentRange(s span, size int64) string {
	b := append(make([]byte, 0, 64), "bytes "...)
	b = strconv.AppendInt(b, s.off, 10)
	b = append(b, '-')
	b = strconv.AppendInt(b, s.off+s.n-1, 10)
	b = append(b, '/')
	return string(strconv.AppendInt(b, size, 10))
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
