package packages

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/packhouse/packhouse/conformance/rig"
	"github.com/packhouse/packhouse/conformance/tools"
)

// pythonDistribution is what a wheel and a source distribution are made of.
type pythonDistribution struct {
	name, version string // name as a module: my_pkg
	requires      []string
	python        string // Requires-Python
	extra         []byte // a file of the package's
}

func (d pythonDistribution) metadata() string {
	var b strings.Builder
	fmt.Fprintf(&b, "Metadata-Version: 2.1\nName: %s\nVersion: %s\nSummary: A test package.\n", d.name, d.version)
	if d.python != "" {
		fmt.Fprintf(&b, "Requires-Python: %s\n", d.python)
	}
	for _, r := range d.requires {
		fmt.Fprintf(&b, "Requires-Dist: %s\n", r)
	}
	b.WriteString("\nA package.\n")
	return b.String()
}

func (d pythonDistribution) module() string {
	return fmt.Sprintf("name = %q\nversion = %q\n", d.name, d.version)
}

func (d pythonDistribution) wheelName() string { return d.name + "-" + d.version + "-py3-none-any.whl" }
func (d pythonDistribution) sdistName() string { return d.name + "-" + d.version + ".tar.gz" }

// wheel makes the wheel. Equal distributions make equal bytes.
func (d pythonDistribution) wheel(t *testing.T) []byte {
	t.Helper()
	info := d.name + "-" + d.version + ".dist-info/"
	var packed bytes.Buffer
	var record strings.Builder
	w := zip.NewWriter(&packed)
	add := func(name string, content []byte) {
		f, err := w.Create(name)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.Write(content); err != nil {
			t.Fatal(err)
		}
		s := sha256.Sum256(content)
		fmt.Fprintf(&record, "%s,sha256=%s,%d\n", name, base64.RawURLEncoding.EncodeToString(s[:]), len(content))
	}
	add(d.name+"/__init__.py", []byte(d.module()))
	if d.extra != nil {
		add(d.name+"/data.bin", d.extra)
	}
	add(info+"METADATA", []byte(d.metadata()))
	add(info+"WHEEL", []byte("Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"))
	fmt.Fprintf(&record, "%sRECORD,,\n", info)
	f, err := w.Create(info + "RECORD")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Write([]byte(record.String())); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return packed.Bytes()
}

// sdist makes the source distribution, which needs no build back end to be described.
func (d pythonDistribution) sdist(t *testing.T) []byte {
	t.Helper()
	top := d.name + "-" + d.version + "/"
	return tarGzip(t, top+"PKG-INFO", d.metadata(), top+d.name+"/__init__.py", d.module(),
		top+"pyproject.toml", fmt.Sprintf("[build-system]\nrequires = [\"flit_core\"]\nbuild-backend = \"flit_core.buildapi\"\n"+
			"[project]\nname = %q\nversion = %q\ndescription = \"A test package.\"\n", d.name, d.version))
}

// tarGzip packs files, given as names and contents in turn. Equal files make equal bytes.
func tarGzip(t *testing.T, files ...string) []byte {
	t.Helper()
	var packed bytes.Buffer
	gz := gzip.NewWriter(&packed)
	tw := tar.NewWriter(gz)
	for i := 0; i < len(files); i += 2 {
		if err := tw.WriteHeader(&tar.Header{Name: files[i], Mode: 0o644, Size: int64(len(files[i+1]))}); err != nil {
			t.Fatal(err)
		}
		if _, err := tw.Write([]byte(files[i+1])); err != nil {
			t.Fatal(err)
		}
	}
	if err := tw.Close(); err != nil {
		t.Fatal(err)
	}
	if err := gz.Close(); err != nil {
		t.Fatal(err)
	}
	return packed.Bytes()
}

// python is a home in which the Python clients are set to the feed.
type python struct {
	*rig.Registry
	index, upload string
}

