package main

import (
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/packhouse/packhouse/registry"
	"github.com/packhouse/packhouse/registry/auth"
)

// scoped makes a token of a user for one pattern of names and a role.
func (w *world) scoped(t *testing.T, user, repositories, role string) (secret, id string) {
	t.Helper()
	made, secret, err := w.backend.Auth.CreateToken(byOperator(t), auth.TokenParams{Owner: "user:" + user, Scope: []auth.Scope{{Repositories: repositories, Role: role}}})
	if err != nil {
		t.Fatal(err)
	}
	return secret, made.ID
}

// docker gets a token of Docker's protocol for who, and calls it name.
func (w *world) docker(t *testing.T, name, who string, scopes ...string) {
	t.Helper()
	_, host, _ := strings.Cut(w.url, "://")
	a := w.send(t, who, ask{method: http.MethodGet, path: "/token?" + url.Values{"service": {host}, "scope": scopes}.Encode()})
	w.tokens[name] = decoded[struct{ Token string }](t, a).Token
	if w.tokens[name] == "" {
		t.Fatalf("token for %s: %d %s", who, a.status, a.body)
	}
}

// What differs between two answers about different content.
var (
	digests  = regexp.MustCompile(`sha256(:|%3A)[0-9a-f]{64}`)
	sessions = regexp.MustCompile(`[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}`)
)

// likeness is an answer without what it was asked about.
func (a answer) likeness() string {
	return sessions.ReplaceAllString(digests.ReplaceAllString(a.whole(), "DIGEST"), "SESSION")
}

// A cross-repository mount takes from where the caller may read, by the token
// in use, and from anywhere else says what it says of a blob that is nowhere.
func TestMountTellsNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	secret, public, unknown := layerOf(secretly+" layer"), layerOf(imageText), layerOf("nowhere")
	w.docker(t, "narrowed", "foreign", "repository:else/image:pull,push")
	w.docker(t, "both", "foreign", "repository:else/image:pull,push", "repository:pub/app:pull")
	w.tokens["elsewhere"], _ = w.scoped(t, "admin", "else/**", "admin")
	w.pushBlob(t, "priv/app", "in priv alone")
	for _, test := range []struct {
		name, who, from string
		blob            registry.Digest
		mounted         bool
	}{
		{"unreadable", "foreign", "priv/" + secretly, secret, false},
		{"unreadable, from anywhere", "foreign", "", secret, false},
		{"unreadable, the name of a readable one", "foreign", "pub/app", secret, false},
		{"unknown repository", "foreign", "priv/gone", secret, false},
		{"unknown namespace", "foreign", "nowhere/app", secret, false},
		{"no name", "foreign", "PRIV/" + secretly, secret, false},
		{"way out", "foreign", "pub/../priv/" + secretly, secret, false},
		{"unknown blob", "foreign", "pub/app", unknown, false},
		{"unknown blob, from anywhere", "foreign", "", unknown, false},
		{"public, token for one repository", "narrowed", "pub/app", public, false},
		{"public, token for one repository, from anywhere", "narrowed", "", public, false},
		{"unreadable, token for one repository", "narrowed", "priv/app", layerOf("in priv alone"), false},
		{"unreadable, token for two repositories", "both", "priv/app", layerOf("in priv alone"), false},
		{"unreadable, token for two repositories, from anywhere", "both", "", layerOf("in priv alone"), false},
		{"owner may, token may not", "elsewhere", "priv/" + secretly, secret, false},
		{"owner may, token may not, from anywhere", "elsewhere", "", secret, false},

		{"public, token for both", "both", "pub/app", public, true},
		{"public, token for both, from anywhere", "both", "", public, true},
		{"public", "foreign", "pub/app", public, true},
		{"public, from anywhere", "foreign", "", public, true},
		{"readable", "admin", "priv/" + secretly, secret, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			mount := func(blob registry.Digest, from string) answer {
				q := url.Values{"mount": {blob.String()}}
				if from != "" {
					q.Set("from", from)
				}
				return w.send(t, test.who, ask{method: http.MethodPost, path: "/v2/else/image/blobs/uploads/?" + q.Encode()})
			}
			got := mount(test.blob, test.from)
			if test.mounted {
				if got.status != http.StatusCreated {
					t.Fatalf("%d %s, want 201", got.status, got.body)
				}
				w.must(t, ask{method: http.MethodDelete, path: "/v2/else/image/blobs/" + test.blob.String()})
				return
			}
			if got.status != http.StatusAccepted || !strings.HasPrefix(got.header.Get("Location"), "/v2/else/image/blobs/uploads/") {
				t.Fatalf("%d %s %s, want 202 and a session", got.status, got.header, got.body)
			}
			if diff := cmp.Diff(mount(unknown, test.from).likeness(), got.likeness()); diff != "" {
				t.Errorf("it is unlike a blob that is nowhere:\n%s", diff)
			}
			if a := w.send(t, "admin", ask{method: http.MethodHead, path: "/v2/else/image/blobs/" + test.blob.String()}); a.status != http.StatusNotFound {
				t.Errorf("the blob came all the same: %d", a.status)
			}
		})
	}
}

