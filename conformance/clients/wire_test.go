package clients

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
)

// do sends one request with plain net/http and returns the answer and its whole body.
func (r *registry) do(t *testing.T, method, path string, header http.Header, body []byte) (*http.Response, []byte) {
	t.Helper()
	target := path
	if strings.HasPrefix(path, "/") {
		target = r.URL + path
	}
	req, err := http.NewRequestWithContext(t.Context(), method, target, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if header != nil {
		req.Header = header
	}
	client := r.Client()
	defer client.CloseIdleConnections()
	res, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	content, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatalf("%s %s: %v", method, path, err)
	}
	return res, content
}

// content fetches bytes and checks them against the digest that the answer names.
func (r *registry) content(t *testing.T, path string) ([]byte, *http.Response) {
	t.Helper()
	accept := http.Header{"Accept": {"application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json, " +
		"application/vnd.docker.distribution.manifest.list.v2+json, application/vnd.docker.distribution.manifest.v2+json, */*"}}
	res, body := r.do(t, http.MethodGet, path, accept, nil)
	if res.StatusCode != http.StatusOK {
		t.Fatalf("GET %s: %s: %s", path, res.Status, body)
	}
	if got, want := digest.FromBytes(body).String(), res.Header.Get("Docker-Content-Digest"); got != want {
		t.Fatalf("GET %s: the body has digest %s, the header says %s", path, got, want)
	}
	return body, res
}

// manifest is what the tests look at in any manifest or index.
type manifest struct {
	MediaType    string       `json:"mediaType"`
	ArtifactType string       `json:"artifactType"`
	Config       descriptor   `json:"config"`
	Layers       []descriptor `json:"layers"`
	Manifests    []descriptor `json:"manifests"`
	Subject      *descriptor  `json:"subject"`

	digest string
}

type descriptor struct {
	MediaType    string            `json:"mediaType"`
	ArtifactType string            `json:"artifactType,omitempty"`
	Digest       string            `json:"digest"`
	Size         int64             `json:"size"`
	Annotations  map[string]string `json:"annotations,omitempty"`
	Platform     *platform         `json:"platform,omitempty"`
}

type platform struct {
	OS           string `json:"os"`
	Architecture string `json:"architecture"`
}

// whole reads a manifest by tag or digest, and all it refers to, and checks every size and digest on the way.
func (r *registry) whole(t *testing.T, repo, reference string) manifest {
	t.Helper()
	body, res := r.content(t, "/v2/"+repo+"/manifests/"+reference)
	m := manifest{digest: digest.FromBytes(body).String()}
	if err := json.Unmarshal(body, &m); err != nil {
		t.Fatal(err)
	}
	if got := res.Header.Get("Content-Type"); m.MediaType != "" && got != m.MediaType {
		t.Errorf("%s:%s: Content-Type = %q, its mediaType is %q", repo, reference, got, m.MediaType)
	}
	for _, child := range m.Manifests {
		r.whole(t, repo, child.Digest)
	}
	blobs := m.Layers
	if m.Config.Digest != "" {
		blobs = append([]descriptor{m.Config}, blobs...)
	}
	for _, b := range blobs {
		r.blob(t, repo, b)
	}
	return m
}

func (r *registry) blob(t *testing.T, repo string, d descriptor) []byte {
	t.Helper()
	body, _ := r.content(t, "/v2/"+repo+"/blobs/"+d.Digest)
	if int64(len(body)) != d.Size || digest.FromBytes(body).String() != d.Digest {
		t.Fatalf("blob of %s: got %d bytes with digest %s, want %d and %s", repo, len(body), digest.FromBytes(body), d.Size, d.Digest)
	}
	return body
}

// gone checks that a path answers 404.
func (r *registry) gone(t *testing.T, path string) {
	t.Helper()
	if res, body := r.do(t, http.MethodGet, path, nil, nil); res.StatusCode != http.StatusNotFound {
		t.Errorf("GET %s: %s, want 404: %s", path, res.Status, body)
	}
}
