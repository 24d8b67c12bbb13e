package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/packhouse/packhouse/registry"
	"github.com/packhouse/packhouse/registry/admin"
	"github.com/packhouse/packhouse/registry/config"
)

// operator is a command that runs operations.
type operator struct {
	*connection
	json bool
}

// newOperator adds the flags of such a command.
func newOperator(cmd *cobra.Command) *operator {
	return withJSON(newConnection(cmd))
}

// newLocalOperator is one that does not talk to servers elsewhere.
func newLocalOperator(cmd *cobra.Command) *operator {
	return withJSON(&connection{settings: newSettings(cmd)})
}

func withJSON(c *connection) *operator {
	o := &operator{connection: c}
	c.cmd.Flags().BoolVar(&o.json, "json", false, "print the result as JSON")
	return o
}

// operate runs n in the server that was named or has the data directory or,
// when none runs, in this process.
func operate[P, R any](ctx context.Context, o *operator, n admin.Name[P, R], params P) (result R, err error) {
	err = o.with(ctx, func(c admin.Caller) error {
		progress := newProgress(o.cmd.ErrOrStderr())
		result, err = admin.Call(ctx, c, n, params, progress.report)
		progress.finish()
		return err
	})
	return result, err
}

// operateAll runs a list's operation for page after page.
func operateAll[P any, T admin.Element, PP admin.Turnable[P]](ctx context.Context, o *operator, n admin.Name[P, []T], params P) (list []T, err error) {
	err = o.with(ctx, func(c admin.Caller) error {
		list, err = admin.All[P, T, PP](ctx, c, n, params)
		return err
	})
	return list, err
}

// with calls do with what runs operations, for commands that take several.
func (o *operator) with(ctx context.Context, do func(admin.Caller) error) (err error) {
	c, done, err := o.caller(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, done()) }()
	return o.explain(do(c))
}

// explain says of an operation's error what helps the person at the terminal.
func (o *operator) explain(err error) error {
	e, ok := errors.AsType[*registry.Error](err)
	if !ok {
		return err
	}
	cause := admin.Cause(e)
	if address := o.address(); address != "" && e.Code == registry.Unauthorized {
		return fmt.Errorf("%w: packhouse login %s", cause, address)
	}
	return cause
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

// completion offers names for a command's arguments.
type completion = func(cmd *cobra.Command, given []string, prefix string) ([]cobra.Completion, cobra.ShellCompDirective)

// complete offers what list finds in the running server for the first args
// arguments; without a server it offers nothing, since completing must not lock
// a directory.
func complete(o *operator, args int, list func(ctx context.Context, c admin.Caller, prefix string) ([]string, error)) completion {
	return func(cmd *cobra.Command, given []string, prefix string) ([]cobra.Completion, cobra.ShellCompDirective) {
		const none = cobra.ShellCompDirectiveNoFileComp
		if len(given) >= args {
			return nil, none
		}
		ctx, cancel := context.WithTimeout(cmd.Context(), 3*time.Second)
		defer cancel()
		remote, ok, err := o.running(ctx)
		if err != nil || !ok {
			return nil, none
		}
		names, err := list(ctx, remote, prefix)
		if err != nil {
			return nil, none
		}
		names = slices.DeleteFunc(names, func(n string) bool { return !strings.HasPrefix(n, prefix) })
		return names, none
	}
}

// completeRepos offers repositories for the first argument.
func completeRepos(o *operator) completion {
	return complete(o, 1, func(ctx context.Context, c admin.Caller, prefix string) ([]string, error) {
		list, err := admin.Call(ctx, c, admin.RepoList, admin.RepoListParams{Page: admin.Page{After: before(prefix)}}, nil)
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

// orDash shows that there is no text.
func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

// state tells whether an account works.
func state(disabled time.Time) string {
	if disabled.IsZero() {
		return "enabled"
	}
	return "disabled"
}

// parseDuration reads 90m, 12h, 7d.
func parseDuration(text string) (time.Duration, error) {
	var d config.Duration
	err := d.UnmarshalText([]byte(text))
	return time.Duration(d), err
}
