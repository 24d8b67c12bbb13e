package maven

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/packhouse/packhouse/registry"
)

// artifact inspects files, titles and contents in pairs, as the core does.
func artifact(t *testing.T, annotations map[string]string, pairs ...string) registry.Artifact {
	t.Helper()
	a := registry.Artifact{ArtifactType: artifactType, Annotations: annotations}
	for i := 0; i < len(pairs); i += 2 {
		facts, err := (Format{}).Inspect(t.Context(), pairs[i], "application/octet-stream", bytes.NewReader([]byte(pairs[i+1])), int64(len(pairs[i+1])))
		if err != nil {
			t.Fatalf("%s: %v", pairs[i], err)
		}
		a.Files = append(a.Files, registry.File{Name: pairs[i], Facts: registry.FileFacts{Native: facts}})
	}
	return a
}

func named(pkg, version string) map[string]string {
	return map[string]string{registry.AnnotationName: pkg, ocispec.AnnotationVersion: version}
}

func TestDescribe(t *testing.T) {
	t.Parallel()
	jarOf := func(pairs ...string) string { return string(zipped(t, pairs...)) }
	own := jarOf("META-INF/maven/g/a/pom.properties", propertiesText, "META-INF/maven/g/a/pom.xml", pomText)
	snapshotPOM := strings.ReplaceAll(pomText, ">1<", ">1-SNAPSHOT<")
	tests := []struct {
		name        string
		annotations map[string]string
		files       []string
		want        registry.Facts
		names       []string
	}{
		{
			"POM and jar", nil,
			[]string{"a-1.jar", jarOf(), "a-1.pom", pomText, "a-1-sources.jar", jarOf(), "a-1.jar.asc", "sig"},
			registry.Facts{Package: "g:a", Version: "1", Description: "A", Native: json.RawMessage(`{}`)},
			[]string{"a-1.jar", "a-1.pom", "a-1-sources.jar", "a-1.jar.asc"},
		},
		{
			"as a build leaves them", nil,
			[]string{"target/a-1.jar", jarOf(), "pom.xml", pomText},
			registry.Facts{Package: "g:a", Version: "1", Description: "A", Native: json.RawMessage(`{}`)},
			[]string{"a-1.jar", "a-1.pom"},
		},
		{
			"one jar under any name", nil,
			[]string{"app.jar", own},
			registry.Facts{Package: "g:a", Version: "1", Native: json.RawMessage(`{"embedded":true}`)},
			[]string{"a-1.jar"},
		},
		{
			"one jar without a title", nil,
			[]string{"", own},
			registry.Facts{Package: "g:a", Version: "1", Native: json.RawMessage(`{"embedded":true}`)},
			[]string{"a-1.jar"},
		},
		{
			"a POM without a title", nil,
			[]string{"", pomText},
			registry.Facts{Package: "g:a", Version: "1", Description: "A", Native: json.RawMessage(`{}`)},
			[]string{"a-1.pom"},
		},
		{
			"before the POM", named("g:a", "1"),
			[]string{"a-1.jar", own},
			registry.Facts{Package: "g:a", Version: "1", Incomplete: true, Native: json.RawMessage(`{}`)},
			[]string{"a-1.jar"},
		},
		{
			"by annotations alone", named("g:a", "1"),
			[]string{"some.zip", "x"},
			registry.Facts{Package: "g:a", Version: "1", Incomplete: true, Native: json.RawMessage(`{}`)},
			[]string{"a-1.zip"},
		},
		{
			"by where it is pushed to",
			map[string]string{registry.AnnotationNameHint: "g/a", registry.AnnotationVersionHint: "1"},
			[]string{"a-1.zip", "x"},
			registry.Facts{Package: "g:a", Version: "1", Incomplete: true, Native: json.RawMessage(`{}`)},
			[]string{"a-1.zip"},
		},
		{
			"a build of a snapshot", nil,
			[]string{"a-1-20261123.203355-2.pom", snapshotPOM, "a-1-20261123.203355-2.jar", jarOf()},
			registry.Facts{Package: "g:a", Version: "1-20261123.203355-2", Description: "A", Native: json.RawMessage(`{}`)},
			[]string{"a-1-20261123.203355-2.pom", "a-1-20261123.203355-2.jar"},
		},
		{
			"an expression", named("g:a", "7"),
			[]string{"a-7.pom", strings.ReplaceAll(pomText, ">1<", ">${revision}<")},
			registry.Facts{Package: "g:a", Version: "7", Description: "A", Native: json.RawMessage(`{}`)},
			[]string{"a-7.pom"},
		},
		{
			"an expression, and a title", nil,
			[]string{"a-7.pom", strings.ReplaceAll(pomText, ">1<", ">${revision}<")},
			registry.Facts{Package: "g:a", Version: "7", Description: "A", Native: json.RawMessage(`{}`)},
			[]string{"a-7.pom"},
		},
		{
			"Maven 4's build POM", named("g:a", "1"),
			[]string{"a-1.pom", pomText, "a-1-build.pom", strings.ReplaceAll(pomText, ">1<", ">${v}<")},
			registry.Facts{Package: "g:a", Version: "1", Description: "A", Native: json.RawMessage(`{}`)},
			[]string{"a-1.pom", "a-1-build.pom"},
		},
		{
			"a plug-in", nil,
			[]string{"a-1.pom", strings.ReplaceAll(pomText, "<name>", "<packaging>maven-plugin</packaging><name>"), "a-1.jar", jarOf(pluginXML, pluginText)},
			registry.Facts{Package: "g:a", Version: "1", Description: "A", Native: json.RawMessage(`{"packaging":"maven-plugin","plugin":{"prefix":"aa","name":"A"}}`)},
			[]string{"a-1.pom", "a-1.jar"},
		},
		{
			"a plug-in without a descriptor", nil,
			[]string{"a-1.pom", strings.ReplaceAll(pomText, "<name>", "<packaging>maven-plugin</packaging><name>")},
			registry.Facts{Package: "g:a", Version: "1", Description: "A", Native: json.RawMessage(`{"packaging":"maven-plugin","plugin":{"prefix":"a"}}`)},
			[]string{"a-1.pom"},
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			a := artifact(t, test.annotations, test.files...)
			got, err := (Format{}).Describe(a)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Error(diff)
			}
			files, err := filesOf(&registry.Release{Facts: got, Files: a.Files})
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.names, files.names); diff != "" {
				t.Error(diff)
			}
			if got, want := string(files.embedded()), pomText; strings.Contains(string(test.want.Native), "embedded") && got != want {
				t.Errorf("embedded POM %q", got)
			}
		})
	}
}

