package chart

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/packhouse/packhouse/conformance/packhouse"
	"github.com/packhouse/packhouse/conformance/rig"
)

var update = flag.Bool("update", false, "rewrite the golden files and the chart's schema")

// Of Kubernetes.
const (
	oldest = "1.27.0" // Chart.yaml's kubeVersion
	newest = "1.37.0"
)

// chartDir is the chart's directory.
func chartDir(t *testing.T) string {
	t.Helper()
	root, err := packhouse.Root()
	if err != nil {
		t.Fatal(err)
	}
	return filepath.Join(root, "charts", "packhouse")
}

// helm runs helm and returns its standard output, all that it printed, and how it ended.
func helm(t *testing.T, args ...string) (stdout, both string, err error) {
	t.Helper()
	path, _ := rig.Tool(t, "helm")
	dir := t.TempDir()
	return rig.Command(t, dir, rig.Environment(t, dir), append([]string{path}, args...)...)
}

// render returns the manifests that helm makes of values, given as further arguments.
func render(t *testing.T, args ...string) string {
	t.Helper()
	stdout, both, err := helm(t, append([]string{"template", "rel", chartDir(t), "--namespace=packages", "--kube-version=" + newest}, args...)...)
	if err != nil {
		t.Fatalf("helm template: %v: %s", err, both)
	}
	return stdout
}

// valuesOf are the arguments for a file of testdata.
func valuesOf(t *testing.T, name string) []string {
	t.Helper()
	switch name {
	case "default":
		return nil
	case "production":
		return []string{"--values=" + filepath.Join(chartDir(t), "values.production.yaml")}
	}
	file, err := filepath.Abs(filepath.Join("testdata", name+".yaml"))
	if err != nil {
		t.Fatal(err)
	}
	return []string{"--values=" + file}
}

// cases are the names of all values.
func cases(t *testing.T) []string {
	t.Helper()
	files, err := filepath.Glob("testdata/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("no values in testdata (%v)", err)
	}
	names := []string{"default", "production"}
	for _, f := range files {
		names = append(names, strings.TrimSuffix(filepath.Base(f), ".yaml"))
	}
	return names
}

func TestLint(t *testing.T) {
	t.Parallel()
	for _, name := range cases(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			args := append([]string{"lint", "--strict", "--kube-version=" + newest, chartDir(t)}, valuesOf(t, name)...)
			if _, both, err := helm(t, args...); err != nil {
				t.Error(both)
			}
		})
	}
}

func TestRendered(t *testing.T) {
	t.Parallel()
	for _, name := range cases(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			golden(t, filepath.Join("testdata", name+".golden"), render(t, valuesOf(t, name)...))
		})
	}
}

// golden compares got with a file, or with -update writes it.
func golden(t *testing.T, file, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	want := string(content)
	if got == want {
		return
	}
	g, w := strings.Split(got, "\n"), strings.Split(want, "\n")
	n := 0
	for n < len(g) && n < len(w) && g[n] == w[n] {
		n++
	}
	line := func(lines []string) string { return strings.Join(lines[min(n, len(lines)):min(n+3, len(lines))], "\n") }
	t.Errorf("%s: from line %d on got\n%s\nwant\n%s\n(-update rewrites the file)", file, n+1, line(g), line(w))
}
