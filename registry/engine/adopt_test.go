package engine

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/packhouse/packhouse/registry"
	"github.com/packhouse/packhouse/registry/registrytest"
)

// oldTree writes what a distribution registry leaves in its directory.
type oldTree struct {
	t   *testing.T
	dir string
}

func (o oldTree) write(key string, content []byte) {
	o.t.Helper()
	file := filepath.Join(o.dir, key)
	err := os.MkdirAll(filepath.Dir(file), 0o750)
	if err == nil {
		err = os.WriteFile(file, content, 0o600)
	}
	if err != nil {
		o.t.Fatal(err)
	}
}

func (o oldTree) remove(key string) {
	o.t.Helper()
	if err := os.Remove(filepath.Join(o.dir, key)); err != nil {
		o.t.Fatal(err)
	}
}

func (o oldTree) link(kind oldKind, r registry.Repo, d registry.Digest) {
	o.write(oldLinkKey(kind, r, d), []byte(d))
}

func (o oldTree) blob(r registry.Repo, content string) registry.Digest {
	d := digest.FromString(content)
	o.write(oldBlobKey(d), []byte(content))
	o.link(oldLayer, r, d)
	return d
}

func (o oldTree) manifest(r registry.Repo, m registry.Manifest, tags ...string) registry.Manifest {
	o.write(oldBlobKey(m.Digest), m.Raw)
	o.link(oldManifest, r, m.Digest)
	for _, t := range tags {
		o.tag(r, t, m.Digest)
	}
	return m
}

func (o oldTree) tag(r registry.Repo, t string, d registry.Digest) {
	dir := oldRepositories + "/" + string(r) + "/_manifests/tags/" + t
	o.write(dir+"/current/link", []byte(d))
	o.write(dir+"/index/sha256/"+d.Encoded()+"/link", []byte(d))
}

func (o oldTree) image(r registry.Repo, seed string, tags ...string) registry.Manifest {
	config, layer := "config "+seed, "layer "+seed
	o.blob(r, config)
	o.blob(r, layer)
	return o.manifest(r, registrytest.Image(nil, []byte(config), []byte(layer)), tags...)
}

