package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/packhouse/packhouse/conformance/packhouse"
	"github.com/packhouse/packhouse/conformance/tools"
)

// installation is one tool that is being installed beside the steps that do not need it.
type installation struct {
	tool   tools.Tool
	done   chan struct{}
	result result // read after done
	shown  bool
}

func setUp(ctx context.Context, e *environment) []result {
	debian := measure("Debian packages", func() (string, error) {
		installed, err := tools.InstallDebian(ctx, e.packages)
		if len(installed) == 0 {
			return "all there", err
		}
		return "installed " + strings.Join(installed, " "), err
	})
	if debian.err != nil {
		return []result{debian}
	}
	// What is built keeps a processor busy, what is fetched waits for the network: one of each at a time.
	var built, fetched []*installation
	for _, t := range e.pinned {
		i := &installation{tool: t, done: make(chan struct{})}
		e.installs = append(e.installs, i)
		if t.Built() {
			built = append(built, i)
		} else {
			fetched = append(fetched, i)
		}
	}
	for _, lane := range [][]*installation{built, fetched} {
		go func() {
			for _, i := range lane {
				i.result = installTool(ctx, i.tool)
				close(i.done)
			}
		}()
	}
	return []result{debian}
}

func installTool(ctx context.Context, t tools.Tool) result {
	return measure(t.Name+" "+t.Version, func() (string, error) {
		installed, err := t.Install(ctx)
		if installed {
			return "installed", err
		}
		return "all there", err
	})
}

// awaitTools waits for the named tools and reports those that were not reported yet.
func (e *environment) awaitTools(wanted []tools.Tool) error {
	var missing []string
	for _, i := range e.installs {
		if !slices.Contains(wanted, i.tool) {
			continue
		}
		<-i.done
		if !i.shown {
			e.add(i.result)
			i.shown = true
		}
		if i.result.err != nil {
			missing = append(missing, i.result.name)
		}
	}
	if len(missing) > 0 {
		return fmt.Errorf("could not be installed: %s", strings.Join(missing, ", "))
	}
	return nil
}

// abandonTools waits until cancelled installations have ended, so that none outlives the run.
func (e *environment) abandonTools() {
	for _, i := range e.installs {
		<-i.done
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
