package main

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/packhouse/packhouse/registry/admin"
	"github.com/packhouse/packhouse/registry/auth"
)

func tokenCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "token",
		Short: "Create, list and revoke tokens",
		Long: `Create, list and revoke tokens: what programs log in with, instead of a password.
A token does what its owner may, or less with --scope, until it expires.`,
		Args: cobra.NoArgs,
	}
	cmd.AddCommand(
		tokenCreateCommand(),
		tokenListCommand(),
		tokenShowCommand(),
		tokenRotateCommand(),
		onName[admin.TokenParams]{
			use: "revoke ID", short: "End a token at once",
			example: `  packhouse token revoke 3f9a1c0b77de`,
			op:      admin.TokenRevoke, params: func(id string) admin.TokenParams { return admin.TokenParams{Token: id} },
			did: "revoked %s", offer: offerTokens,
		}.command(),
	)
	return cmd
}

// offerTokens completes ids of one's own.
func offerTokens(o *operator) completion {
	return offerOf(o, admin.TokenList, admin.TokenListParams{}, func(t admin.Token) string { return t.ID })
}

// owner adds the flags that name whose tokens are meant.
func owner(cmd *cobra.Command) func() string {
	user := cmd.Flags().String("user", "", "a user's, instead of your own")
	service := cmd.Flags().String("service", "", "a service account's, instead of your own")
	cmd.MarkFlagsMutuallyExclusive("user", "service")
	return func() string {
		switch {
		case *user != "":
			return "user:" + *user
		case *service != "":
			return "service:" + *service
		}
		return ""
	}
}

func tokenCreateCommand() *cobra.Command {
	var p admin.TokenCreateParams
	cmd := &cobra.Command{
		Use:   "create",
		Short: "Make a token and print it, once",
		Long: `Make a token and print it to standard output, once: it is not stored in a form
that could be shown again. What it is, its id and when it expires, goes to
standard error.

Each --scope is PATTERN=ROLE: the only repositories that the token is for, and
what it may do there; the role can be verbs, separated by commas.`,
		Example: `  packhouse token create --user alice
  packhouse token create --service ci --ttl 30d --scope 'acme/npm/**=publisher' > token
  docker login --username ci --password-stdin packages.example.com < token`,
		Args: cobra.NoArgs,
	}
	o := newOperator(cmd)
	whose := owner(cmd)
	var scope []string
	cmd.Flags().StringVar(&p.Name, "name", "", "what it is for, to tell it from others")
	cmd.Flags().StringVar(&p.TTL, "ttl", "", "how long it lasts: 12h, 90d (default tokens.ttl of the server)")
	cmd.Flags().StringArrayVar(&scope, "scope", nil, "PATTERN=ROLE; can be given several times")
	cmd.RunE = func(cmd *cobra.Command, _ []string) (err error) {
		p.Owner = whose()
		if p.Scope, err = parseScope(scope); err != nil {
			return err
		}
		t, err := operate(cmd.Context(), o, admin.TokenCreate, p)
		if err != nil {
			return err
		}
		return o.secret(t)
	}
	return cmd
}

func parseScope(given []string) ([]auth.Scope, error) {
	var list []auth.Scope
	for _, s := range given {
		pattern, role, ok := strings.Cut(s, "=")
		if !ok || pattern == "" || role == "" {
			return nil, usageError(fmt.Errorf("--scope %q is not PATTERN=ROLE, such as 'acme/npm/**=publisher'", s))
		}
		list = append(list, auth.Scope{Repositories: pattern, Role: role})
	}
	return list, nil
}

// secret prints a new token: alone on standard output, so that it can go
// straight into a file or another program.
func (o *operator) secret(t admin.NewToken) error {
	if o.json {
		return o.print(t, nil)
	}
	if _, err := fmt.Fprintln(o.cmd.OutOrStdout(), t.Secret); err != nil {
		return fmt.Errorf("the token was made but not shown; revoke it: packhouse token revoke %s: %w", t.ID, err)
	}
	_, err := fmt.Fprintf(o.cmd.ErrOrStderr(), "token %s of %s, until %s; it is not shown again\n", t.ID, t.Owner, when(t.Expires))
	return err
}

func tokenListCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List tokens, without their secrets",
		Example: `  packhouse token list --server https://packages.example.com
  packhouse token list --service ci`,
		Args: cobra.NoArgs,
	}
	o := newOperator(cmd)
	whose := owner(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		list, err := operateAll(cmd.Context(), o, admin.TokenList, admin.TokenListParams{Owner: whose()})
		if err != nil {
			return err
		}
		return o.print(list, func(w io.Writer) error {
			rows := [][]string{{"ID", "OWNER", "NAME", "SCOPE", "STATE", "EXPIRES", "LAST USED"}}
			for _, t := range list {
				rows = append(rows, []string{t.ID, t.Owner, orDash(t.Name), orDash(shownScope(t.Scope)), tokenState(t, time.Now()), when(t.Expires), when(t.LastUsed)})
			}
			return table(w, rows)
		})
	}
	return cmd
}

func shownScope(scope []auth.Scope) string {
	var parts []string
	for _, s := range scope {
		parts = append(parts, s.Repositories+"="+s.Role)
	}
	return strings.Join(parts, " ")
}

func tokenState(t admin.Token, now time.Time) string {
	switch {
	case !t.Expires.After(now):
		return "expired"
	case t.Revoked.IsZero():
		return "works"
	case t.Revoked.After(now):
		return "replaced, works until " + when(t.Revoked)
	}
	return "revoked"
}

func tokenShowCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "show ID",
		Short:   "Show a token, without its secret",
		Example: `  packhouse token show 3f9a1c0b77de`,
		Args:    cobra.ExactArgs(1),
	}
	o := newOperator(cmd)
	cmd.ValidArgsFunction = offerTokens(o)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		t, err := operate(cmd.Context(), o, admin.TokenShow, admin.TokenParams{Token: args[0]})
		if err != nil {
			return err
		}
		return o.print(t, func(w io.Writer) error {
			return table(w, [][]string{
				{"token", t.ID},
				{"owner", t.Owner},
				{"name", orDash(t.Name)},
				{"scope", orDash(shownScope(t.Scope))},
				{"subject", orDash(t.Subject)},
				{"state", tokenState(t, time.Now())},
				{"created", when(t.Created)},
				{"expires", when(t.Expires)},
				{"last used", when(t.LastUsed)},
			})
		})
	}
	return cmd
}

func tokenRotateCommand() *cobra.Command {
	var p admin.TokenRotateParams
	cmd := &cobra.Command{
		Use:   "rotate ID",
		Short: "Replace a token by a new one, which is printed once",
		Long: `Make a new token that may do the same, and print it to standard output. The old
one works for a while longer (tokens.grace of the server), so that whoever uses
it can be given the new one meanwhile.`,
		Example: `  packhouse token rotate 3f9a1c0b77de > token`,
		Args:    cobra.ExactArgs(1),
	}
	o := newOperator(cmd)
	cmd.ValidArgsFunction = offerTokens(o)
	cmd.Flags().StringVar(&p.TTL, "ttl", "", "how long the new one lasts (default as long as the old one did)")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		p.Token = args[0]
		t, err := operate(cmd.Context(), o, admin.TokenRotate, p)
		if err != nil {
			return err
		}
		return o.secret(t)
	}
	return cmd
}
