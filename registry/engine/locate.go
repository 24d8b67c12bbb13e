package engine

import (
	"net/http"

	"github.com/packhouse/packhouse/registry"
	"github.com/packhouse/packhouse/storage/blob"
	"github.com/packhouse/packhouse/storage/meta"
)

// BlobURL returns a URL by which the client of req, a GET, can read blob d of r
// from the storage itself for some minutes, or "" where there is no such way:
// the storage is this machine's, the blob lies in the database or in several
// objects. It returns what [Engine.Blob] returns.
func (e *Engine) BlobURL(req *http.Request, r registry.Repo, d registry.Digest) (string, error) {
	const op = "engine.BlobURL"
	ctx := req.Context()
	if err := e.can(ctx, registry.Read, r); err != nil {
		return "", err
	}
	b, err := e.blob(ctx, op, r, d)
	if err != nil || len(b.Objects) != 1 || meta.IsInline(b.Objects[0].Key) {
		return "", err
	}
	to, err := e.blobs.RedirectURL(req, []blob.Segment{{Key: b.Objects[0].Key, Size: b.Size}})
	return to, wrap(op, err)
}
