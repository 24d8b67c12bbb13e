package engine

import (
	"context"
	"errors"
	"iter"
	"strings"
	"time"

	"github.com/packhouse/packhouse/registry"
	"github.com/packhouse/packhouse/storage/meta"
)

// PackageRepo is the repository of a package of feed.
func (e *Engine) PackageRepo(feed registry.Feed, pkg string) (registry.Repo, error) {
	f := e.formats[feed.Format]
	if f == nil {
		return "", registry.E("engine.PackageRepo", registry.NameUnknown, nil, "this registry has no format %s", feed.Format)
	}
	path, err := f.Repository(pkg)
	if err != nil {
		return "", err
	}
	return registry.ParseRepo(feed.Name() + "/" + path)
}

// VersionTag is the tag of a version of feed's format.
func (e *Engine) VersionTag(feed registry.Feed, version string) (registry.Tag, error) {
	f := e.formats[feed.Format]
	if f == nil {
		return "", registry.E("engine.VersionTag", registry.NameUnknown, nil, "this registry has no format %s", feed.Format)
	}
	return f.Tag(version)
}

// Package describes the package that r is. It returns NAME_UNKNOWN.
func (e *Engine) Package(ctx context.Context, r registry.Repo) (*registry.Package, error) {
	if err := e.can(ctx, registry.Read, r); err != nil {
		return nil, err
	}
	v, err := e.Derived(ctx, r, "package", func(ctx context.Context) (any, int, error) {
		p, err := e.PackageNow(ctx, r)
		if err != nil {
			return nil, 0, err
		}
		return p, 200 + 64*(len(p.Labels)+len(p.State)), nil
	})
	if err != nil {
		return nil, err
	}
	return v.(*registry.Package), nil
}

// PackageNow is Package from the database.
func (e *Engine) PackageNow(ctx context.Context, r registry.Repo) (*registry.Package, error) {
	const op = "engine.Package"
	p, err := e.meta.Package(ctx, r)
	if errors.Is(err, meta.ErrNotFound) {
		return nil, registry.E(op, registry.NameUnknown, nil, "there is no package %s", r)
	}
	return &p, wrap(op, err)
}

// Generation is how often r was changed, by the database.
func (e *Engine) Generation(ctx context.Context, r registry.Repo) (int64, error) {
	repo, err := e.live(ctx, e.meta, "engine.Generation", r)
	return repo.Generation, err
}

// Filter is which packages of a feed the caller sees.
type Filter struct {
	Class string                   // callers of one class see the same; "" is all of them
	Sees  func(registry.Repo) bool // nil for every package
}

// Filter asks the gate what the caller sees of feed. It refuses who may not
// list anything there.
func (e *Engine) Filter(ctx context.Context, feed registry.Feed) (Filter, error) {
	if e.canAll(ctx, feed) {
		return Filter{}, nil
	}
	asking := registry.Asking(ctx)
	if err := e.canSome(ctx, registry.List, feed); err != nil {
		return Filter{}, err
	}
	return Filter{
		Class: e.cfg.Gate.Class(ctx),
		Sees:  func(r registry.Repo) bool { return e.can(asking, registry.Read, r) == nil },
	}, nil
}

// seesPackage is Sees by a package's name.
func (e *Engine) seesPackage(f Filter, feed registry.Feed, pkg string) bool {
	if f.Sees == nil {
		return true
	}
	r, err := e.PackageRepo(feed, pkg)
	return err == nil && f.Sees(r)
}

// Release returns one version of the package that r is. It returns
// MANIFEST_UNKNOWN.
func (e *Engine) Release(ctx context.Context, r registry.Repo, tag registry.Tag) (*registry.Release, error) {
	const op = "engine.Release"
	if err := e.can(ctx, registry.Read, r); err != nil {
		return nil, err
	}
	v, err := e.Derived(ctx, r, "release "+string(tag), func(ctx context.Context) (any, int, error) {
		row, err := e.meta.Release(ctx, r, tag)
		if errors.Is(err, meta.ErrNotFound) || err == nil && !row.Withdrawn.IsZero() {
			return nil, 0, registry.E(op, registry.ManifestUnknown, nil, "there is no version %s of %s", tag, r)
		}
		if err != nil {
			return nil, 0, wrap(op, err)
		}
		release, err := e.load(ctx, r, row)
		if err != nil {
			return nil, 0, wrap(op, err)
		}
		weight := 1000 + len(release.Native)
		for _, f := range release.Files {
			weight += 800 + len(f.Facts.Native)
		}
		return release, weight, nil
	})
	if err != nil {
		return nil, err
	}
	return v.(*registry.Release), nil
}

// load makes a release of its row.
func (e *Engine) load(ctx context.Context, r registry.Repo, row meta.Release) (*registry.Release, error) {
	f := e.formats[formatName(e, r)]
	if f == nil {
		return nil, unknownRepo("engine.Release", r)
	}
	files, _, _, err := e.filesOf(ctx, r, f, row.Manifest)
	if err != nil {
		return nil, err
	}
	m, err := e.meta.ManifestByID(ctx, row.Manifest)
	if err != nil {
		return nil, err
	}
	return assemble(ctx, e.meta, r, row, m.Digest, files)
}

