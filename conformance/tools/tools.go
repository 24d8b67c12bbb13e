// Package tools is the one list of what the conformance run installs: clients and peers at pinned versions from the Go
// module proxy, the rest as packages of Debian 12.
//
// Go tools live outside the tree, one directory per version, so that a new pin never meets an old binary:
//
//	$PACKHOUSE_TOOLS | $XDG_CACHE_HOME/packhouse/tools | ~/.cache/packhouse/tools
//	└── oras-v1.3.6/oras
package tools

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"syscall"
)

// DirEnv names the environment variable that moves the tools' directory.
const DirEnv = "PACKHOUSE_TOOLS"

// Tool is one program built from a pinned Go module.
type Tool struct {
	Name    string // what the project calls it: cosign2
	Package string // main package: github.com/sigstore/cosign/v2/cmd/cosign
	Version string // module version: v2.6.5
}

// Clients lists the Go tools that the tests drive, those that build fastest first.
func Clients() []Tool {
	return []Tool{
		{"crane", "github.com/google/go-containerregistry/cmd/crane", "v0.22.1"},
		{"oras", "oras.land/oras/cmd/oras", "v1.3.6"},
		{"regctl", "github.com/regclient/regclient/cmd/regctl", "v0.11.7"},
		{"helm", "helm.sh/helm/v3/cmd/helm", "v3.22.0"},
		{"cosign2", "github.com/sigstore/cosign/v2/cmd/cosign", "v2.6.5"},
		{"cosign3", "github.com/sigstore/cosign/v3/cmd/cosign", "v3.1.3"},
	}
}

// Peers lists the registries that Packhouse is compared with and whose data it takes over.
func Peers() []Tool {
	return []Tool{{"distribution", "github.com/distribution/distribution/v3/cmd/registry", "v3.1.2"}}
}

// Find returns the pinned tool of that name.
func Find(name string) (Tool, error) {
	for _, t := range append(Clients(), Peers()...) {
		if t.Name == name {
			return t, nil
		}
	}
	return Tool{}, fmt.Errorf("tools: no tool is called %q", name)
}

// Path is where the tool's binary is, or will be once installed.
func (t Tool) Path() (string, error) {
	dir, err := dir()
	if err != nil {
		return "", err
	}
	return filepath.Join(dir, t.Name+"-"+t.Version, path.Base(t.Package)), nil
}

// Install builds the tool unless it is there, and reports whether it had to. A machine without a C compiler will do.
func (t Tool) Install(ctx context.Context) (bool, error) {
	binary, err := t.Path()
	if err != nil {
		return false, err
	}
	if _, err := os.Stat(binary); err == nil {
		return false, nil
	} else if !errors.Is(err, os.ErrNotExist) {
		return false, err
	}
	// A low priority leaves the processors to the tests that run meanwhile.
	cmd := exec.CommandContext(ctx, "nice", "-n", "10", "go", "install", t.Package+"@"+t.Version)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.Env = append(os.Environ(), "GOBIN="+filepath.Dir(binary), "GOFLAGS=", "GOWORK=off", "CGO_ENABLED=0")
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Run(); err != nil {
		return false, fmt.Errorf("go install %s@%s: %w\n%s", t.Package, t.Version, err, out.Bytes())
	}
	return true, nil
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
