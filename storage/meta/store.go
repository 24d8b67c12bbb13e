package meta

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"path/filepath"
	"sync"
	"time"

	"github.com/pressly/goose/v3"
	_ "modernc.org/sqlite" // the "sqlite" driver of database/sql
)

// What a query can meet besides its own result.
var (
	// ErrNotFound means that no such row is there.
	ErrNotFound = errors.New("not found")
	// ErrNoSpace means that the database could not grow.
	ErrNoSpace = errors.New("no space left for the database")
	// ErrReadOnly means that the database cannot be written: its file is, or
	// an earlier commit failed and the process must be restarted.
	ErrReadOnly = errors.New("database is read-only")
	// ErrUncertain means that a commit failed in the disk: whether it took
	// place shows after a restart, and until then nothing must rely on either.
	ErrUncertain = errors.New("commit failed")
)

//go:embed migrations/*.sql
var migrations embed.FS

// Config says where the database is.
type Config struct {
	// Dir is the data directory; the database is Dir/packhouse.db.
	Dir string
	// Now is the clock of all rows. Default time.Now.
	Now func() time.Time
}

// Store is the database. Its read methods run on a pool of connections of
// their own and see what is committed; [Store.Update] changes it.
type Store struct {
	queries
	now     func() time.Time
	readers *sql.DB
	writer  *writer
	reserve *reserve
}

// readConnections bounds the read pool: what misses the caches is rare.
const readConnections = 8

// Open opens or creates the database and brings its schema up to date. A
// schema newer than this binary is refused.
func Open(ctx context.Context, cfg Config) (*Store, error) {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	path := filepath.Join(cfg.Dir, "packhouse.db")
	writeDB, err := sql.Open("sqlite", dsn(path, "cache_size(-4096)", "journal_mode(WAL)", "synchronous(FULL)"))
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", path, err)
	}
	writeDB.SetMaxOpenConns(1)
	if err := migrate(ctx, writeDB); err != nil {
		return nil, errors.Join(fmt.Errorf("open %s: %w", path, translate(err)), writeDB.Close())
	}
	readers, err := sql.Open("sqlite", dsn(path, "cache_size(-1024)", "query_only(1)"))
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open %s: %w", path, err), writeDB.Close())
	}
	readers.SetMaxOpenConns(readConnections)
	readers.SetMaxIdleConns(readConnections)
	s := &Store{
		queries: queries{prepare: preparer(readers.PrepareContext)},
		now:     cfg.Now,
		readers: readers,
		reserve: newReserve(cfg.Dir),
	}
	if s.writer, err = newWriter(ctx, writeDB, s.reserve, cfg.Now); err != nil {
		return nil, errors.Join(fmt.Errorf("open %s: %w", path, translate(err)), readers.Close(), writeDB.Close())
	}
	return s, nil
}

// dsn names path with pragmas for each connection. Small page caches keep the
// resident size small: 4 MiB for the writer, 1 MiB for each reader; hot content
// is cached above this package.
func dsn(path string, pragmas ...string) string {
	q := url.Values{"_pragma": append([]string{"busy_timeout(10000)", "foreign_keys(1)", "temp_store(2)"}, pragmas...)}
	return (&url.URL{Scheme: "file", Opaque: url.PathEscape(path), RawQuery: q.Encode()}).String()
}

func migrate(ctx context.Context, db *sql.DB) error {
	dir, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return err
	}
	p, err := goose.NewProvider(goose.DialectSQLite3, db, dir)
	if err != nil {
		return fmt.Errorf("read migrations: %w", err)
	}
	current, target, err := p.GetVersions(ctx)
	if err != nil {
		return fmt.Errorf("read schema version: %w", err)
	}
	if current > target {
		return fmt.Errorf("schema version %d is newer than this binary's %d: run the newer packhouse, or restore a backup made before the upgrade", current, target)
	}
	if _, err := p.Up(ctx); err != nil {
		return fmt.Errorf("migrate from version %d: %w", current, err)
	}
	return nil
}

// Full tells whether only changes that free space are taken now.
func (s *Store) Full() bool { return !s.reserve.refill() }

