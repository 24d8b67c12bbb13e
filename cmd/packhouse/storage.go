package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"go.yaml.in/yaml/v3"

	"github.com/packhouse/packhouse/registry/config"
	"github.com/packhouse/packhouse/registry/server"
	"github.com/packhouse/packhouse/storage/blob"
)

func storageCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "storage",
		Short: "Check and copy what blobs are kept in",
		Args:  cobra.NoArgs,
	}
	cmd.AddCommand(storageCheckCommand(), storageCopyCommand())
	return cmd
}

func storageCheckCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "check",
		Short: "Try the configured storage out",
		Long: `Write, read and delete one small object in the storage that the configuration
names, as the server does when it starts, and say what is wrong if that fails.
The server may run meanwhile.`,
		Example: `  packhouse storage check --config /etc/packhouse.yaml`,
		Args:    cobra.NoArgs,
	}
	s := newSettings(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		c, err := s.load()
		if err != nil {
			return err
		}
		if _, err := server.OpenStorage(cmd.Context(), c.Storage, c.Data); err != nil {
			return err
		}
		_, err = fmt.Fprintf(cmd.OutOrStdout(), "the storage works: %s\n", describe(c.Storage, c.Data))
		return err
	}
	return cmd
}

// describe names a storage for people.
func describe(s config.Storage, data string) string {
	for _, name := range []string{"bucket", "container", "rootdirectory"} {
		if v := s.Params[name]; v != nil {
			return fmt.Sprintf("%s %v", s.Driver, v)
		}
	}
	if s.Driver == "filesystem" {
		return s.Driver + " " + data
	}
	return s.Driver
}

func storageCopyCommand() *cobra.Command {
	p := copying{}
	var params []string
	cmd := &cobra.Command{
		Use:   "copy",
		Short: "Copy all content to another storage",
		Long: `Copy every object that the registry needs from the configured storage to
another one, under the same names, so that the database need not change. Each
blob's digest is computed again on the way. What is there already, with the
right size, is skipped: the command can be stopped and run again at any time.

The server may run meanwhile. Run it once to copy the most, stop the server, run
it again to catch up, change the configuration as it says at its end, and start
the server.

A driver's parameters are those of the distribution project. A value that
starts with @ is the name of a file that has it, for secrets.`,
		Example: `  packhouse storage copy --dry-run --to-driver s3aws --to-param bucket=packages --to-param region=eu-central-1
  packhouse storage copy --to-driver s3aws --to-param bucket=packages --to-param regionendpoint=https://s3.example.com \
    --to-param region=us-east-1 --to-param accesskey=@/run/secrets/access --to-param secretkey=@/run/secrets/secret
  packhouse storage copy --to-driver filesystem --to-param rootdirectory=/srv/packhouse --verify`,
		Args: cobra.NoArgs,
	}
	o := newLocalOperator(cmd)
	f := cmd.Flags()
	f.StringVar(&p.to.Driver, "to-driver", "", "driver of the storage to copy to: filesystem, s3aws, gcs or azure")
	f.StringArrayVar(&params, "to-param", nil, "one of that driver's parameters, NAME=VALUE; can be repeated")
	f.BoolVar(&p.verify, "verify", false, "read from the other storage what it has, and compare its digests")
	f.BoolVar(&p.dryRun, "dry-run", false, "copy nothing, say what would be copied")
	f.IntVar(&p.parallel, "parallel", 8, "blobs that are copied at once")
	_ = cmd.MarkFlagRequired("to-driver") // the flag is there
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		var err error
		if p.to.Params, err = storageParams(params); err != nil {
			return usageError(err)
		}
		if err := p.check(); err != nil {
			return usageError(err)
		}
		return p.run(cmd.Context(), o)
	}
	return cmd
}

// storageParams reads NAME=VALUE and NAME=@FILE.
func storageParams(given []string) (config.Params, error) {
	params := config.Params{}
	for _, text := range given {
		name, value, ok := strings.Cut(text, "=")
		if !ok || name == "" {
			return nil, fmt.Errorf("--to-param %q is not NAME=VALUE", text)
		}
		if file, ok := strings.CutPrefix(value, "@"); ok {
			content, err := os.ReadFile(file)
			if err != nil {
				return nil, fmt.Errorf("--to-param %s: %w", name, err)
			}
			value = strings.TrimRight(string(content), "\r\n")
		}
		params[name] = value
	}
	return params, nil
}

// check finds out what would go wrong before anything is opened.
func (p *copying) check() error {
	c := config.Default()
	c.Storage = p.to
	if err := c.Check(); err != nil {
		return fmt.Errorf("--to-driver, --to-param: %w", err)
	}
	if p.to.Driver == "inmemory" || p.to.Driver == "filesystem" && p.to.Params["rootdirectory"] == nil {
		return errors.New("--to-driver: a copy must lie somewhere: name filesystem with --to-param rootdirectory=DIRECTORY, s3aws, gcs or azure")
	}
	if p.parallel < 1 {
		return fmt.Errorf("--parallel %d is less than 1", p.parallel)
	}
	return nil
}

// open opens both storages.
func (p *copying) open(ctx context.Context, c config.Config) (from, to *blob.Store, err error) {
	if from, err = server.OpenStorage(ctx, c.Storage, c.Data); err != nil {
		return nil, nil, fmt.Errorf("the configured storage: %w", err)
	}
	if to, err = server.OpenStorage(ctx, p.to, ""); err != nil {
		return nil, nil, fmt.Errorf("the storage to copy to: %w", err)
	}
	same, err := from.Same(ctx, to, rand.Text())
	if err == nil && same {
		err = errors.New("the storage to copy to is the one that is configured already: name another with --to-driver and --to-param")
	}
	return from, to, err
}

// advice writes the configuration to switch to.
func (p *copying) advice(w io.Writer) error {
	shown := p.to.Params.Redacted()
	values := map[string]any{}
	var hidden []string
	for _, name := range slices.Sorted(maps.Keys(p.to.Params)) {
		if shown[name] == p.to.Params[name] {
			values[name] = p.to.Params[name]
		} else {
			hidden = append(hidden, name)
		}
	}
	section := map[string]any{"storage": map[string]any{"driver": p.to.Driver, "params": values}}
	var text strings.Builder
	enc := yaml.NewEncoder(&text)
	enc.SetIndent(2)
	if err := enc.Encode(section); err != nil {
		return err
	}
	_, err := fmt.Fprintf(w, "\nStop the server, run this command once more, then put this into the configuration and start the server:\n\n%s", text.String())
	for _, name := range hidden {
		if err == nil {
			_, err = fmt.Fprintf(w, "    %s: # as you gave it\n", name)
		}
	}
	return err
}
