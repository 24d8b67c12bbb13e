package admin

import (
	"encoding"
	"encoding/json"
	"fmt"
	"path"
	"reflect"
	"strings"
	"time"
)

// schemas collects the JSON schemas of the table's types: each struct once,
// under its name.
type schemas struct {
	all   object
	types map[string]reflect.Type
	err   error
}

func ref(name string) object { return object{"$ref": "#/components/schemas/" + name} }

// of returns the schema of a type. What types are used is decided here, by the
// table's author: another kind is an error of the document.
func (s *schemas) of(t reflect.Type) object {
	switch {
	case t == reflect.TypeFor[time.Time]():
		return object{"type": "string", "format": "date-time"}
	case t == reflect.TypeFor[json.RawMessage](), t.Kind() == reflect.Interface:
		return object{}
	case t.Implements(reflect.TypeFor[encoding.TextMarshaler]()):
		return object{"type": "string"}
	}
	switch t.Kind() {
	case reflect.Pointer:
		return s.of(t.Elem())
	case reflect.String:
		return object{"type": "string"}
	case reflect.Bool:
		return object{"type": "boolean"}
	case reflect.Int, reflect.Int64:
		return object{"type": "integer", "format": "int64"}
	case reflect.Slice:
		return object{"type": "array", "items": s.of(t.Elem())}
	case reflect.Map:
		return object{"type": "object", "additionalProperties": s.of(t.Elem())}
	case reflect.Struct:
		return s.add(schemaName(t), t)
	default:
		s.err = fmt.Errorf("describe the API: no schema for a %s", t)
		return object{}
	}
}

// add names the schema of a struct.
func (s *schemas) add(name string, t reflect.Type) object {
	if known := s.types[name]; known != nil {
		if known != t {
			s.err = fmt.Errorf("describe the API: both %s and %s would be %q", known, t, name)
		}
		return ref(name)
	}
	s.types[name] = t
	properties, required := object{}, []string{}
	for _, m := range members(t) {
		properties[m.name] = m.describe(s.of(m.typ))
		if !m.optional {
			required = append(required, m.name)
		}
	}
	schema := object{"type": "object", "properties": properties}
	if len(required) > 0 {
		schema["required"] = required
	}
	s.all[name] = schema
	return ref(name)
}

// describe adds what a member's tags say to the schema of its type; beside a
// reference OpenAPI 3.1 allows it.
func (m member) describe(schema object) object {
	if m.doc != "" {
		schema["description"] = m.doc
	}
	return m.limit(schema)
}

func (m member) limit(schema object) object {
	if m.enum != nil {
		schema["enum"] = m.enum
	}
	return schema
}

// schemaName is a type's name; that of another package stands before it.
func schemaName(t reflect.Type) string {
	if t.PkgPath() == reflect.TypeFor[Problem]().PkgPath() {
		return t.Name()
	}
	other := path.Base(t.PkgPath())
	return strings.ToUpper(other[:1]) + other[1:] + t.Name()
}