func pythonHome(t *testing.T, r *rig.Registry) python {
	t.Helper()
	p := python{Registry: r.In(t), index: feed(r, "pypi") + "/simple/", upload: feed(r, "pypi") + "/"}
	p.Env = append(p.Env,
		"PIP_INDEX_URL="+p.index, "PIP_RETRIES=0", "PIP_DISABLE_PIP_VERSION_CHECK=1", "PIP_NO_INPUT=1", "PIP_CONFIG_FILE=/dev/null",
		"UV_DEFAULT_INDEX="+p.index, "UV_PYTHON="+tools.Python, "UV_PYTHON_DOWNLOADS=never", "UV_NO_PROGRESS=1", "UV_HTTP_RETRIES=0",
		"UV_PUBLISH_URL="+p.upload, "UV_PUBLISH_TOKEN=token",
		"TWINE_REPOSITORY_URL="+p.upload, "TWINE_USERNAME=__token__", "TWINE_PASSWORD=token", "TWINE_NON_INTERACTIVE=1",
		"FLIT_INDEX_URL="+p.upload, "FLIT_USERNAME=__token__", "FLIT_PASSWORD=token",
		"HATCH_INDEX_REPO="+p.upload, "HATCH_INDEX_USER=__token__", "HATCH_INDEX_AUTH=token",
		"PDM_PUBLISH_REPO="+p.upload, "PDM_PUBLISH_USERNAME=__token__", "PDM_PUBLISH_PASSWORD=token", "PDM_CHECK_UPDATE=0",
		"POETRY_VIRTUALENVS_IN_PROJECT=true", "POETRY_REQUESTS_MAX_RETRIES=0", "PYTHON_KEYRING_BACKEND=keyring.backends.null.Keyring",
		"POETRY_HTTP_BASIC_ACME_USERNAME=__token__", "POETRY_HTTP_BASIC_ACME_PASSWORD=token", "POETRY_REPOSITORIES_ACME_URL="+p.upload,
		"LANG=C.UTF-8", "NO_COLOR=1")
	if p.TLS() {
		p.Env = append(p.Env, "PIP_CERT="+p.CACert, "REQUESTS_CA_BUNDLE="+p.CACert, "TWINE_CERT="+p.CACert, "PDM_CA_CERTS="+p.CACert,
			"POETRY_CERTIFICATES_ACME_CERT="+p.CACert)
	}
	return p
}

// in runs a pinned tool in a directory below the home.
func (p python) in(t *testing.T, dir, tool string, args ...string) string {
	t.Helper()
	out, err := p.try(t, dir, tool, args...)
	if err != nil {
		t.Fatalf("%s %s: %v", tool, strings.Join(args, " "), err)
	}
	return out
}

func (p python) try(t *testing.T, dir, tool string, args ...string) (string, error) {
	t.Helper()
	path, _ := rig.Tool(t, tool)
	sub := *p.Registry
	sub.Home = filepath.Join(p.Home, dir)
	return sub.Try(t, append([]string{path}, args...)...)
}

// put writes the distribution's files into dist/ below dir, with a project file that names it.
func (p python) put(t *testing.T, dir string, d pythonDistribution) (wheel, sdist string) {
	t.Helper()
	wheel, sdist = filepath.Join(dir, "dist", d.wheelName()), filepath.Join(dir, "dist", d.sdistName())
	p.File(t, wheel, d.wheel(t))
	p.File(t, sdist, d.sdist(t))
	p.File(t, filepath.Join(dir, d.name, "__init__.py"), []byte(fmt.Sprintf("\"\"\"A test package.\"\"\"\n%s", d.module())))
	return wheel, sdist
}

// pythonPublisher is a client that uploads what put has written.
type pythonPublisher struct {
	client

	project string // pyproject.toml, where the client needs one; NAME and VERSION in it are replaced
	tool    string
	args    []string
}

func pythonClient(t *testing.T, tool string) client {
	t.Helper()
	_, version := rig.Tool(t, tool)
	return client{"pypi", tool, version}
}

