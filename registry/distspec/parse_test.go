package distspec_test

import (
	"errors"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"

	"github.com/packhouse/packhouse/registry"
	"github.com/packhouse/packhouse/registry/distspec"
)

const (
	get, head, post  = http.MethodGet, http.MethodHead, http.MethodPost
	put, patch, del  = http.MethodPut, http.MethodPatch, http.MethodDelete
	someRepo         = registry.Repo("acme/app")
	pathUnknown      = registry.Code("PATH_UNKNOWN")
	queryInvalid     = registry.Code("QUERY_INVALID")
	queryTooLong     = registry.Code("QUERY_TOO_LONG")
	sha256OfNothing  = registry.Digest("sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855")
	sha512Everywhere = registry.Digest("sha512:cf83e1357eefb8bdf1542850d66d8007d620e4050b5715dc83f4a921d36ce9ce47d0d13c5d85f2b0ff8318d2877eec2f63b931bd47417a81a538327af927da3e")
)

func TestKinds(t *testing.T) {
	t.Parallel()
	names := map[string]bool{}
	for _, k := range distspec.Kinds() {
		if k.Verb() == 0 || k.String() == "none" || names[k.String()] {
			t.Errorf("kind %d has verb %v and name %q: want a verb, and a name of its own", k, k.Verb(), k)
		}
		names[k.String()] = true
	}
	if got := distspec.Kind(0).Verb(); got != 0 {
		t.Errorf("the zero kind has verb %v", got)
	}
	if want := 16; len(names) != want {
		t.Errorf("%d kinds, want %d", len(names), want)
	}
}