func adopt(t *testing.T, e *Engine, o AdoptOptions) AdoptReport {
	t.Helper()
	r, err := e.Adopt(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// everything is what readers see: each repository's tags, and its manifests
// with all they refer to, read whole.
func everything(t *testing.T, e *Engine) map[string]string {
	t.Helper()
	seen := map[string]string{}
	for r, err := range e.Repos(t.Context(), "") {
		if err != nil {
			t.Fatal(err)
		}
		seen[string(r)] = "repository"
		for tag, err := range e.Tags(t.Context(), r, "") {
			if err != nil {
				t.Fatal(err)
			}
			m, err := e.Tagged(t.Context(), r, tag)
			if err != nil {
				t.Fatal(err)
			}
			seen[string(r)+":"+string(tag)] = m.Digest.String()
			readWhole(t, e, r, m.Digest, seen)
		}
	}
	return seen
}

func readWhole(t *testing.T, e *Engine, r registry.Repo, d registry.Digest, seen map[string]string) {
	t.Helper()
	m, err := e.Manifest(t.Context(), r, d)
	if err != nil {
		t.Fatal(err)
	}
	seen[string(r)+"@"+d.String()] = m.MediaType + " " + string(m.Raw)
	p, err := registry.ParseManifest(m.MediaType, m.Raw)
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range p.Blobs {
		seen[string(r)+"@"+b.Digest.String()] = readBlob(t, e, r, b.Digest)
	}
	for _, c := range p.Children {
		readWhole(t, e, r, c.Digest, seen)
	}
}

func readBlob(t *testing.T, e *Engine, r registry.Repo, d registry.Digest) string {
	t.Helper()
	body, err := e.Blob(t.Context(), r, d, 0, -1)
	if err != nil {
		t.Fatalf("%s@%s: %v", r, d, err)
	}
	content, err := io.ReadAll(body)
	if err = errors.Join(err, body.Close()); err != nil || d.Algorithm().FromBytes(content) != d {
		t.Fatalf("%s@%s: %q, %v", r, d, content, err)
	}
	return string(content)
}

// healthy builds a tree that is adopted whole, and returns some of it.
func healthy(t *testing.T) (o oldTree, index, referrer registry.Manifest) {
	t.Helper()
	o = oldTree{t, t.TempDir()}
	o.image("alpine", "one segment", "3", "latest")
	o.image("acme/app", "shared", "1.0")
	moved := o.image("acme/app", "newer", "1.1", "stable")
	o.write(oldRepositories+"/acme/app/_manifests/tags/stable/index/sha256/"+digest.FromString("older").Encoded()+"/link", []byte(digest.FromString("older")))
	o.image("acme/app/nested", "shared", "1.0")
	o.image("acme/app/nested/deep-er/still", "deep", "v1")
	o.image("acme/untagged", "untagged")
	o.image("acme/tags/x/index", "index", "index")
	child, other := o.image("multi/arch", "amd64"), o.image("multi/arch", "arm64")
	inner := o.manifest("multi/arch", registrytest.Index(nil, child, other))
	index = o.manifest("multi/arch", registrytest.Index(nil, inner, child), "all")
	subject := moved.Descriptor
	referrer = o.manifest("acme/app", registrytest.Image(func(m *ocispec.Manifest) {
		m.Subject, m.ArtifactType, m.MediaType = &subject, "application/vnd.example.sbom", ocispec.MediaTypeImageManifest
	}, []byte("config newer")))
	docker := registrytest.Image(func(m *ocispec.Manifest) { m.MediaType = registry.MediaTypeDockerManifest }, []byte("config docker"), []byte("layer docker"))
	o.blob("acme/docker", "config docker")
	o.blob("acme/docker", "layer docker")
	o.manifest("acme/docker", docker, "schema2")

	// Pushed by sha512: blobs has it under sha256, and both are linked.
	config := o.blob("acme/sha512", "config sha512")
	alias := digest.SHA512.FromString("config sha512")
	o.write(oldLinkKey(oldLayer, "acme/sha512", alias), []byte(config))
	o.manifest("acme/sha512", registrytest.Image(func(m *ocispec.Manifest) { m.Config.Digest = alias }, []byte("config sha512")), "v1")

	o.blob("acme/app", "left over")
	o.write(oldRepositories+"/acme/app/_uploads/123/data", []byte("unfinished"))
	o.write(oldRepositories+"/acme/app/_uploads/123/startedat", []byte("2024-01-01T00:00:00Z"))
	o.write(oldRepositories+"/acme/app/_uploads/124/startedat", []byte("2024-01-01T00:00:00Z"))
	o.write(oldRepositories+"/acme/a stray+file~", []byte("?"))
	o.write(oldRepositories+"/README", []byte("?"))
	return o, index, referrer
}

func TestAdopt(t *testing.T) {
	t.Parallel()
	o, index, referrer := healthy(t)
	e := openAt(t, o.dir)

	dry := adopt(t, e, AdoptOptions{DryRun: true})
	if got := everything(t, e); len(got) != 0 {
		t.Errorf("a dry run took %v", got)
	}
	var last, total int64
	got := adopt(t, e, AdoptOptions{Progress: func(done, all int64) { last, total = done, all }})
	want := AdoptReport{
		Repositories: 9, Manifests: 14, Tags: 11, Blobs: 21, Copied: 1, Bytes: got.Bytes,
		Uploads: 2, UploadBytes: int64(len("unfinished") + 2*len("2024-01-01T00:00:00Z")),
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("adopted (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(got, dry); diff != "" {
		t.Errorf("the dry run said (-did +said):\n%s", diff)
	}
	if last != total || total == 0 {
		t.Errorf("progress ended at %d of %d", last, total)
	}

	before := everything(t, e)
	for _, name := range []string{
		"alpine:latest", "acme/app:1.0", "acme/app:stable", "acme/app/nested/deep-er/still:v1", "acme/tags/x/index:index", "multi/arch:all", "acme/docker:schema2", "acme/sha512:v1",
	} {
		if before[name] == "" {
			t.Errorf("%s is not there: %v", name, before)
		}
	}
	if before["multi/arch:all"] != index.Digest.String() {
		t.Errorf("multi/arch:all is %s", before["multi/arch:all"])
	}
	var referrers []registry.Digest
	for d, err := range e.Referrers(t.Context(), "acme/app", registry.Digest(before["acme/app:stable"]), "", "") {
		if err != nil {
			t.Fatal(err)
		}
		referrers = append(referrers, d.Digest)
	}
	if !slices.Equal(referrers, []registry.Digest{referrer.Digest}) {
		t.Errorf("referrers %v, want %s", referrers, referrer.Digest)
	}
	if r := fsck(t, e, false); r.Found != 0 || r.Orphans != 0 || r.Blobs != 21 {
		t.Errorf("fsck: %+v", r)
	}

	again := adopt(t, e, AdoptOptions{Verify: true})
	want = AdoptReport{Repositories: 9, Known: 25, Uploads: want.Uploads, UploadBytes: want.UploadBytes}
	if diff := cmp.Diff(want, again); diff != "" {
		t.Errorf("the second run (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(before, everything(t, e)); diff != "" {
		t.Errorf("the second run changed:\n%s", diff)
	}
}

func TestAdoptSkipsWithAReason(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		harm   func(o oldTree)
		verify bool
		want   []string // repository:tag, a space and a part of the reason
	}{
		{"illegal repository name", func(o oldTree) { o.image("Acme/Upper", "upper", "v1") }, false, []string{"Acme/Upper: lower-case"}},
		{"illegal tag", func(o oldTree) { o.tag("good/app", ".hidden", digest.FromString("x")) }, false, []string{"good/app: is not a tag"}},
		{"other digest algorithm", func(o oldTree) {
			o.write(oldRepositories+"/good/app/_layers/sha384/"+strings.Repeat("a", 96)+"/link", nil)
		}, false, []string{"good/app: is not supported"}},
		{"schema 1", func(o oldTree) {
			raw := []byte(`{"schemaVersion":1,"name":"good/app","fsLayers":[{"blobSum":"` + digest.FromString("layer good") + `"}]}`)
			o.manifest("good/app", registry.Manifest{Raw: raw, Descriptor: registry.Descriptor{Digest: digest.FromBytes(raw)}}, "old")
		}, false, []string{"good/app: is not accepted", "good/app:old was not adopted"}},
		{"too large", func(o oldTree) {
			o.manifest("good/app", registry.Manifest{Raw: make([]byte, 5<<20), Descriptor: registry.Descriptor{Digest: digest.FromBytes(make([]byte, 5<<20))}})
		}, false, []string{"good/app: at most"}},
		{"manifest damaged", func(o oldTree) {
			m := o.image("good/app", "damaged", "damaged")
			o.write(oldBlobKey(m.Digest), append(m.Raw, ' '))
		}, false, []string{"good/app: damaged", "good/app:damaged was not adopted"}},
		{"manifest gone", func(o oldTree) {
			m := o.image("good/app", "gone", "gone")
			o.remove(oldBlobKey(m.Digest))
		}, false, []string{"good/app: not in the old registry's store", "good/app:gone was not adopted"}},
		{"blob gone", func(o oldTree) {
			o.image("good/app", "gone", "gone")
			o.remove(oldBlobKey(digest.FromString("layer gone")))
		}, false, []string{"good/app: does not have", "good/app:gone was not adopted"}},
		{"blob of another repository", func(o oldTree) {
			o.blob("other/app", "config secret")
			o.blob("other/app", "layer secret")
			o.manifest("good/app", registrytest.Image(nil, []byte("config secret"), []byte("layer secret")))
		}, false, []string{"good/app: does not have"}},
		{"blob truncated", func(o oldTree) {
			o.image("good/app", "short", "short")
			o.write(oldBlobKey(digest.FromString("layer short")), []byte("layer sho"))
		}, false, []string{"good/app: damaged: 9 bytes", "good/app:short was not adopted"}},
		{"leftover blob empty", func(o oldTree) {
			o.blob("good/app", "leftover")
			o.write(oldBlobKey(digest.FromString("leftover")), nil)
		}, false, []string{"good/app: damaged: 0 bytes"}},
		{"leftover blob gone", func(o oldTree) {
			o.blob("good/app", "leftover")
			o.remove(oldBlobKey(digest.FromString("leftover")))
		}, false, []string{"good/app: no manifest here needs it"}},
		{"size in manifest wrong", func(o oldTree) {
			o.blob("good/app", "config size")
			o.manifest("good/app", registrytest.Image(func(m *ocispec.Manifest) { m.Config.Size++ }, []byte("config size")))
		}, false, []string{"good/app: has 12 bytes, which has 11"}},
		{"bit flipped, not verified", func(o oldTree) {
			o.image("good/app", "flip", "flip")
			o.write(oldBlobKey(digest.FromString("layer flip")), []byte("layer flop"))
		}, false, nil},
		{"bit flipped, verified", func(o oldTree) {
			o.image("good/app", "flip", "flip")
			o.write(oldBlobKey(digest.FromString("layer flip")), []byte("layer flop"))
		}, true, []string{"good/app: damaged: 10 bytes", "good/app:flip was not adopted"}},
		{"sparse index", func(o oldTree) {
			here := o.image("good/app", "here")
			o.manifest("good/app", registrytest.Index(nil, here, registrytest.Image(nil, []byte("elsewhere"))), "sparse")
		}, false, []string{"good/app: manifests.sparse", "good/app:sparse was not adopted"}},
		{"broken tag link", func(o oldTree) {
			o.write(oldRepositories+"/good/app/_manifests/tags/broken/current/link", nil)
		}, false, []string{"good/app:broken names no digest"}},
		{"tag of a deleted manifest", func(o oldTree) {
			o.tag("good/app", "dangling", digest.FromString("deleted"))
		}, false, []string{"good/app:dangling was not adopted"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			o := oldTree{t, t.TempDir()}
			good := o.image("good/app", "good", "1.0")
			tt.harm(o)
			e := openAt(t, o.dir)
			dry := adopt(t, e, AdoptOptions{Verify: tt.verify, DryRun: true})
			r := adopt(t, e, AdoptOptions{Verify: tt.verify})
			if diff := cmp.Diff(r, dry); diff != "" {
				t.Errorf("the dry run said (-did +said):\n%s", diff)
			}
			if int(r.Skipped) != len(tt.want) {
				t.Errorf("skipped %+v, want %q", r.Skips, tt.want)
			}
			for i, s := range r.Skips[:min(len(r.Skips), len(tt.want))] {
				where, why, _ := strings.Cut(tt.want[i], " ")
				if s.Repository+":"+string(s.Tag) != where || !strings.Contains(s.Reason, why) {
					t.Errorf("got %+v, want %q", s, tt.want[i])
				}
			}
			readWhole(t, e, "good/app", good.Digest, map[string]string{})
		})
	}
}

// interrupted cancels an adoption at its n-th step; it tells whether it did.
func interrupted(t *testing.T, e *Engine, n int64) bool {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	_, err := e.Adopt(ctx, AdoptOptions{batch: 3, Progress: func(done, _ int64) {
		if done == n {
			cancel()
		}
	}})
	if err != nil && !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	return err != nil
}

// A collection between an adoption that was killed and the next one must not
// delete what the next one needs: the test fails when blobs are taken before
// the manifests that refer to them.
func TestAdoptGoesOnAfterAnyInterruption(t *testing.T) {
	t.Parallel()
	o, _, _ := healthy(t)
	whole := openAt(t, o.dir)
	adopt(t, whole, AdoptOptions{})
	want := everything(t, whole)

	for n := int64(1); ; n += 9 {
		o, _, _ := healthy(t)
		c := &clock{}
		e, stop := start(t, o.dir, c.Now)
		if !interrupted(t, e, n) {
			break
		}
		for name, is := range everything(t, e) {
			if want[name] != is {
				t.Errorf("after %d steps %s is %s", n, name, is)
			}
		}
		c.advance(2 * time.Hour) // leases end
		collect(t, e)
		adopt(t, e, AdoptOptions{})
		if diff := cmp.Diff(want, everything(t, e)); diff != "" {
			t.Errorf("interrupted after %d steps (-want +got):\n%s", n, diff)
		}
		stop()
	}
}

func TestAdoptLeavesAloneWhatChangedHere(t *testing.T) {
	t.Parallel()
	o := oldTree{t, t.TempDir()}
	old := o.image(repo, "old", "moved", "deleted", "kept")
	gone := o.image(repo, "gone", "gone")
	o.image("acme/trash", "trash", "1.0")
	o.image("acme/purged", "purged", "1.0")
	e := openAt(t, o.dir)
	pushed := pushImage(t, e, "pushed", "moved", "own")
	adopt(t, e, AdoptOptions{})
	tagged := func(tag registry.Tag, want registry.Digest) {
		t.Helper()
		m, err := e.Tagged(t.Context(), repo, tag)
		if want == "" {
			wantCode(t, err, registry.ManifestUnknown)
		} else if m.Digest != want {
			t.Errorf("%s is %s, %v, want %s", tag, m.Digest, err, want)
		}
	}
	tagged("moved", pushed.Digest)
	tagged("own", pushed.Digest)
	tagged("kept", old.Digest)

	for _, err := range []error{
		e.DeleteTag(t.Context(), repo, "deleted", registry.Condition{}),
		e.DeleteManifest(t.Context(), repo, gone.Digest, registry.Condition{}),
		e.DeleteRepository(t.Context(), "acme/trash"),
		e.DeleteRepository(t.Context(), "acme/purged"),
		e.PurgeRepository(t.Context(), "acme/purged"),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	r := adopt(t, e, AdoptOptions{})
	tagged("deleted", "")
	tagged("gone", "")
	if _, err := e.Manifest(t.Context(), repo, gone.Digest); !errors.Is(err, registry.ManifestUnknown) {
		t.Errorf("deleted manifest: %v", err)
	}
	if r.Skipped != 1 || r.Skips[0].Repository != "acme/trash" {
		t.Errorf("skipped %+v", r.Skips)
	}
	if r.Manifests != 1 || r.Tags != 1 { // purged is as if it never was
		t.Errorf("%+v", r)
	}
}

func TestAdoptKeepsWhatASkippedManifestNeeds(t *testing.T) {
	t.Parallel()
	o := oldTree{t, t.TempDir()}
	here := o.image("acme/sparse", "here")
	o.blob("acme/sparse", "extra")
	o.blob("acme/other", "extra")
	o.blob("acme/other", "garbage")
	index := registrytest.Index(func(x *ocispec.Index) {
		x.Manifests = append(x.Manifests, ocispec.Descriptor{MediaType: "text/plain", Digest: digest.FromString("extra"), Size: 5})
	}, here, registrytest.Image(nil, []byte("elsewhere")))
	o.manifest("acme/sparse", index, "all")

	c := &clock{}
	e, stop := start(t, o.dir, c.Now)
	if r := adopt(t, e, AdoptOptions{}); r.Skipped != 2 {
		t.Errorf("%+v, want the index and its tag", r)
	}
	c.advance(2 * time.Hour)
	if got := collect(t, e); got.Blobs != 1 || got.Bytes != int64(len("garbage")) {
		t.Errorf("collected %+v, want the garbage", got)
	}
	stop()
	e = openAt(t, o.dir, func(c *Config) { c.Sparse = true })
	if r := adopt(t, e, AdoptOptions{}); r.Manifests != 1 || r.Tags != 1 {
		t.Errorf("with sparse manifests: %+v", r)
	}
	if got := readBlob(t, e, "acme/sparse", digest.FromString("extra")); got != "extra" {
		t.Error(got)
	}
}

func TestAdoptDoesNotReviveWhatFsckHid(t *testing.T) {
	t.Parallel()
	o := oldTree{t, t.TempDir()}
	o.image(repo, "bad", "1.0")
	e := openAt(t, o.dir)
	adopt(t, e, AdoptOptions{})
	layer := digest.FromString("layer bad")
	o.write(oldBlobKey(layer), []byte("layer BAD"))
	if r := fsck(t, e, true); r.Found != 1 {
		t.Fatalf("%+v", r)
	}
	adopt(t, e, AdoptOptions{})
	_, err := e.StatBlob(t.Context(), repo, layer)
	wantCode(t, err, registry.BlobUnknown)

	pushBlob(t, e, repo, "layer bad")
	if got := readBlob(t, e, repo, layer); got != "layer bad" {
		t.Error(got)
	}
	if r := fsck(t, e, false); r.Found != 0 || r.Orphans != 0 {
		t.Errorf("%+v", r)
	}
}

func TestAdoptBatches(t *testing.T) {
	t.Parallel()
	o := oldTree{t, t.TempDir()}
	const images = 3*batchLength/2 + 1
	for i := range images {
		m := registrytest.Image(func(m *ocispec.Manifest) { m.Annotations = map[string]string{"n": fmt.Sprint(i)} }, []byte("config"), []byte("layer"))
		o.manifest(repo, m, fmt.Sprintf("v%04d", i))
	}
	o.blob(repo, "config")
	o.blob(repo, "layer")
	e := openAt(t, o.dir)
	if r := adopt(t, e, AdoptOptions{Verify: true}); r.Manifests != images || r.Tags != images || r.Blobs != 2 || r.Skipped != 0 {
		t.Errorf("%+v", r)
	}
	if got := everything(t, e); len(got) != 1+2*images+2 {
		t.Errorf("%d things are readable", len(got))
	}
}
