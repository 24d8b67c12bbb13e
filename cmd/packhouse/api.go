package main

import (
	"github.com/spf13/cobra"

	"github.com/packhouse/packhouse/registry/admin"
)

func apiCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "api",
		Short: "Print the description of the API as OpenAPI 3.1",
		Long: `Print the description of the API as OpenAPI 3.1. A server answers it at
/-/api/v1/openapi.json and the API itself below /-/api/v1.`,
		Example: `  packhouse api > openapi.json`,
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			out, err := admin.Document()
			if err != nil {
				return err
			}
			_, err = cmd.OutOrStdout().Write(out)
			return err
		},
	}
}