func TestParse(t *testing.T) {
	t.Parallel()
	const d, d512 = sha256OfNothing, sha512Everywhere
	type request = distspec.Request
	tests := []struct {
		method, url string
		want        request
	}{
		{get, "/v2", request{Kind: distspec.Base, N: -1}},
		{get, "/v2/", request{Kind: distspec.Base, N: -1}},
		{head, "/v2/", request{Kind: distspec.Base, N: -1}},
		{get, "/v2/_catalog", request{Kind: distspec.Catalog, N: -1}},
		{get, "/v2/_catalog?n=10&last=a/b", request{Kind: distspec.Catalog, N: 10, Last: "a/b"}},
		{get, "/v2/acme/app/manifests/latest", request{Kind: distspec.ManifestGet, Repo: someRepo, Tag: "latest", N: -1}},
		{head, "/v2/acme/app/manifests/v1.0_x-Y?ns=docker.io", request{Kind: distspec.ManifestHead, Repo: someRepo, Tag: "v1.0_x-Y", N: -1}},
		{get, "/v2/acme/app/manifests/" + d.String(), request{Kind: distspec.ManifestGet, Repo: someRepo, Digest: d, N: -1}},
		{get, "/v2/acme/app/manifests/sha256%3A" + d.Encoded(), request{Kind: distspec.ManifestGet, Repo: someRepo, Digest: d, N: -1}},
		{get, "/v2/acme/app/manifests/l%61test", request{Kind: distspec.ManifestGet, Repo: someRepo, Tag: "latest", N: -1}},
		{put, "/v2/acme/app/manifests/latest", request{Kind: distspec.ManifestPut, Repo: someRepo, Tag: "latest", N: -1}},
		{put, "/v2/acme/app/manifests/" + d512.String() + "?tag=1&tag=1.2", request{Kind: distspec.ManifestPut, Repo: someRepo, Digest: d512, Tags: []registry.Tag{"1", "1.2"}, N: -1}},
		{del, "/v2/acme/app/manifests/latest", request{Kind: distspec.ManifestDelete, Repo: someRepo, Tag: "latest", N: -1}},
		{get, "/v2/acme/app/blobs/" + d.String(), request{Kind: distspec.BlobGet, Repo: someRepo, Digest: d, N: -1}},
		{head, "/v2/acme/app/blobs/" + d512.String(), request{Kind: distspec.BlobHead, Repo: someRepo, Digest: d512, N: -1}},
		{del, "/v2/acme/app/blobs/" + d.String(), request{Kind: distspec.BlobDelete, Repo: someRepo, Digest: d, N: -1}},
		{post, "/v2/acme/app/blobs/uploads/", request{Kind: distspec.UploadStart, Repo: someRepo, Algorithm: digest.SHA256, N: -1}},
		{post, "/v2/acme/app/blobs/uploads", request{Kind: distspec.UploadStart, Repo: someRepo, Algorithm: digest.SHA256, N: -1}},
		{post, "/v2/acme/app/blobs/uploads/?digest-algorithm=sha512", request{Kind: distspec.UploadStart, Repo: someRepo, Algorithm: digest.SHA512, N: -1}},
		{post, "/v2/acme/app/blobs/uploads/?digest=" + d.String(), request{Kind: distspec.UploadStart, Repo: someRepo, Digest: d, Algorithm: digest.SHA256, N: -1}},
		{post, "/v2/acme/app/blobs/uploads/?mount=" + d.String() + "&from=a%2Fb", request{Kind: distspec.UploadStart, Repo: someRepo, Mount: d, From: "a/b", Algorithm: digest.SHA256, N: -1}},
		{post, "/v2/acme/app/blobs/uploads/?mount=" + d.String(), request{Kind: distspec.UploadStart, Repo: someRepo, Mount: d, Algorithm: digest.SHA256, N: -1}},
		{post, "/v2/acme/app/blobs/uploads/?mount=" + d.String() + "&from=../x", request{Kind: distspec.UploadStart, Repo: someRepo, Algorithm: digest.SHA256, N: -1}},
		{get, "/v2/acme/app/blobs/uploads/some-ID_1", request{Kind: distspec.UploadStatus, Repo: someRepo, UploadID: "some-ID_1", N: -1}},
		{head, "/v2/acme/app/blobs/uploads/x", request{Kind: distspec.UploadStatus, Repo: someRepo, UploadID: "x", N: -1}},
		{patch, "/v2/acme/app/blobs/uploads/x", request{Kind: distspec.UploadChunk, Repo: someRepo, UploadID: "x", N: -1}},
		{put, "/v2/acme/app/blobs/uploads/x?digest=" + d.String(), request{Kind: distspec.UploadFinish, Repo: someRepo, UploadID: "x", Digest: d, N: -1}},
		{del, "/v2/acme/app/blobs/uploads/x", request{Kind: distspec.UploadCancel, Repo: someRepo, UploadID: "x", N: -1}},
		{get, "/v2/acme/app/tags/list", request{Kind: distspec.Tags, Repo: someRepo, N: -1}},
		{get, "/v2/acme/app/tags/list?n=0&last=v1", request{Kind: distspec.Tags, Repo: someRepo, N: 0, Last: "v1"}},
		{get, "/v2/acme/app/referrers/" + d.String(), request{Kind: distspec.Referrers, Repo: someRepo, Digest: d, N: -1}},
		{get, "/v2/acme/app/referrers/" + d.String() + "?artifactType=a/b+json", request{Kind: distspec.Referrers, Repo: someRepo, Digest: d, ArtifactType: "a/b+json", N: -1}},
		{get, "/v2/acme/app/referrers/" + d.String() + "?artifactType=a%2Fb%2Bjson&last=" + d.String(), request{Kind: distspec.Referrers, Repo: someRepo, Digest: d, ArtifactType: "a/b+json", Last: d.String(), N: -1}},
		// Repositories that are called like endpoints.
		{get, "/v2/a/manifests/manifests/x", request{Kind: distspec.ManifestGet, Repo: "a/manifests", Tag: "x", N: -1}},
		{get, "/v2/a/blobs/uploads/manifests/x", request{Kind: distspec.ManifestGet, Repo: "a/blobs/uploads", Tag: "x", N: -1}},
		{get, "/v2/a/blobs/uploads/tags/list", request{Kind: distspec.Tags, Repo: "a/blobs/uploads", N: -1}},
		{get, "/v2/a/manifests/tags/list", request{Kind: distspec.Tags, Repo: "a/manifests", N: -1}},
		{get, "/v2/tags/list/manifests/list", request{Kind: distspec.ManifestGet, Repo: "tags/list", Tag: "list", N: -1}},
		{get, "/v2/manifests/manifests/manifests", request{Kind: distspec.ManifestGet, Repo: "manifests", Tag: "manifests", N: -1}},
		{post, "/v2/a/blobs/uploads/blobs/uploads/", request{Kind: distspec.UploadStart, Repo: "a/blobs/uploads", Algorithm: digest.SHA256, N: -1}},
		{patch, "/v2/blobs/uploads/blobs/uploads/uploads", request{Kind: distspec.UploadChunk, Repo: "blobs/uploads", UploadID: "uploads", N: -1}},
		{get, "/v2/v2/blobs/" + d.String(), request{Kind: distspec.BlobGet, Repo: "v2", Digest: d, N: -1}},
	}
	for _, tt := range tests {
		t.Run(tt.method+" "+tt.url, func(t *testing.T) {
			t.Parallel()
			u, err := url.Parse(tt.url)
			if err != nil {
				t.Fatal(err)
			}
			got, err := distspec.Parse(tt.method, u)
			if err != nil {
				t.Fatal(err)
			}
			tt.want.Verb = tt.want.Kind.Verb()
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("Parse (-want +got):\n%s", diff)
			}
		})
	}
}

