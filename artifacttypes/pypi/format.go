package pypi

import (
	"strings"

	"github.com/packhouse/packhouse/artifacttypes"
	"github.com/packhouse/packhouse/registry"
)

// Format is the format of Python packages.
type Format struct{}

var _ artifacttypes.Format = Format{}

const (
	artifactType    = "application/vnd.packhouse.pypi.v1"
	configType      = "application/vnd.packhouse.pypi.config.v1+json"
	wheelType       = "application/vnd.packhouse.pypi.wheel.v1+zip"
	sdistType       = "application/vnd.packhouse.pypi.sdist.v1.tar+gzip"
	sdistZipType    = "application/vnd.packhouse.pypi.sdist.v1+zip"
	metadataType    = "application/vnd.packhouse.pypi.metadata.v1"
	signatureType   = "application/pgp-signature"
	attestationType = "application/vnd.packhouse.pypi.attestation.v1+json"
)

// Kinds of fragments.
const (
	jsonFragment = "json" // objects of a simple page's "files", joined by commas
	htmlFragment = "html" // links of a simple page
	infoFragment = "info" // the legacy JSON API's "info"
	urlsFragment = "urls" // the legacy JSON API's "urls"
)

// Documents.
const (
	simpleJSON   = "simple.json"
	simpleHTML   = "simple.html"
	projectsJSON = "projects.json"
	projectsHTML = "projects.html"
	legacyJSON   = "legacy.json"
)

// Info is what is fixed about the format; see [artifacttypes.Format].
func (Format) Info() artifacttypes.Info {
	return artifacttypes.Info{
		Name:          "pypi",
		Title:         "PyPI",
		Parser:        1,
		ArtifactTypes: []string{artifactType},
		Sums:          []string{"sha256"},
		Fragments:     []string{jsonFragment, htmlFragment, infoFragment, urlsFragment},
		Documents: []artifacttypes.Document{
			{Name: simpleJSON, Type: simpleJSONType},
			{Name: simpleHTML, Type: textHTMLType},
			{Name: legacyJSON, Type: "application/json"},
			{
				Name: projectsJSON, Type: simpleJSONType, Feed: true,
				Head: `{"meta":{"api-version":"` + apiVersion + `"},"projects":[`, Separator: ",", Tail: "]}", Fragments: []string{jsonFragment},
			},
			{
				Name: projectsHTML, Type: textHTMLType, Feed: true,
				Head: htmlHead("Simple index", ""), Tail: htmlTail, Fragments: []string{jsonFragment},
			},
		},
		Usage: []artifacttypes.Usage{
			{Client: "pip", Command: "pip install --index-url " + artifacttypes.Base + "/simple/ PACKAGE"},
			{Client: "uv", Command: "uv pip install --index-url " + artifacttypes.Base + "/simple/ PACKAGE"},
			{Client: "twine", Command: "twine upload --repository-url " + artifacttypes.Base + "/ dist/*"},
		},
		Clients: []string{"pip", "uv", "twine", "poetry", "pdm", "flit", "hatch"},
	}
}

// Canonical is PEP 503's form of a name and PEP 440's of a version; see
// [artifacttypes.Format].
func (Format) Canonical(pkg, version string) (string, string, error) {
	const op = "pypi.Canonical"
	name, ok := canonicalName(pkg)
	if !ok && pkg != "" {
		return "", "", registry.E(op, registry.NameInvalid, nil, "%q is not the name of a Python project: letters, digits and - _ . between them are (PEP 508)", clip(pkg))
	}
	canonical, ok := canonicalVersion(version)
	if !ok && version != "" {
		return "", "", registry.E(op, registry.ManifestInvalid, nil, "%q is not a version of PEP 440", clip(version))
	}
	return name, canonical, nil
}

// Repository is a PEP 503 name as it is; see [artifacttypes.Format].
func (Format) Repository(pkg string) (string, error) {
	if name, ok := canonicalName(pkg); !ok || name != pkg {
		return "", registry.E("pypi.Repository", registry.NameInvalid, nil, "%q is not a project's name in its normalized form (PEP 503)", clip(pkg))
	}
	return artifacttypes.EncodePath(pkg)
}

// Tag has '_' for '+' and '-' for '!', neither of which a canonical version
// contains; see [artifacttypes.Format].
func (Format) Tag(version string) (registry.Tag, error) {
	if canonical, ok := canonicalVersion(version); !ok || canonical != version {
		return "", registry.E("pypi.Tag", registry.ManifestInvalid, nil, "%q is not a version in its canonical form (PEP 440)", clip(version))
	}
	return artifacttypes.FitTag(strings.NewReplacer("+", "_", "!", "-").Replace(version), version)
}

// Label refuses every label: Python packages have none; see [artifacttypes.Format].
func (Format) Label(label string) error {
	return artifacttypes.Invalid("%q is not the tag of this release: a tag in a PyPI feed is the version, with _ for + and - for !", clip(label))
}
