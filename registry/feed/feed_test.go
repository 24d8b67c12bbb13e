package feed_test

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/packhouse/packhouse/artifacttypes/typetest"
	"github.com/packhouse/packhouse/registry"
	"github.com/packhouse/packhouse/registry/engine"
)

// place is an engine with the toy format served over it.
type place struct {
	*typetest.Place
	*engine.Engine
	t *testing.T
}

func open(t *testing.T) place {
	t.Helper()
	p := typetest.Open(t, toy{})
	return place{p, p.Engine, t}
}

func (p place) do(method, path, body string, header ...string) *http.Response {
	p.t.Helper()
	r, err := http.NewRequestWithContext(p.t.Context(), method, p.URL+path, strings.NewReader(body))
	if err != nil {
		p.t.Fatal(err)
	}
	r.Header.Set("Accept-Encoding", "identity")
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	return p.Do(r)
}

func (p place) want(status int, method, path, body string, header ...string) string {
	p.t.Helper()
	res := p.do(method, path, body, header...)
	got, err := io.ReadAll(res.Body)
	if err != nil {
		p.t.Fatal(err)
	}
	if res.StatusCode != status {
		p.t.Fatalf("%s %s: %d %s, want %d", method, path, res.StatusCode, got, status)
	}
	return string(got)
}

// push pushes files as a typed manifest under the given tags.
func (p place) push(repo registry.Repo, annotations map[string]string, files map[string]string, tags ...registry.Tag) (registry.Digest, error) {
	p.t.Helper()
	m := ocispec.Manifest{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageManifest, ArtifactType: toyType, Config: ocispec.DescriptorEmptyJSON, Annotations: annotations}
	p.blob(repo, "{}")
	names := make([]string, 0, len(files))
	for name := range files {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		d := p.blob(repo, files[name])
		d.MediaType, d.Annotations = "text/plain", map[string]string{ocispec.AnnotationTitle: name}
		m.Layers = append(m.Layers, d)
	}
	raw, err := json.Marshal(m)
	if err != nil {
		p.t.Fatal(err)
	}
	res, err := p.PutManifest(p.t.Context(), repo, registry.Manifest{Raw: raw}, registry.PutOptions{Tags: tags})
	return res.Digest, err
}

func (p place) blob(repo registry.Repo, content string) registry.Descriptor {
	p.t.Helper()
	d, err := p.PutBlob(p.t.Context(), repo, strings.NewReader(content), "")
	if err != nil {
		p.t.Fatal(err)
	}
	return d
}

func wantCode(t *testing.T, err error, c registry.Code) {
	t.Helper()
	if !errors.Is(err, c) {
		t.Errorf("error = %v, want %s", err, c)
	}
}

func TestPublishedNativelyPullsByOCI(t *testing.T) {
	t.Parallel()
	p := open(t)
	p.want(http.StatusCreated, "PUT", "/acme/toy/bear/1.0/a.txt?label=stable", "bear 1.0\nrest")
	m, err := p.Tagged(t.Context(), "acme/toy/bear", "1.0")
	if err != nil {
		t.Fatal(err)
	}
	var got ocispec.Manifest
	if err := json.Unmarshal(m.Raw, &got); err != nil {
		t.Fatal(err)
	}
	if got.ArtifactType != toyType || len(got.Layers) != 1 || got.Layers[0].Digest != digest.FromString("bear 1.0\nrest") {
		t.Errorf("manifest %s", m.Raw)
	}
	stable, err := p.Tagged(t.Context(), "acme/toy/bear", "stable")
	if err != nil || stable.Digest != m.Digest {
		t.Errorf("label: %v, %v", stable.Digest, err)
	}
	doc := p.want(http.StatusOK, "GET", "/acme/toy/bear/", "")
	if !strings.HasPrefix(doc, "bear stable=1.0\n1.0 "+p.URL+"/acme/toy a.txt=") {
		t.Errorf("document %q", doc)
	}
	if got := p.want(http.StatusOK, "GET", "/acme/toy/bear/1.0/a.txt", ""); got != "bear 1.0\nrest" {
		t.Errorf("file %q", got)
	}
	if got := p.want(http.StatusPartialContent, "GET", "/acme/toy/bear/1.0/a.txt", "", "Range", "bytes=5-7"); got != "1.0" {
		t.Errorf("range %q", got)
	}
}

