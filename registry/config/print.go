package config

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"

	"go.yaml.in/yaml/v3"
)

// YAML renders c as a configuration file that Load accepts, each key under its
// documentation; what may be a secret is hidden.
func (c Config) YAML() ([]byte, error) {
	var doc yaml.Node
	if err := doc.Encode(c); err != nil {
		return nil, fmt.Errorf("encode configuration: %w", err)
	}
	comment(&doc, reflect.TypeFor[Config]())
	var out bytes.Buffer
	enc := yaml.NewEncoder(&out)
	enc.SetIndent(2)
	if err := enc.Encode(&doc); err != nil {
		return nil, fmt.Errorf("encode configuration: %w", err)
	}
	return out.Bytes(), nil
}

func comment(n *yaml.Node, section reflect.Type) {
	for i, f := range fieldsOf(section) {
		n.Content[2*i].HeadComment = f.doc
		if isSection(f.typ) {
			comment(n.Content[2*i+1], f.typ)
		}
	}
}

// Schema returns the JSON Schema (draft 2020-12) of the configuration file,
// for editors.
func Schema() ([]byte, error) {
	s, err := sectionSchema(reflect.ValueOf(Default()))
	if err != nil {
		return nil, err
	}
	s["$schema"] = "https://json-schema.org/draft/2020-12/schema"
	s["title"] = "Packhouse configuration"
	out, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("encode schema: %w", err)
	}
	return append(out, '\n'), nil
}

func sectionSchema(section reflect.Value) (map[string]any, error) {
	properties := map[string]any{}
	for _, f := range fieldsOf(section.Type()) {
		v := section.Field(f.index)
		s, err := keySchema(v)
		if err != nil {
			return nil, fmt.Errorf("schema of %s: %w", f.key, err)
		}
		s["description"] = f.doc
		properties[f.key] = s
	}
	return map[string]any{"type": "object", "additionalProperties": false, "properties": properties}, nil
}

func keySchema(v reflect.Value) (map[string]any, error) {
	if isSection(v.Type()) {
		return sectionSchema(v)
	}
	s := map[string]any{}
	switch t := v.Type(); {
	case t == reflect.TypeFor[Bytes]():
		s["type"], s["pattern"] = []string{"string", "integer"}, `^[0-9]+ ?([KMGT]iB|B)?$`
	case t == reflect.TypeFor[Duration]():
		s["type"], s["pattern"] = "string", `^([0-9]+d|0|([0-9.]+(ms|s|m|h))+)$`
	case t == reflect.TypeFor[Secret]():
		s["type"], s["writeOnly"] = "string", true // by which the chart knows what belongs in a Secret
	case t.Kind() == reflect.String:
		s["type"] = "string"
	case t.Kind() == reflect.Bool:
		s["type"] = "boolean"
	case t.Kind() == reflect.Int:
		s["type"] = "integer"
	case t.Kind() == reflect.Slice:
		s["type"], s["items"] = "array", map[string]any{"type": "string"}
	case t.Kind() == reflect.Map:
		s["type"] = "object"
	default:
		return nil, fmt.Errorf("no schema for %s", t)
	}
	if !v.IsZero() {
		s["default"] = v.Interface()
	}
	return s, nil
}
