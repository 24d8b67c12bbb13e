package clients

import (
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
)

func TestHelm(t *testing.T) {
	t.Parallel()
	path, version := goTool(t, "helm")
	overHTTPAndTLS(t, "helm", version, func(t *testing.T, r *registry) {
		transport := "--plain-http"
		if r.tls() {
			transport = "--ca-file=" + r.CACert
		}
		helm := func(t *testing.T, args ...string) string {
			t.Helper()
			return r.run(t, append(append([]string{path}, args...), transport)...)
		}
		r.file(t, "web/Chart.yaml", []byte("apiVersion: v2\nname: web\nversion: 1.2.3+build.4\nappVersion: \"7\"\ndescription: A chart.\n"))
		r.file(t, "web/values.yaml", []byte("greeting: hello\n"))
		r.file(t, "web/templates/config.yaml", []byte(
			"apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: {{ .Release.Name }}\ndata:\n  greeting: {{ .Values.greeting }}\n"))
		r.run(t, path, "package", "web")
		packed, err := os.ReadFile(filepath.Join(r.home, "web-1.2.3+build.4.tgz"))
		if err != nil {
			t.Fatal(err)
		}
		charts := "oci://" + r.Host + "/acme/charts"
		t.Run("push", func(t *testing.T) {
			helm(t, "push", "web-1.2.3+build.4.tgz", charts)
			m := r.whole(t, "acme/charts/web", "1.2.3_build.4")
			equal(t, "config", m.Config.MediaType, "application/vnd.cncf.helm.config.v1+json")
			equal(t, "chart", m.Layers[0].Digest, digest.FromBytes(packed).String())
		})
		t.Run("push again is idempotent", func(t *testing.T) {
			first := r.whole(t, "acme/charts/web", "1.2.3_build.4").digest
			helm(t, "push", "web-1.2.3+build.4.tgz", charts)
			equal(t, "second push", r.whole(t, "acme/charts/web", "1.2.3_build.4").digest, first)
		})
		t.Run("pull and show", func(t *testing.T) {
			if err := os.Mkdir(filepath.Join(r.home, "pulled"), 0o755); err != nil {
				t.Fatal(err)
			}
			helm(t, "pull", charts+"/web", "--version=1.2.3+build.4", "--destination=pulled")
			pulled, err := os.ReadFile(filepath.Join(r.home, "pulled", "web-1.2.3+build.4.tgz"))
			if err != nil || string(pulled) != string(packed) {
				t.Errorf("pulled %d bytes, want the %d pushed ones (%v)", len(pulled), len(packed), err)
			}
			contains(t, helm(t, "show", "chart", charts+"/web", "--version=1.2.3+build.4"), "version: 1.2.3+build.4")
			contains(t, helm(t, "show", "values", charts+"/web"), "greeting: hello")
		})
		t.Run("template and install --dry-run", func(t *testing.T) {
			out := helm(t, "template", "rel", charts+"/web", "--version=^1.0.0", "--set=greeting=hi")
			contains(t, out, "greeting: hi", "name: rel")
			out = helm(t, "install", "rel", charts+"/web", "--dry-run=client", "--kube-apiserver="+emptyCluster(t), "--disable-openapi-validation")
			contains(t, out, "greeting: hello", "STATUS: pending-install")
		})
		t.Run("dependency from the registry", func(t *testing.T) {
			r.file(t, "app/Chart.yaml", []byte("apiVersion: v2\nname: app\nversion: 0.1.0\ndependencies:\n- name: web\n  version: 1.2.x\n  repository: "+charts+"\n"))
			helm(t, "dependency", "update", "app")
			contains(t, strings.Join(fileNames(t, filepath.Join(r.home, "app/charts")), " "), "web-1.2.3+build.4.tgz")
		})
	})
}

// emptyCluster is as much of a Kubernetes API server as `helm install --dry-run=client` insists on: it must be there and
// know what a ConfigMap is.
func emptyCluster(t *testing.T) string {
	t.Helper()
	mux := http.NewServeMux()
	for path, body := range map[string]string{
		"/version": `{"major":"1","minor":"31","gitVersion":"v1.31.0"}`,
		"/api":     `{"kind":"APIVersions","versions":["v1"]}`,
		"/apis":    `{"kind":"APIGroupList","apiVersion":"v1","groups":[]}`,
		"/api/v1": `{"kind":"APIResourceList","groupVersion":"v1","resources":[
			{"name":"configmaps","singularName":"configmap","namespaced":true,"kind":"ConfigMap","verbs":["get"]}]}`,
	} {
		mux.HandleFunc(path, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			_, _ = io.WriteString(w, body)
		})
	}
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	return server.URL
}

func fileNames(t *testing.T, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	names := make([]string, len(entries))
	for i, e := range entries {
		names[i] = e.Name()
	}
	return names
}
