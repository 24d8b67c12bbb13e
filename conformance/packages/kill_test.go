package packages

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"mime/multipart"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/packhouse/packhouse/conformance/packhouse"
	"github.com/packhouse/packhouse/conformance/rig"
)

const (
	killRounds   = 3
	killRequests = 40 // of each round, by killWorkers at a time
	killWorkers  = 6
)

// request is one that publishes, and what is to be seen of it.
type request struct {
	method, path, contentType string
	body                      []byte

	file    string // path of what it publishes
	content []byte
	list    string // path of a document that names it, if it is there
	listed  string // how
	repo    string // by OCI, with the tag
	tag     string
}

// killFormat makes the i-th request. Those of one format go to few releases, so that releases grow while they are killed.
type killFormat struct {
	name    string
	request func(t *testing.T, i int) request
}

func killFormats() []killFormat {
	return []killFormat{
		{"npm", func(t *testing.T, i int) request {
			t.Helper()
			version := fmt.Sprintf("1.0.%d", i)
			tarball := npmTarball(t, "killed", version)
			return request{
				method: http.MethodPut, path: npmPath + "/killed", contentType: "application/json",
				body: npmBody("killed", version, "latest", tarball, ""), file: npmPath + "/killed/-/killed-" + version + ".tgz", content: tarball,
				list: npmPath + "/killed", listed: `"version":"` + version + `"`, repo: "acme/npm/killed", tag: version,
			}
		}},
		{"pypi", func(t *testing.T, i int) request {
			t.Helper()
			d := pythonDistribution{name: "killed", version: fmt.Sprintf("1.%d", i%3)}
			// Wheels of different builds of one version.
			name := fmt.Sprintf("killed-%s-%d-py3-none-any.whl", d.version, i)
			var form bytes.Buffer
			w := multipart.NewWriter(&form)
			content := d.wheel(t)
			for _, field := range [][2]string{{":action", "file_upload"}, {"name", d.name}, {"version", d.version}, {"filetype", "bdist_wheel"}, {"sha256_digest", sum(content)}} {
				_ = w.WriteField(field[0], field[1]) // into memory
			}
			part, _ := w.CreateFormFile("content", name)
			_, _ = part.Write(content)
			_ = w.Close()
			return request{
				method: http.MethodPost, path: pypiPath + "/", contentType: w.FormDataContentType(), body: form.Bytes(),
				file: pypiPath + "/files/killed/" + d.version + "/" + name, content: content,
				list: pypiPath + "/simple/killed/", listed: ">" + name + "<", repo: "acme/pypi/killed", tag: d.version,
			}
		}},
		{"maven", func(t *testing.T, i int) request {
			t.Helper()
			version := fmt.Sprintf("1.%d.0", i/2)
			base := mavenPath + "/com/acme/killed/" + version + "/killed-" + version
			if i%2 == 0 {
				content := jar(t, "x", version)
				return request{
					method: http.MethodPut, path: base + ".jar", body: content, file: base + ".jar", content: content,
					repo: "acme/maven/com.acme/killed", tag: version,
				}
			}
			content := []byte(pom("com.acme", "killed", version))
			return request{
				method: http.MethodPut, path: base + ".pom", body: content, file: base + ".pom", content: content,
				list: mavenPath + "/com/acme/killed/maven-metadata.xml", listed: "<version>" + version + "</version>",
				repo: "acme/maven/com.acme/killed", tag: version,
			}
		}},
		{"helm", func(t *testing.T, i int) request {
			t.Helper()
			version := fmt.Sprintf("1.0.%d", i)
			content := tarGzip(t, "killed/Chart.yaml", "apiVersion: v2\nname: killed\nversion: "+version+"\n", "killed/values.yaml", "a: 1\n")
			return request{
				method: http.MethodPost, path: "/api" + helmPath + "/charts", contentType: "application/gzip", body: content,
				file: helmPath + "/charts/killed-" + version + ".tgz", content: content,
				list: helmPath + "/index.yaml", listed: sum(content), repo: "acme/helm/killed", tag: version,
			}
		}},
		{"generic", func(t *testing.T, i int) request {
			t.Helper()
			version, content := fmt.Sprintf("1.%d", i%3), bytes.Repeat([]byte(fmt.Sprintln(i)), 20_000)
			file := fmt.Sprintf("%s/generic/killed/%s/file-%d.bin", "/"+namespace, version, i)
			return request{
				method: http.MethodPut, path: file, body: content, file: file, content: content,
				list: "/" + namespace + "/generic/killed/" + version + "/", listed: fmt.Sprintf(`"file-%d.bin"`, i), repo: "acme/generic/killed", tag: version,
			}
		}},
	}
}

