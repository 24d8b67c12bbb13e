package helm

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"reflect"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"

	"github.com/packhouse/packhouse/artifacttypes"
)

// Limits of one YAML file.
const (
	maxYAML  = 256 << 10 // bytes
	maxDepth = 64
	maxNodes = 50_000 // aliases counted as often as they stand
	maxKey   = 256    // bytes; a YAML reader of an index takes no key of 1024
)

// decodeYAML reads text into v, a pointer to a struct, as Helm does: by way of
// JSON, so that unknown fields do nothing and a case of letters is as good as
// another. What Helm leaves undecided, a field given twice, is refused. It
// returns MANIFEST_INVALID; file is what the text is called in it.
func decodeYAML(file string, text []byte, v any) error {
	if len(text) > maxYAML {
		return artifacttypes.Invalid("%s has %d bytes, the limit is %d", file, len(text), maxYAML)
	}
	if !utf8.Valid(text) {
		return artifacttypes.Invalid("%s is not UTF-8", file)
	}
	var root yaml.Node
	// Only the first document of a stream counts.
	if err := yaml.NewDecoder(bytes.NewReader(text)).Decode(&root); err != nil && !errors.Is(err, io.EOF) {
		return artifacttypes.Invalid("%s is not valid YAML: %s", file, strings.TrimPrefix(err.Error(), "yaml: "))
	}
	if root.Kind == 0 {
		return artifacttypes.Invalid("%s is empty", file)
	}
	c := converter{left: maxNodes}
	value, err := c.value(root.Content[0], reflect.TypeOf(v).Elem(), 0)
	if err != nil {
		return artifacttypes.Invalid("%s: %v", file, err)
	}
	if _, ok := value.(map[string]any); !ok {
		return artifacttypes.Invalid("%s is no mapping of keys to values", file)
	}
	encoded, err := json.Marshal(value)
	if err != nil {
		return artifacttypes.Invalid("%s has a number that JSON cannot hold", file)
	}
	if err := json.Unmarshal(encoded, v); err != nil {
		if e, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
			return artifacttypes.Invalid("%s has a %s in the field %s, where Helm reads a %s", file, e.Value, e.Field, e.Type.Kind())
		}
		return artifacttypes.Invalid("%s cannot be read: %v", file, err)
	}
	return nil
}

// converter makes values of encoding/json out of YAML nodes.
type converter struct{ left int }

// value converts n, which will be decoded into a t; nil where that is not known.
func (c *converter) value(n *yaml.Node, t reflect.Type, depth int) (any, error) {
	if c.left--; c.left < 0 {
		return nil, fmt.Errorf("it has more than %d values", maxNodes)
	}
	if depth > maxDepth {
		return nil, fmt.Errorf("line %d: it is nested more than %d deep", n.Line, maxDepth)
	}
	for t != nil && t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	switch n.Kind {
	case yaml.AliasNode:
		return c.value(n.Alias, t, depth+1)
	case yaml.ScalarNode:
		v, err := scalar(n)
		if t != nil && t.Kind() == reflect.String {
			if s, ok := textOf(v); ok {
				return s, err
			}
		}
		return v, err
	case yaml.SequenceNode:
		list := make([]any, len(n.Content))
		for i, one := range n.Content {
			var err error
			if list[i], err = c.value(one, elem(t, reflect.Slice), depth+1); err != nil {
				return nil, err
			}
		}
		return list, nil
	case yaml.MappingNode:
		return c.mapping(n, t, depth)
	default:
		return nil, fmt.Errorf("line %d: it is no value", n.Line)
	}
}

func (c *converter) mapping(n *yaml.Node, t reflect.Type, depth int) (any, error) {
	m := make(map[string]any, len(n.Content)/2)
	taken := map[string]bool{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		k := n.Content[i]
		if k.Kind == yaml.AliasNode {
			k = k.Alias
		}
		if k.Kind != yaml.ScalarNode {
			return nil, fmt.Errorf("line %d: a key is no text", k.Line)
		}
		v, err := scalar(k)
		if err != nil {
			return nil, err
		}
		key, ok := keyOf(v)
		switch {
		case !ok:
			return nil, fmt.Errorf("line %d: a key is empty or no text", k.Line)
		case key == "<<" && k.Style == 0:
			return nil, fmt.Errorf("line %d: merge keys (<<) are not supported: write out what they bring", k.Line)
		case len(key) > maxKey || printable(key) != key:
			return nil, fmt.Errorf("line %d: a key has more than %d bytes, or characters that cannot be printed", k.Line, maxKey)
		}
		target, field := elem(t, reflect.Map), key
		if t != nil && t.Kind() == reflect.Struct {
			target, field = fieldOf(t, key)
		}
		if taken[field] {
			return nil, fmt.Errorf("line %d: %q is given twice", k.Line, field)
		}
		taken[field] = true
		if m[key], err = c.value(n.Content[i+1], target, depth+1); err != nil {
			return nil, err
		}
	}
	return m, nil
}

// elem is what a t of the given kind holds, nil for another.
func elem(t reflect.Type, kind reflect.Kind) reflect.Type {
	if t == nil || t.Kind() != kind || t.Elem().Kind() == reflect.Interface {
		return nil
	}
	return t.Elem()
}

// fieldOf finds the field that encoding/json puts a key's value into, and its
// name; for none, the key itself.
func fieldOf(t reflect.Type, key string) (reflect.Type, string) {
	for f := range t.Fields() {
		if name, _, _ := strings.Cut(f.Tag.Get("json"), ","); strings.EqualFold(name, key) {
			return f.Type, name
		}
	}
	return nil, key
}

func scalar(n *yaml.Node) (any, error) {
	switch {
	case n.Style&yaml.TaggedStyle != 0 && n.Tag != "!!str":
		return nil, fmt.Errorf("line %d: the tag %.40s is not supported", n.Line, n.Tag)
	case n.Style != 0: // quoted, a block, or said to be text
		return n.Value, nil
	}
	return resolve(n.Value), nil
}