func pythonPublishers(t *testing.T) []pythonPublisher {
	t.Helper()
	const project = "[project]\nname = \"NAME\"\nversion = \"VERSION\"\ndescription = \"A test package.\"\nrequires-python = \">=3.8\"\n"
	return []pythonPublisher{
		{pythonClient(t, "twine"), "", "twine", []string{"upload", "--disable-progress-bar", "dist/*"}},
		{pythonClient(t, "uv"), "", "uv", []string{"publish"}},
		{pythonClient(t, "poetry"), project, "poetry", []string{"publish", "--repository=acme", "--no-interaction"}},
		{pythonClient(t, "pdm"), project, "pdm", []string{"publish", "--no-build"}},
		{pythonClient(t, "flit"), project + "[build-system]\nrequires = [\"flit_core\"]\nbuild-backend = \"flit_core.buildapi\"\n", "flit", []string{"publish"}},
		{pythonClient(t, "hatch"), project, "hatch", []string{"publish", "--no-prompt"}},
	}
}

func (c pythonPublisher) publish(t *testing.T, p python, dir string, d pythonDistribution) (string, error) {
	t.Helper()
	p.put(t, dir, d)
	if c.project != "" {
		p.File(t, filepath.Join(dir, "pyproject.toml"), []byte(strings.NewReplacer("NAME", d.name, "VERSION", d.version).Replace(c.project)))
	}
	args := c.args
	if c.tool == "twine" { // a shell's work
		args = append(append([]string{}, args[:2]...), "dist/"+d.wheelName(), "dist/"+d.sdistName())
	}
	return p.try(t, dir, c.tool, args...)
}

func TestPyPI(t *testing.T) {
	t.Parallel()
	t.Run("HTTP", func(t *testing.T) {
		t.Parallel()
		r := start(t)
		publishers := pythonPublishers(t)
		home := pythonHome(t, r)
		base := pythonDistribution{name: "acme_base", version: "1.4", python: ">=3.8"}
		if _, err := publishers[0].publish(t, home, "base", base); err != nil {
			t.Fatal(err)
		}
		var names []string
		for _, c := range publishers {
			c.use(t, "publish", func(t *testing.T) {
				d := pythonDistribution{name: "by_" + c.tool, version: "1.0", requires: []string{"acme-base>=1.2"}}
				if _, err := c.publish(t, pythonHome(t, r), "made", d); err != nil {
					t.Fatal(err)
				}
				names = append(names, d.name)
			})
			c.use(t, "publish of other bytes under the same name is refused", func(t *testing.T) {
				d := base
				d.extra = []byte("other")
				out, err := c.publish(t, pythonHome(t, r), "made", d)
				if err == nil {
					t.Fatal("it succeeded")
				}
				if c.tool != "twine" { // which shows the reason only where it is told to be verbose
					rig.Contains(t, out, "File already exists")
				}
				wheel := pythonDistribution{name: "acme_base", version: "1.4", python: ">=3.8"}.wheel(t)
				rig.Contains(t, string(get(t, r, "/"+namespace+"/pypi/simple/acme-base/")), sum(wheel))
			})
		}
		// flit makes its files itself, without the requirement: acme-base is asked for beside them.
		wants := append([]string{"acme_base"}, names...)
		t.Run("install", func(t *testing.T) {
			for _, c := range pythonInstallers(t) {
				t.Run(c.name, func(t *testing.T) {
					t.Parallel()
					c.use(t, "install what each other client published", func(t *testing.T) {
						p := pythonHome(t, r)
						c.install(t, p, wants)
						p.imports(t, c.interpreter(p), wants)
					})
					c.use(t, "publish and install over TLS", func(t *testing.T) {
						secure := startTLS(t)
						by := publishers[0]
						for _, other := range publishers {
							if other.name == c.name {
								by = other
							}
						}
						if _, err := by.publish(t, pythonHome(t, secure), "made", pythonDistribution{name: "secured", version: "2.0"}); err != nil {
							t.Fatal(err)
						}
						p := pythonHome(t, secure)
						c.install(t, p, []string{"secured"})
						p.imports(t, c.interpreter(p), []string{"secured"})
					})
				})
			}
		})
	})
}

