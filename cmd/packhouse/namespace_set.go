package main

import (
	"errors"
	"fmt"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/packhouse/packhouse/registry/admin"
	"github.com/packhouse/packhouse/registry/config"
)

// everybodyPushes is how people write that a first push needs no administrator.
const everybodyPushes = "anyone"

func namespaceCreateCommand() *cobra.Command {
	var p admin.NamespaceCreateParams
	cmd := &cobra.Command{
		Use:   "create NAMESPACE",
		Short: "Create a namespace",
		Long: `Create a namespace. A name that was used before is a new namespace: nothing that
was granted in the old one holds in it.`,
		Example: `  packhouse namespace create acme
  packhouse namespace create acme/team --visibility private --first-push admin`,
		Args: cobra.ExactArgs(1),
	}
	o := newOperator(cmd)
	cmd.Flags().StringVar(&p.Visibility, "visibility", "", "public or private (default as the namespace above, else private)")
	cmd.Flags().StringVar(&p.FirstPush, "first-push", "", "admin: only administrators make repositories by pushing")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		p.Namespace = args[0]
		n, err := operate(cmd.Context(), o, admin.NamespaceCreate, p)
		if err != nil {
			return err
		}
		return o.say(n, "created namespace %s", n.Name)
	}
	return cmd
}

func namespaceFirstPushCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "first-push NAMESPACE anyone|admin",
		Short: "Say who makes repositories by pushing",
		Long: `Say who makes repositories in a namespace by pushing to a name that is not there
yet: anyone who may create (publisher and above), or administrators of the
namespace alone.`,
		Example: `  packhouse namespace first-push acme admin`,
		Args:    cobra.ExactArgs(2),
	}
	o := newOperator(cmd)
	names := completeNamespaces(o)
	cmd.ValidArgsFunction = func(cmd *cobra.Command, args []string, prefix string) ([]cobra.Completion, cobra.ShellCompDirective) {
		if len(args) == 1 {
			return []cobra.Completion{everybodyPushes, "admin"}, cobra.ShellCompDirectiveNoFileComp
		}
		return names(cmd, args, prefix)
	}
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		p := admin.NamespaceFirstPushParams{NamespaceParams: admin.NamespaceParams{Namespace: args[0]}, FirstPush: args[1]}
		if p.FirstPush == everybodyPushes {
			p.FirstPush = ""
		}
		done, err := operate(cmd.Context(), o, admin.NamespaceFirstPush, p)
		if err != nil {
			return err
		}
		return o.say(done, "repositories of %s are made by the first push of: %s", args[0], args[1])
	}
	return cmd
}

// unlimited is how people write that there is no limit.
const unlimited = "unlimited"

func namespaceQuotaCommand() *cobra.Command {
	var bytes, manifests string
	cmd := &cobra.Command{
		Use:   "quota NAMESPACE",
		Short: "Limit what a namespace may hold",
		Long: `Limit what a namespace may hold: bytes of blobs and manifests, each counted once,
and how many manifests; what can be restored from the trash counts. A limit below
what is there lets nothing grow until enough was deleted.`,
		Example: `  packhouse namespace quota acme --bytes 500GiB --manifests 100000
  packhouse namespace quota acme --bytes unlimited
  packhouse namespace show acme`,
		Args: cobra.ExactArgs(1),
	}
	o := newOperator(cmd)
	cmd.ValidArgsFunction = completeNamespaces(o)
	cmd.Flags().StringVar(&bytes, "bytes", "", "such as 500GiB, or unlimited")
	cmd.Flags().StringVar(&manifests, "manifests", "", "a number, or unlimited")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if bytes == "" && manifests == "" {
			return usageError(errors.New("say what to limit: --bytes SIZE, --manifests NUMBER"))
		}
		return o.with(cmd.Context(), func(c admin.Caller) error {
			ns := admin.NamespaceParams{Namespace: args[0]}
			n, err := admin.Call(cmd.Context(), c, admin.NamespaceShow, ns, nil)
			if err != nil {
				return err
			}
			p := admin.NamespaceQuotaParams{NamespaceParams: ns} // what is not given stays as it is
			if n.Quota != nil {
				p.Quota = *n.Quota
			}
			if p.Bytes, err = limitOf("--bytes", bytes, p.Bytes, parseSize); err != nil {
				return err
			}
			if p.Manifests, err = limitOf("--manifests", manifests, p.Manifests, parseCount); err != nil {
				return err
			}
			done, err := admin.Call(cmd.Context(), c, admin.NamespaceQuota, p, nil)
			if err != nil {
				return err
			}
			return o.say(done, "%s may hold %s and %s manifests", args[0], limitText(p.Bytes, size, "any number of bytes"), limitText(p.Manifests, plain, "any number of"))
		})
	}
	return cmd
}

func limitOf(flag, text string, was *int64, parse func(string) (int64, error)) (*int64, error) {
	switch text {
	case "":
		return was, nil
	case unlimited:
		return nil, nil //nolint:nilnil // no limit
	}
	n, err := parse(text)
	if err == nil && n < 0 {
		err = errors.New("it is negative")
	}
	if err != nil {
		return nil, usageError(fmt.Errorf("%s: %q is no limit: %w", flag, text, err))
	}
	return &n, nil
}

func parseSize(text string) (int64, error) {
	var b config.Bytes
	err := b.UnmarshalText([]byte(text))
	return int64(b), err
}

func parseCount(text string) (int64, error) { return strconv.ParseInt(text, 10, 64) }

func plain(n int64) string { return strconv.FormatInt(n, 10) }

func limitText(limit *int64, text func(int64) string, none string) string {
	if limit == nil {
		return none
	}
	return text(*limit)
}

// ofLimit shows a limit beside what is used of it.
func ofLimit(limit *int64, text func(int64) string) string {
	if limit == nil {
		return ""
	}
	return " of " + text(*limit)
}
