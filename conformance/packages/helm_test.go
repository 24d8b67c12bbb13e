package packages

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/packhouse/packhouse/conformance/rig"
)

// helm runs helm with the server's transport.
func helm(t *testing.T, r *rig.Registry, args ...string) string {
	t.Helper()
	path, _ := rig.Tool(t, "helm")
	if r.TLS() {
		args = append(args, "--ca-file="+r.CACert)
	} else if len(args) > 1 && strings.Contains(strings.Join(args, " "), "oci://") {
		args = append(args, "--plain-http")
	}
	return r.Run(t, append([]string{path}, args...)...)
}

// chart writes a chart and packages it, and returns the file's name below r.Home.
func chart(t *testing.T, r *rig.Registry, name, version, more string) string {
	t.Helper()
	r.File(t, name+"/Chart.yaml", []byte(fmt.Sprintf("apiVersion: v2\nname: %s\nversion: %s\nappVersion: \"1.10\"\ndescription: A test chart.\n%s", name, version, more)))
	r.File(t, name+"/values.yaml", []byte("greeting: hello\n"))
	r.File(t, name+"/templates/config.yaml", []byte(
		"apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: {{ .Release.Name }}-{{ .Chart.Name }}\ndata:\n  greeting: {{ .Values.greeting }} from {{ .Chart.Version }}\n"))
	path, _ := rig.Tool(t, "helm")
	r.Run(t, path, "package", name)
	return name + "-" + version + ".tgz"
}

func ociCharts(r *rig.Registry) string { return "oci://" + r.Host + "/" + namespace + "/helm" }

// upload publishes a chart as ChartMuseum's clients do.
func upload(t *testing.T, r *rig.Registry, file string) {
	t.Helper()
	body, _ := ask(t, r, http.MethodPost, "/api/"+namespace+"/helm/charts", http.Header{"Content-Type": {"application/gzip"}}, r.Read(t, file), http.StatusCreated)
	rig.Contains(t, string(body), `"saved":true`)
}

