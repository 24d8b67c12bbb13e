package registrytest

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/packhouse/packhouse/registry"
)

// attached renders a manifest of the given artifactType that refers to subject.
func (f fixture) attached(subject registry.Digest, artifactType string) registry.Manifest {
	f.t.Helper()
	config := "config of " + artifactType
	f.blob(repo, config)
	return Image(func(m *ocispec.Manifest) {
		m.ArtifactType = artifactType
		m.Annotations = map[string]string{"org.example.type": artifactType}
		m.Subject = &ocispec.Descriptor{MediaType: ocispec.MediaTypeImageManifest, Digest: subject, Size: 1}
	}, []byte(config))
}

// shown is how a referrers list describes what attached rendered.
func shown(m registry.Manifest, artifactType string) registry.Descriptor {
	d := m.Descriptor
	d.ArtifactType, d.Annotations = artifactType, map[string]string{"org.example.type": artifactType}
	return d
}

func byDigest(list ...registry.Descriptor) []registry.Descriptor {
	slices.SortFunc(list, func(a, b registry.Descriptor) int { return strings.Compare(string(a.Digest), string(b.Digest)) })
	return list
}

func (f fixture) wantReferrers(subject registry.Digest, artifactType string, want ...registry.Descriptor) {
	f.t.Helper()
	got := collect(f.t, f.Referrers(f.t.Context(), repo, subject, artifactType, ""))
	if diff := cmp.Diff(append([]registry.Descriptor{}, byDigest(want...)...), got, cmpopts.EquateEmpty()); diff != "" {
		f.t.Errorf("referrers of %s, filter %q (-want +got):\n%s", subject, artifactType, diff)
	}
}

// wantComputed checks the index that is computed for subject's referrers tag.
func (f fixture) wantComputed(subject registry.Digest, want ...registry.Descriptor) {
	f.t.Helper()
	m, err := f.Tagged(f.t.Context(), repo, registry.ReferrersTag(subject))
	if err != nil {
		f.t.Fatalf("Tagged: %v", err)
	}
	var x ocispec.Index
	if err := json.Unmarshal(m.Raw, &x); err != nil {
		f.t.Fatal(err)
	}
	if m.MediaType != ocispec.MediaTypeImageIndex || x.MediaType != m.MediaType || x.SchemaVersion != 2 ||
		m.Digest != m.Digest.Algorithm().FromBytes(m.Raw) || m.Size != int64(len(m.Raw)) {
		f.t.Errorf("computed manifest %+v of %s is no OCI index", m.Descriptor, m.Raw)
	}
	if diff := cmp.Diff(byDigest(want...), byDigest(x.Manifests...), cmpopts.EquateEmpty()); diff != "" {
		f.t.Errorf("computed index of %s (-want +got):\n%s", subject, diff)
	}
}

