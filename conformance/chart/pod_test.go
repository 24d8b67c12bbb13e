package chart

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	core "k8s.io/api/core/v1"

	"github.com/packhouse/packhouse/conformance/packhouse"
	"github.com/packhouse/packhouse/conformance/rig"
)

// pod is what a container's environment, arguments and files are on this machine.
type pod struct {
	dir  string
	env  []string
	args []string // of serve, but for the addresses
	spec core.Container
}

// newPod makes the volumes below dir and fills those that hold configuration and secrets. secrets are NAME/KEY → value.
func (m *manifests) newPod(t *testing.T, dir string, secrets map[string]string) *pod {
	t.Helper()
	spec := m.Deployment.Spec.Template.Spec
	c := spec.Containers[0]
	p := &pod{dir: dir, spec: c}
	for _, mount := range c.VolumeMounts {
		files := map[string]string{}
		i := slices.IndexFunc(spec.Volumes, func(v core.Volume) bool { return v.Name == mount.Name })
		if spec.Volumes[i].ConfigMap != nil {
			files = m.ConfigMap.Data
		}
		if projected := spec.Volumes[i].Projected; projected != nil {
			for _, source := range projected.Sources {
				for _, item := range source.Secret.Items {
					value, ok := secrets[source.Secret.Name+"/"+item.Key]
					if !ok {
						t.Fatalf("there is no Secret %s with the key %s", source.Secret.Name, item.Key)
					}
					files[item.Path] = value
				}
			}
		}
		at := filepath.Join(dir, mount.MountPath)
		if err := os.MkdirAll(at, 0o755); err != nil {
			t.Fatal(err)
		}
		for name, content := range files {
			if err := os.WriteFile(filepath.Join(at, name), []byte(content), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, e := range c.Env {
		if e.ValueFrom == nil {
			p.env = append(p.env, e.Name+"="+p.here(e.Value))
		}
	}
	for _, a := range c.Args[1:] {
		if name, value, _ := strings.Cut(a, "="); name == "--addr" || name == "--metrics-addr" {
			p.listens(t, name, value)
			continue
		}
		p.args = append(p.args, p.here(a))
	}
	return p
}

// here puts the pod's directory before the paths of its volumes.
func (p *pod) here(text string) string {
	for _, mount := range p.spec.VolumeMounts {
		text = regexp.MustCompile(`(^|=)`+regexp.QuoteMeta(mount.MountPath)+`(/|$)`).ReplaceAllString(text, "${1}"+filepath.Join(p.dir, mount.MountPath)+"${2}")
	}
	return text
}

// listens: the address is the port that the container says it has.
func (p *pod) listens(t *testing.T, flag, addr string) {
	t.Helper()
	want := map[string]string{"--addr": "registry", "--metrics-addr": "metrics"}[flag]
	for _, port := range p.spec.Ports {
		if port.Name == want {
			rig.Equal(t, flag, addr, fmt.Sprintf(":%d", port.ContainerPort))
			return
		}
	}
	t.Errorf("the container has no port %s", want)
}

// start runs the pod. Behind an address that other machines can reach it would ask for credentials; here it is told to.
func (p *pod) start(t *testing.T) *rig.Registry {
	t.Helper()
	rig.Equal(t, "command", p.spec.Args[0], "serve")
	return rig.Start(t, packhouse.Options{
		Data: filepath.Join(p.dir, "data"), Env: p.env, Args: append(slices.Clone(p.args), "--auth=on"), Replicas: 1,
	})
}

// command runs a command of the binary with the pod's environment, as kubectl exec does.
func (p *pod) command(t *testing.T, args ...string) string {
	t.Helper()
	binary, err := packhouse.Binary(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), binary, args...)
	cmd.Env = append([]string{"PATH=" + os.Getenv("PATH")}, p.env...)
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("packhouse %s: %v: %s", strings.Join(args, " "), err, out)
	}
	return strings.TrimSpace(string(out))
}

// probed: the probes' paths answer at the metrics port.
func (p *pod) probed(t *testing.T, r *rig.Registry) {
	t.Helper()
	for _, probe := range []*core.Probe{p.spec.StartupProbe, p.spec.LivenessProbe, p.spec.ReadinessProbe} {
		rig.Equal(t, "probe's port", probe.HTTPGet.Port.String(), "metrics")
		res, err := r.Client().Get(r.MetricsURL + probe.HTTPGet.Path)
		if err != nil {
			t.Fatal(err)
		}
		_ = res.Body.Close()
		rig.Equal(t, probe.HTTPGet.Path, res.StatusCode, 200)
	}
}
