package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/packhouse/packhouse/registry"
	"github.com/packhouse/packhouse/registry/admin"
)

func loginCommand() *cobra.Command {
	var user, tokenFile, ttl string
	var insecure bool
	cmd := &cobra.Command{
		Use:   "login URL",
		Short: "Log in to a server, for commands with --server",
		Long: `Log in to a server with a user's name and password, which make a token, or with a
token that exists (--token-file, "-" for standard input; or PACKHOUSE_TOKEN). The
token is kept in packhouse/credentials.json of your configuration directory, for
you alone, and shown by commands that name this server with --server or
PACKHOUSE_SERVER.

Programs log in for themselves: docker login, npm login, …`,
		Example: `  packhouse login https://packages.example.com --user alice
  packhouse login https://packages.example.com --token-file token
  PACKHOUSE_SERVER=https://packages.example.com packhouse repo list`,
		Args: cobra.ExactArgs(1),
	}
	cmd.Flags().StringVar(&user, "user", "", "name of the user to log in as")
	cmd.Flags().StringVar(&tokenFile, "token-file", "", "file with a token to log in with")
	cmd.Flags().StringVar(&ttl, "ttl", "", "how long the log-in lasts: 12h, 30d (default tokens.ttl of the server)")
	cmd.Flags().BoolVar(&insecure, "insecure", false, "send credentials without encryption")
	password := passwordStdin(cmd)
	cmd.MarkFlagsMutuallyExclusive("user", "token-file")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		base, err := admin.ServerURL(args[0])
		if err != nil {
			return usageError(err)
		}
		var made login
		if user != "" {
			made, err = passwordLogin(cmd.Context(), base, user, ttl, insecure, password)
		} else {
			made.Token = os.Getenv("PACKHOUSE_TOKEN")
			if tokenFile != "" {
				made.Token, err = secretFrom(tokenFile, cmd.InOrStdin())
			}
			if err == nil && made.Token == "" {
				err = usageError(errors.New("say who you are: --user NAME, --token-file FILE, or PACKHOUSE_TOKEN"))
			}
		}
		if err != nil {
			return err
		}
		me, err := whoAmI(cmd.Context(), base, admin.Credentials{Token: made.Token}, insecure)
		if err != nil {
			return err
		}
		made.Name = me.Principal
		file, err := loadCredentials()
		if err != nil {
			return err
		}
		file.Servers[base] = made
		if err := file.save(); err != nil {
			return err
		}
		_, err = fmt.Fprintf(cmd.OutOrStdout(), "logged in to %s as %s\n", base, me.Principal)
		return err
	}
	return cmd
}

// passwordLogin makes a token with a password.
func passwordLogin(ctx context.Context, base, user, ttl string, insecure bool, p *password) (login, error) {
	secret, err := p.read("password of " + user)
	if err != nil {
		return login{}, err
	}
	r, err := admin.Connect(base, admin.Credentials{User: user, Password: secret}, insecure)
	if err != nil {
		return login{}, usageError(err)
	}
	host, err := os.Hostname()
	if err != nil {
		host = "?"
	}
	t, err := admin.Call(ctx, r, admin.TokenCreate, admin.TokenCreateParams{Name: "packhouse login on " + host, TTL: ttl}, nil)
	if err != nil {
		return login{}, sentence(err)
	}
	return login{Token: t.Secret, ID: t.ID, Expires: t.Expires}, nil
}

// whoAmI asks a server; nobody is an error.
func whoAmI(ctx context.Context, base string, c admin.Credentials, insecure bool) (admin.Me, error) {
	r, err := admin.Connect(base, c, insecure)
	if err != nil {
		return admin.Me{}, usageError(err)
	}
	me, err := admin.Call(ctx, r, admin.WhoAmI, admin.None{}, nil)
	return me, sentence(err)
}

// sentence is an operation's error as people read it.
func sentence(err error) error {
	if e, ok := errors.AsType[*registry.Error](err); ok {
		return admin.Cause(e)
	}
	return err
}

func logoutCommand() *cobra.Command {
	var insecure bool
	cmd := &cobra.Command{
		Use:     "logout URL",
		Short:   "Forget what packhouse login kept of a server, and revoke the token it made",
		Example: `  packhouse logout https://packages.example.com`,
		Args:    cobra.ExactArgs(1),
		ValidArgsFunction: func(_ *cobra.Command, args []string, prefix string) ([]cobra.Completion, cobra.ShellCompDirective) {
			var names []string
			if file, err := loadCredentials(); err == nil && len(args) == 0 {
				for name := range file.Servers {
					if strings.HasPrefix(name, prefix) {
						names = append(names, name)
					}
				}
			}
			return names, cobra.ShellCompDirectiveNoFileComp
		},
	}
	cmd.Flags().BoolVar(&insecure, "insecure", false, "send credentials without encryption")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		base, err := admin.ServerURL(args[0])
		if err != nil {
			return usageError(err)
		}
		file, err := loadCredentials()
		if err != nil {
			return err
		}
		kept, ok := file.Servers[base]
		if !ok {
			return fmt.Errorf("you are not logged in to %s", base)
		}
		delete(file.Servers, base)
		if err := file.save(); err != nil {
			return err
		}
		if kept.ID != "" {
			r, err := admin.Connect(base, admin.Credentials{Token: kept.Token}, insecure)
			if err == nil {
				_, err = admin.Call(cmd.Context(), r, admin.TokenRevoke, admin.TokenParams{Token: kept.ID}, nil)
			}
			if err != nil && !errors.Is(err, registry.Unauthorized) { // it does not work any more anyway
				return fmt.Errorf("forgot the token of %s, but it still works: revoke %s: %w", base, kept.ID, sentence(err))
			}
		}
		_, err = fmt.Fprintf(cmd.OutOrStdout(), "logged out of %s\n", base)
		return err
	}
	return cmd
}

func whoamiCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "whoami",
		Short: "Tell as whom commands run",
		Example: `  packhouse whoami
  packhouse whoami --server https://packages.example.com`,
		Args: cobra.NoArgs,
	}
	o := newOperator(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		me, err := operate(cmd.Context(), o, admin.WhoAmI, admin.None{})
		if err != nil {
			return err
		}
		return o.say(me, "%s", me.Principal)
	}
	return cmd
}
