package registrytest

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"iter"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/packhouse/packhouse/registry"
)

// Memory is the model registry. The zero value is an empty one.
type Memory struct {
	registry.Unimplemented
	// Sparse accepts manifests whose blobs and children are not there. It
	// must not change once the registry is in use.
	Sparse bool

	mu      sync.Mutex
	repos   map[registry.Repo]*repository
	uploads map[string]*upload
	opened  int // uploads so far
}

var _ registry.Registry = (*Memory)(nil)

// repository exists from its first committed blob or manifest.
type repository struct {
	blobs     map[registry.Digest][]byte
	manifests map[registry.Digest]manifest
	tags      map[registry.Tag]registry.Digest
}

type manifest struct {
	registry.Manifest
	parsed registry.Parsed
}

func (m manifest) descriptor() registry.Descriptor {
	d := m.Descriptor
	d.ArtifactType, d.Annotations = m.parsed.ArtifactType, m.parsed.Annotations
	return d
}

// refers lists what must exist, or must stay if it exists.
func (m manifest) refers() []registry.Descriptor {
	return slices.Concat(m.parsed.Blobs, m.parsed.Foreign, m.parsed.Children)
}

// existing is called with mu held.
func (m *Memory) existing(r registry.Repo) (*repository, error) {
	if repo, ok := m.repos[r]; ok {
		return repo, nil
	}
	return nil, registry.E("registrytest.Memory", registry.NameUnknown, nil, "repository %s does not exist", r)
}

// created is called with mu held.
func (m *Memory) created(r registry.Repo) *repository {
	if repo, ok := m.repos[r]; ok {
		return repo
	}
	repo := &repository{
		blobs:     map[registry.Digest][]byte{},
		manifests: map[registry.Digest]manifest{},
		tags:      map[registry.Tag]registry.Digest{},
	}
	if m.repos == nil {
		m.repos = map[registry.Repo]*repository{}
	}
	m.repos[r] = repo
	return repo
}

func (m *Memory) blob(r registry.Repo, d registry.Digest) ([]byte, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	repo, err := m.existing(r)
	if err != nil {
		return nil, err
	}
	content, ok := repo.blobs[d]
	if !ok {
		return nil, registry.E("registrytest.Memory", registry.BlobUnknown, nil, "blob %s is not in repository %s", d, r)
	}
	return content, nil
}

func described(d registry.Digest, content []byte) registry.Descriptor {
	return registry.Descriptor{MediaType: "application/octet-stream", Digest: d, Size: int64(len(content))}
}

// StatBlob implements [registry.Reader].
func (m *Memory) StatBlob(_ context.Context, r registry.Repo, d registry.Digest) (registry.Descriptor, error) {
	content, err := m.blob(r, d)
	if err != nil {
		return registry.Descriptor{}, err
	}
	return described(d, content), nil
}

type blobReader struct{ *bytes.Reader }

func (blobReader) Close() error { return nil }

// Blob implements [registry.Reader].
func (m *Memory) Blob(_ context.Context, r registry.Repo, d registry.Digest, off, n int64) (io.ReadCloser, error) {
	content, err := m.blob(r, d)
	if err != nil {
		return nil, err
	}
	size := int64(len(content))
	if n < 0 {
		n = size - off
	}
	if off < 0 || off > size || n > size-off {
		return nil, registry.E("registrytest.Memory.Blob", registry.RangeInvalid, nil, "blob %s has %d bytes", d, size)
	}
	return blobReader{bytes.NewReader(content[off : off+n])}, nil
}

func unknownManifest(r registry.Repo, name string) error {
	return registry.E("registrytest.Memory", registry.ManifestUnknown, nil, "manifest %s is not in repository %s", name, r)
}

// Manifest implements [registry.Reader].
func (m *Memory) Manifest(_ context.Context, r registry.Repo, d registry.Digest) (registry.Manifest, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	repo, err := m.existing(r)
	if err != nil {
		return registry.Manifest{}, err
	}
	found, ok := repo.manifests[d]
	if !ok {
		return registry.Manifest{}, unknownManifest(r, d.String())
	}
	return found.Manifest, nil
}

