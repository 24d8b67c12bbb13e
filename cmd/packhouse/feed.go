package main

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/packhouse/packhouse/registry/admin"
)

func feedCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "feed",
		Short: "Create, list and show package feeds",
		Long: `Create, list and show package feeds. A feed is all packages of one format in one
namespace, at /NAMESPACE/FORMAT/ of the server. Publishing makes it by itself.`,
		Args: cobra.NoArgs,
	}
	cmd.AddCommand(
		feedCreateCommand(),
		feedListCommand(),
		feedShowCommand(),
		visibilityCommand("feed", "acme/npm", offerFeeds, "as the namespace",
			func(name, visibility string) (admin.Name[admin.FeedVisibilityParams, admin.None], admin.FeedVisibilityParams) {
				return admin.FeedVisibility, admin.FeedVisibilityParams{FeedParams: admin.FeedParams{Feed: name}, Visibility: visibility}
			}),
		onName[admin.FeedParams]{
			use: "delete FEED", short: "Remove a feed that has no packages",
			example: `  packhouse feed delete acme/npm`,
			op:      admin.FeedDelete, params: func(name string) admin.FeedParams { return admin.FeedParams{Feed: name} },
			did: "deleted feed %s", offer: offerFeeds,
		}.command(),
	)
	return cmd
}

func offerFeeds(o *operator) completion {
	return offerOf(o, admin.FeedList, admin.FeedListParams{}, func(f admin.Feed) string { return f.Name })
}

func feedCreateCommand() *cobra.Command {
	var p admin.FeedCreateParams
	cmd := &cobra.Command{
		Use:     "create NAMESPACE/FORMAT",
		Short:   "Create a feed",
		Example: `  packhouse feed create acme/npm --visibility public`,
		Args:    cobra.ExactArgs(1),
	}
	o := newOperator(cmd)
	cmd.Flags().StringVar(&p.Visibility, "visibility", "", "public or private (default as the namespace)")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		p.Feed = args[0]
		f, err := operate(cmd.Context(), o, admin.FeedCreate, p)
		if err != nil {
			return err
		}
		return o.say(f, "created feed %s", f.Name)
	}
	return cmd
}

func feedListCommand() *cobra.Command {
	var p admin.FeedListParams
	cmd := &cobra.Command{
		Use:   "list [NAMESPACE]",
		Short: "List feeds",
		Example: `  packhouse feed list
  packhouse feed list acme`,
		Args: cobra.MaximumNArgs(1),
	}
	o := newOperator(cmd)
	cmd.ValidArgsFunction = completeNamespaces(o)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if len(args) == 1 {
			p.Namespace = args[0]
		}
		list, err := operateAll(cmd.Context(), o, admin.FeedList, p)
		if err != nil {
			return err
		}
		return o.print(list, func(w io.Writer) error {
			rows := [][]string{{"FEED", "PACKAGES", "VISIBILITY", "CREATED"}}
			for _, f := range list {
				rows = append(rows, []string{f.Name, fmt.Sprint(f.Packages), orDash(f.Visibility), when(f.Created)})
			}
			return table(w, rows)
		})
	}
	return cmd
}

func feedShowCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "show FEED",
		Short:   "Show a feed",
		Example: `  packhouse feed show acme/npm`,
		Args:    cobra.ExactArgs(1),
	}
	o := newOperator(cmd)
	cmd.ValidArgsFunction = offerFeeds(o)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		f, err := operate(cmd.Context(), o, admin.FeedShow, admin.FeedParams{Feed: args[0]})
		if err != nil {
			return err
		}
		return o.print(f, func(w io.Writer) error {
			return table(w, [][]string{
				{"feed", f.Name},
				{"namespace", f.Namespace},
				{"format", f.Format},
				{"packages", fmt.Sprint(f.Packages)},
				{"visibility", orDash(f.Visibility)},
				{"created", when(f.Created)},
			})
		})
	}
	return cmd
}
