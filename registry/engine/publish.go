package engine

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/packhouse/packhouse/registry"
	"github.com/packhouse/packhouse/storage/meta"
)

// errRaced says that a release changed between reading and committing.
var errRaced = errors.New("the release changed meanwhile")

// publication is one native publish on its way.
type publication struct {
	e     *Engine
	feed  registry.Feed
	f     *Format
	draft registry.Draft
	added []registry.File // the draft's files with their facts

	repo registry.Repo
	tag  registry.Tag
	// Of the present edition, if there is one:
	kind   string          // its artifact type
	unread []registry.File // files whose facts are not stored
}

// Publish adds the draft's files to a release of feed, which it creates if
// need be, in one commit. It returns what artifacttypes.View says.
func (e *Engine) Publish(ctx context.Context, feed registry.Feed, d registry.Draft) (*registry.Release, error) {
	const op = "engine.Publish"
	f := e.formats[feed.Format]
	if f == nil {
		return nil, registry.E(op, registry.NameUnknown, nil, "this registry has no format %s", feed.Format)
	}
	if err := e.canSome(ctx, registry.Create, feed); err != nil {
		return nil, err
	}
	if err := e.KnowFeeds(ctx); err != nil {
		return nil, err
	}
	defer outdate(ctx) // who lost against another looks again before the next try
	if known, ok := e.Feed(feed.Name()); ok {
		feed = known
	}
	p := &publication{e: e, feed: feed, f: f, draft: d}
	if err := p.read(ctx); err != nil {
		return nil, err
	}
	if f.SignedText != nil {
		if err := e.ensureKey(ctx); err != nil {
			return nil, err
		}
	}
	lock := &e.growing[bucketOf(p.repo+":"+registry.Repo(p.tag))%len(e.growing)]
	lock.Lock()
	defer lock.Unlock()
	for {
		release, err := p.try(ctx)
		if !errors.Is(err, errRaced) {
			return release, wrap(op, err)
		}
		if err := ctx.Err(); err != nil {
			return nil, err
		}
	}
}

// read inspects the new files and finds out what release they belong to.
func (p *publication) read(ctx context.Context) error {
	const op = "engine.Publish"
	for _, file := range p.draft.Files {
		st, ok := file.Content.(*staged)
		if !ok {
			return fmt.Errorf("%s: file %q was not staged here", op, file.Name)
		}
		desc := st.desc
		desc.MediaType = file.MediaType
		desc.Annotations = map[string]string{}
		maps.Copy(desc.Annotations, file.Annotations)
		if file.Name != "" {
			desc.Annotations[ocispec.AnnotationTitle] = file.Name
		}
		f := registry.File{Name: file.Name, Descriptor: desc}
		if slices.ContainsFunc(p.added, func(o registry.File) bool { return o.Key() == f.Key() }) {
			return registry.E(op, registry.ManifestInvalid, nil, "two files are called %q", clip(f.Key()))
		}
		var err error
		if f.Facts, err = p.e.meta.FileFacts(ctx, p.f.Name, p.f.Parser, f); errors.Is(err, meta.ErrNotFound) {
			f.Facts, err = p.e.inspect(ctx, p.f, f, st, st.sums)
		}
		if err != nil {
			return wrap(op, err)
		}
		p.added = append(p.added, f)
	}
	if p.draft.Package == "" || p.draft.Version == "" {
		facts, err := p.f.Describe(registry.Artifact{Annotations: p.annotations(), Files: p.added})
		if err != nil {
			return err
		}
		if p.draft.Package == "" {
			p.draft.Package = facts.Package
		}
		if p.draft.Version == "" {
			p.draft.Version = facts.Version
		}
	}
	path, err := p.f.Repository(p.draft.Package)
	if err != nil {
		return err
	}
	if p.repo, err = registry.ParseRepo(p.feed.Name() + "/" + path); err != nil {
		return err
	}
	if p.tag, err = p.f.Tag(p.draft.Version); err != nil {
		return err
	}
	for _, l := range p.draft.Labels {
		if err := p.f.Label(l); err != nil {
			return err
		}
		if _, err := registry.ParseTag(l); err != nil {
			return err
		}
	}
	return p.e.can(ctx, registry.Create, p.repo)
}

func (p *publication) annotations() map[string]string {
	a := map[string]string{}
	if p.draft.Package != "" {
		a[registry.AnnotationName] = p.draft.Package
	}
	if p.draft.Version != "" {
		a[ocispec.AnnotationVersion] = p.draft.Version
	}
	return a
}

