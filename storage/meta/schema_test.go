package meta

import (
	"context"
	"database/sql"
	"io/fs"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestSchemasAreTheSame compares what both sets of migrations make: tables,
// columns with their types, keys and defaults, and indexes.
func TestSchemasAreTheSame(t *testing.T) {
	t.Parallel()
	if diff := cmp.Diff(files(t, sqliteDir), files(t, postgresDir)); diff != "" {
		t.Errorf("migrations (-SQLite +PostgreSQL):\n%s", diff)
	}
	var shapes [2][]string
	for i, at := range places() {
		s := at.fresh(t).open(t)
		query := sqliteShape
		if at.postgres() {
			query = postgresShape
		}
		shape, err := strs[string](s.queries, t.Context(), query)
		if err != nil {
			t.Fatal(err)
		}
		slices.Sort(shape)
		shapes[i] = shape
	}
	if len(shapes[0]) < 100 {
		t.Errorf("only %d columns and indexes were found", len(shapes[0]))
	}
	if diff := cmp.Diff(shapes[0], shapes[1]); diff != "" {
		t.Errorf("schemas (-SQLite +PostgreSQL):\n%s", diff)
	}
}

func files(t *testing.T, dir string) []string {
	t.Helper()
	names, err := fs.Glob(migrations, dir+"/*.sql")
	if err != nil {
		t.Fatal(err)
	}
	for i, name := range names {
		names[i] = strings.TrimPrefix(name, dir)
	}
	return names
}

// table.column type not-null default, and index on table: columns.
const (
	sqliteShape = `SELECT m.name || '.' || c.name || ' ' || lower(c.type)
			|| CASE WHEN c."notnull" = 1 OR c.pk > 0 THEN ' not null' ELSE '' END || CASE WHEN c.dflt_value IS NULL THEN '' ELSE ' default' END
		FROM sqlite_schema m JOIN pragma_table_info(m.name) c WHERE m.type = 'table' AND m.name NOT LIKE 'sqlite_%' AND m.name <> 'goose_db_version'
		UNION ALL SELECT m.name || ' on ' || m.tbl_name || CASE WHEN l."unique" = 1 THEN ' unique' ELSE '' END || CASE WHEN l.partial = 1 THEN ' partial' ELSE '' END || ': '
			|| (SELECT group_concat(name, ', ') FROM (SELECT i.name FROM pragma_index_info(m.name) i ORDER BY i.seqno))
		FROM sqlite_schema m JOIN pragma_index_list(m.tbl_name) l ON l.name = m.name WHERE m.type = 'index' AND m.sql IS NOT NULL`
	postgresShape = `SELECT table_name || '.' || column_name || ' ' || CASE data_type WHEN 'bigint' THEN 'integer' WHEN 'bytea' THEN 'blob' ELSE data_type END
			|| CASE WHEN data_type = 'text' AND coalesce(collation_name, '') <> 'C' THEN ' collation' ELSE '' END
			|| CASE is_nullable WHEN 'NO' THEN ' not null' ELSE '' END || CASE WHEN column_default IS NULL THEN '' ELSE ' default' END
		FROM information_schema.columns WHERE table_schema = current_schema() AND table_name <> 'goose_db_version'
		UNION ALL SELECT c.relname || ' on ' || t.relname || CASE WHEN i.indisunique THEN ' unique' ELSE '' END || CASE WHEN i.indpred IS NULL THEN '' ELSE ' partial' END || ': '
			|| (SELECT string_agg(a.attname, ', ' ORDER BY a.attnum) FROM pg_attribute a WHERE a.attrelid = c.oid)
		FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_class t ON t.oid = i.indrelid JOIN pg_namespace n ON n.oid = t.relnamespace
		WHERE n.nspname = current_schema() AND NOT EXISTS (SELECT 1 FROM pg_constraint k WHERE k.conindid = c.oid)`
)

func TestTextsForPostgres(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, query string
		args        []any
		want        string
	}{
		{"by order", `SELECT a FROM t WHERE b = ? AND c = ?`, []any{"x", 1}, `SELECT a FROM t WHERE b = $1::text AND c = $2::bigint`},
		{"by number", `SELECT ?2, ?1, ?2`, []any{[]byte{1}, true}, `SELECT $2::bigint, $1::bytea, $2::bigint`},
		{"two digits", `SELECT ?10`, []any{1, 1, 1, 1, 1, 1, 1, 1, 1, "x"}, `SELECT $10::text`},
		{"in quotes", `SELECT '?', 'it''s ?', "?" WHERE a = ?`, []any{sql.NullInt64{}}, `SELECT '?', 'it''s ?', "?" WHERE a = $1::bigint`},
		{"named types", `SELECT ?, ?`, []any{Absent, (*int64)(nil)}, `SELECT $1::bigint, $2::bigint`},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			var x texts
			for range 2 { // the second time it is known
				if got, _, err := x.translate(c.query, c.args); got != c.want || err != nil {
					t.Errorf("got %q, %v, want %q", got, err, c.want)
				}
			}
		})
	}
	var x texts
	for query, args := range map[string][]any{`SELECT ?`: {}, `SELECT ?2`: {1}, `SELECT ?, 'open`: {1}, `SELECT ?, 1`: {nil}} {
		if got, _, err := x.translate(query, args); err == nil {
			t.Errorf("%s became %q", query, got)
		}
	}
}

// Texts that no client should send, and some do: what is stored is what is
// hashed, and what was stored is found again.
func TestTextsThatAreNone(t *testing.T) {
	t.Parallel()
	for _, at := range places() {
		t.Run(at.name, func(t *testing.T) {
			t.Parallel()
			s := at.fresh(t).open(t)
			const odd = "a\x00b\xffc"
			must(t, s, func(ctx context.Context, tx *Tx) error {
				if _, err := tx.AddGroup(ctx, odd, odd); err != nil {
					return err
				}
				return tx.TouchAccess(ctx)
			})
			if g, err := s.Group(t.Context(), odd); err != nil {
				t.Errorf("%+v, %v", g, err)
			}
			err := s.Update(t.Context(), Options{Durable: true}, func(ctx context.Context, tx *Tx) error {
				return tx.Record(ctx, AuditRecord{Action: "group.add", Detail: map[string]string{"name": odd}, Tag: "t"})
			})
			if err != nil {
				t.Fatal(err)
			}
			wantChains(t, s, 1)
		})
	}
}
