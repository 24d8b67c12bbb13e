package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/packhouse/packhouse/conformance/packhouse"
	"github.com/packhouse/packhouse/conformance/tools"
)

// toolBuild is the building of the Go tools beside the steps that do not need them.
type toolBuild struct {
	done    chan struct{}
	results []result // read after done
	shown   bool
}

func setUp(ctx context.Context, e *environment) []result {
	debian := measure("Debian packages", func() (string, error) {
		installed, err := tools.InstallDebian(ctx, e.packages)
		if len(installed) == 0 {
			return "all there", err
		}
		return "installed " + strings.Join(installed, " "), err
	})
	if debian.err != nil || len(e.pinned) == 0 {
		return []result{debian}
	}
	e.tools = &toolBuild{done: make(chan struct{})}
	go func() {
		defer close(e.tools.done)
		for _, t := range e.pinned {
			e.tools.results = append(e.tools.results, installTool(ctx, t))
		}
	}()
	return []result{debian}
}

func installTool(ctx context.Context, t tools.Tool) result {
	return measure(t.Name+" "+t.Version, func() (string, error) {
		built, err := t.Install(ctx)
		if built {
			return "built", err
		}
		return "all there", err
	})
}

// awaitTools waits for the tools and, the first time, reports them.
func (e *environment) awaitTools() error {
	<-e.tools.done
	if !e.tools.shown {
		e.add(e.tools.results...)
		e.tools.shown = true
	}
	for _, r := range e.tools.results {
		if r.err != nil {
			return fmt.Errorf("%s could not be built", r.name)
		}
	}
	return nil
}

// abandonTools waits until a cancelled build has ended, so that none outlives the run.
func (e *environment) abandonTools() {
	if e.tools != nil {
		<-e.tools.done
	}
}

// buildBinary builds the binary once and hands it to every later step by PACKHOUSE_BIN.
func buildBinary(ctx context.Context, _ *environment) []result {
	return []result{measure("build", func() (string, error) {
		binary, err := packhouse.Binary(ctx)
		if err != nil {
			return "", err
		}
		if err := os.Setenv(packhouse.BinaryEnv, binary); err != nil {
			return "", err
		}
		info, err := os.Stat(binary)
		if err != nil {
			return "", err
		}
		return fmt.Sprintf("%.0f MB", float64(info.Size())/1e6), nil
	})}
}

// machine says on what the figures were measured.
func (e *environment) machine(ctx context.Context) string {
	first := func(file, key string) string {
		content, _ := os.ReadFile(file)
		for line := range strings.Lines(string(content)) {
			if rest, ok := strings.CutPrefix(line, key); ok {
				return strings.Trim(rest, " \t:\n\"=")
			}
		}
		return "unknown"
	}
	output := func(argv ...string) string {
		cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
		cmd.Dir = e.root
		out, _ := cmd.Output()
		return strings.TrimSpace(string(out))
	}
	commit := output("git", "rev-parse", "--short=12", "HEAD")
	if output("git", "status", "--porcelain", "--", ".", ":!conformance/results", ":!conformance/README.md") != "" {
		commit += " with local changes"
	}
	return fmt.Sprintf("- commit: %s\n- date: %s\n- processor: %s cores of %s\n- memory: %s\n- system: %s, Linux %s, %s on the data's file system\n- %s\n",
		commit, time.Now().UTC().Format(time.DateOnly), output("nproc"), first("/proc/cpuinfo", "model name"),
		first("/proc/meminfo", "MemTotal"), first("/etc/os-release", "PRETTY_NAME"), output("uname", "-r"),
		output("stat", "--file-system", "--format=%T", filepath.Clean(os.TempDir())), output("go", "version"))
}