// TestKill kills the server while clients publish. What was answered is there after the next start; what was not is there
// whole or not at all, and succeeds when it is sent again.
func TestKill(t *testing.T) {
	t.Parallel()
	for _, f := range killFormats() {
		t.Run(f.name, func(t *testing.T) {
			t.Parallel()
			data := filepath.Join(t.TempDir(), "data")
			requests := make([]request, 0, killRounds*killRequests)
			for i := range killRounds * killRequests {
				requests = append(requests, f.request(t, i))
			}
			answered := map[int]bool{}
			for round := range killRounds {
				r := startOn(t, data)
				killWhile(t, r, requests, round, answered)
				_ = r.Kill() // the replicas that are left
				r = startOn(t, data)
				there := 0
				for i := range (round + 1) * killRequests {
					if whole(t, r, requests[i], answered[i]) {
						there++
					}
				}
				t.Logf("round %d: %d answered, %d there, of %d", round, len(answered), there, (round+1)*killRequests)
				if err := r.Stop(); err != nil {
					t.Fatal(err)
				}
			}
			r := startOn(t, data)
			for i, q := range requests {
				if status, err := q.send(t.Context(), r); err != nil || status/100 != 2 {
					t.Errorf("request %d again: %d, %v", i, status, err)
				}
				whole(t, r, q, true)
			}
			if err := r.Stop(); err != nil {
				t.Fatal(err)
			}
			fsck(t, data, r.Shared)
		})
	}
}

func startOn(t *testing.T, data string) *rig.Registry {
	t.Helper()
	s, err := packhouse.Start(t.Context(), packhouse.Options{Data: data})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Kill() })
	return &rig.Registry{Server: s}
}

// killWhile sends a round's requests, kills the server after some of them and notes which were answered.
func killWhile(t *testing.T, r *rig.Registry, requests []request, round int, answered map[int]bool) {
	t.Helper()
	turns := make(chan int, killRequests)
	for i := round * killRequests; i < (round+1)*killRequests; i++ {
		turns <- i
	}
	close(turns)
	after := 5 + rand.IntN(killRequests-15)
	enough := make(chan struct{})
	var all sync.Mutex
	var workers sync.WaitGroup
	count := 0
	for range killWorkers {
		workers.Go(func() {
			for i := range turns {
				status, err := requests[i].send(t.Context(), r)
				if err != nil {
					continue // the server is gone
				}
				all.Lock()
				if status/100 == 2 {
					answered[i] = true
				} else {
					t.Errorf("request %d: status %d", i, status)
				}
				if count++; count == after {
					close(enough)
				}
				all.Unlock()
			}
		})
	}
	select {
	case <-enough:
	case <-time.After(time.Minute):
		t.Error("the requests take more than a minute")
	}
	killed := r.Kill
	if n := len(r.Replicas); n > 0 && round > 0 { // then one alone, and the others answer the rest
		killed = r.Replicas[round%n].Kill
	}
	if err := killed(); err != nil {
		t.Error(err)
	}
	workers.Wait()
}

func (q request) send(ctx context.Context, r *rig.Registry) (int, error) {
	req, err := http.NewRequestWithContext(ctx, q.method, r.URL+q.path, bytes.NewReader(q.body))
	if err != nil {
		return 0, err
	}
	if q.contentType != "" {
		req.Header.Set("Content-Type", q.contentType)
	}
	client := r.Client()
	defer client.CloseIdleConnections()
	res, err := client.Do(req)
	if err != nil {
		return 0, err
	}
	_, err = io.Copy(io.Discard, res.Body)
	return res.StatusCode, errors.Join(err, res.Body.Close())
}

// whole checks that what a request published is served, listed and there by OCI, or nothing of it, which is not allowed
// when it was answered. It reports which.
func whole(t *testing.T, r *rig.Registry, q request, answered bool) bool {
	t.Helper()
	res, body := r.Do(t, http.MethodGet, q.file, nil, nil)
	served := res.StatusCode == http.StatusOK
	if served && !bytes.Equal(body, q.content) {
		t.Errorf("%s: %d bytes, want the %d published ones", q.file, len(body), len(q.content))
	}
	listed := served
	if q.list != "" {
		_, document := r.Do(t, http.MethodGet, q.list, http.Header{"Accept": {"text/html;q=0.5, */*;q=0.4"}}, nil)
		if strings.HasSuffix(q.list, "/") && strings.Contains(q.list, "/generic/") {
			_, document = r.Do(t, http.MethodGet, q.list, nil, nil)
		}
		listed = strings.Contains(string(document), q.listed)
	}
	byOCI := false
	if res, manifest := r.Do(t, http.MethodGet, "/v2/"+q.repo+"/manifests/"+q.tag, nil, nil); res.StatusCode == http.StatusOK {
		byOCI = strings.Contains(string(manifest), "sha256:"+sum(q.content))
	}
	// A wheel's bytes may be those of another build.
	if served != listed || served && !byOCI {
		t.Errorf("%s: served %v, listed %v, in the manifest %v", q.file, served, listed, byOCI)
	}
	if answered && !served {
		t.Errorf("%s was answered and is gone", q.file)
	}
	return served
}

func fsck(t *testing.T, data string, env []string) {
	t.Helper()
	binary, err := packhouse.Binary(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), binary, "fsck", "--data", data)
	cmd.Env = append(os.Environ(), env...)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("fsck: %v\n%s", err, out)
	}
}
