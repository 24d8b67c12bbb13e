package packages

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/packhouse/packhouse/conformance/rig"
	"github.com/packhouse/packhouse/conformance/tools"
)

// realPyPI are the projects that are asked for; others come as their dependencies.
func realPyPI() []string {
	return strings.Fields(`numpy requests cryptography flask django pydantic httpx click rich pytest sqlalchemy jinja2 pyyaml attrs
		packaging cffi pillow aiohttp lxml boto3 python-dateutil fastapi uvicorn black`)
}

// TestRealPyPI takes projects from the index that pip is configured for, with wheels of other platforms and source
// distributions beside those of this one, publishes all into Packhouse and installs from there alone.
func TestRealPyPI(t *testing.T) {
	t.Parallel()
	t.Run("HTTP", func(t *testing.T) {
		t.Parallel()
		r := start(t)
		outside := t.TempDir()
		pip, _ := rig.Tool(t, "pip")
		download := func(args ...string) {
			machine(t, outside, append([]string{pip, "--python=" + tools.Python, "download", "--quiet", "--dest=files"}, args...)...)
		}
		download(append([]string{"--only-binary=:all:"}, realPyPI()...)...)
		for _, platform := range []string{"manylinux2014_aarch64", "win_amd64", "macosx_14_0_arm64"} {
			for _, python := range []string{"3.11", "3.12"} {
				download("--no-deps", "--only-binary=:all:", "--platform="+platform, "--python-version="+python, "cryptography", "numpy", "pyyaml", "cffi")
			}
		}
		download("--no-deps", "--no-binary=:all:", "requests", "click", "packaging", "idna", "attrs")
		files := contents(t, filepath.Join(outside, "files"))
		var names []string
		for name := range files {
			names = append(names, filepath.Join(outside, "files", name))
		}
		slices.Sort(names)
		t.Logf("%d files", len(names))
		if len(names) < 70 {
			t.Fatalf("only %d files came: %q", len(names), names)
		}
		t.Run("publish", func(t *testing.T) {
			p := pythonHome(t, r)
			half := len(names) / 2
			p.in(t, ".", "twine", append([]string{"upload", "--disable-progress-bar"}, names[:half]...)...)
			p.in(t, ".", "uv", append([]string{"publish"}, names[half:]...)...)
		})
		requirements := []byte(strings.Join(realPyPI(), "\n") + "\n")
		use := "import numpy, requests, cryptography.hazmat.bindings._rust, flask, django, pydantic, lxml.etree, PIL.Image, yaml, aiohttp\n" +
			"print('all imported', numpy.arange(3).sum())"
		uv := pythonClient(t, "uv")
		pythonClient(t, "pip").use(t, "install real projects", func(t *testing.T) {
			p := pythonHome(t, r)
			p.File(t, "requirements.txt", requirements)
			p.Run(t, tools.Python, "-m", "venv", "--without-pip", "venv")
			p.in(t, ".", "pip", "--python=venv/bin/python", "install", "--no-cache-dir", "--quiet", "-r", "requirements.txt")
			rig.Contains(t, p.Run(t, "venv/bin/python", "-c", use), "all imported 3")
			// What is installed is what came from outside.
			for line := range strings.FieldsSeq(p.in(t, ".", "pip", "--python=venv/bin/python", "freeze")) {
				name, version, _ := strings.Cut(line, "==")
				prefix := strings.ToLower(strings.ReplaceAll(name, "-", "_")) + "-" + version + "-"
				if !slices.ContainsFunc(names, func(f string) bool {
					return strings.HasPrefix(strings.ToLower(strings.ReplaceAll(filepath.Base(f), ".", "_")), strings.ReplaceAll(prefix, ".", "_"))
				}) {
					t.Errorf("%s is installed and was not published", line)
				}
			}
		})
		uv.use(t, "lock and install real projects", func(t *testing.T) {
			p := pythonHome(t, r)
			p.File(t, "requirements.in", requirements)
			p.in(t, ".", "uv", "pip", "compile", "--quiet", "--generate-hashes", "--output-file=requirements.txt", "requirements.in")
			p.in(t, ".", "uv", "venv", "venv")
			p.in(t, ".", "uv", "pip", "sync", "--python=venv", "--require-hashes", "requirements.txt")
			rig.Contains(t, p.Run(t, "venv/bin/python", "-c", use), "all imported 3")
		})
		t.Run("every file comes back", func(t *testing.T) {
			// By OCI: one release of many wheels.
			version := ""
			for name := range files {
				if rest, ok := strings.CutPrefix(name, "cryptography-"); ok {
					version, _, _ = strings.Cut(rest, "-")
				}
			}
			dir := t.TempDir()
			oras(t, r, "pull", r.Host+"/"+namespace+"/pypi/cryptography:"+version, "-o", dir)
			got, want := contents(t, dir), map[string][]byte{}
			for name, content := range files {
				if strings.HasPrefix(name, "cryptography-"+version+"-") {
					want[name] = content
				}
			}
			holds(t, got, want)
			if len(want) < 4 {
				t.Errorf("only %d wheels of cryptography %s came, want several", len(want), version)
			}
		})
		_ = os.RemoveAll(outside)
	})
}