// imports checks that an interpreter has the packages.
func (p python) imports(t *testing.T, interpreter string, names []string) {
	t.Helper()
	for _, name := range names {
		p.Run(t, interpreter, "-c", "import "+name+"; print("+name+".__file__)")
	}
}

// pythonInstaller is a client that installs packages into an environment of its own making.
type pythonInstaller struct {
	client

	install func(t *testing.T, p python, names []string)
	venv    string // of its environment, below the home
}

func (c pythonInstaller) interpreter(p python) string {
	return filepath.Join(p.Home, c.venv, "bin", "python")
}

func pythonInstallers(t *testing.T) []pythonInstaller {
	t.Helper()
	project := func(p python, names []string, more string) []byte {
		return []byte("[project]\nname = \"project\"\nversion = \"1\"\nrequires-python = \">=3.11\"\ndependencies = " +
			strings.ReplaceAll(jsonOf(t, names), "_", "-") + "\n" + strings.ReplaceAll(more, "INDEX", p.index))
	}
	return []pythonInstaller{
		{debianPip(t), func(t *testing.T, p python, names []string) {
			t.Helper()
			p.Run(t, tools.Python, "-m", "venv", "venv")
			p.Run(t, append([]string{"venv/bin/pip", "install", "--no-cache-dir"}, names...)...)
		}, "venv"},
		{pythonClient(t, "pip"), func(t *testing.T, p python, names []string) {
			t.Helper()
			p.Run(t, tools.Python, "-m", "venv", "--without-pip", "venv")
			p.in(t, ".", "pip", append([]string{"--python=venv/bin/python", "install", "--no-cache-dir"}, names...)...)
		}, "venv"},
		{pythonClient(t, "uv"), func(t *testing.T, p python, names []string) {
			t.Helper()
			p.File(t, "project/pyproject.toml", project(p, names, ""))
			p.in(t, "project", "uv", "sync", "--no-install-project")
			p.in(t, "project", "uv", "sync", "--no-install-project", "--frozen", "--no-cache", "--reinstall")
			// The lock file names what the feed said of each file.
			rig.Contains(t, string(p.Read(t, "project/uv.lock")), `hash = "sha256:`, "upload-time = ", "size = ")
		}, "project/.venv"},
		{pythonClient(t, "poetry"), func(t *testing.T, p python, names []string) {
			t.Helper()
			p.File(t, "project/pyproject.toml", project(p, names,
				"[tool.poetry]\npackage-mode = false\n[[tool.poetry.source]]\nname = \"acme\"\nurl = \"INDEX\"\npriority = \"primary\"\n"))
			p.in(t, "project", "poetry", "lock", "--no-interaction")
			p.in(t, "project", "poetry", "sync", "--no-interaction")
		}, "project/.venv"},
		{pythonClient(t, "pdm"), func(t *testing.T, p python, names []string) {
			t.Helper()
			p.File(t, "project/pyproject.toml", project(p, names,
				"[tool.pdm]\ndistribution = false\n[[tool.pdm.source]]\nname = \"pypi\"\nurl = \"INDEX\"\nverify_ssl = true\n"))
			p.in(t, "project", "pdm", "use", "-f", tools.Python)
			p.in(t, "project", "pdm", "install", "--no-self")
		}, "project/.venv"},
	}
}

// debianPip is the old pip that Debian's Python brings to each virtual environment.
func debianPip(t *testing.T) client {
	t.Helper()
	wheels, err := filepath.Glob("/usr/share/python-wheels/pip-*.whl")
	if err != nil || len(wheels) != 1 {
		t.Fatalf("got %q, want the one pip of Debian's (%v)", wheels, err)
	}
	return client{"pypi", "pip of Debian 12", strings.Split(filepath.Base(wheels[0]), "-")[1]}
}