func TestParseRefuses(t *testing.T) {
	t.Parallel()
	d := sha256OfNothing.String()
	manyTags := strings.Repeat("&tag=x", 101)
	tests := []struct {
		method, url string
		code        registry.Code
	}{
		// Paths that lead nowhere.
		{get, "/", pathUnknown},
		{get, "/v1/", pathUnknown},
		{get, "/v2x/", pathUnknown},
		{get, "/V2/", pathUnknown},
		{get, "//v2/", pathUnknown},
		{get, "/v2/acme", pathUnknown},
		{get, "/v2/_catalog/", pathUnknown},
		{get, "/v2/acme/app/tags", pathUnknown},
		{get, "/v2/acme/app/tags/list/", pathUnknown},
		{get, "/v2/acme/app/tags/other", pathUnknown},
		{get, "/v2/acme/app/%6danifests/x", pathUnknown},
		{get, "/v2/acme/app/MANIFESTS/x", pathUnknown},
		{post, "/v2/acme/app/uploads/", pathUnknown},
		{get, "/%76%32/acme/app/manifests/x", pathUnknown},
		// Names.
		{get, "/v2/manifests/x", registry.NameInvalid},
		{get, "/v2//manifests/x", registry.NameInvalid},
		{get, "/v2/acme//app/manifests/x", registry.NameInvalid},
		{get, "/v2/acme/../app/manifests/x", registry.NameInvalid},
		{get, "/v2/acme/./app/manifests/x", registry.NameInvalid},
		{get, "/v2/acme/%2e%2e/app/manifests/x", registry.NameInvalid},
		{get, "/v2/acme%2fapp/manifests/x", registry.NameInvalid},
		{get, "/v2/acme%2Fapp/manifests/x", registry.NameInvalid},
		{get, "/v2/%61cme/manifests/x", registry.NameInvalid},
		{get, "/v2/acme%00/manifests/x", registry.NameInvalid},
		{get, "/v2/Acme/manifests/x", registry.NameInvalid},
		{get, "/v2/acme;a=b/manifests/x", registry.NameInvalid},
		{get, "/v2/acme%3Bx/manifests/x", registry.NameInvalid},
		{get, "/v2/acm\u00e9/manifests/x", registry.NameInvalid},
		{get, "/v2/-acme/manifests/x", registry.NameInvalid},
		{get, "/v2/" + strings.Repeat("a", 256) + "/manifests/x", registry.NameInvalid},
		// Tags and digests.
		{get, "/v2/acme/app/manifests/", registry.ManifestInvalid},
		{get, "/v2/acme/app/manifests/..", registry.ManifestInvalid},
		{get, "/v2/acme/app/manifests/%2e%2e", registry.ManifestInvalid},
		{get, "/v2/acme/app/manifests/a%2Fb", registry.ManifestInvalid},
		{get, "/v2/acme/app/manifests/a%00", registry.ManifestInvalid},
		{get, "/v2/acme/app/manifests/a%250", registry.ManifestInvalid},
		{get, "/v2/acme/app/manifests/" + strings.Repeat("a", 129), registry.ManifestInvalid},
		{get, "/v2/acme/app/manifests/sha256:", registry.DigestInvalid},
		{get, "/v2/acme/app/manifests/" + d + "0", registry.DigestInvalid},
		{get, "/v2/acme/app/manifests/" + strings.ToUpper(d), registry.DigestInvalid},
		{get, "/v2/acme/app/blobs/", registry.DigestInvalid},
		{get, "/v2/acme/app/blobs/latest", registry.DigestInvalid},
		{get, "/v2/acme/app/blobs/sha384:" + strings.Repeat("a", 96), registry.DigestInvalid},
		{get, "/v2/acme/app/blobs/sha256:" + strings.Repeat("g", 64), registry.DigestInvalid},
		{get, "/v2/acme/app/blobs/md5:" + strings.Repeat("a", 32), registry.DigestInvalid},
		{get, "/v2/acme/app/referrers/latest", registry.DigestInvalid},
		// Sessions.
		{patch, "/v2/acme/app/blobs/uploads/a.b", registry.BlobUploadUnknown},
		{patch, "/v2/acme/app/blobs/uploads/..", registry.BlobUploadUnknown},
		{patch, "/v2/acme/app/blobs/uploads/%2e%2e%2fx", registry.BlobUploadUnknown},
		{patch, "/v2/acme/app/blobs/uploads/" + strings.Repeat("a", 129), registry.BlobUploadUnknown},
		{put, "/v2/acme/app/blobs/uploads/x", registry.DigestInvalid},
		{put, "/v2/acme/app/blobs/uploads/x?digest=", registry.DigestInvalid},
		{put, "/v2/acme/app/blobs/uploads/x?digest=latest", registry.DigestInvalid},
		// Queries.
		{get, "/v2/acme/app/tags/list?n=-1", queryInvalid},
		{get, "/v2/acme/app/tags/list?n=+1", queryInvalid},
		{get, "/v2/acme/app/tags/list?n=ten", queryInvalid},
		{get, "/v2/acme/app/tags/list?n=1&n=2", queryInvalid},
		{get, "/v2/acme/app/tags/list?n=1;last=x", queryInvalid},
		{get, "/v2/acme/app/tags/list?last=%zz", queryInvalid},
		{get, "/v2/acme/app/tags/list?last=-x", registry.ManifestInvalid},
		{get, "/v2/_catalog?last=X", registry.NameInvalid},
		{get, "/v2/acme/app/referrers/" + d + "?last=x", registry.DigestInvalid},
		{put, "/v2/acme/app/manifests/" + d + "?tag=", registry.ManifestInvalid},
		{put, "/v2/acme/app/manifests/" + d + "?x=y" + manyTags, queryTooLong},
		{post, "/v2/acme/app/blobs/uploads/?digest=x", registry.DigestInvalid},
		{post, "/v2/acme/app/blobs/uploads/?digest=" + d + "&digest=" + d, queryInvalid},
		{post, "/v2/acme/app/blobs/uploads/?mount=x&from=a", registry.DigestInvalid},
		{post, "/v2/acme/app/blobs/uploads/?digest-algorithm=md5", registry.DigestInvalid},
		// Methods.
		{post, "/v2/", registry.Unsupported},
		{put, "/v2/_catalog", registry.Unsupported},
		{post, "/v2/acme/app/manifests/x", registry.Unsupported},
		{put, "/v2/acme/app/blobs/" + d, registry.Unsupported},
		{get, "/v2/acme/app/blobs/uploads/", registry.Unsupported},
		{post, "/v2/acme/app/blobs/uploads/x", registry.Unsupported},
		{del, "/v2/acme/app/tags/list", registry.Unsupported},
		{"get", "/v2/", registry.Unsupported},
		{"", "/v2/", registry.Unsupported},
	}
	for _, tt := range tests {
		t.Run(tt.method+" "+tt.url, func(t *testing.T) {
			t.Parallel()
			u, err := url.Parse(tt.url)
			if strings.HasPrefix(tt.url, "//") {
				u = &url.URL{Path: tt.url}
			} else if err != nil {
				t.Fatal(err)
			}
			got, err := distspec.Parse(tt.method, u)
			if !errors.Is(err, tt.code) {
				t.Errorf("Parse = %+v, %v, want %s", got, err, tt.code)
			}
		})
	}
}

