package distspec_test

import (
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/packhouse/packhouse/registry"
	"github.com/packhouse/packhouse/registry/distspec"
	"github.com/packhouse/packhouse/registry/registrytest"
)

func TestTags(t *testing.T) {
	t.Parallel()
	c := serve(t, distspec.Options{PageSize: 3})
	c.do(get, "/v2/acme/app/tags/list", "").wantError(t, 404, registry.NameUnknown)
	c.do(get, "/v2/acme/app/tags/list?n=0", "").wantError(t, 404, registry.NameUnknown)
	c.blob("x")
	for _, path := range []string{"/v2/acme/app/tags/list", "/v2/acme/app/tags/list?n=2"} {
		c.do(get, path, "").wantBody(t, `{"name":"acme/app","tags":[]}`)
	}
	c.image("a", "v2", "v1", "V1", "_", "v10")
	next := func(n int, last string) string {
		return fmt.Sprintf(`</v2/acme/app/tags/list?last=%s&n=%d>; rel="next"`, last, n)
	}
	tests := []struct{ query, tags, link string }{
		{"", `"V1","_","v1","v10","v2"`, ""},
		{"?last=_", `"v1","v10","v2"`, ""},
		{"?last=v2", ``, ""},
		{"?last=zzz", ``, ""},
		{"?n=0", ``, ""},
		{"?n=0&last=_", ``, ""},
		{"?n=2", `"V1","_"`, next(2, "_")},
		{"?n=2&last=_", `"v1","v10"`, next(2, "v10")},
		{"?n=2&last=v10", `"v2"`, ""},
		{"?n=3&last=_", `"v1","v10","v2"`, ""},
		{"?n=100", `"V1","_","v1"`, next(3, "v1")},
		{"?n=99999999999999999999999&last=V1", `"_","v1","v10"`, next(3, "v10")},
	}
	for _, tt := range tests {
		t.Run(tt.query, func(t *testing.T) {
			t.Parallel()
			for _, method := range []string{get, head} {
				r := c.do(method, "/v2/acme/app/tags/list"+tt.query, "")
				r.want(t, http.StatusOK, headers{"Content-Type": "application/json", "Link": tt.link})
				if method == get {
					r.wantBody(t, `{"name":"acme/app","tags":[`+tt.tags+`]}`)
				}
			}
		})
	}
}

func TestCatalog(t *testing.T) {
	t.Parallel()
	c := serve(t, distspec.Options{PageSize: 2})
	c.do(get, "/v2/_catalog", "").wantBody(t, `{"repositories":[]}`)
	for _, repo := range []registry.Repo{"b", "a/b", "a"} {
		if _, err := c.PutBlob(t.Context(), repo, strings.NewReader("x"), ""); err != nil {
			t.Fatal(err)
		}
	}
	for _, tt := range []struct{ query, repos, link string }{
		{"", `"a","a/b"`, `</v2/_catalog?last=a%2Fb&n=2>; rel="next"`},
		{"?last=a%2Fb&n=2", `"b"`, ""},
		{"?n=1", `"a"`, `</v2/_catalog?last=a&n=1>; rel="next"`},
		{"?n=100", `"a","a/b"`, `</v2/_catalog?last=a%2Fb&n=2>; rel="next"`},
		{"?n=0", ``, ""},
	} {
		r := c.do(get, "/v2/_catalog"+tt.query, "")
		r.want(t, http.StatusOK, headers{"Content-Type": "application/json", "Link": tt.link})
		r.wantBody(t, `{"repositories":[`+tt.repos+`]}`)
	}
}

// many lists count tags, then err if it is not nil.
type many struct {
	registry.Registry
	count int
	err   error
}

func (m many) Tags(context.Context, registry.Repo, registry.Tag) iter.Seq2[registry.Tag, error] {
	return func(yield func(registry.Tag, error) bool) {
		for i := range m.count {
			if !yield(registry.Tag(fmt.Sprintf("%0100d", i)), nil) {
				return
			}
		}
		if m.err != nil {
			yield("", m.err)
		}
	}
}

func TestLongList(t *testing.T) {
	t.Parallel()
	const count = 5000
	c := serveRegistry(t, many{&registrytest.Memory{}, count, nil}, distspec.Options{})
	r := c.do(get, "/v2/acme/app/tags/list", "")
	var got struct{ Tags []string }
	if err := json.Unmarshal([]byte(r.body), &got); err != nil {
		t.Fatal(err)
	}
	if len(got.Tags) != count || !slices.IsSorted(got.Tags) {
		t.Errorf("%d tags, sorted %v, want %d", len(got.Tags), slices.IsSorted(got.Tags), count)
	}
	c = serveRegistry(t, many{&registrytest.Memory{}, 10, registry.E("", registry.Unavailable, nil, "")}, distspec.Options{})
	c.do(get, "/v2/acme/app/tags/list", "").wantError(t, 503, registry.Unavailable)
	c = serveRegistry(t, many{&registrytest.Memory{}, count, registry.E("", registry.Unavailable, nil, "")}, distspec.Options{})
	request, err := http.NewRequestWithContext(t.Context(), get, c.url+"/v2/acme/app/tags/list", nil)
	if err != nil {
		t.Fatal(err)
	}
	if resp, err := http.DefaultTransport.RoundTrip(request); err == nil {
		defer func() { _ = resp.Body.Close() }() // it breaks off anyway
		if json.NewDecoder(resp.Body).Decode(&got) == nil {
			t.Error("a list that broke off looks complete")
		}
	}
}