// Tagged implements [registry.Reader].
func (m *Memory) Tagged(_ context.Context, r registry.Repo, t registry.Tag) (registry.Manifest, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	repo, err := m.existing(r)
	if err != nil {
		return registry.Manifest{}, err
	}
	if d, ok := repo.tags[t]; ok {
		return repo.manifests[d].Manifest, nil
	}
	algorithm, prefix, ok := registry.ReferrersSubject(t)
	if !ok {
		return registry.Manifest{}, unknownManifest(r, string(t))
	}
	list := repo.referrers(func(subject registry.Digest) bool {
		return subject.Algorithm() == algorithm && strings.HasPrefix(subject.Encoded(), prefix)
	})
	if len(list) == 0 {
		return registry.Manifest{}, unknownManifest(r, string(t))
	}
	raw, err := json.Marshal(ocispec.Index{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageIndex, Manifests: list,
	})
	if err != nil {
		return registry.Manifest{}, err
	}
	return registry.Manifest{Raw: raw, Descriptor: registry.Descriptor{
		MediaType: ocispec.MediaTypeImageIndex, Digest: digest.FromBytes(raw), Size: int64(len(raw)),
	}}, nil
}

// referrers describes, by digest, the manifests whose subject is wanted.
func (repo *repository) referrers(wanted func(registry.Digest) bool) []registry.Descriptor {
	var list []registry.Descriptor
	for _, d := range slices.Sorted(maps.Keys(repo.manifests)) {
		if m := repo.manifests[d]; m.parsed.Subject != nil && wanted(m.parsed.Subject.Digest) {
			list = append(list, m.descriptor())
		}
	}
	return list
}

// Repos implements [registry.Lister].
func (m *Memory) Repos(_ context.Context, after registry.Repo) iter.Seq2[registry.Repo, error] {
	m.mu.Lock()
	defer m.mu.Unlock()
	return sequence(slices.Sorted(maps.Keys(m.repos)), after)
}

// Tags implements [registry.Lister].
func (m *Memory) Tags(_ context.Context, r registry.Repo, after registry.Tag) iter.Seq2[registry.Tag, error] {
	m.mu.Lock()
	defer m.mu.Unlock()
	repo, err := m.existing(r)
	if err != nil {
		return func(yield func(registry.Tag, error) bool) { yield("", err) }
	}
	return sequence(slices.Sorted(maps.Keys(repo.tags)), after)
}

func sequence[T ~string](sorted []T, after T) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		for _, name := range sorted {
			if name > after && !yield(name, nil) {
				return
			}
		}
	}
}

// Referrers implements [registry.Lister]. A referrers tag that a client
// without the referrers API pushed counts too.
func (m *Memory) Referrers(_ context.Context, r registry.Repo, subject registry.Digest, artifactType string, after registry.Digest) iter.Seq2[registry.Descriptor, error] {
	m.mu.Lock()
	defer m.mu.Unlock()
	var list []registry.Descriptor
	if repo, ok := m.repos[r]; ok {
		list = repo.referrers(func(d registry.Digest) bool { return d == subject })
		pushed := repo.manifests[repo.tags[registry.ReferrersTag(subject)]]
		for _, child := range pushed.parsed.Children {
			if m, ok := repo.manifests[child.Digest]; ok {
				list = append(list, m.descriptor())
			}
		}
	}
	slices.SortFunc(list, func(a, b registry.Descriptor) int { return strings.Compare(string(a.Digest), string(b.Digest)) })
	list = slices.CompactFunc(list, func(a, b registry.Descriptor) bool { return a.Digest == b.Digest })
	return func(yield func(registry.Descriptor, error) bool) {
		for _, d := range list {
			if d.Digest > after && (artifactType == "" || d.ArtifactType == artifactType) && !yield(d, nil) {
				return
			}
		}
	}
}