// construct is the canonical URL of a request.
func construct(q distspec.Request) (method, target string) {
	query := url.Values{}
	add := func(name, value string) {
		if value != "" {
			query.Add(name, value)
		}
	}
	add("last", q.Last)
	add("artifactType", q.ArtifactType)
	add("mount", q.Mount.String())
	add("from", string(q.From))
	if q.N >= 0 {
		add("n", strconv.Itoa(q.N))
	}
	for _, t := range q.Tags {
		add("tag", string(t))
	}
	if q.Algorithm == digest.SHA512 {
		add("digest-algorithm", "sha512")
	}
	base, reference := "/v2/"+string(q.Repo), q.Digest.String()+string(q.Tag)
	switch q.Kind {
	case distspec.Base:
		method, target = get, "/v2/"
	case distspec.Catalog:
		method, target = get, "/v2/_catalog"
	case distspec.ManifestGet:
		method, target = get, base+"/manifests/"+reference
	case distspec.ManifestHead:
		method, target = head, base+"/manifests/"+reference
	case distspec.ManifestPut:
		method, target = put, base+"/manifests/"+reference
	case distspec.ManifestDelete:
		method, target = del, base+"/manifests/"+reference
	case distspec.BlobGet:
		method, target = get, base+"/blobs/"+reference
	case distspec.BlobHead:
		method, target = head, base+"/blobs/"+reference
	case distspec.BlobDelete:
		method, target = del, base+"/blobs/"+reference
	case distspec.UploadStart:
		add("digest", q.Digest.String())
		method, target = post, base+"/blobs/uploads/"
	case distspec.UploadStatus:
		method, target = get, base+"/blobs/uploads/"+q.UploadID
	case distspec.UploadChunk:
		method, target = patch, base+"/blobs/uploads/"+q.UploadID
	case distspec.UploadFinish:
		add("digest", q.Digest.String())
		method, target = put, base+"/blobs/uploads/"+q.UploadID
	case distspec.UploadCancel:
		method, target = del, base+"/blobs/uploads/"+q.UploadID
	case distspec.Tags:
		method, target = get, base+"/tags/list"
	case distspec.Referrers:
		method, target = get, base+"/referrers/"+reference
	}
	if len(query) > 0 {
		target += "?" + query.Encode()
	}
	return method, target
}

