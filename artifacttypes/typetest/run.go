package typetest

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/packhouse/packhouse/registry"
	"github.com/packhouse/packhouse/registry/engine"
)

// publish sends a sample's requests and returns the first status that is no
// success, with its body.
func (p *Place) publish(s Sample) (status int, body string) {
	p.T.Helper()
	requests, err := s.Publish(p.Base())
	if err != nil {
		p.T.Fatal(err)
	}
	for _, r := range requests {
		res, err := p.do(r.WithContext(p.T.Context()))
		if err != nil {
			p.T.Error(err)
			return 0, err.Error()
		}
		text, _ := io.ReadAll(res.Body)
		_ = res.Body.Close()
		if res.StatusCode >= http.StatusMultipleChoices {
			return res.StatusCode, string(text)
		}
	}
	return http.StatusOK, ""
}

func (p *Place) mustPublish(s Sample) {
	p.T.Helper()
	if status, body := p.publish(s); status != http.StatusOK {
		p.T.Fatalf("publish %s %s: %d %s", s.Package, s.Version, status, body)
	}
}

func (p *Place) wantFiles(s Sample) {
	p.T.Helper()
	for _, f := range s.Files {
		path, ok := s.Paths[f.Name]
		if !ok {
			p.T.Fatalf("the sample has no path for %s", f.Name)
		}
		res, got := p.Get(http.MethodGet, path, nil)
		if res.StatusCode != http.StatusOK || !bytes.Equal(got, f.Content) {
			p.T.Errorf("GET %s: %s, %d bytes, want the %d published", path, res.Status, len(got), len(f.Content))
		}
		if head, _ := p.Get(http.MethodHead, path, nil); head.StatusCode != http.StatusOK || head.ContentLength != int64(len(f.Content)) {
			p.T.Errorf("HEAD %s: %s, length %d", path, head.Status, head.ContentLength)
		}
		if enc := res.Header.Get("Content-Encoding"); enc != "" {
			p.T.Errorf("GET %s: Content-Encoding %s on a file", path, enc)
		}
	}
}

// documents returns all documents, with the server's address cut out.
func (s Suite) documents(p *Place) map[string]string {
	p.T.Helper()
	all := map[string]string{}
	for _, path := range s.Documents {
		res, body := p.Get(http.MethodGet, path, s.Header.Clone())
		if res.StatusCode != http.StatusOK {
			p.T.Fatalf("GET %s: %s %s", path, res.Status, body)
		}
		all[path] = strings.ReplaceAll(string(body), p.URL, "URL")
	}
	return all
}

func (s Suite) nativeToOCI(t *testing.T) {
	t.Helper()
	p := Open(t, s.Format)
	p.mustPublish(s.First)
	repo, tag := p.locate(s.First)
	m, err := p.Engine.Tagged(t.Context(), repo, tag)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Contains(s.Format.Info().ArtifactTypes, artifactType(m.Raw)) {
		t.Errorf("artifact type %q, want one of %v", artifactType(m.Raw), s.Format.Info().ArtifactTypes)
	}
	var got ocispec.Manifest
	if err := json.Unmarshal(m.Raw, &got); err != nil {
		t.Fatal(err)
	}
	for _, f := range s.First.Files {
		if !slices.ContainsFunc(got.Layers, func(l ocispec.Descriptor) bool { return bytes.Equal(p.read(repo, l.Digest), f.Content) }) {
			t.Errorf("no layer is %s, byte for byte", f.Name)
		}
	}
	if got.Annotations[registry.AnnotationName] == "" && got.Annotations[ocispec.AnnotationTitle] == "" {
		t.Errorf("annotations name no package: %v", got.Annotations)
	}
}

func artifactType(raw []byte) string {
	p, err := registry.ParseManifest("", raw)
	if err != nil {
		return err.Error()
	}
	return p.ArtifactType
}

func (s Suite) nativeToNative(t *testing.T) {
	t.Helper()
	p := Open(t, s.Format)
	p.mustPublish(s.First)
	p.mustPublish(s.Second)
	p.wantFiles(s.First)
	p.wantFiles(s.Second)
	for path, text := range s.documents(p) {
		if !strings.Contains(text, s.First.Version) {
			t.Errorf("document %s does not name version %s:\n%s", path, s.First.Version, text)
		}
	}
}

func (s Suite) ociToNative(t *testing.T) {
	t.Helper()
	p := Open(t, s.Format)
	repo, tag := p.locate(s.First)
	if err := p.Push(repo, tag, s.First.Files, s.Annotations); err != nil {
		t.Fatal(err)
	}
	p.wantFiles(s.First)
	s.documents(p)
	if err := p.Push(repo, tag+"x", s.First.Files, s.Annotations); s.Annotations == nil && !errors.Is(err, registry.ManifestInvalid) {
		t.Errorf("push to a tag that is not the version's: %v, want MANIFEST_INVALID", err)
	}
	if err := p.Push(repo+"x", tag, s.First.Files, s.Annotations); s.Annotations == nil && !errors.Is(err, registry.ManifestInvalid) {
		t.Errorf("push to a repository that is not the package's: %v, want MANIFEST_INVALID", err)
	}
}

