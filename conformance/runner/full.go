package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

func crashFull(ctx context.Context, e *environment) []result {
	machine := e.machine(ctx) // now: the tree may move on while the tests run
	out, results := e.goTest(ctx, "crash-full", "3h", "./crash", "-full")
	return append(results, measure("results/crash.md", func() (string, error) {
		return "", e.writeResult(machine, "crash", "go test ./crash -full", crashReport(out, results))
	}))
}

// crashReport is a table of the tests, and below it what each of them logged: that is where their figures are.
func crashReport(out []byte, results []result) string {
	var b strings.Builder
	b.WriteString("| test | result | seconds |\n| --- | --- | --- |\n")
	for _, r := range results {
		fmt.Fprintf(&b, "| %s | %s | %.0f |\n", r.name, verdict(r), r.took.Seconds())
	}
	b.WriteString("\n```\n")
	for _, ev := range parseEvents(out) {
		line := strings.TrimSpace(ev.Output)
		if ev.Action == "output" && ev.Test != "" && !strings.HasPrefix(line, "===") && line != "" {
			b.WriteString(strings.TrimRight(ev.Output, "\n") + "\n")
		}
	}
	b.WriteString("```\n")
	return b.String()
}

// bench passes on what the benchmark prints: a Markdown table on its standard output.
func bench(ctx context.Context, e *environment) []result {
	return []result{measure("bench", func() (string, error) {
		machine := e.machine(ctx)
		out, err := e.command(ctx, "bench", e.module, nil, "go", "run", "./bench")
		if err != nil {
			return "", err
		}
		if len(out) == 0 {
			return "", errors.New("the benchmark printed nothing")
		}
		return "results/bench.md", e.writeResult(machine, "bench", "go run ./bench", string(out))
	})}
}

func (e *environment) writeResult(machine, name, command, body string) error {
	dir := filepath.Join(e.module, "results")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	text := fmt.Sprintf("# %s\n\n`%s`, run by `conformance/run --full`.\n\n%s\n%s", name, command, machine, body)
	return os.WriteFile(filepath.Join(dir, name+".md"), []byte(text), 0o644)
}
