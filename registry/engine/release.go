package engine

import (
	"bytes"
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/packhouse/packhouse/registry"
	"github.com/packhouse/packhouse/storage/meta"
)

func digestOf(content []byte) registry.Digest { return digest.FromBytes(content) }

// putRelease makes manifest id, which r shows, a release or a new edition of
// one, and moves its names. It is called inside the transaction, where
// immutability is decided, after [Engine.claim].
func (e *Engine) putRelease(ctx context.Context, tx *meta.Tx, r meta.Repository, id int64, m registry.Descriptor, t *typed) error {
	if err := addFacts(ctx, tx, t.format, t.fresh); err != nil {
		return err
	}
	if !t.named {
		return nil
	}
	switch other, err := tx.ReleaseOf(ctx, r.Name, m.Digest); {
	case err == nil && other.Tag != t.tag:
		return registry.E("engine.PutManifest", registry.ManifestInvalid, nil, "this manifest is version %s of %s: another version needs a manifest of its own, with another %s", other.Version, r.Package, ocispec.AnnotationVersion)
	case err != nil && !errors.Is(err, meta.ErrNotFound):
		return err
	}
	row, grown, err := e.edition(ctx, tx, r, id, t)
	if err != nil {
		return err
	}
	if grown {
		if err := tx.Touch(ctx, r); err != nil {
			return err
		}
		if err := e.grow(ctx, tx, r, row, id, m, t); err != nil {
			return err
		}
	}
	target := id
	if !grown {
		target = row.Manifest // equal content: names stay on the edition that signatures hang on
	}
	for _, label := range t.labels {
		if err := e.checkLabel(ctx, tx, r, t.format, label); err != nil {
			return err
		}
		moved, err := tx.SetLabel(ctx, r, label, target)
		if err == nil && moved {
			err = tx.Touch(ctx, r)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// claim makes r the package's repository, and its feed if need be, or finds
// that r is another's. It comes before r shows the manifest.
func (e *Engine) claim(ctx context.Context, tx *meta.Tx, r meta.Repository, t *typed) error {
	switch r.Package {
	case t.facts.Package:
		return nil
	case "":
		feed, err := e.ensureFeed(ctx, tx, t.feed)
		if err != nil {
			return err
		}
		return tx.SetPackage(ctx, r, feed, t.facts.Package, bucketOf(r.Name))
	}
	return registry.E("engine.PutManifest", registry.Conflict, nil, "repository %s holds package %s and not %s", r.Name, r.Package, t.facts.Package)
}

// edition finds the release, creating it if need be, and tells whether the
// manifest adds to it.
func (e *Engine) edition(ctx context.Context, tx *meta.Tx, r meta.Repository, id int64, t *typed) (row meta.Release, grown bool, err error) {
	row, err = tx.Release(ctx, r.Name, t.tag)
	switch {
	case errors.Is(err, meta.ErrNotFound):
		published := tx.Now()
		if !t.published.IsZero() && t.published.Before(published) {
			published = t.published
		}
		row = meta.Release{Repository: r.ID, Version: t.facts.Version, Tag: t.tag, Published: published}
		row.ID, err = tx.AddRelease(ctx, r, row.Version, row.Tag, published)
		return row, true, err
	case err != nil:
		return row, false, err
	case !row.Withdrawn.IsZero():
		return row, false, withdrawn(t.facts.Package, row)
	}
	present, err := tx.ManifestByID(ctx, row.Manifest)
	if err != nil {
		return row, false, err
	}
	a, err := artifact(present.Raw, "", "")
	if err != nil {
		return row, false, err
	}
	if a.ArtifactType != t.artifactType {
		return row, false, exists(t.facts.Package, row.Version, "it is there as "+a.ArtifactType)
	}
	// Equal content may leave names out; more content must keep them.
	match := registry.File.Keeps
	if len(a.Files) == len(t.files) {
		match = registry.File.Same
	}
	for _, f := range a.Files {
		switch i := slices.IndexFunc(t.files, func(g registry.File) bool { return match(f, g) }); {
		case i < 0:
			return row, false, exists(t.facts.Package, row.Version, "it has "+f.Key()+", which is not in this one")
		case t.files[i].Digest != f.Digest:
			return row, false, exists(t.facts.Package, row.Version, "its "+f.Key()+" has other content")
		}
	}
	if len(a.Files) == len(t.files) {
		return row, false, tx.AddEdition(ctx, row.ID, id)
	}
	return row, true, nil
}

func exists(pkg, version, why string) error {
	return registry.E("engine.PutManifest", registry.VersionExists, nil, "version %s of %s exists and cannot be changed (%s): publish another version", version, pkg, why).
		WithDetail(map[string]any{"version": version})
}

func withdrawn(pkg string, row meta.Release) error {
	return registry.E("engine.PutManifest", registry.VersionExists, nil, "version %s of %s was withdrawn on %s and cannot be published again: publish another version, or restore it with `packhouse tag restore`", row.Version, pkg, row.Withdrawn.Format(time.DateOnly)).
		WithDetail(map[string]any{"version": row.Version, "withdrawn": row.Withdrawn})
}

// grow makes manifest id the latest edition of row: tag, labels, state,
// signature, and all that is derived.
func (e *Engine) grow(ctx context.Context, tx *meta.Tx, r meta.Repository, row meta.Release, id int64, m registry.Descriptor, t *typed) error {
	labels, err := tx.LabelsOf(ctx, r, row.ID)
	if err != nil {
		return err
	}
	names := make([]string, len(t.files))
	for i, f := range t.files {
		names[i] = f.Key()
	}
	at, isNew := tx.Now(), row.Manifest == 0
	if isNew {
		at = row.Published
	}
	if err := tx.SetRelease(ctx, row.ID, id, names, at); err != nil {
		return err
	}
	row.Manifest, row.Updated, row.Facts = id, at, t.facts
	if err := tx.SetTag(ctx, r, row.Tag, id); err != nil {
		return err
	}
	for _, label := range labels {
		if _, err := tx.SetLabel(ctx, r, label, id); err != nil {
			return err
		}
	}
	for _, key := range slices.Sorted(maps.Keys(t.state)) {
		if err := tx.SetState(ctx, r.ID, row.Tag, key, t.state[key]); err != nil {
			return err
		}
	}
	if len(t.state) > 0 {
		row.StatusCount++
		if err := tx.SetStatusCount(ctx, row.ID, row.StatusCount); err != nil {
			return err
		}
	}
	// Who may only create does not change what was said of a release.
	if isNew || e.may(ctx, registry.Withdraw, r.Name) {
		if row, err = e.adoptStatus(ctx, tx, r, row, m.Digest); err != nil {
			return err
		}
	}
	if err := e.mirrorStatus(ctx, tx, r, row, m); err != nil {
		return err
	}
	t.release, err = e.render(ctx, tx, r, row, m.Digest, t.format, t.files)
	return err
}

// render stores all that is derived of a release: facts, fragments, what a
// search looks at, and, once, the registry's signature.
func (e *Engine) render(ctx context.Context, tx *meta.Tx, r meta.Repository, row meta.Release, d registry.Digest, f *Format, files []registry.File) (*registry.Release, error) {
	if err := tx.SetFacts(ctx, row.ID, row.Facts); err != nil {
		return nil, err
	}
	release, err := assemble(ctx, tx, r.Name, row, d, files)
	if err != nil {
		return nil, err
	}
	if f.SignedText != nil && release.Signature == nil {
		if text := f.SignedText(release); text != nil {
			s, err := e.sign(text)
			if err != nil {
				return nil, err
			}
			if err := tx.SetSignature(ctx, row.ID, s); err != nil {
				return nil, err
			}
			release.Signature = &s
		}
	}
	for _, kind := range f.Fragments {
		var b bytes.Buffer
		if !row.Facts.Incomplete {
			if err := f.Fragment(kind, release, &b); err != nil {
				return nil, err
			}
		}
		body := b.Bytes()
		if len(body) == 0 {
			body = nil
		}
		if err := tx.SetFragment(ctx, r.ID, row.ID, kind, body); err != nil {
			return nil, err
		}
	}
	if newest, err := tx.NewestRelease(ctx, r.Name); err != nil || newest.ID != row.ID {
		return release, err
	}
	terms := strings.ToLower(strings.Join(append([]string{row.Facts.Package, row.Facts.Description}, row.Facts.Keywords...), "\n"))
	return release, tx.SetTerms(ctx, r, terms)
}

// lookups are what both a Store and a Tx can look up about a release.
type lookups interface {
	FilesAdded(ctx context.Context, release int64) (map[string]time.Time, error)
	State(ctx context.Context, repository int64, tag registry.Tag) (map[string]string, error)
}

// assemble makes a release of its row and its files with their facts.
func assemble(ctx context.Context, in lookups, name registry.Repo, row meta.Release, d registry.Digest, files []registry.File) (*registry.Release, error) {
	added, err := in.FilesAdded(ctx, row.ID)
	if err != nil {
		return nil, err
	}
	state, err := in.State(ctx, row.Repository, row.Tag)
	if err != nil {
		return nil, err
	}
	release := &registry.Release{
		Facts: row.Facts, Repo: name, Tag: row.Tag, Digest: d, State: state,
		Published: row.Published, Updated: row.Updated, Signature: row.Signature,
		Files: make([]registry.File, len(files)),
	}
	for i, f := range files {
		f.Added = added[f.Key()]
		release.Files[i] = f
	}
	return release, nil
}
