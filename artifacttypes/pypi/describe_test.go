package pypi

import (
	"crypto/sha256"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/packhouse/packhouse/registry"
)

// described is a file as Describe gets it.
func described(tb testing.TB, name string, content []byte) registry.File {
	tb.Helper()
	native, err := inspectBytes(tb, name, content)
	if err != nil {
		tb.Fatal(err)
	}
	d := digest.NewDigestFromBytes(digest.SHA256, sum(content))
	return registry.File{
		Name: name, Descriptor: registry.Descriptor{Digest: d, Size: int64(len(content))},
		Facts: registry.FileFacts{Sums: map[string]string{"sha256": d.Encoded()}, Native: native},
	}
}

func sum(content []byte) []byte {
	s := sha256.Sum256(content)
	return s[:]
}

func TestDescribe(t *testing.T) {
	t.Parallel()
	const more = "Summary: A test\nLicense-Expression: MIT\nKeywords: a,b\n"
	source := described(t, sdistFile, sdist(t, "my-pkg", "1.0", "Summary: of the sdist\n"))
	built := described(t, wheelFile, wheel(t, "my-pkg", "1.0", more))
	text := described(t, wheelFile+".metadata", []byte(metadataText("my-pkg", "1.0", more)))
	signature := described(t, sdistFile+".asc", []byte("-----BEGIN PGP SIGNATURE-----\n"))
	want := registry.Facts{Package: "my-pkg", Version: "1.0", Description: "A test", License: "MIT", Keywords: []string{"a", "b"}}
	ofSource := registry.Facts{Package: "my-pkg", Version: "1.0", Description: "of the sdist"}
	for name, tt := range map[string]struct {
		files       []registry.File
		annotations map[string]string
		want        registry.Facts
	}{
		"wheel":             {[]registry.File{built}, nil, want},
		"sdist":             {[]registry.File{source}, nil, ofSource},
		"the wheel is read": {[]registry.File{source, built, text, signature}, nil, want},
		"annotations": {[]registry.File{built}, map[string]string{
			registry.AnnotationName: "My.Pkg", ocispec.AnnotationVersion: "v1.0", registry.AnnotationNameHint: "other",
		}, want},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := Format{}.Describe(registry.Artifact{Annotations: tt.annotations, Files: tt.files})
			got.Native = nil
			if diff := cmp.Diff(tt.want, got); err != nil || diff != "" {
				t.Errorf("Describe: %v (-want +got):\n%s", err, diff)
			}
		})
	}
}

func TestDescribeRefuses(t *testing.T) {
	t.Parallel()
	built := described(t, wheelFile, wheel(t, "my-pkg", "1.0", ""))
	source := described(t, sdistFile, sdist(t, "my-pkg", "1.0", ""))
	for name, tt := range map[string]struct {
		files       []registry.File
		annotations map[string]string
		want        string
	}{
		"nothing":            {nil, nil, "needs a wheel"},
		"a signature alone":  {[]registry.File{described(t, sdistFile+".asc", []byte("-----BEGIN PGP SIGNATURE-----"))}, nil, "needs a wheel"},
		"two sdists":         {[]registry.File{source, described(t, zipFile, zipped(t, part{name: "a/PKG-INFO", content: metadataText("my-pkg", "1.0", "")}))}, nil, "one source distribution"},
		"another version":    {[]registry.File{built, described(t, "my_pkg-1.1.tar.gz", sdist(t, "my-pkg", "1.1", ""))}, nil, "one version at a time"},
		"another package":    {[]registry.File{built, described(t, "other-1.0.tar.gz", sdist(t, "other", "1.0", ""))}, nil, "one version at a time"},
		"a title twice":      {[]registry.File{built, built}, nil, "twice"},
		"a wheel twice":      {[]registry.File{built, described(t, "My.Pkg-1.0-py3-none-any.whl", wheel(t, "my-pkg", "1.0", "Summary: x\n"))}, nil, "same wheel"},
		"metadata alone":     {[]registry.File{source, described(t, wheelFile+".metadata", []byte(metadataText("my-pkg", "1.0", "")))}, nil, "no wheel beside it"},
		"other metadata":     {[]registry.File{built, described(t, wheelFile+".metadata", []byte(metadataText("my-pkg", "1.0", "Requires-Dist: evil\n")))}, nil, "not the METADATA inside"},
		"another's .asc":     {[]registry.File{built, described(t, sdistFile+".asc", []byte("-----BEGIN PGP SIGNATURE-----"))}, nil, "no distribution beside it"},
		"annotated name":     {[]registry.File{built}, map[string]string{registry.AnnotationName: "other"}, "files are of my-pkg"},
		"annotated version":  {[]registry.File{built}, map[string]string{ocispec.AnnotationVersion: "2.0"}, "files are of 1.0"},
		"annotated nonsense": {[]registry.File{built}, map[string]string{ocispec.AnnotationVersion: "latest"}, "files are of 1.0"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := Format{}.Describe(registry.Artifact{Annotations: tt.annotations, Files: tt.files})
			if !errors.Is(err, registry.ManifestInvalid) || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("Describe = %+v, %v, want MANIFEST_INVALID with %q", got, err, tt.want)
			}
		})
	}
}

func TestEnvelope(t *testing.T) {
	t.Parallel()
	more := "Summary: A test\nAuthor-email: Ann <a@example.test>\nLicense: MIT\nHome-page: https://a.test\n" +
		"Project-URL: Source Code, https://a.test/src\nProject-URL: docs, https://a.test/docs\n"
	built := described(t, "my_pkg-1!1.0+l.1-py3-none-any.whl", zipped(t, wheelParts("my-pkg", "1!1.0+l.1", more)...))
	facts, err := Format{}.Describe(registry.Artifact{Files: []registry.File{built}})
	if err != nil {
		t.Fatal(err)
	}
	got := Format{}.Envelope(facts, []registry.File{built})
	want := registry.Envelope{
		ArtifactType: "application/vnd.packhouse.pypi.v1",
		ConfigType:   "application/vnd.packhouse.pypi.config.v1+json",
		Config: []byte(`{"format":"pypi","name":"my-pkg","version":"1!1.0+l.1","metadata":{"metadata_version":"2.1","name":"my-pkg",` +
			`"version":"1!1.0+l.1","summary":"A test","home_page":"https://a.test","author_email":"Ann \u003ca@example.test\u003e","license":"MIT",` +
			`"project_urls":["Source Code, https://a.test/src","docs, https://a.test/docs"]}}`),
		Annotations: map[string]string{
			"dev.packhouse.format": "pypi", "dev.packhouse.name": "my-pkg", "dev.packhouse.purl": "pkg:pypi/my-pkg@1%211.0%2Bl.1",
			"org.opencontainers.image.title": "my-pkg", "org.opencontainers.image.version": "1!1.0+l.1",
			"org.opencontainers.image.description": "A test", "org.opencontainers.image.licenses": "MIT",
			"org.opencontainers.image.authors": "Ann <a@example.test>", "org.opencontainers.image.url": "https://a.test",
			"org.opencontainers.image.source": "https://a.test/src", "org.opencontainers.image.documentation": "https://a.test/docs",
		},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("Envelope (-want +got):\n%s", diff)
	}
}
