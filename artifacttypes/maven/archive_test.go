package maven

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"encoding/binary"
	"errors"
	"io/fs"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/packhouse/packhouse/registry"
)

// zipped makes an archive of names and contents, in pairs.
func zipped(tb testing.TB, pairs ...string) []byte {
	tb.Helper()
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	for pair := range slices.Chunk(pairs, 2) {
		f, err := w.Create(pair[0])
		if err != nil {
			tb.Fatal(err)
		}
		if _, err := f.Write([]byte(pair[1])); err != nil {
			tb.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		tb.Fatal(err)
	}
	return b.Bytes()
}

const (
	pomText        = "<project>" + coordinates + "<name>A</name></project>"
	propertiesText = "#Created\r\nversion=1\r\ngroupId=g\r\nartifactId=a\r\n"
	pluginText     = "<plugin><name>A</name><groupId>g</groupId><goalPrefix>aa</goalPrefix><mojos><mojo/></mojos></plugin>"
)

func parseJarBytes(name string, content []byte) (*jar, error) {
	return parseJar(name, bytes.NewReader(content), int64(len(content)))
}

func TestParseJar(t *testing.T) {
	t.Parallel()
	gav := coords{"g", "a", "1"}
	own := []string{"META-INF/", "", "META-INF/maven/g/a/pom.properties", propertiesText, "META-INF/maven/g/a/pom.xml", pomText}
	other := []string{"META-INF/maven/h/b/pom.properties", strings.NewReplacer("=g", "=h", "=a", "=b").Replace(propertiesText)}
	tests := []struct {
		name, file string
		content    []byte
		want       jar
	}{
		{"nothing", "a.jar", zipped(t), jar{}},
		{"its own", "x.jar", zipped(t, own...), jar{coords: gav, POM: deflate([]byte(pomText))}},
		{"behind a script", "a.jar", append([]byte("#!/bin/sh\nexit\n"), zipped(t, own...)...), jar{coords: gav, POM: deflate([]byte(pomText))}},
		{"shaded", "a-1.jar", zipped(t, append(own, other...)...), jar{coords: gav, POM: deflate([]byte(pomText))}},
		{"shaded under another name", "x-1.jar", zipped(t, append(own, other...)...), jar{}},
		{"POM of something else", "a.jar", zipped(t, "META-INF/maven/g/a/pom.properties", propertiesText, "META-INF/maven/g/a/pom.xml", strings.ReplaceAll(pomText, ">1<", ">2<")), jar{coords: gav}},
		{"properties of something else", "a.jar", zipped(t, "META-INF/maven/g/z/pom.properties", propertiesText), jar{}},
		{"plug-in", "a.jar", zipped(t, "META-INF/maven/plugin.xml", pluginText), jar{Plugin: &plugin{"aa", "A"}}},
		{"plug-in without a prefix", "a.jar", zipped(t, "META-INF/maven/plugin.xml", "<plugin><mojos/></plugin>"), jar{Plugin: &plugin{}}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			got, err := parseJarBytes(test.file, test.content)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(&test.want, got, cmp.AllowUnexported(jar{}, coords{})); diff != "" {
				t.Error(diff)
			}
		})
	}
	if text, err := inflate(deflate([]byte(pomText))); err != nil || string(text) != pomText {
		t.Errorf("%s, %v", text, err)
	}
}

