package main

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/packhouse/packhouse/registry/admin"
	"github.com/packhouse/packhouse/registry/engine"
)

func gcCommand() *cobra.Command {
	var dryRun bool
	cmd := &cobra.Command{
		Use:   "gc",
		Short: "Remove what nothing can need any more",
		Long: `Remove what nothing can need any more: idle upload sessions, what is past the
trash window, blobs that have been unreferenced for longer than gc.lease, and
what processes that are gone left in the storage. Manifests that have been
untagged for longer than gc.untagged, and referrers whose subject has been gone
for longer than gc.referrers, go to the trash. Pushes and pulls go on meanwhile.

A server does this by itself (gc.every); of several that share a database one at
a time does. With --dry-run nothing is removed: what would be is listed by
reason, and what would follow from it later. What lies in the storage without
being known to the database is not counted then.`,
		Example: `  packhouse gc --dry-run
  packhouse gc`,
		Args: cobra.NoArgs,
	}
	o := newOperator(cmd)
	cmd.Flags().BoolVar(&dryRun, "dry-run", false, "remove nothing, say what would be removed, and why")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		c, err := operate(cmd.Context(), o, admin.GC, admin.GCParams{DryRun: dryRun})
		if err != nil {
			return err
		}
		return o.print(c, func(w io.Writer) error { return printCollected(w, c, dryRun) })
	}
	return cmd
}

func printCollected(w io.Writer, c engine.Collected, dryRun bool) error {
	verb := "removed"
	if dryRun {
		verb = "would remove"
	}
	_, err := fmt.Fprintf(w, "%s %d uploads, %d repositories, %d periods of names, %d manifests, %d blobs (%s)\n",
		verb, c.Uploads, c.Repositories, c.Periods, c.Manifests, c.Blobs, size(c.Bytes))
	if err != nil || len(c.Reasons) == 0 {
		return err
	}
	rows := [][]string{{"WHAT", "COUNT", "SIZE", "WHY"}}
	for _, r := range c.Reasons {
		bytes := "-"
		if r.Bytes > 0 {
			bytes = size(r.Bytes)
		}
		why := r.Why
		if r.Later != "" {
			why += "; " + r.Later
		}
		rows = append(rows, []string{r.What, fmt.Sprint(r.Count), bytes, why})
	}
	return table(w, rows)
}
