package helm

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/packhouse/packhouse/registry"
)

// What Helm makes of the same text; checked with Helm's own loader.
func TestDecode(t *testing.T) {
	t.Parallel()
	const head = "apiVersion: v2\nname: web\nversion: 1.0.0\n"
	tests := []struct{ name, text, want string }{
		{"least", "name: web\nversion: 1.0.0\n", `{"name":"web","version":"1.0.0","apiVersion":"v1"}`},
		{
			"all fields", head + `
home: https://example.test
sources: [https://example.test/src, "b"]
description: "A <chart> & more"
keywords: [a, 1, true]
maintainers:
- name: Ann
  email: ann@example.test
- url: https://example.test
icon: https://example.test/icon.png
condition: web.enabled
tags: front,back
appVersion: "1.10"
deprecated: true
annotations:
  category: Web
  number: 12
kubeVersion: ">= 1.20.0-0"
type: application
dependencies:
- name: db
  version: ~1.2
  repository: oci://example.test/charts
  condition: db.enabled
  tags: [back]
  enabled: true
  alias: store
  import-values:
  - data
  - child: a
    parent: b
`,
			`{"name":"web","home":"https://example.test","sources":["https://example.test/src","b"],"version":"1.0.0",` +
				`"description":"A \u003cchart\u003e \u0026 more","keywords":["a","1","true"],` +
				`"maintainers":[{"name":"Ann","email":"ann@example.test"},{"url":"https://example.test"}],"icon":"https://example.test/icon.png",` +
				`"apiVersion":"v2","condition":"web.enabled","tags":"front,back","appVersion":"1.10","deprecated":true,` +
				`"annotations":{"category":"Web","number":"12"},"kubeVersion":"\u003e= 1.20.0-0",` +
				`"dependencies":[{"name":"db","version":"~1.2","repository":"oci://example.test/charts","condition":"db.enabled","tags":["back"],` +
				`"enabled":true,"import-values":["data",{"child":"a","parent":"b"}],"alias":"store"}],"type":"application"}`,
		},
		{"numbers are text", "apiVersion: v2\nname: 7\nversion: 1.10\nappVersion: 1.23456789\n", `{"name":"7","version":"1.1","apiVersion":"v2","appVersion":"1.2345679"}`},
		{"words", head + "description: yes\nappVersion: off\nicon: ~\n", `{"name":"web","version":"1.0.0","description":"true","apiVersion":"v2","appVersion":"false"}`},
		{"octal and others", head + "appVersion: 010\ndescription: 0x1f\nhome: 1_000\nicon: 1e3\n", `{"name":"web","home":"1000","version":"1.0.0","description":"31","icon":"1000","apiVersion":"v2","appVersion":"8"}`},
		{"dates", head + "appVersion: 2024-01-02\ndescription: 2024-01-02T03:04:05Z\n", `{"name":"web","version":"1.0.0","description":"2024-01-02T03:04:05Z","apiVersion":"v2","appVersion":"2024-01-02"}`},
		{"letters of any case", "Name: web\nVERSION: 1.0.0\napiversion: v2\n", `{"name":"web","version":"1.0.0","apiVersion":"v2"}`},
		{"unknown fields", head + "nonsense: {a: [1, 2]}\n", `{"name":"web","version":"1.0.0","apiVersion":"v2"}`},
		{"not printable", head + "description: \"a\\tb\\u200bc\\nd\"\n", `{"name":"web","version":"1.0.0","description":"a bc d","apiVersion":"v2"}`},
		{"alias", head + "description: &d text\nhome: *d\n", `{"name":"web","home":"text","version":"1.0.0","description":"text","apiVersion":"v2"}`},
		{"first document", head + "---\nname: other\n", `{"name":"web","version":"1.0.0","apiVersion":"v2"}`},
		{"loose versions", "name: web\nversion: v1.2\napiVersion: v2\n", `{"name":"web","version":"v1.2","apiVersion":"v2"}`},
		{"quoted", head + `appVersion: "yes"` + "\n", `{"name":"web","version":"1.0.0","apiVersion":"v2","appVersion":"yes"}`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var m metadata
			if err := decodeYAML(chartFile, []byte(tt.text), &m); err != nil {
				t.Fatal(err)
			}
			if err := m.check(); err != nil {
				t.Fatal(err)
			}
			got, err := json.Marshal(m)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, string(got)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestDecodeRefuses(t *testing.T) {
	t.Parallel()
	const head = "apiVersion: v2\nname: web\nversion: 1.0.0\n"
	tests := []struct{ name, text, want string }{
		{"empty", "", "Chart.yaml is empty"},
		{"comment", "# nothing\n", "Chart.yaml is empty"},
		{"no mapping", "- a\n", "Chart.yaml is no mapping of keys to values"},
		{"no name", "version: 1.0.0\n", "Chart.yaml has no name"},
		{"no version", "name: web\n", "Chart.yaml has no version"},
		{"version", "name: web\nversion: newest\n", `Chart.yaml has version "newest", which is no semantic version such as 1.2.3`},
		{"huge version", "name: web\nversion: 99999999999999999999.0.0\n", `Chart.yaml has version "99999999999999999999.0.0", which is no semantic version such as 1.2.3`},
		{"name leads out", "name: ../web\nversion: 1.0.0\n", `"../web" cannot be a part of a path: use 1 to 255 bytes of text without slashes, and not '.' or '..'`},
		{"type", head + "type: plugin\n", `Chart.yaml has type "plugin": it must be application or library`},
		{"maintainer", head + "maintainers: [null]\n", "Chart.yaml has an empty element in maintainers"},
		{"dependency", head + "dependencies: [~]\n", "Chart.yaml has an empty element in dependencies"},
		{"dependency twice", head + "dependencies: [{name: a}, {name: b, alias: a}]\n", `Chart.yaml has two dependencies called "a": give one an alias`},
		{"alias of a dependency", head + "dependencies: [{name: a, alias: a/b}]\n", `Chart.yaml has the dependency alias "a/b": it may contain letters, digits, '_' and '-'`},
		{"list for text", head + "description: [a]\n", "Chart.yaml has a array in the field description, where Helm reads a string"},
		{"text for truth", head + "deprecated: \"yes\"\n", "Chart.yaml has a string in the field deprecated, where Helm reads a bool"},
		{"given twice", head + "name: other\n", `Chart.yaml: line 4: "name" is given twice`},
		{"given twice in another case", head + "Name: other\n", `Chart.yaml: line 4: "name" is given twice`},
		{"annotation twice", head + "annotations: {a: 1, a: 2}\n", `Chart.yaml: line 4: "a" is given twice`},
		{"not UTF-8", head + "description: \xff\n", "Chart.yaml is not UTF-8"},
		{"not YAML", head + "\tdescription: a\n", "Chart.yaml is not valid YAML: line 3: found a tab character that violates indentation"},
		{"merge", "a: &a {name: other}\n" + head + "<<: *a\n", "Chart.yaml: line 5: merge keys (<<) are not supported: write out what they bring"},
		{"tag", head + "description: !!binary aGk=\n", "Chart.yaml: line 4: the tag !!binary is not supported"},
		{"key of a list", head + "[a]: b\n", "Chart.yaml: line 4: a key is no text"},
		{"key of nothing", head + "~: b\n", "Chart.yaml: line 4: a key is empty or no text"},
		{"long key", head + strings.Repeat("k", 257) + ": b\n", "Chart.yaml: line 4: a key has more than 256 bytes, or characters that cannot be printed"},
		{"infinite", head + "dependencies: [{name: a, import-values: [.inf]}]\n", "Chart.yaml has a number that JSON cannot hold"},
		{"deep", head + "x: " + strings.Repeat("[", 70) + strings.Repeat("]", 70) + "\n", "Chart.yaml: line 4: it is nested more than 64 deep"},
		{"large", head + "# " + strings.Repeat("x", maxYAML) + "\n", "Chart.yaml has 262187 bytes, the limit is 262144"},
		{"bomb of aliases", head + bomb(), "Chart.yaml: it has more than 50000 values"},
		{"alias of itself", head + "x: &a [*a]\n", "Chart.yaml: line 4: it is nested more than 64 deep"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var m metadata
			err := decodeYAML(chartFile, []byte(tt.text), &m)
			if err == nil {
				err = m.check()
			}
			e, ok := errors.AsType[*registry.Error](err)
			if !ok || e.Code != registry.ManifestInvalid {
				t.Fatalf("got %v, want MANIFEST_INVALID", err)
			}
			if diff := cmp.Diff(tt.want, e.Message); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// bomb is nine lists of nine aliases, each of the one before.
func bomb() string {
	text := "a: &a [x,x,x,x,x,x,x,x,x]\n"
	for c := 'b'; c < 'j'; c++ {
		before := "*" + string(c-1)
		text += string(c) + ": &" + string(c) + " [" + strings.TrimSuffix(strings.Repeat(before+",", 9), ",") + "]\n"
	}
	return text
}

// FuzzDecode: what is accepted is a legal name and version, and says the same
// when it is read again from its JSON.
func FuzzDecode(f *testing.F) {
	f.Add([]byte("apiVersion: v2\nname: web\nversion: 1.0.0\nannotations: {a: 010, b: &x [1], c: *x}\n"))
	f.Add([]byte("name: {a: b}\nversion: .5\n---\n"))
	f.Add([]byte(bomb()))
	f.Fuzz(func(t *testing.T, text []byte) {
		var m metadata
		err := decodeYAML(chartFile, text, &m)
		if err == nil {
			err = m.check()
		}
		if err != nil {
			if !errors.Is(err, registry.ManifestInvalid) {
				t.Fatalf("error %v", err)
			}
			return
		}
		if _, err := (Format{}).Repository(m.Name); err != nil {
			t.Error(err)
		}
		if _, err := (Format{}).Tag(m.Version); err != nil {
			t.Error(err)
		}
		first, err := json.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		var again metadata
		if err := decodeYAML(chartFile, first, &again); err != nil {
			return // longer by its escapes, or with a key that YAML reads as another
		}
		_ = again.check()
		if second, err := json.Marshal(again); err != nil || string(second) != string(first) {
			t.Errorf("%s\nread again is\n%s, %v", first, second, err)
		}
	})
}