func formatName(e *Engine, r registry.Repo) string {
	feed, _, _ := e.feedOf(r)
	return feed.Format
}

// filesOf reads the files of an edition with their facts, and its type. fresh
// are files whose facts are not stored.
func (e *Engine) filesOf(ctx context.Context, r registry.Repo, f *Format, manifest int64) (files []registry.File, artifactType string, fresh []registry.File, err error) {
	m, err := e.meta.ManifestByID(ctx, manifest)
	if err != nil {
		return nil, "", nil, err
	}
	a, err := artifact(m.Raw, "", "")
	if err != nil {
		return nil, "", nil, err
	}
	for i, file := range a.Files {
		if a.Files[i].Facts, err = e.fileFacts(ctx, r, f, file, &fresh); err != nil {
			return nil, "", nil, err
		}
	}
	return a.Files, a.ArtifactType, fresh, nil
}

// Versions lists the versions of the package that r is, withdrawn ones
// included. It returns NAME_UNKNOWN. Nobody may change the list.
func (e *Engine) Versions(ctx context.Context, r registry.Repo) ([]registry.Version, error) {
	const op = "engine.Versions"
	if err := e.can(ctx, registry.Read, r); err != nil {
		return nil, err
	}
	v, err := e.Derived(ctx, r, "versions", func(ctx context.Context) (any, int, error) {
		list, err := e.meta.Versions(ctx, r)
		if err == nil && len(list) == 0 {
			return nil, 0, registry.E(op, registry.NameUnknown, nil, "there is no package %s", r)
		}
		return list, 120 * len(list), wrap(op, err)
	})
	if err != nil {
		return nil, err
	}
	return v.([]registry.Version), nil
}

// Packages lists the packages of feed by name, after the given one.
func (e *Engine) Packages(ctx context.Context, feed registry.Feed, after string) iter.Seq2[string, error] {
	const op = "engine.Packages"
	return func(yield func(string, error) bool) {
		seen, err := e.Filter(ctx, feed)
		if err != nil {
			yield("", err)
			return
		}
		for {
			page, err := e.meta.Packages(ctx, feed.ID, after, listPage)
			if err != nil {
				yield("", wrap(op, err))
				return
			}
			for _, name := range page {
				if e.seesPackage(seen, feed, name) && !yield(name, nil) {
					return
				}
				after = name
			}
			if len(page) < listPage {
				return
			}
		}
	}
}

// Search finds packages of feed whose terms contain each word of text, and
// returns up to limit of them by name from offset, each by its newest release,
// and how many there are.
func (e *Engine) Search(ctx context.Context, feed registry.Feed, text string, offset, limit int) ([]*registry.Release, int, error) {
	const op = "engine.Search"
	seen, err := e.Filter(ctx, feed)
	if err != nil {
		return nil, 0, err
	}
	names, total, err := e.search(ctx, feed, seen, strings.Fields(strings.ToLower(text)), offset, limit)
	if err != nil {
		return nil, 0, wrap(op, err)
	}
	var list []*registry.Release
	for _, name := range names {
		r, err := e.PackageRepo(feed, name)
		if err != nil {
			return nil, 0, err
		}
		row, err := e.meta.NewestRelease(ctx, r)
		if errors.Is(err, meta.ErrNotFound) {
			continue // withdrawn meanwhile
		}
		if err != nil {
			return nil, 0, wrap(op, err)
		}
		release, err := e.Release(ctx, r, row.Tag)
		if err != nil {
			return nil, 0, err
		}
		list = append(list, release)
	}
	return list, total, nil
}

// search finds names; where some are hidden it looks through all of them.
func (e *Engine) search(ctx context.Context, feed registry.Feed, seen Filter, words []string, offset, limit int) (names []string, total int, err error) {
	if seen.Sees == nil {
		return e.meta.Search(ctx, feed.ID, words, offset, limit)
	}
	for at := 0; ; at += listPage {
		page, _, err := e.meta.Search(ctx, feed.ID, words, at, listPage)
		if err != nil {
			return nil, 0, err
		}
		for _, name := range page {
			if !e.seesPackage(seen, feed, name) {
				continue
			}
			if total >= offset && len(names) < limit {
				names = append(names, name)
			}
			total++
		}
		if len(page) < listPage {
			return names, total, nil
		}
	}
}

// ReleaseReferrers lists what refers to any edition of a release.
func (e *Engine) ReleaseReferrers(ctx context.Context, r registry.Repo, tag registry.Tag, artifactType string) ([]registry.Manifest, error) {
	const op = "engine.ReleaseReferrers"
	if err := e.can(ctx, registry.Read, r); err != nil {
		return nil, err
	}
	row, err := e.meta.Release(ctx, r, tag)
	if errors.Is(err, meta.ErrNotFound) || err == nil && !row.Withdrawn.IsZero() {
		return nil, registry.E(op, registry.ManifestUnknown, nil, "there is no version %s of %s", tag, r)
	}
	if err != nil {
		return nil, wrap(op, err)
	}
	editions, err := e.meta.Editions(ctx, row.ID)
	if err != nil {
		return nil, wrap(op, err)
	}
	var list []registry.Manifest
	for _, edition := range editions {
		for d, err := range e.Referrers(ctx, r, edition.Digest, artifactType, "") {
			if err != nil {
				return nil, err
			}
			m, err := e.Manifest(ctx, r, d.Digest)
			if errors.Is(err, registry.ManifestUnknown) {
				continue // replaced meanwhile
			}
			if err != nil {
				return nil, err
			}
			list = append(list, m)
		}
	}
	return list, nil
}

