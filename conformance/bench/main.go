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

const usage = `Usage: go run ./bench [--quick] [--only NAME[,NAME…]] [--peers NAME[,NAME…]] [--feed-size N] [--dir DIR] [--out FILE.md]

Measures packhouse and its peers, taking turns, and prints a table in Markdown on standard output. Installs what it
needs: nginx, wrk, PostgreSQL and Redis from Debian's packages (as root), the other peers and the clients from their own
registries.

  --quick      fewer rounds and smaller amounts: shows that all works, not how fast
  --only       only these groups of rows: %s;
               oci and packages stand for all of a kind
  --peers      only these peers beside packhouse: %s
  --feed-size  how many packages the large feeds have (100000, or 500 when quick)
  --dir        where the data goes, all of it; by default below conformance/.cache
  --out        write the table to this file, too

Examples:
  go run ./bench --only manifests,blobs --peers nginx
  go run ./bench --only packages
`

// Kinds of groups.
const (
	imagesSet   = "oci"
	packagesSet = "packages"
	accessSet   = "access"
	scaleSet    = "scale"
)

// group is a set of rows measured on the same data.
type group struct {
	name, set string
	run       func(ctx context.Context, b *bench) error
}

func groups() []group {
	return []group{
		{"manifests", imagesSet, manifests},
		{"blobs", imagesSet, blobs},
		{"pushes", imagesSet, pushes},
		{"images", imagesSet, images},
		{"lists", imagesSet, lists},
		{"memory", imagesSet, memory},
		{"access", accessSet, access},
		{"scale", scaleSet, scale},
		{"npm", packagesSet, npm},
		{"pypi", packagesSet, pypi},
		{"versions", packagesSet, versions},
		{"feeds", packagesSet, feeds},
		{"uploads", packagesSet, uploads},
	}
}

// bench is what the groups share.
type bench struct {
	quick  bool
	dir    string   // all data; groups make and remove their own folder in it
	peers  []string // wanted, packhouse first
	size   int      // packages of a large feed; 0: by quick
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
	flags.IntVar(&b.size, "feed-size", 0, "")
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
	wanted, err := choose("group", members(*only), names)
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
	if err := b.prepare(ctx, *dir, setsOf(wanted)); err != nil {
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

// members replaces the kinds in a comma-separated list by their groups.
func members(list string) string {
	if list == "" {
		return ""
	}
	var names []string
	for name := range strings.SplitSeq(list, ",") {
		if name != imagesSet && name != packagesSet {
			names = append(names, name)
			continue
		}
		for _, g := range groups() {
			if g.set == name {
				names = append(names, g.name)
			}
		}
	}
	return strings.Join(names, ",")
}

// setsOf are the kinds of groups that are wanted.
func setsOf(wanted []string) []string {
	var sets []string
	for _, g := range groups() {
		if slices.Contains(wanted, g.name) && !slices.Contains(sets, g.set) {
			sets = append(sets, g.set)
		}
	}
	return sets
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
func (b *bench) prepare(ctx context.Context, dir string, sets []string) error {
	debian := tools.DebianPeers()
	if slices.Contains(sets, packagesSet) {
		debian = append(debian, tools.DebianPackages()...)
	}
	if slices.Contains(sets, scaleSet) {
		debian = append(debian, tools.DebianServices()...)
	}
	if _, err := tools.InstallDebian(ctx, debian); err != nil {
		return err
	}
	for _, t := range pinned(sets) {
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
	return b.describe(ctx, sets)
}

// pinned are the tools that groups of these kinds need.
func pinned(sets []string) []tools.Tool {
	var list []tools.Tool
	if slices.Contains(sets, imagesSet) || slices.Contains(sets, scaleSet) {
		list = append(list, tools.Peers()...)
	}
	if slices.Contains(sets, scaleSet) {
		list = append(list, tools.Services()...)
	}
	if slices.Contains(sets, packagesSet) {
		list = append(list, tools.PackagePeers()...)
		for _, t := range tools.PackageClients() {
			if slices.Contains([]string{"node", "npm", "pip", "uv"}, t.Name) {
				list = append(list, t)
			}
		}
	}
	return list
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
