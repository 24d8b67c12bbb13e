package clients

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/packhouse/packhouse/conformance/rig"
)

func TestHelm(t *testing.T) {
	t.Parallel()
	path, version := rig.Tool(t, "helm")
	overHTTPAndTLS(t, "helm", version, func(t *testing.T, r *registry) {
		transport := "--plain-http"
		if r.TLS() {
			transport = "--ca-file=" + r.CACert
		}
		helm := func(t *testing.T, args ...string) string {
			t.Helper()
			return r.Run(t, append(append([]string{path}, args...), transport)...)
		}
		r.File(t, "web/Chart.yaml", []byte("apiVersion: v2\nname: web\nversion: 1.2.3+build.4\nappVersion: \"7\"\ndescription: A chart.\n"))
		r.File(t, "web/values.yaml", []byte("greeting: hello\n"))
		r.File(t, "web/templates/config.yaml", []byte(
			"apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: {{ .Release.Name }}\ndata:\n  greeting: {{ .Values.greeting }}\n"))
		r.Run(t, path, "package", "web")
		packed, err := os.ReadFile(filepath.Join(r.Home, "web-1.2.3+build.4.tgz"))
		if err != nil {
			t.Fatal(err)
		}
		charts := "oci://" + r.Host + "/acme/charts"
		t.Run("push", func(t *testing.T) {
			helm(t, "push", "web-1.2.3+build.4.tgz", charts)
			m := r.Whole(t, "acme/charts/web", "1.2.3_build.4")
			rig.Equal(t, "config", m.Config.MediaType, "application/vnd.cncf.helm.config.v1+json")
			rig.Equal(t, "chart", m.Layers[0].Digest, digest.FromBytes(packed).String())
		})
		t.Run("push again is idempotent", func(t *testing.T) {
			first := r.Whole(t, "acme/charts/web", "1.2.3_build.4").Digest
			helm(t, "push", "web-1.2.3+build.4.tgz", charts)
			rig.Equal(t, "second push", r.Whole(t, "acme/charts/web", "1.2.3_build.4").Digest, first)
		})
		t.Run("pull and show", func(t *testing.T) {
			if err := os.Mkdir(filepath.Join(r.Home, "pulled"), 0o755); err != nil {
				t.Fatal(err)
			}
			helm(t, "pull", charts+"/web", "--version=1.2.3+build.4", "--destination=pulled")
			pulled, err := os.ReadFile(filepath.Join(r.Home, "pulled", "web-1.2.3+build.4.tgz"))
			if err != nil || string(pulled) != string(packed) {
				t.Errorf("pulled %d bytes, want the %d pushed ones (%v)", len(pulled), len(packed), err)
			}
			rig.Contains(t, helm(t, "show", "chart", charts+"/web", "--version=1.2.3+build.4"), "version: 1.2.3+build.4")
			rig.Contains(t, helm(t, "show", "values", charts+"/web"), "greeting: hello")
		})
		t.Run("template and install --dry-run", func(t *testing.T) {
			out := helm(t, "template", "rel", charts+"/web", "--version=^1.0.0", "--set=greeting=hi")
			rig.Contains(t, out, "greeting: hi", "name: rel")
			out = helm(t, "install", "rel", charts+"/web", "--dry-run=client", "--kube-apiserver="+rig.EmptyCluster(t), "--disable-openapi-validation")
			rig.Contains(t, out, "greeting: hello", "STATUS: pending-install")
		})
		t.Run("dependency from the registry", func(t *testing.T) {
			r.File(t, "app/Chart.yaml", []byte("apiVersion: v2\nname: app\nversion: 0.1.0\ndependencies:\n- name: web\n  version: 1.2.x\n  repository: "+charts+"\n"))
			helm(t, "dependency", "update", "app")
			rig.Contains(t, strings.Join(fileNames(t, filepath.Join(r.Home, "app/charts")), " "), "web-1.2.3+build.4.tgz")
		})
	})
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
