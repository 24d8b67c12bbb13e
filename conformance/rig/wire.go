package rig

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
)

// Do sends one request with plain net/http and returns the answer and its whole body.
func (r *Registry) Do(t *testing.T, method, path string, header http.Header, body []byte) (*http.Response, []byte) {
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

// Content fetches bytes and checks them against the digest that the answer names.
func (r *Registry) Content(t *testing.T, path string) ([]byte, *http.Response) {
	t.Helper()
	accept := http.Header{"Accept": {"application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json, " +
		"application/vnd.docker.distribution.manifest.list.v2+json, application/vnd.docker.distribution.manifest.v2+json, */*"}}
	res, body := r.Do(t, http.MethodGet, path, accept, nil)
	if res.StatusCode != http.StatusOK {
		t.Fatalf("GET %s: %s: %s", path, res.Status, body)
	}
	if got, want := digest.FromBytes(body).String(), res.Header.Get("Docker-Content-Digest"); got != want {
		t.Fatalf("GET %s: the body has digest %s, the header says %s", path, got, want)
	}
	return body, res
}

// Manifest is what the tests look at in any manifest or index.
type Manifest struct {
	MediaType    string       `json:"mediaType"`
	ArtifactType string       `json:"artifactType"`
	Config       Descriptor   `json:"config"`
	Layers       []Descriptor `json:"layers"`
	Manifests    []Descriptor `json:"manifests"`
	Subject      *Descriptor  `json:"subject"`

	Digest string `json:"-"` // of its bytes
}

// Descriptor points to content.
type Descriptor struct {
	MediaType    string            `json:"mediaType"`
	ArtifactType string            `json:"artifactType,omitempty"`
	Digest       string            `json:"digest"`
	Size         int64             `json:"size"`
	Annotations  map[string]string `json:"annotations,omitempty"`
	Platform     *Platform         `json:"platform,omitempty"`
}

// Platform is what an image is for.
type Platform struct {
	OS           string `json:"os"`
	Architecture string `json:"architecture"`
}

// Whole reads a manifest by tag or digest, and all it refers to, and checks every size and digest on the way.
func (r *Registry) Whole(t *testing.T, repo, reference string) Manifest {
	t.Helper()
	body, res := r.Content(t, "/v2/"+repo+"/manifests/"+reference)
	m := Manifest{Digest: digest.FromBytes(body).String()}
	if err := json.Unmarshal(body, &m); err != nil {
		t.Fatal(err)
	}
	if got := res.Header.Get("Content-Type"); m.MediaType != "" && got != m.MediaType {
		t.Errorf("%s:%s: Content-Type = %q, its mediaType is %q", repo, reference, got, m.MediaType)
	}
	for _, child := range m.Manifests {
		r.Whole(t, repo, child.Digest)
	}
	blobs := m.Layers
	if m.Config.Digest != "" {
		blobs = append([]Descriptor{m.Config}, blobs...)
	}
	for _, b := range blobs {
		r.Blob(t, repo, b)
	}
	return m
}

// Blob reads a blob and checks its size and digest.
func (r *Registry) Blob(t *testing.T, repo string, d Descriptor) []byte {
	t.Helper()
	body, _ := r.Content(t, "/v2/"+repo+"/blobs/"+d.Digest)
	if int64(len(body)) != d.Size || digest.FromBytes(body).String() != d.Digest {
		t.Fatalf("blob of %s: got %d bytes with digest %s, want %d and %s", repo, len(body), digest.FromBytes(body), d.Size, d.Digest)
	}
	return body
}

// Gone checks that a path answers 404.
func (r *Registry) Gone(t *testing.T, path string) {
	t.Helper()
	if res, body := r.Do(t, http.MethodGet, path, nil, nil); res.StatusCode != http.StatusNotFound {
		t.Errorf("GET %s: %s, want 404: %s", path, res.Status, body)
	}
}
