package main

import (
	"io"

	"github.com/spf13/cobra"

	"github.com/packhouse/packhouse/registry/admin"
)

func tagCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "tag",
		Short: "Show what a tag pointed to, and bring it back",
		Args:  cobra.NoArgs,
	}
	cmd.AddCommand(tagHistoryCommand(), tagRestoreCommand())
	return cmd
}

func tagHistoryCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "history REPOSITORY TAG",
		Short:   "List what a tag has pointed to, the latest first",
		Example: `  packhouse tag history acme/app latest`,
		Args:    cobra.ExactArgs(2),
	}
	o := newOperator(cmd)
	cmd.ValidArgsFunction = completeRepos(o)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		list, err := operateAll(cmd.Context(), o, admin.TagHistory, admin.TagHistoryParams{TagParams: admin.TagParams{Repo: args[0], Tag: args[1]}})
		if err != nil {
			return err
		}
		return o.print(list, func(w io.Writer) error {
			rows := [][]string{{"DIGEST", "FROM", "UNTIL"}}
			for _, p := range list {
				until := when(p.Until)
				if p.Until.IsZero() {
					until = "now"
				}
				rows = append(rows, []string{p.Digest.String(), when(p.From), until})
			}
			return table(w, rows)
		})
	}
	return cmd
}

func tagRestoreCommand() *cobra.Command {
	var digest string
	cmd := &cobra.Command{
		Use:   "restore REPOSITORY TAG",
		Short: "Point a tag to what it pointed to before",
		Long: `Point a deleted or moved tag to what it pointed to before, and bring that
manifest back if it was deleted. It works until the trash window (trash.window)
ends.`,
		Example: `  packhouse tag restore acme/app latest
  packhouse tag restore acme/app latest --digest sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08`,
		Args: cobra.ExactArgs(2),
	}
	o := newOperator(cmd)
	cmd.Flags().StringVar(&digest, "digest", "", "a digest that the tag had, see packhouse tag history, instead of the latest earlier one")
	cmd.ValidArgsFunction = completeRepos(o)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		r, err := operate(cmd.Context(), o, admin.TagRestore, admin.TagRestoreParams{TagParams: admin.TagParams{Repo: args[0], Tag: args[1]}, Digest: digest})
		if err != nil {
			return err
		}
		return o.say(r, "%s:%s is %s again", args[0], args[1], r.Digest)
	}
	return cmd
}
