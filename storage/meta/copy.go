package meta

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
)

// CopiedTable is one table that was copied.
type CopiedTable struct {
	Name     string `json:"name"`
	Rows     int64  `json:"rows"`
	Checksum string `json:"checksum"` // of all rows, in any order; equal on both sides
}

// ErrNotEmpty means that a database holds something already.
var ErrNotEmpty = errors.New("the database is not empty")

// notCopied are tables of which each database has its own.
var notCopied = map[string]bool{"goose_db_version": true, "identity": true, "clock": true, "stripes": true, "writers": true, "replicas": true, "leases": true}

// seeded are tables of which each new database has a row, and how to know that
// it was used.
var seeded = map[string]string{"access": `generation > 0 OR bootstrapped_at IS NOT NULL`, "collector": `started_at > 0`}

// Copy copies the SQLite database in dir, as it is at one moment, into the
// empty PostgreSQL database at url, in one transaction: whatever fails leaves
// nothing there. Each table is read back and compared before the commit. What
// is written to the source meanwhile is not in the copy. With dryRun nothing is
// written: the schema must be there then, or the target empty. progress is told
// how many rows of all are done. It returns ErrNotEmpty.
func Copy(ctx context.Context, dir, url string, dryRun bool, progress func(done, total int64)) (_ []CopiedTable, err error) {
	from, err := openCopySource(ctx, dir)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, from.close()) }()
	c := &copying{dryRun: dryRun, progress: progress}
	config, err := pgx.ParseConfig(url)
	if err != nil {
		return nil, fmt.Errorf("open PostgreSQL: %w", err) // without the password
	}
	if !dryRun {
		to, err := Open(ctx, Config{URL: url, Connections: 2})
		if err != nil {
			return nil, err
		}
		if err := to.Close(); err != nil {
			return nil, err
		}
	}
	if c.to, err = pgx.ConnectConfig(ctx, config); err != nil {
		return nil, fmt.Errorf("open PostgreSQL: %w", err)
	}
	defer func() { err = errors.Join(err, c.to.Close(context.WithoutCancel(ctx))) }()
	err = from.snapshot(ctx, func(q queries) error { return c.all(ctx, q) })
	return c.copied, err
}

// openCopySource opens the database of another process for reading.
func openCopySource(ctx context.Context, dir string) (*sqliteDB, error) {
	path := filepath.Join(dir, "packhouse.db")
	readers, err := sql.Open("sqlite", dsn(path, "query_only(1)")+"&mode=rw")
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", path, err)
	}
	p, err := onSQLite.provider(readers)
	var v Versions
	if err == nil {
		v, err = versions(ctx, p, readers)
	}
	if err == nil && v.Current != v.Target {
		err = fmt.Errorf("its schema has version %d, this binary copies %d: run `packhouse migrate` first", v.Current, v.Target)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open %s: %w", path, err), readers.Close())
	}
	return &sqliteDB{prepared: prepared{prepare: readers.PrepareContext}, readers: readers}, nil
}

type copying struct {
	to       *pgx.Conn
	dryRun   bool
	progress func(done, total int64)
	done     int64
	total    int64
	copied   []CopiedTable
}

func (c *copying) all(ctx context.Context, q queries) error {
	tables, err := tablesInOrder(ctx, q)
	if err != nil {
		return err
	}
	for _, t := range tables {
		var n int64
		if err := q.one(ctx, `SELECT count(*) FROM `+t, nil, &n); err != nil {
			return err
		}
		c.total += n
	}
	tx, err := c.to.Begin(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback(context.WithoutCancel(ctx)) }() // after a commit it does nothing
	if _, err := tx.Exec(ctx, lockStatement); err != nil {
		return err
	}
	if err := c.wantEmpty(ctx, tx, tables); err != nil {
		return err
	}
	for _, t := range tables {
		if err := c.table(ctx, q, tx, t); err != nil {
			return fmt.Errorf("table %s: %w", t, err)
		}
	}
	if c.dryRun {
		return nil
	}
	return tx.Commit(ctx)
}

// tablesInOrder lists what is copied, each table after those that it refers to.
func tablesInOrder(ctx context.Context, q queries) ([]string, error) {
	names, err := strs[string](q, ctx, `SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%' ORDER BY name`)
	if err != nil {
		return nil, err
	}
	var order []string
	var visit func(name string) error
	visit = func(name string) error {
		if notCopied[name] || slices.Contains(order, name) {
			return nil
		}
		parents, err := strs[string](q, ctx, `SELECT DISTINCT "table" FROM pragma_foreign_key_list(?)`, name)
		for _, parent := range parents {
			if parent != name {
				err = errors.Join(err, visit(parent))
			}
		}
		order = append(order, name)
		return err
	}
	for _, name := range names {
		err = errors.Join(err, visit(name))
	}
	return order, err
}

// wantEmpty wants no rows in the tables but those that each new database has.
func (c *copying) wantEmpty(ctx context.Context, tx pgx.Tx, tables []string) error {
	for _, t := range tables {
		var there bool
		if err := tx.QueryRow(ctx, `SELECT to_regclass($1) IS NOT NULL`, t).Scan(&there); err != nil {
			return err
		}
		if !there && c.dryRun {
			continue
		}
		var has bool
		query := `SELECT EXISTS (SELECT 1 FROM ` + t
		if used, ok := seeded[t]; ok {
			query += ` WHERE ` + used
		}
		if err := tx.QueryRow(ctx, query+`)`).Scan(&has); err != nil {
			return err
		}
		if has {
			return fmt.Errorf("%w: there are rows in table %s; name a new one, as `createdb` makes it", ErrNotEmpty, t)
		}
	}
	return nil
}