// Attach adds a referrer to a release's latest edition.
func (e *Engine) Attach(ctx context.Context, r registry.Repo, tag registry.Tag, ref registry.Referrer) error {
	m, err := e.Tagged(ctx, r, tag)
	if err != nil {
		return err
	}
	layer, err := e.PutBlob(ctx, r, strings.NewReader(string(ref.Content)), "")
	if err != nil {
		return err
	}
	if _, err := e.PutBlob(ctx, r, strings.NewReader(emptyBlob), ""); err != nil {
		return err
	}
	layer.MediaType = ref.MediaType
	raw, err := referrer(ref, layer, registry.Descriptor{MediaType: m.MediaType, Digest: m.Digest, Size: m.Size})
	if err != nil {
		return err
	}
	_, err = e.PutManifest(ctx, r, registry.Manifest{Raw: raw}, registry.PutOptions{})
	return err
}

// Derived answers with what build made, kept until r changes. build must read
// only what a change of r outdates; its result is shared and bounded by the
// cache's size, weight being its bytes.
func (e *Engine) Derived(ctx context.Context, r registry.Repo, name string, build func(context.Context) (v any, weight int, err error)) (any, error) {
	ent, err := e.cache.load(ctx, derived, r, name, func(ctx context.Context) (*entry, error) {
		v, weight, err := build(ctx)
		return &entry{derived: v, weight: weight}, err
	})
	if err != nil {
		return nil, err
	}
	return ent.derived, nil
}

// Codec makes what [Engine.Rendered] keeps fit for other processes.
type Codec struct {
	Encode func(v any) []byte // nil for what is not worth it
	Decode func(body []byte) (v any, weight int, err error)
}

// Rendered is [Engine.Derived] of what replicas share. Of another binary's they
// see nothing: it may render the same in another way.
func (e *Engine) Rendered(ctx context.Context, r registry.Repo, name string, c Codec, build func(context.Context) (v any, weight int, err error)) (any, error) {
	coded := &codec{
		build:  e.cfg.Build,
		encode: func(ent *entry) []byte { return c.Encode(ent.derived) },
		decode: func(_ string, body []byte) (*entry, error) {
			v, weight, err := c.Decode(body)
			return &entry{derived: v, weight: weight}, err
		},
	}
	ent, err := e.cache.loadShared(ctx, derived, r, name, coded, func(ctx context.Context) (*entry, error) {
		v, weight, err := build(ctx)
		return &entry{derived: v, weight: weight}, err
	})
	if err != nil {
		return nil, err
	}
	return ent.derived, nil
}

// StoredFragment is one release's part of a document.
type StoredFragment = meta.Fragment

// Fragments yields one kind of a package's fragments by publication.
func (e *Engine) Fragments(ctx context.Context, r registry.Repo, kind string) iter.Seq2[StoredFragment, error] {
	return e.meta.Fragments(ctx, r, kind)
}

// Fragment returns one version's fragment, nil if it has none.
func (e *Engine) Fragment(ctx context.Context, r registry.Repo, kind, version string) ([]byte, error) {
	feed, _, _ := e.feedOf(r)
	tag, err := e.VersionTag(feed, version)
	if err != nil {
		return nil, err
	}
	body, err := e.meta.FragmentOf(ctx, r, kind, tag)
	if errors.Is(err, meta.ErrNotFound) {
		return nil, nil
	}
	return body, wrap("engine.Fragment", err)
}

// Buckets is how many parts a feed's documents have.
const Buckets = buckets

// BucketFragments yields the fragments of some kinds of one bucket of a feed,
// by package, kind and publication.
func (e *Engine) BucketFragments(ctx context.Context, feed registry.Feed, bucket int, kinds []string) iter.Seq2[StoredFragment, error] {
	return e.meta.BucketFragments(ctx, feed.ID, bucket, kinds)
}

// BucketStates returns the packages' own state in one bucket of a feed.
func (e *Engine) BucketStates(ctx context.Context, feed registry.Feed, bucket int) (map[registry.Repo]map[string]string, error) {
	states, err := e.meta.BucketStates(ctx, feed.ID, bucket)
	return states, wrap("engine.BucketStates", err)
}

// BucketKey is what stands for a bucket in [Engine.Derived].
func BucketKey(feed registry.Feed, bucket int) registry.Repo { return bucketKey(feed.Name(), bucket) }

// Now is the time by the clock of all rows.
func (e *Engine) Now() time.Time { return e.meta.Now() }
