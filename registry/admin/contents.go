package admin

import (
	"context"

	"github.com/packhouse/packhouse/registry"
)

// StorageContents lists what the storage must have.
const StorageContents Name[ContentsParams, []StoredContent] = "storage.contents"

// ContentsParams select a page.
type ContentsParams struct{ Page }

// StoredContent is a blob, or a piece of one that is being uploaded.
type StoredContent struct {
	ID      string          `json:"id" doc:"where the next page begins"`
	Digest  registry.Digest `json:"digest,omitempty" doc:"of all objects one after another; none of a piece"`
	Objects []StoredObject  `json:"objects" doc:"where its bytes are, in order"`
}

// StoredObject is one object of the storage.
type StoredObject struct {
	Key  string `json:"key"`
	Size int64  `json:"size" doc:"bytes"`
}

func (c StoredContent) key() string { return c.ID }

func storageContents(ctx context.Context, env *Env, p ContentsParams) ([]StoredContent, error) {
	page, err := env.Engine.Contents(ctx, p.After, p.size())
	list := make([]StoredContent, len(page))
	for i, c := range page {
		list[i] = StoredContent{ID: c.ID, Digest: c.Digest, Objects: make([]StoredObject, len(c.Objects))}
		for j, o := range c.Objects {
			list[i].Objects[j] = StoredObject{Key: o.Key, Size: o.Size}
		}
	}
	return list, err
}