// Whoever knows the digest of what is private elsewhere learns nothing by it
// from a repository of one's own.
func TestDigestTellsNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.pushImage(t, "else/image", "mine", "my own")
	layer, image := layerOf(secretly+" layer"), layerOf(imageOf(secretly+" layer"))
	unknown := layerOf("nowhere")
	if a := w.send(t, "admin", ask{method: http.MethodGet, path: "/v2/priv/" + secretly + "/manifests/" + image.String()}); a.status != http.StatusOK {
		t.Fatalf("the private image: %d %s", a.status, a.body)
	}
	manifest := func(media, format string) func(registry.Digest) ask {
		return func(d registry.Digest) ask {
			return ask{method: http.MethodPut, path: "/v2/else/image/manifests/new", header: http.Header{"Content-Type": {media}}, body: fmt.Sprintf(format, d)}
		}
	}
	of := func(method, path string, header ...string) func(registry.Digest) ask {
		return func(d registry.Digest) ask {
			q := ask{method: method, path: strings.ReplaceAll(path, "DIGEST", d.String()), header: http.Header{}}
			for i := 0; i+1 < len(header); i += 2 {
				q.header.Set(header[i], header[i+1])
			}
			return q
		}
	}
	const (
		config = `"config":{"mediaType":"application/vnd.oci.empty.v1+json","digest":"sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a","size":2}`
		head   = `{"schemaVersion":2,"mediaType":"` + imageType + `",` + config + `,`
		index  = "application/vnd.oci.image.index.v1+json"
	)
	for _, test := range []struct {
		name    string
		private registry.Digest
		ask     func(registry.Digest) ask
		status  int
	}{
		{"blob HEAD", layer, of("HEAD", "/v2/else/image/blobs/DIGEST"), 404},
		{"blob GET", layer, of("GET", "/v2/else/image/blobs/DIGEST"), 404},
		{"blob Range", layer, of("GET", "/v2/else/image/blobs/DIGEST", "Range", "bytes=0-3"), 404},
		{"blob condition", layer, of("GET", "/v2/else/image/blobs/DIGEST", "If-None-Match", `"`+layer.String()+`"`), 404},
		{"blob DELETE", layer, of("DELETE", "/v2/else/image/blobs/DIGEST"), 404},
		{"blob of a repository that is not there", layer, of("GET", "/v2/else/none/blobs/DIGEST"), 404},
		{"blob of a public repository", layer, of("GET", "/v2/pub/app/blobs/DIGEST"), 404},
		{"blob of a private repository", layer, of("GET", "/v2/priv/"+secretly+"/blobs/DIGEST"), 404},
		{"manifest HEAD", image, of("HEAD", "/v2/else/image/manifests/DIGEST"), 404},
		{"manifest GET", image, of("GET", "/v2/else/image/manifests/DIGEST"), 404},
		{"manifest condition", image, of("GET", "/v2/else/image/manifests/DIGEST", "If-None-Match", `"`+image.String()+`"`), 404},
		{"manifest DELETE", image, of("DELETE", "/v2/else/image/manifests/DIGEST"), 404},
		{"manifest of a private repository", image, of("GET", "/v2/priv/"+secretly+"/manifests/DIGEST"), 404},
		{"manifest as a blob", image, of("GET", "/v2/else/image/blobs/DIGEST"), 404},
		{"blob as a manifest", layer, of("GET", "/v2/else/image/manifests/DIGEST"), 404},
		{"referrers", image, of("GET", "/v2/else/image/referrers/DIGEST"), 200},
		{"upload without the content", layer, of("POST", "/v2/else/image/blobs/uploads/?digest=DIGEST"), 400},
		{"PUT: a layer", layer, manifest(imageType, head+`"layers":[{"mediaType":"application/octet-stream","digest":"%s","size":10}]}`), 400},
		{"PUT: a layer, the right size", layer, manifest(imageType, head+fmt.Sprintf(`"layers":[{"mediaType":"application/octet-stream","digest":"%%s","size":%d}]}`, len(secretly+" layer"))), 400},
		{"PUT: a foreign layer", layer, manifest(imageType, head+`"layers":[{"mediaType":"application/vnd.oci.image.layer.nondistributable.v1.tar","urls":["https://a.example"],"digest":"%s","size":10}]}`), 201},
		{"PUT: the config", layer, manifest(imageType, `{"schemaVersion":2,"mediaType":"`+imageType+`","config":{"mediaType":"application/octet-stream","digest":"%s","size":10},"layers":[]}`), 400},
		{"PUT: a manifest of an index", image, manifest(index, `{"schemaVersion":2,"mediaType":"`+index+`","manifests":[{"mediaType":"`+imageType+`","digest":"%s","size":10}]}`), 400},
		{"PUT: the subject", image, manifest(imageType, head+`"layers":[],"subject":{"mediaType":"`+imageType+`","digest":"%s","size":10}}`), 201},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, want := w.send(t, "foreign", test.ask(test.private)), w.send(t, "foreign", test.ask(unknown))
			if got.status != test.status {
				t.Errorf("%d %s, want %d", got.status, got.body, test.status)
			}
			if diff := cmp.Diff(want.likeness(), got.likeness()); diff != "" {
				t.Errorf("it is unlike a digest that is nowhere:\n%s", diff)
			}
		})
	}
	// What was pushed about it, or with it, opens nothing.
	for _, path := range []string{"/blobs/" + layer.String(), "/manifests/" + image.String()} {
		if a := w.send(t, "foreign", ask{method: http.MethodGet, path: "/v2/else/image" + path}); a.status != http.StatusNotFound {
			t.Errorf("%s after the pushes: %d %s", path, a.status, a.body)
		}
	}
}