func TestPushedByOCIServesNatively(t *testing.T) {
	t.Parallel()
	p := open(t)
	if _, err := p.push("acme/toy/bear", nil, map[string]string{"a.txt": "bear 1.0"}, "1.0", "stable"); err != nil {
		t.Fatal(err)
	}
	doc := p.want(http.StatusOK, "GET", "/acme/toy/bear/", "")
	if !strings.HasPrefix(doc, "bear stable=1.0\n1.0 ") {
		t.Errorf("document %q", doc)
	}
	if got := p.want(http.StatusOK, "GET", "/acme/toy/", ""); got != "[bear]" {
		t.Errorf("index %q", got)
	}
	_, err := p.push("acme/toy/wolf", nil, map[string]string{"a.txt": "bear 1.0"}, "1.0")
	wantCode(t, err, registry.ManifestInvalid)
	_, err = p.push("acme/toy/bear", nil, map[string]string{"a.txt": "bear 1.0"}, "2.0")
	wantCode(t, err, registry.ManifestInvalid)
	_, err = p.push("acme/toy/bear", nil, map[string]string{"a.txt": "bad"}, "3.0")
	wantCode(t, err, registry.ManifestInvalid)
	// Equal content is success, and the tag stays where signatures hang.
	before, _ := p.Tagged(t.Context(), "acme/toy/bear", "1.0")
	if _, err := p.push("acme/toy/bear", map[string]string{"x": "y"}, map[string]string{"a.txt": "bear 1.0"}, "1.0"); err != nil {
		t.Fatal(err)
	}
	if after, _ := p.Tagged(t.Context(), "acme/toy/bear", "1.0"); after.Digest != before.Digest {
		t.Errorf("the tag moved from %s to %s", before.Digest, after.Digest)
	}
}

func TestFeedRefusesWhatIsNoPackage(t *testing.T) {
	t.Parallel()
	p := open(t)
	// An ordinary repository may be called so until somebody makes a feed.
	p.blob("acme/toy/image", "{}")
	plain := []byte(`{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":` +
		`{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"` + digest.FromString("{}").String() + `","size":2},"layers":[]}`)
	if _, err := p.PutManifest(t.Context(), "acme/toy/image", registry.Manifest{Raw: plain}, registry.PutOptions{Tags: []registry.Tag{"v1"}}); err != nil {
		t.Fatal(err)
	}
	_, err := p.push("acme/toy/bear", nil, map[string]string{"a.txt": "bear 1.0"}, "1.0")
	wantCode(t, err, registry.Conflict)
	// And a feed takes nothing but packages and what is about them.
	if _, err := p.push("other/toy/bear", nil, map[string]string{"a.txt": "bear 1.0"}, "1.0"); err != nil {
		t.Fatal(err)
	}
	p.blob("other/toy/bear", "{}")
	_, err = p.PutManifest(t.Context(), "other/toy/bear", registry.Manifest{Raw: plain}, registry.PutOptions{Tags: []registry.Tag{"v1"}})
	wantCode(t, err, registry.ManifestInvalid)
	sig := registry.ReferrersTag(digest.FromString("x")) + ".sig"
	if _, err = p.PutManifest(t.Context(), "other/toy/bear", registry.Manifest{Raw: plain}, registry.PutOptions{Tags: []registry.Tag{sig}}); err != nil {
		t.Errorf("signature tag: %v", err)
	}
	if versions, err := p.Versions(t.Context(), "other/toy/bear"); err != nil || len(versions) != 1 {
		t.Errorf("versions %v, %v", versions, err)
	}
}