// TestPyPIClients is what single clients do beside publish and install.
func TestPyPIClients(t *testing.T) {
	t.Parallel()
	t.Run("HTTP", func(t *testing.T) {
		t.Parallel()
		r := start(t)
		twine := pythonPublishers(t)[0]
		publish := func(t *testing.T, d pythonDistribution) {
			t.Helper()
			if _, err := twine.publish(t, pythonHome(t, r), "made", d); err != nil {
				t.Fatal(err)
			}
		}
		for _, d := range []pythonDistribution{
			{name: "lib", version: "1.0", python: ">=3.8"},
			{name: "lib", version: "1.1", python: ">=3.8"},
			{name: "lib", version: "2.0", python: ">=3.99"},
			{name: "lib", version: "2.1rc1"},
			{name: "local", version: "1.0+cu12"},
		} {
			publish(t, d)
		}
		pip, uv := pythonClient(t, "pip"), pythonClient(t, "uv")
		download := func(t *testing.T, args ...string) map[string][]byte {
			t.Helper()
			p := pythonHome(t, r)
			p.in(t, ".", "pip", append([]string{"download", "--no-cache-dir", "--dest=got"}, args...)...)
			return contents(t, filepath.Join(p.Home, "got"))
		}
		pip.use(t, "choose by Requires-Python and leave prereleases out", func(t *testing.T) {
			if got := download(t, "lib"); got["lib-1.1-py3-none-any.whl"] == nil || len(got) != 1 {
				t.Errorf("got %d files, want lib 1.1 alone", len(got))
			}
			if got := download(t, "--pre", "lib"); got["lib-2.1rc1-py3-none-any.whl"] == nil {
				t.Error("the prerelease was not taken when it was asked for")
			}
		})
		pip.use(t, "a local version", func(t *testing.T) {
			if got := download(t, "local==1.0+cu12"); got["local-1.0+cu12-py3-none-any.whl"] == nil {
				t.Error("the wheel is not there")
			}
		})
		pip.use(t, "index versions", func(t *testing.T) {
			rig.Contains(t, pythonHome(t, r).in(t, ".", "pip", "index", "versions", "--pre", "lib"), "2.1rc1", "1.1", "1.0")
		})
		pip.use(t, "install by hashes", func(t *testing.T) {
			p := pythonHome(t, r)
			wheel := pythonDistribution{name: "lib", version: "1.0", python: ">=3.8"}.wheel(t)
			p.File(t, "requirements.txt", []byte("lib==1.0 --hash=sha256:"+sum(wheel)+"\n"))
			p.in(t, ".", "pip", "install", "--no-cache-dir", "--require-hashes", "--target=lib", "-r", "requirements.txt")
			p.File(t, "requirements.txt", []byte("lib==1.0 --hash=sha256:"+strings.Repeat("0", 64)+"\n"))
			if out, err := p.try(t, ".", "pip", "install", "--no-cache-dir", "--require-hashes", "--target=lib2", "-r", "requirements.txt"); err == nil {
				t.Errorf("a wrong hash was accepted: %s", out)
			}
		})
		pip.use(t, "read a wheel's metadata without the wheel", func(t *testing.T) {
			publish(t, pythonDistribution{name: "big", version: "1.0", requires: []string{"lib==1.0"}, extra: bytes.Repeat([]byte("0123456789abcdef"), 1<<16)})
			p := pythonHome(t, r)
			p.in(t, ".", "pip", "install", "--no-cache-dir", "--dry-run", "--report=report.json", "--ignore-installed", "big")
			rig.Contains(t, string(p.Read(t, "report.json")), "/lib-1.0-py3-none-any.whl")
			if out := string(p.Read(t, "report.json")); !strings.Contains(out, "/big-1.0-py3-none-any.whl") {
				t.Errorf("big is not in the report: %s", out)
			}
		})
		uv.use(t, "pip install, lowest versions, newer excluded by date", func(t *testing.T) {
			p := pythonHome(t, r)
			p.in(t, ".", "uv", "venv", "venv")
			p.in(t, ".", "uv", "pip", "install", "--python=venv", "--resolution=lowest", "lib>=1.0")
			rig.Contains(t, p.in(t, ".", "uv", "pip", "freeze", "--python=venv"), "lib==1.0")
			if out, err := p.try(t, ".", "uv", "pip", "install", "--python=venv", "--reinstall", "--no-cache", "--exclude-newer=2020-01-01", "lib"); err == nil {
				t.Errorf("a version newer than the date was taken: %s", out)
			}
		})
		uv.use(t, "publish what is there already, by --check-url", func(t *testing.T) {
			p := pythonHome(t, r)
			p.put(t, "made", pythonDistribution{name: "lib", version: "1.0", python: ">=3.8"})
			out, err := p.try(t, "made", "uv", "publish", "--check-url="+p.index)
			if err != nil {
				t.Fatalf("%v: %s", err, out)
			}
		})
		build := pythonClient(t, "build")
		build.use(t, "build with a back end from the feed", func(t *testing.T) {
			p := pythonHome(t, r)
			publish(t, pythonDistribution{name: "backend", version: "1.0"})
			p.File(t, "src/pyproject.toml", []byte("[build-system]\nrequires = [\"backend\", \"lib\"]\nbuild-backend = \"back\"\nbackend-path = [\".\"]\n"))
			wheel := pythonDistribution{name: "built", version: "3"}.wheel(t)
			p.File(t, "src/built.whl", wheel)
			p.File(t, "src/back.py", []byte("import backend, lib, os, shutil\ndef build_wheel(dir, config_settings=None, metadata_directory=None):\n"+
				"    name = 'built-3-py3-none-any.whl'\n    shutil.copy('built.whl', os.path.join(dir, name))\n    return name\n"+
				"def build_sdist(dir, config_settings=None):\n    raise NotImplementedError\n"))
			p.in(t, "src", "build", "--wheel")
			holds(t, contents(t, filepath.Join(p.Home, "src", "dist")), map[string][]byte{"built-3-py3-none-any.whl": wheel})
		})
		twine.use(t, "upload again is accepted, other bytes are not", func(t *testing.T) {
			d := pythonDistribution{name: "lib", version: "1.0", python: ">=3.8"}
			publish(t, d)
			d.extra = []byte("other")
			p := pythonHome(t, r)
			wheel, _ := p.put(t, "made", d)
			out, err := p.try(t, ".", "twine", "upload", "--disable-progress-bar", wheel)
			if err == nil {
				t.Fatalf("other bytes were accepted: %s", out)
			}
			rig.Contains(t, out, "File already exists")
		})
	})
}

