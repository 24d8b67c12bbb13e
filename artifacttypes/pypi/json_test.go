package pypi

import (
	"encoding/json"
	"strings"
	"testing"
)

func TestCheckJSON(t *testing.T) {
	t.Parallel()
	for _, body := range []string{`{}`, `[]`, `1`, `{"a":{"a":[{"a":1},{"a":2}]}}`, strings.Repeat("[", 64) + strings.Repeat("]", 64), " null "} {
		if err := checkJSON([]byte(body)); err != nil {
			t.Errorf("%s: %v", body, err)
		}
	}
	for body, want := range map[string]string{
		"":                      "ends early",
		"{":                     "ends early",
		`{"a":1,}`:              "ends early",
		`{"a":1} {}`:            "something follows",
		`{"a":1,"a":2}`:         "twice",
		`{"a":1,"A":2}`:         "twice", // encoding/json takes either for the other
		`{"s":1,"\u017f":2}`:    "twice",
		`[{"x":{"b":1,"b":1}}]`: "twice",
		"\"\xff\"":              "UTF-8",
		strings.Repeat("[", 65) + strings.Repeat("]", 65): "nested",
		strings.Repeat(`{"a":`, 1_000_000):                "nested",
	} {
		if err := checkJSON([]byte(body)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.40s: %v, want an error with %q", body, err, want)
		}
	}
}

// FuzzJSON: what is accepted is JSON to the standard library, too.
func FuzzJSON(f *testing.F) {
	for _, body := range []string{`{"a":[1,{"b":null}]}`, `{"a":1,"A":1}`, "[[[", `"\u0000"`} {
		f.Add([]byte(body))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		if checkJSON(body) == nil && !json.Valid(body) {
			t.Errorf("%q is not JSON", body)
		}
	})
}
