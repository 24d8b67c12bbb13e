package main

import (
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/packhouse/packhouse/registry/admin"
)

func grantCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "grant",
		Short: "Say who may do what, and who may not",
		Long: `Say who may do what, and who may not. A grant gives a role over the repositories
that a pattern matches:

  reader      read and list
  publisher   and create: publish new versions, push new tags
  maintainer  and overwrite, label, withdraw
  admin       and delete, admin: everything

A role can also be verbs, separated by commas: read,list,delete. In a pattern *
stands for anything within one part of a name and ** for any number of parts:
acme/** is acme and all below it. A grant that denies wins over all others.

Whom: user:NAME (or NAME alone), group:NAME, service:NAME, or anonymous:
everybody, logged in or not.`,
		Args: cobra.NoArgs,
	}
	cmd.AddCommand(grantAddCommand(), grantListCommand(), grantRemoveCommand())
	return cmd
}

func grantAddCommand() *cobra.Command {
	var p admin.GrantAddParams
	cmd := &cobra.Command{
		Use:   "add SUBJECT ROLE [NAMESPACE]",
		Short: "Give a role, or deny it",
		Long: `Give a role to somebody over a namespace, or over the whole registry when none is
named. A namespace's grants are gone when it is deleted and its name used again.`,
		Example: `  packhouse grant add group:devs publisher acme
  packhouse grant add service:ci publisher acme --repositories 'acme/npm/**'
  packhouse grant add anonymous reader acme
  packhouse grant add bob overwrite acme --deny
  packhouse grant add alice admin`,
		Args: cobra.RangeArgs(2, 3),
	}
	o := newOperator(cmd)
	cmd.ValidArgsFunction = grantArguments(o)
	cmd.Flags().StringVar(&p.Repositories, "repositories", "", "pattern of names (default all of the namespace, or of the registry)")
	cmd.Flags().BoolVar(&p.Deny, "deny", false, "they may not, whatever else is granted")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		p.Subject, p.Role = args[0], args[1]
		if len(args) == 3 {
			p.Namespace = args[2]
		}
		g, err := operate(cmd.Context(), o, admin.GrantAdd, p)
		if err != nil {
			return err
		}
		return o.say(g, "grant %d: %s", g.ID, grantText(g))
	}
	return cmd
}

func grantText(g admin.Grant) string {
	if g.Deny {
		return fmt.Sprintf("%s may not %s on %s", g.Subject, g.Role, g.Repositories)
	}
	return fmt.Sprintf("%s is %s of %s", g.Subject, g.Role, g.Repositories)
}

// grantArguments completes subject, role and namespace.
func grantArguments(o *operator) completion {
	users, namespaces := offerSubjects(o), completeNamespaces(o)
	return func(cmd *cobra.Command, args []string, prefix string) ([]cobra.Completion, cobra.ShellCompDirective) {
		switch len(args) {
		case 0:
			return users(cmd, args, prefix)
		case 1:
			return []cobra.Completion{"reader", "publisher", "maintainer", "admin"}, cobra.ShellCompDirectiveNoFileComp
		case 2:
			return namespaces(cmd, nil, prefix)
		}
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
}

func grantListCommand() *cobra.Command {
	var p admin.GrantListParams
	cmd := &cobra.Command{
		Use:   "list [NAMESPACE]",
		Short: "List grants",
		Example: `  packhouse grant list
  packhouse grant list acme --subject group:devs`,
		Args: cobra.MaximumNArgs(1),
	}
	o := newOperator(cmd)
	cmd.ValidArgsFunction = completeNamespaces(o)
	cmd.Flags().StringVar(&p.Subject, "subject", "", "only those of user:NAME, group:NAME, service:NAME or anonymous")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if len(args) == 1 {
			p.Namespace = args[0]
		}
		list, err := operateAll(cmd.Context(), o, admin.GrantList, p)
		if err != nil {
			return err
		}
		return o.print(list, func(w io.Writer) error {
			rows := [][]string{{"GRANT", "EFFECT", "SUBJECT", "ROLE", "REPOSITORIES", "NAMESPACE", "CREATED"}}
			for _, g := range list {
				effect := "allow"
				if g.Deny {
					effect = "deny"
				}
				rows = append(rows, []string{strconv.FormatInt(g.ID, 10), effect, g.Subject, g.Role, g.Repositories, orDash(g.Namespace), when(g.Created)})
			}
			return table(w, rows)
		})
	}
	return cmd
}

func grantRemoveCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "remove GRANT...",
		Short:   "Take back what was granted or denied",
		Example: `  packhouse grant remove 7`,
		Args:    cobra.MinimumNArgs(1),
	}
	o := newOperator(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		var ids []int64
		for _, arg := range args {
			id, err := strconv.ParseInt(arg, 10, 64)
			if err != nil {
				return usageError(fmt.Errorf("%q is not the number of a grant: packhouse grant list shows them", arg))
			}
			ids = append(ids, id)
		}
		return o.with(cmd.Context(), func(c admin.Caller) error {
			for _, id := range ids {
				done, err := admin.Call(cmd.Context(), c, admin.GrantRemove, admin.GrantParams{Grant: id}, nil)
				if err != nil {
					return err
				}
				if err := o.say(done, "removed grant %d", id); err != nil {
					return err
				}
			}
			return nil
		})
	}
	return cmd
}

// offerSubjects completes whom a grant can be about.
func offerSubjects(o *operator) completion {
	users := offer(1, admin.UserList, func(u admin.User) string { return "user:" + u.Name })(o)
	groups := offer(1, admin.GroupList, func(g admin.Group) string { return "group:" + g.Name })(o)
	services := offer(1, admin.SAList, func(s admin.Service) string { return "service:" + s.Name })(o)
	return func(cmd *cobra.Command, args []string, prefix string) ([]cobra.Completion, cobra.ShellCompDirective) {
		kind, _, typed := strings.Cut(prefix, ":")
		switch {
		case typed && kind == "user":
			return users(cmd, args, prefix)
		case typed && kind == "group":
			return groups(cmd, args, prefix)
		case typed && kind == "service":
			return services(cmd, args, prefix)
		}
		return []cobra.Completion{"user:", "group:", "service:", "anonymous"}, cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveNoSpace
	}
}
