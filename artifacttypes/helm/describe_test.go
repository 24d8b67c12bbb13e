package helm

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/packhouse/packhouse/artifacttypes"
	"github.com/packhouse/packhouse/registry"
)

// fileWith is a file with its facts, as Describe gets it.
func fileWith(t *testing.T, name, mediaType string, content []byte) registry.File {
	t.Helper()
	native, err := Format{}.Inspect(t.Context(), name, mediaType, bytes.NewReader(content), int64(len(content)))
	if err != nil {
		t.Fatal(err)
	}
	return registry.File{
		Name: name, Descriptor: registry.Descriptor{MediaType: mediaType},
		Facts: registry.FileFacts{Native: native, Sums: map[string]string{"sha256": sumOf(content)}},
	}
}

func TestDescribe(t *testing.T) {
	t.Parallel()
	content := version(t, "1.0.0", "x")
	chart := fileWith(t, "", chartType, content)
	plain := fileWith(t, "web.tgz", "application/gzip", content)
	prov := fileWith(t, "", provType, provenanceFor("web", "1.0.0", content))
	another := fileWith(t, "", provType, provenanceFor("web", "1.0.0", []byte("x")))
	renamed := fileWith(t, "", provType, provenanceFor("web", "2.0.0", content))
	tests := []struct {
		name string
		a    registry.Artifact
		want string // of the refusal
		own  bool
	}{
		{"by Helm", registry.Artifact{ArtifactType: configType, Files: []registry.File{chart}}, "", false},
		{"by Helm, with a provenance", registry.Artifact{ArtifactType: configType, Files: []registry.File{prov, chart}}, "", false},
		{"by another client", registry.Artifact{ArtifactType: ownType, Files: []registry.File{plain}}, "", true},
		{"by another client, typed", registry.Artifact{ArtifactType: ownType, Files: []registry.File{chart, prov}}, "", true},
		{"native", registry.Artifact{Files: []registry.File{chart}}, "", false},
		{"native, to what another client began", registry.Artifact{Files: []registry.File{plain, prov}}, "", true},
		{"Helm would not find it", registry.Artifact{ArtifactType: configType, Files: []registry.File{plain}}, "by which Helm does not find it", false},
		{"nothing", registry.Artifact{ArtifactType: ownType}, "no chart archive", false},
		{"provenance alone", registry.Artifact{ArtifactType: ownType, Files: []registry.File{prov}}, "no chart archive", false},
		{"two charts", registry.Artifact{ArtifactType: ownType, Files: []registry.File{chart, plain}}, "one archive", false},
		{"two provenances", registry.Artifact{ArtifactType: ownType, Files: []registry.File{chart, prov, prov}}, "at most one provenance", false},
		{"provenance of another archive", registry.Artifact{Files: []registry.File{chart, another}}, "another archive", false},
		{"provenance of another version", registry.Artifact{Files: []registry.File{chart, renamed}}, "the provenance is of web 2.0.0", false},
		{"annotated as another", registry.Artifact{Files: []registry.File{chart}, Annotations: map[string]string{registry.AnnotationName: "other"}}, `is "other"`, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			f, err := Format{}.Describe(tt.a)
			if tt.want != "" {
				e, ok := errors.AsType[*registry.Error](err)
				if !ok || e.Code != registry.ManifestInvalid || !strings.Contains(e.Message, tt.want) {
					t.Errorf("got %v, want MANIFEST_INVALID with %q", err, tt.want)
				}
				return
			}
			if err != nil || f.Package != "web" || f.Version != "1.0.0" || f.Description != "A chart." {
				t.Fatalf("got %+v, %v", f, err)
			}
			env := Format{}.Envelope(f, tt.a.Files)
			if own := env.ArtifactType == ownType; own != tt.own {
				t.Errorf("own type %v, want %v", own, tt.own)
			}
		})
	}
}

func TestInspectRefuses(t *testing.T) {
	t.Parallel()
	content := version(t, "1.0.0", "x")
	tests := []struct {
		mediaType string
		content   []byte
		want      string
	}{
		{chartType, provenanceFor("web", "1.0.0", content), "has the media type of a chart"},
		{oldChartType, provenanceFor("web", "1.0.0", content), "has the media type of a chart"},
		{provType, content, "no cleartext-signed message"},
		{provType, nil, "no cleartext-signed message"},
		{"text/plain", nil, "not a gzip archive"},
		{"text/plain", []byte(provBegin[:4]), "no cleartext-signed message"},
	}
	for _, tt := range tests {
		_, err := Format{}.Inspect(t.Context(), "x", tt.mediaType, bytes.NewReader(tt.content), int64(len(tt.content)))
		e, ok := errors.AsType[*registry.Error](err)
		if !ok || e.Code != registry.ManifestInvalid || !strings.Contains(e.Message, tt.want) {
			t.Errorf("%s: got %v, want MANIFEST_INVALID with %q", tt.mediaType, err, tt.want)
		}
	}
}

// The manifest of a native publish is Helm's, byte for byte where Helm says
// what is in it; compared with what `helm push` of the same archive sent.
func TestEnvelope(t *testing.T) {
	t.Parallel()
	const text = `apiVersion: v2
name: web
version: 1.2.3+b4
description: A <web> & more
home: https://example.test/web
sources: [https://example.test/src, https://example.test/more]
maintainers: [{name: Ann, email: ann@example.test}, {name: Bob}, {email: c@example.test}]
annotations:
  org.opencontainers.image.title: another
  org.opencontainers.image.version: 9.9.9
  org.opencontainers.image.description: its own
  category: Web
`
	f, err := Format{}.Describe(registry.Artifact{Files: []registry.File{fileWith(t, "", chartType, chartOf(t, text))}})
	if err != nil {
		t.Fatal(err)
	}
	want := artifacttypes.Envelope{
		ConfigType: configType,
		Config: []byte(`{"name":"web","home":"https://example.test/web","sources":["https://example.test/src","https://example.test/more"],"version":"1.2.3+b4",` +
			`"description":"A \u003cweb\u003e \u0026 more","maintainers":[{"name":"Ann","email":"ann@example.test"},{"name":"Bob"},{"email":"c@example.test"}],` +
			`"apiVersion":"v2","annotations":{"category":"Web","org.opencontainers.image.description":"its own","org.opencontainers.image.title":"another",` +
			`"org.opencontainers.image.version":"9.9.9"}}`),
		Annotations: map[string]string{
			"org.opencontainers.image.title": "web", "org.opencontainers.image.version": "1.2.3+b4", "org.opencontainers.image.description": "its own",
			"org.opencontainers.image.url": "https://example.test/web", "org.opencontainers.image.source": "https://example.test/src",
			"org.opencontainers.image.authors": "Ann (ann@example.test), Bob,  (c@example.test)", "category": "Web",
		},
	}
	if diff := cmp.Diff(want, Format{}.Envelope(f, nil)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	// What was stored of it is the same again.
	var stored registry.Facts
	if body, err := json.Marshal(f); err != nil {
		t.Fatal(err)
	} else if err := json.Unmarshal(body, &stored); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, Format{}.Envelope(stored, nil)); diff != "" {
		t.Errorf("stored (-want +got):\n%s", diff)
	}
}
