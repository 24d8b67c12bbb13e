package main

import (
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/packhouse/packhouse/registry/admin"
)

func restoreCommand() *cobra.Command {
	var list, dryRun bool
	cmd := &cobra.Command{
		Use:   "restore REFERENCE | --list [REPOSITORY]",
		Short: "Bring back a deleted tag, version, manifest or repository",
		Long: `Bring back what was deleted, until the trash window (trash.window) ends: a tag
with its manifest, a version of a package with its files, a manifest with the
tags that were deleted with it, or a whole repository. A tag that was moved goes
back to what it pointed to before, or to the digest that is given with it.`,
		Example: `  packhouse restore --list
  packhouse restore acme/app:1.0
  packhouse restore acme/npm/left-pad:1.3.0
  packhouse restore acme/app@sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08
  packhouse restore acme/app --dry-run`,
		Args: cobra.MaximumNArgs(1),
	}
	o := newOperator(cmd)
	cmd.Flags().BoolVar(&list, "list", false, "list what can be restored, and until when, of one repository or of all")
	cmd.Flags().BoolVar(&dryRun, "dry-run", false, "restore nothing, find out whether it can be")
	cmd.ValidArgsFunction = offerOf(o, admin.TrashList, admin.TrashListParams{}, func(t admin.Trashed) string { return t.Reference })
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if list {
			return o.listTrash(cmd, args)
		}
		if len(args) == 0 {
			return usageError(errors.New("say what to restore, or pass --list to see what can be"))
		}
		back, err := operate(cmd.Context(), o, admin.Restore, admin.RestoreParams{Reference: args[0], DryRun: dryRun})
		if err != nil {
			return err
		}
		verb := "restored"
		if dryRun {
			verb = "would restore"
		}
		text := fmt.Sprintf("%s %s %s", verb, back.Kind, back.Reference)
		if back.Digest != "" {
			text += ", which is " + back.Digest.String()
		}
		if len(back.Tags) > 0 && back.Kind != "tag" {
			text += ", tagged " + joinTags(back.Tags)
		}
		return o.say(back, "%s", text)
	}
	return cmd
}

func (o *operator) listTrash(cmd *cobra.Command, args []string) error {
	var p admin.TrashListParams
	if len(args) > 0 {
		p.Repo = args[0]
	}
	list, err := operateAll(cmd.Context(), o, admin.TrashList, p)
	if err != nil {
		return err
	}
	return o.print(list, func(w io.Writer) error {
		rows := [][]string{{"REFERENCE", "KIND", "DIGEST", "DELETED", "UNTIL"}}
		for _, t := range list {
			rows = append(rows, []string{t.Reference, t.Kind, orDash(t.Digest.String()), when(t.Deleted), when(t.Until)})
		}
		return table(w, rows)
	})
}
