package main

import (
	"github.com/spf13/cobra"

	"github.com/packhouse/packhouse/registry/admin"
)

func gcCommand() *cobra.Command {
	var dryRun bool
	cmd := &cobra.Command{
		Use:   "gc",
		Short: "Remove what nothing can need any more",
		Long: `Remove what nothing can need any more: idle upload sessions, what is past the
trash window, and blobs that have been unreferenced for longer than the lease.
Pushes and pulls go on meanwhile.`,
		Example: `  packhouse gc --dry-run
  packhouse gc`,
		Args: cobra.NoArgs,
	}
	o := newOperator(cmd)
	cmd.Flags().BoolVar(&dryRun, "dry-run", false, "remove nothing, say what would be removed")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		c, err := operate(cmd.Context(), o, admin.GC, admin.GCParams{DryRun: dryRun})
		if err != nil {
			return err
		}
		verb := "removed"
		if dryRun {
			verb = "would remove"
		}
		return o.say(c, "%s %d uploads, %d repositories, %d periods of names, %d blobs (%s)",
			verb, c.Uploads, c.Repositories, c.Periods, c.Blobs, size(c.Bytes))
	}
	return cmd
}
