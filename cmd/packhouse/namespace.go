package main

import (
	"cmp"
	"context"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/packhouse/packhouse/registry/admin"
)

func namespaceCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "namespace",
		Short: "Create, list, set up, delete and restore namespaces",
		Long: `Namespaces are what access is given in. A repository belongs to the namespace
that was the longest prefix of its name when it was made; "/" is the root
namespace, which has all others' leftovers.`,
		Args: cobra.NoArgs,
	}
	cmd.AddCommand(
		namespaceCreateCommand(),
		namespaceListCommand(),
		namespaceShowCommand(),
		visibilityCommand("namespace", "acme", completeNamespaces, "as the namespace above it",
			func(name, visibility string) (admin.Name[admin.NamespaceVisibilityParams, admin.None], admin.NamespaceVisibilityParams) {
				return admin.NamespaceVisibility, admin.NamespaceVisibilityParams{NamespaceParams: admin.NamespaceParams{Namespace: name}, Visibility: visibility}
			}),
		namespaceFirstPushCommand(),
		namespaceQuotaCommand(),
		namespaceChangeCommand("delete", "Move a namespace and its repositories to the trash", admin.NamespaceDelete, "deleted", false),
		namespaceChangeCommand("restore", "Take a namespace and its repositories out of the trash", admin.NamespaceRestore, "restored", false),
		namespaceChangeCommand("purge", "Remove a deleted namespace's repositories for good", admin.NamespacePurge, "purged", true),
	)
	return cmd
}

func namespaceListCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List namespaces, deleted ones too",
		Example: `  packhouse namespace list
  packhouse namespace list --json`,
		Args: cobra.NoArgs,
	}
	o := newOperator(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		list, err := operateAll(cmd.Context(), o, admin.NamespaceList, admin.Page{})
		if err != nil {
			return err
		}
		return o.print(list, func(w io.Writer) error {
			rows := [][]string{{"NAMESPACE", "REPOSITORIES", "VISIBILITY", "CREATED", "DELETED"}}
			for _, n := range list {
				rows = append(rows, []string{n.Name, fmt.Sprint(n.Repositories), orDash(n.Visibility), when(n.Created), when(n.Deleted)})
			}
			return table(w, rows)
		})
	}
	return cmd
}

func namespaceShowCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "show NAMESPACE",
		Short:   "Show a namespace and list its repositories",
		Example: `  packhouse namespace show acme`,
		Args:    cobra.ExactArgs(1),
	}
	o := newOperator(cmd)
	cmd.ValidArgsFunction = completeNamespaces(o)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		var shown namespaceShown
		err := o.with(cmd.Context(), func(c admin.Caller) (err error) {
			if shown.Namespace, err = admin.Call(cmd.Context(), c, admin.NamespaceShow, admin.NamespaceParams{Namespace: args[0]}, nil); err != nil {
				return err
			}
			shown.List, err = admin.All(cmd.Context(), c, admin.RepoList, admin.RepoListParams{Namespace: args[0]})
			return err
		})
		if err != nil {
			return err
		}
		return o.print(shown, shown.print)
	}
	return cmd
}

// namespaceShown is a namespace with its repositories, as the command prints
// them.
type namespaceShown struct {
	admin.Namespace
	List []admin.Repository `json:"list"`
}

func (n namespaceShown) print(w io.Writer) error {
	rows := [][]string{
		{"namespace", n.Name},
		{"created", when(n.Created)},
		{"visibility", orDash(n.Visibility)},
		{"first push", cmp.Or(n.FirstPush, everybodyPushes)},
	}
	if n.Usage != nil && n.Quota != nil {
		rows = append(rows,
			[]string{"bytes", size(n.Usage.Bytes) + ofLimit(n.Quota.Bytes, size)},
			[]string{"manifests", fmt.Sprint(n.Usage.Manifests) + ofLimit(n.Quota.Manifests, plain)},
		)
	}
	if err := table(w, rows); err != nil || len(n.List) == 0 {
		return err
	}
	rows = [][]string{{""}, {"REPOSITORY", "CREATED"}}
	for _, r := range n.List {
		rows = append(rows, []string{string(r.Name), when(r.Created)})
	}
	return table(w, rows)
}

func namespaceChangeCommand(verb, short string, n admin.Name[admin.NamespaceParams, admin.Affected], did string, final bool) *cobra.Command {
	cmd := &cobra.Command{
		Use:     verb + " NAMESPACE",
		Short:   short,
		Example: "  packhouse namespace " + verb + " acme",
		Args:    cobra.ExactArgs(1),
	}
	o := newOperator(cmd)
	yes := func() error { return nil }
	if final {
		cmd.Example += " --yes"
		yes = confirmation(cmd)
	}
	cmd.ValidArgsFunction = completeNamespaces(o)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if err := yes(); err != nil {
			return err
		}
		a, err := operate(cmd.Context(), o, n, admin.NamespaceParams{Namespace: args[0]})
		if err != nil {
			return err
		}
		return o.say(a, "%s namespace %s with %d repositories", did, args[0], a.Repositories)
	}
	return cmd
}

func completeNamespaces(o *operator) completion {
	return complete(o, 1, func(ctx context.Context, c admin.Caller, _ string) ([]string, error) {
		list, err := admin.Call(ctx, c, admin.NamespaceList, admin.Page{}, nil)
		var names []string
		for _, n := range list {
			names = append(names, n.Name)
		}
		return names, err
	})
}
