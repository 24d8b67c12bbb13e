package feed_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/packhouse/packhouse/registry"
)

// pushManifest pushes a manifest whose blobs are there.
func (p place) pushManifest(repo registry.Repo, m ocispec.Manifest, tags ...registry.Tag) error {
	p.t.Helper()
	m.Versioned, m.MediaType, m.Config = specs.Versioned{SchemaVersion: 2}, ocispec.MediaTypeImageManifest, ocispec.DescriptorEmptyJSON
	raw, err := json.Marshal(m)
	if err != nil {
		p.t.Fatal(err)
	}
	_, err = p.PutManifest(p.t.Context(), repo, registry.Manifest{Raw: raw}, registry.PutOptions{Tags: tags})
	return err
}

// TestReferrersTakeNoNames: what is about a package cannot get a version's tag,
// a label, or the tag of what was withdrawn.
func TestReferrersTakeNoNames(t *testing.T) {
	t.Parallel()
	p := open(t)
	p.want(http.StatusCreated, "PUT", "/acme/toy/bear/1.0/a.txt?label=stable", "bear 1.0")
	subject, err := p.Tagged(t.Context(), "acme/toy/bear", "1.0")
	if err != nil {
		t.Fatal(err)
	}
	about := ocispec.Manifest{
		ArtifactType: "application/vnd.acme.sig", Layers: []ocispec.Descriptor{ocispec.DescriptorEmptyJSON},
		Subject: &ocispec.Descriptor{MediaType: subject.MediaType, Digest: subject.Digest, Size: subject.Size},
	}
	for _, tag := range []registry.Tag{"1.0", "stable", "2.0"} {
		wantCode(t, p.pushManifest("acme/toy/bear", about, tag), registry.ManifestInvalid)
	}
	if err := p.pushManifest("acme/toy/bear", about); err != nil {
		t.Error(err)
	}
	if m, err := p.Tagged(t.Context(), "acme/toy/bear", "1.0"); err != nil || m.Digest != subject.Digest {
		t.Errorf("version moved to %s, %v", m.Digest, err)
	}
}

// TestSupersetsKeepWhatIsThere: names do not vanish, sizes are true, and files
// are in the repository itself.
func TestSupersetsKeepWhatIsThere(t *testing.T) {
	t.Parallel()
	p := open(t)
	p.want(http.StatusCreated, "PUT", "/acme/toy/bear/1.0/a.txt", "bear 1.0")
	p.want(http.StatusCreated, "PUT", "/acme/toy/wolf/1.0/w.txt", "wolf 1.0")
	layer := func(content, title string) ocispec.Descriptor {
		d := ocispec.Descriptor{MediaType: "text/plain", Digest: digest.FromString(content), Size: int64(len(content))}
		if title != "" {
			d.Annotations = map[string]string{ocispec.AnnotationTitle: title}
		}
		return d
	}
	p.blob("acme/toy/bear", "bear 1.0\nb")
	push := func(layers ...ocispec.Descriptor) error {
		return p.pushManifest("acme/toy/bear", ocispec.Manifest{ArtifactType: toyType, Layers: layers}, "1.0")
	}
	wantCode(t, push(layer("bear 1.0", ""), layer("bear 1.0\nb", "b.txt")), registry.VersionExists)
	short := layer("bear 1.0", "a.txt")
	short.Size = 3
	wantCode(t, push(short, layer("bear 1.0\nb", "b.txt")), registry.ManifestInvalid)
	wantCode(t, push(layer("bear 1.0", "a.txt"), layer("wolf 1.0", "w.txt")), registry.ManifestBlobUnknown)
	elsewhere := layer("wolf 1.0", "w.txt")
	elsewhere.URLs = []string{"https://elsewhere.example/w.txt"}
	wantCode(t, push(layer("bear 1.0", "a.txt"), elsewhere), registry.ManifestInvalid)
	if err := push(layer("bear 1.0", "a.txt"), layer("bear 1.0\nb", "b.txt")); err != nil {
		t.Error(err)
	}
	p.want(http.StatusOK, "GET", "/acme/toy/bear/1.0/a.txt", "")
}

// TestWithdrawnStaysWithdrawn: no restored label, and no delete of what is not
// there, brings anything into being.
func TestWithdrawnStaysWithdrawn(t *testing.T) {
	t.Parallel()
	p := open(t)
	p.want(http.StatusCreated, "PUT", "/acme/toy/bear/1.0/a.txt?label=stable", "bear 1.0")
	p.want(http.StatusCreated, "PUT", "/acme/toy/bear/2.0/a.txt?label=stable", "bear 2.0")
	p.want(http.StatusOK, "DELETE", "/acme/toy/bear/1.0", "")
	if _, err := p.RestoreTag(t.Context(), "acme/toy/bear", "stable", ""); err == nil {
		t.Errorf("a label was restored to a withdrawn version")
	}
	p.want(http.StatusNotFound, "DELETE", "/acme/toy/nosuch/1.0", "")
	for r, err := range p.Repos(t.Context(), "") {
		if err != nil || strings.Contains(string(r), "nosuch") {
			t.Errorf("repository %s, %v", r, err)
		}
	}
}

// TestSignatureMayComeFirst: a signature that was copied before its package
// does not stand in the package's way.
func TestSignatureMayComeFirst(t *testing.T) {
	t.Parallel()
	p := open(t)
	p.blob("acme/toy/bear", "{}")
	sig := ocispec.Manifest{ArtifactType: "application/vnd.acme.sig", Layers: []ocispec.Descriptor{ocispec.DescriptorEmptyJSON}}
	if err := p.pushManifest("acme/toy/bear", sig, registry.ReferrersTag(digest.FromString("x"))+".sig"); err != nil {
		t.Fatal(err)
	}
	p.want(http.StatusCreated, "PUT", "/acme/toy/bear/1.0/a.txt", "bear 1.0")
}

// TestClientLeavesAfterCommit: a committed release keeps its files whatever
// happens to the request that made it. It fails if an error after the commit
// makes the handler discard what it staged.
func TestClientLeavesAfterCommit(t *testing.T) {
	t.Parallel()
	p := open(t)
	large := strings.Repeat("x", 64<<10)
	for i := range 30 {
		feed := registry.Feed{Namespace: fmt.Sprintf("ns%d", i), Format: "toy"}
		ctx, leave := context.WithCancel(t.Context())
		st, err := p.Stage(ctx, feed, strings.NewReader("bear 1.0\n"+large))
		if err != nil {
			t.Fatal(err)
		}
		go leave()
		_, _ = p.Publish(ctx, feed, registry.Draft{Files: []registry.DraftFile{{Name: "a.txt", MediaType: "text/plain", Content: st}}})
		st.Discard()
		path := "/" + feed.Name() + "/bear/1.0/a.txt"
		if res := p.do("GET", path, ""); res.StatusCode != http.StatusNotFound {
			p.want(http.StatusOK, "GET", path, "")
		}
	}
}

// TestFirstPublishersMeet: those whose publishes make a feed together all win.
func TestFirstPublishersMeet(t *testing.T) {
	t.Parallel()
	p := open(t)
	var wait sync.WaitGroup
	for i := range 32 {
		wait.Go(func() {
			p.want(http.StatusCreated, "PUT", fmt.Sprintf("/acme/toy/bear%d/1.0/a.txt", i), fmt.Sprintf("bear%d 1.0", i))
		})
	}
	wait.Wait()
}