func TestReleasesGrowAndNeverChange(t *testing.T) {
	t.Parallel()
	p := open(t)
	p.want(http.StatusCreated, "PUT", "/acme/toy/bear/1.0/part.txt", "part")
	if res := p.do("GET", "/acme/toy/bear/", ""); res.StatusCode != http.StatusOK {
		t.Fatalf("package: %s", res.Status)
	}
	if doc := p.want(http.StatusOK, "GET", "/acme/toy/bear/", ""); strings.Contains(doc, "part.txt") {
		t.Errorf("an incomplete release is listed: %q", doc)
	}
	p.want(http.StatusCreated, "PUT", "/acme/toy/bear/1.0/a.txt?label=stable", "bear 1.0")
	p.want(http.StatusCreated, "PUT", "/acme/toy/bear/1.0/b.txt", "bear 1.0\nmore")
	p.want(http.StatusCreated, "PUT", "/acme/toy/bear/1.0/b.txt", "bear 1.0\nmore")
	p.want(http.StatusConflict, "PUT", "/acme/toy/bear/1.0/b.txt", "bear 1.0\nother")
	p.want(http.StatusBadRequest, "PUT", "/acme/toy/bear/1.0/c.txt", "wolf 1.0")
	p.want(http.StatusConflict, "PUT", "/acme/toy/bear/1.0/d.txt?new", "bear 1.0\nd")
	rel, err := p.Release(t.Context(), "acme/toy/bear", "1.0")
	if err != nil || len(rel.Files) != 3 {
		t.Fatalf("release %+v, %v", rel, err)
	}
	// Labels follow the release, earlier editions stay.
	stable, err := p.Tagged(t.Context(), "acme/toy/bear", "stable")
	if err != nil || stable.Digest != rel.Digest {
		t.Errorf("label on %v, release on %v", stable.Digest, rel.Digest)
	}
	// By OCI: a superset moves the tag, anything else is refused.
	files := map[string]string{"part.txt": "part", "a.txt": "bear 1.0", "b.txt": "bear 1.0\nmore"}
	if _, err := p.push("acme/toy/bear", nil, files, "1.0"); err != nil {
		t.Fatal(err)
	}
	files["c.txt"] = "bear 1.0\nc"
	d, err := p.push("acme/toy/bear", nil, files, "1.0")
	if err != nil {
		t.Fatal(err)
	}
	if m, _ := p.Tagged(t.Context(), "acme/toy/bear", "1.0"); m.Digest != d {
		t.Errorf("tag on %s, want the superset %s", m.Digest, d)
	}
	delete(files, "a.txt")
	_, err = p.push("acme/toy/bear", nil, files, "1.0")
	wantCode(t, err, registry.VersionExists)
}

// TestAllPublishersOfDifferentFilesWin fails without the comparison of the
// release's manifest in the commit: files vanish.
func TestAllPublishersOfDifferentFilesWin(t *testing.T) {
	t.Parallel()
	p := open(t)
	const publishers = 64
	var wait sync.WaitGroup
	for i := range publishers {
		wait.Go(func() {
			p.want(http.StatusCreated, "PUT", fmt.Sprintf("/acme/toy/bear/1.0/%d.txt", i), fmt.Sprintf("bear 1.0\n%d", i))
		})
	}
	wait.Wait()
	rel, err := p.Release(t.Context(), "acme/toy/bear", "1.0")
	if err != nil || len(rel.Files) != publishers {
		t.Errorf("%d files, %v, want %d", len(rel.Files), err, publishers)
	}
}

func TestWithdrawnVersionsLeaveTombstones(t *testing.T) {
	t.Parallel()
	p := open(t)
	p.want(http.StatusCreated, "PUT", "/acme/toy/bear/1.0/a.txt", "bear 1.0")
	p.want(http.StatusCreated, "PUT", "/acme/toy/bear/2.0/a.txt?label=stable", "bear 2.0")
	p.want(http.StatusOK, "DELETE", "/acme/toy/bear/2.0", "")
	if doc := p.want(http.StatusOK, "GET", "/acme/toy/bear/", ""); strings.Contains(doc, "2.0") {
		t.Errorf("withdrawn, but listed: %q", doc)
	}
	p.want(http.StatusNotFound, "GET", "/acme/toy/bear/2.0/a.txt", "")
	p.want(http.StatusConflict, "PUT", "/acme/toy/bear/2.0/a.txt", "bear 2.0")
	_, err := p.push("acme/toy/bear", nil, map[string]string{"a.txt": "bear 2.0"}, "2.0")
	wantCode(t, err, registry.VersionExists)
	if err := p.Change(t.Context(), "acme/toy/bear", registry.RestoreVersion{Version: "2.0"}); err != nil {
		t.Fatal(err)
	}
	p.want(http.StatusOK, "GET", "/acme/toy/bear/2.0/a.txt", "")
	// OCI's delete means the same, and so does its undo.
	if err := p.DeleteTag(t.Context(), "acme/toy/bear", "1.0", registry.Condition{}); err != nil {
		t.Fatal(err)
	}
	p.want(http.StatusConflict, "PUT", "/acme/toy/bear/1.0/a.txt", "bear 1.0")
	if _, err := p.RestoreTag(t.Context(), "acme/toy/bear", "1.0", ""); err != nil {
		t.Fatal(err)
	}
	p.want(http.StatusOK, "GET", "/acme/toy/bear/1.0/a.txt", "")
	// The last version gone, the package is.
	for _, v := range []string{"1.0", "2.0"} {
		p.want(http.StatusOK, "DELETE", "/acme/toy/bear/"+v, "")
	}
	p.want(http.StatusNotFound, "GET", "/acme/toy/bear/", "")
	if got := p.want(http.StatusOK, "GET", "/acme/toy/", ""); got != "[]" {
		t.Errorf("index %q", got)
	}
}

