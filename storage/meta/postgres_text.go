package meta

import (
	"database/sql"
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"sync"
	"unicode/utf8"
)

// texts are statements as PostgreSQL takes them, by our own.
type texts struct{ known sync.Map } // string → string

// translate rewrites a statement's parameters, ? and ?1, as $1::type, and its
// arguments as values of these types.
func (t *texts) translate(query string, args []any) (string, []any, error) {
	values := make([]any, len(args))
	types := make([]string, len(args))
	for i, a := range args {
		var err error
		if values[i], types[i], err = postgresValue(a); err != nil {
			return "", nil, fmt.Errorf("argument %d of %q: %w", i+1, query, err)
		}
	}
	if text, ok := t.known.Load(query); ok {
		return text.(string), values, nil
	}
	text, err := postgresText(query, types)
	if err == nil {
		t.known.Store(query, text)
	}
	return text, values, err
}

// postgresValue is what a value of ours is for PostgreSQL, and its type there.
func postgresValue(a any) (value any, typ string, err error) {
	switch v := a.(type) {
	case string:
		return postgresString(v), "text", nil
	case sql.NullString:
		if !v.Valid {
			return nil, "text", nil
		}
		return postgresString(v.String), "text", nil
	case int64:
		return v, "bigint", nil
	case int:
		return int64(v), "bigint", nil
	case sql.NullInt64:
		if !v.Valid {
			return nil, "bigint", nil
		}
		return v.Int64, "bigint", nil
	case *int64:
		if v == nil {
			return nil, "bigint", nil
		}
		return *v, "bigint", nil
	case bool:
		if v {
			return int64(1), "bigint", nil
		}
		return int64(0), "bigint", nil
	case []byte:
		return v, "bytea", nil
	}
	switch v := reflect.ValueOf(a); v.Kind() {
	case reflect.String:
		return postgresString(v.String()), "text", nil
	case reflect.Int, reflect.Int64, reflect.Int32:
		return v.Int(), "bigint", nil
	default:
		return nil, "", fmt.Errorf("%T has no type in a database", a)
	}
}

// postgresString is s as PostgreSQL can hold it: without NUL bytes, in UTF-8.
// What clients send as names has passed its grammar; this is for the rest.
func postgresString(s string) string {
	if utf8.ValidString(s) && strings.IndexByte(s, 0) < 0 {
		return s
	}
	return strings.ReplaceAll(strings.ToValidUTF8(s, "\uFFFD"), "\x00", "\uFFFD")
}

// postgresText rewrites the parameters of a statement, of which types has the
// types. Texts and names in quotes stay as they are.
func postgresText(query string, types []string) (string, error) {
	var b strings.Builder
	used := 0
	for i := 0; i < len(query); {
		c := query[i]
		switch c {
		case '\'', '"':
			end := strings.IndexByte(query[i+1:], c) // a doubled quote is two texts in a row
			if end < 0 {
				return "", fmt.Errorf("quote without an end in %q", query)
			}
			b.WriteString(query[i : i+1+end+1])
			i += end + 2
			continue
		case '?':
			digits := i + 1
			for digits < len(query) && query[digits] >= '0' && query[digits] <= '9' {
				digits++
			}
			n := used + 1
			if digits > i+1 {
				n, _ = strconv.Atoi(query[i+1 : digits]) // digits
			}
			if n < 1 || n > len(types) {
				return "", fmt.Errorf("parameter %d of %d in %q", n, len(types), query)
			}
			used = max(used, n)
			fmt.Fprintf(&b, "$%d::%s", n, types[n-1])
			i = digits
			continue
		}
		b.WriteByte(c)
		i++
	}
	return b.String(), nil
}