// table copies one table and compares what arrived.
func (c *copying) table(ctx context.Context, q queries, tx pgx.Tx, name string) error {
	columns, err := strs[string](q, ctx, `SELECT name FROM pragma_table_info(?) ORDER BY cid`, name)
	if err != nil {
		return err
	}
	list := strings.Join(columns, ", ")
	sent := newChecksum()
	err = q.run.rows(ctx, `SELECT `+list+` FROM `+name, nil, func(rows *sql.Rows) error {
		source := &copyRows{rows: rows, columns: columns, sum: sent, each: c.row, verbatim: name == "audit"}
		if c.dryRun {
			for source.Next() {
				if _, err := source.Values(); err != nil {
					return err
				}
			}
			return source.Err()
		}
		// The triggers' counts are copied, too.
		if _, err := tx.Exec(ctx, `ALTER TABLE `+name+` DISABLE TRIGGER USER`); err != nil {
			return err
		}
		if _, ok := seeded[name]; ok {
			if _, err := tx.Exec(ctx, `DELETE FROM `+name); err != nil {
				return err
			}
		}
		_, err := tx.CopyFrom(ctx, pgx.Identifier{name}, columns, source)
		return err
	})
	if err != nil {
		return err
	}
	c.copied = append(c.copied, CopiedTable{name, sent.rows, sent.String()})
	if c.dryRun {
		return nil
	}
	if _, err := tx.Exec(ctx, `ALTER TABLE `+name+` ENABLE TRIGGER USER`); err != nil {
		return err
	}
	arrived, err := readBack(ctx, tx, name, list)
	if err != nil {
		return err
	}
	if arrived.rows != sent.rows || arrived.String() != sent.String() {
		return fmt.Errorf("%d rows were sent and %d others arrived: the copy was given up", sent.rows, arrived.rows)
	}
	return goOn(ctx, tx, name)
}

// goOn makes the ids of a table that numbers its rows go on after the highest.
func goOn(ctx context.Context, tx pgx.Tx, name string) error {
	var numbers bool
	err := tx.QueryRow(ctx, `SELECT EXISTS (SELECT 1 FROM pg_attribute WHERE attrelid = $1::text::regclass AND attname = 'id' AND attidentity <> '')`, name).Scan(&numbers)
	if err == nil && numbers {
		_, err = tx.Exec(ctx, `SELECT setval(pg_get_serial_sequence($1, 'id'), (SELECT coalesce(max(id), 0) + 1 FROM `+name+`), false)`, name)
	}
	return err
}

func (c *copying) row() {
	c.done++
	if c.progress != nil {
		c.progress(c.done, c.total)
	}
}

// readBack is the checksum of a table in PostgreSQL.
func readBack(ctx context.Context, tx pgx.Tx, name, columns string) (*checksum, error) {
	rows, err := tx.Query(ctx, `SELECT `+columns+` FROM `+name)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	sum := newChecksum()
	for rows.Next() {
		values, err := rows.Values()
		if err != nil {
			return nil, err
		}
		if err := sum.add(values); err != nil {
			return nil, err
		}
	}
	return sum, rows.Err()
}

// copyRows gives rows of SQLite to PostgreSQL.
type copyRows struct {
	rows     *sql.Rows
	columns  []string
	sum      *checksum
	each     func()
	verbatim bool // a text that cannot be kept as it is fails
}

func (r *copyRows) Next() bool { return r.rows.Next() }
func (r *copyRows) Err() error { return r.rows.Err() }

func (r *copyRows) Values() ([]any, error) {
	values, dest := make([]any, len(r.columns)), make([]any, len(r.columns))
	for i := range values {
		dest[i] = &values[i]
	}
	if err := r.rows.Scan(dest...); err != nil {
		return nil, err
	}
	for i, v := range values {
		if b, ok := v.([]byte); ok && b == nil {
			values[i] = []byte{} // an empty one: NULL is a bare nil
		}
		if s, ok := v.(string); ok {
			if values[i] = postgresString(s); r.verbatim && values[i] != s {
				return nil, fmt.Errorf("a text in column %s has bytes that PostgreSQL cannot hold: %q", r.columns[i], s)
			}
		}
	}
	r.each()
	return values, r.sum.add(values)
}

// checksum is of rows in any order: the exclusive or of their SHA-256.
type checksum struct {
	rows int64
	sum  [sha256.Size]byte
	b    []byte
}

func newChecksum() *checksum { return &checksum{} }

func (c *checksum) String() string { return hex.EncodeToString(c.sum[:]) }

// add takes one row: each value after its kind and length.
func (c *checksum) add(values []any) error {
	c.b = c.b[:0]
	for _, v := range values {
		switch v := v.(type) {
		case nil:
			c.b = append(c.b, 'n')
		case int64:
			c.b = binary.BigEndian.AppendUint64(append(c.b, 'i'), uint64(v))
		case string:
			c.b = append(binary.BigEndian.AppendUint64(append(c.b, 's'), uint64(len(v))), v...)
		case []byte:
			c.b = append(binary.BigEndian.AppendUint64(append(c.b, 'b'), uint64(len(v))), v...)
		default:
			return fmt.Errorf("a value of type %T is none of ours", v)
		}
	}
	row := sha256.Sum256(c.b)
	for i := range row {
		c.sum[i] ^= row[i]
	}
	c.rows++
	return nil
}
