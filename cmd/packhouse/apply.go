package main

import (
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"
	"go.yaml.in/yaml/v3"

	"github.com/packhouse/packhouse/registry"
	"github.com/packhouse/packhouse/registry/admin"
)

func applyCommand() *cobra.Command {
	var file string
	var p admin.AccessApplyParams
	cmd := &cobra.Command{
		Use:   "apply -f FILE",
		Short: "Make access what a file says",
		Long: `Make access what a file says: namespaces with their visibility, quota, grants and
trust rules, users, service accounts, groups. What is in the file is made exactly
so; what is not in it is left alone, unless --prune is given. Passwords and tokens
are never in it.

  namespaces:
    - name: acme
      visibility: private
      grants:
        - {subject: group:devs, role: publisher}
        - {subject: anonymous, role: reader, repositories: acme/public/**}
  users:
    - {name: alice, full_name: Alice A.}
  groups:
    - {name: devs, members: [alice, service:ci]}
  services:
    - name: ci

It prints each difference: + added, - removed, ~ changed. packhouse access export
writes the present state as such a file.

--prune removes users, service accounts, groups, memberships, grants and trust
rules that the file does not name, and empty namespaces; never your own last way
to administer the registry.`,
		Example: `  packhouse apply -f access.yaml --dry-run
  packhouse apply -f access.yaml --prune
  packhouse access export | packhouse apply -f - --server https://other.example.com`,
		Args: cobra.NoArgs,
	}
	o := newOperator(cmd)
	cmd.Flags().StringVarP(&file, "file", "f", "", "the file (YAML), \"-\" for standard input")
	_ = cmd.MarkFlagRequired("file") // the flag is there
	_ = cmd.MarkFlagFilename("file", "yaml", "yml")
	cmd.Flags().BoolVar(&p.DryRun, "dry-run", false, "change nothing, say what would be changed")
	cmd.Flags().BoolVar(&p.Prune, "prune", false, "remove what the file does not name")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		f, err := readAccessFile(file, cmd.InOrStdin())
		if err != nil {
			return usageError(err)
		}
		p.Access = f.access
		var done admin.Applied
		err = o.with(cmd.Context(), func(c admin.Caller) (err error) {
			done, err = admin.Call(cmd.Context(), c, admin.AccessApply, p, nil)
			if e, ok := errors.AsType[*registry.Error](err); ok {
				return f.locate(e)
			}
			return err
		})
		if err != nil {
			return err
		}
		return o.print(done, func(w io.Writer) error { return printApplied(w, done, p.DryRun) })
	}
	return cmd
}

func printApplied(w io.Writer, a admin.Applied, dryRun bool) error {
	for _, c := range a.Changes {
		if _, err := fmt.Fprintf(w, "%s %s\n", c.Effect, c.What); err != nil {
			return err
		}
	}
	for _, k := range a.Kept {
		if _, err := fmt.Fprintf(w, "kept %s\n", k); err != nil {
			return err
		}
	}
	summary := fmt.Sprintf("%d changes", len(a.Changes))
	switch {
	case len(a.Changes) == 0:
		summary = "nothing to do"
	case dryRun:
		summary += " would be made"
	}
	_, err := fmt.Fprintln(w, summary)
	return err
}

func accessCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "access", Short: "Write who may do what as a file", Args: cobra.NoArgs}
	cmd.AddCommand(accessExportCommand())
	return cmd
}

func accessExportCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "export",
		Short: "Write the present state of access as a file for packhouse apply",
		Example: `  packhouse access export > access.yaml
  packhouse access export --json`,
		Args: cobra.NoArgs,
	}
	o := newOperator(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		f, err := operate(cmd.Context(), o, admin.AccessExport, admin.None{})
		if err != nil {
			return err
		}
		return o.print(f, func(w io.Writer) error {
			enc := yaml.NewEncoder(w)
			enc.SetIndent(2)
			return errors.Join(enc.Encode(f), enc.Close())
		})
	}
	return cmd
}
