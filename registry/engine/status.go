package engine

import (
	"context"
	"encoding/json"
	"errors"
	"strconv"

	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/packhouse/packhouse/registry"
	"github.com/packhouse/packhouse/storage/meta"
)

// status reads what a status referrer says. ok is false for one that is not
// well-formed, which changes nothing.
func status(d registry.Descriptor) (state map[string]string, count int64, ok bool) {
	count, err := strconv.ParseInt(d.Annotations[registry.AnnotationStatusCount], 10, 64)
	const most = 1 << 40 // far from where counting on would overflow
	if err != nil || count < 1 || count > most || json.Unmarshal([]byte(d.Annotations[registry.AnnotationStatus]), &state) != nil {
		return nil, 0, false
	}
	return state, count, true
}

// adoptStatus applies the newest status referrer that was here before its
// subject became a release: copies push what refers to a manifest before its
// tag.
func (e *Engine) adoptStatus(ctx context.Context, tx *meta.Tx, r meta.Repository, row meta.Release, subject registry.Digest) (meta.Release, error) {
	list, err := tx.Referrers(ctx, r.Name, subject.String(), registry.TypeStatus, "", listPage)
	if err != nil {
		return row, err
	}
	for _, d := range list {
		if row, err = e.takeStatus(ctx, tx, r, row, d); err != nil {
			return row, err
		}
	}
	return row, nil
}

// takeStatus makes a status referrer's state the release's, if it is newer.
func (e *Engine) takeStatus(ctx context.Context, tx *meta.Tx, r meta.Repository, row meta.Release, d registry.Descriptor) (meta.Release, error) {
	state, count, ok := status(d)
	if !ok || count <= row.StatusCount {
		return row, nil
	}
	if err := tx.ClearState(ctx, r.ID, row.Tag); err != nil {
		return row, err
	}
	for key, value := range state { // in any order: the rows end the same
		if err := tx.SetState(ctx, r.ID, row.Tag, key, value); err != nil {
			return row, err
		}
	}
	row.StatusCount = count
	return row, tx.SetStatusCount(ctx, row.ID, count)
}

// putStatus is called when a status referrer was pushed: the state of the
// release that its subject is an edition of follows it.
func (e *Engine) putStatus(ctx context.Context, tx *meta.Tx, r meta.Repository, m meta.Manifest) error {
	row, err := tx.ReleaseOf(ctx, r.Name, m.Subject)
	if errors.Is(err, meta.ErrNotFound) || err == nil && !row.Withdrawn.IsZero() {
		return nil // the subject's tag may follow
	}
	if err != nil {
		return err
	}
	if err := e.can(ctx, registry.Withdraw, r.Name); err != nil {
		return err
	}
	before := row.StatusCount
	if row, err = e.takeStatus(ctx, tx, r, row, m.Descriptor); err != nil || row.StatusCount == before {
		return err
	}
	latest, err := tx.ManifestByID(ctx, row.Manifest)
	if err != nil {
		return err
	}
	if latest.Digest == m.Subject {
		err = e.closeStatus(ctx, tx, r, m.Subject, m.Digest) // this one is the mirror
	} else {
		err = e.mirrorStatus(ctx, tx, r, row, latest.Descriptor)
	}
	if err != nil {
		return err
	}
	if err := tx.Touch(ctx, r); err != nil {
		return err
	}
	return e.rerender(ctx, tx, r, row)
}

// closeStatus removes the status referrers of subject but one.
func (e *Engine) closeStatus(ctx context.Context, tx *meta.Tx, r meta.Repository, subject, but registry.Digest) error {
	old, err := tx.Referrers(ctx, r.Name, subject.String(), registry.TypeStatus, "", listPage)
	if err != nil {
		return err
	}
	for _, o := range old {
		if o.Digest != but {
			if err := tx.CloseMembership(ctx, r, o.Digest); err != nil {
				return err
			}
		}
	}
	return nil
}

// mirrorStatus replaces the one live status referrer of a release's latest
// edition, so that its state travels with copies.
func (e *Engine) mirrorStatus(ctx context.Context, tx *meta.Tx, r meta.Repository, row meta.Release, subject registry.Descriptor) error {
	state, err := tx.State(ctx, r.ID, row.Tag)
	if err != nil || len(state) == 0 && row.StatusCount == 0 {
		return err
	}
	text, err := json.Marshal(state)
	if err != nil {
		return err
	}
	raw, err := json.Marshal(ocispec.Manifest{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageManifest, ArtifactType: registry.TypeStatus,
		Config: ocispec.DescriptorEmptyJSON, Layers: []ocispec.Descriptor{ocispec.DescriptorEmptyJSON},
		Subject: &ocispec.Descriptor{MediaType: subject.MediaType, Digest: subject.Digest, Size: subject.Size},
		Annotations: map[string]string{
			registry.AnnotationStatus: string(text), registry.AnnotationStatusCount: strconv.FormatInt(row.StatusCount, 10),
		},
	})
	if err != nil {
		return err
	}
	if err := e.closeStatus(ctx, tx, r, subject.Digest, digestOf(raw)); err != nil {
		return err
	}
	if err := placeEmpty(ctx, tx, r); err != nil {
		return err
	}
	_, err = e.addManifest(ctx, tx, r, raw)
	return err
}

// addManifest stores a manifest of our own making, whose content is here.
func (e *Engine) addManifest(ctx context.Context, tx *meta.Tx, r meta.Repository, raw []byte) (int64, error) {
	p, err := registry.ParseManifest(ocispec.MediaTypeImageManifest, raw)
	if err != nil {
		return 0, err
	}
	add := meta.NewManifest{Manifest: stored(p, raw, digestOf(raw))}
	if err := e.references(ctx, tx, r, p, &add); err != nil {
		return 0, err
	}
	return tx.AddManifest(ctx, r, add)
}

// stored is the row of a parsed manifest.
func stored(p registry.Parsed, raw []byte, d registry.Digest) meta.Manifest {
	m := meta.Manifest{Manifest: registry.Manifest{Raw: raw, Descriptor: registry.Descriptor{
		MediaType: p.MediaType, ArtifactType: p.ArtifactType, Annotations: p.Annotations, Digest: d, Size: int64(len(raw)),
	}}}
	if p.Subject != nil {
		m.Subject = p.Subject.Digest
	}
	return m
}
