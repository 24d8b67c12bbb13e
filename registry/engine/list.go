package engine

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"iter"
	"slices"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/packhouse/packhouse/registry"
	"github.com/packhouse/packhouse/storage/meta"
)

const (
	listPage = 1000         // rows a query returns at most
	listKeep = 4 * listPage // a longer list is not cached but read page by page
)

// Repos implements registry.Lister.
func (e *Engine) Repos(ctx context.Context, after registry.Repo) iter.Seq2[registry.Repo, error] {
	const op = "engine.Repos"
	asking := registry.Asking(ctx)
	return func(yield func(registry.Repo, error) bool) {
		for {
			page, err := e.meta.RepositoryNames(ctx, after, listPage)
			if err != nil {
				yield("", wrap(op, err))
				return
			}
			for _, r := range page {
				if e.can(asking, registry.List, r) == nil && !yield(r, nil) {
					return
				}
				after = r
			}
			if len(page) < listPage {
				return
			}
		}
	}
}

// Tags implements registry.Lister.
func (e *Engine) Tags(ctx context.Context, r registry.Repo, after registry.Tag) iter.Seq2[registry.Tag, error] {
	const op = "engine.Tags"
	return func(yield func(registry.Tag, error) bool) {
		if err := e.can(ctx, registry.List, r); err != nil {
			yield("", err)
			return
		}
		ent, err := e.cache.load(ctx, tagList, r, "", func(ctx context.Context) (*entry, error) { return e.allTags(ctx, r) })
		switch {
		case errors.Is(err, meta.ErrNotFound):
			yield("", unknownRepo(op, r))
			return
		case err != nil:
			yield("", wrap(op, err))
			return
		case ent.long:
			e.longTags(ctx, op, r, after, yield)
			return
		}
		start, found := slices.BinarySearch(ent.tags, after)
		if found {
			start++
		}
		for _, t := range ent.tags[start:] {
			if !yield(t, nil) {
				return
			}
		}
	}
}

func (e *Engine) allTags(ctx context.Context, r registry.Repo) (*entry, error) {
	if _, err := e.meta.Repository(ctx, r); err != nil {
		return nil, err
	}
	tags, err := e.meta.Tags(ctx, r, "", listKeep+1)
	if err != nil {
		return nil, err
	}
	if len(tags) > listKeep {
		return &entry{long: true}, nil
	}
	return &entry{tags: tags, weight: tagsWeight(tags)}, nil
}

func tagsWeight(tags []registry.Tag) (weight int) {
	for _, t := range tags {
		weight += len(t) + 16
	}
	return weight
}

func (e *Engine) longTags(ctx context.Context, op string, r registry.Repo, after registry.Tag, yield func(registry.Tag, error) bool) {
	for {
		page, err := e.meta.Tags(ctx, r, after, listPage)
		if err != nil {
			yield("", wrap(op, err))
			return
		}
		for _, t := range page {
			if !yield(t, nil) {
				return
			}
			after = t
		}
		if len(page) < listPage {
			return
		}
	}
}

// Referrers implements registry.Lister. Beside the manifests that name the
// subject it lists those that a referrers-tag index, pushed by a client
// without the referrers API, names and that are here.
func (e *Engine) Referrers(ctx context.Context, r registry.Repo, subject registry.Digest, artifactType string, after registry.Digest) iter.Seq2[registry.Descriptor, error] {
	const op = "engine.Referrers"
	return func(yield func(registry.Descriptor, error) bool) {
		if err := e.can(ctx, registry.Read, r); err != nil {
			yield(registry.Descriptor{}, err)
			return
		}
		ent, err := e.cache.load(ctx, referrerList, r, subject.String()+" "+artifactType, func(ctx context.Context) (*entry, error) {
			return e.allReferrers(ctx, r, subject.String(), registry.ReferrersTag(subject), artifactType)
		})
		if err != nil {
			yield(registry.Descriptor{}, wrap(op, err))
			return
		}
		start, found := slices.BinarySearchFunc(ent.referrers, after, func(d registry.Descriptor, at registry.Digest) int { return cmp.Compare(d.Digest, at) })
		if found {
			start++
		}
		for _, d := range ent.referrers[start:] {
			if !yield(d, nil) {
				return
			}
		}
	}
}

