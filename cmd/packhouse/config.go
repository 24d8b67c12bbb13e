package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/packhouse/packhouse/registry/config"
)

func configCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "config",
		Short: "Check and show the configuration",
		Long: `Check and show the configuration.

Values come from, weakest first: the defaults, the file (--config), the
environment (PACKHOUSE_LOG__LEVEL sets log.level, PACKHOUSE_STORAGE__PARAMS__SECRETKEY_FILE
reads a value from a file), and flags.`,
		Args: cobra.NoArgs,
	}
	cmd.AddCommand(configCheckCommand(), configPrintCommand(), configSchemaCommand())
	return cmd
}

func configCheckCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "check",
		Short:   "Report every problem of the configuration",
		Example: `  packhouse config check --config /etc/packhouse.yaml`,
		Args:    cobra.NoArgs,
	}
	s := newSettings(cmd)
	s.server()
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if _, err := s.load(); err != nil {
			return err
		}
		_, err := fmt.Fprintln(cmd.OutOrStdout(), "ok")
		return err
	}
	return cmd
}

func configPrintCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "print",
		Short: "Print the effective configuration, each key with its documentation",
		Long: `Print the effective configuration as YAML: what serve would use if it were
started with the same file, environment and flags. Secrets are hidden.`,
		Example: `  packhouse config print > packhouse.yaml
  packhouse config print --config packhouse.yaml --addr 127.0.0.1:8080`,
		Args: cobra.NoArgs,
	}
	s := newSettings(cmd)
	s.server()
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		c, err := s.load()
		if err != nil {
			return err
		}
		out, err := c.YAML()
		if err != nil {
			return err
		}
		_, err = cmd.OutOrStdout().Write(out)
		return err
	}
	return cmd
}

func configSchemaCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "schema",
		Short:   "Print the JSON Schema of the configuration file",
		Example: `  packhouse config schema > packhouse.schema.json`,
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			out, err := config.Schema()
			if err != nil {
				return err
			}
			_, err = cmd.OutOrStdout().Write(out)
			return err
		},
	}
}
