package maven

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/packhouse/packhouse/registry"
)

func parseModuleText(text string) (*module, error) {
	return parseModule("a.module", strings.NewReader(text), int64(len(text)))
}

func TestParseModule(t *testing.T) {
	t.Parallel()
	const own = `{"formatVersion":"1.1","component":{"group":"g","module":"a","version":"1","attributes":{"x":"y"}},"variants":[{"name":"api","files":[{"size":1}]}]}`
	got, err := parseModuleText(own)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(&module{coords{"g", "a", "1"}}, got, cmp.AllowUnexported(module{})); diff != "" {
		t.Error(diff)
	}
	// Of a part of another component, whose coordinates it tells.
	got, err = parseModuleText(strings.Replace(own, `"group"`, `"url":"../../a/1/a-1.module","group"`, 1))
	if err != nil || *got != (module{}) {
		t.Errorf("%+v, %v", got, err)
	}
}

func hostileModules() map[string]string {
	return map[string]string{
		"empty":         "",
		"array":         "[]",
		"no component":  `{"formatVersion":"1.1"}`,
		"cut off":       `{"formatVersion":"1.1","component":{"group":"g"`,
		"key twice":     `{"formatVersion":"1.1","component":{"group":"g","group":"h","module":"a","version":"1"}}`,
		"a number":      `{"formatVersion":"1.1","component":{"group":1,"module":"a","version":"1"}}`,
		"more":          `{"formatVersion":"1.1","component":{"group":"g","module":"a","version":"1"}} {}`,
		"deep":          `{"x":` + strings.Repeat("[", 100_000) + strings.Repeat("]", 100_000) + "}",
		"many keys":     "{" + strings.Repeat(`"a":1,`, 10_000) + `"b":1}`,
		"large":         `{"x":"` + strings.Repeat("x", maxDocument) + `"}`,
		"no JSON":       "hello",
		"huge number":   `{"formatVersion":1` + strings.Repeat("0", 100_000) + "}",
		"long name":     `{"formatVersion":"1.1","component":{"group":"` + strings.Repeat("g", 100_000) + `","module":"a","version":"1"}}`,
		"invalid UTF-8": "{\"formatVersion\":\"1.1\",\"component\":\xff}",
	}
}

func TestHostileModules(t *testing.T) {
	t.Parallel()
	for name, text := range hostileModules() {
		_, err := parseModuleText(text)
		if e, ok := errors.AsType[*registry.Error](err); !ok || e.Code != registry.ManifestInvalid || e.Message == "" {
			t.Errorf("%s: %v, want MANIFEST_INVALID with a sentence", name, err)
		}
	}
}

func FuzzParseModule(f *testing.F) {
	for _, text := range hostileModules() {
		if len(text) < 4096 {
			f.Add(text)
		}
	}
	f.Add(`{"formatVersion":"1.1","component":{"group":"g","module":"a","version":"1","url":"x"}}`)
	f.Fuzz(func(t *testing.T, text string) {
		if _, err := parseModuleText(text); err != nil {
			if _, ok := errors.AsType[*registry.Error](err); !ok {
				t.Errorf("%v is no error of ours", err)
			}
		}
	})
}
