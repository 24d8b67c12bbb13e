// Command runner is what conformance/run starts: it installs what the tests need, runs them step by step, prints a table
// of what ran and writes the support matrix.
//
// A step that finds nothing to run has failed, and so has one whose tool is missing: there are no skips.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"

	"github.com/packhouse/packhouse/conformance/tools"
)

const usage = `Usage: conformance/run [--full] [--only NAME[,NAME…]]

Installs what the tests need, from Debian's packages (as root), the Go module proxy, the npm registry, the Python package
index and Maven's central repository, then runs them all. Everything is found again on the next run: packages stay
installed, tools are kept by version in ${PACKHOUSE_TOOLS:-${XDG_CACHE_HOME:-~/.cache}/packhouse/tools}.

  --full       the long tier too: benchmarks and the crash tests at the size of the published figures;
               its results are written to conformance/results/
  --only NAME  only these steps

Steps:
%s
Environment:
  FUZZTIME       how long each fuzz target runs (30s)
  PACKHOUSE_BIN  a binary to test instead of the one built from this tree

Examples:
  conformance/run
  conformance/run --only oci,clients
  FUZZTIME=10m conformance/run --only fuzz
`

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	flags := flag.NewFlagSet("conformance/run", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.Usage = func() { fmt.Fprintf(stderr, usage, describe(allSteps())) }
	full := flags.Bool("full", false, "")
	only := flags.String("only", "", "")
	if err := flags.Parse(args); err != nil {
		if err == flag.ErrHelp {
			return 0
		}
		return 2
	}
	steps, err := choose(allSteps(), *full, *only)
	if err != nil || flags.NArg() > 0 {
		fmt.Fprintln(stderr, "conformance/run:", unexpected(err, flags.Args()))
		return 2
	}
	e, err := newEnvironment(stdout)
	if err != nil {
		fmt.Fprintln(stderr, "conformance/run:", err)
		return 1
	}
	ctx, cancel := context.WithCancel(ctx)
	defer e.abandonTools()
	defer cancel()
	for _, s := range steps {
		e.packages = append(e.packages, s.packages...)
		for _, t := range s.tools {
			if !slices.Contains(e.pinned, t) {
				e.pinned = append(e.pinned, t)
			}
		}
	}
	for _, s := range steps {
		e.begin(s.name)
		if err := e.awaitTools(s.tools); err != nil {
			e.add(result{name: s.name, err: err})
			continue
		}
		e.add(s.run(ctx, e)...)
		if s.vital && e.failed() > 0 {
			break
		}
	}
	return e.summary()
}

func unexpected(err error, args []string) error {
	if err != nil {
		return err
	}
	return fmt.Errorf("unexpected argument %q, see --help", args[0])
}

// step is one part of the run; it reports one or more results.
type step struct {
	name string
	what string
	long bool // only with --full, or when asked for by name
	// What must be there before the step: Debian packages, and tools, which are installed beside the steps before it.
	packages []string
	tools    []tools.Tool
	// A vital step makes what every later one needs. It runs even if other steps are asked for.
	vital bool
	run   func(ctx context.Context, e *environment) []result
}

func allSteps() []step {
	return slices.Concat([]step{
		{name: "setup", what: "Debian packages; pinned tools, installed beside the next steps", vital: true, packages: tools.Debian(), run: setUp},
		{name: "build", what: "the binary under test", vital: true, run: buildBinary},
		{name: "vet", what: "go vet of both modules", run: vet},
		{
			name: "unit", what: "unit tests with the race detector, in random order",
			packages: tools.DebianServices(), tools: tools.Services(), run: unitTests,
		},
		{name: "fuzz", what: "every fuzz target for $FUZZTIME", run: fuzz},
		{name: "oci", what: "the official OCI conformance suite, everything on", run: suites},
		{name: "crash", what: "killed, powered off, full and hostile: the short tier", run: crash},
		{name: "api", what: "the administrative API held against its own description", run: api},
		{name: "secrets", what: "secrets sent everywhere, and looked for in all that the server writes and shows", run: secrets},
		{name: "adopt", what: "the data directory of a real distribution registry is taken over", tools: tools.Peers(), run: adopt},
		{
			name: "clients", what: "real clients over plain HTTP and TLS, and those that log in; writes conformance/README.md",
			packages: tools.DebianPackages(), tools: slices.Concat(tools.Clients(), tools.PackageClients()), run: clients,
		},
		{
			name: "oidc", what: "people and CI jobs that log in by a real OpenID Connect issuer",
			packages: tools.DebianPackages(), tools: tools.PackageClients(), run: openID,
		},
		{
			name: "packages", what: "real package clients, and packages that exist in the world; writes conformance/README.md",
			packages: tools.DebianPackages(), tools: slices.Concat(tools.Clients(), tools.Peers(), tools.PackageClients()), run: packages,
		},
	}, chartSteps(), replicaSteps(), []step{
		{
			// Long until its bounds on answers hold where the machine is busy, too.
			name: "consistency", what: "two replicas answer as one while PostgreSQL, S3 and Redis break: the short tier", long: true,
			packages: tools.DebianServices(), tools: tools.Services(), run: consistency,
		},
		{
			name: "consistency-full", what: "the same at the size of the published figures", long: true,
			packages: tools.DebianServices(), tools: tools.Services(), run: consistencyFull,
		},
		{name: "crash-full", what: "the crash tests at the size of the published figures", long: true, run: crashFull},
		{name: "bench", what: "the benchmarks beside their peers", long: true, packages: tools.DebianPeers(), tools: tools.Peers(), run: bench},
	})
}

func choose(steps []step, full bool, only string) ([]step, error) {
	var names []string
	if only != "" {
		names = strings.Split(only, ",")
	}
	for _, name := range names {
		if !slices.ContainsFunc(steps, func(s step) bool { return s.name == name }) {
			return nil, fmt.Errorf("no step is called %q; the steps are\n%s", name, describe(steps))
		}
	}
	return slices.DeleteFunc(steps, func(s step) bool {
		if names != nil {
			return !s.vital && !slices.Contains(names, s.name)
		}
		// The long crash tests contain the short ones.
		return s.long && !full || full && (s.name == "crash" || s.name == "consistency")
	}), nil
}

func describe(steps []step) string {
	var b strings.Builder
	for _, s := range steps {
		long := ""
		if s.long {
			long = " (--full)"
		}
		fmt.Fprintf(&b, "  %-22s %s%s\n", s.name, s.what, long)
	}
	return b.String()
}
