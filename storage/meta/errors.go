package meta

import (
	"database/sql"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5/pgconn"
	"modernc.org/sqlite"
)

// What a query can meet besides its own result.
var (
	// ErrNotFound means that no such row is there.
	ErrNotFound = errors.New("not found")
	// ErrNoSpace means that the database could not grow.
	ErrNoSpace = errors.New("no space left for the database")
	// ErrReadOnly means that the database cannot be written: its file is, or
	// an earlier commit failed and the process must be restarted, or it is a
	// PostgreSQL server in recovery.
	ErrReadOnly = errors.New("database is read-only")
	// ErrUnavailable means that PostgreSQL is away, starting, or too busy to
	// answer in time. Nothing was changed; it may be tried again.
	ErrUnavailable = errors.New("database is not available")
	// ErrUncertain means that a commit failed in the disk, or that its answer
	// was lost and PostgreSQL could not be asked again in time: whether it took
	// place shows later, and until then nothing must rely on either.
	ErrUncertain = errors.New("commit failed")
)

// translate turns drivers' errors into this package's.
func translate(err error) error {
	if err == nil {
		return nil
	}
	if errors.Is(err, sql.ErrNoRows) {
		return ErrNotFound
	}
	if e, ok := errors.AsType[*sqlite.Error](err); ok {
		return translateSQLite(e, err)
	}
	return translatePostgres(err)
}

// ofDatabase tells whether err is the database's own: it said so, or could not
// be asked.
func ofDatabase(err error) bool {
	if _, ok := errors.AsType[*sqlite.Error](err); ok {
		return true
	}
	_, ok := errors.AsType[*pgconn.PgError](err)
	return ok || errors.Is(err, ErrUnavailable)
}

func wrapped(sentinel, err error) error {
	if errors.Is(err, sentinel) {
		return err
	}
	return fmt.Errorf("%w: %w", sentinel, err)
}