func referrersTests() map[string]func(*testing.T, fixture) {
	return map[string]func(*testing.T, fixture){
		"none": func(t *testing.T, f fixture) {
			absent := digest.FromString("absent")
			f.wantReferrers(absent, "") // no repository either
			f.wantReferrers(f.image("a").Digest, "")
			f.wantReferrers(absent, "")
			f.wantNoTag(registry.ReferrersTag(absent), registry.ReferrersTag(digest.SHA512.FromString("absent")))
		},
		"listed, filtered, paged": func(t *testing.T, f fixture) {
			subject := f.image("a").Digest
			var want []registry.Descriptor
			for _, artifactType := range []string{"test/a", "test/b", "test/c"} {
				m := f.put(f.attached(subject, artifactType))
				want = append(want, shown(m, artifactType))
				f.wantReferrers(subject, artifactType, shown(m, artifactType))
			}
			f.put(f.attached(digest.FromString("another"), "test/a"))
			f.wantReferrers(subject, "", want...)
			f.wantReferrers(subject, "test/none")
			f.wantComputed(subject, want...)
			byDigest(want...)
			for i, d := range want {
				got := collect(t, f.Referrers(t.Context(), repo, subject, "", d.Digest))
				if diff := cmp.Diff(want[i+1:], got); diff != "" {
					t.Errorf("after element %d (-want +got):\n%s", i, diff)
				}
			}
		},
		"artifactType of an image is its config's": func(t *testing.T, f fixture) {
			subject := digest.FromString("subject")
			m := f.attached(subject, "")
			f.put(m)
			d := m.Descriptor
			d.ArtifactType, d.Annotations = ocispec.MediaTypeImageConfig, map[string]string{"org.example.type": ""}
			f.wantReferrers(subject, "", d)
			f.wantReferrers(subject, ocispec.MediaTypeImageConfig, d)
		},
		"index as referrer": func(_ *testing.T, f fixture) {
			subject := digest.FromString("subject")
			m := f.put(Index(func(x *ocispec.Index) {
				x.Subject = &ocispec.Descriptor{MediaType: ocispec.MediaTypeImageManifest, Digest: subject, Size: 1}
			}))
			f.wantReferrers(subject, "", m.Descriptor)
		},
		"subject later, and sha512": func(_ *testing.T, f fixture) {
			f.blob(repo, "c")
			subject := Image(nil, []byte("c"))
			subject.Digest = digest.SHA512.FromBytes(subject.Raw)
			m := f.put(f.attached(subject.Digest, "test/a"))
			for range 2 {
				f.wantReferrers(subject.Digest, "", shown(m, "test/a"))
				f.wantComputed(subject.Digest, shown(m, "test/a"))
				f.put(subject)
			}
		},
		"deletes": func(t *testing.T, f fixture) {
			subject := f.image("a").Digest
			a, b := f.put(f.attached(subject, "test/a")), f.put(f.attached(subject, "test/b"))
			for _, d := range []registry.Digest{a.Digest, subject} {
				if err := f.DeleteManifest(t.Context(), repo, d, registry.Condition{}); err != nil {
					t.Fatal(err)
				}
				f.wantReferrers(subject, "", shown(b, "test/b"))
			}
			f.wantComputed(subject, shown(b, "test/b"))
			if err := f.DeleteManifest(t.Context(), repo, b.Digest, registry.Condition{}); err != nil {
				t.Fatal(err)
			}
			f.wantReferrers(subject, "")
			f.wantNoTag(registry.ReferrersTag(subject))
		},
		"pushed referrers tag": func(t *testing.T, f fixture) {
			subject := f.image("a").Digest
			tag := registry.ReferrersTag(subject)
			known := f.put(f.attached(subject, "test/a"))
			// As a client without the referrers API would, with two entries more:
			// a manifest of another subject, and what is no manifest at all.
			pushed := f.put(Index(func(x *ocispec.Index) {
				x.Manifests = append(x.Manifests, ocispec.Descriptor{
					MediaType: ocispec.MediaTypeImageLayerGzip, Digest: digest.FromString("a layer"), Size: int64(len("a layer")),
				})
				f.blob(repo, "a layer")
			}, known, f.put(f.attached(digest.FromString("older"), "test/b"))), tag)
			f.wantTag(tag, pushed)
			listed := shown(f.attached(digest.FromString("older"), "test/b"), "test/b")
			f.wantReferrers(subject, "", shown(known, "test/a"), listed)
			f.wantReferrers(subject, "test/b", listed)
			later := f.put(f.attached(subject, "test/c"))
			f.wantTag(tag, pushed)
			f.wantReferrers(subject, "", shown(known, "test/a"), listed, shown(later, "test/c"))
			if err := f.DeleteTag(t.Context(), repo, tag, registry.Condition{}); err != nil {
				t.Fatal(err)
			}
			f.wantComputed(subject, shown(known, "test/a"), shown(later, "test/c"))
		},
		"computed tags are not listed, and not there to delete": func(t *testing.T, f fixture) {
			subject := digest.FromString("subject")
			f.put(f.attached(subject, "test/a"), "v1")
			if diff := cmp.Diff([]registry.Tag{"v1"}, collect(t, f.Tags(t.Context(), repo, ""))); diff != "" {
				t.Errorf("tags (-want +got):\n%s", diff)
			}
			f.wantCode(f.DeleteTag(t.Context(), repo, registry.ReferrersTag(subject), registry.Condition{}), registry.ManifestUnknown)
		},
	}
}
