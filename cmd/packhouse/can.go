package main

import (
	"errors"
	"io"

	"github.com/spf13/cobra"

	"github.com/packhouse/packhouse/registry/admin"
)

func canCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "can SUBJECT ACTION REPOSITORY",
		Short: "Tell whether somebody may do something, and why",
		Long: `Tell whether somebody may do something to a repository, a feed or a namespace, and
what decides it, rule by rule. "/" is the whole registry. The action is pull, push
or delete, or a verb: read, list, create, overwrite, label, withdraw, delete,
admin.

It exits with 1 when the answer is no.`,
		Example: `  packhouse can alice push acme/npm/widget
  packhouse can anonymous pull acme/app
  packhouse can service:ci overwrite acme/app`,
		Args: cobra.ExactArgs(3),
	}
	o := newOperator(cmd)
	subjects, repos := offerSubjects(o), completeRepos(o)
	cmd.ValidArgsFunction = func(cmd *cobra.Command, args []string, prefix string) ([]cobra.Completion, cobra.ShellCompDirective) {
		switch len(args) {
		case 0:
			return subjects(cmd, args, prefix)
		case 1:
			return []cobra.Completion{"pull", "push", "delete", "read", "list", "create", "overwrite", "label", "withdraw", "admin"}, cobra.ShellCompDirectiveNoFileComp
		case 2:
			return repos(cmd, nil, prefix)
		}
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		e, err := operate(cmd.Context(), o, admin.Can, admin.CanParams{Subject: args[0], Action: args[1], Repo: args[2]})
		if err != nil {
			return err
		}
		err = o.print(e, func(w io.Writer) error {
			_, err := io.WriteString(w, e.String())
			return err
		})
		if err == nil && !e.Allowed {
			err = errors.New("the answer is no")
		}
		return err
	}
	return cmd
}
