package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/packhouse/packhouse/registry/admin"
	"github.com/packhouse/packhouse/registry/config"
	"github.com/packhouse/packhouse/registry/engine"
)

// distributionTree is where a registry of the distribution project keeps its
// content, below its root directory.
const distributionTree = "docker/registry/v2"

func adoptCommand() *cobra.Command {
	var p admin.AdoptParams
	cmd := &cobra.Command{
		Use:   "adopt",
		Short: "Take over the data directory of a distribution registry",
		Long: `Take over the data directory of a registry of the distribution project (v2 or
v3, docker's "registry" image) in place: no blob is copied. Stop that registry,
and give its rootdirectory, which has docker/registry/v2 in it, as --data to
this command and to every other from then on.

What cannot be adopted is listed with the reason and stays where it is: illegal
names, manifests of schema version 1, damaged or incomplete content. The command
can be stopped and run again at any time: it takes what is not taken yet and
leaves alone what was pushed, moved or deleted since.`,
		Example: `  packhouse adopt --data /var/lib/registry --dry-run
  packhouse adopt --data /var/lib/registry
  packhouse adopt --data /var/lib/registry --verify`,
		Args: cobra.NoArgs,
	}
	o := newLocalOperator(cmd)
	o.fresh = hasTree
	cmd.Flags().BoolVar(&p.DryRun, "dry-run", false, "adopt nothing, say what would be adopted")
	cmd.Flags().BoolVar(&p.Verify, "verify", false, "hash every blob instead of trusting its size")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		r, err := operate(cmd.Context(), o, admin.Adopt, p)
		if err != nil {
			return err
		}
		return o.print(r, func(w io.Writer) error { return printAdopted(w, r, p.DryRun) })
	}
	return cmd
}

// hasTree spares whoever mistyped a directory a new registry in it.
func hasTree(c config.Config) error {
	if c.Storage.Driver != "filesystem" {
		return nil // cannot be told without opening the storage
	}
	root := c.Data
	if set, ok := c.Storage.Params["rootdirectory"].(string); ok {
		root = set
	}
	if _, err := os.Stat(filepath.Join(root, distributionTree)); err != nil {
		return fmt.Errorf("there is no distribution registry in %s (%w): name its rootdirectory with --data", root, err)
	}
	return nil
}

func printAdopted(w io.Writer, r engine.AdoptReport, dryRun bool) error {
	if len(r.Skips) > 0 {
		rows := [][]string{{"SKIPPED", "TAG", "DIGEST", "REASON"}}
		for _, s := range r.Skips {
			rows = append(rows, []string{s.Repository, string(s.Tag), s.Digest.String(), s.Reason})
		}
		if err := table(w, rows); err != nil {
			return err
		}
	}
	verb := "adopted"
	if dryRun {
		verb = "would adopt"
	}
	_, err := fmt.Fprintf(w, "%s %d manifests, %d tags and %d blobs (%s) of %d repositories; %d names were known already, %d things skipped\n",
		verb, r.Manifests, r.Tags, r.Blobs, size(r.Bytes), r.Repositories, r.Known, r.Skipped)
	if err == nil && r.Uploads > 0 {
		_, err = fmt.Fprintf(w, "%d unfinished uploads (%s) stay where they are\n", r.Uploads, size(r.UploadBytes))
	}
	return err
}