// allReferrers collects a subject's referrers by digest. subject may be the
// beginning of a digest.
func (e *Engine) allReferrers(ctx context.Context, r registry.Repo, subject string, fallback registry.Tag, artifactType string) (*entry, error) {
	var list []registry.Descriptor
	for after := registry.Digest(""); ; after = list[len(list)-1].Digest {
		page, err := e.meta.Referrers(ctx, r, subject, artifactType, after, listPage)
		if err != nil {
			return nil, err
		}
		list = append(list, page...)
		if len(page) < listPage {
			break
		}
	}
	pushed, err := e.meta.Tagged(ctx, r, fallback)
	switch {
	case errors.Is(err, meta.ErrNotFound):
	case err != nil:
		return nil, err
	default:
		if list, err = e.merge(ctx, r, list, pushed.Manifest, artifactType); err != nil {
			return nil, err
		}
	}
	return &entry{referrers: list, weight: referrersWeight(list)}, nil
}

func referrersWeight(list []registry.Descriptor) (weight int) {
	for _, d := range list {
		weight += 200
		for k, v := range d.Annotations {
			weight += len(k) + len(v) + 32
		}
	}
	return weight
}

// merge adds to list the entries of a pushed referrers-tag index that r shows.
func (e *Engine) merge(ctx context.Context, r registry.Repo, list []registry.Descriptor, pushed registry.Manifest, artifactType string) ([]registry.Descriptor, error) {
	p, err := registry.ParseManifest(pushed.MediaType, pushed.Raw)
	if err != nil {
		return list, nil //nolint:nilerr // adopted content may be anything; then it is no referrers index
	}
	for _, child := range p.Children {
		at, listed := slices.BinarySearchFunc(list, child.Digest, func(d registry.Descriptor, want registry.Digest) int { return cmp.Compare(d.Digest, want) })
		if listed {
			continue
		}
		d, err := e.meta.Descriptor(ctx, r, child.Digest)
		switch {
		case errors.Is(err, meta.ErrNotFound):
		case err != nil:
			return nil, err
		case artifactType == "" || artifactType == d.ArtifactType:
			list = slices.Insert(list, at, d)
		}
	}
	return list, nil
}

// computedReferrers is the index under a referrers tag that nobody pushed, for
// clients without the referrers API.
func (e *Engine) computedReferrers(ctx context.Context, r registry.Repo, t registry.Tag) (*entry, error) {
	algorithm, hex, ok := registry.ReferrersSubject(t)
	if !ok {
		return nil, meta.ErrNotFound
	}
	found, err := e.allReferrers(ctx, r, algorithm.String()+":"+hex, t, "")
	if err != nil {
		return nil, err
	}
	if len(found.referrers) == 0 {
		return nil, meta.ErrNotFound
	}
	raw, err := json.Marshal(ocispec.Index{
		Versioned: specs.Versioned{SchemaVersion: 2},
		MediaType: ocispec.MediaTypeImageIndex,
		Manifests: found.referrers,
	})
	if err != nil {
		return nil, err
	}
	return &entry{manifest: registry.Manifest{
		Descriptor: registry.Descriptor{MediaType: ocispec.MediaTypeImageIndex, Digest: digest.FromBytes(raw), Size: int64(len(raw))},
		Raw:        raw,
	}}, nil
}

// computedDigest is what a client saw under a referrers tag that nobody
// pushed, and may name in If-Match; "" if there is nothing.
func (e *Engine) computedDigest(ctx context.Context, r registry.Repo, t registry.Tag) (registry.Digest, error) {
	ent, err := e.computedReferrers(ctx, r, t)
	switch {
	case errors.Is(err, meta.ErrNotFound):
		return "", nil
	case err != nil:
		return "", err
	}
	return ent.manifest.Digest, nil
}
