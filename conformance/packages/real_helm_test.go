package packages

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/packhouse/packhouse/conformance/rig"
)

// manyCharts is how many charts the umbrella depends on.
const manyCharts = 24

// TestManyCharts is to helm what the real packages are to the others: no registry of charts is within reach, so the charts
// are what `helm create` makes, each with a file of the size that charts in the world reach. They are pushed from both
// sides, and an umbrella chart's dependencies are resolved from both and rendered.
func TestManyCharts(t *testing.T) {
	t.Parallel()
	t.Run("HTTP", func(t *testing.T) {
		t.Parallel()
		r := start(t)
		path, version := rig.Tool(t, "helm")
		var dependencies strings.Builder
		values := strings.Repeat("# A line of documentation, of which charts have many.\nsetting: value\n", 2000)
		for i := range manyCharts {
			name := fmt.Sprintf("service-%d", i)
			r.Run(t, path, "create", name)
			crds := strings.ReplaceAll(values, "value", name+" value "+strings.Repeat(fmt.Sprintf("%x", i*7919), 20))
			r.File(t, name+"/crds/notes.txt", []byte(crds))
			r.Run(t, path, "package", name, fmt.Sprintf("--version=1.%d.0", i))
			file, from := fmt.Sprintf("%s-1.%d.0.tgz", name, i), feed(r, "helm")+"/"
			if i%2 == 0 {
				helm(t, r, "push", file, ociCharts(r))
			} else {
				upload(t, r, file)
				from = ociCharts(r)
			}
			fmt.Fprintf(&dependencies, "- name: %s\n  version: ~1.%d\n  repository: %s\n", name, i, from)
		}
		client{"helm", "helm", version}.use(t, "resolve and render an umbrella of many charts", func(t *testing.T) {
			home := r.In(t)
			home.File(t, "umbrella/Chart.yaml", []byte("apiVersion: v2\nname: umbrella\nversion: 1.0.0\ndependencies:\n"+dependencies.String()))
			helm(t, home, "dependency", "update", "umbrella")
			got, want := contents(t, filepath.Join(home.Home, "umbrella", "charts")), map[string][]byte{}
			for i := range manyCharts {
				file := fmt.Sprintf("service-%d-1.%d.0.tgz", i, i)
				want[file] = r.Read(t, file)
			}
			holds(t, got, want)
			out := home.Run(t, path, "template", "rel", "umbrella")
			rig.Equal(t, "deployments", strings.Count(out, "kind: Deployment"), manyCharts)
			// Again by the lock file, from empty caches.
			again := r.In(t)
			again.File(t, "umbrella/Chart.yaml", home.Read(t, "umbrella/Chart.yaml"))
			again.File(t, "umbrella/Chart.lock", home.Read(t, "umbrella/Chart.lock"))
			helm(t, again, "repo", "add", "acme", feed(r, "helm")+"/")
			helm(t, again, "dependency", "build", "umbrella")
			holds(t, contents(t, filepath.Join(again.Home, "umbrella", "charts")), want)
		})
	})
}
