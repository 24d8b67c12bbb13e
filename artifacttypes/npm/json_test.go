package npm

import (
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/packhouse/packhouse/registry"
)

func TestFields(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		doc  string
		want map[string]string // nil for no object
	}{
		{`{}`, map[string]string{}},
		{` { "a" : 1 , "b":{"c":[1,"}"]},"d":"x\"}" } `, map[string]string{"a": "1", "b": `{"c":[1,"}"]}`, "d": `"x\"}"`}},
		{`{"a\u0062":true,"n":null,"e":[]}`, map[string]string{"ab": "true", "n": "null", "e": "[]"}},
		{`{"a":-1.5e3}`, map[string]string{"a": "-1.5e3"}},
		{`{"a":"\\"}`, map[string]string{"a": `"\\"`}},
		{`[]`, nil},
		{`"x"`, nil},
		{`1`, nil},
	} {
		o, ok := fields([]byte(test.doc))
		got := map[string]string{}
		for _, m := range o {
			got[m.Key] = string(m.Value)
		}
		if !ok {
			got = nil
		}
		if diff := cmp.Diff(test.want, got); diff != "" {
			t.Errorf("fields(%s): %s", test.doc, diff)
		}
	}
}

func TestObject(t *testing.T) {
	t.Parallel()
	o, _ := fields([]byte(`{"a":1,"b":2,"c":"<&>"}`))
	o.set("b", json.RawMessage("3"))
	o.set("d", quote("é\n"))
	o.remove("a")
	if got, want := string(o.raw()), `{"b":3,"c":"<&>","d":"é\n"}`; got != want {
		t.Errorf("raw = %s, want %s", got, want)
	}
	if got := o.get("a"); got != nil {
		t.Errorf("get of what was removed = %s", got)
	}
}

func TestCheckJSON(t *testing.T) {
	t.Parallel()
	deep := func(n int) string { return strings.Repeat("[", n) + strings.Repeat("]", n) }
	var many strings.Builder
	for i := range maxFields + 1 {
		many.WriteString(`,{"k":` + strings.Repeat("1", i%3+1) + `}`)
	}
	for _, test := range []struct{ name, doc, want string }{
		{"plain", `{"a":[{"b":1},{"b":2}],"c":{"b":1e308}}`, ""},
		{"depth at the limit", deep(maxDepth), ""},
		{"depth", deep(maxDepth + 1), "nested deeper"},
		{"very deep", deep(1 << 20), "not valid JSON"},
		{"twice", `{"a":1,"b":{"x":1,"y":2,"x":3}}`, `the key "x" twice`},
		{"twice by an escape", `{"ab":1,"a\u0062":2}`, `the key "ab" twice`},
		{"not UTF-8", "{\"a\":\"\xff\"}", "UTF-8"},
		{"comment", `{"a":1 /* x */}`, "not valid JSON"},
		{"trailing comma", `{"a":1,}`, "not valid JSON"},
		{"number too large", `{"a":1e999}`, "too large"},
		{"number too long", `{"a":` + strings.Repeat("1", 101) + `}`, "digits"},
		{"too many fields", "[" + many.String()[1:] + "]", "fields"},
		{"empty", ``, "not valid JSON"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			err := checkJSON("package.json", []byte(test.doc))
			if test.want == "" && err != nil || test.want != "" && (err == nil || !strings.Contains(sentence(err), test.want)) {
				t.Errorf("checkJSON = %v, want %q", err, test.want)
			}
			if err != nil && registry.Public(err).Code != registry.ManifestInvalid {
				t.Errorf("code %s", registry.Public(err).Code)
			}
		})
	}
}

// FuzzFields: on valid JSON the walk finds what encoding/json finds.
func FuzzFields(f *testing.F) {
	for _, seed := range []string{`{}`, `{"a":{"b":"}"},"c":[1,2,{"d":null}]}`, `{"a\"b":"\\","é":"\ud83d\ude00"}`, ` [ 1 , "x" ] `, `"a"`, `-1e5`} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, doc string) {
		if !json.Valid([]byte(doc)) || !utf8.ValidString(doc) {
			if checkJSON("it", []byte(doc)) == nil {
				t.Fatalf("%q passes and is no JSON", doc)
			}
			return
		}
		_ = checkJSON("it", []byte(doc)) // must end
		var want map[string]json.RawMessage
		isObject := json.Unmarshal([]byte(doc), &want) == nil && want != nil
		o, ok := fields([]byte(doc))
		if ok != isObject {
			t.Fatalf("%q is an object: %v, encoding/json says %v", doc, ok, isObject)
		}
		for _, m := range o {
			if got := o.get(m.Key); string(compact(got)) != string(compact(want[m.Key])) {
				t.Errorf("%q: %q is %s, want %s", doc, m.Key, got, want[m.Key])
			}
		}
		if ok && !json.Valid(o.raw()) {
			t.Errorf("%q is written as %s", doc, o.raw())
		}
		if list, ok := elements([]byte(doc)); ok {
			for _, e := range list {
				if !json.Valid(e) {
					t.Errorf("%q has the element %q", doc, e)
				}
			}
		}
	})
}
