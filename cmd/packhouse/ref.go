package main

import (
	"context"
	"net/url"
	"strings"

	"github.com/spf13/cobra"

	"github.com/packhouse/packhouse/artifacttypes/all"
	"github.com/packhouse/packhouse/registry"
	"github.com/packhouse/packhouse/registry/admin"
	"github.com/packhouse/packhouse/registry/config"
	"github.com/packhouse/packhouse/registry/feed"
	"github.com/packhouse/packhouse/registry/server"
)

func refCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "ref NAMESPACE FORMAT NAME[@VERSION]",
		Short: "Tell a package's OCI reference",
		Long: `Tell under which OCI reference a package lies, or would lie: what docker, oras
and cosign call it. Nothing is looked up.`,
		Example: `  packhouse ref acme npm @acme/widget@1.0.0
  packhouse ref acme maven com.acme.tools:my-lib@1.0.0
  cosign verify --key cosign.pub $(packhouse ref acme pypi my-package@1.0)`,
		Args: cobra.ExactArgs(3),
	}
	o := newOperator(cmd)
	cmd.ValidArgsFunction = func(_ *cobra.Command, args []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
		var names []string
		if len(args) == 1 {
			for _, f := range all.Formats() {
				names = append(names, f.Info().Name)
			}
		}
		return names, cobra.ShellCompDirectiveNoFileComp
	}
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		p := admin.RefParams{Namespace: args[0], Format: args[1], Name: args[2]}
		if i := strings.LastIndexByte(p.Name, '@'); i > 0 { // at 0 it begins an npm scope
			p.Name, p.Version = p.Name[:i], p.Name[i+1:]
		}
		ref, err := o.reference(cmd.Context(), p)
		if err != nil {
			return usageError(err)
		}
		return o.say(ref, "%s", ref.Whole)
	}
	return cmd
}

// reference asks the server that was named; without one, the answer follows
// from the name alone.
func (o *operator) reference(ctx context.Context, p admin.RefParams) (admin.Reference, error) {
	if o.address() != "" {
		return operate(ctx, o, admin.Ref, p)
	}
	c, err := o.load()
	if err != nil {
		return admin.Reference{}, err
	}
	ref, err := feed.Locate(all.Formats(), p.Namespace, p.Format, p.Name, p.Version)
	if err != nil {
		return admin.Reference{}, admin.Cause(registry.Public(err))
	}
	return admin.ReferenceOf(ref, clientHost(c)), nil
}

// clientHost is the host by which clients reach the server: as configured, else
// as the running server says, else where one would listen.
func clientHost(c config.Config) string {
	if u, err := url.Parse(c.ExternalURL); err == nil && u.Host != "" {
		return u.Host
	}
	if base, ok := server.Running(c.Data); ok {
		if u, err := url.Parse(base); err == nil && u.Host != "" {
			return u.Host
		}
	}
	return c.Addr
}
