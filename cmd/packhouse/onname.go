package main

import (
	"context"
	"strings"

	"github.com/spf13/cobra"

	"github.com/packhouse/packhouse/registry/admin"
)

// onName is a command that does one thing to what one name means.
type onName[P any] struct {
	use, short, long, example string
	op                        admin.Name[P, admin.None]
	params                    func(name string) P
	did                       string // "disabled %s"
	offer                     func(*operator) completion
	final                     bool // it cannot be undone
}

func (n onName[P]) command() *cobra.Command {
	cmd := &cobra.Command{Use: n.use, Short: n.short, Long: n.long, Example: n.example, Args: cobra.ExactArgs(1)}
	o := newOperator(cmd)
	confirmed := func() error { return nil }
	if n.final {
		confirmed = confirmation(cmd)
	}
	if n.offer != nil {
		cmd.ValidArgsFunction = n.offer(o)
	}
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if err := confirmed(); err != nil {
			return err
		}
		done, err := operate(cmd.Context(), o, n.op, n.params(args[0]))
		if err != nil {
			return err
		}
		return o.say(done, n.did, args[0])
	}
	return cmd
}

// offer completes the first args arguments with the names of a list.
func offer[T admin.Element](args int, n admin.Name[admin.Page, []T], name func(T) string) func(*operator) completion {
	return func(o *operator) completion {
		return complete(o, args, func(ctx context.Context, c admin.Caller, prefix string) ([]string, error) {
			list, err := admin.Call(ctx, c, n, admin.Page{After: before(prefix[strings.IndexByte(prefix, ':')+1:])}, nil)
			var names []string
			for _, one := range list {
				names = append(names, name(one))
			}
			return names, err
		})
	}
}

// offerOf completes one argument with the names of a list, as far as its first
// page goes.
func offerOf[P any, T admin.Element](o *operator, n admin.Name[P, []T], p P, name func(T) string) completion {
	return complete(o, 1, func(ctx context.Context, c admin.Caller, _ string) ([]string, error) {
		list, err := admin.Call(ctx, c, n, p, nil)
		var names []string
		for _, one := range list {
			names = append(names, name(one))
		}
		return names, err
	})
}
