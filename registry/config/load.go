package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"reflect"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Sources are where values come from, weakest first.
type Sources struct {
	File  string            // YAML file, "" for none
	Env   []string          // KEY=VALUE, as os.Environ gives it
	Flags map[string]string // dotted key → value, only those that were given
}

// Load applies the sources over Default and checks the result. Its error
// reports every problem, one per line.
func Load(s Sources) (Config, error) {
	c := Default()
	var problems []error
	if s.File != "" {
		content, err := os.ReadFile(s.File)
		if err != nil {
			return c, fmt.Errorf("read configuration: %w", err)
		}
		problems = append(problems, decode(&c, s.File, content)...)
	}
	problems = append(problems, fromEnv(&c, s.Env)...)
	for _, key := range sortedKeys(s.Flags) {
		if err := setText(&c, key, s.Flags[key]); err != nil {
			problems = append(problems, err)
		}
	}
	// A value that could not be read would be reported twice, by its default.
	if len(problems) == 0 {
		problems = append(problems, c.Check())
	}
	return c, errors.Join(problems...)
}

func sortedKeys(m map[string]string) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// decode reads one YAML document over c.
func decode(c *Config, file string, content []byte) []error {
	dec := yaml.NewDecoder(bytes.NewReader(content))
	var doc yaml.Node
	switch err := dec.Decode(&doc); {
	case errors.Is(err, io.EOF):
		return nil // an empty file sets nothing
	case err != nil:
		return []error{fmt.Errorf("%s: %w", file, err)}
	}
	if dec.Decode(new(yaml.Node)) == nil {
		return []error{fmt.Errorf("%s: holds more than one document: keep the first, remove what follows \"---\"", file)}
	}
	d := decoder{file: file}
	d.section(reflect.ValueOf(c).Elem(), "", doc.Content[0])
	return d.problems
}

type decoder struct {
	file     string
	problems []error
}

func (d *decoder) fail(n *yaml.Node, err error) {
	d.problems = append(d.problems, fmt.Errorf("%s:%d: %w", d.file, n.Line, err))
}

func (d *decoder) section(v reflect.Value, prefix string, n *yaml.Node) {
	if n.Kind == yaml.ScalarNode && n.Tag == "!!null" {
		return // "limits:" with nothing below it
	}
	if n.Kind != yaml.MappingNode {
		d.fail(n, fmt.Errorf("%s: want a section of keys", strings.TrimSuffix(prefix, ".")))
		return
	}
	seen := map[string]bool{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		name, value := n.Content[i], n.Content[i+1]
		key := prefix + name.Value
		f, ok := find(v.Type(), name.Value)
		switch {
		case !ok:
			d.fail(name, unknownKey(key))
		case seen[name.Value]:
			d.fail(name, fmt.Errorf("key %q is set twice", key))
		case value.Kind == yaml.AliasNode:
			d.fail(value, fmt.Errorf("%s: aliases are not supported: write the value out", key))
		case isSection(f.typ):
			d.section(v.Field(f.index), key+".", value)
		default:
			if err := setLeaf(v.Field(f.index), key, value); err != nil {
				d.fail(value, err)
			}
		}
		seen[name.Value] = true
	}
}
