package main

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/packhouse/packhouse/registry/admin"
)

func reindexCommand() *cobra.Command {
	var fresh bool
	cmd := &cobra.Command{
		Use:   "reindex",
		Short: "Derive again what is known of packages",
		Long: `Derive what clients of packages read, such as indexes and metadata, again from
the stored manifests and files. Publishes and installs go on meanwhile. It is
needed after an upgrade that says so, and never loses anything.

With --fresh every file is read again, not only those that the present parsers
have not read.

It exits with 1 while releases are left that cannot be read.`,
		Example: `  packhouse reindex
  packhouse reindex --fresh`,
		Args: cobra.NoArgs,
	}
	o := newOperator(cmd)
	cmd.Flags().BoolVar(&fresh, "fresh", false, "read every file again")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		r, err := operate(cmd.Context(), o, admin.Reindex, admin.ReindexParams{Fresh: fresh})
		if err != nil {
			return err
		}
		err = o.print(r, func(w io.Writer) error {
			for _, f := range r.Failed {
				if _, err := fmt.Fprintf(w, "%s:%s: %s\n", f.Repository, f.Tag, f.Message); err != nil {
					return err
				}
			}
			_, err := fmt.Fprintf(w, "%d releases derived again, %d failed\n", r.Releases, len(r.Failed))
			return err
		})
		if err == nil && len(r.Failed) > 0 {
			err = fmt.Errorf("%d releases cannot be read", len(r.Failed))
		}
		return err
	}
	return cmd
}
