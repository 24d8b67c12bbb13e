package rig

import (
	"os"
	"os/exec"
	"regexp"
	"testing"

	"github.com/packhouse/packhouse/conformance/tools"
)

// Tool returns the program of a pinned tool and its version.
func Tool(t *testing.T, name string) (path, version string) {
	t.Helper()
	tool, err := tools.Find(name)
	if err != nil {
		t.Fatal(err)
	}
	if path, err = tool.Path(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(path); err != nil {
		t.Fatalf("%s is not installed, conformance/run installs it: %v", name, err)
	}
	return path, tool.Version
}

var versionNumber = regexp.MustCompile(`\d+\.\d+\.\d+`)

// Debian returns the path of a program of Debian's and the version it reports.
func Debian(t *testing.T, name string) (path, version string) {
	t.Helper()
	// Not by $PATH: another version of the same program may come first there.
	for _, dir := range []string{"/usr/bin/", "/usr/sbin/"} {
		if _, err := os.Stat(dir + name); err == nil {
			path = dir + name
		}
	}
	if path == "" {
		t.Fatalf("%s is not installed, conformance/run installs it", name)
	}
	out, err := exec.CommandContext(t.Context(), path, "--version").CombinedOutput()
	if err != nil {
		t.Fatalf("%s --version: %v: %s", path, err, out)
	}
	return path, versionNumber.FindString(string(out))
}

// Version returns the version that a program on the PATH reports.
func Version(t *testing.T, name string) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), name, "--version").Output()
	if err != nil {
		t.Fatal(err)
	}
	return versionNumber.FindString(string(out))
}
