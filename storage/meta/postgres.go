package meta

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"
)

// postgresDB is a PostgreSQL database: its pool of connections, which reads.
type postgresDB struct {
	texts
	pool   *sql.DB
	config *pgx.ConnConfig
	health *health
}

const (
	defaultConnections = 16
	// connectionPatience is how long anything waits for a connection: what
	// fails is answered within two seconds.
	connectionPatience = 1800 * time.Millisecond
	connectionIdle     = 5 * time.Minute
	connectionLife     = time.Hour
	retryEvery         = 50 * time.Millisecond
)

func openPostgres(ctx context.Context, c Config) (*postgresDB, *postgresSession, error) {
	config, err := pgx.ParseConfig(c.URL)
	if err != nil {
		return nil, nil, fmt.Errorf("open PostgreSQL: %w", err) // without the password
	}
	if config.ConnectTimeout == 0 || config.ConnectTimeout > connectionPatience {
		config.ConnectTimeout = connectionPatience
	}
	if config.RuntimeParams["application_name"] == "" {
		config.RuntimeParams["application_name"] = "packhouse"
	}
	d := &postgresDB{config: config, health: newHealth(config)}
	d.pool = stdlib.OpenDB(*config, stdlib.OptionAfterConnect(d.health.connected), stdlib.OptionResetSession(d.health.usable),
		// What is stale shows in use, where it is watched.
		stdlib.OptionShouldPing(func(context.Context, stdlib.ShouldPingParams) bool { return false }))
	connections := c.Connections
	if connections == 0 {
		connections = defaultConnections
	}
	connections = max(connections, 2) // one changes, the others read
	d.pool.SetMaxOpenConns(connections)
	d.pool.SetMaxIdleConns(connections)
	d.pool.SetConnMaxIdleTime(connectionIdle)
	d.pool.SetConnMaxLifetime(connectionLife)
	s := &postgresSession{db: d, id: randomID()}
	err = migrate(ctx, onPostgres, d.pool)
	if err == nil {
		err = s.forget(ctx)
	}
	if err != nil {
		return nil, nil, errors.Join(fmt.Errorf("open PostgreSQL at %s, database %s: %w", config.Host, config.Database, translate(err)), d.pool.Close())
	}
	return d, s, nil
}

func (d *postgresDB) close() error {
	d.health.close()
	return d.pool.Close()
}

func (d *postgresDB) stats() sql.DBStats { return d.pool.Stats() }

// full is false: the server's disk is not this process' to watch.
func (d *postgresDB) full() bool { return false }

func (d *postgresDB) damage(context.Context) ([]string, error) { return nil, nil }

// acquire takes a connection from the pool. It waits a while for one: a server
// that is restarted is back soon.
func (d *postgresDB) acquire(ctx context.Context) (*sql.Conn, error) {
	began := time.Now()
	for {
		if err := d.health.refuse(ctx); err != nil {
			return nil, err
		}
		limited, cancel := context.WithDeadline(ctx, began.Add(connectionPatience))
		conn, err := d.pool.Conn(limited)
		cancel()
		switch {
		case err == nil:
			return conn, nil
		case ctx.Err() != nil:
			return nil, ctx.Err()
		case !unavailable(err):
			return nil, err
		case time.Now().After(d.health.giveUp(began)):
			err = fmt.Errorf("%w: %w", ErrUnavailable, err)
			if _, said := errors.AsType[*pgconn.PgError](err); starting(err) || !said && errors.As(err, new(*pgconn.ConnectError)) {
				d.health.trip(err, began)
			}
			return nil, err
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(retryEvery):
		}
	}
}

// with runs f on a connection, and again on another one if the first, which
// may have lain in the pool since before the server was restarted, was lost
// before f had anything from it.
func (d *postgresDB) with(ctx context.Context, f func(context.Context, *sql.Conn) (began bool, err error)) error {
	for tries := 1; ; tries++ {
		conn, err := d.acquire(ctx)
		if err != nil {
			return err
		}
		watched, stop := d.health.watch(ctx)
		began, err := f(watched, conn)
		stop()
		if err == nil {
			d.health.answered()
			_ = conn.Close() // into the pool
			return nil
		}
		if errors.Is(context.Cause(watched), ErrUnavailable) {
			err = context.Cause(watched)
		}
		lost := ctx.Err() == nil && unavailable(err)
		if lost {
			d.health.lost()
			_ = conn.Raw(func(any) error { return driver.ErrBadConn }) // not back into the pool
		}
		_ = conn.Close()
		if !lost || began || tries == 3 {
			return err
		}
	}
}

func (d *postgresDB) exec(ctx context.Context, query string, args []any) (res sql.Result, err error) {
	err = d.with(ctx, func(ctx context.Context, conn *sql.Conn) (bool, error) {
		res, err = connRunner{conn, &d.texts}.exec(ctx, query, args)
		return true, err
	})
	return res, err
}

func (d *postgresDB) rows(ctx context.Context, query string, args []any, f func(*sql.Rows) error) error {
	return d.with(ctx, func(ctx context.Context, conn *sql.Conn) (began bool, err error) {
		err = connRunner{conn, &d.texts}.rows(ctx, query, args, func(rows *sql.Rows) error {
			began = true
			return f(rows)
		})
		return began, err
	})
}

func (d *postgresDB) snapshot(ctx context.Context, f func(queries) error) error {
	var own error
	err := d.with(ctx, func(ctx context.Context, conn *sql.Conn) (began bool, err error) {
		tx, err := conn.BeginTx(ctx, &sql.TxOptions{ReadOnly: true, Isolation: sql.LevelRepeatableRead})
		if err != nil {
			return false, err
		}
		own = f(queries{run: connRunner{tx, &d.texts}, shared: true})
		if err := tx.Rollback(); !errors.Is(err, sql.ErrTxDone) { // as it is once ctx ended
			return true, err
		}
		return true, nil
	})
	if own != nil {
		return own
	}
	return translate(err)
}

// connRunner runs statements on one connection; the driver prepares each text
// once.
type connRunner struct {
	on interface {
		ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
		QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	}
	texts *texts
}

func (c connRunner) exec(ctx context.Context, query string, args []any) (sql.Result, error) {
	text, values, err := c.texts.translate(query, args)
	if err != nil {
		return nil, err
	}
	return c.on.ExecContext(ctx, text, values...)
}

func (c connRunner) rows(ctx context.Context, query string, args []any, f func(*sql.Rows) error) error {
	text, values, err := c.texts.translate(query, args)
	if err != nil {
		return err
	}
	rows, err := c.on.QueryContext(ctx, text, values...)
	if err != nil {
		return err
	}
	return rowsOf(rows, f)
}
