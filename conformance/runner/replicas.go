package main

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/packhouse/packhouse/conformance/packhouse"
	"github.com/packhouse/packhouse/conformance/tools"
)

//go:embed README.replicas.md
var replicasHead string

// replicated is a suite that runs again with every server being two replicas behind one address. What looks into the
// files of one process is left out: tests that damage them, cut their power, fill their disk or trace system calls.
type replicated struct {
	name  string // of the suite; its step is NAME-replicas
	tests string // pattern; "" is all
	args  []string
	long  bool
	what  string
}

func replicatedSuites() []replicated {
	of := func(tests ...string) string { return "^Test(" + strings.Join(tests, "|") + ")$" }
	crash := of("Kill", "OneWinner", "Counter", "Quota")
	return []replicated{
		{name: "oci", what: "the official OCI conformance suite, everything on"},
		{name: "clients", what: "real clients of images and artifacts, over plain HTTP and TLS"},
		{name: "packages", tests: of("Kill"), what: "each format's publishing, one replica or both killed meanwhile"},
		{name: "crash", tests: crash, what: "one replica or both killed; one winner of a race; quotas"},
		{name: "secrets", tests: of("SecretsStayInside"), what: "secrets looked for in PostgreSQL, S3 and Redis, too"},
		{name: "access", long: true, what: "real clients that log in"},
		{name: "oidc", long: true, what: "people and CI jobs that log in by a real OpenID Connect issuer"},
		{name: "api", long: true, what: "the administrative API held against its own description"},
		{name: "packages-full", long: true, what: "real package clients, and packages that exist in the world"},
		{name: "crash-full", tests: crash, args: []string{"-full"}, long: true, what: "kills, races and quotas at the size of the published figures"},
	}
}

// replicaSteps are the steps of these suites.
func replicaSteps() []step {
	var steps []step
	for _, s := range replicatedSuites() {
		steps = append(steps, step{
			name: s.name + "-replicas", what: "on two replicas: " + s.what, long: s.long, packages: slices.Concat(tools.DebianServices(), tools.DebianPackages()),
			tools: slices.Concat(tools.Services(), s.clients()), run: s.run,
		})
	}
	return steps
}

func (s replicated) clients() []tools.Tool {
	switch s.dir() {
	case "clients":
		return tools.Clients()
	case "packages", "access", "oidc":
		return slices.Concat(tools.Clients(), tools.Peers(), tools.PackageClients())
	}
	return nil
}

// dir is the package of the suite's tests.
func (s replicated) dir() string { return strings.TrimSuffix(s.name, "-full") }

func (s replicated) run(ctx context.Context, e *environment) []result {
	var results []result
	passed := 0
	if s.name == "oci" {
		results = suitesOf(ctx, e, "-replicas", 2)
		passed = len(results)
	} else {
		args := slices.Concat(s.args, []string{"./" + s.dir()})
		if s.tests != "" {
			args = append([]string{"-run", s.tests}, args...)
		}
		var out []byte
		out, results = e.goTestEnv(ctx, s.name+"-replicas", []string{packhouse.ReplicasEnv + "=2"}, "90m", args...)
		for _, ev := range parseEvents(out) {
			if ev.Action == "pass" && ev.Test != "" {
				passed++
			}
		}
	}
	if slices.ContainsFunc(results, failed) {
		return results
	}
	return append(results, measure(s.name+"-replicas", func() (string, error) {
		return fmt.Sprintf("%d tests and parts of them passed", passed), writeReplicated(e.module, s.name)
	}))
}

// writeReplicated adds a suite to those that README.md says passed on replicas.
func writeReplicated(dir, name string) error {
	content, err := os.ReadFile(filepath.Join(dir, "README.md"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return writeSection(dir, replicasHeading, replicatedRows(section(string(content), replicasHeading), name))
}

// replicatedRows is the section with the row of a suite in its place.
func replicatedRows(old, name string) string {
	var b strings.Builder
	b.WriteString(replicasHead)
	for _, s := range replicatedSuites() {
		row := fmt.Sprintf("| %s | %s |\n", s.name, s.what)
		if s.name == name || strings.Contains(old, "\n"+row) {
			b.WriteString(row)
		}
	}
	return b.String()
}
