package clients

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/url"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/packhouse/packhouse/conformance/rig"
)

const (
	cacheConfig = "application/vnd.buildkit.cacheconfig.v0"
	ociIndex    = "application/vnd.oci.image.index.v1+json"
	ociManifest = "application/vnd.oci.image.manifest.v1+json"
	ociLayer    = "application/vnd.oci.image.layer.v1.tar+gzip"
)

// TestBuildKitCache pushes what `docker buildx build --cache-to type=registry` pushes, with the requests it makes:
// by default an index whose manifests are layers and a cache configuration, with image-manifest=true an image manifest.
func TestBuildKitCache(t *testing.T) {
	t.Parallel()
	path, _ := rig.Tool(t, "oras")
	overHTTPAndTLS(t, "BuildKit registry cache (its requests)", "v0 cache format", func(t *testing.T, r *registry) {
		transport := []string{"--plain-http"}
		if r.TLS() {
			transport = []string{"--ca-file", r.CACert}
		}
		for _, tt := range []struct {
			use, tag string
			asIndex  bool
		}{{"cache as an index", "index", true}, {"cache as an image manifest", "image", false}} {
			t.Run(tt.use, func(t *testing.T) {
				repo, tag, asIndex := "buildkit/cache", tt.tag, tt.asIndex
				want := r.pushBuildCache(t, repo, tag, asIndex)
				body, _ := r.Content(t, "/v2/"+repo+"/manifests/"+tag)
				rig.Equal(t, "stored", digest.FromBytes(body).String(), want)
				m := rig.Decode[rig.Manifest](t, string(body))
				for _, d := range append(m.Manifests, m.Layers...) {
					r.Blob(t, repo, d)
				}
				raw := r.Run(t, append([]string{path, "manifest", "fetch", r.Host + "/" + repo + ":" + tag}, transport...)...)
				rig.Equal(t, "fetched by oras", digest.FromString(raw).String(), want)
				// A second export moves the tag.
				rig.Equal(t, "pushed again", r.pushBuildCache(t, repo, tag, asIndex), want)
			})
		}
	})
}

// pushBuildCache returns the digest of the pushed manifest.
func (r *registry) pushBuildCache(t *testing.T, repo, tag string, asIndex bool) string {
	t.Helper()
	layers := make([]rig.Descriptor, 2)
	for i := range layers {
		content, diffID := tarGzip(t, map[string][]byte{"step": bytes.Repeat([]byte{'a' + byte(i)}, 5000)})
		layers[i] = rig.Descriptor{MediaType: ociLayer, Digest: digest.FromBytes(content).String(), Size: int64(len(content)),
			Annotations: map[string]string{"containerd.io/uncompressed": diffID.String(), "buildkit/createdat": "2026-01-02T03:04:05Z"}}
		r.uploadLikeContainerd(t, repo, layers[i].Digest, content)
	}
	configJSON := []byte(`{"layers":[{"blob":"` + layers[0].Digest + `","parent":-1},{"blob":"` + layers[1].Digest + `"}],` +
		`"records":[{"digest":"` + digest.FromString("step 1").String() + `","layers":[{"layer":1,"createdAt":"2026-01-02T03:04:05Z"}]}]}`)
	config := rig.Descriptor{MediaType: cacheConfig, Digest: digest.FromBytes(configJSON).String(), Size: int64(len(configJSON))}
	r.uploadLikeContainerd(t, repo, config.Digest, configJSON)

	doc := map[string]any{"schemaVersion": 2, "mediaType": ociIndex, "manifests": append(layers, config)}
	if !asIndex {
		doc = map[string]any{"schemaVersion": 2, "mediaType": ociManifest, "config": config, "layers": layers}
	}
	body, err := json.Marshal(doc)
	if err != nil {
		t.Fatal(err)
	}
	dgst := digest.FromBytes(body).String()
	path := "/v2/" + repo + "/manifests/" + tag
	if res, _ := r.Do(t, http.MethodHead, path, http.Header{"Accept": {doc["mediaType"].(string), "*/*"}}, nil); res.StatusCode != http.StatusNotFound &&
		res.StatusCode != http.StatusOK {
		t.Fatalf("HEAD %s: %s", path, res.Status)
	}
	res, answer := r.Do(t, http.MethodPut, path, http.Header{"Content-Type": {doc["mediaType"].(string)}}, body)
	if res.StatusCode != http.StatusCreated || res.Header.Get("Docker-Content-Digest") != dgst {
		t.Fatalf("PUT %s: %s with digest %s, want %s: %s", path, res.Status, res.Header.Get("Docker-Content-Digest"), dgst, answer)
	}
	return dgst
}

// uploadLikeContainerd makes the requests of containerd's pusher, which BuildKit uses: HEAD, POST and one PUT with the
// digest added to the query that the server gave.
func (r *registry) uploadLikeContainerd(t *testing.T, repo, dgst string, content []byte) {
	t.Helper()
	if res, _ := r.Do(t, http.MethodHead, "/v2/"+repo+"/blobs/"+dgst, http.Header{"Accept": {"*/*"}}, nil); res.StatusCode == http.StatusOK {
		return
	}
	start := "/v2/" + repo + "/blobs/uploads/"
	res, body := r.Do(t, http.MethodPost, start, nil, nil)
	if res.StatusCode != http.StatusAccepted {
		t.Fatalf("POST %s: %s: %s", start, res.Status, body)
	}
	location, err := url.Parse(res.Header.Get("Location"))
	if err != nil {
		t.Fatal(err)
	}
	base, err := url.Parse(r.URL + start)
	if err != nil {
		t.Fatal(err)
	}
	location = base.ResolveReference(location)
	query := location.Query()
	query.Add("digest", dgst)
	location.RawQuery = query.Encode()
	res, body = r.Do(t, http.MethodPut, location.String(), http.Header{"Content-Type": {"application/octet-stream"}}, content)
	if res.StatusCode != http.StatusCreated || res.Header.Get("Docker-Content-Digest") != dgst {
		t.Fatalf("PUT %s: %s with digest %s, want %s: %s", location, res.Status, res.Header.Get("Docker-Content-Digest"), dgst, body)
	}
}