// Close waits for queued changes and closes the database.
func (s *Store) Close() error {
	return errors.Join(s.writer.close(), s.readers.Close())
}

// Now is the time by the clock of all rows.
func (s *Store) Now() time.Time { return s.now() }

// Options say how a change is committed.
type Options struct {
	// Durable changes are fsynced before Update returns.
	Durable bool
	// Frees marks a change that lets space be freed (deletes, collection): on
	// a full disk it may use the space held in reserve.
	Frees bool
	// Unaudited marks housekeeping that changes nothing anybody can see:
	// sessions, keys, collection. Every other durable change must call
	// [Tx.Record].
	Unaudited bool
}

// Update runs change in a transaction and returns its error, or that of the
// commit. change runs on the writer's goroutine: it must only call tx. It may
// run twice, so it must not accumulate state outside what it returns. Beside
// change's own errors it returns ErrNoSpace, ErrReadOnly, ErrUncertain.
func (s *Store) Update(ctx context.Context, o Options, change func(ctx context.Context, tx *Tx) error) error {
	if !o.Frees && !s.reserve.refill() {
		return ErrNoSpace
	}
	return s.writer.update(ctx, o, change)
}

// Tx is one change under way: it reads its own writes.
type Tx struct {
	queries
	now      time.Time
	recorded bool // something was written into the audit
}

// Now is the time of this transaction.
func (t *Tx) Now() time.Time { return t.now }

// queries runs prepared statements; each text is prepared once.
type queries struct {
	prepare func(ctx context.Context, query string) (*sql.Stmt, error)
}

func preparer(prepare func(context.Context, string) (*sql.Stmt, error)) func(context.Context, string) (*sql.Stmt, error) {
	var stmts sync.Map // text → *sql.Stmt
	return func(ctx context.Context, query string) (*sql.Stmt, error) {
		if st, ok := stmts.Load(query); ok {
			return st.(*sql.Stmt), nil
		}
		st, err := prepare(context.WithoutCancel(ctx), query)
		if err != nil {
			return nil, err
		}
		if prior, raced := stmts.LoadOrStore(query, st); raced {
			return prior.(*sql.Stmt), st.Close()
		}
		return st, nil
	}
}

func (q queries) exec(ctx context.Context, query string, args ...any) (sql.Result, error) {
	st, err := q.prepare(ctx, query)
	if err != nil {
		return nil, translate(err)
	}
	res, err := st.ExecContext(ctx, args...)
	return res, translate(err)
}

// insert returns the new row's id.
func (q queries) insert(ctx context.Context, query string, args ...any) (int64, error) {
	res, err := q.exec(ctx, query, args...)
	if err != nil {
		return 0, err
	}
	return res.LastInsertId()
}

// changed returns how many rows a statement touched.
func (q queries) changed(ctx context.Context, query string, args ...any) (int64, error) {
	res, err := q.exec(ctx, query, args...)
	if err != nil {
		return 0, err
	}
	return res.RowsAffected()
}

// one scans the first row, or returns ErrNotFound.
func (q queries) one(ctx context.Context, query string, args []any, dest ...any) error {
	st, err := q.prepare(ctx, query)
	if err != nil {
		return translate(err)
	}
	return translate(st.QueryRowContext(ctx, args...).Scan(dest...))
}

// all calls scan for each row.
func (q queries) all(ctx context.Context, query string, args []any, scan func(*sql.Rows) error) (err error) {
	st, err := q.prepare(ctx, query)
	if err != nil {
		return translate(err)
	}
	rows, err := st.QueryContext(ctx, args...)
	if err != nil {
		return translate(err)
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		if err := scan(rows); err != nil {
			return err
		}
	}
	return translate(rows.Err())
}

func millis(t time.Time) int64 { return t.UnixMilli() }

// fromMillis turns a nullable column into a time; the zero time for NULL.
func fromMillis(ms sql.NullInt64) time.Time {
	if !ms.Valid {
		return time.Time{}
	}
	return time.UnixMilli(ms.Int64).UTC()
}
