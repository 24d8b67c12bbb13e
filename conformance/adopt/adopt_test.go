package adopt

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/packhouse/packhouse/conformance/packhouse"
)

const (
	imageType = "application/vnd.oci.image.manifest.v1+json"
	indexType = "application/vnd.oci.image.index.v1+json"
	dockerV2  = "application/vnd.docker.distribution.manifest.v2+json"
)

// images is how many ordinary ones there are: enough that a kill hits the middle.
const images = 100

// Everything a client can read of the old registry reads the same after adoption, however often that was killed.
func TestAdoptRealRegistry(t *testing.T) {
	data := t.TempDir()
	old := startDistribution(t, data)
	p := &pusher{t: t, url: old.url}
	p.fill()
	before := p.read()
	old.stop()

	binary, err := packhouse.Binary(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	args := []string{"adopt", "--data", data}
	var out string
	for after := 50 * time.Millisecond; out == ""; after += 50 * time.Millisecond {
		out = runOrKill(t, binary, args, after)
	}
	t.Logf("the last run: %s", out) // known already: what the killed ones had taken
	if !strings.Contains(out, " 0 things skipped") {
		t.Error("something was skipped")
	}
	again, err := exec.CommandContext(t.Context(), binary, args...).CombinedOutput()
	if err != nil || !strings.Contains(string(again), "adopted 0 manifests, 0 tags and 0 blobs") {
		t.Errorf("adopting twice: %v\n%s", err, again)
	}
	if out, err := exec.CommandContext(t.Context(), binary, "fsck", "--data", data).CombinedOutput(); err != nil {
		t.Errorf("fsck: %v\n%s", err, out)
	}

	s, err := packhouse.Start(t.Context(), packhouse.Options{Data: data})
	if err != nil {
		t.Fatal(err)
	}
	p.url = s.URL
	after := p.read()
	if len(after) != len(before) || len(before) < 4*images {
		t.Errorf("%d things were readable, %d are now", len(before), len(after))
	}
	for path, was := range before {
		if is := after[path]; is != was {
			t.Errorf("%s: was %.300q, is %.300q", path, was, is)
		}
	}
	if err := s.Stop(); err != nil {
		t.Error(err)
	}
}

// runOrKill runs a command and kills it after d; it returns its output when it ended before.
func runOrKill(t *testing.T, binary string, args []string, d time.Duration) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	defer cancel()
	out, err := exec.CommandContext(ctx, binary, args...).CombinedOutput()
	switch {
	case ctx.Err() != nil && err != nil:
		return ""
	case err != nil:
		t.Fatalf("adopt: %v\n%s", err, out)
	}
	return string(out)
}

// pusher speaks raw HTTP to either registry.
type pusher struct {
	t     *testing.T
	url   string
	paths []string // what read asks for, after /v2/
}

type manifest struct {
	digest, mediaType string
	raw               []byte
}

func (p *pusher) fill() {
	for i := range images {
		repo := fmt.Sprintf("team%d/app%d", i%7, i%40)
		if i%5 == 0 {
			repo += "/nested/deep-er"
		}
		p.image(repo, imageType, fmt.Sprint(i), fmt.Sprintf("v%d", i), "moved")
	}
	p.image("alpine", dockerV2, "docker", "3", "latest")
	a, b := p.image("multi/arch", imageType, "amd64"), p.image("multi/arch", imageType, "arm64")
	inner := p.manifest("multi/arch", index(a, b))
	p.manifest("multi/arch", index(inner, a), "all")
	subject := a
	p.manifest("multi/arch", image(imageType, p.blob("multi/arch", "config sbom"), nil, &subject))

	p.image("multi/arch", imageType, "deleted tag", "gone")
	p.do("DELETE", "multi/arch/manifests/gone", "", nil, http.StatusAccepted)
	doomed := p.image("multi/arch", imageType, "deleted manifest", "doomed")
	p.do("DELETE", "multi/arch/manifests/"+doomed.digest, "", nil, http.StatusAccepted)

	content := []byte("config by sha512")
	p.blob("multi/hash", string(content)) // the canonical digest as well
	alias := fmt.Sprintf("sha512:%x", sha512.Sum512(content))
	p.upload("multi/hash", alias, content)
	p.manifest("multi/hash", image(imageType, alias, nil, nil), "v1")
	p.paths = append(p.paths, "multi/hash/blobs/"+alias)
}

