package main

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/packhouse/packhouse/registry/admin"
)

func trustCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "trust",
		Short: "Say which CI jobs may publish what, without a stored secret",
		Long: `Say which CI jobs may publish what, without a stored secret. A CI system signs an
ID token that says what a job is; a trust rule says what such a token must say,
and the job exchanges it here for one that may publish for a quarter of an hour.

Match on ids that never change hands (repository_id, project_id) rather than on
names, which somebody else can get.`,
		Args: cobra.NoArgs,
	}
	cmd.AddCommand(
		trustAddCommand(),
		trustListCommand(),
		onName[admin.TrustParams]{
			use: "remove NAME", short: "Remove a trust rule, and end the tokens that were had by it",
			example: `  packhouse trust remove release`,
			op:      admin.TrustRemove, params: func(name string) admin.TrustParams { return admin.TrustParams{Trust: name} },
			did: "removed trust rule %s", offer: offerTrusts,
		}.command(),
	)
	return cmd
}

func offerTrusts(o *operator) completion {
	return offerOf(o, admin.TrustList, admin.TrustListParams{}, func(t admin.Trust) string { return t.Name })
}

func trustAddCommand() *cobra.Command {
	var p admin.TrustAddParams
	var claims []string
	cmd := &cobra.Command{
		Use:   "add NAME [NAMESPACE]",
		Short: "Trust the jobs of a CI system",
		Example: `  packhouse trust add release acme --issuer https://token.actions.githubusercontent.com \
      --claim repository_id=123456789 --claim environment=release --repositories 'acme/npm/**'
  packhouse trust add nightly acme --issuer https://gitlab.example.com --claim project_id=42 --claim ref_protected=true`,
		Args: cobra.RangeArgs(1, 2),
	}
	o := newOperator(cmd)
	f := cmd.Flags()
	f.StringVar(&p.Issuer, "issuer", "", "URL of who signs the jobs' ID tokens")
	f.StringVar(&p.Audience, "audience", "", "whom the ID tokens must be meant for (default this registry)")
	f.StringArrayVar(&claims, "claim", nil, "NAME=VALUE that the ID tokens must say; can be given several times")
	f.StringVar(&p.Role, "role", "", "what such a job may do (default publisher)")
	f.StringVar(&p.Repositories, "repositories", "", "pattern of names (default all of the namespace)")
	_ = cmd.MarkFlagRequired("issuer") // the flags are there
	_ = cmd.MarkFlagRequired("claim")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		p.Trust, p.Claims = args[0], map[string]string{}
		if len(args) == 2 {
			p.Namespace = args[1]
		}
		for _, c := range claims {
			name, value, ok := strings.Cut(c, "=")
			if _, twice := p.Claims[name]; !ok || name == "" || twice {
				return usageError(fmt.Errorf("--claim %q is not NAME=VALUE, or its name was given before", c))
			}
			p.Claims[name] = value
		}
		t, err := operate(cmd.Context(), o, admin.TrustAdd, p)
		if err != nil {
			return err
		}
		return o.say(t, "trust rule %s: jobs of %s with %s are %s of %s", t.Name, t.Issuer, shownClaims(t.Claims), t.Role, t.Repositories)
	}
	return cmd
}

func shownClaims(claims map[string]string) string {
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(claims)) {
		parts = append(parts, name+"="+claims[name])
	}
	return strings.Join(parts, " ")
}

func trustListCommand() *cobra.Command {
	var p admin.TrustListParams
	cmd := &cobra.Command{
		Use:   "list [NAMESPACE]",
		Short: "List trust rules",
		Example: `  packhouse trust list
  packhouse trust list acme --json`,
		Args: cobra.MaximumNArgs(1),
	}
	o := newOperator(cmd)
	cmd.ValidArgsFunction = completeNamespaces(o)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if len(args) == 1 {
			p.Namespace = args[0]
		}
		list, err := operateAll(cmd.Context(), o, admin.TrustList, p)
		if err != nil {
			return err
		}
		return o.print(list, func(w io.Writer) error {
			rows := [][]string{{"TRUST RULE", "ISSUER", "CLAIMS", "ROLE", "REPOSITORIES", "NAMESPACE"}}
			for _, t := range list {
				rows = append(rows, []string{t.Name, t.Issuer, shownClaims(t.Claims), t.Role, t.Repositories, orDash(t.Namespace)})
			}
			return table(w, rows)
		})
	}
	return cmd
}