func (s Suite) copied(t *testing.T) {
	t.Helper()
	p, q := Open(t, s.Format), Open(t, s.Format)
	p.mustPublish(s.First)
	repo, tag := p.locate(s.First)
	p.copyTo(q, repo, tag)
	q.wantFiles(s.First)
	for path, text := range s.documents(q) {
		if !strings.Contains(text, s.First.Version) {
			t.Errorf("document %s of the copy does not name version %s", path, s.First.Version)
		}
	}
	if status, body := q.publish(s.Altered); status < http.StatusBadRequest {
		t.Errorf("the copy takes other content: %d %s", status, body)
	}
}

func (s Suite) again(t *testing.T) {
	t.Helper()
	p := Open(t, s.Format)
	p.mustPublish(s.First)
	before := s.documents(p)
	p.mustPublish(s.First)
	repo, tag := p.locate(s.First)
	if err := p.Push(repo, tag, s.First.Files, s.Annotations); err != nil && !errors.Is(err, registry.VersionExists) {
		t.Errorf("push of the same by OCI: %v", err)
	}
	if diff := cmp.Diff(before, s.documents(p)); diff != "" {
		t.Errorf("publishing again changed documents:\n%s", diff)
	}
}

func (s Suite) immutable(t *testing.T) {
	t.Helper()
	p := Open(t, s.Format)
	p.mustPublish(s.First)
	status, body := p.publish(s.Altered)
	if status < http.StatusBadRequest || status >= http.StatusInternalServerError || strings.TrimSpace(body) == "" {
		t.Errorf("other content under the same version: %d %q, want a refusal with a sentence", status, body)
	}
	repo, tag := p.locate(s.First)
	if err := p.Push(repo, tag, s.Altered.Files, s.Annotations); !errors.Is(err, registry.VersionExists) {
		t.Errorf("by OCI: %v, want VERSION_EXISTS", err)
	}
	p.wantFiles(s.First)
}

func (s Suite) tombstone(t *testing.T) {
	t.Helper()
	p := Open(t, s.Format)
	p.mustPublish(s.First)
	p.mustPublish(s.Second)
	repo, tag := p.locate(s.First)
	if err := p.Engine.DeleteTag(t.Context(), repo, tag, registry.Condition{}); err != nil {
		t.Fatal(err)
	}
	for name, path := range s.First.Paths {
		if res, _ := p.Get(http.MethodGet, path, nil); res.StatusCode != http.StatusNotFound && res.StatusCode != http.StatusGone {
			t.Errorf("%s of a withdrawn version: %s", name, res.Status)
		}
	}
	if status, _ := p.publish(s.First); status < http.StatusBadRequest || status >= http.StatusInternalServerError {
		t.Errorf("a withdrawn version was published again: %d", status)
	}
	if err := p.Push(repo, tag, s.First.Files, s.Annotations); !errors.Is(err, registry.VersionExists) {
		t.Errorf("by OCI: %v, want VERSION_EXISTS", err)
	}
	p.wantFiles(s.Second)
	if _, err := p.Engine.RestoreTag(t.Context(), repo, tag, ""); err != nil {
		t.Fatal(err)
	}
	p.wantFiles(s.First)
}

func (s Suite) conditions(t *testing.T) {
	t.Helper()
	p := Open(t, s.Format)
	p.mustPublish(s.First)
	for _, path := range s.Documents {
		res, body := p.Get(http.MethodGet, path, s.Header.Clone())
		etag := res.Header.Get("ETag")
		if etag == "" || strings.HasPrefix(etag, "W/") {
			t.Errorf("%s: ETag %q, want a strong one", path, etag)
			continue
		}
		with := func(name, value string) http.Header {
			h := s.Header.Clone()
			if h == nil {
				h = http.Header{}
			}
			h.Set(name, value)
			return h
		}
		if again, _ := p.Get(http.MethodGet, path, with("If-None-Match", etag)); again.StatusCode != http.StatusNotModified || again.Header.Get("ETag") != etag {
			t.Errorf("%s: If-None-Match: %s, ETag %q", path, again.Status, again.Header.Get("ETag"))
		}
		if head, _ := p.Get(http.MethodHead, path, s.Header.Clone()); head.StatusCode != http.StatusOK || head.ContentLength != int64(len(body)) || head.Header.Get("ETag") != etag {
			t.Errorf("%s: HEAD: %s, length %d, ETag %q", path, head.Status, head.ContentLength, head.Header.Get("ETag"))
		}
		zipped, packed := p.Get(http.MethodGet, path, with("Accept-Encoding", "gzip"))
		if zipped.Header.Get("Content-Encoding") == "gzip" {
			z, err := gzip.NewReader(bytes.NewReader(packed))
			if err != nil {
				t.Fatal(err)
			}
			if got, err := io.ReadAll(z); err != nil || !bytes.Equal(got, body) {
				t.Errorf("%s: compressed it is another text: %v", path, err)
			}
			if zipped.Header.Get("ETag") == etag || !strings.Contains(strings.Join(zipped.Header.Values("Vary"), ","), "Accept-Encoding") {
				t.Errorf("%s: ETag %q, Vary %q of the compressed one", path, zipped.Header.Get("ETag"), zipped.Header.Values("Vary"))
			}
		}
	}
	before := s.documents(p)
	p.mustPublish(s.Second)
	if cmp.Equal(before, s.documents(p)) {
		t.Errorf("no document changed with a publish")
	}
}