func TestReferrers(t *testing.T) {
	t.Parallel()
	c := serve(t, distspec.Options{PageSize: 2})
	c.blob("c")
	subject := digest.FromString("subject")
	path := "/v2/acme/app/referrers/" + subject.String()
	const indexType = ocispec.MediaTypeImageIndex
	const empty = `{"schemaVersion":2,"mediaType":"` + indexType + `","manifests":[]}`
	for _, target := range []string{path, "/v2/acme/other/referrers/" + subject.String()} {
		r := c.do(get, target, "")
		r.want(t, http.StatusOK, headers{"Content-Type": indexType, "Oci-Filters-Applied": "", "Link": ""})
		r.wantBody(t, empty)
	}
	attach := func(artifactType string) registry.Descriptor {
		m := c.put(registrytest.Image(func(m *ocispec.Manifest) {
			m.ArtifactType = artifactType
			m.Annotations = map[string]string{"org.example.html": "<b>&"}
			m.Subject = &ocispec.Descriptor{MediaType: ocispec.MediaTypeImageManifest, Digest: subject, Size: 1}
		}, []byte("c")))
		d := m.Descriptor
		d.ArtifactType, d.Annotations = artifactType, map[string]string{"org.example.html": "<b>&"}
		return d
	}
	all := []registry.Descriptor{attach("test/a+json"), attach("test/b"), attach("test/c")}
	plus := all[0]
	slices.SortFunc(all, func(a, b registry.Descriptor) int { return strings.Compare(a.Digest.String(), b.Digest.String()) })
	list := func(target string, want headers) []registry.Descriptor {
		t.Helper()
		r := c.do(get, target, "")
		r.want(t, http.StatusOK, want)
		var x ocispec.Index
		if err := json.Unmarshal([]byte(r.body), &x); err != nil {
			t.Fatal(err)
		}
		if x.MediaType != indexType || x.SchemaVersion != 2 || x.Manifests == nil {
			t.Errorf("body %s is no OCI index", r.body)
		}
		return x.Manifests
	}
	same := func(got, want []registry.Descriptor) {
		t.Helper()
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("referrers (-want +got):\n%s", diff)
		}
	}
	last := all[1].Digest.String()
	link := headers{"Link": "<" + path + "?last=" + strings.Replace(last, ":", "%3A", 1) + `&n=2>; rel="next"`, "Content-Type": indexType}
	same(list(path, link), all[:2])
	same(list(path+"?n=50", link), all[:2])
	same(list(path+"?n=2&last="+last, headers{"Link": ""}), all[2:])
	same(list(path+"?n=0", headers{"Link": ""}), all[:0])
	filtered := headers{"Link": "", "Oci-Filters-Applied": "artifactType"}
	for _, target := range []string{path + "?artifactType=test/a%2Bjson", path + "?artifactType=test/a+json"} {
		same(list(target, filtered), []registry.Descriptor{plus})
	}
	same(list(path+"?artifactType=test/none", filtered), all[:0])
	c.do(head, path, "").want(t, http.StatusOK, headers{"Content-Type": indexType})
	c.do(get, "/v2/acme/app/referrers/sha256:x", "").wantError(t, 400, registry.DigestInvalid)

	computed := c.do(get, "/v2/acme/app/manifests/"+string(registry.ReferrersTag(subject)), "")
	computed.want(t, http.StatusOK, headers{"Content-Type": indexType, "Cache-Control": "no-cache"})
}

// large yields referrers with so many bytes of annotations.
type large struct {
	registry.Registry
	count, size int
}

func (l large) Referrers(_ context.Context, _ registry.Repo, _ registry.Digest, _ string, after registry.Digest) iter.Seq2[registry.Descriptor, error] {
	return func(yield func(registry.Descriptor, error) bool) {
		for i := range l.count {
			d := registry.Digest(fmt.Sprintf("sha256:%064d", i))
			if d > after && !yield(registry.Descriptor{Digest: d, Annotations: map[string]string{"a": strings.Repeat("<", l.size)}}, nil) {
				return
			}
		}
	}
}

func TestReferrersPagesBySize(t *testing.T) {
	t.Parallel()
	const limit = 4 << 20
	for _, tt := range []struct{ count, size, pages int }{{5, 3 << 19, 3}, {2, limit + 1, 2}, {10, 100, 1}} {
		c := serveRegistry(t, large{&registrytest.Memory{}, tt.count, tt.size}, distspec.Options{})
		target, seen, pages := "/v2/acme/app/referrers/"+sha256OfNothing.String()+"?artifactType=a/b", 0, 0
		for target != "" {
			r := c.do(get, target, "")
			r.want(t, http.StatusOK, headers{"Oci-Filters-Applied": "artifactType"})
			on := strings.Count(r.body, `"digest":`)
			if len(r.body) > limit && on > 1 {
				t.Errorf("a page of %d referrers has %d bytes", on, len(r.body))
			}
			// Decoding megabytes is slow under the race detector.
			if !strings.HasSuffix(r.body, `"}}]}`) || len(r.body) < limit/4 && !json.Valid([]byte(r.body)) {
				t.Errorf("page %d is not JSON", pages)
			}
			seen += on
			pages++
			target, _, _ = strings.Cut(strings.TrimPrefix(r.header.Get("Link"), "<"), ">")
		}
		if seen != tt.count || pages != tt.pages {
			t.Errorf("%d referrers of %d bytes: %d on %d pages, want %d pages", tt.count, tt.size, seen, pages, tt.pages)
		}
	}
}
