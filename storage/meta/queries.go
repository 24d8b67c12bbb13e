package meta

import (
	"context"
	"database/sql"
	"time"
)

// queries runs statements. They are written once for both databases:
//
//   - parameters are ? or ?1, ?2 …; each gets the type of its first argument,
//     so an argument that may be NULL is an [sql.NullInt64], [sql.NullString],
//     *int64 or []byte, never a bare nil;
//   - truth is 0 or 1 in columns and parameters, and scans into a bool;
//   - ON CONFLICT … DO UPDATE names its target, a subquery in FROM its alias;
//   - no function or operator that only one of both has.
type queries struct {
	run    runner
	shared bool // PostgreSQL
}

// runner is a connection, or a pool of them.
type runner interface {
	exec(ctx context.Context, query string, args []any) (sql.Result, error)
	// rows calls f once with what the query gives.
	rows(ctx context.Context, query string, args []any, f func(*sql.Rows) error) error
}

func (q queries) exec(ctx context.Context, query string, args ...any) (sql.Result, error) {
	res, err := q.run.exec(ctx, query, args)
	return res, translate(err)
}

// insert returns the new row's id.
func (q queries) insert(ctx context.Context, query string, args ...any) (int64, error) {
	var id int64
	err := q.one(ctx, query+` RETURNING id`, args, &id)
	return id, err
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
	err := q.run.rows(brief(ctx), query, args, func(rows *sql.Rows) error {
		if rows.Next() {
			return rows.Scan(dest...)
		}
		if err := rows.Err(); err != nil {
			return err
		}
		return sql.ErrNoRows
	})
	return translate(err)
}

// brief is the context of a query that is over soon: a caller who leaves does
// not end it, which would cost the connection.
func brief(ctx context.Context) context.Context {
	if _, limited := ctx.Deadline(); limited {
		return ctx
	}
	return context.WithoutCancel(ctx)
}

// all calls scan for each row.
func (q queries) all(ctx context.Context, query string, args []any, scan func(*sql.Rows) error) error {
	var own error
	err := q.run.rows(ctx, query, args, func(rows *sql.Rows) error {
		for own == nil && rows.Next() {
			own = scan(rows)
		}
		return rows.Err()
	})
	if own != nil {
		return own
	}
	return translate(err)
}

// rowsOf calls f with rows and closes them. An error can come with the end of
// a statement that gave rows before.
func rowsOf(rows *sql.Rows, f func(*sql.Rows) error) (err error) {
	defer func() {
		if end := rows.Close(); err == nil {
			err = end
		}
	}()
	return f(rows)
}

func millis(t time.Time) int64 { return t.UnixMilli() }

// fromMillis turns a nullable column into a time; the zero time for NULL.
func fromMillis(ms sql.NullInt64) time.Time {
	if !ms.Valid {
		return time.Time{}
	}
	return time.UnixMilli(ms.Int64).UTC()
}