func pypiEcosystem() ecosystem {
	d := func(version string) pythonDistribution {
		return pythonDistribution{name: "my_widget", version: version, python: ">=3.8"}
	}
	return ecosystem{
		name: "pypi", artifactType: "application/vnd.packhouse.pypi.v1",
		pack: func(t *testing.T, r *rig.Registry, version string) artifact {
			t.Helper()
			file := d(version).wheelName()
			r.File(t, file, d(version).wheel(t))
			return artifact{
				pkg: "my-widget", version: version, repo: "acme/pypi/my-widget", tag: version,
				files: []string{file}, mediaTypes: []string{"application/zip"},
			}
		},
		publish: func(t *testing.T, r *rig.Registry, a artifact) {
			t.Helper()
			p := pythonHome(t, r)
			p.File(t, a.files[0], r.Read(t, a.files[0]))
			p.in(t, ".", "twine", "upload", "--disable-progress-bar", a.files[0])
		},
		install: func(t *testing.T, r *rig.Registry, a artifact) map[string][]byte {
			t.Helper()
			p := pythonHome(t, r)
			p.in(t, ".", "pip", "install", "--no-cache-dir", "--target=lib", a.pkg+"=="+a.version)
			rig.Equal(t, "installed", string(p.Read(t, "lib/my_widget/__init__.py")), d(a.version).module())
			p.in(t, ".", "pip", "download", "--no-cache-dir", "--dest=got", a.pkg+"=="+a.version)
			return contents(t, filepath.Join(p.Home, "got"))
		},
	}
}
