package pypi

import (
	"cmp"
	"encoding/json"
	"strings"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/packhouse/packhouse/artifacttypes"
	"github.com/packhouse/packhouse/registry"
)

// Describe derives a release from its wheels and its source distribution; see
// [artifacttypes.Format].
func (Format) Describe(a registry.Artifact) (registry.Facts, error) {
	d := description{files: map[string]*fileFacts{}, wheels: map[string]string{}}
	for _, f := range a.Files {
		if err := d.add(f); err != nil {
			return registry.Facts{}, err
		}
	}
	if d.main == nil {
		return registry.Facts{}, artifacttypes.Invalid("a release needs a wheel or a source distribution")
	}
	for _, f := range a.Files {
		if err := d.checkCompanion(f); err != nil {
			return registry.Facts{}, err
		}
	}
	if err := checkAnnotations(a.Annotations, d.main); err != nil {
		return registry.Facts{}, err
	}
	m := d.main.Metadata
	native, err := json.Marshal(m)
	if err != nil {
		return registry.Facts{}, err
	}
	return registry.Facts{
		Package: d.main.Name, Version: d.main.Version,
		Description: m.Summary, License: m.spdx(), Keywords: m.words(), Native: native,
	}, nil
}

// description is a release while its files are looked at.
type description struct {
	files  map[string]*fileFacts // by name
	wheels map[string]string     // what is the same wheel → its name
	sdist  string
	main   *fileFacts // the first wheel, else the source distribution
}

func (d *description) add(f registry.File) error {
	facts, err := factsOf(f)
	if err != nil {
		return err
	}
	if d.files[f.Name] != nil {
		return artifacttypes.Invalid("the release has %s twice", clip(f.Name))
	}
	d.files[f.Name] = facts
	switch facts.Kind {
	case wheelKind:
		name, err := parseWheelName(f.Name)
		if err != nil {
			return err
		}
		if other := d.wheels[name.key()]; other != "" {
			return artifacttypes.Invalid("%s and %s are the same wheel in other letters: publish one", other, f.Name)
		}
		d.wheels[name.key()] = f.Name
	case sdistKind:
		if d.sdist != "" {
			return artifacttypes.Invalid("a release has one source distribution, and %s is there: %s cannot be added", d.sdist, f.Name)
		}
		d.sdist = f.Name
	default:
		return nil
	}
	if d.main != nil && (d.main.Name != facts.Name || d.main.Version != facts.Version) {
		return artifacttypes.Invalid("%s is of %s %s, but the release is %s %s: publish one version at a time",
			f.Name, facts.Name, facts.Version, d.main.Name, d.main.Version)
	}
	if d.main == nil || d.main.Kind == sdistKind && facts.Kind == wheelKind {
		d.main = facts
	}
	return nil
}

// checkCompanion checks a file that is about another one.
func (d *description) checkCompanion(f registry.File) error {
	switch d.files[f.Name].Kind {
	case metadataKind:
		wheel := d.files[strings.TrimSuffix(f.Name, metadataSuffix)]
		if wheel == nil {
			return artifacttypes.Invalid("%s has no wheel beside it", f.Name)
		}
		if wheel.MetadataSHA256 != sha256Of(f) {
			return artifacttypes.Invalid("%s is not the METADATA inside of the wheel", f.Name)
		}
	case signatureKind:
		of := d.files[strings.TrimSuffix(f.Name, signatureSuffix)]
		if of == nil || of.Metadata == nil {
			return artifacttypes.Invalid("%s has no distribution beside it that it could sign", f.Name)
		}
	case wheelKind, sdistKind:
	}
	return nil
}

// checkAnnotations compares what a manifest says of itself with its files.
func checkAnnotations(annotations map[string]string, main *fileFacts) error {
	if name := annotations[registry.AnnotationName]; name != "" {
		if canonical, _ := canonicalName(name); canonical != main.Name {
			return artifacttypes.Invalid("%s says %q, but the files are of %s", registry.AnnotationName, clip(name), main.Name)
		}
	}
	if version := annotations[ocispec.AnnotationVersion]; version != "" {
		if canonical, _ := canonicalVersion(version); canonical != main.Version {
			return artifacttypes.Invalid("%s says %q, but the files are of %s", ocispec.AnnotationVersion, clip(version), main.Version)
		}
	}
	return nil
}

// sha256Of is the file's SHA-256 in hex, whatever its descriptor's digest is.
func sha256Of(f registry.File) string {
	if f.Digest.Algorithm() == "sha256" {
		return f.Digest.Encoded()
	}
	return f.Facts.Sums["sha256"]
}

// releaseMetadata decodes what Describe kept of the release.
func releaseMetadata(f registry.Facts) (*metadata, error) {
	m := &metadata{}
	if len(f.Native) == 0 {
		return m, nil
	}
	return m, json.Unmarshal(f.Native, m)
}

// link returns the project URL of the first label that the project has; labels
// as PyPA's "well-known project URLs" normalizes them.
func (m *metadata) link(labels ...string) string {
	for _, want := range labels {
		for _, entry := range m.ProjectURLs {
			label, url, _ := strings.Cut(entry, ",")
			if strings.EqualFold(strings.Map(letters, label), want) {
				return strings.TrimSpace(url)
			}
		}
	}
	return ""
}

func letters(r rune) rune {
	if r < 0x80 && !alphanumeric(byte(r)) {
		return -1
	}
	return r
}

// author is the author's name, or the address where the name is in it.
func (m *metadata) author() string {
	return cmp.Or(m.Author, m.AuthorEmail, m.Maintainer, m.MaintainerEmail)
}
