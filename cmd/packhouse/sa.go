package main

import (
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/packhouse/packhouse/registry/admin"
)

func saCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "sa",
		Short: "Create, list and disable service accounts",
		Long: `Create, list and disable service accounts: the accounts of programs. They have
no password and log in by tokens (packhouse token create --service NAME). A CI
system that signs ID tokens needs none: see packhouse trust.`,
		Args: cobra.NoArgs,
	}
	name := func(name string) admin.ServiceParams { return admin.ServiceParams{Service: name} }
	cmd.AddCommand(
		saCreateCommand(),
		saListCommand(),
		saShowCommand(),
		onName[admin.ServiceParams]{
			use: "disable NAME", short: "Take all rights from a service account",
			example: `  packhouse sa disable ci`,
			op:      admin.SADisable, params: name, did: "disabled %s", offer: offerServices,
		}.command(),
		onName[admin.ServiceParams]{
			use: "enable NAME", short: "Let a disabled service account in again",
			example: `  packhouse sa enable ci`,
			op:      admin.SAEnable, params: name, did: "enabled %s", offer: offerServices,
		}.command(),
		onName[admin.ServiceParams]{
			use: "delete NAME --yes", short: "Remove a service account with its tokens and grants",
			example: `  packhouse sa delete ci --yes`,
			op:      admin.SADelete, params: name, did: "deleted %s", offer: offerServices, final: true,
		}.command(),
	)
	return cmd
}

func offerServices(o *operator) completion {
	return offer(1, admin.SAList, func(s admin.Service) string { return s.Name })(o)
}

func saCreateCommand() *cobra.Command {
	var p admin.ServiceCreateParams
	cmd := &cobra.Command{
		Use:   "create NAME",
		Short: "Create a service account",
		Example: `  packhouse sa create ci --description 'the build servers'
  packhouse token create --service ci > token`,
		Args: cobra.ExactArgs(1),
	}
	o := newOperator(cmd)
	cmd.Flags().StringVar(&p.Description, "description", "", "what it is for")
	cmd.Flags().BoolVar(&p.Exempt, "exempt", false, "rate limits do not apply to it")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		p.Service = args[0]
		s, err := operate(cmd.Context(), o, admin.SACreate, p)
		if err != nil {
			return err
		}
		return o.say(s, "created service account %[1]s; `packhouse token create --service %[1]s` makes a token for it", s.Name)
	}
	return cmd
}

func saListCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "list",
		Short:   "List service accounts",
		Example: `  packhouse sa list`,
		Args:    cobra.NoArgs,
	}
	o := newOperator(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		list, err := operateAll(cmd.Context(), o, admin.SAList, admin.Page{})
		if err != nil {
			return err
		}
		return o.print(list, func(w io.Writer) error {
			rows := [][]string{{"SERVICE ACCOUNT", "DESCRIPTION", "STATE", "CREATED", "LAST USED"}}
			for _, s := range list {
				rows = append(rows, []string{s.Name, orDash(s.Description), state(s.Disabled), when(s.Created), when(s.LastUsed)})
			}
			return table(w, rows)
		})
	}
	return cmd
}

func saShowCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "show NAME",
		Short:   "Show a service account",
		Example: `  packhouse sa show ci`,
		Args:    cobra.ExactArgs(1),
	}
	o := newOperator(cmd)
	cmd.ValidArgsFunction = offerServices(o)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		s, err := operate(cmd.Context(), o, admin.SAShow, admin.ServiceParams{Service: args[0]})
		if err != nil {
			return err
		}
		limits := "apply"
		if s.Exempt {
			limits = "do not apply"
		}
		return o.print(s, func(w io.Writer) error {
			return table(w, [][]string{
				{"service account", s.Name},
				{"description", orDash(s.Description)},
				{"rate limits", limits},
				{"groups", orDash(strings.Join(s.Groups, ", "))},
				{"state", state(s.Disabled)},
				{"created", when(s.Created)},
				{"last used", when(s.LastUsed)},
			})
		})
	}
	return cmd
}
