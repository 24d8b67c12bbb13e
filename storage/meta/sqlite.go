package meta

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"sync"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

// sqliteDB is SQLite in the data directory: what reads it.
type sqliteDB struct {
	prepared
	readers *sql.DB
	reserve *reserve
}

// readConnections bounds the read pool: what misses the caches is rare.
const readConnections = 8

func openSQLite(ctx context.Context, dir string) (_ *sqliteDB, _ *sqliteSession, err error) {
	path := filepath.Join(dir, "packhouse.db")
	var opened []*sql.DB
	defer func() {
		if err != nil {
			err = fmt.Errorf("open %s: %w", path, err)
			for _, db := range opened {
				err = errors.Join(err, db.Close())
			}
		}
	}()
	open := func(connections int, pragmas ...string) (*sql.DB, error) {
		db, err := sql.Open("sqlite", dsn(path, pragmas...))
		if err == nil {
			db.SetMaxOpenConns(connections)
			db.SetMaxIdleConns(connections)
			opened = append(opened, db)
		}
		return db, err
	}
	writeDB, err := open(1, "cache_size(-4096)", "journal_mode(WAL)", "synchronous(FULL)")
	if err != nil {
		return nil, nil, err
	}
	if err := migrate(ctx, onSQLite, writeDB); err != nil {
		return nil, nil, translate(err)
	}
	readers, err := open(readConnections, "cache_size(-1024)", "query_only(1)")
	if err != nil {
		return nil, nil, err
	}
	conn, err := writeDB.Conn(ctx)
	if err != nil {
		return nil, nil, translate(err)
	}
	r := newReserve(dir)
	own := &prepared{prepare: conn.PrepareContext}
	return &sqliteDB{prepared: prepared{prepare: readers.PrepareContext}, readers: readers, reserve: r},
		&sqliteSession{db: writeDB, conn: conn, reserve: r, q: queries{run: own}, durable: true}, nil
}

// dsn names path with pragmas for each connection. Small page caches keep the
// resident size small: 4 MiB for the writer, 1 MiB for each reader; hot content
// is cached above this package.
func dsn(path string, pragmas ...string) string {
	q := url.Values{"_pragma": append([]string{"busy_timeout(10000)", "foreign_keys(1)", "temp_store(2)"}, pragmas...)}
	return (&url.URL{Scheme: "file", Opaque: url.PathEscape(path), RawQuery: q.Encode()}).String()
}

func (d *sqliteDB) close() error { return d.readers.Close() }

func (d *sqliteDB) stats() sql.DBStats { return d.readers.Stats() }

func (d *sqliteDB) full() bool { return !d.reserve.refill() }

func (d *sqliteDB) damage(ctx context.Context) ([]string, error) {
	found, err := strs[string](queries{run: d}, ctx, `PRAGMA quick_check`)
	if err == nil && len(found) == 1 && found[0] == "ok" {
		found = nil
	}
	return found, err
}

func (d *sqliteDB) snapshot(ctx context.Context, f func(queries) error) (err error) {
	tx, err := d.readers.BeginTx(ctx, &sql.TxOptions{ReadOnly: true})
	if err != nil {
		return translate(err)
	}
	defer func() {
		if end := tx.Rollback(); !errors.Is(end, sql.ErrTxDone) { // as it is once ctx ended
			err = errors.Join(err, end)
		}
	}()
	return f(queries{run: transaction{d, tx}})
}

// prepared runs statements, each text prepared once.
type prepared struct {
	prepare func(ctx context.Context, query string) (*sql.Stmt, error)
	stmts   sync.Map // text → *sql.Stmt
}

func (p *prepared) statement(ctx context.Context, query string) (*sql.Stmt, error) {
	if st, ok := p.stmts.Load(query); ok {
		return st.(*sql.Stmt), nil
	}
	st, err := p.prepare(context.WithoutCancel(ctx), query)
	if err != nil {
		return nil, err
	}
	if prior, raced := p.stmts.LoadOrStore(query, st); raced {
		return prior.(*sql.Stmt), st.Close()
	}
	return st, nil
}

func (p *prepared) exec(ctx context.Context, query string, args []any) (sql.Result, error) {
	st, err := p.statement(ctx, query)
	if err != nil {
		return nil, err
	}
	return st.ExecContext(ctx, args...)
}

func (p *prepared) rows(ctx context.Context, query string, args []any, f func(*sql.Rows) error) error {
	st, err := p.statement(ctx, query)
	if err != nil {
		return err
	}
	rows, err := st.QueryContext(ctx, args...)
	if err != nil {
		return err
	}
	return rowsOf(rows, f)
}

// transaction runs the prepared statements of a pool in one transaction.
type transaction struct {
	db *sqliteDB
	tx *sql.Tx
}

func (t transaction) exec(ctx context.Context, query string, args []any) (sql.Result, error) {
	st, err := t.db.statement(ctx, query)
	if err != nil {
		return nil, err
	}
	return t.tx.StmtContext(ctx, st).ExecContext(ctx, args...) // closed by the transaction's end
}

func (t transaction) rows(ctx context.Context, query string, args []any, f func(*sql.Rows) error) error {
	st, err := t.db.statement(ctx, query)
	if err != nil {
		return err
	}
	rows, err := t.tx.StmtContext(ctx, st).QueryContext(ctx, args...)
	if err != nil {
		return err
	}
	return rowsOf(rows, f)
}

func translateSQLite(e *sqlite.Error, err error) error {
	if e.Code() == sqlite3.SQLITE_CONSTRAINT_TRIGGER {
		if full, ok := quotaError(e.Error()); ok {
			return full
		}
	}
	switch e.Code() & 0xff { // the primary result code
	case sqlite3.SQLITE_FULL:
		return wrapped(ErrNoSpace, err)
	case sqlite3.SQLITE_READONLY:
		return wrapped(ErrReadOnly, err)
	}
	return err
}

func isIOError(err error) bool {
	e, ok := errors.AsType[*sqlite.Error](err)
	return ok && e.Code()&0xff == sqlite3.SQLITE_IOERR
}
