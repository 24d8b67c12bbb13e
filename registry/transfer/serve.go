package transfer

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strconv"
	"strings"
)

// Content is what there is to send.
type Content struct {
	ETag string // quoted
	Size int64  // bytes
	// Open returns n bytes from off, in a reader that never ends cleanly
	// before.
	Open func(off, n int64) (io.ReadCloser, error)
	// Redirect returns a URL that answers a GET with the content, ranges of it
	// too, for a short time, or "" for none; nil for never.
	Redirect func() string
}

// What a digest names never changes, but only who may read may keep it. What
// everybody may read shared caches may keep, too, for a day at most: it may be
// withdrawn, or made private.
const (
	PrivateForever = "private, max-age=31536000, immutable"
	PublicForever  = "public, max-age=31536000, s-maxage=86400, immutable"
)

// bytesUnit is a header value that never changes; nobody may write to it.
var bytesUnit = []string{"bytes"}

// Serve answers GET and HEAD with c, whole or, for GET, one range, or with 304,
// or, for GET, with 307 to where the content lies.
// ETag, Content-Type and Cache-Control are set by the caller. It returns
// RANGE_INVALID and what Open returns. When an answer cannot be completed it
// panics with [http.ErrAbortHandler], by which net/http breaks the connection.
func Serve(w http.ResponseWriter, r *http.Request, log *slog.Logger, c Content) error {
	header := w.Header()
	header["Accept-Ranges"] = bytesUnit
	if Unchanged(r.Header, c.ETag) {
		delete(header, "Content-Type")
		w.WriteHeader(http.StatusNotModified)
		return nil
	}
	if c.Redirect != nil && r.Method == http.MethodGet {
		if to := c.Redirect(); to != "" {
			redirect(w, to)
			return nil
		}
	}
	part, status := Span{0, c.Size}, http.StatusOK
	if ranges := r.Header["Range"]; len(ranges) == 1 && r.Method == http.MethodGet && rangeHolds(r.Header, c.ETag) {
		s, whole, err := ParseRange(ranges[0], c.Size)
		switch {
		case err != nil:
			header["Content-Range"] = []string{"bytes */" + strconv.FormatInt(c.Size, 10)}
			return err
		case !whole:
			part, status = s, http.StatusPartialContent
		}
	}
	if r.Method == http.MethodHead {
		header["Content-Length"] = []string{strconv.FormatInt(c.Size, 10)}
		w.WriteHeader(status)
		return nil
	}
	content, err := c.Open(part.Off, part.N)
	if err != nil {
		return err
	}
	defer func() { _ = content.Close() }() // it was only read from
	if status == http.StatusPartialContent {
		header["Content-Range"] = []string{contentRange(part, c.Size)}
	}
	header["Content-Length"] = []string{strconv.FormatInt(part.N, 10)}
	w.WriteHeader(status)
	Copy(r.Context(), w, log, content, part.N)
	return nil
}

// redirect sends the client to another server, which has its own entity tag;
// the URL is a credential and works for minutes, so nobody may keep it.
func redirect(w http.ResponseWriter, to string) {
	header := w.Header()
	for _, name := range []string{"Accept-Ranges", "Content-Type", "Etag"} {
		delete(header, name)
	}
	header["Cache-Control"] = []string{"no-store"}
	header["Location"] = []string{to}
	header["Content-Length"] = []string{"0"}
	w.WriteHeader(http.StatusTemporaryRedirect)
}

// Copy sends n bytes. The status line is out, so all that can be done about an
// error is to break the connection.
func Copy(ctx context.Context, w io.Writer, log *slog.Logger, content io.Reader, n int64) {
	copied, err := io.Copy(w, content)
	if err == nil && copied == n {
		return
	}
	if ctx.Err() == nil && !clientLeft(err) {
		log.LogAttrs(ctx, slog.LevelWarn, "response broke off",
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

// Unchanged tells whether If-None-Match says that the client has etag, which
// is quoted. For reads the comparison is the weak one.
func Unchanged(h http.Header, etag string) bool {
	for _, field := range h["If-None-Match"] {
		if strings.Contains(field, etag) || strings.Trim(field, " \t") == "*" {
			return true
		}
	}
	return false
}

// rangeHolds tells whether If-Range, if given, names what would be sent. By
// RFC 9110 neither a weak tag nor a date (no Last-Modified is sent) can.
func rangeHolds(h http.Header, etag string) bool {
	list := h["If-Range"]
	return len(list) == 0 || len(list) == 1 && list[0] == etag
}
