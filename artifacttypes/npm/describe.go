package npm

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"unicode/utf8"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/packhouse/packhouse/artifacttypes"
	"github.com/packhouse/packhouse/registry"
)

// Describe takes name and version from the one tarball. Where the manifest's
// annotations name them, too, they must be the same.
func (Format) Describe(a registry.Artifact) (registry.Facts, error) {
	if len(a.Files) != 1 {
		return registry.Facts{}, artifacttypes.Invalid("an npm package has one layer, its tarball; this manifest has %d", len(a.Files))
	}
	_, pkg, err := read(a.Files[0])
	if err != nil {
		return registry.Facts{}, err
	}
	name, _ := text(pkg.get("name"))
	version, _ := text(pkg.get("version"))
	if named := a.Annotations[registry.AnnotationName]; named != "" && named != name {
		return registry.Facts{}, artifacttypes.Invalid("the annotation %s is %q, but the tarball's package.json says %q", registry.AnnotationName, clip(named), name)
	}
	if named := a.Annotations[ocispec.AnnotationVersion]; named != "" {
		if v, err := canonical(named); err != nil || v != version {
			return registry.Facts{}, artifacttypes.Invalid("the annotation %s is %q, but the tarball's package.json says %q", ocispec.AnnotationVersion, clip(named), version)
		}
	}
	description, _ := text(pkg.get("description"))
	return registry.Facts{
		Package: name, Version: version,
		Description: description, License: license(pkg), Keywords: keywords(pkg),
	}, nil
}

// read is what was found in a tarball.
func read(f registry.File) (*contents, object, error) {
	var c contents
	if err := json.Unmarshal(f.Facts.Native, &c); err != nil {
		return nil, nil, artifacttypes.Invalid("the layer %q is not a tarball", clip(f.Key()))
	}
	pkg, ok := fields(c.Package)
	if !ok {
		return nil, nil, artifacttypes.Invalid("the layer %q has no package.json", clip(f.Key()))
	}
	return &c, pkg, nil
}

// config is the manifest's config: what the tarball says, for whoever resolves
// dependencies without it.
type config struct {
	Format       string          `json:"format"`
	Name         string          `json:"name"`
	Version      string          `json:"version"`
	Integrity    string          `json:"integrity"`
	FileCount    int             `json:"fileCount"`
	UnpackedSize int64           `json:"unpackedSize"`
	Package      json.RawMessage `json:"package"`
}

// Envelope describes the release in its config and in annotations.
func (Format) Envelope(f registry.Facts, files []registry.File) artifacttypes.Envelope {
	e := artifacttypes.Envelope{ArtifactType: artifactType, Annotations: map[string]string{
		registry.AnnotationFormat: "npm",
		registry.AnnotationName:   f.Package,
		registry.AnnotationPurl:   purl(f.Package, f.Version),
		ocispec.AnnotationTitle:   f.Package,
		ocispec.AnnotationVersion: f.Version,
	}}
	if len(files) == 0 {
		return e
	}
	c, pkg, err := read(files[0])
	if err != nil {
		return e
	}
	e.ConfigType = configType
	e.Config = encode(config{"npm", f.Package, f.Version, integrity(files[0]), c.Files, c.Unpacked, c.Package})
	add := func(key, value string) {
		const most = 1000
		if value = shorten(value, most); value != "" {
			e.Annotations[key] = value
		}
	}
	add(ocispec.AnnotationDescription, f.Description)
	add(ocispec.AnnotationLicenses, f.License)
	add(ocispec.AnnotationURL, plain(pkg.get("homepage")))
	add(ocispec.AnnotationSource, plain(pkg.get("repository")))
	add(ocispec.AnnotationAuthors, plain(pkg.get("author")))
	return e
}

// plain is a text, or the url or name of an object.
func plain(v json.RawMessage) string {
	if s, ok := text(v); ok {
		return s
	}
	o, _ := fields(v)
	for _, key := range []string{"url", "name"} {
		if s, ok := text(o.get(key)); ok {
			return s
		}
	}
	return ""
}

// integrity is a tarball's sha512 as Subresource Integrity.
func integrity(f registry.File) string {
	sum, err := hex.DecodeString(f.Facts.Sums["sha512"])
	if err != nil || len(sum) == 0 {
		return ""
	}
	return "sha512-" + base64.StdEncoding.EncodeToString(sum)
}

// SignedText is what npm's clients check a registry's signature over.
func (Format) SignedText(r *registry.Release) []byte {
	if len(r.Files) != 1 {
		return nil
	}
	return []byte(r.Package + "@" + r.Version + ":" + integrity(r.Files[0]))
}

// shorten cuts s to at most n bytes, between two characters.
func shorten(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n]
}
