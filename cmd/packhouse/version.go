package main

import (
	"encoding/json"
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"

	"github.com/packhouse/packhouse/registry/obs"
)

// version is set by release builds: -ldflags "-X main.version=v1.2.3".
var version string

// build tells which program this is, from the linker or from what the go
// command recorded.
func build() obs.Build {
	b := obs.Build{Version: version, Go: runtime.Version()}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return b
	}
	if b.Version == "" && info.Main.Version != "(devel)" {
		b.Version = info.Main.Version
	}
	if b.Version == "" {
		b.Version = "devel"
	}
	modified := false
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.revision":
			b.Revision = s.Value
		case "vcs.modified":
			modified = s.Value == "true"
		}
	}
	if modified {
		b.Revision += "-dirty"
	}
	return b
}

func versionCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "version",
		Short: "Print which packhouse this is",
		Example: `  packhouse version
  packhouse version --json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			b := build()
			platform := runtime.GOOS + "/" + runtime.GOARCH
			if asJSON {
				return json.NewEncoder(cmd.OutOrStdout()).Encode(map[string]string{
					"version": b.Version, "revision": b.Revision, "go": b.Go, "platform": platform,
				})
			}
			_, err := fmt.Fprintf(cmd.OutOrStdout(), "packhouse %s (%s, %s, %s)\n", b.Version, orNone(b.Revision), b.Go, platform)
			return err
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

func orNone(revision string) string {
	if revision == "" {
		return "no revision"
	}
	return revision
}
