package registry_test

import (
	"fmt"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"
)

const module = "github.com/packhouse/packhouse"

// mayImport lists, for each package of the project, what of the project it may
// import: a folder, or a folder and all below it ("storage/..."). A package
// that no key names fails the test, so a new one is a decision made here.
// The same rules stand in .golangci.yml for editors.
var mayImport = map[string][]string{
	"registry":                {}, // the vocabulary
	"registry/registrytest":   {"registry"},
	"registry/distspec":       {"registry", "registry/transfer"}, // serves any Registry, knows no engine
	"registry/config":         {},
	"registry/obs":            {"registry"},
	"registry/engine":         {"registry", "registry/seal", "storage/blob", "storage/cache", "storage/meta"},
	"registry/admin":          {"registry", "registry/auth", "registry/audit", "registry/engine", "registry/feed", "registry/seal", "storage/blob", "storage/meta"},
	"registry/audit":          {"registry", "storage/meta"},
	"registry/auth":           {"registry", "registry/seal", "storage/meta"},
	"registry/seal":           {},
	"registry/egress":         {"registry"},
	"registry/oidc":           {"registry", "registry/auth", "registry/egress", "registry/seal", "storage/meta"},
	"registry/server":         {"registry/...", "storage/...", "artifacttypes"},
	"storage/blob":            {"registry", "storage/blob/s3"}, // its tests run the contract over every driver
	"storage/blob/s3":         {},
	"storage/cache":           {},
	"storage/cache/cachetest": {}, // a real server for tests
	"storage/meta":            {"registry"},
	"storage/meta/metatest":   {}, // a real server for tests
	"registry/feed":           {"registry", "registry/engine", "registry/transfer", "artifacttypes"},
	"registry/limit":          {"registry"},
	"registry/transfer":       {"registry"},
	// The contract, and the formats under it: never storage, never a sibling.
	"artifacttypes":          {"registry"},
	"artifacttypes/generic":  {"registry", "artifacttypes"},
	"artifacttypes/npm":      {"registry", "artifacttypes"},
	"artifacttypes/pypi":     {"registry", "artifacttypes"},
	"artifacttypes/maven":    {"registry", "artifacttypes"},
	"artifacttypes/helm":     {"registry", "artifacttypes"},
	"artifacttypes/all":      {"artifacttypes/..."}, // the one list
	"artifacttypes/typetest": {"registry/...", "storage/...", "artifacttypes"},
	"cmd/...":                {"registry/...", "storage/...", "artifacttypes", "artifacttypes/all"},
	// A module of its own that judges the binary from outside.
	"conformance/...": {"conformance/..."},
}

// testsMayImport holds for every _test.go file beside its package's own rule
// and the package itself; nothing else may import the contract suites.
var testsMayImport = []string{"registry/registrytest", "artifacttypes/typetest", "storage/meta/metatest", "storage/cache/cachetest"}

// Names that say nothing about what is inside.
var forbiddenNames = []string{"pkg", "internal", "util", "common", "types", "helpers"}

func TestImports(t *testing.T) {
	t.Parallel()
	for _, p := range importProblems(t, os.DirFS("..")) {
		t.Error(p)
	}
}

