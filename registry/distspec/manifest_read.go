package distspec

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"time"

	"github.com/packhouse/packhouse/registry"
)

const (
	// largeManifest is how much of a manifest anybody may have us hold. Hardly
	// any manifest is larger.
	largeManifest = 64 << 10
	// largeManifests bounds the bytes of all larger ones together: a hundred
	// clients that each hold back the last byte of 4 MiB must not fill the
	// memory.
	largeManifests = 16 << 20
	// A client waits this long for its turn before it is told to come again.
	largeManifestWait = 10 * time.Second
)

// readManifest reads the whole body, which the limit bounds. The caller calls
// release when it needs the bytes no more.
func (h *Handler) readManifest(w http.ResponseWriter, r *http.Request) (raw []byte, release func(), err error) {
	const op = "distspec.readManifest"
	if r.ContentLength > h.maxManifest {
		return nil, nil, registry.E(op, registry.TooLarge, nil,
			"the manifest is %d bytes large, the limit is %d", r.ContentLength, h.maxManifest)
	}
	in := &requestBody{r: http.MaxBytesReader(w, r.Body, h.maxManifest), want: r.ContentLength}
	var head bytes.Buffer
	if n, err := io.CopyN(&head, in, largeManifest); err != nil {
		if errors.Is(err, io.EOF) {
			err = complete(n, r.ContentLength)
		}
		return head.Bytes(), func() {}, err
	}
	size := r.ContentLength
	if size < 0 {
		size = h.maxManifest
	}
	if release, err = h.reserve(r.Context(), size); err != nil {
		return nil, nil, err
	}
	raw = make([]byte, size)
	n, err := io.ReadFull(in, raw[copy(raw, head.Bytes()):])
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		err = complete(int64(largeManifest+n), r.ContentLength)
	}
	if err == nil && r.ContentLength < 0 {
		err = atEnd(in)
	}
	if err != nil {
		release()
		return nil, nil, err
	}
	return raw[:largeManifest+n], release, nil
}

// complete returns an error if a body of a declared length ended before it.
func complete(got, want int64) error {
	if want < 0 || got == want {
		return nil
	}
	return &bodyError{err: io.ErrUnexpectedEOF, got: got, want: want}
}

// atEnd wants r to have no more bytes, which is what [http.MaxBytesReader]
// refuses.
func atEnd(r io.Reader) error {
	if _, err := io.ReadFull(r, make([]byte, 1)); !errors.Is(err, io.EOF) {
		return err
	}
	return nil
}

// reserve waits for room among the large manifests.
func (h *Handler) reserve(ctx context.Context, size int64) (release func(), err error) {
	wait, cancel := context.WithTimeout(ctx, largeManifestWait)
	defer cancel()
	size = min(size, largeManifests)
	if err := h.large.Acquire(wait, size); err != nil {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		return nil, registry.E("distspec.reserve", registry.Unavailable, err,
			"too many manifests of over %d KiB are being pushed at once: try again", largeManifest>>10)
	}
	return func() { h.large.Release(size) }, nil
}
