package config

import (
	"encoding"
	"fmt"
	"reflect"
	"strings"

	"go.yaml.in/yaml/v3"
)

// field is one key of a section, found by its tag.
type field struct {
	key   string
	doc   string
	index int
	typ   reflect.Type
}

func fieldsOf(section reflect.Type) []field {
	var list []field
	for i := range section.NumField() {
		f := section.Field(i)
		list = append(list, field{key: f.Tag.Get("yaml"), doc: f.Tag.Get("doc"), index: i, typ: f.Type})
	}
	return list
}

func find(section reflect.Type, key string) (field, bool) {
	for _, f := range fieldsOf(section) {
		if f.key == key {
			return f, true
		}
	}
	return field{}, false
}

// isSection tells a struct of keys from a struct that is one value.
func isSection(t reflect.Type) bool {
	return t.Kind() == reflect.Struct && !reflect.PointerTo(t).Implements(reflect.TypeFor[encoding.TextUnmarshaler]())
}

// allKeys lists the dotted keys below section; those of sections themselves too.
func allKeys(section reflect.Type, prefix string) []string {
	var keys []string
	for _, f := range fieldsOf(section) {
		keys = append(keys, prefix+f.key)
		if isSection(f.typ) {
			keys = append(keys, allKeys(f.typ, prefix+f.key+".")...)
		}
	}
	return keys
}

// unknownKey says what was meant: the nearest key, weighing a key in the right
// section and one by its last word alike.
func unknownKey(key string) error {
	best, distance := "", len(key)+1
	last := key[strings.LastIndexByte(key, '.')+1:]
	for _, k := range allKeys(reflect.TypeFor[Config](), "") {
		d := editDistance(key, k)
		if tail := k[strings.LastIndexByte(k, '.')+1:]; tail != k || last != key {
			d = min(d, editDistance(last, tail)+1)
		}
		if d < distance {
			best, distance = k, d
		}
	}
	if distance > max(2, len(last)/2) {
		return fmt.Errorf("unknown key %q: `packhouse config schema` lists all keys", key)
	}
	return fmt.Errorf("unknown key %q: the nearest known key is %q", key, best)
}

// editDistance is Levenshtein's, in one row.
func editDistance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}

// setText sets the value at a dotted key from text, as flags and the
// environment give it. Lists are comma-separated.
func setText(c *Config, key, text string) error {
	v := reflect.ValueOf(c).Elem()
	for rest := key; ; {
		name, tail, more := strings.Cut(rest, ".")
		f, ok := find(v.Type(), name)
		if !ok {
			return unknownKey(key)
		}
		v = v.Field(f.index)
		switch {
		case more && v.Type() == reflect.TypeFor[Params]():
			return setParam(v.Addr().Interface().(*Params), tail, text)
		case more && v.Type() == reflect.TypeFor[Settings]():
			return v.Addr().Interface().(*Settings).set(tail, text)
		case more && isSection(f.typ):
			rest = tail
			continue
		case more:
			return unknownKey(key)
		case isSection(f.typ), f.typ.Kind() == reflect.Map:
			return fmt.Errorf("%q is a section, not a value: set one of its keys", key)
		}
		return setLeaf(v, key, textNode(f.typ, text))
	}
}

func setParam(p *Params, name, text string) error {
	if *p == nil {
		*p = Params{}
	}
	(*p)[name] = text
	return nil
}

func textNode(t reflect.Type, text string) *yaml.Node {
	if t.Kind() != reflect.Slice {
		return scalar(t, text)
	}
	list := &yaml.Node{Kind: yaml.SequenceNode, Tag: "!!seq"}
	for item := range strings.SplitSeq(text, ",") {
		if item = strings.TrimSpace(item); item != "" {
			list.Content = append(list.Content, scalar(t.Elem(), item))
		}
	}
	return list
}

// scalar keeps text a string where a string is wanted ("5000", "true"), and
// lets YAML resolve it elsewhere.
func scalar(t reflect.Type, text string) *yaml.Node {
	n := &yaml.Node{Kind: yaml.ScalarNode, Value: text}
	if t.Kind() == reflect.String {
		n.Tag = "!!str"
	}
	return n
}

// setLeaf decodes one value. Errors name the key and what is wanted.
func setLeaf(v reflect.Value, key string, n *yaml.Node) error {
	if u, ok := reflect.TypeAssert[encoding.TextUnmarshaler](v.Addr()); ok {
		if n.Kind != yaml.ScalarNode {
			return fmt.Errorf("%s: want one value, not a list or section", key)
		}
		if err := u.UnmarshalText([]byte(n.Value)); err != nil {
			return fmt.Errorf("%s: %w", key, err)
		}
		return nil
	}
	if v.Kind() == reflect.Slice {
		return setList(v, key, n)
	}
	if v.Kind() != reflect.Map && n.Kind != yaml.ScalarNode {
		return fmt.Errorf("%s: want %s", key, wanted(v.Type()))
	}
	if err := n.Decode(v.Addr().Interface()); err != nil {
		if v.Kind() == reflect.Map { // it may be a secret in the wrong place
			return fmt.Errorf("%s: want %s", key, wanted(v.Type()))
		}
		return fmt.Errorf("%s: %q is not %s", key, n.Value, wanted(v.Type()))
	}
	return nil
}

func setList(v reflect.Value, key string, n *yaml.Node) error {
	if n.Kind != yaml.SequenceNode {
		return fmt.Errorf("%s: want a list: write [%s]", key, n.Value)
	}
	list := reflect.MakeSlice(v.Type(), len(n.Content), len(n.Content))
	for i, item := range n.Content {
		if err := setLeaf(list.Index(i), key, item); err != nil {
			return err
		}
	}
	v.Set(list)
	return nil
}

func wanted(t reflect.Type) string {
	switch t.Kind() { //nolint:exhaustive // the kinds Config uses
	case reflect.Bool:
		return "true or false"
	case reflect.Int:
		return "a whole number"
	case reflect.String:
		return "a text"
	}
	return "a section of keys"
}
