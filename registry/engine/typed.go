package engine

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strings"
	"time"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/packhouse/packhouse/registry"
	"github.com/packhouse/packhouse/storage/meta"
)

// typed is a manifest that is one version of a package, with all that was
// derived of it before its commit.
type typed struct {
	format       *Format
	feed         registry.Feed // ID 0: this commit makes it
	artifactType string
	facts        registry.Facts
	files        []registry.File // with their facts
	fresh        []registry.File // those whose facts are not stored yet
	tag          registry.Tag    // the version's
	labels       []registry.Tag
	named        bool // whether the push names it: else it is stored, but no release
	state        map[string]string
	published    time.Time // that an import names; zero for the commit's

	release *registry.Release // what the commit made of it; nil if that was there
}

// classify decides what a pushed manifest is. It returns nil for one that is
// no package: outside of feeds anything, within one what is about a package.
func (e *Engine) classify(ctx context.Context, r registry.Repo, m registry.Manifest, p registry.Parsed, tags []registry.Tag) (*typed, error) {
	const op = "engine.PutManifest"
	feed, below, inFeed := e.feedOf(r)
	isImage := p.MediaType == ocispec.MediaTypeImageManifest
	switch {
	case inFeed && len(tags) > 0 && !slices.ContainsFunc(tags, func(t registry.Tag) bool { return !registry.IsSignatureTag(t) }):
		return nil, nil // signatures and the referrers fallback
	case inFeed && p.Subject != nil:
		return nil, nil
	case inFeed:
		f := e.formats[feed.Format]
		if f == nil || !isImage || !slices.Contains(f.ArtifactTypes, p.ArtifactType) {
			return nil, registry.E(op, registry.ManifestInvalid, nil, "%s is the %s feed, which takes manifests of artifact type %s, what refers to them by subject, and signature tags; this one is %q",
				feed.Name(), feed.Format, e.wanted(feed.Format), clip(p.ArtifactType))
		}
		return e.describe(ctx, r, f, feed, below, m, tags)
	case !isImage || p.Subject != nil:
		return nil, nil
	}
	// No feed yet. The manifest makes one where its own name says that it is
	// this repository's package. Others' types, such as Helm's, are at home in
	// any other repository, too.
	var problem error
	ours := strings.HasPrefix(p.ArtifactType, ourTypes)
	for prefix, rest := range prefixes(r) {
		feed, ok := e.feedName(prefix)
		if ok && ours && problem == nil {
			problem = registry.E(op, registry.ManifestInvalid, nil, "%s would be in a feed of %s packages, and this manifest is %s", r, feed.Format, clip(p.ArtifactType))
		}
		if !ok || !slices.Contains(e.formats[feed.Format].ArtifactTypes, p.ArtifactType) {
			continue
		}
		t, err := e.describe(ctx, r, e.formats[feed.Format], feed, rest, m, tags)
		if err == nil {
			return t, nil
		}
		if !errors.Is(err, errMisplaced) || ours {
			problem = err
		}
	}
	return nil, problem
}

// ourTypes begin the artifact types that nobody else's clients push.
const ourTypes = "application/vnd.packhouse."

// errMisplaced marks a package that its repository or tag does not go with.
var errMisplaced = errors.New("not the package's place")

func (e *Engine) wanted(format string) string {
	if f := e.formats[format]; f != nil {
		return strings.Join(f.ArtifactTypes, " or ")
	}
	return "a format that this registry does not know"
}

