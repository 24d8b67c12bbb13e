package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/packhouse/packhouse/registry/admin"
	"github.com/packhouse/packhouse/storage/meta"
)

func dbCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "db", Short: "Move the database"}
	cmd.AddCommand(dbCopyCommand())
	return cmd
}

func dbCopyCommand() *cobra.Command {
	var to string
	var dryRun bool
	cmd := &cobra.Command{
		Use:   "copy --to URL",
		Short: "Copy the database of a data directory into PostgreSQL",
		Long: `Copy the SQLite database of a data directory into an empty PostgreSQL database,
as it is at one moment and in one transaction: whatever fails leaves nothing
there. Each table is read back and compared before the commit.

A server may run meanwhile and serves reads and writes, but what is written
after the copy began is not in it: let nobody push, or stop the server, before
the copy whose result is to be used. Then set database.url to the same URL and
start the server again; the data directory keeps its key (secret.key), which
replicas need, too. Blobs are not in the database: see packhouse storage copy.

The URL may hold a password: pass - to read it from standard input.`,
		Example: `  packhouse db copy --to postgres://packhouse@db.example.com/packhouse --dry-run
  packhouse db copy --to postgres://packhouse@db.example.com/packhouse
  packhouse db copy --to - < url.txt`,
		Args: cobra.NoArgs,
	}
	o := newLocalOperator(cmd)
	cmd.Flags().StringVar(&to, "to", "", "URL of the PostgreSQL database, postgres://…, or - for standard input")
	_ = cmd.MarkFlagRequired("to") // the flag is there
	cmd.Flags().BoolVar(&dryRun, "dry-run", false, "write nothing, read everything and find out whether it can be copied")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		cfg, err := o.load()
		if err != nil {
			return err
		}
		if to == "-" {
			if to, err = secretFrom("-", cmd.InOrStdin()); err != nil {
				return err
			}
		}
		if !strings.HasPrefix(to, "postgres://") && !strings.HasPrefix(to, "postgresql://") {
			return usageError(errors.New("--to is no postgres:// URL"))
		}
		if _, err := os.Stat(filepath.Join(cfg.Data, "packhouse.db")); err != nil {
			return fmt.Errorf("there is no registry in %s: name its directory with --data", cfg.Data)
		}
		p := newProgress(cmd.ErrOrStderr())
		tables, err := meta.Copy(cmd.Context(), cfg.Data, to, dryRun, func(done, total int64) {
			p.report(admin.Progress{Phase: "copy", Done: done, Total: total, Unit: "rows"})
		})
		p.finish()
		if err != nil {
			return err
		}
		return o.print(tables, func(w io.Writer) error { return printCopied(w, tables, dryRun) })
	}
	return cmd
}

func printCopied(w io.Writer, tables []meta.CopiedTable, dryRun bool) error {
	rows := [][]string{{"TABLE", "ROWS", "CHECKSUM"}}
	var total int64
	for _, t := range tables {
		total += t.Rows
		if t.Rows > 0 {
			rows = append(rows, []string{t.Name, fmt.Sprint(t.Rows), t.Checksum[:16]})
		}
	}
	if err := table(w, rows); err != nil {
		return err
	}
	end := "copied and compared"
	if dryRun {
		end = "would be copied"
	}
	_, err := fmt.Fprintf(w, "%d rows of %d tables %s\n", total, len(tables), end)
	return err
}