func (s Suite) ranges(t *testing.T) {
	t.Helper()
	p := Open(t, s.Format)
	p.mustPublish(s.First)
	for _, f := range s.First.Files {
		if len(f.Content) < 4 {
			continue
		}
		res, got := p.Get(http.MethodGet, s.First.Paths[f.Name], http.Header{"Range": {"bytes=1-2"}})
		if res.StatusCode != http.StatusPartialContent || !bytes.Equal(got, f.Content[1:3]) {
			t.Errorf("range of %s: %s, %q", f.Name, res.Status, got)
		}
	}
}

func (s Suite) concurrent(t *testing.T) {
	t.Helper()
	p := Open(t, s.Format)
	const publishers = 32 // of each content
	var won [2]atomic.Int32
	var wait sync.WaitGroup
	for i := range 2 * publishers {
		wait.Go(func() {
			sample := s.First
			if i%2 == 1 {
				sample = s.Altered
			}
			switch status, body := p.publish(sample); {
			case status == http.StatusOK:
				won[i%2].Add(1)
			case status < http.StatusBadRequest, status >= http.StatusInternalServerError:
				t.Errorf("a publisher got %d %s", status, body)
			}
		})
	}
	wait.Wait()
	if first, altered := won[0].Load(), won[1].Load(); (first == 0) == (altered == 0) {
		t.Fatalf("%d publishers of one content and %d of the other succeeded", first, altered)
	}
	if won[0].Load() > 0 {
		p.wantFiles(s.First)
	} else {
		p.wantFiles(s.Altered)
	}
}

// memory is what reading a hostile file may cost.
const memory = 64 << 20

func (s Suite) hostile(t *testing.T) {
	t.Helper()
	p := Open(t, s.Format)
	repo, tag := p.locate(s.First)
	for _, h := range s.Hostile {
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		err := p.Push(repo, tag, []File{h.File}, s.Annotations)
		runtime.ReadMemStats(&after)
		e, ok := errors.AsType[*registry.Error](err)
		if !ok || e.Code != registry.ManifestInvalid || e.Message == "" {
			t.Errorf("%s: %v, want MANIFEST_INVALID with a sentence", h.Name, err)
		}
		if grown := int64(after.HeapSys) - int64(before.HeapSys); grown > memory {
			t.Errorf("%s: the heap grew by %d MiB", h.Name, grown>>20)
		}
	}
	if _, err := p.Engine.Tagged(t.Context(), repo, tag); err == nil {
		t.Errorf("a refused file left a version behind")
	}
}

func (s Suite) reindex(t *testing.T) {
	t.Helper()
	p := Open(t, s.Format)
	p.mustPublish(s.First)
	p.mustPublish(s.Second)
	before := s.documents(p)
	for _, fresh := range []bool{false, true} {
		p.forget()
		r, err := p.Engine.Reindex(t.Context(), engine.ReindexOptions{Fresh: fresh})
		if err != nil || len(r.Failed) > 0 || r.Releases == 0 {
			t.Fatalf("reindex: %+v, %v", r, err)
		}
		if diff := cmp.Diff(before, s.documents(p)); diff != "" {
			t.Errorf("documents differ after a reindex (fresh %v):\n%s", fresh, diff)
		}
	}
}

// names: what is distinct stays distinct, and what is made is legal.
func (s Suite) names(t *testing.T) {
	t.Helper()
	pkg, version, err := s.Format.Canonical(s.First.Package, s.First.Version)
	if err != nil {
		t.Fatal(err)
	}
	again, versionAgain, err := s.Format.Canonical(pkg, version)
	if err != nil || again != pkg || versionAgain != version {
		t.Errorf("canonical %q %q is %q %q again, %v", pkg, version, again, versionAgain, err)
	}
	path, err := s.Format.Repository(pkg)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := registry.ParseRepo(Namespace + "/" + path); err != nil {
		t.Error(err)
	}
	first, err := s.Format.Tag(s.First.Version)
	if err != nil {
		t.Fatal(err)
	}
	second, err := s.Format.Tag(s.Second.Version)
	if err != nil || first == second {
		t.Errorf("versions %s and %s have tags %s and %s, %v", s.First.Version, s.Second.Version, first, second, err)
	}
	if err := s.Format.Label(fmt.Sprint(first)); err == nil {
		t.Errorf("the tag %s of a version can be a label", first)
	}
}