// TestImportsFinds is the proof that TestImports can fail.
func TestImportsFinds(t *testing.T) {
	t.Parallel()
	source := func(name string, imports ...string) *fstest.MapFile {
		var b strings.Builder
		fmt.Fprintf(&b, "package %s\n", name)
		for _, i := range imports {
			fmt.Fprintf(&b, "import _ %q\n", i)
		}
		return &fstest.MapFile{Data: []byte(b.String())}
	}
	tests := []struct {
		name, file string
		source     *fstest.MapFile
		want       []string
	}{
		{"standard library and others' modules", "registry/a.go", source("registry", "net/http", "example.com/"+module), nil},
		{"allowed", "registry/engine/a.go", source("engine", module+"/registry", module+"/storage/meta"), nil},
		{"allowed below", "cmd/packhouse/a.go", source("main", module+"/registry/server"), nil},
		{"suite in a test", "registry/distspec/a_test.go", source("distspec_test", module+"/registry/distspec", module+"/registry/registrytest"), nil},
		{"not a package of ours", "registry/testdata/a.go", source("util", module+"/cmd"), nil},
		{
			"vocabulary imports", "registry/a.go", source("registry", module+"/storage/meta"),
			[]string{"registry/a.go: registry may not import storage/meta"},
		},
		{
			"storage imports a sibling", "storage/meta/a.go", source("meta", module+"/storage/blob"),
			[]string{"storage/meta/a.go: storage/meta may not import storage/blob"},
		},
		{
			"protocol imports the engine", "registry/distspec/a_test.go", source("distspec_test", module+"/registry/engine"),
			[]string{"registry/distspec/a_test.go: registry/distspec may not import registry/engine"},
		},
		{
			"format", "registry/server/a.go", source("server", module+"/artifacttypes/npm"),
			[]string{"registry/server/a.go: registry/server may not import artifacttypes/npm"},
		},
		{
			"suite in the product", "registry/server/a.go", source("server", module+"/registry/registrytest"),
			[]string{"registry/server/a.go: registry/server may not import registry/registrytest outside its tests"},
		},
		{
			"product in conformance", "conformance/crash/a_test.go", source("crash", module+"/registry"),
			[]string{"conformance/crash/a_test.go: conformance/crash may not import registry"},
		},
		{
			"unknown package", "registry/gc/a.go", source("gc"),
			[]string{"registry/gc/a.go: no rule says what registry/gc may import: add one to mayImport"},
		},
		{
			"name of a folder", "cmd/internal/tool/a.go", source("tool"),
			[]string{`cmd/internal/tool/a.go: "internal" does not say what is inside`},
		},
		{
			"name of a package", "cmd/packhouse/a_test.go", source("helpers_test"),
			[]string{`cmd/packhouse/a_test.go: "helpers" does not say what is inside`},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got := importProblems(t, fstest.MapFS{tt.file: tt.source})
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("importProblems (-want +got):\n%s", diff)
			}
		})
	}
}

// importProblems reads the imports of every Go file in tree, whatever its
// build constraints.
func importProblems(t *testing.T, tree fs.FS) []string {
	t.Helper()
	var problems []string
	err := fs.WalkDir(tree, ".", func(name string, entry fs.DirEntry, err error) error {
		switch base := path.Base(name); {
		case err != nil:
			return err
		case entry.IsDir() && name != "." && (base == "testdata" || base[0] == '.' || base[0] == '_'):
			return fs.SkipDir // as the go command does
		case entry.IsDir() || path.Ext(name) != ".go":
			return nil
		}
		source, err := fs.ReadFile(tree, name)
		if err != nil {
			return err
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, source, parser.ImportsOnly)
		if err != nil {
			return err
		}
		imports := make([]string, len(file.Imports))
		for i, spec := range file.Imports {
			if imports[i], err = strconv.Unquote(spec.Path.Value); err != nil {
				return err
			}
		}
		problems = append(problems, fileProblems(name, file.Name.Name, imports)...)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return problems
}

func fileProblems(name, pkg string, imports []string) []string {
	var problems []string
	addf := func(format string, a ...any) {
		problems = append(problems, name+": "+fmt.Sprintf(format, a...))
	}
	dir, isTest := path.Dir(name), strings.HasSuffix(name, "_test.go")
	for _, part := range append(strings.Split(dir, "/"), strings.TrimSuffix(pkg, "_test")) {
		if slices.Contains(forbiddenNames, part) {
			addf("%q does not say what is inside", part)
		}
	}
	allowed, known := rule(dir)
	if !known {
		addf("no rule says what %s may import: add one to mayImport", dir)
		return problems
	}
	for _, imported := range imports {
		ours, ok := strings.CutPrefix(imported, module+"/")
		switch {
		case !ok, isTest && (ours == dir || slices.Contains(testsMayImport, ours)):
		case slices.Contains(testsMayImport, ours) && !slices.Contains(testsMayImport, dir):
			addf("%s may not import %s outside its tests", dir, ours)
		case !slices.ContainsFunc(allowed, func(pattern string) bool { return covers(pattern, ours) }):
			addf("%s may not import %s", dir, ours)
		}
	}
	return problems
}

func rule(dir string) (allowed []string, known bool) {
	for pattern, allowed := range mayImport {
		if covers(pattern, dir) {
			return allowed, true
		}
	}
	return nil, false
}

// covers tells whether pattern is dir, or "x/..." with dir at or below x.
func covers(pattern, dir string) bool {
	above, ok := strings.CutSuffix(pattern, "/...")
	return dir == above || ok && strings.HasPrefix(dir, above+"/")
}
