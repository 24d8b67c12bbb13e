package maven

import (
	"encoding/json"
	"errors"
	"io"
	"unicode/utf8"

	"github.com/packhouse/packhouse/artifacttypes"
)

// module is what a .module file says of the release it belongs to, Gradle
// Module Metadata specification. It is empty where the file is that of a part
// of another component (component.url).
type module struct{ coords }

// parseModule reads a .module file. It returns MANIFEST_INVALID.
func parseModule(name string, r io.Reader, size int64) (*module, error) {
	if size > maxDocument {
		return nil, artifacttypes.Invalid("%s has %d bytes: Gradle module metadata has at most %d", name, size, maxDocument)
	}
	j := &jsonReader{d: json.NewDecoder(r), name: name}
	j.d.UseNumber() // whatever its size
	if err := j.open(); err != nil {
		return nil, err
	}
	var m module
	version, elsewhere, found := "", "", false
	err := j.object(func(key string) (err error) {
		switch key {
		case "formatVersion":
			version, err = j.text()
		case "component":
			found = true
			if err = j.open(); err != nil {
				return err
			}
			return j.object(func(key string) (err error) {
				switch key {
				case "group":
					m.Group, err = j.text()
				case "module":
					m.Artifact, err = j.text()
				case "version":
					m.Version, err = j.text()
				case "url":
					elsewhere, err = j.text()
				default:
					err = j.skip()
				}
				return err
			})
		default:
			err = j.skip()
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	if _, err := j.d.Token(); !errors.Is(err, io.EOF) {
		return nil, artifacttypes.Invalid("%s goes on after its JSON object", name)
	}
	if version == "" || !found || m.Group == "" || m.Artifact == "" || m.Version == "" {
		return nil, artifacttypes.Invalid("%s is not Gradle module metadata: want formatVersion, and component with group, module and version", name)
	}
	if elsewhere != "" {
		return &module{}, nil
	}
	return &m, nil
}

// jsonReader reads a JSON document member by member. The objects that it reads
// have each key once.
type jsonReader struct {
	d     *json.Decoder
	name  string // of the file, for the client
	depth int
}

const maxKeys = 256 // of one object that is read

func (j *jsonReader) token() (json.Token, error) {
	t, err := j.d.Token()
	if err != nil {
		if syntax, ok := errors.AsType[*json.SyntaxError](err); ok || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			if ok {
				return nil, artifacttypes.Invalid("%s is not JSON: at byte %d: %s", j.name, syntax.Offset, clip(syntax.Error()))
			}
			return nil, artifacttypes.Invalid("%s is not JSON: it ends early", j.name)
		}
		return nil, err
	}
	if delim, ok := t.(json.Delim); ok {
		if delim == '{' || delim == '[' {
			j.depth++
		} else {
			j.depth--
		}
		if j.depth > maxDepth {
			return nil, artifacttypes.Invalid("%s nests deeper than %d", j.name, maxDepth)
		}
	}
	return t, nil
}

// open reads the brace that starts an object.
func (j *jsonReader) open() error {
	t, err := j.token()
	if err == nil && t != json.Delim('{') {
		err = artifacttypes.Invalid("%s is not what it should be: want a JSON object", j.name)
	}
	return err
}

// object calls visit with each key of the present object; visit reads the value.
func (j *jsonReader) object(visit func(key string) error) error {
	seen := map[string]bool{}
	for {
		t, err := j.token()
		if err != nil {
			return err
		}
		key, ok := t.(string)
		if !ok {
			return nil // the closing brace
		}
		if seen[key] || len(seen) == maxKeys {
			return artifacttypes.Invalid("%s has the key %q twice, or more than %d keys in one object", j.name, clip(key), maxKeys)
		}
		seen[key] = true
		if err := visit(key); err != nil {
			return err
		}
	}
}

func (j *jsonReader) text() (string, error) {
	t, err := j.token()
	if err != nil {
		return "", err
	}
	s, ok := t.(string)
	if !ok || len(s) > maxText || !utf8.ValidString(s) {
		return "", artifacttypes.Invalid("%s holds something else where a short string is expected", j.name)
	}
	return s, nil
}

// skip reads one value of any kind.
func (j *jsonReader) skip() error {
	depth := j.depth
	for {
		if _, err := j.token(); err != nil {
			return err
		}
		if j.depth == depth {
			return nil
		}
	}
}
