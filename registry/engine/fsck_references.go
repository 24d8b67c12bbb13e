package engine

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/packhouse/packhouse/registry"
	"github.com/packhouse/packhouse/storage/meta"
)

func (c *check) everyManifest(ctx context.Context) error {
	const page = 20 // manifests may have 4 MiB each
	for after := int64(0); ; {
		manifests, err := c.meta.StoredManifests(ctx, after, page)
		if err != nil {
			return err
		}
		for _, m := range manifests {
			after = m.ID
			if err := c.oneManifest(ctx, m); err != nil {
				return err
			}
		}
		if len(manifests) < page {
			return nil
		}
	}
}

// oneManifest checks the bytes and that the rows, by which the collector
// decides, know every reference in them.
func (c *check) oneManifest(ctx context.Context, m meta.Manifest) error {
	c.Manifests++
	what, err := c.manifestFault(ctx, m)
	if err != nil || what == "" {
		return err
	}
	holders, err := c.meta.ManifestHolders(ctx, m.ID)
	if err != nil {
		return err
	}
	c.found(Problem{
		Kind: ProblemManifest, Digest: m.Digest, NeededBy: needers(holders),
		Message: fmt.Sprintf("manifest %s: %s: delete it, purge its repository and push it again, or restore packhouse.db from a backup", m.Digest, what),
	})
	return nil
}

func (c *check) manifestFault(ctx context.Context, m meta.Manifest) (string, error) {
	if got := m.Digest.Algorithm().FromBytes(m.Raw); got != m.Digest {
		return "its bytes have digest " + got.String(), nil
	}
	p, err := registry.ParseManifest(m.MediaType, m.Raw)
	if err != nil {
		return err.Error(), nil //nolint:nilerr // the finding, not a failure of the check
	}
	known, err := c.meta.References(ctx, m.ID)
	if err != nil {
		return "", err
	}
	for _, d := range slices.Concat(p.Blobs, p.Children) {
		if !slices.Contains(known, d.Digest) {
			return "the database does not know that it refers to " + d.Digest.String(), nil
		}
	}
	return "", nil
}

// references finds what live repositories show but cannot serve whole. What
// is missing because of a blob that was reported is not reported again.
func (c *check) references(ctx context.Context) error {
	blobs, err := c.meta.MissingBlobs(ctx, c.cfg.Sparse, maxListed)
	if err != nil {
		return err
	}
	for _, d := range blobs {
		if !c.named[d.Missing] {
			c.dangling("blob", d)
		}
	}
	if c.cfg.Sparse {
		return nil
	}
	children, err := c.meta.MissingChildren(ctx, maxListed)
	for _, d := range children {
		c.dangling("manifest", d)
	}
	return err
}

func (c *check) dangling(what string, d meta.Dangling) {
	c.found(Problem{
		Kind: ProblemReference, Digest: d.Missing, NeededBy: []Needer{Needer(d.Holder)},
		Message: fmt.Sprintf("%s %s is not in %s, where manifest %s refers to it: push it there again", what, d.Missing, d.Repository, d.Manifest),
	})
}

// ownKey is the form of the keys that [keys] gives out.
var ownKey = regexp.MustCompile(`^/objects/[0-9a-f]{2}/([0-9a-f]{32})-[0-9a-f]{2}$`)

// orphans looks for objects that no row names. Those under a reserved token
// may be in flight, and the next start sweeps them.
func (c *check) orphans(ctx context.Context) error {
	return c.blobs.Walk(ctx, "/objects", func(key string, size int64) error {
		c.Objects++
		own := ownKey.FindStringSubmatch(key)
		if own == nil {
			c.found(Problem{Kind: ProblemForeign, Message: "file " + strings.TrimPrefix(key, "/") + " was not written by packhouse: move it away"})
			return nil
		}
		// Asked in this order: a token is reserved before its first object is
		// written, and a key stays used from before its token is forgotten.
		reserved, err := c.meta.BlockReserved(ctx, own[1])
		if err != nil || reserved {
			return err
		}
		used, err := c.meta.KeyUsed(ctx, key)
		if err != nil || used {
			return err
		}
		c.Orphans++
		c.OrphanBytes += size
		if c.Repair {
			return c.blobs.Delete(ctx, key)
		}
		return nil
	})
}