// try publishes against the release as it is now. It returns errRaced when it
// is another by the time of the commit.
func (p *publication) try(ctx context.Context) (*registry.Release, error) {
	e := p.e
	row, err := e.meta.Release(ctx, p.repo, p.tag)
	absent := errors.Is(err, meta.ErrNotFound)
	switch {
	case err != nil && !absent:
		return nil, err
	case !absent && !row.Withdrawn.IsZero():
		return nil, withdrawn(p.draft.Package, row)
	}
	var files []registry.File
	if !absent {
		if files, p.kind, p.unread, err = e.filesOf(ctx, p.repo, p.f, row.Manifest); err != nil {
			return nil, err
		}
	}
	fresh, err := p.merge(row, files)
	if err != nil {
		return nil, err
	}
	if len(fresh) == 0 && !absent {
		return p.again(ctx)
	}
	if p.draft.New && !absent {
		return nil, exists(p.draft.Package, row.Version, "it has other files")
	}
	files = append(files, fresh...)
	facts, err := p.f.Describe(registry.Artifact{Annotations: p.annotations(), Files: files})
	if err != nil {
		return nil, err
	}
	if facts.Package != p.draft.Package || facts.Version != p.draft.Version {
		return nil, registry.E("engine.Publish", registry.ManifestInvalid, nil, "the files are version %s of %s and not %s of %s",
			facts.Version, facts.Package, p.draft.Version, p.draft.Package)
	}
	return p.commit(ctx, row, files, fresh, facts)
}

// merge returns those of the draft's files that the release does not have.
func (p *publication) merge(row meta.Release, have []registry.File) ([]registry.File, error) {
	var fresh []registry.File
	for _, f := range p.added {
		i := slices.IndexFunc(have, f.Same)
		var current registry.Digest
		if i >= 0 {
			current = have[i].Digest
		}
		if p.draft.If.File == f.Name {
			if err := p.draft.If.Check("engine.Publish", f.Name, current); err != nil {
				return nil, err
			}
		}
		switch current {
		case "":
			fresh = append(fresh, f)
		case f.Digest:
		default:
			return nil, exists(p.draft.Package, row.Version, "its "+f.Key()+" has other content")
		}
	}
	return fresh, nil
}

// again is a publish of what is there already: only labels can move, by the
// right to publish.
func (p *publication) again(ctx context.Context) (*registry.Release, error) {
	if len(p.draft.Labels) > 0 {
		ops := make([]registry.Op, len(p.draft.Labels))
		for i, l := range p.draft.Labels {
			ops[i] = registry.SetLabel{Label: l, Version: p.draft.Version}
		}
		if err := p.e.changePackage(ctx, p.repo, ops); err != nil {
			return nil, err
		}
	}
	return p.e.Release(ctx, p.repo, p.tag)
}

// content is one blob of a publish: staged by the handler, or small and ours.
type content struct {
	staged *staged
	ours   bool // the handler discards its own
}