// rawEntries writes a zip whose directory says what the arguments say; data is
// never there.
func rawEntries(tb testing.TB, count int, unpacked uint64, name func(i int) string) []byte {
	tb.Helper()
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	for i := range count {
		h := &zip.FileHeader{Name: name(i), Method: zip.Deflate, UncompressedSize64: unpacked, CompressedSize64: 0}
		if _, err := w.CreateRaw(h); err != nil {
			tb.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		tb.Fatal(err)
	}
	return b.Bytes()
}

func withSymlink(tb testing.TB) []byte {
	tb.Helper()
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	h := &zip.FileHeader{Name: pluginXML}
	h.SetMode(fs.ModeSymlink | 0o777)
	f, err := w.CreateHeader(h)
	if err == nil {
		_, err = f.Write([]byte("/etc/passwd"))
	}
	if err := errors.Join(err, w.Close()); err != nil {
		tb.Fatal(err)
	}
	return b.Bytes()
}

// tarAndZip is a tar archive whose member is a zip up to the end of the file.
func tarAndZip(tb testing.TB) []byte {
	tb.Helper()
	content := zipped(tb, pluginXML, pluginText)
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	if err := w.WriteHeader(&tar.Header{Name: "a", Size: int64(len(content)), Mode: 0o600}); err != nil {
		tb.Fatal(err)
	}
	if _, err := w.Write(content); err != nil {
		tb.Fatal(err)
	}
	return b.Bytes()
}

func hostileJars(tb testing.TB) map[string][]byte {
	tb.Helper()
	sound := zipped(tb, pluginXML, pluginText)
	cheats := zipped(tb, "META-INF/maven/g/a/pom.properties", propertiesText) // its directory has another size
	at := bytes.LastIndex(cheats, []byte(signEntry))
	binary.LittleEndian.PutUint32(cheats[at+24:], 1<<10)
	renamed := bytes.Clone(sound) // its own header has another name
	renamed[localLength] = 'X'
	lies := bytes.Clone(sound) // more entries than there are bytes
	end := bytes.LastIndex(lies, []byte(signEnd))
	binary.LittleEndian.PutUint32(lies[end+12:], 1<<31)
	same := func(name string) func(int) string { return func(int) string { return name } }
	numbered := func(i int) string { return "f" + strconv.Itoa(i) }
	return map[string][]byte{
		"empty":               {},
		"no zip":              []byte("hello"),
		"cut off":             sound[:len(sound)-30],
		"traversal":           zipped(tb, "a/../../b", "x"),
		"backslash traversal": zipped(tb, `a\..\..\b`, "x"),
		"absolute":            zipped(tb, "/etc/passwd", "x"),
		"drive":               zipped(tb, "C:/x", "x"),
		"NUL":                 zipped(tb, "a\x00.class", "x"),
		"twice":               zipped(tb, pluginXML, pluginText, pluginXML, pluginText),
		"twice but for case":  zipped(tb, pluginXML, pluginText, "META-INF/maven/PLUGIN.xml", pluginText),
		"symlink":             withSymlink(tb),
		"zip and tar":         tarAndZip(tb),
		"bomb":                rawEntries(tb, 1, 21<<30, same("a")),
		"many bombs":          rawEntries(tb, 1000, 1<<30, numbered),
		"ratio":               rawEntries(tb, 1, 1<<30, same("a")),
		"overflow":            rawEntries(tb, 2, 1<<63, numbered),
		"100,001 entries":     rawEntries(tb, maxEntries+1, 0, numbered),
		"broken directory":    lies,
		"another size":        cheats,
		"another name":        renamed,
		"large descriptor":    zipped(tb, pluginXML, "<plugin><!--"+strings.Repeat(" ", maxEntry)+"--></plugin>"),
		"descriptor bomb":     zipped(tb, pluginXML, `<!DOCTYPE x [<!ENTITY a "b">]><plugin><goalPrefix>&a;</goalPrefix></plugin>`),
		"descriptor":          zipped(tb, pluginXML, "<html/>"),
		"prefix":              zipped(tb, pluginXML, "<plugin><goalPrefix>../a</goalPrefix></plugin>"),
	}
}

func TestHostileJars(t *testing.T) {
	t.Parallel()
	for name, content := range hostileJars(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := parseJarBytes("a.jar", content)
			if e, ok := errors.AsType[*registry.Error](err); !ok || e.Code != registry.ManifestInvalid || e.Message == "" {
				t.Errorf("%v, want MANIFEST_INVALID with a sentence", err)
			}
		})
	}
}

// A disk that fails is no fault of the file.
func TestStorageErrorsAreNotTheClients(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"a.jar", "a.pom", "a.module"} {
		_, err := (Format{}).Inspect(t.Context(), name, "", failing{}, 1000)
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

type failing struct{}

func (failing) ReadAt([]byte, int64) (int, error) { return 0, os.ErrDeadlineExceeded }

func FuzzParseJar(f *testing.F) {
	for name, content := range hostileJars(f) {
		if len(content) < 16<<10 {
			f.Add(name, content)
		}
	}
	f.Add("a-1.jar", zipped(f, "META-INF/maven/g/a/pom.properties", propertiesText, "META-INF/maven/g/a/pom.xml", pomText, pluginXML, pluginText))
	f.Fuzz(func(t *testing.T, name string, content []byte) {
		j, err := parseJarBytes(name, content)
		if err != nil {
			if _, ok := errors.AsType[*registry.Error](err); !ok {
				t.Errorf("%v is no error of ours", err)
			}
			return
		}
		if j.Artifact != "" && checkPackage(j.Group, j.Artifact) != nil {
			t.Errorf("coordinates %+v", j.coords)
		}
	})
}
