package npm

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"

	"github.com/packhouse/packhouse/registry"
)

const plainPackage = `{"name":"widget","version":"1.0.0"}`

func inspect(t *testing.T, file []byte) (contents, error) {
	t.Helper()
	native, err := Format{}.Inspect(t.Context(), "any.tgz", "application/gzip", bytes.NewReader(file), int64(len(file)))
	var c contents
	if err == nil {
		if err := json.Unmarshal(native, &c); err != nil {
			t.Fatal(err)
		}
	}
	return c, err
}

func TestInspect(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name string
		file []byte
		want contents
	}{
		{"simple", simple(plainPackage), contents{Package: json.RawMessage(plainPackage), Files: 2, Unpacked: int64(len(plainPackage)) + 19}},
		{"another folder", pack(packed{name: "widget-1/package.json", content: plainPackage}), contents{Package: json.RawMessage(plainPackage), Files: 1, Unpacked: int64(len(plainPackage))}},
		{"a dot for the folder", pack(packed{name: "./package.json", content: plainPackage}), contents{Package: json.RawMessage(plainPackage), Files: 1, Unpacked: int64(len(plainPackage))}},
		{"a byte order mark", pack(packed{name: "package/package.json", content: "\uFEFF" + plainPackage}), contents{Package: json.RawMessage(plainPackage), Files: 1, Unpacked: int64(len(plainPackage)) + 3}},
		{
			"git archive's header", pack(packed{name: "pax_global_header", kind: tar.TypeXGlobalHeader, content: "52 comment=0123456789012345678901234567890123456789\n"}, packed{name: "package/", kind: tar.TypeDir}, packed{name: "package/package.json", content: plainPackage}),
			contents{Package: json.RawMessage(plainPackage), Files: 1, Unpacked: int64(len(plainPackage))},
		},
		{
			"links that do no harm", pack(packed{name: "package/package.json", content: plainPackage}, packed{name: "package/lib/a", kind: tar.TypeSymlink, link: "../index.js"}),
			contents{Package: json.RawMessage(plainPackage), Files: 1, Unpacked: int64(len(plainPackage))},
		},
		{
			"package.json elsewhere", pack(packed{name: "package/lib/package.json", content: "no JSON"}, packed{name: "package.json", content: "no JSON"}, packed{name: "package/package.json", content: plainPackage}),
			contents{Package: json.RawMessage(plainPackage), Files: 3, Unpacked: int64(len(plainPackage)) + 14},
		},
		{
			"what other files say", pack(
				packed{name: "package/README", content: "plain"}, packed{name: "package/package.json", content: plainPackage}, packed{name: "package/docs/README.md", content: "no"},
				packed{name: "package/ReadMe.md", content: "# Widget\n\nIt turns\nround.\n\nMore."}, packed{name: "package/README.txt", content: "no"},
				packed{name: "package/npm-shrinkwrap.json", content: "{}"}, packed{name: "package/binding.gyp", content: "{}"},
			), contents{
				Package: json.RawMessage(`{"name":"widget","version":"1.0.0","scripts":{"install":"node-gyp rebuild"},"gypfile":true,"description":"It turns round."}`),
				Files:   7, Unpacked: int64(len(plainPackage)) + 5 + 2 + 32 + 2 + 2 + 2, Shrinkwrap: true, ReadmeName: "ReadMe.md", Readme: "# Widget\n\nIt turns\nround.\n\nMore.",
			},
		},
		{
			"a folder of commands", pack(
				packed{name: "package/bin/go", content: "#!"}, packed{name: "package/bin/sub/stop", content: "#!"}, packed{name: "package/bin/.hidden", content: "#!"},
				packed{name: "package/package.json", content: `{"name":"widget","version":"1.0.0","directories":{"bin":"./bin/"}}`},
			), contents{
				Package: json.RawMessage(`{"name":"widget","version":"1.0.0","directories":{"bin":"./bin/"},"bin":{"go":"bin/go","stop":"bin/sub/stop"}}`),
				Files:   4, Unpacked: 66 + 6,
			},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			got, err := inspect(t, test.file)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// TestInspectCutsReadmes: no more of a readme is kept than clients show, and
// no half of a character.
func TestInspectCutsReadmes(t *testing.T) {
	t.Parallel()
	for before := range 5 {
		text := strings.Repeat("x", before) + strings.Repeat("€", maxReadme/3+10)
		c, err := inspect(t, pack(packed{name: "package/package.json", content: plainPackage}, packed{name: "package/README.md", content: text}))
		if err != nil || len(c.Readme) > maxReadme || len(c.Readme) < maxReadme-3 || !strings.HasPrefix(text, c.Readme) {
			t.Errorf("%d bytes of readme, %v", len(c.Readme), err)
		}
	}
}

// refusal is a tarball that must be refused, with a part of the sentence.
type refusal struct {
	file []byte
	want string
}

var hostile = sync.OnceValue(makeHostile)

func makeHostile() map[string]refusal {
	meta := packed{name: "package/package.json", content: plainPackage}
	withJSON := func(doc string) []byte { return pack(packed{name: "package/package.json", content: doc}) }
	good := simple(plainPackage)
	var twoArchives bytes.Buffer
	z := gzip.NewWriter(&twoArchives)
	for _, name := range []string{"package/package.json", "package/index.js"} {
		w := tar.NewWriter(z)
		_ = w.WriteHeader(&tar.Header{Name: name, Size: int64(len(plainPackage)), Typeflag: tar.TypeReg})
		_, _ = io.WriteString(w, plainPackage)
		_ = w.Close()
	}
	_ = z.Close()
	many := make([]packed, 0, maxEntries+2)
	for range maxEntries + 1 {
		many = append(many, packed{name: "package/", kind: tar.TypeDir})
	}
	manyLinks := []packed{meta}
	for i := range maxLinks + 1 {
		manyLinks = append(manyLinks, packed{name: fmt.Sprintf("package/l%d", i), kind: tar.TypeSymlink, link: "x"})
	}
	return map[string]refusal{
		"empty":                      {nil, "not a tarball"},
		"no gzip":                    {[]byte("PK\x03\x04 is a zip"), "not a tarball"},
		"gzip of something else":     {zipped(io.LimitReader(endless('x'), 10_000)), "cannot be read"},
		"cut":                        {good[:len(good)-20], "in the middle"},
		"damaged":                    {append(append([]byte{}, good[:len(good)-6]...), 1, 2, 3, 4, 5, 6), "cannot be read"},
		"zip behind it":              {append(append([]byte{}, good...), "PK\x05\x06 and a directory"...), "behind its gzip stream"},
		"archive behind it":          {twoArchives.Bytes(), "behind the end of its archive"},
		"no package.json":            {pack(packed{name: "package/index.js", content: "1"}), "no package.json"},
		"package.json at the top":    {pack(packed{name: "package.json", content: plainPackage}), "no package.json"},
		"two package.json":           {pack(meta, meta), "two files"},
		"in two folders":             {pack(meta, packed{name: "other/package.json", content: `{"name":"evil","version":"1.0.0"}`}), "two files"},
		"by a longer way":            {pack(meta, packed{name: "package/./package.json", content: plainPackage}), "two files"},
		"in other case":              {pack(meta, packed{name: "package/Package.JSON", content: plainPackage}), "another name"},
		"in the Kelvin sign":         {pack(meta, packed{name: "package/pac\u212Aage.json", content: plainPackage}), "another name"},
		"with a trailing dot":        {pack(meta, packed{name: "package/package.json.", content: plainPackage}), "another name"},
		"with a backslash":           {pack(meta, packed{name: `package/.\package.json`, content: plainPackage}), "another name"},
		"package.json is a folder":   {pack(packed{name: "package/package.json/", kind: tar.TypeDir}), "is a folder"},
		"package.json is a link":     {pack(packed{name: "package/package.json", kind: tar.TypeSymlink, link: "evil.json"}), "is a link"},
		"a hard link to it":          {pack(meta, packed{name: "package/x", kind: tar.TypeLink, link: "package/package.json"}), "is a link"},
		"the folder is a link":       {pack(packed{name: "package", kind: tar.TypeSymlink, link: "/etc"}, meta), "is a link"},
		"through a link":             {pack(packed{name: "package/lib", kind: tar.TypeSymlink, link: "."}, packed{name: "package/lib/package.json", content: plainPackage}), "behind the link"},
		"over a link":                {pack(meta, packed{name: "package/x", kind: tar.TypeSymlink, link: "package.json"}, packed{name: "package/x", content: "1"}), "behind the link"},
		"a link outwards":            {pack(meta, packed{name: "package/x", kind: tar.TypeSymlink, link: "../../etc/passwd"}), "leaves its folder"},
		"an absolute link":           {pack(meta, packed{name: "package/x", kind: tar.TypeLink, link: "/etc/passwd"}), "leaves its folder"},
		"too many links":             {pack(manyLinks...), "links"},
		"traversal":                  {pack(meta, packed{name: "package/../../x", content: "1"}), "leaves its folder"},
		"traversal with backslashes": {pack(meta, packed{name: `package\..\..\x`, content: "1"}), "leaves its folder"},
		"absolute":                   {pack(meta, packed{name: "/etc/passwd", content: "1"}), "absolute"},
		"a drive":                    {pack(meta, packed{name: `c:\x`, content: "1"}), "absolute"},
		"a device":                   {pack(meta, packed{name: "package/x", kind: tar.TypeChar}), "neither a file"},
		"a pipe":                     {pack(meta, packed{name: "package/x", kind: tar.TypeFifo}), "neither a file"},
		"too many entries":           {pack(many...), "entries"},
		"a bomb":                     {bomb(200 << 20), "times its size"},
		"package.json too long":      {withJSON(`{"name":"widget","version":"1.0.0","x":"` + strings.Repeat("x", maxMetadata) + `"}`), "the limit is"},
		"package.json of arrays":     {withJSON(strings.Repeat("[", maxMetadata)), "not valid JSON"},
		"package.json of fields":     {withJSON(`{"name":"widget","version":"1.0.0","x":[` + strings.Repeat(`{"a":0},`, 1<<20) + `0]}`), "fields"},
		"package.json nested":        {withJSON(`{"name":"widget","version":"1.0.0","x":` + strings.Repeat("[", 100) + strings.Repeat("]", 100) + `}`), "nested"},
		"a key twice":                {withJSON(`{"name":"widget","version":"1.0.0","name":"evil"}`), "twice"},
		"not UTF-8":                  {withJSON("{\"name\":\"widget\",\"version\":\"1.0.0\",\"x\":\"\xff\"}"), "UTF-8"},
		"a huge number":              {withJSON(`{"name":"widget","version":"1.0.0","x":1e999}`), "too large"},
		"no object":                  {withJSON(`[]`), "not a JSON object"},
		"no name":                    {withJSON(`{"version":"1.0.0"}`), "not a package name"},
		"a name that traverses":      {withJSON(`{"name":"../x","version":"1.0.0"}`), "not a package name"},
		"no version":                 {withJSON(`{"name":"widget"}`), "no version"},
		"a version that is a path":   {withJSON(`{"name":"widget","version":"1.0.0/../2.0.0"}`), "not a version"},
		"dependencies are a list":    {withJSON(`{"name":"widget","version":"1.0.0","dependencies":["x"]}`), "not an object"},
		"a sparse file":              {pack(meta, packed{name: "x", kind: tar.TypeXHeader, content: "22 GNU.sparse.major=1\n22 GNU.sparse.minor=0\n25 GNU.sparse.realsize=9\n24 GNU.sparse.name=pa/x\n"}, packed{name: "package/x", content: "0\n" + strings.Repeat("\x00", 510)}), "sparse"},
		"a global header":            {pack(packed{name: "g", kind: tar.TypeXGlobalHeader, content: "29 path=package/package.json\n"}, meta), "global header"},
	}
}

// bomb is a tarball that unpacks to n bytes of nothing.
func bomb(n int64) []byte {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	w := tar.NewWriter(z)
	_ = w.WriteHeader(&tar.Header{Name: "package/x", Size: n, Typeflag: tar.TypeReg})
	_, _ = io.Copy(w, io.LimitReader(endless(0), n))
	_ = w.Close()
	_ = z.Close()
	return b.Bytes()
}

func TestInspectRefuses(t *testing.T) {
	t.Parallel()
	for name, test := range hostile() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := inspect(t, test.file)
			if !errors.Is(err, registry.ManifestInvalid) || !strings.Contains(sentence(err), test.want) {
				t.Errorf("error = %v, want MANIFEST_INVALID and %q", err, test.want)
			}
		})
	}
}