func (p *publication) commit(ctx context.Context, before meta.Release, files, fresh []registry.File, facts registry.Facts) (*registry.Release, error) {
	e := p.e
	var contents []content
	committed := false // or perhaps: then the next start's sweep knows
	defer func() {     //nolint:contextcheck // Discard goes on when the request has ended
		for _, c := range contents {
			if committed {
				c.staged.kept = true
			} else if c.ours {
				c.staged.Discard()
			}
		}
	}()
	for i, f := range p.added {
		if slices.ContainsFunc(fresh, func(o registry.File) bool { return o.Key() == f.Key() }) {
			contents = append(contents, content{staged: p.draft.Files[i].Content.(*staged)})
		}
	}
	own := func(b []byte, mediaType string) (registry.Descriptor, error) {
		st := e.inMemory(ctx, b, nil)
		if len(b) > inlineSize {
			o, err := e.putObject(ctx, b)
			if err != nil {
				return registry.Descriptor{}, err
			}
			st.object, st.kept = o, false
		}
		contents = append(contents, content{staged: st, ours: true})
		d := st.desc
		d.MediaType = mediaType
		return d, nil
	}
	env := p.f.Envelope(facts, files)
	m := ocispec.Manifest{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageManifest, ArtifactType: env.ArtifactType,
		Config: ocispec.DescriptorEmptyJSON, Annotations: map[string]string{},
	}
	published := before.Published
	if before.ID == 0 {
		published = e.meta.Now().UTC().Truncate(time.Millisecond) // as rows and the annotation keep it
	}
	maps.Copy(m.Annotations, env.Annotations)
	if env.ArtifactType != "" { // else it is of another project's kind, which has annotations of its own
		maps.Copy(m.Annotations, p.annotations())
	}
	if kind := p.kind; kind != "" && kind != env.ConfigType {
		m.ArtifactType = kind // a release stays what it is when it grows
	}
	if m.Annotations[ocispec.AnnotationCreated] == "" {
		m.Annotations[ocispec.AnnotationCreated] = published.Format("2006-01-02T15:04:05.000Z")
	}
	for _, f := range files {
		m.Layers = append(m.Layers, f.Descriptor)
	}
	if m.ArtifactType == "" { // as Helm's clients do
		slices.SortFunc(m.Layers, func(a, b registry.Descriptor) int { return strings.Compare(a.Digest.String(), b.Digest.String()) })
	}
	if env.ConfigType != "" {
		config, err := own(env.Config, env.ConfigType)
		if err != nil {
			return nil, err
		}
		m.Config = config
	}
	if _, err := own([]byte(emptyBlob), ocispec.MediaTypeEmptyJSON); err != nil {
		return nil, err
	}
	raw, err := json.Marshal(m)
	if err != nil {
		return nil, err
	}
	if int64(len(raw)) > e.cfg.Limits.Manifest {
		return nil, registry.E("engine.Publish", registry.TooLarge, nil, "a release with %d files needs a manifest of %d bytes, the limit is %d", len(files), len(raw), e.cfg.Limits.Manifest)
	}
	t := &typed{format: p.f, feed: p.feed, artifactType: m.ArtifactType, facts: facts, files: files, fresh: append(p.unread, fresh...), tag: p.tag, named: true, state: p.draft.State, published: published}
	if t.artifactType == "" {
		t.artifactType = env.ConfigType
	}
	for _, l := range p.draft.Labels {
		t.labels = append(t.labels, registry.Tag(l))
	}
	subject := registry.Descriptor{MediaType: m.MediaType, Digest: digestOf(raw), Size: int64(len(raw))}
	var referrers [][]byte
	for _, ref := range p.draft.Referrers {
		layer, err := own(ref.Content, ref.MediaType)
		if err != nil {
			return nil, err
		}
		r, err := referrer(ref, layer, subject)
		if err != nil {
			return nil, err
		}
		referrers = append(referrers, r)
	}
	var spare []string
	err = e.change(ctx, p.repo, durable, func(ctx context.Context, tx *meta.Tx) error {
		spare = nil
		switch now, err := tx.Release(ctx, p.repo, p.tag); {
		case errors.Is(err, meta.ErrNotFound):
			if before.ID != 0 {
				return errRaced
			}
		case err != nil:
			return err
		case now.ID != before.ID, now.Manifest != before.Manifest, now.Withdrawn != before.Withdrawn:
			return errRaced
		}
		if err := e.can(ctx, registry.Create, p.repo); err != nil {
			return err // the right was taken away while the files came
		}
		r, err := e.repository(ctx, tx, p.repo)
		if err != nil {
			return err
		}
		for _, c := range contents {
			gone, err := c.staged.place(ctx, tx, r)
			if err != nil {
				return err
			}
			spare = append(spare, gone...)
		}
		if err := e.claim(ctx, tx, r, t); err != nil {
			return err
		}
		id, err := e.addManifest(ctx, tx, r, raw)
		if err != nil {
			return err
		}
		if err := e.putRelease(ctx, tx, r, id, subject, t); err != nil {
			return err
		}
		for _, ref := range referrers {
			if _, err := e.addManifest(ctx, tx, r, ref); err != nil {
				return err
			}
		}
		done := meta.AuditRecord{Tag: p.tag, Digest: subject.Digest, Detail: map[string]string{"package": p.draft.Package, "version": p.draft.Version}}
		if err := record(ctx, tx, "package.publish", r, done); err != nil {
			return err
		}
		return tx.NextGeneration(ctx, r)
	})
	committed = err == nil || errors.Is(err, meta.ErrUncertain)
	if err != nil {
		for _, c := range contents {
			e.keys.lost(err, c.staged.object)
		}
		return nil, err
	}
	e.discard(ctx, spare...)
	if p.feed.ID == 0 {
		e.reloadFeeds(ctx)
	}
	if t.release != nil {
		return t.release, nil
	}
	return e.Release(ctx, p.repo, p.tag)
}

// referrer is the manifest of an artifact about subject.
func referrer(ref registry.Referrer, layer, subject registry.Descriptor) ([]byte, error) {
	layer.Annotations = map[string]string{}
	if ref.Title != "" {
		layer.Annotations[ocispec.AnnotationTitle] = ref.Title
	}
	return json.Marshal(ocispec.Manifest{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageManifest, ArtifactType: ref.ArtifactType,
		Config: ocispec.DescriptorEmptyJSON, Layers: []ocispec.Descriptor{layer}, Subject: &subject, Annotations: ref.Annotations,
	})
}