func TestHelm(t *testing.T) {
	t.Parallel()
	_, version := rig.Tool(t, "helm")
	c := client{"helm", "helm", version}
	for _, transport := range []string{"HTTP", "TLS"} {
		t.Run(transport, func(t *testing.T) {
			t.Parallel()
			if transport == "TLS" {
				c := c
				c.use(t, "push, repo add and pull over TLS", func(t *testing.T) { helmSmoke(t, startTLS(t)) })
				return
			}
			r := start(t)
			web := chart(t, r, "web", "1.2.3+build.4", "")
			c.use(t, "push by OCI, pull from the classic repository", func(t *testing.T) {
				helm(t, r, "push", web, ociCharts(r))
				home := r.In(t)
				helm(t, home, "repo", "add", "acme", feed(r, "helm")+"/")
				rig.Contains(t, helm(t, home, "search", "repo", "acme/web", "--versions"), "1.2.3+build.4")
				helm(t, home, "pull", "acme/web", "--version=1.2.3+build.4")
				holds(t, map[string][]byte{web: home.Read(t, web)}, map[string][]byte{web: r.Read(t, web)})
			})
			c.use(t, "upload to ChartMuseum's API, pull by OCI", func(t *testing.T) {
				file := chart(t, r, "api", "0.1.0", "")
				upload(t, r, file)
				home := r.In(t)
				helm(t, home, "pull", ociCharts(r)+"/api", "--version=0.1.0")
				holds(t, map[string][]byte{file: home.Read(t, file)}, map[string][]byte{file: r.Read(t, file)})
				rig.Contains(t, helm(t, home, "show", "chart", ociCharts(r)+"/api"), "version: 0.1.0")
			})
			c.use(t, "repo update finds what was pushed since", func(t *testing.T) {
				home := r.In(t)
				helm(t, home, "repo", "add", "acme", feed(r, "helm")+"/")
				helm(t, r, "push", chart(t, r, "web", "1.3.0", ""), ociCharts(r))
				helm(t, home, "repo", "update")
				rig.Contains(t, helm(t, home, "search", "repo", "acme/web"), "1.3.0")
				rig.Contains(t, helm(t, home, "show", "chart", "acme/web"), `appVersion: "1.10"`)
			})
			c.use(t, "template and install --dry-run from both", func(t *testing.T) {
				home := r.In(t)
				helm(t, home, "repo", "add", "acme", feed(r, "helm")+"/")
				cluster := rig.EmptyCluster(t)
				for _, ref := range []string{"acme/web", ociCharts(r) + "/web"} {
					rig.Contains(t, helm(t, home, "template", "rel", ref, "--version=^1.3.0", "--set=greeting=hi"), "greeting: hi from 1.3.0")
					rig.Contains(t, helm(t, home, "install", "rel", ref, "--dry-run=client", "--kube-apiserver="+cluster, "--disable-openapi-validation"),
						"STATUS: pending-install")
				}
			})
			c.use(t, "dependencies from both", func(t *testing.T) {
				home := r.In(t)
				home.File(t, "app/Chart.yaml", []byte("apiVersion: v2\nname: app\nversion: 0.1.0\ndependencies:\n- name: web\n  version: 1.3.x\n  repository: "+
					feed(r, "helm")+"/\n- name: api\n  version: 0.x\n  repository: "+ociCharts(r)+"\n"))
				helm(t, home, "dependency", "update", "app")
				got := contents(t, filepath.Join(home.Home, "app", "charts"))
				if got["web-1.3.0.tgz"] == nil || got["api-0.1.0.tgz"] == nil {
					t.Errorf("got %d charts, want web and api", len(got))
				}
			})
			c.use(t, "package --sign, push and pull --verify", func(t *testing.T) { helmProvenance(t, r) })
			c.use(t, "push of other bytes under the same version is refused", func(t *testing.T) {
				home := r.In(t)
				file := chart(t, home, "web", "1.3.0", "keywords: [other]\n")
				path, _ := rig.Tool(t, "helm")
				home.Refuse(t, path, "push", file, ociCharts(r), "--plain-http")
				ask(t, r, http.MethodPost, "/api/"+namespace+"/helm/charts", nil, home.Read(t, file), http.StatusConflict)
				helm(t, home, "repo", "add", "acme", feed(r, "helm")+"/")
				helm(t, home, "pull", "acme/web", "--version=1.3.0", "--destination="+t.TempDir())
			})
		})
	}
}

func helmSmoke(t *testing.T, r *rig.Registry) {
	t.Helper()
	web := chart(t, r, "web", "1.0.0", "")
	helm(t, r, "push", web, ociCharts(r))
	home := r.In(t)
	helm(t, home, "repo", "add", "acme", feed(r, "helm")+"/")
	helm(t, home, "pull", "acme/web")
	holds(t, map[string][]byte{web: home.Read(t, web)}, map[string][]byte{web: r.Read(t, web)})
}

// helmProvenance signs a chart with a GnuPG key, pushes both files by OCI and verifies what comes back, from both sides.
func helmProvenance(t *testing.T, r *rig.Registry) {
	t.Helper()
	path, _ := rig.Tool(t, "helm")
	home := r.In(t)
	keys, err := os.MkdirTemp("", "gnupg") //nolint:usetesting // the name of a socket in it must be short
	if err != nil {
		t.Fatal(err)
	}
	home.Env = append(home.Env, "GNUPGHOME="+keys)
	t.Cleanup(func() {
		_ = os.RemoveAll(keys)
	})
	defer home.Run(t, "gpgconf", "--kill", "all")
	home.Run(t, "gpg", "--batch", "--passphrase", "", "--quick-generate-key", "Packager <packager@example.com>", "rsa3072", "sign")
	home.Run(t, "gpg", "--batch", "--output", "ring.gpg", "--export-secret-keys")
	chart(t, home, "signed", "1.0.0", "")
	home.Run(t, path, "package", "--sign", "--key=Packager", "--keyring=ring.gpg", "signed")
	helm(t, home, "push", "signed-1.0.0.tgz", ociCharts(r))
	for _, ref := range []string{ociCharts(r) + "/signed", "acme/signed"} {
		helm(t, home, "repo", "add", "acme", feed(r, "helm")+"/", "--force-update")
		dir := t.TempDir()
		helm(t, home, "pull", ref, "--version=1.0.0", "--verify", "--keyring=ring.gpg", "--destination="+dir)
		home.Run(t, path, "verify", filepath.Join(dir, "signed-1.0.0.tgz"), "--keyring=ring.gpg")
	}
	// A chart and its provenance uploaded one after the other are one release.
	chart(t, home, "later", "1.0.0", "")
	home.Run(t, path, "package", "--sign", "--key=Packager", "--keyring=ring.gpg", "later")
	ask(t, r, http.MethodPost, "/api/"+namespace+"/helm/charts", nil, home.Read(t, "later-1.0.0.tgz"), http.StatusCreated)
	ask(t, r, http.MethodPost, "/api/"+namespace+"/helm/prov", nil, home.Read(t, "later-1.0.0.tgz.prov"), http.StatusCreated)
	helm(t, home, "repo", "update")
	helm(t, home, "pull", "acme/later", "--verify", "--keyring=ring.gpg", "--destination="+t.TempDir())
}