// The grammar as the specification writes it.
var (
	repoGrammar = regexp.MustCompile(`^[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*(\/[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*)*$`)
	tagGrammar  = regexp.MustCompile(`^[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}$`)
)

// FuzzParse: what is parsed is legal, and its canonical URL means the same.
func FuzzParse(f *testing.F) {
	d := sha256OfNothing.String()
	for _, target := range []string{
		"/v2/", "/v2/_catalog?n=1&last=a", "/v2/acme/app/manifests/latest", "/v2/a/blobs/uploads/manifests/" + d,
		"/v2/a/blobs/uploads/", "/v2/a/blobs/uploads/?mount=" + d + "&from=b", "/v2/a/blobs/uploads/x?digest=" + d,
		"/v2/a/tags/list?n=3&last=x", "/v2/a/referrers/" + d + "?artifactType=a/b+json", "/v2/a%2fb/manifests/%2e%2e",
		"/v2/a//b/../manifests/x%00", "/v2/a/manifests/" + d + "?tag=a&tag=b",
	} {
		for _, method := range []string{get, head, post, put, patch, del} {
			f.Add(method, target)
		}
	}
	f.Fuzz(func(t *testing.T, method, target string) {
		u, err := url.ParseRequestURI(target)
		if err != nil {
			return
		}
		q, err := distspec.Parse(method, u)
		if err != nil {
			if _, ok := errors.AsType[*registry.Error](err); !ok {
				t.Fatalf("%T is no *registry.Error: %v", err, err)
			}
			return
		}
		if q.Verb == 0 || q.Verb != q.Kind.Verb() {
			t.Errorf("kind %v has verb %v", q.Kind, q.Verb)
		}
		if q.Repo != "" && !repoGrammar.MatchString(string(q.Repo)) || q.From != "" && !repoGrammar.MatchString(string(q.From)) {
			t.Errorf("repositories %q, %q are not legal", q.Repo, q.From)
		}
		for _, tag := range append(q.Tags, q.Tag) {
			if tag != "" && !tagGrammar.MatchString(string(tag)) {
				t.Errorf("tag %q is not legal", tag)
			}
		}
		for _, d := range []registry.Digest{q.Digest, q.Mount} {
			if d != "" && d.Validate() != nil {
				t.Errorf("digest %q is not legal", d)
			}
		}
		method, canonical := construct(q)
		u, err = url.ParseRequestURI(canonical)
		if err != nil {
			t.Fatal(err)
		}
		again, err := distspec.Parse(method, u)
		if err != nil {
			t.Fatalf("%s %s: %v", method, canonical, err)
		}
		if len(q.Tags) == 0 {
			q.Tags, again.Tags = nil, nil
		}
		if diff := cmp.Diff(q, again); diff != "" {
			t.Errorf("%s %s (-first +again):\n%s", method, canonical, diff)
		}
	})
}

// FuzzName holds the parsers of names against the grammar of the specification.
func FuzzName(f *testing.F) {
	for _, s := range []string{"a", "a/b", "a__b", "a___b", "a--b", "a.b", "a..b", "A", "v1.0", "_", "-", "", strings.Repeat("a", 129)} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if _, err := registry.ParseRepo(s); (err == nil) != (len(s) <= registry.MaxRepoLength && repoGrammar.MatchString(s)) {
			t.Errorf("ParseRepo(%q) = %v", s, err)
		}
		if _, err := registry.ParseTag(s); (err == nil) != tagGrammar.MatchString(s) {
			t.Errorf("ParseTag(%q) = %v", s, err)
		}
	})
}
