package registry

import (
	"errors"
	"slices"
	"strings"
	"unicode/utf8"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// Media types of the manifests that are accepted beside the two of OCI's image-spec.
const (
	MediaTypeDockerManifest   = "application/vnd.docker.distribution.manifest.v2+json"
	MediaTypeDockerList       = "application/vnd.docker.distribution.manifest.list.v2+json"
	MediaTypeArtifactManifest = "application/vnd.oci.artifact.manifest.v1+json" // retired before image-spec 1.1
)

// maxDescriptors bounds the references of one manifest.
const maxDescriptors = 4096

// Parsed is what a manifest refers to. It shares memory with a copy of the
// manifest, not with the caller's bytes. Of its descriptors the fields
// MediaType, ArtifactType, Digest, Size and URLs are set; a digest may be
// listed several times.
type Parsed struct {
	MediaType string
	// ArtifactType is what a referrers list shows: artifactType, or for an
	// image manifest without one the media type of its config.
	ArtifactType string
	Config       *Descriptor  // nil in an index or artifact manifest
	Blobs        []Descriptor // must exist: config, layers, entries of an index that are no manifests
	Foreign      []Descriptor // layers that may be kept elsewhere; a reference like any other if the blob is here
	Children     []Descriptor // must exist: the manifests of an index
	Subject      *Descriptor  // need not exist
	Annotations  map[string]string
}

// IsManifestType tells whether t is the media type of a manifest that [ParseManifest] accepts.
func IsManifestType(t string) bool {
	switch t {
	case ocispec.MediaTypeImageManifest, ocispec.MediaTypeImageIndex,
		MediaTypeDockerManifest, MediaTypeDockerList, MediaTypeArtifactManifest:
		return true
	}
	return false
}

// ParseManifest reads raw as a manifest of the given content type, whose
// parameters are ignored. An empty content type defers to the mediaType
// field, and without that to the shape. It is stricter than JSON decoders
// are, so that no client reads references here that we do not see: keys are
// case-sensitive and unique, and a manifest is either an image or an index
// (CVE-2021-41190). It returns MANIFEST_INVALID.
func ParseManifest(contentType string, raw []byte) (Parsed, error) {
	const op = "registry.ParseManifest"
	declared, _, _ := strings.Cut(contentType, ";")
	declared = strings.ToLower(strings.TrimSpace(declared))
	if declared != "" && !IsManifestType(declared) {
		return Parsed{}, unknownType(op, declared)
	}
	if !utf8.Valid(raw) {
		return Parsed{}, E(op, ManifestInvalid, nil, "manifest is not valid UTF-8")
	}
	d := document{scanner: scanner{s: string(raw)}}
	if err := d.read(); err != nil {
		return Parsed{}, E(op, ManifestInvalid, nil, "manifest is not valid: %v", err)
	}
	kind := declared
	switch {
	case kind != "" && d.mediaType != "" && kind != d.mediaType:
		return Parsed{}, E(op, ManifestInvalid, nil,
			"manifest was sent as %s but its mediaType field says %q: make them the same", kind, clip(d.mediaType))
	case kind == "" && d.mediaType != "":
		kind = d.mediaType
	case kind == "" && d.hasManifests:
		kind = ocispec.MediaTypeImageIndex
	case kind == "" && d.config != nil:
		kind = ocispec.MediaTypeImageManifest
	}
	if !IsManifestType(kind) {
		return Parsed{}, unknownType(op, kind)
	}
	p, err := d.parsed(kind)
	if err != nil {
		return Parsed{}, E(op, ManifestInvalid, nil, "manifest is not valid: %v", err)
	}
	return p, nil
}

func unknownType(op, got string) error {
	if got == "" {
		got = "unknown"
	}
	return E(op, ManifestInvalid, nil, "manifest type %q is not accepted: push one of %s", clip(got), strings.Join([]string{
		ocispec.MediaTypeImageManifest, ocispec.MediaTypeImageIndex,
		MediaTypeDockerManifest, MediaTypeDockerList, MediaTypeArtifactManifest,
	}, ", "))
}

// document is a manifest of any type while it is read: which type it is may
// be known only at its last key.
type document struct {
	scanner
	count int // descriptors so far

	version                            int64
	mediaType, artifactType            string
	config, subject                    *Descriptor
	layers, manifests                  []Descriptor
	annotations                        map[string]string
	hasManifests, hasVersion, fsLayers bool
	blobs                              int // where the value of "blobs" starts, 0 for nowhere
}

func (d *document) read() error {
	for o := d.object(); d.next(&o); {
		switch o.key {
		case "schemaVersion":
			d.version, d.hasVersion = d.integer(), true
		case "mediaType":
			d.mediaType = d.optional()
		case "artifactType":
			d.artifactType = d.optional()
		case "config":
			d.config = d.pointer()
		case "subject":
			d.subject = d.pointer()
		case "layers":
			d.layers = d.list(d.layers)
		case "manifests":
			d.hasManifests = true
			d.manifests = d.list(d.manifests)
		case "blobs": // a free field but in artifact manifests
			d.peek()
			d.blobs = d.i
			d.skip()
		case "fsLayers":
			d.fsLayers = !d.null()
			if d.fsLayers {
				d.skip()
			}
		case "annotations":
			d.annotations = d.stringMap()
		default:
			d.foreignKey(o.key, "schemaVersion", "mediaType", "artifactType", "config", "layers",
				"manifests", "blobs", "fsLayers", "subject", "annotations")
			d.skip()
		}
	}
	return d.end()
}

// parsed sorts what was read by what kind of manifest it is.
func (d *document) parsed(kind string) (Parsed, error) {
	p := Parsed{MediaType: kind, ArtifactType: d.artifactType, Subject: d.subject, Annotations: d.annotations}
	isArtifact := kind == MediaTypeArtifactManifest
	if d.version != 2 && (d.hasVersion || !isArtifact) {
		return Parsed{}, errors.New("schemaVersion must be 2")
	}
	if d.fsLayers {
		return Parsed{}, errors.New("fsLayers belongs to schema version 1, which is not accepted")
	}
	switch kind {
	case ocispec.MediaTypeImageIndex, MediaTypeDockerList:
		if d.config != nil || len(d.layers) > 0 {
			return Parsed{}, errors.New("an index has no config or layers")
		}
		if !d.hasManifests {
			return Parsed{}, errors.New("an index needs a manifests list, which may be empty")
		}
		for _, m := range d.manifests {
			switch {
			case m.MediaType == "":
				return Parsed{}, errors.New("every entry of an index needs a mediaType")
			case IsManifestType(m.MediaType):
				p.Children = append(p.Children, m)
			default:
				p.add(m)
			}
		}
		return p, nil
	case MediaTypeArtifactManifest:
		if d.config != nil || len(d.layers) > 0 {
			return Parsed{}, errors.New("an artifact manifest has no config or layers")
		}
		if d.blobs > 0 {
			d.scanner.i = d.blobs
			d.layers = d.list(d.layers)
		}
	default:
		if d.config == nil {
			return Parsed{}, errors.New("an image manifest needs a config")
		}
		p.Config = d.config
		p.Blobs = append(make([]Descriptor, 0, 1+len(d.layers)), *d.config)
		if p.ArtifactType == "" {
			p.ArtifactType = d.config.MediaType
		}
	}
	if len(d.manifests) > 0 {
		return Parsed{}, errors.New("only an index has manifests")
	}
	for _, l := range d.layers {
		p.add(l)
	}
	return p, d.err
}

// add files l under Blobs or Foreign.
func (p *Parsed) add(l Descriptor) {
	if len(l.URLs) > 0 ||
		strings.HasPrefix(l.MediaType, "application/vnd.oci.image.layer.nondistributable.") ||
		strings.HasPrefix(l.MediaType, "application/vnd.docker.image.rootfs.foreign.") {
		p.Foreign = append(p.Foreign, l)
		return
	}
	p.Blobs = append(p.Blobs, l)
}

// foreignKey refuses a key that a reader which folds case would take for one of ours.
func (d *document) foreignKey(key string, ours ...string) {
	i := slices.IndexFunc(ours, func(k string) bool { return strings.EqualFold(k, key) })
	if i >= 0 {
		d.fail("key %q must be spelled %q", clip(key), ours[i])
	}
}

// optional reads a string or null.
func (d *document) optional() string {
	if d.null() {
		return ""
	}
	return d.str()
}

// pointer reads a descriptor or null.
func (d *document) pointer() *Descriptor {
	if d.null() {
		return nil
	}
	desc := d.descriptor()
	return &desc
}

// list reads an array of descriptors or null.
func (d *document) list(into []Descriptor) []Descriptor {
	if d.null() {
		return into
	}
	d.array()
	for n := 0; d.more(n); n++ {
		into = append(into, d.descriptor())
	}
	return into
}

func (d *document) descriptor() Descriptor {
	var desc Descriptor
	hasSize := false
	if d.count++; d.count > maxDescriptors {
		d.fail("more than %d descriptors", maxDescriptors)
	}
	for o := d.object(); d.next(&o); {
		switch o.key {
		case "mediaType":
			desc.MediaType = d.optional()
		case "artifactType":
			desc.ArtifactType = d.optional()
		case "digest":
			if s := d.str(); legalDigest(s) {
				desc.Digest = Digest(s)
			} else {
				d.fail("%q is not a sha256 or sha512 digest", clip(s))
			}
		case "size":
			desc.Size, hasSize = d.integer(), true
		case "urls":
			desc.URLs = d.strings()
		case "annotations", "data", "platform":
			d.skip()
		default:
			d.foreignKey(o.key, "mediaType", "artifactType", "digest", "size", "urls",
				"annotations", "data", "platform")
			d.skip()
		}
	}
	if d.err == nil && (desc.Digest == "" || !hasSize) {
		d.fail("descriptor without digest and size")
	}
	return desc
}

func (d *document) strings() []string {
	if d.null() {
		return nil
	}
	var list []string
	d.array()
	for n := 0; d.more(n); n++ {
		list = append(list, d.str())
	}
	return list
}

func (d *document) stringMap() map[string]string {
	if d.null() {
		return nil
	}
	m := map[string]string{}
	for o := d.object(); d.next(&o); {
		m[o.key] = d.str()
	}
	return m
}
