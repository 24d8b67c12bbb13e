package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"text/tabwriter"
	"time"

	"github.com/packhouse/packhouse/conformance/packhouse"
	"github.com/packhouse/packhouse/conformance/tools"
)

// result is one line of the table.
type result struct {
	name string
	note string
	err  error
	took time.Duration
}

// environment is what the steps share.
type environment struct {
	out      io.Writer
	root     string       // the repository
	module   string       // the repository's conformance/
	logs     string       // one file per command, kept from the last run
	packages []string     // to install
	pinned   []tools.Tool // to install
	installs []*installation
	results  []result
	started  time.Time
}

func newEnvironment(out io.Writer) (*environment, error) {
	root, err := packhouse.Root()
	if err != nil {
		return nil, err
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return nil, err
	}
	logs := filepath.Join(cache, "packhouse", "logs")
	if err := os.MkdirAll(logs, 0o755); err != nil {
		return nil, err
	}
	return &environment{out: out, root: root, module: filepath.Join(root, "conformance"), logs: logs, started: time.Now()}, nil
}

func (e *environment) begin(name string) {
	fmt.Fprintf(e.out, "== %s\n", name)
}

// add records results and shows them at once; an error is shown whole, it is all the reader has.
func (e *environment) add(results ...result) {
	for _, r := range results {
		e.results = append(e.results, r)
		fmt.Fprintf(e.out, "   %s %s %s (%.1f s)\n", verdict(r), r.name, r.note, r.took.Seconds())
		if r.err != nil {
			fmt.Fprintf(e.out, "%s\n", indent(r.err.Error()))
		}
	}
}

func (e *environment) failed() int {
	n := 0
	for _, r := range e.results {
		if r.err != nil {
			n++
		}
	}
	return n
}

// summary prints the table and returns the exit status.
func (e *environment) summary() int {
	fmt.Fprintln(e.out)
	table := tabwriter.NewWriter(e.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "NAME\tRESULT\tSECONDS\t")
	for _, r := range e.results {
		fmt.Fprintf(table, "%s\t%s\t%.1f\t%s\n", r.name, verdict(r), r.took.Seconds(), r.note)
	}
	_ = table.Flush()
	fmt.Fprintf(e.out, "\n%.0f s in all; logs are in %s\n", time.Since(e.started).Seconds(), e.logs)
	failed := e.failed()
	fmt.Fprintf(e.out, "%d passed, %d failed\n", len(e.results)-failed, failed)
	if failed > 0 || len(e.results) == 0 {
		return 1
	}
	return 0
}

func verdict(r result) string {
	if r.err != nil {
		return "FAIL"
	}
	return "pass"
}

func indent(text string) string {
	return "      | " + strings.ReplaceAll(strings.TrimRight(text, "\n"), "\n", "\n      | ")
}

// measure runs f and makes a result of it.
func measure(name string, f func() (note string, err error)) result {
	begin := time.Now()
	note, err := f()
	return result{name: name, note: note, err: err, took: time.Since(begin)}
}

// command runs a program in dir and returns its standard output; all output goes to LOGS/name.log too, and into the error.
func (e *environment) command(ctx context.Context, name, dir string, env []string, argv ...string) ([]byte, error) {
	log, err := os.Create(filepath.Join(e.logs, name+".log"))
	if err != nil {
		return nil, err
	}
	defer log.Close()
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Dir, cmd.Env = dir, append(os.Environ(), env...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM) }
	cmd.WaitDelay = 30 * time.Second
	var stdout bytes.Buffer
	cmd.Stdout, cmd.Stderr = io.MultiWriter(&stdout, log), log
	if err := cmd.Run(); err != nil {
		text, _ := os.ReadFile(log.Name())
		return stdout.Bytes(), fmt.Errorf("%s: %w\n%s", strings.Join(argv, " "), err, lastLines(string(text), 200))
	}
	return stdout.Bytes(), nil
}

func lastLines(text string, n int) string {
	lines := strings.SplitAfter(text, "\n")
	if len(lines) <= n {
		return text
	}
	return fmt.Sprintf("… %d lines before these …\n%s", len(lines)-n, strings.Join(lines[len(lines)-n:], ""))
}
