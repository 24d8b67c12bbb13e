package packages

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/packhouse/packhouse/conformance/packhouse"
	"github.com/packhouse/packhouse/conformance/rig"
	"github.com/packhouse/packhouse/conformance/tools"
)

// namespace is where the tests publish.
const namespace = "acme"

func start(t *testing.T) *rig.Registry {
	t.Helper()
	return rig.Start(t, packhouse.Options{})
}

func startTLS(t *testing.T) *rig.Registry {
	t.Helper()
	return rig.Start(t, packhouse.Options{TLS: true})
}

// feed is the URL of a feed, without a trailing slash.
func feed(r *rig.Registry, format string) string { return r.URL + "/" + namespace + "/" + format }

// client is a client as the table names it.
type client struct{ format, name, version string }

// use runs one use of a client: a row of the table.
func (c client) use(t *testing.T, what string, f func(t *testing.T)) bool {
	t.Helper()
	return t.Run(c.name+" "+what, func(t *testing.T) {
		t.Attr("format", c.format)
		t.Attr("client", c.name)
		t.Attr("version", c.version)
		t.Attr("use", what)
		f(t)
	})
}

// oras runs oras with the server's transport.
func oras(t *testing.T, r *rig.Registry, args ...string) string {
	t.Helper()
	path, _ := rig.Tool(t, "oras")
	transport := "--plain-http"
	if r.TLS() {
		transport = "--ca-file=" + r.CACert
	}
	return r.Run(t, append(append([]string{path}, args...), transport)...)
}

// toolDir is the directory of a tool.
func toolDir(t *testing.T, name string) string {
	t.Helper()
	tool, err := tools.Find(name)
	if err != nil {
		t.Fatal(err)
	}
	dir, err := tool.Dir()
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// contents reads every file below dir, by its base name.
func contents(t *testing.T, dir string) map[string][]byte {
	t.Helper()
	files := map[string][]byte{}
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		files[d.Name()], err = os.ReadFile(path)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// holds checks that each of want is among got, whatever its name there.
func holds(t *testing.T, got map[string][]byte, want map[string][]byte) {
	t.Helper()
	for name, content := range want {
		found := false
		for _, other := range got {
			found = found || bytes.Equal(other, content)
		}
		if !found {
			var have []string
			for other, content := range got {
				have = append(have, other+" "+sum(content)[:12])
			}
			t.Errorf("%s with digest %s… is not there, only %s", name, sum(content)[:12], strings.Join(have, ", "))
		}
	}
	if len(want) == 0 {
		t.Error("nothing was compared")
	}
}

func sum(content []byte) string {
	s := sha256.Sum256(content)
	return hex.EncodeToString(s[:])
}

func jsonOf(t *testing.T, v any) string {
	t.Helper()
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// get reads a path below the server, which must answer 200.
func get(t *testing.T, r *rig.Registry, path string) []byte {
	t.Helper()
	body, _ := ask(t, r, http.MethodGet, path, nil, nil, http.StatusOK)
	return body
}

// ask sends one request, checks its status and returns the answer's body and header.
func ask(t *testing.T, r *rig.Registry, method, path string, header http.Header, body []byte, status int) ([]byte, http.Header) {
	t.Helper()
	res, answer := r.Do(t, method, path, header, body)
	if res.StatusCode != status {
		t.Fatalf("%s %s: %s, want %d: %.500s", method, path, res.Status, status, answer)
	}
	return answer, res.Header
}