func TestDescribeRefuses(t *testing.T) {
	t.Parallel()
	empty := string(zipped(t))
	module := `{"formatVersion":"1.1","component":{"group":"g","module":"a","version":"2"}}`
	tests := []struct {
		name        string
		annotations map[string]string
		files       []string
		want        string
	}{
		{"nothing", nil, nil, "at least one file"},
		{"no coordinates", nil, []string{"a.jar", empty}, "which package"},
		{"another version", named("g:a", "2"), []string{"a-2.pom", pomText}, `a-2.pom says the version is "1", but it is published as g:a:2`},
		{"another group", named("h:a", "1"), []string{"a-1.pom", pomText}, `group id is "g"`},
		{"another artifact", named("g:b", "1"), []string{"b-1.pom", pomText}, `artifact id is "a"`},
		{"another version than the title", nil, []string{"a-1.pom", pomText, "a-2.jar", empty}, "a-2.jar"},
		{"another literal part", named("g:a", "7"), []string{"a-7.pom", strings.ReplaceAll(pomText, ">1<", ">1${x}<")}, "version"},
		{"an expression alone", nil, []string{"pom.xml", strings.ReplaceAll(pomText, ">1<", ">${revision}<")}, "expression"},
		{"a snapshot", nil, []string{"a-1-SNAPSHOT.pom", strings.ReplaceAll(pomText, ">1<", ">1-SNAPSHOT<")}, "a-1-YYYYMMDD.HHMMSS-N"},
		{"a release as a build", named("g:a", "1-20261123.203355-2"), []string{"a-1-20261123.203355-2.pom", strings.ReplaceAll(pomText, ">1<", ">2<")}, "version"},
		{"two POMs", nil, []string{"pom.xml", pomText, "a-1.pom", pomText}, "several POMs"},
		{"one file twice", nil, []string{"a-1.pom", pomText, "x/a-1.jar", empty, "y/a-1.jar", empty}, "two files"},
		{"a checksum", nil, []string{"a-1.pom", pomText, "a-1.jar.sha1", "x"}, "computed"},
		{"a file of something else", nil, []string{"a-1.pom", pomText, "b-1.jar", empty, "c-1.jar", empty}, "c-1.jar"},
		{"Gradle's metadata of something else", named("g:a", "1"), []string{"a-1.module", module}, `version is "2"`},
		{"no name", named("ga", "1"), []string{"a-1.zip", "x"}, "GROUP:ARTIFACT"},
		{"no version", named("g:a", "1/2"), []string{"a-1.zip", "x"}, "version"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			got, err := (Format{}).Describe(artifact(t, test.annotations, test.files...))
			if err == nil {
				t.Fatalf("accepted as %+v", got)
			}
			e := registry.Public(err)
			if e.Code != registry.ManifestInvalid || !strings.Contains(e.Message, test.want) {
				t.Errorf("%v, want %q", err, test.want)
			}
		})
	}
}

func TestEnvelope(t *testing.T) {
	t.Parallel()
	f := registry.Facts{Package: "com.acme:my-lib", Version: "1.0+x", Description: "D", License: "MIT", Native: json.RawMessage(`{"packaging":"jar","url":"https://example.com"}`)}
	e := (Format{}).Envelope(f, nil)
	want := map[string]string{
		"dev.packhouse.format": "maven", "dev.packhouse.name": "com.acme:my-lib", "dev.packhouse.purl": "pkg:maven/com.acme/my-lib@1.0%2Bx",
		"org.opencontainers.image.title": "com.acme:my-lib", "org.opencontainers.image.version": "1.0+x",
		"org.opencontainers.image.description": "D", "org.opencontainers.image.licenses": "MIT", "org.opencontainers.image.url": "https://example.com",
	}
	if diff := cmp.Diff(want, e.Annotations); diff != "" {
		t.Error(diff)
	}
	if got, want := string(e.Config), `{"format":"maven","name":"com.acme:my-lib","version":"1.0+x","packaging":"jar","description":"D","license":"MIT","url":"https://example.com"}`; got != want {
		t.Errorf("config %s, want %s", got, want)
	}
}