// An upload session is its principal's, in its repository: to anybody else it
// is not there, and stays as it is.
func TestUploadSessionIsOnesOwn(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ctx, a := byOperator(t), w.backend.Auth
	w.person(t, "guest", "publisher", "pub priv", "")
	w.docker(t, "pulling", "guest", "repository:pub/app:pull")
	w.docker(t, "pushing", "guest", "repository:pub/app:pull,push")
	const first, second = "the first half, ", "the second half"
	begin := func(t *testing.T) string {
		t.Helper()
		id := w.upload(t, "guest", "pub/app")
		if res := w.send(t, "guest", ask{method: http.MethodPatch, path: "/v2/pub/app/blobs/uploads/" + id, body: first}); res.status != http.StatusAccepted {
			t.Fatalf("%d %s", res.status, res.body)
		}
		return id
	}
	verbs := func(repo, id string) []ask {
		path := "/v2/" + repo + "/blobs/uploads/" + id
		return []ask{
			{method: http.MethodGet, path: path},
			{method: http.MethodHead, path: path},
			{method: http.MethodPatch, path: path, body: "another's"},
			{method: http.MethodPut, path: path + "?digest=" + layerOf(first+"another's").String(), body: "another's"},
			{method: http.MethodPut, path: path + "?digest=" + layerOf(first).String()},
			{method: http.MethodDelete, path: path},
		}
	}
	finish := func(t *testing.T, who, id string) {
		t.Helper()
		path := "/v2/pub/app/blobs/uploads/" + id
		if res := w.send(t, who, ask{method: http.MethodGet, path: path}); res.header.Get("Range") != fmt.Sprintf("0-%d", len(first)-1) {
			t.Errorf("it was changed: %d %s", res.status, res.header)
		}
		res := w.send(t, who, ask{method: http.MethodPut, path: path + "?digest=" + layerOf(first+second).String(), body: second})
		if res.status != http.StatusCreated {
			t.Errorf("its owner cannot finish it: %d %s", res.status, res.body)
		}
	}
	for _, test := range []struct {
		name, who, repo string
		status          int
		before, after   func() error
	}{
		{name: "another publisher", who: "publisher", repo: "pub/app", status: 404},
		{name: "an administrator", who: "admin", repo: "pub/app", status: 404},
		{name: "a reader", who: "reader", repo: "pub/app", status: 403},
		{name: "a stranger", who: "foreign", repo: "pub/app", status: 403},
		{name: "nobody", who: anonymous, repo: "pub/app", status: 401},
		{name: "a revoked token of another", who: "revoked", repo: "pub/app", status: 401},
		{name: "its owner, through another repository", who: "guest", repo: "priv/app", status: 404},
		{name: "its owner, through one that is not there", who: "guest", repo: "pub/gone", status: 404},
		{name: "its owner, by a token to pull", who: "pulling", repo: "pub/app", status: 401},
		{
			name: "its owner, disabled", who: "guest", repo: "pub/app", status: 401,
			before: func() error { return a.DisableUser(ctx, "guest") },
			after:  func() error { return a.EnableUser(ctx, "guest") },
		},
		{
			name: "its owner, disabled, by a token of Docker's", who: "pushing", repo: "pub/app", status: 401,
			before: func() error { return a.DisableUser(ctx, "guest") },
			after:  func() error { return a.EnableUser(ctx, "guest") },
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			id := begin(t)
			if test.before != nil {
				if err := test.before(); err != nil {
					t.Fatal(err)
				}
			}
			none := verbs(test.repo, "01234567-89ab-cdef-0123-456789abcdef")
			for i, q := range verbs(test.repo, id) {
				got := w.send(t, test.who, q)
				if got.status != test.status {
					t.Errorf("%s: %d %s, want %d", q.method, got.status, got.body, test.status)
				}
				if diff := cmp.Diff(w.send(t, test.who, none[i]).likeness(), got.likeness()); diff != "" {
					t.Errorf("%s: it is unlike a session that is not there:\n%s", q.method, diff)
				}
			}
			if test.after != nil {
				if err := test.after(); err != nil {
					t.Fatal(err)
				}
			}
			finish(t, "guest", id)
		})
	}
	t.Run("a revoked token of its owner", func(t *testing.T) {
		id := begin(t)
		_, secret, err := a.CreateToken(ctx, auth.TokenParams{Owner: "user:guest"})
		if err != nil {
			t.Fatal(err)
		}
		w.tokens["second"] = secret
		if err := a.RevokeToken(ctx, w.tokens["guest"]); err != nil {
			t.Fatal(err)
		}
		for _, q := range verbs("pub/app", id) {
			if got := w.send(t, "guest", q); got.status != http.StatusUnauthorized {
				t.Errorf("%s: %d %s, want 401", q.method, got.status, got.body)
			}
		}
		finish(t, "second", id)
	})
}
