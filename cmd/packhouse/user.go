package main

import (
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/packhouse/packhouse/registry/admin"
)

func userCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "user",
		Short: "Create, list and disable users",
		Long: `Create, list and disable users. A user without a password logs in where another
system vouches for them (OpenID Connect, LDAP, an htpasswd file), or by a token
(packhouse token create --user NAME). What users may do is granted to them or to
their groups: packhouse grant add.`,
		Args: cobra.NoArgs,
	}
	name := func(name string) admin.UserParams { return admin.UserParams{User: name} }
	cmd.AddCommand(
		userCreateCommand(),
		userListCommand(),
		userShowCommand(),
		onName[admin.UserParams]{
			use: "disable USER", short: "Take all rights from a user",
			long: `Take all rights from a user, at once: tokens and passwords stop working. What
is granted to the user stays, for when it is enabled again.`,
			example: `  packhouse user disable alice`,
			op:      admin.UserDisable, params: name, did: "disabled %s", offer: offerUsers,
		}.command(),
		onName[admin.UserParams]{
			use: "enable USER", short: "Let a disabled user in again",
			example: `  packhouse user enable alice`,
			op:      admin.UserEnable, params: name, did: "enabled %s", offer: offerUsers,
		}.command(),
		onName[admin.UserParams]{
			use: "delete USER --yes", short: "Remove a user with its tokens and grants",
			example: `  packhouse user delete alice --yes`,
			op:      admin.UserDelete, params: name, did: "deleted %s", offer: offerUsers, final: true,
		}.command(),
		userPasswordCommand(),
	)
	return cmd
}

func offerUsers(o *operator) completion {
	return offer(1, admin.UserList, func(u admin.User) string { return u.Name })(o)
}

func userCreateCommand() *cobra.Command {
	var p admin.UserCreateParams
	cmd := &cobra.Command{
		Use:   "create USER",
		Short: "Create a user",
		Long: `Create a user. With --password-stdin or at a prompt (--password) the user gets a
password; without, somebody else vouches for it, or a token is made for it.`,
		Example: `  packhouse user create alice --password
  packhouse user create alice --full-name 'Alice A.' --email alice@example.com --password-stdin < password
  packhouse user create alice && packhouse token create --user alice`,
		Args: cobra.ExactArgs(1),
	}
	o := newOperator(cmd)
	cmd.Flags().StringVar(&p.FullName, "full-name", "", "the person's name")
	cmd.Flags().StringVar(&p.Email, "email", "", "the person's e-mail address")
	ask := cmd.Flags().Bool("password", false, "ask for a password at the terminal")
	password := passwordStdin(cmd)
	cmd.MarkFlagsMutuallyExclusive("password", "password-stdin")
	cmd.RunE = func(cmd *cobra.Command, args []string) (err error) {
		p.User = args[0]
		if *ask || password.stdin {
			if p.Password, err = password.fresh(args[0]); err != nil {
				return err
			}
		}
		u, err := operate(cmd.Context(), o, admin.UserCreate, p)
		if err != nil {
			return err
		}
		return o.say(u, "created user %s", u.Name)
	}
	return cmd
}

func userListCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List users",
		Example: `  packhouse user list
  packhouse user list --json`,
		Args: cobra.NoArgs,
	}
	o := newOperator(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		list, err := operateAll(cmd.Context(), o, admin.UserList, admin.Page{})
		if err != nil {
			return err
		}
		return o.print(list, func(w io.Writer) error {
			rows := [][]string{{"USER", "FULL NAME", "SOURCE", "STATE", "CREATED", "LAST USED"}}
			for _, u := range list {
				rows = append(rows, []string{u.Name, orDash(u.FullName), u.Source, state(u.Disabled), when(u.Created), when(u.LastUsed)})
			}
			return table(w, rows)
		})
	}
	return cmd
}

func userShowCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "show USER",
		Short:   "Show a user",
		Example: `  packhouse user show alice`,
		Args:    cobra.ExactArgs(1),
	}
	o := newOperator(cmd)
	cmd.ValidArgsFunction = offerUsers(o)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		u, err := operate(cmd.Context(), o, admin.UserShow, admin.UserParams{User: args[0]})
		if err != nil {
			return err
		}
		return o.print(u, func(w io.Writer) error {
			return table(w, [][]string{
				{"user", u.Name},
				{"full name", orDash(u.FullName)},
				{"e-mail", orDash(u.Email)},
				{"source", u.Source},
				{"groups", orDash(strings.Join(u.Groups, ", "))},
				{"state", state(u.Disabled)},
				{"created", when(u.Created)},
				{"last used", when(u.LastUsed)},
			})
		})
	}
	return cmd
}

func userPasswordCommand() *cobra.Command {
	var keep, current bool
	cmd := &cobra.Command{
		Use:   "password [USER]",
		Short: "Set a user's password",
		Long: `Set a user's password, without a name your own, which takes the present one, too.
Tokens of the user stop working unless --keep-tokens is given.`,
		Example: `  packhouse user password alice
  packhouse user password alice --password-stdin < password
  packhouse user password --server https://packages.example.com`,
		Args: cobra.MaximumNArgs(1),
	}
	o := newOperator(cmd)
	cmd.ValidArgsFunction = offerUsers(o)
	cmd.Flags().BoolVar(&keep, "keep-tokens", false, "leave the user's tokens alone")
	password := passwordStdin(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) (err error) {
		p := admin.UserPasswordParams{Keep: keep}
		if len(args) == 0 {
			me, err := operate(cmd.Context(), o, admin.WhoAmI, admin.None{})
			if err != nil {
				return err
			}
			name, ok := strings.CutPrefix(me.Principal, "user:")
			if !ok {
				return usageError(errNoUser(me.Principal))
			}
			args, current = []string{name}, true
		}
		p.User = args[0]
		if current {
			if p.Current, err = password.read("present password of " + p.User); err != nil {
				return err
			}
		}
		if p.Password, err = password.fresh(p.User); err != nil {
			return err
		}
		done, err := operate(cmd.Context(), o, admin.UserPassword, p)
		if err != nil {
			return err
		}
		return o.say(done, "set the password of %s", p.User)
	}
	return cmd
}
