package main

import (
	"io"

	"github.com/spf13/cobra"

	"github.com/packhouse/packhouse/registry/admin"
)

func groupCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "group",
		Short: "Create groups and say who is in them",
		Args:  cobra.NoArgs,
	}
	cmd.AddCommand(
		groupCreateCommand(),
		groupListCommand(),
		groupShowCommand(),
		groupMembersCommand("add", "Put users or service accounts into a group", admin.GroupAdd, "%s is in %s"),
		groupMembersCommand("remove", "Take users or service accounts out of a group", admin.GroupRemove, "%s is no longer in %s"),
		onName[admin.GroupParams]{
			use: "delete GROUP --yes", short: "Remove a group with what is granted to it",
			example: `  packhouse group delete devs --yes`,
			op:      admin.GroupDelete, params: func(name string) admin.GroupParams { return admin.GroupParams{Group: name} },
			did: "deleted group %s", offer: offerGroups, final: true,
		}.command(),
	)
	return cmd
}

func offerGroups(o *operator) completion {
	return offer(1, admin.GroupList, func(g admin.Group) string { return g.Name })(o)
}

func groupCreateCommand() *cobra.Command {
	var p admin.GroupCreateParams
	cmd := &cobra.Command{
		Use:   "create GROUP",
		Short: "Create a group",
		Example: `  packhouse group create devs --description 'who writes the software'
  packhouse group add devs alice service:ci`,
		Args: cobra.ExactArgs(1),
	}
	o := newOperator(cmd)
	cmd.Flags().StringVar(&p.Description, "description", "", "who is in it")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		p.Group = args[0]
		g, err := operate(cmd.Context(), o, admin.GroupCreate, p)
		if err != nil {
			return err
		}
		return o.say(g, "created group %s", g.Name)
	}
	return cmd
}

func groupListCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "list",
		Short:   "List groups",
		Example: `  packhouse group list`,
		Args:    cobra.NoArgs,
	}
	o := newOperator(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		list, err := operateAll(cmd.Context(), o, admin.GroupList, admin.Page{})
		if err != nil {
			return err
		}
		return o.print(list, func(w io.Writer) error {
			rows := [][]string{{"GROUP", "DESCRIPTION", "CREATED"}}
			for _, g := range list {
				rows = append(rows, []string{g.Name, orDash(g.Description), when(g.Created)})
			}
			return table(w, rows)
		})
	}
	return cmd
}

func groupShowCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "show GROUP",
		Short:   "Show a group and who is in it",
		Example: `  packhouse group show devs`,
		Args:    cobra.ExactArgs(1),
	}
	o := newOperator(cmd)
	cmd.ValidArgsFunction = offerGroups(o)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		g, err := operate(cmd.Context(), o, admin.GroupShow, admin.GroupParams{Group: args[0]})
		if err != nil {
			return err
		}
		return o.print(g, func(w io.Writer) error {
			rows := [][]string{{"group", g.Name}, {"description", orDash(g.Description)}, {"created", when(g.Created)}}
			for _, m := range g.Members {
				rows = append(rows, []string{"member", m.Subject + " (" + m.Source + ")"})
			}
			return table(w, rows)
		})
	}
	return cmd
}

func groupMembersCommand(verb, short string, n admin.Name[admin.MemberParams, admin.None], did string) *cobra.Command {
	cmd := &cobra.Command{
		Use:   verb + " GROUP MEMBER...",
		Short: short,
		Example: "  packhouse group " + verb + ` devs alice
  packhouse group ` + verb + ` devs user:alice service:ci`,
		Args: cobra.MinimumNArgs(2),
	}
	o := newOperator(cmd)
	groups, users := offerGroups(o), offer(1, admin.UserList, func(u admin.User) string { return u.Name })(o)
	cmd.ValidArgsFunction = func(cmd *cobra.Command, args []string, prefix string) ([]cobra.Completion, cobra.ShellCompDirective) {
		if len(args) == 0 {
			return groups(cmd, args, prefix)
		}
		return users(cmd, nil, prefix)
	}
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		return o.with(cmd.Context(), func(c admin.Caller) error {
			for _, member := range args[1:] {
				p := admin.MemberParams{GroupParams: admin.GroupParams{Group: args[0]}, Member: member}
				done, err := admin.Call(cmd.Context(), c, n, p, nil)
				if err != nil {
					return err
				}
				if err := o.say(done, did, member, args[0]); err != nil {
					return err
				}
			}
			return nil
		})
	}
	return cmd
}
