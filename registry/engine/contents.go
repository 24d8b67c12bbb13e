package engine

import (
	"context"
	"strconv"
	"strings"
	"time"

	"github.com/packhouse/packhouse/registry"
	"github.com/packhouse/packhouse/storage/blob"
	"github.com/packhouse/packhouse/storage/meta"
)

// Content is something that the storage must have: a blob, or a piece of one
// that is being uploaded.
type Content struct {
	ID      string          // where the next page begins
	Digest  registry.Digest // of all objects together; "" of a piece
	Objects []blob.Segment
}

// IDs are those of blobs in their order, then the keys of pieces.
const (
	blobID  = "b"
	pieceID = "p"
)

// Contents lists up to limit contents after the one with the given ID, "" for
// the first: what a copy of the storage must have. What is hidden, or garbage
// that a collection may take at any time, is not among them; what is pushed
// meanwhile may not be.
func (e *Engine) Contents(ctx context.Context, after string, limit int) ([]Content, error) {
	const op = "engine.Contents"
	if err := e.can(ctx, registry.Admin, ""); err != nil {
		return nil, err
	}
	piece, pieces := strings.CutPrefix(after, pieceID)
	var list []Content
	if !pieces {
		id, err := int64(0), error(nil)
		if after != "" {
			if id, err = strconv.ParseInt(strings.TrimPrefix(after, blobID), 10, 64); err != nil {
				return nil, registry.E(op, registry.ParameterInvalid, err, "%q is not where a page ended", after)
			}
		}
		if list, err = e.storedBlobs(ctx, id, limit); err != nil || len(list) == limit {
			return list, wrap(op, err)
		}
	}
	open, err := e.meta.OpenSegments(ctx, piece, limit-len(list))
	for _, o := range open {
		list = append(list, Content{ID: pieceID + o.Key, Objects: []blob.Segment{{Key: o.Key, Size: o.Size}}})
	}
	return list, wrap(op, err)
}

// storedBlobs fills a page with blobs that lie in the storage.
func (e *Engine) storedBlobs(ctx context.Context, after int64, limit int) (list []Content, err error) {
	before := time.Now().Add(-e.cfg.Lease)
	for len(list) < limit {
		page, err := e.meta.KeptBlobs(ctx, before, after, limit)
		if err != nil {
			return nil, err
		}
		for _, b := range page {
			after = b.ID
			c := Content{ID: blobID + strconv.FormatInt(b.ID, 10), Digest: b.Digest}
			for _, o := range b.Objects {
				if !meta.IsInline(o.Key) {
					c.Objects = append(c.Objects, blob.Segment{Key: o.Key, Size: o.Size})
				}
			}
			if len(c.Objects) > 0 {
				list = append(list, c)
			}
			if len(list) == limit {
				break
			}
		}
		if len(page) < limit {
			break
		}
	}
	return list, nil
}