// packChart is the chart of the matrix.
func packChart(t *testing.T, r *rig.Registry, version string) artifact {
	t.Helper()
	return artifact{
		pkg: "widget", version: version, repo: "acme/helm/widget", tag: version,
		files: []string{chart(t, r, "widget", version, "")}, mediaTypes: []string{"application/gzip"},
	}
}

// helmEcosystem is the classic repository: ChartMuseum's API and index.yaml.
func helmEcosystem() ecosystem {
	return ecosystem{
		name: "helm", artifactType: "application/vnd.packhouse.helm.v1",
		pack: packChart,
		publish: func(t *testing.T, r *rig.Registry, a artifact) {
			t.Helper()
			upload(t, r, a.files[0])
		},
		install: func(t *testing.T, r *rig.Registry, a artifact) map[string][]byte {
			t.Helper()
			home := r.In(t)
			helm(t, home, "repo", "add", "acme", feed(r, "helm")+"/")
			rig.Contains(t, helm(t, home, "template", "rel", "acme/widget", "--version="+a.version), "hello from "+a.version)
			helm(t, home, "pull", "acme/widget", "--version="+a.version)
			return map[string][]byte{a.files[0]: home.Read(t, a.files[0])}
		},
	}
}

// helmOCIEcosystem is helm's own way by OCI. Its manifests name no files, so that `oras pull` needs to be told which blob.
func helmOCIEcosystem() ecosystem {
	const config = "application/vnd.cncf.helm.config.v1+json"
	return ecosystem{
		name: "helm by OCI", artifactType: config,
		pack: func(t *testing.T, r *rig.Registry, version string) artifact {
			t.Helper()
			a := packChart(t, r, version)
			r.File(t, "config.json", []byte(fmt.Sprintf(`{"apiVersion":"v2","name":"widget","version":%q,"appVersion":"1.10","description":"A test chart."}`, version)))
			a.layers = []string{"--config=config.json:" + config}
			a.mediaTypes = []string{"application/vnd.cncf.helm.chart.content.v1.tar+gzip"}
			return a
		},
		publish: func(t *testing.T, r *rig.Registry, a artifact) {
			t.Helper()
			helm(t, r, "push", a.files[0], ociCharts(r))
		},
		install: func(t *testing.T, r *rig.Registry, a artifact) map[string][]byte {
			t.Helper()
			home := r.In(t)
			rig.Contains(t, helm(t, home, "template", "rel", ociCharts(r)+"/widget", "--version="+a.version), "hello from "+a.version)
			helm(t, home, "pull", ociCharts(r)+"/widget", "--version="+a.version)
			return map[string][]byte{a.files[0]: home.Read(t, a.files[0])}
		},
		pull: func(t *testing.T, r *rig.Registry, a artifact) map[string][]byte {
			t.Helper()
			dir := t.TempDir()
			for _, l := range r.Whole(t, a.repo, a.tag).Layers {
				oras(t, r, "blob", "fetch", r.Host+"/"+a.repo+"@"+l.Digest, "--output="+filepath.Join(dir, l.Digest))
			}
			return contents(t, dir)
		},
	}
}
