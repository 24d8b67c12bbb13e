// Package tools is the one list of what the conformance run installs: clients and peers at pinned versions, each from its
// own ecosystem's registry by that ecosystem's ordinary client and its configuration, the rest as packages of Debian 12.
//
// Tools live outside the tree, one directory per version, so that a new pin never meets an old program:
//
//	$PACKHOUSE_TOOLS | $XDG_CACHE_HOME/packhouse/tools | ~/.cache/packhouse/tools
//	├── oras-v1.3.6/oras                        a Go module
//	├── pnpm-12.21.0/node_modules/…             an npm package
//	├── twine-7.0.0/bin/twine                   a Python package in a virtual environment
//	└── maven39-3.9.16/apache-maven-3.9.16/bin  a Maven artifact
package tools

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"syscall"
)

// DirEnv names the environment variable that moves the tools' directory.
const DirEnv = "PACKHOUSE_TOOLS"

// Tool is one pinned program.
type Tool struct {
	Name    string // what the tests call it: cosign2
	Package string // as its registry names it: github.com/sigstore/cosign/v2/cmd/cosign
	Version string // v2.6.5

	source source
}

// source is how a tool comes from its registry.
type source interface {
	// program is the tool's program, relative to the tool's directory.
	program(t Tool) string
	// install puts the tool into dir, which may hold what an interrupted
	// install left.
	install(ctx context.Context, t Tool, dir string) error
}

// Find returns the pinned tool of that name.
func Find(name string) (Tool, error) {
	for _, t := range slices.Concat(Clients(), Peers(), Services(), MoreServices(), PackageClients(), PackagePeers(), ChartTools()) {
		if t.Name == name {
			return t, nil
		}
	}
	return Tool{}, fmt.Errorf("tools: no tool is called %q", name)
}

// Dir is the tool's directory.
func (t Tool) Dir() (string, error) {
	dir, err := dir()
	if err != nil {
		return "", err
	}
	return filepath.Join(dir, t.Name+"-"+t.Version), nil
}

// Path is where the tool's program is, or will be once installed.
func (t Tool) Path() (string, error) {
	dir, err := t.Dir()
	if err != nil {
		return "", err
	}
	return filepath.Join(dir, filepath.FromSlash(t.source.program(t))), nil
}

// Built tells whether installing the tool is work for the processors, not the network.
func (t Tool) Built() bool { return t.source == goModule{} }

// Install installs the tool unless it is there, and reports whether it had to.
func (t Tool) Install(ctx context.Context) (bool, error) {
	dir, err := t.Dir()
	if err != nil {
		return false, err
	}
	// Written last: its presence says that the rest is complete.
	whole := filepath.Join(dir, ".installed")
	if t.Built() {
		whole = filepath.Join(dir, t.source.program(t)) // go install renames it into place
	}
	if _, err := os.Stat(whole); err == nil {
		return false, nil
	} else if !errors.Is(err, os.ErrNotExist) {
		return false, err
	}
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return false, err
	}
	if err := t.source.install(ctx, t, dir); err != nil {
		return false, fmt.Errorf("%s %s: %w", t.Name, t.Version, err)
	}
	if t.Built() {
		return true, nil
	}
	return true, os.WriteFile(whole, nil, 0o600)
}

func dir() (string, error) {
	if dir := os.Getenv(DirEnv); dir != "" {
		return filepath.Abs(dir)
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	return filepath.Join(cache, "packhouse", "tools"), nil
}

// run runs an installing command in dir. A low priority leaves the processors to the tests that run meanwhile.
func run(ctx context.Context, dir string, env []string, argv ...string) error {
	cmd := exec.CommandContext(ctx, "nice", append([]string{"-n", "10"}, argv...)...) //nolint:gosec // the pinned list's own
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.Dir, cmd.Env = dir, append(os.Environ(), env...)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%s: %w\n%s", cmd, err, out.Bytes())
	}
	return nil
}
