package registrytest

import (
	"bytes"
	"context"
	"io"
	"slices"
	"strings"

	"github.com/opencontainers/go-digest"

	"github.com/packhouse/packhouse/registry"
)

func mismatch(want registry.Digest) error {
	return registry.E("registrytest.Memory", registry.DigestInvalid, nil, "content does not hash to %s", want)
}

// PutBlob implements [registry.Writer].
func (m *Memory) PutBlob(_ context.Context, r registry.Repo, body io.Reader, want registry.Digest) (registry.Descriptor, error) {
	content, err := io.ReadAll(body)
	if err != nil {
		return registry.Descriptor{}, err
	}
	if want == "" {
		want = digest.FromBytes(content)
	}
	if want.Algorithm().FromBytes(content) != want {
		return registry.Descriptor{}, mismatch(want)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.created(r).blobs[want] = content
	return described(want, content), nil
}

// Mount implements [registry.Writer].
func (m *Memory) Mount(_ context.Context, from, to registry.Repo, d registry.Digest) (registry.Descriptor, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for name, repo := range m.repos {
		if content, ok := repo.blobs[d]; ok && (from == "" || from == name) {
			m.created(to).blobs[d] = content
			return described(d, content), nil
		}
	}
	return registry.Descriptor{}, registry.E("registrytest.Memory.Mount", registry.BlobUnknown, nil, "blob %s cannot be mounted", d)
}

// PutManifest implements [registry.Writer].
func (m *Memory) PutManifest(_ context.Context, r registry.Repo, in registry.Manifest, o registry.PutOptions) (registry.PutResult, error) {
	const op = "registrytest.Memory.PutManifest"
	var none registry.PutResult
	if in.Digest == "" {
		in.Digest = digest.FromBytes(in.Raw)
	}
	if in.Digest.Algorithm().FromBytes(in.Raw) != in.Digest {
		return none, mismatch(in.Digest)
	}
	parsed, err := registry.ParseManifest(in.MediaType, in.Raw)
	if err != nil {
		return none, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	current := repository{}
	if repo, ok := m.repos[r]; ok {
		current = *repo
	}
	for _, t := range o.Tags {
		if err := o.If.Check(op, string(t), current.tags[t]); err != nil {
			return none, err
		}
	}
	if len(o.Tags) == 0 {
		if err := o.If.Check(op, in.Digest.String(), current.manifests[in.Digest].Digest); err != nil {
			return none, err
		}
	}
	if missing := current.missing(parsed); len(missing) > 0 && !m.Sparse {
		return none, registry.E(op, registry.ManifestBlobUnknown, nil,
			"manifest refers to what is not in repository %s: push %s first", r, strings.Join(missing, ", ")).WithDetail(missing)
	}
	stored := manifest{parsed: parsed, Manifest: registry.Manifest{Raw: bytes.Clone(in.Raw), Descriptor: registry.Descriptor{
		MediaType: parsed.MediaType, Digest: in.Digest, Size: int64(len(in.Raw)),
	}}}
	repo := m.created(r)
	repo.manifests[in.Digest] = stored
	for _, t := range o.Tags {
		repo.tags[t] = in.Digest
	}
	result := registry.PutResult{Descriptor: stored.Descriptor}
	if parsed.Subject != nil {
		result.Subject = parsed.Subject.Digest
	}
	return result, nil
}

// missing names what p needs and repo does not have.
func (repo *repository) missing(p registry.Parsed) []string {
	var missing []string
	for _, b := range p.Blobs {
		if _, ok := repo.blobs[b.Digest]; !ok {
			missing = append(missing, b.Digest.String())
		}
	}
	for _, c := range p.Children {
		if _, ok := repo.manifests[c.Digest]; !ok {
			missing = append(missing, c.Digest.String())
		}
	}
	slices.Sort(missing)
	return slices.Compact(missing)
}

// DeleteTag implements [registry.Deleter].
func (m *Memory) DeleteTag(_ context.Context, r registry.Repo, t registry.Tag, c registry.Condition) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	repo, err := m.existing(r)
	if err != nil {
		return err
	}
	if err := c.Check("registrytest.Memory.DeleteTag", string(t), repo.tags[t]); err != nil {
		return err
	}
	if _, ok := repo.tags[t]; !ok {
		return unknownManifest(r, string(t))
	}
	delete(repo.tags, t)
	return nil
}

// DeleteManifest implements [registry.Deleter].
func (m *Memory) DeleteManifest(_ context.Context, r registry.Repo, d registry.Digest, c registry.Condition) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	repo, err := m.existing(r)
	if err != nil {
		return err
	}
	if err := c.Check("registrytest.Memory.DeleteManifest", d.String(), repo.manifests[d].Digest); err != nil {
		return err
	}
	if _, ok := repo.manifests[d]; !ok {
		return unknownManifest(r, d.String())
	}
	if err := repo.unreferenced(d); err != nil {
		return err
	}
	delete(repo.manifests, d)
	for t, to := range repo.tags {
		if to == d {
			delete(repo.tags, t)
		}
	}
	return nil
}

// DeleteBlob implements [registry.Deleter].
func (m *Memory) DeleteBlob(_ context.Context, r registry.Repo, d registry.Digest) error {
	if _, err := m.blob(r, d); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	repo := m.repos[r]
	if err := repo.unreferenced(d); err != nil {
		return err
	}
	delete(repo.blobs, d)
	return nil
}

// unreferenced returns REFERENCED if a manifest of repo refers to d.
func (repo *repository) unreferenced(d registry.Digest) error {
	for by, m := range repo.manifests {
		for _, ref := range m.refers() {
			if ref.Digest == d {
				return registry.E("registrytest.Memory", registry.Referenced, nil,
					"%s is still needed by manifest %s: delete that first", d, by).WithDetail(map[string]any{"referrer": by})
			}
		}
	}
	return nil
}
