package engine

import (
	"context"
	"errors"

	"github.com/packhouse/packhouse/registry"
	"github.com/packhouse/packhouse/storage/meta"
)

// commit is one transaction of an adoption, and what it did.
type commit struct {
	engine     *Engine
	tx         *meta.Tx
	repository meta.Repository // of the taking at hand

	manifests, tags, blobs, bytes int64
	skips                         []Skip
	spare                         []string // keys of objects that nothing needs now
}

func (c *commit) run(ctx context.Context, taken []taking) error {
	for i, t := range taken {
		if i == 0 || t.repository != taken[i-1].repository {
			if err := c.begin(ctx, t.repository); err != nil {
				return err
			}
		}
		err := c.take(ctx, t)
		if e, ok := errors.AsType[*registry.Error](err); ok { // what was there before has changed meanwhile
			c.skips = append(c.skips, Skip{Repository: string(t.repository), Tag: t.tag, Digest: t.digest, Reason: e.Message})
			continue
		}
		if err != nil {
			return err
		}
	}
	return c.tx.NextGeneration(ctx, c.repository)
}

func (c *commit) begin(ctx context.Context, name registry.Repo) (err error) {
	if c.repository.ID != 0 {
		if err := c.tx.NextGeneration(ctx, c.repository); err != nil {
			return err
		}
	}
	c.repository, err = c.tx.EnsureRepository(ctx, name)
	return err
}

func (c *commit) take(ctx context.Context, t taking) error {
	for _, l := range t.blobs {
		fresh, spare, err := c.tx.AdoptBlob(ctx, c.repository, l.digest, l.object)
		if err != nil {
			return err
		}
		c.spare = append(c.spare, spare...)
		if fresh {
			c.blobs++
			c.bytes += l.object.Size
		}
	}
	switch {
	case t.tag != "":
		return c.tag(ctx, t)
	case t.raw != nil:
		return c.manifest(ctx, t)
	}
	return nil
}

func (c *commit) tag(ctx context.Context, t taking) error {
	done, err := c.tx.AdoptTag(ctx, c.repository, t.tag, t.digest)
	if errors.Is(err, meta.ErrNotFound) {
		return registry.E("engine.Adopt", registry.ManifestUnknown, nil, notAdopted)
	}
	if done {
		c.tags++
	}
	return err
}

func (c *commit) manifest(ctx context.Context, t taking) error {
	m := meta.NewManifest{Manifest: meta.Manifest{Manifest: registry.Manifest{Raw: t.raw, Descriptor: registry.Descriptor{
		MediaType: t.parsed.MediaType, ArtifactType: t.parsed.ArtifactType, Annotations: t.parsed.Annotations,
		Digest: t.digest, Size: int64(len(t.raw)),
	}}}}
	if t.parsed.Subject != nil {
		m.Subject = t.parsed.Subject.Digest
	}
	if err := c.engine.references(ctx, c.tx, c.repository, t.parsed, &m); err != nil {
		return err
	}
	if _, err := c.tx.AddManifest(ctx, c.repository, m); err != nil {
		return err
	}
	c.manifests++
	return nil
}