func TestStateTravelsWithCopies(t *testing.T) {
	t.Parallel()
	p, q := open(t), open(t)
	p.want(http.StatusCreated, "PUT", "/acme/toy/bear/1.0/a.txt", "bear 1.0")
	p.want(http.StatusOK, "POST", "/acme/toy/bear/1.0?note=old", "")
	p.want(http.StatusOK, "POST", "/acme/toy/bear/1.0?note=deprecated", "")
	rel, err := p.Release(t.Context(), "acme/toy/bear", "1.0")
	if err != nil {
		t.Fatal(err)
	}
	var status []registry.Descriptor
	for d, err := range p.Referrers(t.Context(), "acme/toy/bear", rel.Digest, registry.TypeStatus, "") {
		if err != nil {
			t.Fatal(err)
		}
		status = append(status, d)
	}
	if len(status) != 1 || status[0].Annotations[registry.AnnotationStatus] != `{"note":"deprecated"}` {
		t.Fatalf("status referrers %v", status)
	}
	// Copies push what a manifest refers to, then it, then what refers to it,
	// and the tag last.
	subject := copyManifest(t, p, q, "acme/toy/bear", rel.Digest)
	copyManifest(t, p, q, "acme/toy/bear", status[0].Digest)
	if _, err := q.PutManifest(t.Context(), "acme/toy/bear", subject, registry.PutOptions{Tags: []registry.Tag{"1.0"}}); err != nil {
		t.Fatal(err)
	}
	want := strings.ReplaceAll(p.want(http.StatusOK, "GET", "/acme/toy/bear/", ""), p.URL, q.URL)
	if got := q.want(http.StatusOK, "GET", "/acme/toy/bear/", ""); got != want || !strings.Contains(got, "note=deprecated") {
		t.Errorf("copy says %q, original %q", got, want)
	}
	// An older one pushed later changes nothing.
	p.want(http.StatusOK, "POST", "/acme/toy/bear/1.0?note=", "")
	if doc := p.want(http.StatusOK, "GET", "/acme/toy/bear/", ""); strings.Contains(doc, "note=") {
		t.Errorf("note not removed: %q", doc)
	}
	copyManifest(t, q, p, "acme/toy/bear", status[0].Digest)
	if doc := p.want(http.StatusOK, "GET", "/acme/toy/bear/", ""); strings.Contains(doc, "note=") {
		t.Errorf("an old state came back: %q", doc)
	}
}

func copyManifest(t *testing.T, from, to place, repo registry.Repo, d registry.Digest) registry.Manifest {
	t.Helper()
	m, err := from.Manifest(t.Context(), repo, d)
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := registry.ParseManifest(m.MediaType, m.Raw)
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range parsed.Blobs {
		body, err := from.Blob(t.Context(), repo, b.Digest, 0, -1)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := to.PutBlob(t.Context(), repo, body, b.Digest); err != nil {
			t.Fatal(err)
		}
		_ = body.Close()
	}
	if _, err := to.PutManifest(t.Context(), repo, m, registry.PutOptions{}); err != nil {
		t.Fatal(err)
	}
	return m
}

// TestSignaturesSurviveGrowth walks all orders of three files with a referrer
// on the edition after each: all are found for the release, also after a
// collection.
func TestSignaturesSurviveGrowth(t *testing.T) {
	t.Parallel()
	files := []string{"a", "b", "c"}
	orders := [][]int{{0, 1, 2}, {0, 2, 1}, {1, 0, 2}, {1, 2, 0}, {2, 0, 1}, {2, 1, 0}}
	for i, order := range orders {
		for _, signed := range []int{1, 2, 4, 7} { // which editions get a signature
			t.Run(fmt.Sprintf("%d %03b", i, signed), func(t *testing.T) {
				t.Parallel()
				p := open(t)
				want := 0
				for step, f := range order {
					p.want(http.StatusCreated, "PUT", "/acme/toy/bear/1.0/"+files[f], "bear 1.0\n"+files[f])
					if signed>>step&1 == 0 {
						continue
					}
					want++
					ref := registry.Referrer{ArtifactType: "application/vnd.acme.sig", MediaType: "text/plain", Content: []byte(files[f])}
					if err := p.Attach(t.Context(), "acme/toy/bear", "1.0", ref); err != nil {
						t.Fatal(err)
					}
				}
				if _, err := p.Collect(t.Context(), engine.CollectOptions{}); err != nil {
					t.Fatal(err)
				}
				got, err := p.ReleaseReferrers(t.Context(), "acme/toy/bear", "1.0", "application/vnd.acme.sig")
				if err != nil || len(got) != want {
					t.Errorf("%d signatures, %v, want %d", len(got), err, want)
				}
			})
		}
	}
}

