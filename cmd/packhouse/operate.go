package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/packhouse/packhouse/artifacttypes/all"
	"github.com/packhouse/packhouse/registry"
	"github.com/packhouse/packhouse/registry/admin"
	"github.com/packhouse/packhouse/registry/config"
	"github.com/packhouse/packhouse/registry/obs"
	"github.com/packhouse/packhouse/registry/server"
)

// operator is a command that runs administrative operations.
type operator struct {
	*settings
	json bool
	// fresh, unless nil, lets the command work in a directory that no
	// registry was in, or says why it does not.
	fresh func(config.Config) error
}

// newOperator adds the flags of such a command.
func newOperator(cmd *cobra.Command) *operator {
	o := &operator{settings: newSettings(cmd)}
	cmd.Flags().BoolVar(&o.json, "json", false, "print the result as JSON")
	return o
}

// operate runs n in the server that has the data directory or, when none runs,
// in this process.
func operate[P, R any](ctx context.Context, o *operator, n admin.Name[P, R], params P) (result R, err error) {
	c, err := o.load()
	if err != nil {
		return result, err
	}
	caller, done, err := o.caller(ctx, c)
	if err != nil {
		return result, err
	}
	defer func() { err = errors.Join(err, done()) }()
	progress := newProgress(o.cmd.ErrOrStderr())
	result, err = admin.Call(ctx, caller, n, params, progress.report)
	progress.finish()
	if e, ok := errors.AsType[*registry.Error](err); ok {
		return result, admin.Cause(e)
	}
	return result, err
}

func (o *operator) caller(ctx context.Context, c config.Config) (_ admin.Caller, done func() error, err error) {
	remote, ok, err := admin.Dial(ctx, c.Data)
	if err != nil {
		return nil, nil, err
	}
	if ok {
		return remote, func() error { return nil }, nil
	}
	if _, err := os.Stat(filepath.Join(c.Data, "packhouse.db")); errors.Is(err, os.ErrNotExist) {
		if o.fresh == nil {
			return nil, nil, fmt.Errorf("there is no registry in %s: name its directory with --data, or start one with `packhouse serve`", c.Data)
		}
		if err := o.fresh(c); err != nil {
			return nil, nil, err
		}
	}
	b, err := server.Open(ctx, c, all.Formats(), obs.NewLogger(o.cmd.ErrOrStderr(), slog.LevelWarn, c.Log.Format))
	if err != nil {
		return nil, nil, err
	}
	return admin.Local{Env: &admin.Env{Engine: b.Engine}}, b.Close, nil
}

// print writes v as JSON if that was asked for, else what text writes.
func (o *operator) print(v any, text func(w io.Writer) error) error {
	w := o.cmd.OutOrStdout()
	if o.json {
		enc := json.NewEncoder(w)
		enc.SetIndent("", "  ")
		return enc.Encode(v)
	}
	return text(w)
}

// say prints one sentence, or v as JSON.
func (o *operator) say(v any, format string, a ...any) error {
	return o.print(v, func(w io.Writer) error {
		_, err := fmt.Fprintf(w, format+"\n", a...)
		return err
	})
}

// table prints rows under a header, aligned.
func table(w io.Writer, rows [][]string) error {
	t := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	for _, row := range rows {
		for i, cell := range row {
			if i > 0 {
				_, _ = io.WriteString(t, "\t") // kept until Flush
			}
			_, _ = io.WriteString(t, cell)
		}
		_, _ = io.WriteString(t, "\n")
	}
	return t.Flush()
}

// when writes a time for people; the zero time is "-".
func when(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return t.Local().Format(time.RFC3339)
}

// size writes a number of bytes for people.
func size(n int64) string {
	const unit = 1024
	if n < unit {
		return fmt.Sprintf("%d B", n)
	}
	v, i := float64(n)/unit, 0
	for ; v >= unit && i < 4; i++ {
		v /= unit
	}
	return fmt.Sprintf("%.1f %ciB", v, "KMGTP"[i])
}

// complete offers what list finds in the running server for the first args
// arguments; without a server it offers nothing, since completing must not lock
// a directory.
func complete(o *operator, args int, list func(ctx context.Context, c admin.Caller, prefix string) ([]string, error)) func(*cobra.Command, []string, string) ([]cobra.Completion, cobra.ShellCompDirective) {
	return func(cmd *cobra.Command, given []string, prefix string) ([]cobra.Completion, cobra.ShellCompDirective) {
		const none = cobra.ShellCompDirectiveNoFileComp
		c, err := o.load()
		if err != nil || len(given) >= args {
			return nil, none
		}
		remote, ok, err := admin.Dial(cmd.Context(), c.Data)
		if err != nil || !ok {
			return nil, none
		}
		names, err := list(cmd.Context(), remote, prefix)
		if err != nil {
			return nil, none
		}
		names = slices.DeleteFunc(names, func(n string) bool { return !strings.HasPrefix(n, prefix) })
		return names, none
	}
}

// completeRepos offers repositories for the first argument.
func completeRepos(o *operator) func(*cobra.Command, []string, string) ([]cobra.Completion, cobra.ShellCompDirective) {
	return complete(o, 1, func(ctx context.Context, c admin.Caller, prefix string) ([]string, error) {
		list, err := admin.Call(ctx, c, admin.RepoList, admin.RepoListParams{After: before(prefix)}, nil)
		var names []string
		for _, r := range list {
			names = append(names, string(r.Name))
		}
		return names, err
	})
}

// before sorts before all names that start with prefix and, names being ASCII,
// after those before them.
func before(prefix string) string {
	if prefix == "" {
		return ""
	}
	last := len(prefix) - 1
	return prefix[:last] + string(rune(prefix[last]-1)) + "\x7f"
}
