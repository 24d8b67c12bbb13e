package main

import (
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/packhouse/packhouse/registry/admin"
	"github.com/packhouse/packhouse/registry/engine"
)

func fsckCommand() *cobra.Command {
	var repair bool
	cmd := &cobra.Command{
		Use:   "fsck",
		Short: "Check every stored byte and every reference",
		Long: `Hash every stored blob and manifest, follow every reference, and look for
objects that nothing needs. Pushes and pulls go on meanwhile.

With --repair, blobs whose bytes are wrong are quarantined (they are no longer
served, and the next push of the same content replaces them), quarantined ones
that are whole again are shown, and objects that nothing needs are deleted.

It exits with 3 while problems are left.`,
		Example: `  packhouse fsck
  packhouse fsck --repair
  packhouse fsck --json`,
		Args: cobra.NoArgs,
	}
	o := newOperator(cmd)
	cmd.Flags().BoolVar(&repair, "repair", false, "quarantine damaged blobs and delete what nothing needs")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		r, err := operate(cmd.Context(), o, admin.Fsck, admin.FsckParams{Repair: repair})
		if err != nil {
			return err
		}
		if err := o.print(r, func(w io.Writer) error { return printReport(w, r, repair) }); err != nil {
			return err
		}
		return verdict(r)
	}
	return cmd
}

func printReport(w io.Writer, r engine.Report, repair bool) error {
	var rows [][]string
	for _, p := range r.Problems {
		state := "problem"
		if p.Repaired {
			state = "repaired"
		}
		rows = append(rows, []string{state, string(p.Kind), p.Digest.String(), p.Message})
		for _, n := range p.NeededBy {
			rows = append(rows, []string{"", "", "", "needed by " + string(n.Repository) + "@" + n.Manifest.String()})
		}
	}
	if err := table(w, rows); err != nil {
		return err
	}
	orphans := "use --repair to delete them"
	if repair {
		orphans = "deleted"
	}
	_, err := fmt.Fprintf(w, "checked %d blobs (%s) and %d manifests: %d problems\n", r.Blobs, size(r.Bytes), r.Manifests, r.Found)
	if r.Orphans > 0 && err == nil {
		_, err = fmt.Fprintf(w, "%d objects (%s) that nothing needs: %s\n", r.Orphans, size(r.OrphanBytes), orphans)
	}
	return err
}

// verdict is an error with exit code 3 while a problem is left.
func verdict(r engine.Report) error {
	left := r.Found
	for _, p := range r.Problems {
		if p.Repaired {
			left--
		}
	}
	if left == 0 {
		return nil
	}
	return &exitError{exitDamage, errors.New(fmt.Sprint(left, " problems are left"))}
}
