package pypi

import (
	"bytes"
	"encoding/json"
	"io"
	"strings"
	"unicode/utf8"

	"github.com/packhouse/packhouse/artifacttypes"
)

const maxDepth = 64 // of JSON that a client wrote

// checkJSON refuses what two readers could take for different things: invalid
// UTF-8, a key twice in one object, a second value, and what is nested too
// deeply to be meant.
func checkJSON(body []byte) error {
	if !utf8.Valid(body) {
		return artifacttypes.Invalid("not JSON: it is not UTF-8")
	}
	d := json.NewDecoder(bytes.NewReader(body))
	d.UseNumber()
	if err := checkValue(d, 0); err != nil {
		return err
	}
	if _, err := d.Token(); err != io.EOF {
		return artifacttypes.Invalid("not JSON: something follows the value")
	}
	return nil
}

func checkValue(d *json.Decoder, depth int) error {
	token, err := d.Token()
	if err != nil {
		return artifacttypes.Invalid("not JSON: it ends early or is malformed")
	}
	delimiter, nested := token.(json.Delim)
	if !nested {
		return nil
	}
	if depth == maxDepth {
		return artifacttypes.Invalid("the JSON is nested more than %d deep", maxDepth)
	}
	keys := map[string]bool{}
	for d.More() {
		if delimiter == '{' {
			key, err := d.Token()
			name, ok := key.(string)
			if err != nil || !ok {
				return artifacttypes.Invalid("not JSON: it ends early or is malformed")
			}
			folded := strings.ToLower(strings.ToUpper(name)) // as encoding/json takes them for each other
			if keys[folded] {
				return artifacttypes.Invalid("the JSON has the key %q twice in one object", clip(name))
			}
			keys[folded] = true
		}
		if err := checkValue(d, depth+1); err != nil {
			return err
		}
	}
	if _, err := d.Token(); err != nil { // the closing delimiter
		return artifacttypes.Invalid("not JSON: it ends early or is malformed")
	}
	return nil
}