// TestInspectTellsWhoseFault: what the storage says is not the tarball's fault.
func TestInspectTellsWhoseFault(t *testing.T) {
	t.Parallel()
	broken := errors.New("the disk is gone")
	r := readerAt{iotest.ErrReader(broken)}
	if _, err := (Format{}).Inspect(t.Context(), "", "", r, 100); !errors.Is(err, broken) || errors.Is(err, registry.ManifestInvalid) {
		t.Errorf("error = %v, want the storage's", err)
	}
}

type readerAt struct{ r io.Reader }

func (r readerAt) ReadAt(p []byte, _ int64) (int, error) { return r.r.Read(p) }

// FuzzInspect: nothing panics, and what passes is a package with a legal place.
func FuzzInspect(f *testing.F) {
	f.Add(unzip(simple(plainPackage)))
	f.Add(unzip(pack(packed{name: "x/package.json", content: `{"name":"@a/b","version":"v1.0.0-x+y","bin":"./c.js","bundledDependencies":true,"dependencies":{"d":"1"}}`})))
	f.Add([]byte("no archive"))
	f.Fuzz(func(t *testing.T, archive []byte) {
		file := zipped(bytes.NewReader(archive))
		native, err := Format{}.Inspect(t.Context(), "", "", bytes.NewReader(file), int64(len(file)))
		if err != nil {
			if !errors.Is(err, registry.ManifestInvalid) || sentence(err) == "" {
				t.Fatalf("error = %v, want MANIFEST_INVALID with a sentence", err)
			}
			return
		}
		facts, err := Format{}.Describe(registry.Artifact{Files: []registry.File{{Facts: registry.FileFacts{Native: native}}}})
		if err != nil {
			t.Fatalf("%s: %v", native, err)
		}
		if _, err := (Format{}).Repository(facts.Package); err != nil {
			t.Error(err)
		}
		if _, err := (Format{}).Tag(facts.Version); err != nil {
			t.Error(err)
		}
		for _, kind := range (Format{}).Info().Fragments {
			var w bytes.Buffer
			r := &registry.Release{Facts: facts, Files: []registry.File{{Facts: registry.FileFacts{Native: native}}}}
			if err := (Format{}).Fragment(kind, r, &w); err != nil {
				t.Error(err)
			}
			if text := bytes.ReplaceAll(w.Bytes(), []byte{0}, nil); len(text) > 0 && !json.Valid(text) {
				t.Errorf("%s is no JSON: %s", kind, w.Bytes())
			}
		}
	})
}

func unzip(file []byte) []byte {
	z, err := gzip.NewReader(bytes.NewReader(file))
	if err != nil {
		panic(err) // of the test
	}
	b, err := io.ReadAll(z)
	if err != nil {
		panic(err)
	}
	return b
}
