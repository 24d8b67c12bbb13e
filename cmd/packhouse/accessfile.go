package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/packhouse/packhouse/registry"
	"github.com/packhouse/packhouse/registry/admin"
)

// accessFile is a file for packhouse apply, with what it takes to tell in which
// line something is wrong.
type accessFile struct {
	name   string
	root   yaml.Node
	access admin.AccessFile
}

// maxAccessFile is more than anybody wrote by hand.
const maxAccessFile = 16 << 20

func readAccessFile(file string, stdin io.Reader) (accessFile, error) {
	f := accessFile{name: file}
	var content []byte
	var err error
	if file == "-" {
		f.name = "standard input"
		content, err = io.ReadAll(io.LimitReader(stdin, maxAccessFile))
	} else {
		content, err = os.ReadFile(file)
	}
	if err != nil {
		return f, fmt.Errorf("read the file: %w", err)
	}
	if err := yaml.Unmarshal(content, &f.root); err != nil {
		return f, f.problems(err)
	}
	dec := yaml.NewDecoder(bytes.NewReader(content))
	dec.KnownFields(true)
	if err := dec.Decode(&f.access); err != nil && !errors.Is(err, io.EOF) {
		return f, f.problems(err)
	}
	if err := dec.Decode(new(yaml.Node)); !errors.Is(err, io.EOF) {
		return f, fmt.Errorf("%s has more than one document", f.name)
	}
	return f, nil
}

var (
	yamlLine    = regexp.MustCompile(`^(?:yaml: )?line (\d+): `)
	yamlUnknown = regexp.MustCompile(`field (\S+) not found in type \S+`)
	yamlType    = regexp.MustCompile("cannot unmarshal !!\\w+(?: `(.*)`)? into \\S+")
	yamlTwice   = regexp.MustCompile(`mapping key "(.*)" already defined at line (\d+)`)
)

// problems says each problem of a file by its line, without the decoder's own
// words for types.
func (f *accessFile) problems(err error) error {
	texts := []string{err.Error()}
	if list, ok := errors.AsType[*yaml.TypeError](err); ok {
		texts = list.Errors
	}
	for i, text := range texts {
		text = yamlLine.ReplaceAllString(text, f.name+":$1: ")
		text = yamlUnknown.ReplaceAllString(text, `unknown key "$1"`)
		text = yamlType.ReplaceAllString(text, `"$1" is of the wrong kind`)
		text = yamlTwice.ReplaceAllString(text, `"$1" is there twice, first in line $2`)
		texts[i] = text
	}
	return errors.New(strings.Join(texts, "\n"))
}

// pathSegment is one step of "namespaces[2].grants[0]".
var pathSegment = regexp.MustCompile(`^(\w+)(?:\[(\d+)\])?$`)

// locate puts the line before the message of an error that is about a place of
// the file.
func (f *accessFile) locate(e *registry.Error) error {
	at, rest, ok := strings.Cut(e.Message, ": ")
	node := &f.root
	if node.Kind == yaml.DocumentNode && len(node.Content) > 0 {
		node = node.Content[0]
	}
	for segment := range strings.SplitSeq(at, ".") {
		m := pathSegment.FindStringSubmatch(segment)
		if node = member(node, m); node == nil {
			ok = false
			break
		}
	}
	if !ok {
		return e
	}
	out := *e
	out.Message = fmt.Sprintf("%s:%d: %s", f.name, node.Line, rest)
	return &out
}

// member follows one step into a mapping, nil where there is none.
func member(node *yaml.Node, step []string) *yaml.Node {
	if step == nil || node.Kind != yaml.MappingNode {
		return nil
	}
	for i := 0; i+1 < len(node.Content); i += 2 {
		if node.Content[i].Value != step[1] {
			continue
		}
		found := node.Content[i+1]
		if step[2] == "" {
			return found
		}
		n, err := strconv.Atoi(step[2])
		if err != nil || found.Kind != yaml.SequenceNode || n >= len(found.Content) {
			return nil
		}
		return found.Content[n]
	}
	return nil
}
