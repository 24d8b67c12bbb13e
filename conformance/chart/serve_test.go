package chart

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/packhouse/packhouse/conformance/packhouse"
	"github.com/packhouse/packhouse/conformance/rig"
	"github.com/packhouse/packhouse/conformance/services"
)

// sealingKey is base64 of 32 bytes.
const sealingKey = "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="

// TestConfiguration: the binary takes what is rendered, for all values.
func TestConfiguration(t *testing.T) {
	t.Parallel()
	secrets := map[string]string{
		"packhouse/database.url": "postgres://packhouse:pw@127.0.0.1/packhouse", "packhouse/secrets.key": sealingKey,
		"packhouse/redis.password": "pw", "packhouse/accesskey": "a", "packhouse/secretkey": "s",
		"packhouse-database/uri": "postgres://packhouse:pw@127.0.0.1/packhouse", "packhouse-keys/key": sealingKey,
	}
	for _, name := range cases(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := decode(t, render(t, valuesOf(t, name)...)).newPod(t, t.TempDir(), secrets)
			rig.Equal(t, "config check", p.command(t, append([]string{"config", "check"}, p.args...)...), "ok")
			printed := p.command(t, append([]string{"config", "print"}, p.args...)...)
			if name == "autoscaling" {
				rig.Contains(t, printed, "blob: 20GiB", "delay: 1.5s", "drain: 2m30s")
			}
			if name == "production" {
				rig.Contains(t, printed, "external_url: https://packages.example.com", "url: REDACTED", "- redis.example.com:6379")
			}
			if name == "shared-files" {
				rig.Contains(t, printed, "rootdirectory: /blobs")
			}
		})
	}
}

// TestDefaultServes: one pod over its volume, told to end and started again.
func TestDefaultServes(t *testing.T) {
	t.Parallel()
	m := decode(t, render(t))
	p := m.newPod(t, t.TempDir(), nil)
	r := p.start(t)
	p.probed(t, r)
	m.tested(t, p, r)
	token := p.command(t, "token", "create", "--user", "admin")
	pushed := push(t, r, token, "first")
	if err := r.Stop(); err != nil {
		t.Fatal(err)
	}
	again := p.start(t)
	rig.Equal(t, "digest after the restart", resolve(t, again, token, "first"), pushed)
}

// TestProductionServes: two pods over real PostgreSQL, object storage and Redis. The pods keep nothing: a third, in an
// empty directory, takes over from the first.
func TestProductionServes(t *testing.T) {
	t.Parallel()
	set, err := services.Shared(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	place, err := set.Place(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	values, secrets := here(t, set, place)
	m := decode(t, render(t, append(valuesOf(t, "production"), "--values="+values)...))
	start := func() (*pod, *rig.Registry) {
		p := m.newPod(t, t.TempDir(), secrets)
		return p, p.start(t)
	}
	p, first := start()
	p.probed(t, first)
	m.tested(t, p, first)
	_, second := start()
	token := p.command(t, "token", "create", "--user", "admin")
	pushed := push(t, first, token, "one")
	rig.Equal(t, "digest at the other pod", resolve(t, second, token, "one"), pushed)
	if err := first.Stop(); err != nil {
		t.Fatal(err)
	}
	_, third := start()
	rig.Equal(t, "digest at a new pod", resolve(t, third, token, "one"), pushed)
	push(t, third, token, "two")
	resolve(t, second, token, "two")
}

// here are values and secrets that lead to the servers of this machine.
func here(t *testing.T, set *services.Set, place *services.Place) (values string, secrets map[string]string) {
	t.Helper()
	secrets = map[string]string{"packhouse/secrets.key": sealingKey, "packhouse/redis.password": ""}
	secrets["packhouse/database.url"] = set.Postgres.URL(place.Database)
	params := object{}
	for name, value := range set.S3.Params(set.S3.Addr, place.Bucket) {
		if name == "accesskey" || name == "secretkey" {
			secrets["packhouse/"+name] = value
			continue
		}
		params[name] = value
	}
	text, err := yaml.Marshal(object{"config": object{
		"storage": object{"params": params},
		"redis":   object{"addrs": []string{set.Redis.Addr}, "tls": false},
	}, "ingress": object{"enabled": false}})
	if err != nil {
		t.Fatal(err)
	}
	values = filepath.Join(t.TempDir(), "values.yaml")
	if err := os.WriteFile(values, text, 0o600); err != nil {
		t.Fatal(err)
	}
	return values, secrets
}

// tested runs what helm test runs.
func (m *manifests) tested(t *testing.T, p *pod, r *rig.Registry) {
	t.Helper()
	var args []string
	for _, a := range m.Test.Spec.Containers[0].Args {
		if strings.HasPrefix(a, "--server=") {
			a = "--server=" + r.URL
		}
		args = append(args, a)
	}
	rig.Equal(t, "helm test", p.command(t, args...), "ok")
}

// push pushes an artifact of one file and returns its digest.
func push(t *testing.T, r *rig.Registry, token, tag string) string {
	t.Helper()
	oras, _ := rig.Tool(t, "oras")
	r.File(t, tag, []byte(tag))
	r.Run(t, oras, "push", "--plain-http", "--username=admin", "--password="+token, r.Host+"/acme/files:"+tag, tag)
	return resolve(t, r, token, tag)
}

func resolve(t *testing.T, r *rig.Registry, token, tag string) string {
	t.Helper()
	oras, _ := rig.Tool(t, "oras")
	return strings.TrimSpace(r.Run(t, oras, "resolve", "--plain-http", "--username=admin", "--password="+token, r.Host+"/acme/files:"+tag))
}

// TestFromItself: the chart is packaged, pushed into a registry and installed from there.
func TestFromItself(t *testing.T) {
	t.Parallel()
	path, _ := rig.Tool(t, "helm")
	r := rig.Start(t, packhouse.Options{})
	r.Run(t, path, "package", chartDir(t))
	packed := "packhouse-" + chartVersion(t) + ".tgz"
	r.Run(t, path, "push", packed, "oci://"+r.Host+"/packhouse/charts", "--plain-http")
	for _, name := range []string{"default", "production"} {
		args := append([]string{
			path, "template", "rel", "oci://" + r.Host + "/packhouse/charts/packhouse", "--plain-http", "--namespace=packages", "--kube-version=" + newest,
		}, valuesOf(t, name)...)
		rig.Equal(t, name+" from the registry", r.Run(t, args...), render(t, valuesOf(t, name)...))
	}
	out := r.Run(t, path, "install", "rel", "oci://"+r.Host+"/packhouse/charts/packhouse", "--plain-http", "--dry-run=client",
		"--kube-apiserver="+rig.EmptyCluster(t), "--disable-openapi-validation", "--namespace=packages")
	rig.Contains(t, out, "STATUS: pending-install", "NOTES:", "/packhouse token create --user admin", "port-forward service/rel-packhouse")
}

func chartVersion(t *testing.T) string {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(chartDir(t), "Chart.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var chart struct{ Version string }
	if err := yaml.Unmarshal(content, &chart); err != nil {
		t.Fatal(err)
	}
	return chart.Version
}
