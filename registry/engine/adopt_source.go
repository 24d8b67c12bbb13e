package engine

import (
	"context"
	"errors"
	"fmt"

	"github.com/packhouse/packhouse/registry"
	"github.com/packhouse/packhouse/storage/meta"
)

// source is one repository of the old registry while it is read.
type source struct {
	path      string // as found
	name      registry.Repo
	refusal   string                   // why it is not adopted
	links     map[registry.Digest]bool // the blobs it shows
	manifests []registry.Digest
	fates     map[registry.Digest]fate
	tags      []registry.Tag
	skipped   bool // one of its manifests was
}

// fate is what became of a manifest.
type fate int

const (
	unread fate = iota
	refused
	shown // taken now, or here before
)

// refusal is why one thing is not adopted; the adoption goes on.
type refusal string

func (r refusal) Error() string { return string(r) }

func refuse(format string, a ...any) error { return refusal(fmt.Sprintf(format, a...)) }

// begin makes the repository at path the source.
func (a *adoption) begin(ctx context.Context, path string) error {
	s := &source{path: path, links: map[registry.Digest]bool{}, fates: map[registry.Digest]fate{}}
	a.source = s
	var err error
	if s.name, err = registry.ParseRepo(path); err != nil {
		s.refusal = registry.Public(err).Message
		return nil
	}
	if !a.trash[s.name] {
		return nil
	}
	switch _, err := a.meta.Repository(ctx, s.name); {
	case errors.Is(err, meta.ErrNotFound):
		s.refusal = "it was deleted here: restore it and adopt again, or purge it"
	case err != nil:
		return err
	}
	return nil
}

// note remembers a file of the source until [adoption.finish].
func (a *adoption) note(f oldFile) {
	s := a.source
	if f.kind == oldTag {
		t, err := registry.ParseTag(f.name)
		switch {
		case s.refusal != "":
		case err != nil:
			a.skip(Skip{Repository: f.repository, Reason: registry.Public(err).Message})
		default:
			s.tags = append(s.tags, t)
			return
		}
		a.step()
		return
	}
	d, err := registry.ParseDigest(f.name)
	if err != nil && s.refusal == "" {
		a.skip(Skip{Repository: f.repository, Reason: registry.Public(err).Message})
	}
	switch {
	case f.kind == oldLayer && err == nil:
		s.links[d] = true
	case f.kind == oldManifest && (err != nil || s.refusal != ""):
		a.step()
	case f.kind == oldManifest:
		s.manifests = append(s.manifests, d)
		s.fates[d] = unread
	}
}

// finish takes the source's manifests and tags.
func (a *adoption) finish(ctx context.Context) error {
	s := a.source
	if s == nil {
		return nil
	}
	for _, d := range s.manifests {
		if err := a.manifest(ctx, d, 0); err != nil {
			return err
		}
	}
	for _, t := range s.tags {
		if err := a.tag(ctx, t); err != nil {
			return err
		}
	}
	if s.skipped || s.refusal != "" {
		for d := range s.links {
			a.kept[d] = true
		}
	}
	return nil
}

// manifest takes manifest d of the source after those it lists.
func (a *adoption) manifest(ctx context.Context, d registry.Digest, depth int) error {
	s := a.source
	if s.fates[d] != unread {
		return nil
	}
	defer a.step()
	s.fates[d] = refused
	now, ever, err := a.meta.ManifestKnown(ctx, s.name, d)
	switch {
	case err != nil:
		return err
	case now:
		s.fates[d] = shown
	}
	if ever {
		a.report.Known++
		return nil // what was deleted here stays deleted
	}
	t, err := a.readManifest(ctx, d)
	if err == nil {
		err = a.children(ctx, t.parsed, depth)
	}
	if err == nil {
		t.blobs, err = a.blobsOf(ctx, t.parsed)
	}
	if r, ok := errors.AsType[refusal](err); ok {
		s.skipped = true
		a.skip(Skip{Repository: s.path, Digest: d, Reason: string(r)})
		return nil
	}
	if err != nil {
		return err
	}
	s.fates[d] = shown
	return a.take(ctx, t)
}

// children takes the manifests that an index lists.
func (a *adoption) children(ctx context.Context, p registry.Parsed, depth int) error {
	s := a.source
	if len(p.Children) > 0 && depth >= maxDepth {
		return refuse("indexes nest deeper than %d levels", maxDepth)
	}
	for _, c := range p.Children {
		if f, here := s.fates[c.Digest]; here && f == unread {
			if err := a.manifest(ctx, c.Digest, depth+1); err != nil {
				return err
			}
		}
		if s.fates[c.Digest] == shown || a.cfg.Sparse {
			continue
		}
		switch now, _, err := a.meta.ManifestKnown(ctx, s.name, c.Digest); {
		case err != nil:
			return err
		case !now:
			return refuse("it lists manifest %s, which the repository does not have: push that one, or allow it with manifests.sparse, and adopt again", c.Digest)
		}
	}
	return nil
}

// blobsOf finds the blobs that a manifest refers to.
func (a *adoption) blobsOf(ctx context.Context, p registry.Parsed) ([]*located, error) {
	var list []*located
	for _, d := range p.Blobs {
		l, err := a.locate(ctx, d.Digest, d.Size)
		switch {
		case err != nil:
			return nil, err
		case l != nil:
			list = append(list, l)
		case !a.cfg.Sparse:
			return nil, refuse("it refers to blob %s, which the repository does not have: push the image again", d.Digest)
		}
	}
	for _, d := range p.Foreign {
		l, err := a.locate(ctx, d.Digest, d.Size)
		switch _, damaged := errors.AsType[refusal](err); {
		case damaged: // clients fetch it elsewhere
		case err != nil:
			return nil, err
		case l != nil:
			list = append(list, l)
		}
	}
	return list, nil
}
