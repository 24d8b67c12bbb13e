package meta

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/pressly/goose/v3"
)

//go:embed migrations/sqlite/*.sql migrations/postgres/*.sql
var migrations embed.FS

// schema says how one of the databases is migrated. The migrations of both
// have the same numbers, names, tables and columns.
type schema struct {
	dir     string
	dialect goose.Dialect
}

const (
	sqliteDir   = "migrations/sqlite"
	postgresDir = "migrations/postgres"
)

var (
	onSQLite   = schema{sqliteDir, goose.DialectSQLite3}
	onPostgres = schema{postgresDir, goose.DialectPostgres}
)

func (s schema) provider(db *sql.DB) (*goose.Provider, error) {
	dir, err := fs.Sub(migrations, s.dir)
	if err != nil {
		return nil, err
	}
	p, err := goose.NewProvider(s.dialect, db, dir)
	if err != nil {
		return nil, fmt.Errorf("read migrations: %w", err)
	}
	return p, nil
}

// migrate brings the schema up to date.
func migrate(ctx context.Context, s schema, db *sql.DB) error {
	p, err := s.provider(db)
	if err != nil {
		return err
	}
	v, err := versions(ctx, p, db)
	if err != nil || v.Current >= v.Target {
		return err
	}
	if s.dialect == goose.DialectPostgres {
		unlock, err := migrationLock(ctx, db)
		if err != nil {
			return err
		}
		defer unlock() // whoever came first has migrated then
	}
	if _, err := p.Up(ctx); err != nil {
		return fmt.Errorf("migrate from version %d: %w", v.Current, err)
	}
	return nil
}

// Versions are those of a schema.
type Versions struct {
	Current int64 // 0 for an empty database
	Target  int64 // that this binary makes
	Oldest  int64 // of the binaries that can use the schema as it is, by their Target
}

// versions reads them. It refuses a schema that this binary cannot use.
func versions(ctx context.Context, p *goose.Provider, db *sql.DB) (Versions, error) {
	var v Versions
	var err error
	if v.Current, v.Target, err = p.GetVersions(ctx); err != nil {
		return v, fmt.Errorf("read schema version: %w", err)
	}
	if v.Current <= v.Target {
		return v, nil
	}
	// Newer releases first only add to the schema, so that replicas of both
	// releases can run, and an upgrade can be taken back.
	err = db.QueryRowContext(ctx, `SELECT oldest FROM identity`).Scan(&v.Oldest)
	if err == nil && v.Oldest <= v.Target {
		return v, nil
	}
	return v, errors.Join(fmt.Errorf("schema version %d is newer than this binary's %d: run the newer packhouse, or restore a backup made before the upgrade", v.Current, v.Target), err)
}

// migrationLock waits until no other process migrates.
func migrationLock(ctx context.Context, db *sql.DB) (unlock func(), err error) {
	conn, err := db.Conn(ctx)
	if err != nil {
		return nil, err
	}
	if _, err := conn.ExecContext(ctx, `SELECT pg_advisory_lock(`+migrateLock+`)`); err != nil {
		return nil, errors.Join(fmt.Errorf("wait for another process that migrates: %w", err), conn.Close())
	}
	return func() {
		_, _ = conn.ExecContext(context.WithoutCancel(ctx), `SELECT pg_advisory_unlock(`+migrateLock+`)`)
		_ = conn.Close()
	}, nil
}

// The advisory locks of PostgreSQL that processes meet on, the letters
// "packhous" and the next number.
const (
	writeLock   = "8097862917953647987"
	migrateLock = "8097862917953647988"
)

// SchemaVersions reads the versions of the database that cfg names, and makes
// nothing: of one that is not there, or empty, the current one is 0.
func SchemaVersions(ctx context.Context, cfg Config) (v Versions, err error) {
	s, db, err := openSchema(ctx, cfg)
	if err != nil {
		return v, err
	}
	if db == nil {
		p, err := lastMigration(s)
		return Versions{Target: p}, err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	var there bool
	query := `SELECT EXISTS (SELECT 1 FROM sqlite_schema WHERE name = 'goose_db_version')`
	if cfg.URL != "" {
		query = `SELECT to_regclass('goose_db_version') IS NOT NULL`
	}
	if err := db.QueryRowContext(ctx, query).Scan(&there); err != nil {
		return v, translate(err)
	}
	if !there {
		v.Target, err = lastMigration(s)
		return v, err
	}
	p, err := s.provider(db)
	if err != nil {
		return v, err
	}
	v, err = versions(ctx, p, db)
	return v, translate(err)
}

// Migrate brings the schema of the database that cfg names up to date, which
// [Open] does, too.
func Migrate(ctx context.Context, cfg Config) error {
	s, err := Open(ctx, cfg)
	if err != nil {
		return err
	}
	return s.Close()
}

// openSchema opens a database for a look; nil for one that is not there.
func openSchema(_ context.Context, cfg Config) (schema, *sql.DB, error) {
	if cfg.URL != "" {
		db, err := sql.Open("pgx", cfg.URL)
		return onPostgres, db, err
	}
	path := filepath.Join(cfg.Dir, "packhouse.db")
	if _, err := os.Stat(path); err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			err = nil
		}
		return onSQLite, nil, err
	}
	db, err := sql.Open("sqlite", dsn(path, "query_only(1)"))
	return onSQLite, db, err
}

// lastMigration is the version that this binary makes.
func lastMigration(s schema) (int64, error) {
	files, err := fs.Glob(migrations, s.dir+"/*.sql")
	if err != nil {
		return 0, err
	}
	return goose.NumericComponent(files[len(files)-1])
}
