package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/packhouse/packhouse/artifacttypes/all"
)

func formatCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "format", Short: "List package formats and their settings", Args: cobra.NoArgs}
	cmd.AddCommand(formatListCommand())
	return cmd
}

// formatShown is one format as the command prints it.
type formatShown struct {
	Name          string          `json:"name"`
	ArtifactTypes []string        `json:"artifact_types"`
	Clients       []string        `json:"clients,omitempty"`
	Settings      []settingsShown `json:"settings,omitempty"`
}

type settingsShown struct {
	Key     string `json:"key"`
	Default string `json:"default"`
	Doc     string `json:"doc"`
}

func formatListCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "list",
		Short:   "List package formats, their artifact types and settings",
		Example: `  packhouse format list`,
		Args:    cobra.NoArgs,
	}
	o := newLocalOperator(cmd)
	cmd.RunE = func(*cobra.Command, []string) error {
		list := []formatShown{}
		for _, f := range all.Formats() {
			info := f.Info()
			s := formatShown{Name: info.Name, ArtifactTypes: info.ArtifactTypes, Clients: info.Clients}
			for _, one := range info.Settings {
				s.Settings = append(s.Settings, settingsShown{"formats." + info.Name + "." + one.Key, one.Default, one.Doc})
			}
			list = append(list, s)
		}
		return o.print(list, func(w io.Writer) error {
			rows := [][]string{{"FORMAT", "ARTIFACT TYPE", "CLIENTS"}}
			for _, f := range list {
				rows = append(rows, []string{f.Name, f.ArtifactTypes[0], strings.Join(f.Clients, ", ")})
			}
			if err := table(w, rows); err != nil {
				return err
			}
			for _, f := range list {
				for _, s := range f.Settings {
					if _, err := fmt.Fprintf(w, "\n%s (default %q)\n  %s\n", s.Key, s.Default, s.Doc); err != nil {
						return err
					}
				}
			}
			return nil
		})
	}
	return cmd
}
