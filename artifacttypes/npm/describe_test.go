package npm

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/packhouse/packhouse/artifacttypes"
	"github.com/packhouse/packhouse/registry"
)

// inspected is a tarball as the core hands it to the format.
func inspected(t *testing.T, doc string) registry.File {
	t.Helper()
	tarball := simple(doc)
	native, err := Format{}.Inspect(t.Context(), "", "", bytes.NewReader(tarball), int64(len(tarball)))
	if err != nil {
		t.Fatal(err)
	}
	return registry.File{Name: "w.tgz", Facts: registry.FileFacts{Native: native, Sums: map[string]string{"sha1": "01", "sha512": "00ff"}}}
}

func TestDescribe(t *testing.T) {
	t.Parallel()
	file := inspected(t, `{"name":"@acme/widget","version":"v1.0.0+b","description":"It turns","license":{"type":"MIT"},"keywords":["a",1,"b"]}`)
	for _, test := range []struct {
		name        string
		annotations map[string]string
		files       int
		want        string // of the refusal
	}{
		{"alone", nil, 1, ""},
		{"named", map[string]string{registry.AnnotationName: "@acme/widget", ocispec.AnnotationVersion: "1.0.0"}, 1, ""},
		{"with build metadata", map[string]string{ocispec.AnnotationVersion: "1.0.0+other"}, 1, ""},
		{"another name", map[string]string{registry.AnnotationName: "widget"}, 1, registry.AnnotationName},
		{"another version", map[string]string{ocispec.AnnotationVersion: "1.0.1"}, 1, ocispec.AnnotationVersion},
		{"no version", map[string]string{ocispec.AnnotationVersion: "latest"}, 1, ocispec.AnnotationVersion},
		{"two layers", nil, 2, "has 2"},
		{"no layer", nil, 0, "has 0"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			got, err := Format{}.Describe(registry.Artifact{Annotations: test.annotations, Files: []registry.File{file, file}[:test.files]})
			if test.want != "" {
				if err == nil || !strings.Contains(sentence(err), test.want) {
					t.Errorf("error = %v, want %q", err, test.want)
				}
				return
			}
			want := registry.Facts{Package: "@acme/widget", Version: "1.0.0", Description: "It turns", License: "MIT", Keywords: []string{"a", "b"}}
			if diff := cmp.Diff(want, got); diff != "" || err != nil {
				t.Errorf("%v, %s", err, diff)
			}
		})
	}
}

func TestLicense(t *testing.T) {
	t.Parallel()
	for doc, want := range map[string]string{
		`{"license":"MIT"}`: "MIT", `{"license":{"type":"BSD"}}`: "BSD", `{"licenses":[{"type":"ISC"}]}`: "ISC",
		`{"licenses":["A","B"]}`: "", `{"licence":"MIT"}`: "MIT", `{}`: "", `{"license":1}`: "",
	} {
		pkg, _ := fields([]byte(doc))
		if got := license(pkg); got != want {
			t.Errorf("license of %s = %q, want %q", doc, got, want)
		}
	}
}

func TestEnvelope(t *testing.T) {
	t.Parallel()
	file := inspected(t, `{"name":"@acme/widget","version":"1.0.0","description":"`+strings.Repeat("é", 600)+`","license":"MIT","homepage":"https://h","repository":"acme/widget","author":"Jo"}`)
	facts, err := Format{}.Describe(registry.Artifact{Files: []registry.File{file}})
	if err != nil {
		t.Fatal(err)
	}
	got := Format{}.Envelope(facts, []registry.File{file})
	want := artifacttypes.Envelope{
		ArtifactType: "application/vnd.packhouse.npm.v1", ConfigType: "application/vnd.packhouse.npm.config.v1+json",
		Annotations: map[string]string{
			registry.AnnotationFormat: "npm", registry.AnnotationName: "@acme/widget", registry.AnnotationPurl: "pkg:npm/%40acme/widget@1.0.0",
			ocispec.AnnotationTitle: "@acme/widget", ocispec.AnnotationVersion: "1.0.0", ocispec.AnnotationLicenses: "MIT",
			ocispec.AnnotationURL: "https://h", ocispec.AnnotationSource: "git+https://github.com/acme/widget.git", ocispec.AnnotationAuthors: "Jo",
			ocispec.AnnotationDescription: strings.Repeat("é", 500),
		},
		Config: got.Config,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	var c config
	if err := json.Unmarshal(got.Config, &c); err != nil {
		t.Fatal(err)
	}
	c.Package = nil
	if diff := cmp.Diff(config{Format: "npm", Name: "@acme/widget", Version: "1.0.0", Integrity: "sha512-AP8=", FileCount: 2, UnpackedSize: c.UnpackedSize}, c); diff != "" {
		t.Error(diff)
	}
}

// TestFragmentIsPure: the same facts give the same bytes, and bytes of a
// package cannot pass for the feed's URL.
func TestFragmentIsPure(t *testing.T) {
	t.Parallel()
	file := inspected(t, `{"name":"widget","version":"1.0.0","x":"\u0000/evil","dependencies":{"c":"1","a":"1","b":"1"}}`)
	facts, err := Format{}.Describe(registry.Artifact{Files: []registry.File{file}})
	if err != nil {
		t.Fatal(err)
	}
	r := &registry.Release{Facts: facts, Files: []registry.File{file}, State: map[string]string{stateDeprecated: "no \x00"}, Signature: &registry.Signature{KeyID: "k", Sig: []byte{1}}}
	var first string
	for range 20 {
		var w bytes.Buffer
		if err := (Format{}).Fragment(full, r, &w); err != nil {
			t.Fatal(err)
		}
		if first == "" {
			first = w.String()
		}
		if w.String() != first {
			t.Fatalf("%s\nthen %s", first, w.String())
		}
	}
	if n := strings.Count(first, artifacttypes.Base); n != 1 {
		t.Errorf("%d places for the feed's URL, want 1, in %q", n, first)
	}
	const want = `"dependencies":{"c":"1","a":"1","b":"1"}`
	if !strings.Contains(first, want) || !strings.Contains(first, `"signatures":[{"keyid":"k","sig":"AQ=="}]`) {
		t.Errorf("fragment %s", first)
	}
}