func TestReindexGivesTheSameBytes(t *testing.T) {
	t.Parallel()
	p := open(t)
	for i := range 20 {
		name, version := fmt.Sprintf("bear%d", i%7), fmt.Sprintf("%d.0", i)
		p.want(http.StatusCreated, "PUT", "/acme/toy/"+name+"/"+version+"/a.txt?label=stable", name+" "+version)
	}
	if _, err := p.push("acme/toy/bear1", nil, map[string]string{"x.txt": "bear1 9.9"}, "9.9"); err != nil {
		t.Fatal(err)
	}
	p.want(http.StatusOK, "POST", "/acme/toy/bear0/0.0?note=n", "")
	p.want(http.StatusOK, "DELETE", "/acme/toy/bear6/6.0", "")
	views := func() map[string]string {
		all := map[string]string{"index": p.want(http.StatusOK, "GET", "/acme/toy/", "")}
		for i := range 7 {
			path := fmt.Sprintf("/acme/toy/bear%d/", i)
			all[path] = p.want(http.StatusOK, "GET", path, "")
		}
		return all
	}
	before := views()
	for _, fresh := range []bool{false, true} {
		r, err := p.Reindex(t.Context(), engine.ReindexOptions{Fresh: fresh})
		if err != nil || r.Releases != 20 || len(r.Failed) != 0 {
			t.Fatalf("reindex %+v, %v", r, err)
		}
		if diff := cmp.Diff(before, views()); diff != "" {
			t.Errorf("views differ after a reindex (fresh %v):\n%s", fresh, diff)
		}
	}
}

// TestFeedDocuments: the parts of a feed's document are one valid stream, in
// both encodings the same text, and only what changed is another one.
func TestFeedDocuments(t *testing.T) {
	t.Parallel()
	p := open(t)
	if got := p.want(http.StatusOK, "GET", "/acme/toy/", ""); got != "[]" {
		t.Errorf("empty feed: %q", got)
	}
	for i := range 40 {
		name := fmt.Sprintf("bear%02d", i)
		p.want(http.StatusCreated, "PUT", "/acme/toy/"+name+"/1.0/a.txt", name+" 1.0")
		plain := p.do("GET", "/acme/toy/", "")
		text, _ := io.ReadAll(plain.Body)
		if got := strings.Count(string(text), "bear"); got != i+1 || strings.Count(string(text), ",") != i {
			t.Fatalf("after %d publishes the index is %q", i+1, text)
		}
		zipped := p.do("GET", "/acme/toy/", "", "Accept-Encoding", "br, gzip;q=0.5")
		body, _ := io.ReadAll(zipped.Body)
		z, err := gzip.NewReader(bytes.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		z.Multistream(false)
		unzipped, err := io.ReadAll(z)
		if err != nil || !bytes.Equal(unzipped, text) {
			t.Fatalf("compressed it is %q, %v, want %q", unzipped, err, text)
		}
		if got := zipped.Header.Get("Content-Length"); got != fmt.Sprint(len(body)) {
			t.Errorf("Content-Length %s of %d bytes", got, len(body))
		}
		if again := p.do("GET", "/acme/toy/", "", "If-None-Match", plain.Header.Get("ETag")); again.StatusCode != http.StatusNotModified {
			t.Errorf("conditional GET: %s", again.Status)
		}
		if plain.Header.Get("ETag") == zipped.Header.Get("ETag") {
			t.Errorf("one entity tag for two representations")
		}
	}
}

func TestSignedOnce(t *testing.T) {
	t.Parallel()
	p := open(t)
	p.want(http.StatusCreated, "PUT", "/acme/toy/bear/1.0/a.txt", "bear 1.0")
	first, err := p.Release(t.Context(), "acme/toy/bear", "1.0")
	if err != nil {
		t.Fatal(err)
	}
	p.want(http.StatusCreated, "PUT", "/acme/toy/bear/1.0/b.txt", "bear 1.0\nb")
	second, err := p.Release(t.Context(), "acme/toy/bear", "1.0")
	if err != nil || first.Signature == nil || second.Signature == nil || !bytes.Equal(first.Signature.Sig, second.Signature.Sig) {
		t.Errorf("signatures %v, %v, %v", first.Signature, second.Signature, err)
	}
	keys, err := p.SigningKeys(t.Context())
	if err != nil || len(keys) != 1 || keys[0].ID != first.Signature.KeyID || keys[0].Private != nil {
		t.Errorf("keys %v, %v", keys, err)
	}
}
