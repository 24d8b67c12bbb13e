package main

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/packhouse/packhouse/registry"
	"github.com/packhouse/packhouse/registry/admin"
)

func repoCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "repo",
		Short: "Create, list, show, delete and restore repositories",
		Args:  cobra.NoArgs,
	}
	cmd.AddCommand(
		repoCreateCommand(), repoListCommand(), repoShowCommand(),
		visibilityCommand("repo", "acme/app", completeRepos, "as what is above it",
			func(name, visibility string) (admin.Name[admin.RepoVisibilityParams, admin.None], admin.RepoVisibilityParams) {
				return admin.RepoVisibility, admin.RepoVisibilityParams{RepoParams: admin.RepoParams{Repo: name}, Visibility: visibility}
			}),
		repoDeleteCommand(), repoRestoreCommand(), repoPurgeCommand(),
	)
	return cmd
}

func repoCreateCommand() *cobra.Command {
	var p admin.RepoCreateParams
	cmd := &cobra.Command{
		Use:   "create REPOSITORY",
		Short: "Create an empty repository",
		Long: `Create an empty repository. A first push does that, too, unless the namespace
leaves it to administrators (packhouse namespace first-push).`,
		Example: `  packhouse repo create acme/app
  packhouse repo create acme/app --visibility public`,
		Args: cobra.ExactArgs(1),
	}
	o := newOperator(cmd)
	cmd.Flags().StringVar(&p.Visibility, "visibility", "", "public or private (default as what is above it)")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		p.Repo = args[0]
		r, err := operate(cmd.Context(), o, admin.RepoCreate, p)
		if err != nil {
			return err
		}
		return o.say(r, "created repository %s", r.Name)
	}
	return cmd
}

func repoListCommand() *cobra.Command {
	var deleted bool
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List repositories",
		Example: `  packhouse repo list
  packhouse repo list --deleted
  packhouse repo list --json`,
		Args: cobra.NoArgs,
	}
	o := newOperator(cmd)
	cmd.Flags().BoolVar(&deleted, "deleted", false, "list those that can be restored instead")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		list, err := operateAll(cmd.Context(), o, admin.RepoList, admin.RepoListParams{Deleted: deleted})
		if err != nil {
			return err
		}
		return o.print(list, func(w io.Writer) error {
			rows := [][]string{{"REPOSITORY", "NAMESPACE", "CREATED"}}
			if deleted {
				rows[0] = append(rows[0], "DELETED")
			}
			for _, r := range list {
				row := []string{string(r.Name), r.Namespace, when(r.Created)}
				if deleted {
					row = append(row, when(r.Deleted))
				}
				rows = append(rows, row)
			}
			return table(w, rows)
		})
	}
	return cmd
}

func repoShowCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "show REPOSITORY",
		Short:   "Show what a repository holds",
		Example: `  packhouse repo show acme/app`,
		Args:    cobra.ExactArgs(1),
	}
	o := newOperator(cmd)
	cmd.ValidArgsFunction = completeRepos(o)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		d, err := operate(cmd.Context(), o, admin.RepoShow, admin.RepoParams{Repo: args[0]})
		if err != nil {
			return err
		}
		return o.print(d, func(w io.Writer) error {
			rows := [][]string{
				{"repository", string(d.Name)},
				{"namespace", d.Namespace},
				{"created", when(d.Created)},
				{"visibility", orDash(d.Visibility)},
				{"tags", fmt.Sprint(d.Tags)},
				{"manifests", fmt.Sprint(d.Manifests)},
				{"blobs", fmt.Sprintf("%d, %s", d.Blobs, size(d.Bytes))},
			}
			if len(d.DeletedTags) > 0 {
				rows = append(rows, []string{"deleted tags", joinTags(d.DeletedTags)})
			}
			return table(w, rows)
		})
	}
	return cmd
}

func joinTags(tags []registry.Tag) string {
	const most = 20
	var shown []string
	for i, t := range tags {
		if i == most {
			shown = append(shown, fmt.Sprintf("and %d more", len(tags)-most))
			break
		}
		shown = append(shown, string(t))
	}
	return strings.Join(shown, ", ")
}

func repoDeleteCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "delete REPOSITORY",
		Short: "Move a repository to the trash",
		Long: `Move a repository to the trash, with all its tags and manifests. It can be
restored until the trash window (trash.window) ends.`,
		Example: `  packhouse repo delete acme/app`,
		Args:    cobra.ExactArgs(1),
	}
	o := newOperator(cmd)
	cmd.ValidArgsFunction = completeRepos(o)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		done, err := operate(cmd.Context(), o, admin.RepoDelete, admin.RepoParams{Repo: args[0]})
		if err != nil {
			return err
		}
		return o.say(done, "deleted %[1]s; `packhouse repo restore %[1]s` brings it back until the trash window ends", args[0])
	}
	return cmd
}

func repoRestoreCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "restore REPOSITORY",
		Short:   "Take a repository out of the trash",
		Example: `  packhouse repo restore acme/app`,
		Args:    cobra.ExactArgs(1),
	}
	o := newOperator(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		done, err := operate(cmd.Context(), o, admin.RepoRestore, admin.RepoParams{Repo: args[0]})
		if err != nil {
			return err
		}
		return o.say(done, "restored %s", args[0])
	}
	return cmd
}

func repoPurgeCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "purge REPOSITORY --yes",
		Short: "Remove for good what the trash holds of a repository",
		Long: `Remove for good what the trash holds under a name: deleted repositories, and the
deleted tags and manifests of a live one. It cannot be undone. Disk space comes
back with the next collection (packhouse gc).`,
		Example: `  packhouse repo purge acme/app --yes`,
		Args:    cobra.ExactArgs(1),
	}
	o := newOperator(cmd)
	yes := confirmation(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if err := yes(); err != nil {
			return err
		}
		done, err := operate(cmd.Context(), o, admin.RepoPurge, admin.RepoParams{Repo: args[0]})
		if err != nil {
			return err
		}
		return o.say(done, "purged %s; `packhouse gc` frees its disk space", args[0])
	}
	return cmd
}

// confirmation adds --yes to a command that cannot be undone.
func confirmation(cmd *cobra.Command) func() error {
	yes := cmd.Flags().Bool("yes", false, "confirm that this cannot be undone")
	return func() error {
		if !*yes {
			return usageError(errors.New("this cannot be undone: pass --yes to do it"))
		}
		return nil
	}
}
