package maven

import (
	"errors"
	"io"
	"runtime"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/packhouse/packhouse/registry"
)

func parsePOMText(text string) (*pom, error) {
	return parsePOM("a.pom", strings.NewReader(text), int64(len(text)))
}

const coordinates = "<groupId>g</groupId><artifactId>a</artifactId><version>1</version>"

func TestParsePOM(t *testing.T) {
	t.Parallel()
	gav := coords{"g", "a", "1"}
	tests := []struct {
		name, text string
		want       pom
	}{
		{"minimal", "<project>" + coordinates + "</project>", pom{coords: gav}},
		{"whole", `<?xml version="1.0" encoding="UTF-8"?>
<!-- license -->
<project xmlns="http://maven.apache.org/POM/4.0.0" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance">
  <modelVersion>4.0.0</modelVersion>
  <parent><groupId>g</groupId><artifactId>parent</artifactId><version>1</version><relativePath>..</relativePath></parent>
  <artifactId> a </artifactId><packaging>maven-plugin</packaging>
  <name>A &amp; B</name><description>
    Two
    lines</description><url>https://example.com/</url>
  <licenses><license><name>Apache License, Version 2.0</name></license><license><name>?</name><url>https://opensource.org/licenses/MIT</url></license></licenses>
  <dependencies><dependency><groupId>x</groupId><artifactId>y</artifactId><version>9</version></dependency></dependencies>
</project>`, pom{coords: gav, Packaging: "maven-plugin", Name: "A & B", Description: "Two lines", URL: "https://example.com/", License: "Apache-2.0 OR MIT"}},
		{"unknown license", "<project>" + coordinates + "<licenses><license><name>Ours</name></license></licenses></project>", pom{coords: gav}},
		{"byte order mark", "\xef\xbb\xbf<project>" + coordinates + "</project>", pom{coords: gav}},
		{"Latin 1", `<?xml version="1.0" encoding="ISO-8859-1"?><project>` + coordinates + "<name>Andr\xe9 \x80</name></project>", pom{coords: gav, Name: "André €"}},
		{"HTML entity", "<project>" + coordinates + "<name>Andr&eacute;</name></project>", pom{coords: gav, Name: "André"}},
		{"expression", "<project><groupId>g</groupId><artifactId>a</artifactId><version>${revision}</version></project>", pom{coords: coords{"g", "a", "${revision}"}}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			got, err := parsePOMText(test.text)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(&test.want, got, cmp.AllowUnexported(pom{})); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// hostilePOMs are refused.
func hostilePOMs() map[string]string {
	return map[string]string{
		"empty":             "",
		"no XML":            "hello",
		"another root":      "<html></html>",
		"no version":        "<project><groupId>g</groupId><artifactId>a</artifactId></project>",
		"cut off":           "<project>" + coordinates,
		"two roots":         "<project>" + coordinates + "</project><project/>",
		"two versions":      "<project>" + coordinates + "<version>2</version></project>",
		"two parents":       "<project>" + coordinates + "<parent/><parent/></project>",
		"DOCTYPE":           "<!DOCTYPE project><project>" + coordinates + "</project>",
		"external entity":   `<!DOCTYPE project [<!ENTITY x SYSTEM "file:///etc/passwd">]><project>` + coordinates + "<name>&x;</name></project>",
		"entity bomb":       `<!DOCTYPE p [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">]><project>` + coordinates + "<name>&b;</name></project>",
		"undeclared entity": "<project>" + coordinates + "<name>&x;</name></project>",
		"deep":              "<project>" + coordinates + strings.Repeat("<a>", 100) + strings.Repeat("</a>", 100) + "</project>",
		"invalid UTF-8":     "<project>" + coordinates + "<name>\xff\xfe</name></project>",
		"character set":     `<?xml version="1.0" encoding="EBCDIC"?><project>` + coordinates + "</project>",
		"attributes":        "<project " + strings.Repeat(`a="" `, 500_000) + ">" + coordinates + "</project>",
		"open tag":          "<project>" + coordinates + "<" + strings.Repeat("a", 1<<20),
		"large":             "<project>" + coordinates + strings.Repeat("<a></a>", maxDocument/7) + "</project>",
	}
}

func TestHostilePOMs(t *testing.T) { //nolint:paralleltest // it measures memory
	for name, text := range hostilePOMs() {
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		_, err := parsePOMText(text)
		runtime.ReadMemStats(&after)
		if e, ok := errors.AsType[*registry.Error](err); !ok || e.Code != registry.ManifestInvalid || e.Message == "" {
			t.Errorf("%s: %v, want MANIFEST_INVALID with a sentence", name, err)
		}
		if grown := int64(after.HeapSys) - int64(before.HeapSys); grown > 64<<20 {
			t.Errorf("%s: the heap grew by %d MiB", name, grown>>20)
		}
	}
}

func TestMatches(t *testing.T) {
	t.Parallel()
	tests := []struct {
		text, value string
		want        bool
	}{
		{"1.0", "1.0", true},
		{"1.0", "1.1", false},
		{"${revision}", "2.0", true},
		{"1.0${changelist}", "1.0-SNAPSHOT", true},
		{"1.0${changelist}", "2.0", false},
		{"${major}.5", "1.5", true},
		{"${major}.5", "1.6", false},
		{"${a}-${b}", "1-2", true},
		{"${a}-${b}", "12", false},
		{"${open", "x", true},
	}
	for _, test := range tests {
		if got := matches(test.text, test.value); got != test.want {
			t.Errorf("matches(%q, %q) = %v", test.text, test.value, got)
		}
	}
}

func TestDefaultPrefix(t *testing.T) {
	t.Parallel()
	for artifact, want := range map[string]string{
		"maven-deploy-plugin": "deploy", "hello-maven-plugin": "hello", "maven-plugin-plugin": "plugin", "exec": "exec", "my-maven-x-plugin": "myx",
	} {
		if got := defaultPrefix(artifact); got != want {
			t.Errorf("%s: %q, want %q", artifact, got, want)
		}
	}
}

func FuzzParsePOM(f *testing.F) {
	for _, text := range hostilePOMs() {
		if len(text) < 4096 {
			f.Add(text)
		}
	}
	f.Add(`<?xml version="1.0" encoding="latin1"?><project><parent>` + coordinates + "</parent>" + coordinates + "<licenses><license><name>MIT</name></license></licenses></project>")
	f.Fuzz(func(t *testing.T, text string) {
		p, err := parsePOMText(text)
		if err != nil {
			if _, ok := errors.AsType[*registry.Error](err); !ok && !errors.Is(err, io.EOF) {
				t.Errorf("%v is no error of ours", err)
			}
			return
		}
		if p.Group == "" || p.Artifact == "" || p.Version == "" {
			t.Errorf("accepted without coordinates: %+v", p)
		}
	})
}
