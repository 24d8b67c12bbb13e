package main

import (
	"github.com/spf13/cobra"

	"github.com/packhouse/packhouse/registry/config"
	"github.com/packhouse/packhouse/registry/server"
	"github.com/packhouse/packhouse/storage/meta"
)

func migrateCommand() *cobra.Command {
	var dryRun bool
	cmd := &cobra.Command{
		Use:   "migrate",
		Short: "Bring the schema of the database up to date",
		Long: `Bring the schema of the database up to date: of the one in the data directory,
or of the PostgreSQL database that database.url names. A server does this by
itself when it starts, and of several one does it while the others wait; the
command does it ahead, with --dry-run it only says what there is.

Newer schemas can be used by servers of the release before, unless it says
otherwise; a server that is too old refuses to start.`,
		Example: `  packhouse migrate --dry-run
  packhouse migrate
  PACKHOUSE_DATABASE__URL=postgres://packhouse@db/packhouse packhouse migrate`,
		Args: cobra.NoArgs,
	}
	o := newLocalOperator(cmd)
	cmd.Flags().BoolVar(&dryRun, "dry-run", false, "change nothing, say which version there is and which is wanted")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		cfg, err := o.load()
		if err != nil {
			return err
		}
		db := databaseOf(cfg)
		before, err := meta.SchemaVersions(cmd.Context(), db)
		if err != nil {
			return err
		}
		result := migration{From: before.Current, To: before.Target}
		switch {
		case before.Current >= before.Target:
			return o.say(result, "the schema is up to date: version %d", before.Current)
		case dryRun:
			return o.say(result, "would migrate from version %d to %d", before.Current, before.Target)
		}
		if db.URL == "" { // no server may have it
			dir, err := server.OpenDir(cfg.Data)
			if err != nil {
				return err
			}
			defer func() { _ = dir.Close() }()
		}
		if err := meta.Migrate(cmd.Context(), db); err != nil {
			return err
		}
		return o.say(result, "migrated from version %d to %d", before.Current, before.Target)
	}
	return cmd
}

// migration is what migrate did, or would do.
type migration struct {
	From int64 `json:"from"`
	To   int64 `json:"to"`
}

func databaseOf(c config.Config) meta.Config {
	return meta.Config{Dir: c.Data, URL: string(c.Database.URL), Connections: c.Database.Connections}
}
