package admin

import (
	"reflect"
	"strings"
)

// member is one member of the JSON object that a struct becomes.
type member struct {
	name     string
	typ      reflect.Type
	doc      string   // what it is, for API descriptions
	enum     []string // the only values, nil for any
	optional bool     // left out while it is zero
}

// members lists those of a struct, embedded ones in their place.
func members(t reflect.Type) (list []member) {
	if t.Kind() != reflect.Struct {
		return nil
	}
	for f := range t.Fields() {
		tag := f.Tag.Get("json")
		name, options, _ := strings.Cut(tag, ",")
		switch {
		case f.Anonymous && name == "":
			list = append(list, members(f.Type)...)
		case !f.IsExported() || tag == "-":
		default:
			m := member{name: name, typ: f.Type, doc: f.Tag.Get("doc"), optional: strings.Contains(options, "omit")}
			if name == "" {
				m.name = f.Name
			}
			if values := f.Tag.Get("enum"); values != "" {
				m.enum = strings.Split(values, ",")
			}
			list = append(list, m)
		}
	}
	return list
}