func (p *pusher) image(repo, mediaType, seed string, tags ...string) manifest {
	return p.manifest(repo, image(mediaType, p.blob(repo, "config "+seed), []string{p.blob(repo, "shared"), p.blob(repo, strings.Repeat("layer "+seed, 500))}, nil), tags...)
}

func image(mediaType, config string, layers []string, subject *manifest) manifest {
	describe := func(digest string) map[string]any {
		return map[string]any{"mediaType": "application/octet-stream", "digest": digest, "size": sizes[digest]}
	}
	m := map[string]any{"schemaVersion": 2, "mediaType": mediaType, "config": describe(config), "layers": []any{}}
	for _, l := range layers {
		m["layers"] = append(m["layers"].([]any), describe(l))
	}
	if subject != nil {
		m["subject"] = subject.descriptor()
	}
	return render(mediaType, m)
}

func index(children ...manifest) manifest {
	m := map[string]any{"schemaVersion": 2, "mediaType": indexType, "manifests": []any{}}
	for _, c := range children {
		m["manifests"] = append(m["manifests"].([]any), c.descriptor())
	}
	return render(indexType, m)
}

func (m manifest) descriptor() map[string]any {
	return map[string]any{"mediaType": m.mediaType, "digest": m.digest, "size": len(m.raw)}
}

func render(mediaType string, v any) manifest {
	raw, err := json.MarshalIndent(v, "", "   ")
	if err != nil {
		panic(err) // maps and strings encode
	}
	return manifest{digest: sha(raw), mediaType: mediaType, raw: raw}
}

func sha(b []byte) string { return fmt.Sprintf("sha256:%x", sha256.Sum256(b)) }

// sizes is the length of every blob that was pushed, by digest.
var sizes = map[string]int{}

func (p *pusher) blob(repo, content string) string {
	d := sha([]byte(content))
	p.upload(repo, d, []byte(content))
	p.paths = append(p.paths, repo+"/blobs/"+d)
	return d
}

func (p *pusher) upload(repo, digest string, content []byte) {
	sizes[digest] = len(content)
	res, _ := p.do("POST", repo+"/blobs/uploads/", "", nil, http.StatusAccepted)
	at := res.Header.Get("Location") + "&digest=" + digest
	p.do("PUT", at, "application/octet-stream", content, http.StatusCreated)
}

func (p *pusher) manifest(repo string, m manifest, tags ...string) manifest {
	for _, ref := range append(tags, m.digest) {
		p.do("PUT", repo+"/manifests/"+ref, m.mediaType, m.raw, http.StatusCreated)
		p.paths = append(p.paths, repo+"/manifests/"+ref, repo+"/tags/list")
	}
	return m
}

// read asks for all that was pushed.
func (p *pusher) read() map[string]string {
	seen := map[string]string{}
	for _, path := range append(p.paths, "_catalog?n=1000") {
		res, body := p.do("GET", path, "", nil, 0)
		if strings.Contains(path, "manifests/") {
			body = append([]byte(res.Header.Get("Docker-Content-Digest")+" "+res.Header.Get("Content-Type")+" "), body...)
		}
		if res.StatusCode != http.StatusOK {
			body = nil // error bodies may differ
		}
		if strings.HasSuffix(path, "/tags/list") {
			body = bytes.TrimSpace(body)
		}
		seen[path] = fmt.Sprint(res.StatusCode, " ", string(bytes.TrimSpace(body)))
	}
	return seen
}

func (p *pusher) do(method, path, contentType string, body []byte, want int) (*http.Response, []byte) {
	p.t.Helper()
	if !strings.Contains(path, "://") {
		path = p.url + "/v2/" + path
	}
	req, err := http.NewRequestWithContext(p.t.Context(), method, path, bytes.NewReader(body))
	if err != nil {
		p.t.Fatal(err)
	}
	req.Header.Set("Content-Type", contentType)
	req.Header["Accept"] = []string{imageType, indexType, dockerV2}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		p.t.Fatal(err)
	}
	answer, err := io.ReadAll(res.Body)
	_ = res.Body.Close()
	if err != nil || want != 0 && res.StatusCode != want {
		p.t.Fatalf("%s %s: %s, %v\n%s", method, path, res.Status, err, answer)
	}
	return res, answer
}
