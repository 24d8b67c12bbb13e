package tools

import (
	"context"
	"path/filepath"
)

// Python is the interpreter that the virtual environments are made with.
const Python = "/usr/bin/python3"

// asOf is the day of the pins: what these tools themselves depend on is taken as it was then.
const asOf = "2026-11-23"

// pythonPackage is a package of the Python package index in a virtual environment, installed by the pinned pip.
type pythonPackage struct {
	with string // one more requirement
}

// pip is itself in a virtual environment, to which Debian's brought it.
func pip() Tool { return Tool{"pip", "pip", "26.3", pythonPackage{}} }

func pythonClients() []Tool {
	return []Tool{
		pip(),
		{"uv", "uv", "0.13.9", pythonPackage{}},
		{"twine", "twine", "7.0.0", pythonPackage{}},
		{"build", "build", "1.6.1", pythonPackage{}},
		{"flit", "flit", "4.2.0", pythonPackage{}},
		{"hatch", "hatch", "1.18.2", pythonPackage{}},
		{"poetry", "poetry", "2.5.1", pythonPackage{}},
		{"pdm", "pdm", "2.29.4", pythonPackage{with: "hishel==1.4.0"}}, // it allows for a later one, which lacks what it calls,
	}
}

func pythonPeers() []Tool {
	return []Tool{
		{"pypiserver", "pypiserver", "2.4.2", pythonPackage{}},
		{"devpi", "devpi-server", "6.20.3", pythonPackage{}},
	}
}

func (pythonPackage) program(t Tool) string {
	switch t.Name {
	case "build":
		return "bin/pyproject-build"
	case "pypiserver":
		return "bin/pypi-server"
	}
	return "bin/" + t.Package
}

func (p pythonPackage) install(ctx context.Context, t Tool, dir string) error {
	if t == pip() {
		if err := run(ctx, dir, nil, Python, "-m", "venv", "--clear", dir); err != nil {
			return err
		}
		return run(ctx, dir, nil, filepath.Join(dir, "bin", "pip"), "install", "--quiet", "pip=="+t.Version)
	}
	if _, err := pip().Install(ctx); err != nil {
		return err
	}
	installer, err := pip().Path()
	if err != nil {
		return err
	}
	if err := run(ctx, dir, nil, Python, "-m", "venv", "--clear", "--without-pip", dir); err != nil {
		return err
	}
	args := []string{
		installer, "--python=" + filepath.Join(dir, "bin", "python"), "install", "--quiet", "--uploaded-prior-to=" + asOf,
		t.Package + "==" + t.Version,
	}
	if p.with != "" {
		args = append(args, p.with)
	}
	return run(ctx, dir, nil, args...)
}