// describe derives all of a pushed manifest and checks that it is what its
// repository and tags say.
func (e *Engine) describe(ctx context.Context, r registry.Repo, f *Format, feed registry.Feed, below string, m registry.Manifest, tags []registry.Tag) (*typed, error) {
	const op = "engine.PutManifest"
	t := &typed{format: f, feed: feed, named: len(tags) > 0}
	hint := ""
	for _, tag := range tags {
		if !registry.IsSignatureTag(tag) {
			hint = string(tag)
			break
		}
	}
	a, err := artifact(m.Raw, below, hint)
	if err != nil {
		return nil, err
	}
	for i, file := range a.Files {
		if a.Files[i].Facts, err = e.fileFacts(ctx, r, f, file, &t.fresh); err != nil {
			return nil, err
		}
	}
	t.artifactType, t.files = a.ArtifactType, a.Files
	if t.facts, err = f.Describe(a); err != nil {
		return nil, err
	}
	path, err := f.Repository(t.facts.Package)
	if err != nil {
		return nil, err
	}
	if t.tag, err = f.Tag(t.facts.Version); err != nil {
		return nil, err
	}
	if path != below {
		return nil, registry.E(op, registry.ManifestInvalid, errMisplaced, "the manifest is package %s, whose repository is %s/%s and not %s", t.facts.Package, feed.Name(), path, r)
	}
	for _, tag := range tags {
		if tag == t.tag || registry.IsSignatureTag(tag) {
			continue
		}
		if err := f.Label(string(tag)); err != nil {
			return nil, registry.E(op, registry.ManifestInvalid, errMisplaced, "the manifest is version %s of %s, whose tag is %s and not %s", t.facts.Version, t.facts.Package, t.tag, tag)
		}
		t.labels = append(t.labels, tag)
	}
	if created, err := time.Parse(time.RFC3339, a.Annotations[ocispec.AnnotationCreated]); err == nil && e.may(ctx, registry.Admin, r) && created.Unix() > 0 {
		t.published = created.UTC()
	}
	return t, nil
}

// artifact reads a typed manifest, which was parsed strictly before.
func artifact(raw []byte, nameHint, versionHint string) (registry.Artifact, error) {
	var m ocispec.Manifest
	if err := json.Unmarshal(raw, &m); err != nil {
		return registry.Artifact{}, registry.E("engine.artifact", registry.ManifestInvalid, err, "the manifest is not valid: %v", err)
	}
	a := registry.Artifact{ArtifactType: m.ArtifactType, Annotations: m.Annotations}
	if a.ArtifactType == "" {
		a.ArtifactType = m.Config.MediaType
	}
	if a.Annotations == nil {
		a.Annotations = map[string]string{}
	}
	if a.Annotations[registry.AnnotationName] == "" && nameHint != "" {
		a.Annotations[registry.AnnotationNameHint] = nameHint
	}
	if a.Annotations[ocispec.AnnotationVersion] == "" && versionHint != "" {
		a.Annotations[registry.AnnotationVersionHint] = versionHint
	}
	seen := map[string]bool{}
	for _, l := range m.Layers {
		if len(l.URLs) > 0 || strings.Contains(l.MediaType, ".nondistributable.") || strings.Contains(l.MediaType, ".foreign.") {
			return a, registry.E("engine.artifact", registry.ManifestInvalid, nil, "a package's files are here and nowhere else: %s is of type %q or has urls", l.Digest, clip(l.MediaType))
		}
		f := registry.File{Name: l.Annotations[ocispec.AnnotationTitle], Descriptor: l}
		f.Data = nil
		if f.Name != "" && (!fs.ValidPath(f.Name) || strings.ContainsFunc(f.Name, func(r rune) bool { return r < ' ' || r == '\\' || r == 0x7f })) {
			return a, registry.E("engine.artifact", registry.ManifestInvalid, nil, "a layer is called %q: a file's name has no .., no empty parts and no leading slash", clip(f.Name))
		}
		if seen[f.Key()] {
			return a, registry.E("engine.artifact", registry.ManifestInvalid, nil, "two layers are called %q", clip(f.Key()))
		}
		seen[f.Key()] = true
		a.Files = append(a.Files, f)
	}
	return a, nil
}

