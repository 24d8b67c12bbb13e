package main

import (
	"context"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/packhouse/packhouse/registry/admin"
)

func namespaceCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "namespace",
		Short: "List, show, delete and restore namespaces",
		Long: `List, show, delete and restore namespaces. A repository belongs to the namespace
that was the longest prefix of its name when it was made; "/" is the root
namespace, which has all others' leftovers.`,
		Args: cobra.NoArgs,
	}
	cmd.AddCommand(
		namespaceListCommand(),
		namespaceShowCommand(),
		namespaceChangeCommand("delete", "Move a namespace and its repositories to the trash", admin.NamespaceDelete, "deleted", false),
		namespaceChangeCommand("restore", "Take a namespace and its repositories out of the trash", admin.NamespaceRestore, "restored", false),
		namespaceChangeCommand("purge", "Remove a deleted namespace's repositories for good", admin.NamespacePurge, "purged", true),
	)
	return cmd
}

// The root namespace has no name; people need one.
const rootNamespace = "/"

func shownNamespace(name string) string {
	if name == "" {
		return rootNamespace
	}
	return name
}

func givenNamespace(arg string) string {
	if arg == rootNamespace {
		return ""
	}
	return arg
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
		list, err := operate(cmd.Context(), o, admin.NamespaceList, admin.None{})
		if err != nil {
			return err
		}
		return o.print(list, func(w io.Writer) error {
			rows := [][]string{{"NAMESPACE", "REPOSITORIES", "CREATED", "DELETED"}}
			for _, n := range list {
				rows = append(rows, []string{shownNamespace(n.Name), fmt.Sprint(n.Repositories), when(n.Created), when(n.Deleted)})
			}
			return table(w, rows)
		})
	}
	return cmd
}

func namespaceShowCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "show NAMESPACE",
		Short:   "List the repositories of a namespace",
		Example: `  packhouse namespace show acme`,
		Args:    cobra.ExactArgs(1),
	}
	o := newOperator(cmd)
	cmd.ValidArgsFunction = completeNamespaces(o)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		list, err := operate(cmd.Context(), o, admin.NamespaceShow, admin.NamespaceParams{Namespace: givenNamespace(args[0])})
		if err != nil {
			return err
		}
		return o.print(list, func(w io.Writer) error {
			rows := [][]string{{"REPOSITORY", "CREATED"}}
			for _, r := range list {
				rows = append(rows, []string{string(r.Name), when(r.Created)})
			}
			return table(w, rows)
		})
	}
	return cmd
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
		a, err := operate(cmd.Context(), o, n, admin.NamespaceParams{Namespace: givenNamespace(args[0])})
		if err != nil {
			return err
		}
		return o.say(a, "%s namespace %s with %d repositories", did, args[0], a.Repositories)
	}
	return cmd
}

func completeNamespaces(o *operator) func(*cobra.Command, []string, string) ([]cobra.Completion, cobra.ShellCompDirective) {
	return complete(o, 1, func(ctx context.Context, c admin.Caller, _ string) ([]string, error) {
		list, err := admin.Call(ctx, c, admin.NamespaceList, admin.None{}, nil)
		var names []string
		for _, n := range list {
			names = append(names, shownNamespace(n.Name))
		}
		return names, err
	})
}
