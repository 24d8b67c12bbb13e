package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/packhouse/packhouse/conformance/packhouse"
	"github.com/packhouse/packhouse/conformance/tools"
)

const usage = `Usage: go run ./bench [--quick] [--only NAME[,NAME…]] [--peers NAME[,NAME…]] [--dir DIR] [--out FILE.md]

Measures packhouse and its peers, taking turns, and prints a table in Markdown on standard output. Installs nginx and
wrk from Debian's packages (as root) and distribution from the Go module proxy.

  --quick  fewer rounds and smaller amounts: shows that all works, not how fast
  --only   only these groups of rows: %s
  --peers  only these peers beside packhouse: %s
  --dir    where the data goes, all of it; by default below conformance/.cache
  --out    write the table to this file, too

Example:
  go run ./bench --only manifests,blobs --peers nginx
`

// group is a set of rows measured on the same data.
type group struct {
	name string
	run  func(ctx context.Context, b *bench) error
}

func groups() []group {
	return []group{
		{"manifests", manifests},
		{"blobs", blobs},
		{"pushes", pushes},
		{"images", images},
		{"lists", lists},
		{"memory", memory},
	}
}

// bench is what the groups share.
type bench struct {
	quick  bool
	dir    string   // all data; groups make and remove their own folder in it
	peers  []string // wanted, packhouse first
	log    io.Writer
	report *report
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	b := &bench{log: stderr, report: new(report)}
	var names []string
	for _, g := range groups() {
		names = append(names, g.name)
	}
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.Usage = func() { fmt.Fprintf(stderr, usage, strings.Join(names, " "), strings.Join(peerNames()[1:], " ")) }
	flags.BoolVar(&b.quick, "quick", false, "")
	only := flags.String("only", "", "")
	peers := flags.String("peers", strings.Join(peerNames(), ","), "")
	dir := flags.String("dir", "", "")
	out := flags.String("out", "", "")
	if err := flags.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return 0
		}
		return 2
	}
	wanted, err := choose("group", *only, names)
	if err == nil {
		b.peers, err = choose("peer", *peers, peerNames())
	}
	if err == nil && flags.NArg() > 0 {
		err = fmt.Errorf("unexpected argument %q, see --help", flags.Arg(0))
	}
	if err != nil {
		fmt.Fprintln(stderr, "bench:", err)
		return 2
	}
	if err := b.prepare(ctx, *dir); err != nil {
		fmt.Fprintln(stderr, "bench:", err)
		return 1
	}
	failed := b.measure(ctx, wanted)
	if err := os.RemoveAll(b.dir); err != nil {
		failed = errors.Join(failed, err)
	}
	text := b.report.markdown(failed)
	fmt.Fprint(stdout, text)
	if *out != "" {
		failed = errors.Join(failed, os.WriteFile(*out, []byte(text), 0o644)) //nolint:gosec // a report is for everybody to read
	}
	if failed != nil {
		fmt.Fprintln(stderr, "bench:", failed)
		return 1
	}
	return 0
}

// choose splits a comma-separated list and keeps the order of all; the first peer, packhouse, is always in.
func choose(what, list string, all []string) ([]string, error) {
	if list == "" {
		return all, nil
	}
	names := strings.Split(list, ",")
	for _, name := range names {
		if !slices.Contains(all, name) {
			return nil, fmt.Errorf("no %s is called %q; there are %s", what, name, strings.Join(all, ", "))
		}
	}
	return slices.DeleteFunc(slices.Clone(all), func(name string) bool {
		return name != packhouseName && !slices.Contains(names, name)
	}), nil
}

// prepare installs the peers, makes the directory and notes what is measured where.
func (b *bench) prepare(ctx context.Context, dir string) error {
	if _, err := tools.InstallDebian(ctx, tools.DebianPeers()); err != nil {
		return err
	}
	for _, t := range tools.Peers() {
		if _, err := t.Install(ctx); err != nil {
			return err
		}
	}
	if dir == "" {
		root, err := packhouse.Root()
		if err != nil {
			return err
		}
		dir = filepath.Join(root, "conformance", ".cache")
	}
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return err
	}
	var err error
	if b.dir, err = os.MkdirTemp(dir, "bench-"); err != nil {
		return err
	}
	if b.dir, err = filepath.Abs(b.dir); err != nil {
		return err
	}
	return b.describe(ctx)
}

// measure runs the groups; one that fails does not keep the others from running.
func (b *bench) measure(ctx context.Context, wanted []string) error {
	var failed error
	for _, g := range groups() {
		if !slices.Contains(wanted, g.name) || ctx.Err() != nil {
			continue
		}
		fmt.Fprintf(b.log, "== %s\n", g.name)
		if err := g.run(ctx, b); err != nil {
			failed = errors.Join(failed, fmt.Errorf("%s: %w", g.name, err))
		}
	}
	return errors.Join(failed, ctx.Err())
}