// fileFacts finds or makes the facts of a file that r has, and adds a file
// that was read for the first time to fresh.
func (e *Engine) fileFacts(ctx context.Context, r registry.Repo, f *Format, file registry.File, fresh *[]registry.File) (registry.FileFacts, error) {
	// What is known of the content says nothing of this repository's having it.
	if _, err := e.fileBlob(ctx, r, file); err != nil {
		return registry.FileFacts{}, err
	}
	facts, err := e.meta.FileFacts(ctx, f.Name, f.Parser, file)
	if errors.Is(err, meta.ErrNotFound) {
		return e.readFile(ctx, r, f, file, fresh)
	}
	return facts, wrap("engine.fileFacts", err)
}

// readFile is fileFacts without looking up what is known.
func (e *Engine) readFile(ctx context.Context, r registry.Repo, f *Format, file registry.File, fresh *[]registry.File) (registry.FileFacts, error) {
	b, err := e.fileBlob(ctx, r, file)
	if err != nil {
		return registry.FileFacts{}, err
	}
	facts, err := e.inspect(ctx, f, file, e.segments(ctx, b.Objects), nil)
	if err == nil {
		file.Facts = facts
		*fresh = append(*fresh, file)
	}
	return facts, err
}

// fileBlob finds the blob of a manifest's layer in r.
func (e *Engine) fileBlob(ctx context.Context, r registry.Repo, file registry.File) (meta.Blob, error) {
	const op = "engine.PutManifest"
	b, err := e.blob(ctx, op, r, file.Digest)
	switch {
	case errors.Is(err, registry.BlobUnknown), errors.Is(err, registry.NameUnknown):
		return b, missingContent(op, r, []registry.Digest{file.Digest})
	case err == nil && b.Size != file.Size:
		return b, registry.E(op, registry.ManifestInvalid, nil, "the manifest says that %s has %d bytes, it has %d", file.Digest, file.Size, b.Size)
	}
	return b, err
}

// inspect lets the format read a file, and adds checksums unless they are known.
func (e *Engine) inspect(ctx context.Context, f *Format, file registry.File, content io.ReaderAt, known map[string]string) (facts registry.FileFacts, err error) {
	facts.Sums = known
	if known == nil && len(f.Sums) > 0 {
		s, writers := newSums(f.Sums)
		if _, err := io.Copy(io.MultiWriter(writers...), io.NewSectionReader(content, 0, file.Size)); err != nil {
			return facts, wrap("engine.inspect", err)
		}
		facts.Sums = s.hex()
	}
	if facts.Native, err = f.Inspect(ctx, file.Name, file.MediaType, content, file.Size); err != nil {
		if e, ok := errors.AsType[*registry.Error](err); ok && file.Name != "" && !strings.Contains(e.Message, file.Name) {
			return facts, registry.E(e.Op, e.Code, e.Err, "%s: %s", clip(file.Name), e.Message).WithDetail(e.Detail)
		}
		return facts, err
	}
	return facts, nil
}

// emptyBlob is the content that OCI puts where there is none.
const emptyBlob = "{}"

// placeEmpty makes r show the empty blob, which status referrers name. Where
// it was being collected, its old object is left to fsck.
func placeEmpty(ctx context.Context, tx *meta.Tx, r meta.Repository) error {
	d := ocispec.DescriptorEmptyJSON.Digest
	_, err := tx.AddBlob(ctx, r, d, int64(len(emptyBlob)), []meta.Object{meta.Inline(d, []byte(emptyBlob))})
	return err
}

func (e *Engine) putObject(ctx context.Context, content []byte) (meta.Object, error) {
	key, err := e.keys.take(ctx)
	if err != nil {
		return meta.Object{}, wrap("engine.putObject", err)
	}
	if err := e.blobs.Put(ctx, key, content); err != nil {
		return meta.Object{}, wrap("engine.putObject", fmt.Errorf("store %d bytes: %w", len(content), err))
	}
	return meta.Object{Key: key, Size: int64(len(content))}, nil
}

func clip(s string) string {
	const longest = 120
	if len(s) > longest {
		return s[:longest] + "…"
	}
	return s
}
